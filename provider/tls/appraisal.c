/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/appraisal.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <time.h>

#include "tls/lock.h"
#include "tls/refusal.h"
#include "verifier/appraise.h"

/* A section that was found by an address may have been found by that of a proxy, to
 * which the policy's author did not mean it to apply. */
static enum atls_error fail_without_evidence(
    const struct atls_connection *connection, struct atls_reason *why)
{
    const char *peer = atls_connection_peer(connection);
    const char *found_by = atls_connection_found_by(connection);
    const char *section = atls_connection_section_name(connection);

    if (found_by != NULL)
        return atls_fail(
            why, ATLS_E_NO_EVIDENCE,
            "%s sent no evidence; address %s is in section %s" ATLS_WHOLE
            "%s sent no attestation evidence, which policy section %s requires "
            "of %s: is that the address of a proxy?",
            peer, found_by, section, peer, section, found_by);
    return atls_fail(
        why, ATLS_E_NO_EVIDENCE,
        "%s sent no attestation evidence, which policy section %s requires; is "
        "attest active there (attest check), or does something between us end "
        "TLS?",
        peer, section);
}

static enum atls_error check_evidence_is_there(
    const struct atls_connection *connection, struct atls_reason *why)
{
    if (connection->evidence == NULL)
        return fail_without_evidence(connection, why);
    if (!connection->has_channel)
        return atls_fail(why, ATLS_E_NO_CHANNEL,
                         "the handshake secret was not seen" ATLS_MORE
                         ": does this program "
                         "replace its keylog callback, or is its context older "
                         "than attest?");
    return ATLS_OK;
}

/* By one section; every section that matched must be satisfied. */
static enum atls_error appraise_by(struct atls_connection *connection,
                                   const struct atls_section *section,
                                   struct atls_span cert_der,
                                   struct atls_reason *why)
{
    const struct atls_appraisal appraisal = {
        .section = section,
        .cmw = {connection->evidence, connection->evidence_len},
        .role = ATLS_ROLE_SERVER,
        .channel = connection->server_channel,
        .cert_der = cert_der,
        .now = (int64_t)time(NULL),
        .asked = &connection->formats,
    };
    /* On the heap: a fibre of an ASYNC job has a stack of 32 KiB. */
    struct atls_report *report = OPENSSL_malloc(sizeof(*report));
    enum atls_error r;

    if (report == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = atls_appraise(&appraisal, report);
    report->is_observed = connection->match.mode == ATLS_MODE_OBSERVE;
    atls_instance_report(connection->context->instance, report,
                         atls_connection_peer(connection),
                         atls_connection_found_by(connection), section);
    connection->is_reported = true;
    *why = report->reason;
    atls_report_clear(report);
    OPENSSL_free(report);
    return r;
}

static enum atls_error appraise(struct atls_connection *connection,
                                const struct atls_match *match, const SSL *s,
                                struct atls_reason *why)
{
    X509 *leaf = SSL_get0_peer_certificate(s);
    enum atls_error r = check_evidence_is_there(connection, why);
    uint8_t *der = NULL;
    int der_len;

    if (r != ATLS_OK)
        return r;
    /* 0: a raw public key instead of a certificate; negative: no memory. */
    der_len = i2d_X509(leaf, &der);
    if (der_len <= 0)
        return atls_fail(why, ATLS_E_NO_CERTIFICATE,
                         "%s showed no certificate that evidence could be "
                         "bound to",
                         atls_connection_peer(connection));
    /* Refusal, unless a section says otherwise. */
    r = atls_fail(why, ATLS_E_UNNAMED,
                  "no policy section names %s: nothing to compare "
                  "its evidence with",
                  atls_connection_peer(connection));
    for (size_t i = 0; i < match->count; i++) {
        r = appraise_by(connection, match->sections[i],
                        (struct atls_span){der, (size_t)der_len}, why);
        if (r != ATLS_OK)
            break;
    }
    OPENSSL_free(der);
    return r;
}

enum atls_error atls_appraisal_decide(struct atls_connection *connection,
                                      const SSL *s, struct atls_reason *why)
{
    const struct atls_match *match = atls_connection_match(connection, s);
    enum atls_error r;

    /* With a verdict: a program's callback that has wrapped ours asks again (S24). */
    if (match->mode == ATLS_MODE_OFF || connection->has_verdict)
        return ATLS_OK;
    r = appraise(connection, match, s, why);
    atls_connection_forget_evidence(connection);
    if (match->mode == ATLS_MODE_OBSERVE) {
        if (r != ATLS_OK)
            atls_refusal_report(connection, why);
        return ATLS_OK;
    }
    if (r != ATLS_OK)
        return r;
    atls_connection_set_verdict(connection);
    atls_lock_forget(connection);
    return ATLS_OK;
}
