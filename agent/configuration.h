/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_CONFIGURATION_H
#define ATTEST_AGENT_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/access.h"
#include "attester/quoter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/scanner.h"

/*
 * attestd.cnf, in the syntax of the policy file (verifier/scanner.h):
 *
 *     [attestd]
 *     socket      = /run/attest/agent.sock  # ignored with socket activation
 *     allow       = www-data, haproxy, @ssl-cert   # users, @groups, numbers; root
 *                                           # and the agent's own user always may
 *     certificate = measured                # measured | any: TLS certificates that
 *                                           # nobody measured get no evidence
 *     log         = stderr                  # stderr | syslog | /path
 *     log_level   = info
 *     quoter      = tcti:device:/dev/tpmrm0
 *     ak ak_auth ak_chain pcrs measured_log boot_log measure_pcr timeout max_queue
 *                                           # as in openssl.cnf's attester section
 *     [components]                          # attest measure --all
 *     server-code   = /srv/app              # a file or a folder
 *     model-weights = sha256:<hex>          # a digest made elsewhere
 *     [certificates]
 *     www = /etc/ssl/www.pem                # the name is for messages only
 *     [authorities]
 *     internal = /var/lib/caddy/root.crt
 *
 * Unknown keys and sections are errors, and so are relative paths. Source:
 * attestd.cnf(5).
 */

#define AGENT_CONFIGURATION_PATH ATLS_SYSCONFDIR "/attest/attestd.cnf"

/* A little less than a program waits (configuration.c), so that the agent's
 * reason, which is the more precise one, comes first. */
#define AGENT_TIMEOUT_DEFAULT_MS 4500u

/* Sections of what `attest measure --all` measures; NULL: not in the file. */
struct agent_components {
    const struct atls_scan_section *components;
    const struct atls_scan_section *certificates;
    const struct atls_scan_section *authorities;
};

struct agent_configuration {
    struct atls_scan scan;                   /* owns all strings */
    const struct atls_scan_section *section; /* [attestd] */
    const char *socket;
    struct agent_access *access; /* NULL until it is resolved */
    const char *log;             /* never NULL: stderr by default */
    enum atls_log_level log_level;
    struct atls_quoter_config quoter;
    struct agent_components components;
};

/*
 * Read and check a file; opens no TPM and no file that it names: what the keys of
 * the quoter stand for is read by atls_quoter_new(). `allow` is not looked at: at
 * boot the machine is measured by the same file, whoever is missing on it.
 *   why                "FILE:LINE: key: what is wrong, what is expected"
 *   ret_configuration  set only on success; agent_configuration_clear() it
 * Returns ATLS_OK, ATLS_E_CONFIG, ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error agent_configuration_load(
    const char *path, struct atls_reason *why,
    struct agent_configuration *ret_configuration) ATLS_MUST_CHECK;

/*
 * Look up the users and groups of `allow`: who may ask from then on.
 * Returns ATLS_OK, ATLS_E_CONFIG (this machine does not have one), ATLS_E_NOMEM.
 */
enum atls_error agent_configuration_resolve(
    struct agent_configuration *configuration,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* Put "FILE:LINE: " in front of a reason that begins with one of the keys, or with
 * the path of the chain; where that key is not in the file, the section's. */
void agent_configuration_locate(const struct agent_configuration *configuration,
                                struct atls_reason *why);

void agent_configuration_clear(struct agent_configuration *configuration);

#endif
