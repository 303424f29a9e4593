/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <strings.h>

#include "tools/check/checks.h"

/* Does a list as of SSL_CONF_cmd(3), Protocol, take TLS 1.3 away? */
static bool excludes_tls13(const char *list)
{
    bool excluded = false;

    for (const char *at = list; *at != '\0'; at += strcspn(at, ", ")) {
        bool removes;

        at += strspn(at, ", ");
        removes = *at == '-';
        at += *at == '-' || *at == '+';
        if (strncasecmp(at, "TLSv1.3", 7) == 0
            || strncasecmp(at, "ALL", 3) == 0)
            excluded = removes;
    }
    return excluded;
}

/* System-wide limits below TLS 1.3 make every attested handshake fail (design
 * fact 2: they are applied to every SSL_CTX). */
void tool_check_tls13(struct check *check)
{
    const char *ssl = tool_conf_get(check->conf, check->conf->init, "ssl_conf");
    const char *system = tool_conf_get(check->conf, ssl, "system_default");
    const char *max = tool_conf_get(check->conf, system, "MaxProtocol");
    const char *list = tool_conf_get(check->conf, system, "Protocol");

    if (max != NULL && strcasecmp(max, "TLSv1.3") != 0
        && strcasecmp(max, "None") != 0)
        tool_finding_fail(
            check->findings, TOOL_USAGE, "TLS 1.3", "Take MaxProtocol out",
            "[%s] has MaxProtocol = %s: attestation needs TLS 1.3", system,
            max);
    if (list != NULL && excludes_tls13(list))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "TLS 1.3", "Let Protocol have TLSv1.3",
            "[%s] has Protocol = %s: attestation needs TLS 1.3", system, list);
}
