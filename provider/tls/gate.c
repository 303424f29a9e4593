/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/gate.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdbool.h>

#include "openssl_compat.h"
#include "tls/appraisal.h"
#include "tls/channel.h"
#include "tls/lock.h"
#include "tls/refusal.h"
#include "verifier/names.h"

static int is_required(const struct atls_match *match)
{
    return match->mode == ATLS_MODE_REQUIRE;
}

/* --- versions ----------------------------------------------------------- */

/* The highest version this program allows is below TLS 1.3. */
static int is_capped_below_tls13(SSL *s)
{
    long max = SSL_get_max_proto_version(s);

    /* In TLS_ST_BEFORE a version-flexible object stands at its highest. */
    return !atls_ssl_is_quic(s)
           && (SSL_version(s) < TLS1_3_VERSION
               || (max != 0 && max < TLS1_3_VERSION)
               || (SSL_get_options(s) & SSL_OP_NO_TLSv1_3) != 0);
}

/* With an external PSK there is no Certificate, and 0-RTT is possible. */
static void drop_psks(SSL *s)
{
    SSL_set_psk_use_session_callback(s, NULL);
#ifndef OPENSSL_NO_PSK
    SSL_set_psk_client_callback(s, NULL);
#endif
}

/* Can this connection carry evidence at all? */
static enum atls_error check_protocol(const struct atls_connection *connection,
                                      SSL *s, struct atls_reason *why)
{
    const char *peer = atls_connection_peer(connection);
    const char *section = atls_connection_section_name(connection);

    if (SSL_is_dtls(s))
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself (policy section %s), which DTLS cannot "
            "carry; use TLS 1.3",
            peer, section);
    if (is_capped_below_tls13(s))
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself, which needs TLS 1.3; this program allows "
            "less" ATLS_WHOLE
            "%s must prove itself (policy section %s), which needs TLS 1.3; "
            "this program allows less: raise its maximum version",
            peer, peer, section);
    return ATLS_OK;
}

/* A program that sends early data fails later, and OpenSSL gives it no reason. */
static void tell_of_early_data(const struct atls_connection *connection,
                               const SSL_SESSION *session)
{
    if (SSL_SESSION_get_max_early_data(session) > 0)
        atls_log_write(
            atls_instance_log(connection->context->instance), ATLS_LOG_INFO,
            "the session with %s is dropped, and early data are not sent: it "
            "must prove itself first (policy section %s)",
            atls_connection_peer(connection),
            atls_connection_section_name(connection));
}

/* Drop the session, so that a full handshake follows. Only in TLS_ST_BEFORE: later the
 * library holds a pointer to the session. */
static enum atls_error begin_client(const struct atls_connection *connection,
                                    SSL *s, struct atls_reason *why)
{
    const SSL_SESSION *session = SSL_get_session(s);

    if (session != NULL) {
        tell_of_early_data(connection, session);
        SSL_set_session(s, NULL);
    }
    drop_psks(s);
    return check_protocol(connection, s, why);
}

/* A version that is refused before it is offered needs no reason; a server's answer
 * with one does. */
static enum atls_error check_lower_version(struct atls_connection *connection,
                                           const SSL *s,
                                           struct atls_reason *why)
{
    if (SSL_get_state(s) == TLS_ST_CR_SRVR_HELLO
        && SSL_version(s) < TLS1_3_VERSION)
        return atls_fail(
            why, ATLS_E_VERSION,
            "%s must prove itself, which needs TLS 1.3; it chose %s" ATLS_WHOLE
            "%s must prove itself (policy section %s), which needs TLS 1.3; "
            "it chose %s",
            atls_connection_peer(connection), SSL_get_version(s),
            atls_connection_peer(connection),
            atls_connection_section_name(connection), SSL_get_version(s));
    return ATLS_E_VERSION;
}

/* A peer that must not be connected to at all is refused at the ClientHello. */
static enum atls_error check_version_of_client(
    struct atls_connection *connection, const SSL *s, int version,
    struct atls_reason *why)
{
    const struct atls_match *match = atls_connection_match(connection, s);

    if (!is_required(match))
        return ATLS_OK;
    if (SSL_get_state(s) == TLS_ST_BEFORE)
        return begin_client(connection, atls_connection_ssl(s), why);
    if (version < TLS1_3_VERSION)
        return check_lower_version(connection, s, why);
    return ATLS_OK;
}

/* A server is refused at the ClientHello, so that the peer gets an alert. A client
 * with a broken configuration is refused here, as the ClientHello's callback may belong
 * to another module: that is one way to be broken. */
static enum atls_error check_version(struct atls_connection *connection,
                                     const SSL *s, int version,
                                     struct atls_reason *why)
{
    if (SSL_get_state(s) == TLS_ST_BEFORE)
        atls_connection_begin(connection);
    if (SSL_is_server(s))
        return ATLS_OK;
    if (connection->broken.code != ATLS_OK)
        return atls_fail_as(why, &connection->broken);
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
        atls_connection_peer(connection),
        atls_connection_section_name(connection));
}

/* A server that refuses everything does so at the first operation of the ClientHello:
 * a server of a single version is not asked about versions. */
static enum atls_error check_server(const struct atls_connection *connection,
                                    struct atls_reason *why)
{
    if (connection->broken.code != ATLS_OK)
        return atls_fail_as(why, &connection->broken);
    return ATLS_OK;
}

/* --- the decision ------------------------------------------------------- */

static enum atls_error check(struct atls_connection *connection, const SSL *s,
                             int op, int nid, struct atls_reason *why)
{
    if (SSL_get_state(s) == TLS_ST_SR_CLNT_HELLO)
        return check_server(connection, why);
    switch (op) {
    case SSL_SECOP_VERSION:
        return check_version(connection, s, nid, why);
    case SSL_SECOP_CIPHER_CHECK:
        return check_resumption(connection, s, why);
    case SSL_SECOP_SIGALG_CHECK:
        if (SSL_is_server(s) || SSL_get_state(s) != TLS_ST_CR_CERT_VRFY)
            return ATLS_OK;
        return atls_appraisal_decide(connection, s, why);
    default:
        return ATLS_OK;
    }
}

/* Most operations do not concern evidence, and cost nothing more than this. */
static bool is_of_interest(const SSL *s, int op)
{
    const struct atls_connection *connection = atls_connection_find(s);

    if (connection == NULL)
        return true;
    if (SSL_is_server(s))
        return op == SSL_SECOP_VERSION || connection->broken.code != ATLS_OK;
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

int atls_gate(const SSL *s, int op, int nid)
{
    struct atls_connection *connection;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r;
    int saved_errno = errno;

    if (!is_of_interest(s, op))
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
        atls_refusal_raise(connection, s, &why);
        return 0;
    }
    return 1;
}

/* --- the ClientHello ------------------------------------------------------- */

static enum atls_error fail_nameless(const struct atls_connection *connection,
                                     struct atls_reason *why)
{
    if (connection->peer.count == 0)
        return atls_fail(why, ATLS_E_NAMELESS,
                         "the server has no name here and policy says nameless "
                         "= refuse" ATLS_MORE
                         " (no SNI, no host or address to verify); connect by "
                         "name");
    for (size_t i = 0; i < connection->peer.count; i++)
        if (atls_name_kind(connection->peer.names[i]) == ATLS_NAME_NONE)
            return atls_fail(
                why, ATLS_E_NAMELESS,
                "%s is no name of a server, and policy says nameless = refuse; "
                "have this program show its name",
                connection->peer.names[i]);
    return atls_fail(
        why, ATLS_E_NAMELESS,
        "no name of the server shows, only %s, and policy says nameless = "
        "refuse; have this program show the name (SNI; attest(7) says how for "
        "each), or list the address in a section",
        atls_connection_peer(connection));
}

static enum atls_error check_peer_is_named(
    const struct atls_connection *connection, const struct atls_match *match,
    struct atls_reason *why)
{
    switch (match->refusal) {
    case ATLS_OK:
        return ATLS_OK;
    case ATLS_E_NAMELESS:
        return fail_nameless(connection, why);
    case ATLS_E_UNNAMED:
        return atls_fail(
            why, ATLS_E_UNNAMED,
            "no policy section names %s and otherwise = require; name it "
            "in a section listed under servers",
            atls_connection_peer(connection));
    default:
        break;
    }
    if (connection->peer.is_cut)
        return atls_fail(
            why, match->refusal,
            "%s goes by more than %u names, or by one of more than "
            "%u octets; let it have fewer",
            atls_connection_peer(connection), ATLS_PEER_NAMES_MAX,
            ATLS_PEER_NAME_MAX - 1);
    return atls_fail(why, match->refusal,
                     "%s goes by names of more than %u policy sections; let it "
                     "have fewer",
                     atls_connection_peer(connection), ATLS_MATCH_MAX);
}

static bool asks_boot_log(const struct atls_match *match)
{
    for (size_t i = 0; i < match->count; i++) {
        if (match->sections[i]->asks_boot_log)
            return true;
    }
    return false;
}

/* What must be in place before a ClientHello leaves whose server is required. */
static enum atls_error secure_client(struct atls_connection *connection, SSL *s,
                                     struct atls_reason *why)
{
    const SSL_SESSION *session = SSL_get_session(s);
    enum atls_error r;

    drop_psks(s);
    if (session != NULL && SSL_SESSION_get_max_early_data(session) > 0)
        return atls_fail(
            why, ATLS_E_EARLY_DATA,
            "this program would send early data before %s has proven "
            "itself" ATLS_MORE " (policy section %s)",
            atls_connection_peer(connection),
            atls_connection_section_name(connection));
    r = check_protocol(connection, s, why);
    if (r != ATLS_OK)
        return r;
    r = atls_ssl_is_quic(s) ? ATLS_OK : atls_lock_put(connection, s);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}

enum atls_error atls_gate_client_hello(struct atls_connection *connection,
                                       SSL *s, struct atls_reason *why)
{
    const struct atls_match *match = atls_connection_begin_hello(connection, s);
    enum atls_error r;

    if (connection->broken.code != ATLS_OK)
        return atls_fail_as(why, &connection->broken);
    r = check_peer_is_named(connection, match, why);
    if (r != ATLS_OK)
        return r;
    if (!is_required(match))
        atls_lock_forget(connection);
    if (match->mode == ATLS_MODE_OFF)
        return ATLS_OK;
    connection->is_requested = true;
    connection->formats = atls_request_formats(asks_boot_log(match));
    return is_required(match) ? secure_client(connection, s, why) : ATLS_OK;
}
