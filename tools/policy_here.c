/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_here.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attester/quoter.h"
#include "conf.h"
#include "input.h"
#include "tls/channel.h"

/* What the quote is bound to besides the channel. */
static enum atls_error take_certificate(const struct policy_here *here,
                                        struct atls_reason *why,
                                        struct peer_evidence *evidence)
{
    static const char stand_in[] = "attest policy: in place of a certificate";
    X509 *cert = NULL;
    enum atls_error r;
    int len;

    if (here->certificate == NULL) {
        evidence->cert_der = OPENSSL_memdup(stand_in, sizeof(stand_in));
        len = evidence->cert_der != NULL ? (int)sizeof(stand_in) : 0;
    } else {
        r = input_certificate(here->certificate, why, &cert);
        if (r != ATLS_OK)
            return r;
        len = i2d_X509(cert, &evidence->cert_der);
        X509_free(cert);
    }
    if (len <= 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    evidence->cert_len = (size_t)len;
    return ATLS_OK;
}

static enum atls_error take_name(const struct policy_here *here,
                                 struct atls_reason *why,
                                 struct peer_evidence *evidence)
{
    char name[HOST_NAME_MAX + 1] = "";

    if (here->host == NULL && gethostname(name, sizeof(name) - 1) != 0)
        return atls_fail(why, ATLS_E_IO, "no host name: %s; give --host",
                         strerror(errno));
    evidence->name = OPENSSL_strdup(here->host != NULL ? here->host : name);
    if (evidence->name == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

/* path: where the configuration stands */
static enum atls_error quote(const struct atls_quoter_config *config,
                             const char *path, struct atls_reason *why,
                             struct peer_evidence *evidence)
{
    const struct atls_span cert = {evidence->cert_der, evidence->cert_len};
    const struct atls_formats formats = atls_request_formats(true);
    struct atls_quoter *quoter = NULL;
    struct atls_ticket *ticket = NULL;
    enum atls_error r = atls_quoter_new(config, NULL, NULL, why, &quoter);

    if (r != ATLS_OK) {
        atls_reason_prefix(why, "%s: ", path);
        return r;
    }
    r = atls_quoter_submit(quoter, evidence->role, evidence->channel, cert,
                           &formats, why, &ticket);
    if (r == ATLS_OK)
        r = atls_ticket_wait(ticket, why, &evidence->cmw, &evidence->cmw_len);
    atls_quoter_free(quoter);
    return r;
}

static enum atls_error make(const struct policy_here *here,
                            const struct atls_quoter_config *config,
                            const char *path, struct atls_reason *why,
                            struct peer_evidence *evidence)
{
    enum atls_error r = take_certificate(here, why, evidence);

    if (r == ATLS_OK)
        r = take_name(here, why, evidence);
    if (r != ATLS_OK)
        return r;
    if (RAND_bytes_ex(atls_libctx(), evidence->channel, ATLS_CHANNEL_LEN, 0)
        != 1)
        return atls_fail(why, ATLS_E_CRYPTO, NULL);
    evidence->has_channel = true;
    evidence->time = (int64_t)time(NULL);
    return quote(config, path, why, evidence);
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

enum atls_error policy_here_make(const struct policy_here *here,
                                 struct atls_reason *why,
                                 struct peer_evidence *ret)
{
    struct peer_evidence evidence = {.role = ATLS_ROLE_SERVER};
    struct atls_configuration configuration;
    struct tool_conf *conf = NULL;
    enum atls_error r = tool_conf_load(here->conf, why, &conf);

    if (r == ATLS_OK)
        r = configure(conf, why, &configuration);
    if (r == ATLS_OK)
        r = make(here, &configuration.attester.quoter, conf->path, why, &evidence);
    tool_conf_free(conf);
    if (r != ATLS_OK) {
        peer_evidence_clear(&evidence);
        return r;
    }
    *ret = evidence;
    return ATLS_OK;
}
