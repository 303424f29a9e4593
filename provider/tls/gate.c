/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/gate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "raise.h"
#include "tls/channel.h"
#include "tls/context.h"

/* Whom this thread is asking others about: a program's callback may have wrapped
 * ours and call it back (S24). */
static _Thread_local const void *asking;

static const char *section_name(const struct atls_match *match)
{
    return match->count > 0 ? match->sections[0]->name : "policy";
}

static int is_required(const struct atls_match *match)
{
    return match->mode == ATLS_MODE_REQUIRE;
}

/* --- versions ----------------------------------------------------------- */

/* QUIC (from OpenSSL 3.2) is TLS 1.3 inside, and has version numbers of its own. */
static int is_quic(const SSL *s)
{
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    return SSL_is_quic(s);
#else
    (void)s;
    return 0;
#endif
}

/* The highest version this program allows is below TLS 1.3. */
static int is_capped_below_tls13(SSL *s)
{
    long max = SSL_get_max_proto_version(s);

    /* In TLS_ST_BEFORE a version-flexible object stands at its highest. */
    return !is_quic(s)
           && (SSL_version(s) < TLS1_3_VERSION
               || (max != 0 && max < TLS1_3_VERSION)
               || (SSL_get_options(s) & SSL_OP_NO_TLSv1_3) != 0);
}

/* External PSKs come without a Certificate, and with 0-RTT. */
static void drop_psks(SSL *s)
{
    SSL_set_psk_use_session_callback(s, NULL);
#ifndef OPENSSL_NO_PSK
    SSL_set_psk_client_callback(s, NULL);
#endif
}

/* Can this connection carry evidence at all? */
static enum atls_error check_protocol(const struct atls_connection *connection,
                                      SSL *s, const struct atls_match *match,
                                      struct atls_reason *why)
{
    if (SSL_is_dtls(s))
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself (policy section %s), which DTLS cannot "
            "carry; use TLS 1.3",
            atls_peer_display(&connection->peer), section_name(match));
    if (is_capped_below_tls13(s))
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself (policy section %s), which needs TLS 1.3; "
            "this program allows less: raise its maximum version",
            atls_peer_display(&connection->peer), section_name(match));
    return ATLS_OK;
}

/* A program that sends early data fails then, and OpenSSL gives it no reason. */
static void tell_of_early_data(const struct atls_connection *connection,
                               const SSL_SESSION *session,
                               const struct atls_match *match)
{
    if (SSL_SESSION_get_max_early_data(session) > 0)
        atls_log_write(
            atls_engine_log(atls_context_engine(connection->context)),
            ATLS_LOG_INFO,
            "the session with %s is dropped, and early data are not sent: it "
            "must prove itself first (policy section %s)",
            atls_peer_display(&connection->peer), section_name(match));
}

/* A full handshake follows where the session is dropped. Only in TLS_ST_BEFORE:
 * later the library holds a pointer to the session. */
static enum atls_error begin_client(const struct atls_connection *connection,
                                    SSL *s, const struct atls_match *match,
                                    struct atls_reason *why)
{
    const SSL_SESSION *session = SSL_get_session(s);

    if (session != NULL) {
        tell_of_early_data(connection, session, match);
        SSL_set_session(s, NULL);
    }
    drop_psks(s);
    return check_protocol(connection, s, match, why);
}

/* Versions that are refused before they are offered need no words; a server's
 * answer with one does. */
static enum atls_error check_lower_version(struct atls_connection *connection,
                                           const SSL *s,
                                           const struct atls_match *match,
                                           struct atls_reason *why)
{
    if (SSL_get_state(s) == TLS_ST_CR_SRVR_HELLO
        && SSL_version(s) < TLS1_3_VERSION)
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself (policy section %s), which needs TLS 1.3; "
            "it chose %s",
            atls_peer_display(&connection->peer), section_name(match),
            SSL_get_version(s));
    return ATLS_E_VERSION;
}

/* Who must not be connected to at all is refused in the ClientHello. */
static enum atls_error check_version_of_client(
    struct atls_connection *connection, const SSL *s, int version,
    struct atls_reason *why)
{
    const struct atls_match *match = atls_connection_match(connection, s);

    if (!is_required(match))
        return ATLS_OK;
    if (SSL_get_state(s) == TLS_ST_BEFORE)
        return begin_client(connection, atls_connection_ssl(s), match, why);
    if (version < TLS1_3_VERSION)
        return check_lower_version(connection, s, match, why);
    return ATLS_OK;
}

/* Who is a server, or may yet become a client, is refused at the ClientHello, so
 * that the peer gets an alert. A client is refused here, as the ClientHello's
 * callback may be somebody else's: that is one way to be broken. */
static enum atls_error check_version(struct atls_connection *connection,
                                     const SSL *s, int version,
                                     struct atls_reason *why)
{
    const struct atls_reason *broken = atls_context_broken(connection->context);

    if (SSL_get_state(s) == TLS_ST_BEFORE)
        atls_connection_reset(connection);
    if (SSL_is_server(s))
        return ATLS_OK;
    if (broken->code != ATLS_OK)
        return atls_fail_as(why, broken);
    return check_version_of_client(connection, s, version, why);
}

/* --- resumption --------------------------------------------------------- */

static enum atls_error check_resumption(struct atls_connection *connection,
                                        const SSL *s, struct atls_reason *why)
{
    const struct atls_match *match;

    if (SSL_is_server(s) || !SSL_session_reused(s))
        return ATLS_OK;
    match = atls_connection_match(connection, s);
    if (!is_required(match))
        return ATLS_OK;
    return atls_fail(
        why, ATLS_E_RESUMED,
        "%s resumed a session, which proves nothing about the machine "
        "now; policy section %s demands fresh evidence",
        atls_peer_display(&connection->peer), section_name(match));
}

/* --- appraisal ---------------------------------------------------------- */

static enum atls_error check_evidence_is_there(
    const struct atls_connection *connection, const struct atls_match *match,
    struct atls_reason *why)
{
    if (connection->evidence == NULL)
        return atls_fail(
            why, ATLS_E_NO_EVIDENCE,
            "%s sent no attestation evidence, which policy section %s "
            "requires; is attest active there? (attest check)",
            atls_peer_display(&connection->peer), section_name(match));
    if (!connection->has_channel)
        return atls_fail(
            why, ATLS_E_NO_CHANNEL,
            "the handshake secret was not seen" ATLS_MORE
            ": does this program replace "
            "its keylog callback, or is its context older than attest?");
    return ATLS_OK;
}

/* One section; every section that matched must be satisfied. */
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
    struct atls_report report;
    enum atls_error r = atls_appraise(&appraisal, &report);

    atls_engine_report(atls_context_engine(connection->context), &report,
                       atls_peer_display(&connection->peer), section);
    connection->is_reported = true;
    *why = report.reason;
    atls_report_clear(&report);
    return r;
}

static enum atls_error appraise(struct atls_connection *connection,
                                const struct atls_match *match, const SSL *s,
                                struct atls_reason *why)
{
    X509 *leaf = SSL_get0_peer_certificate(s);
    enum atls_error r = check_evidence_is_there(connection, match, why);
    uint8_t *der = NULL;
    int der_len;

    if (r != ATLS_OK)
        return r;
    /* A raw public key instead of a certificate, or no memory. */
    der_len = i2d_X509(leaf, &der);
    if (der_len <= 0)
        return atls_fail(why, ATLS_E_NO_CERTIFICATE,
                         "%s showed no certificate that evidence could be "
                         "bound to",
                         atls_peer_display(&connection->peer));
    /* Refusal, unless a section says otherwise. */
    r = atls_fail(why, ATLS_E_UNNAMED,
                  "no policy section names %s: nothing to compare "
                  "its evidence with",
                  atls_peer_display(&connection->peer));
    for (size_t i = 0; i < match->count; i++) {
        r = appraise_by(connection, match->sections[i],
                        (struct atls_span){der, (size_t)der_len}, why);
        if (r != ATLS_OK)
            break;
    }
    OPENSSL_free(der);
    return r;
}

/* Log and report a refusal that was not an appraisal's. */
void atls_gate_report(struct atls_connection *connection,
                      const struct atls_reason *why)
{
    const struct atls_report report = {.verdict = why->code, .reason = *why};
    const struct atls_match *match = &connection->match;

    if (connection->is_reported)
        return;
    connection->is_reported = true;
    atls_engine_report(
        atls_context_engine(connection->context), &report,
        atls_peer_display(&connection->peer),
        connection->is_matched && match->count > 0 ? match->sections[0] : NULL);
}

static enum atls_error check_evidence(struct atls_connection *connection,
                                      const SSL *s, struct atls_reason *why)
{
    const struct atls_match *match;
    enum atls_error r;

    if (SSL_is_server(s) || SSL_get_state(s) != TLS_ST_CR_CERT_VRFY)
        return ATLS_OK;
    match = atls_connection_match(connection, s);
    if (match->mode == ATLS_MODE_OFF)
        return ATLS_OK;
    r = appraise(connection, match, s, why);
    atls_connection_forget_evidence(connection);
    if (match->mode == ATLS_MODE_OBSERVE) {
        if (r != ATLS_OK)
            atls_gate_report(connection, why);
        return ATLS_OK;
    }
    return r;
}

/* A server that refuses everything does so at the ClientHello, whatever it is
 * asked there: one of a single version is asked about none. */
static enum atls_error check_server(const struct atls_connection *connection,
                                    struct atls_reason *why)
{
    const struct atls_reason *broken = atls_context_broken(connection->context);

    if (broken->code != ATLS_OK)
        return atls_fail_as(why, broken);
    return ATLS_OK;
}

/* --- the callback ------------------------------------------------------- */

static enum atls_error check(struct atls_connection *connection, const SSL *s,
                             int op, int nid, struct atls_reason *why)
{
    /* Another context's keylog callback may be in force by now (S26). */
    if (connection->is_requested && !connection->has_channel)
        atls_context_arm_keylog(SSL_get_SSL_CTX(s));
    if (SSL_get_state(s) == TLS_ST_SR_CLNT_HELLO)
        return check_server(connection, why);
    switch (op) {
    case SSL_SECOP_VERSION:
        return check_version(connection, s, nid, why);
    case SSL_SECOP_CIPHER_CHECK:
        return check_resumption(connection, s, why);
    case SSL_SECOP_SIGALG_CHECK:
        return check_evidence(connection, s, why);
    default:
        return ATLS_OK;
    }
}

/* Ask whoever was there before us: the program's callback on this object, else
 * OpenSSL's own; inside a program's callback that wraps ours, always the latter.
 */
static int ask_others(const SSL *s, const SSL_CTX *ctx, int op, int bits,
                      int nid, void *other, void *ex)
{
    const struct atls_connection *connection =
        s != NULL ? atls_connection_find(s) : NULL;
    const struct atls_context *context =
        connection != NULL
            ? connection->context
            : atls_context_of(s != NULL ? SSL_get_SSL_CTX(s) : ctx);
    const void *outer = asking;
    const void *about = s != NULL ? (const void *)s : (const void *)ctx;
    atls_security_callback *callback;
    int ok;

    if (context == NULL)
        return 0;
    callback = atls_context_base_security(context);
    if (outer != about && connection != NULL
        && connection->program_security != NULL)
        callback = connection->program_security;
    asking = about;
    ok = callback(s, ctx, op, bits, nid, other, ex);
    asking = outer;
    return ok;
}

/* Most of what OpenSSL asks about says nothing of evidence: left at once. */
static bool is_of_interest(const SSL *s, int op)
{
    const struct atls_connection *connection = atls_connection_find(s);

    if (connection == NULL
        || (connection->is_requested && !connection->has_channel))
        return true;
    if (SSL_is_server(s))
        return op == SSL_SECOP_VERSION
               || atls_context_broken(connection->context)->code != ATLS_OK;
    switch (op) {
    case SSL_SECOP_VERSION:
        return true;
    case SSL_SECOP_CIPHER_CHECK:
        return SSL_session_reused(s);
    case SSL_SECOP_SIGALG_CHECK:
        return SSL_get_state(s) == TLS_ST_CR_CERT_VRFY;
    default:
        return false;
    }
}

/* OpenSSL asks about many versions in a row; reasons without words are for
 * versions that are merely not offered. */
void atls_gate_raise(struct atls_connection *connection,
                     const struct atls_reason *why)
{
    if (why->code == ATLS_OK || connection->is_raised)
        return;
    connection->is_raised = true;
    atls_gate_report(connection, why);
    atls_raise(why);
}

int atls_gate(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
              void *other, void *ex)
{
    struct atls_connection *connection;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r;
    int saved_errno = errno;

    if (!ask_others(s, ctx, op, bits, nid, other, ex))
        return 0;
    if (s == NULL || asking == s || !is_of_interest(s, op))
        return 1;
    ERR_set_mark();
    connection = atls_connection_of(s);
    if (connection == NULL) {
        ERR_pop_to_mark();
        return 0;
    }
    r = check(connection, s, op, nid, &why);
    ERR_pop_to_mark();
    errno = saved_errno;
    if (r != ATLS_OK) {
        atls_gate_raise(connection, &why);
        return 0;
    }
    return 1;
}

void atls_gate_arm(struct atls_connection *connection, SSL *s)
{
    atls_security_callback *found = SSL_get_security_callback(s);

    if (found != atls_gate) {
        connection->program_security = found;
        SSL_set_security_callback(s, atls_gate);
    }
    atls_context_arm_keylog(SSL_get_SSL_CTX(s));
}

static enum atls_error check_peer_is_named(
    const struct atls_connection *connection, const struct atls_match *match,
    struct atls_reason *why)
{
    switch (match->refusal) {
    case ATLS_OK:
        return ATLS_OK;
    case ATLS_E_NAMELESS:
        return atls_fail(why, ATLS_E_NAMELESS,
                         "the server has no name here and policy says nameless "
                         "= refuse" ATLS_MORE
                         " (no SNI, no host or address to verify); connect by "
                         "name");
    case ATLS_E_UNNAMED:
        return atls_fail(
            why, ATLS_E_UNNAMED,
            "no policy section names %s and otherwise = require; name it "
            "in a section listed under servers",
            atls_peer_display(&connection->peer));
    default:
        return atls_fail(why, match->refusal,
                         "%s goes by more than %u names" ATLS_MORE ", or by "
                         "names of more than %u policy sections; let it have "
                         "fewer",
                         atls_peer_display(&connection->peer),
                         ATLS_PEER_NAMES_MAX, ATLS_MATCH_MAX);
    }
}

static bool asks_boot_log(const struct atls_match *match)
{
    for (size_t i = 0; i < match->count; i++) {
        if (match->sections[i]->asks_boot_log)
            return true;
    }
    return false;
}

enum atls_error atls_gate_client_hello(struct atls_connection *connection,
                                       SSL *s, struct atls_reason *why)
{
    const struct atls_reason *broken = atls_context_broken(connection->context);
    const struct atls_match *match = atls_connection_begin_hello(connection, s);
    const SSL_SESSION *session = SSL_get_session(s);
    enum atls_error r;

    if (broken->code != ATLS_OK)
        return atls_fail_as(why, broken);
    r = check_peer_is_named(connection, match, why);
    if (r != ATLS_OK)
        return r;
    if (match->mode == ATLS_MODE_OFF)
        return ATLS_OK;
    connection->is_requested = true;
    connection->formats = atls_request_formats(asks_boot_log(match));
    atls_gate_arm(connection, s);
    if (!is_required(match))
        return ATLS_OK;
    drop_psks(s);
    if (session != NULL && SSL_SESSION_get_max_early_data(session) > 0)
        return atls_fail(
            why, ATLS_E_EARLY_DATA,
            "this program would send early data before %s has proven "
            "itself" ATLS_MORE " (policy section %s)",
            atls_peer_display(&connection->peer), section_name(match));
    return check_protocol(connection, s, match, why);
}
