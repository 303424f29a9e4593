/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_CONF_H
#define ATTEST_TOOLS_COMMON_CONF_H

#include <openssl/conf.h>

#include "configuration.h"
#include "base/error.h"

/*
 * An openssl.cnf as the provider will see it, read by OpenSSL's own parser:
 * openssl_conf -> providers -> attest -> attester and verifier.
 */
struct tool_conf {
    char *path;  /* of the file */
    CONF *nconf; /* for NCONF_get_section() and friends */
    /* Names of sections; they live as long as this, NULL where the file names
     * none. A section that is named need not exist. */
    const char *init; /* value of openssl_conf */
    const char *providers;
    const char *provider; /* section of the provider `attest` */
    const char *attester;
    const char *verifier;
};

/*
 * Read a configuration.
 *   path      NULL: OPENSSL_CONF, else the system's file
 *   ret_conf  set only on success; tool_conf_free() it. A file that does not name
 *             attest is a success: look at the names of its sections
 * Returns ATLS_OK, ATLS_E_IO (cannot be opened, or is no regular file),
 * ATLS_E_CONFIG (with file and line; or larger or deeper than cnfscan.h allows,
 * where OpenSSL's parser might never return), ATLS_E_NOMEM. Leaves the OpenSSL
 * error queue as found.
 */
enum atls_error tool_conf_load(const char *path, struct atls_reason *why,
                               struct tool_conf **ret_conf) ATLS_MUST_CHECK;
void tool_conf_free(struct tool_conf *conf); /* NULL is fine */

/*
 * The settings as the provider's own code reads them.
 *   ret_configuration  always initialised; its strings live as long as conf
 */
void tool_conf_configuration(const struct tool_conf *conf,
                             struct atls_configuration *ret_configuration);

/* A key of a section, as the provider would get it; NULL when section is NULL
 * or has no such key (unlike NCONF_get_string(), which then looks into
 * [default] too). The string lives as long as conf. */
const char *tool_conf_get(const struct tool_conf *conf, const char *section,
                          const char *key);

#endif
