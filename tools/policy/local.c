/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/local.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "attester/attester.h"
#include "tools/common/conf.h"
#include "tools/common/local_evidence.h"
#include "tools/common/input.h"

#define AGENT_SECTION "attestd"

/* The certificate that the quote is bound to; without one, the stand-in. */
static enum atls_error take_certificate(const struct policy_local *local,
                                        struct atls_reason *why,
                                        uint8_t **ret_der, size_t *ret_len)
{
    X509 *cert = NULL;
    enum atls_error r;
    int len;

    if (local->certificate == NULL)
        return ATLS_OK;
    r = tool_input_certificate(local->certificate, why, &cert);
    if (r != ATLS_OK)
        return r;
    len = i2d_X509(cert, ret_der);
    X509_free(cert);
    if (len <= 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_len = (size_t)len;
    return ATLS_OK;
}

static enum atls_error take_name(const struct policy_local *local,
                                 struct atls_reason *why,
                                 struct peer_evidence *evidence)
{
    char name[HOST_NAME_MAX + 1] = "";

    if (local->host == NULL && gethostname(name, sizeof(name) - 1) != 0)
        return atls_fail(why, ATLS_E_IO, "no host name: %s; give --host",
                         strerror(errno));
    evidence->name = OPENSSL_strdup(local->host != NULL ? local->host : name);
    if (evidence->name == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

/* path: where the configuration stands */
static enum atls_error quote(const struct atls_attester_config *config,
                             const char *path, struct atls_span cert_der,
                             struct atls_reason *why, struct peer_evidence *ret)
{
    struct atls_attester *attester = NULL;
    enum atls_error r = atls_attester_new(config, NULL, NULL, why, &attester);

    if (r != ATLS_OK) {
        atls_reason_prefix(why, "%s: ", path);
        return r;
    }
    r = tool_local_evidence(attester, cert_der, why, ret);
    atls_attester_free(attester);
    return r;
}

static enum atls_error make(const struct policy_local *local,
                            const struct atls_attester_config *config,
                            const char *path, struct atls_reason *why,
                            struct peer_evidence *evidence)
{
    struct atls_span cert = {NULL, 0};
    uint8_t *der = NULL;
    enum atls_error r = take_certificate(local, why, &der, &cert.len);

    cert.data = der;
    if (r == ATLS_OK)
        r = quote(config, path, cert, why, evidence);
    if (r == ATLS_OK)
        r = take_name(local, why, evidence);
    OPENSSL_free(der);
    return r;
}

/* The quoter that a program with this openssl.cnf would have. */
static enum atls_error configure(const struct tool_conf *conf,
                                 struct atls_reason *why,
                                 struct atls_configuration *ret)
{
    tool_conf_configuration(conf, ret);
    if (conf->attester == NULL)
        (void)atls_fail(
            why, ATLS_E_CONFIG,
            "no attester is configured: expected attester = "
            "SECTION in attest's section; another file with --conf");
    else if (ret->broken.code != ATLS_OK)
        *why = ret->broken;
    else if (ret->attester_broken.code != ATLS_OK)
        *why = ret->attester_broken;
    else if (!ret->has_attester)
        (void)atls_fail(why, ATLS_E_CONFIG, "no attester is configured");
    else
        return ATLS_OK;
    atls_reason_prefix(why, "%s: ", conf->path);
    return why->code = ATLS_E_CONFIG;
}

/* attestd.cnf(5) configures the agent; openssl.cnf configures the programs
 * that ask it. */
static bool is_agents(const struct tool_conf *conf)
{
    bool found;

    ERR_set_mark();
    found = NCONF_get_section(conf->nconf, AGENT_SECTION) != NULL;
    ERR_pop_to_mark();
    return found;
}

enum atls_error tool_policy_local_make(const struct policy_local *local,
                                       struct atls_reason *why,
                                       struct peer_evidence *ret)
{
    struct peer_evidence evidence = {0};
    struct atls_configuration configuration;
    struct tool_conf *conf = NULL;
    enum atls_error r = tool_conf_load(local->conf, why, &conf);

    if (r == ATLS_OK && conf->init == NULL && is_agents(conf))
        r = atls_fail(why, ATLS_E_CONFIG,
                      "%s is the agent's: name an openssl.cnf with quoter = "
                      "unix: and its socket",
                      conf->path);
    if (r == ATLS_OK)
        r = configure(conf, why, &configuration);
    if (r == ATLS_OK)
        r = make(local, &configuration.attester, conf->path, why, &evidence);
    tool_conf_free(conf);
    if (r != ATLS_OK) {
        tool_peer_evidence_clear(&evidence);
        return r;
    }
    *ret = evidence;
    return ATLS_OK;
}
