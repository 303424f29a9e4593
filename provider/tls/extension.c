/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/extension.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "instance.h"
#include "evidence/codec.h"
#include "openssl_compat.h"
#include "raise.h"
#include "tls/async.h"
#include "tls/channel.h"
#include "tls/gate.h"
#include "tls/refusal.h"
#include "tls/state.h"

/* struct { opaque cmw<1..49152>; } Attestation: octets of the length. */
#define ATTESTATION_HEAD_LEN 2u

/* A server's reason says why it cannot prove itself, a client's whom it refuses. */
static int finish(struct atls_connection *connection, const SSL *s,
                  enum atls_error r, const struct atls_reason *why,
                  int saved_errno, int *al, int success)
{
    ERR_pop_to_mark();
    errno = saved_errno;
    if (r == ATLS_OK)
        return success;
    *al = atls_error_alert(r);
    if (connection != NULL && connection->is_being_freed)
        return -1; /* the program does not read errors of this call */
    if (connection == NULL)
        atls_raise(why);
    else
        atls_refusal_raise(connection, s, why);
    return -1;
}

/* --- what we send ------------------------------------------------------- */

/* ClientHello: the request, where the policy covers the server. With ECH it is always
 * sent: OpenSSL 4.0 fails where a registered extension is left out (design, fact 16). */
static enum atls_error add_request(struct atls_connection *connection, SSL *s,
                                   struct atls_reason *why, const uint8_t **ret,
                                   size_t *ret_len)
{
    static const struct atls_formats nothing;
    uint8_t *request;
    enum atls_error r = atls_gate_client_hello(connection, s, why);

    if (r != ATLS_OK || (!connection->is_requested && !atls_ssl_has_ech(s)))
        return r;
    request = OPENSSL_malloc(ATLS_REQUEST_MAX);
    if (request == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_len = atls_request_write(
        connection->is_requested ? &connection->formats : &nothing, request);
    *ret = request;
    return ATLS_OK;
}

static enum atls_error wrap(const uint8_t *cmw, size_t cmw_len,
                            struct atls_reason *why, const uint8_t **ret,
                            size_t *ret_len)
{
    uint8_t *body = OPENSSL_malloc(ATTESTATION_HEAD_LEN + cmw_len);

    if (body == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    body[0] = (uint8_t)(cmw_len >> 8);
    body[1] = (uint8_t)(cmw_len & 0xff);
    memcpy(body + ATTESTATION_HEAD_LEN, cmw, cmw_len);
    *ret = body;
    *ret_len = ATTESTATION_HEAD_LEN + cmw_len;
    return ATLS_OK;
}

/* Certificate: the evidence, in the first entry of a server that was asked. */
static enum atls_error begin_evidence(const struct atls_connection *connection,
                                      X509 *leaf, struct atls_reason *why,
                                      struct atls_pending **ret_pending)
{
    struct atls_instance *instance = connection->context->instance;
    uint8_t *der = NULL;
    int der_len;
    enum atls_error r;

    if (!connection->has_channel)
        return atls_fail(
            why, ATLS_E_NO_CHANNEL,
            "the handshake secret was not seen" ATLS_MORE
            ": does the program replace "
            "its keylog callback, or is its context older than attest?");
    der_len = i2d_X509(leaf, &der);
    if (der_len <= 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = atls_instance_begin(instance, ATLS_ROLE_SERVER,
                            connection->server_channel,
                            (struct atls_span){der, (size_t)der_len},
                            &connection->formats, why, ret_pending);
    OPENSSL_free(der);
    return r;
}

/* The handshake may pause and never come back, so nothing but the pending evidence is
 * held while it waits. */
static enum atls_error add_evidence(struct atls_connection *connection,
                                    const SSL *s, X509 *leaf, int *found_errno,
                                    struct atls_reason *why,
                                    const uint8_t **ret, size_t *ret_len)
{
    struct atls_pending *pending = NULL;
    uint8_t *cmw = NULL;
    size_t cmw_len = 0;
    enum atls_error r;

    r = begin_evidence(connection, leaf, why, &pending);
    if (r != ATLS_OK)
        return r;
    r = atls_async_wait(connection, s, pending, found_errno, why, &cmw,
                        &cmw_len);
    if (r != ATLS_OK)
        return r;
    r = wrap(cmw, cmw_len, why, ret, ret_len);
    OPENSSL_free(cmw);
    return r;
}

int atls_extension_add(SSL *s, unsigned context, X509 *x, size_t chain_index,
                       const uint8_t **ret_out, size_t *ret_len, int *al)
{
    struct atls_connection *connection;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = ATLS_OK;
    int saved_errno = errno;
    int sent;

    *ret_out = NULL;
    *ret_len = 0;
    ERR_set_mark();
    connection = atls_connection_of(s);
    if (connection == NULL)
        r = atls_fail(&why, ATLS_E_NOMEM, NULL);
    else if ((context & SSL_EXT_CLIENT_HELLO) != 0)
        r = add_request(connection, s, &why, ret_out, ret_len);
    else if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0 && chain_index == 0
             && SSL_is_server(s) && connection->is_requested && x != NULL)
        r = add_evidence(connection, s, x, &saved_errno, &why, ret_out,
                         ret_len);
    sent = finish(connection, s, r, &why, saved_errno, al, *ret_out != NULL);
    /* What our TPM, queue or configuration lacks is not the peer's fault. */
    if (sent < 0)
        *al = SSL_AD_INTERNAL_ERROR;
    return sent;
}

/* --- what we receive ---------------------------------------------------- */

/* ClientHello: is evidence requested that we can make? */
static enum atls_error parse_request(struct atls_connection *connection, SSL *s,
                                     const uint8_t *data, size_t len,
                                     struct atls_reason *why)
{
    struct atls_formats formats;
    enum atls_error r = atls_request_parse(data, len, why, &formats);

    /* The gate may not have seen this handshake begin. */
    atls_connection_begin(connection);
    if (r != ATLS_OK)
        return r;
    connection->is_requested =
        formats.count > 0
        && atls_instance_has_attester(connection->context->instance);
    if (!connection->is_requested)
        return ATLS_OK;
    connection->formats = formats;
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
    /* A certificate that was compressed before carries no evidence. */
    SSL_set_options(s, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
#else
    (void)s;
#endif
    return ATLS_OK;
}

/* Certificate: keep the octets; the gate appraises them at CertificateVerify. OpenSSL
 * also passes on an extension that was not requested: it is ignored. */
static enum atls_error keep_evidence(struct atls_connection *connection,
                                     const uint8_t *data, size_t len,
                                     size_t chain_index,
                                     struct atls_reason *why)
{
    size_t cmw_len;

    if (!connection->is_requested)
        return ATLS_OK;
    if (chain_index != 0)
        return atls_fail(
            why, ATLS_E_MISPLACED,
            "attestation evidence in certificate entry %zu; only the "
            "first may carry it",
            chain_index + 1);
    if (len < ATTESTATION_HEAD_LEN + 1)
        return atls_fail(
            why, ATLS_E_TRUNCATED,
            "the attestation extension has %zu octets; at least 3 are "
            "needed",
            len);
    cmw_len = (size_t)data[0] << 8 | data[1];
    if (cmw_len != len - ATTESTATION_HEAD_LEN)
        return atls_fail(
            why, ATLS_E_MALFORMED,
            "the attestation extension says %zu octets of evidence, and has "
            "%zu",
            cmw_len, len - ATTESTATION_HEAD_LEN);
    if (cmw_len > ATLS_CMW_MAX)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "the attestation extension has %zu octets of "
                         "evidence; at most %u are taken",
                         cmw_len, ATLS_CMW_MAX);
    atls_connection_forget_evidence(connection);
    connection->evidence = OPENSSL_memdup(data + ATTESTATION_HEAD_LEN, cmw_len);
    if (connection->evidence == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    connection->evidence_len = cmw_len;
    return ATLS_OK;
}

/* Under observe nothing is refused: evidence that cannot be kept is reported, and is
 * missing later. */
static enum atls_error take_evidence(struct atls_connection *connection,
                                     const uint8_t *data, size_t len,
                                     size_t chain_index,
                                     struct atls_reason *why)
{
    enum atls_error r = keep_evidence(connection, data, len, chain_index, why);

    if (r != ATLS_OK && connection->match.mode == ATLS_MODE_OBSERVE) {
        atls_connection_forget_evidence(connection);
        atls_refusal_report(connection, why);
        return ATLS_OK;
    }
    return r;
}

int atls_extension_parse(SSL *s, unsigned context, size_t chain_index,
                         const uint8_t *in, size_t in_len, int *al)
{
    struct atls_connection *connection;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = ATLS_OK;
    int saved_errno = errno;

    ERR_set_mark();
    connection = atls_connection_of(s);
    if (connection == NULL)
        r = atls_fail(&why, ATLS_E_NOMEM, NULL);
    else if ((context & SSL_EXT_CLIENT_HELLO) != 0)
        r = parse_request(connection, s, in, in_len, &why);
    else if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0 && !SSL_is_server(s))
        r = take_evidence(connection, in, in_len, chain_index, &why);
    return finish(connection, s, r, &why, saved_errno, al, 1);
}
