/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/conf.h>
#include <openssl/crypto.h>

#include "tools/check/checks.h"

/* The scan comes first: it refuses files that OpenSSL's parser would never
 * finish. */
enum atls_error tool_check_load(struct check *check, const char *path,
                                struct atls_reason *why)
{
    char *found = path != NULL ? NULL : CONF_get1_default_config_file();
    enum atls_error r;

    if (path == NULL && found == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (path == NULL)
        path = found;
    r = tool_cnf_scan_file(path, why, &check->scan);
    if (r == ATLS_E_LIMIT)
        r = why->code = ATLS_E_CONFIG; /* of a configuration, not of evidence */
    if (r == ATLS_OK)
        r = tool_conf_load(path, why, &check->conf);
    OPENSSL_free(found);
    return r;
}

void tool_check_run(struct check *check)
{
    if (!tool_check_configuration(check))
        return;
    tool_check_module(check);
    if (check->configuration.broken.code != ATLS_OK)
        return;
    if (check->configuration.has_verifier)
        tool_check_policy(check);
    if (check->configuration.has_attester)
        tool_check_attester(check);
}

void tool_check_load_and_run(struct check *check, const char *path)
{
    struct atls_reason why = {0};

    if (tool_check_load(check, path, &why) != ATLS_OK)
        tool_finding_fail(check->findings, TOOL_USAGE, "configuration",
                          "OpenSSL runs programs without it", "%s", why.text);
    else
        tool_check_run(check);
}
