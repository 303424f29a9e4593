/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/refusal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "base/ratelimit.h"
#include "raise.h"

static struct atls_ratelimit paces[ATLS_E_COUNT]; /* by code */

void atls_refusal_log(struct atls_log *log, const struct atls_reason *why)
{
    char more[ATLS_RATELIMIT_MORE_SIZE];

    if (atls_ratelimit_turn(&paces[why->code], more))
        atls_log_write(log, ATLS_LOG_ERROR, "handshake refused: %s%s",
                       why->text, more);
}

void atls_refusal_report(struct atls_connection *connection,
                         const struct atls_reason *why)
{
    /* On the heap: a fibre of an ASYNC job has a stack of 32 KiB. */
    struct atls_report *report = OPENSSL_zalloc(sizeof(*report));

    if (connection->is_reported || report == NULL) {
        OPENSSL_free(report);
        return;
    }
    connection->is_reported = true;
    report->verdict = why->code;
    report->reason = *why;
    report->is_observed = connection->match.mode == ATLS_MODE_OBSERVE;
    atls_instance_report(connection->context->instance, report,
                         atls_connection_peer(connection),
                         atls_connection_found_by(connection),
                         atls_connection_section(connection));
    OPENSSL_free(report);
}

/* A broken configuration refuses before the peer has been looked up. */
static void report_client(struct atls_connection *connection, const SSL *s,
                          const struct atls_reason *why)
{
    if (!connection->is_matched)
        atls_peer_collect(s, &connection->peer);
    atls_refusal_report(connection, why);
}

void atls_refusal_raise(struct atls_connection *connection, const SSL *s,
                        const struct atls_reason *why)
{
    if (why->code == ATLS_OK || connection->refusal.code != ATLS_OK)
        return;
    connection->refusal = *why;
    if (SSL_is_server(s))
        atls_refusal_log(atls_instance_log(connection->context->instance), why);
    else
        report_client(connection, s, why);
    atls_raise(why);
    atls_refusal_watch(connection, atls_connection_ssl(s));
}

void atls_refusal_without_verdict(struct atls_connection *connection,
                                  const SSL *s)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_NO_VERDICT,
                    "%s was not appraised, so nothing is sent to it" ATLS_MORE
                    " (policy section %s): this program has replaced attest's "
                    "security callback in mid-handshake",
                    atls_connection_peer(connection),
                    atls_connection_section_name(connection));
    atls_refusal_raise(connection, s, &why);
}

/* --- alerts of a peer --------------------------------------------------------- */

/* A server that owes evidence has ended the handshake. */
static void explain_alert(struct atls_connection *connection, const SSL *s,
                          int value)
{
    const char *section = atls_connection_section_name(connection);
    const char *peer = atls_connection_peer(connection);
    struct atls_reason why;

    if ((value & 0xff) == SSL_AD_PROTOCOL_VERSION)
        (void)atls_fail(
            &why, ATLS_E_VERSION,
            "%s must prove itself, which needs TLS 1.3; it sent "
            "alert protocol version" ATLS_WHOLE
            "%s must prove itself (policy section %s), which needs "
            "TLS 1.3; it sent the alert protocol version: it speaks "
            "less, or refuses everybody (see its own log)",
            peer, peer, section);
    else
        (void)atls_fail(&why, ATLS_E_NO_EVIDENCE,
                        "%s gave no evidence: alert %s" ATLS_WHOLE
                        "%s ended the handshake (alert %s) before it had "
                        "proven itself, which policy section %s requires; see "
                        "its own log",
                        peer, SSL_alert_desc_string_long(value), peer,
                        SSL_alert_desc_string_long(value), section);
    atls_refusal_raise(connection, s, &why);
}

static bool owes_evidence(const struct atls_connection *connection,
                          const SSL *s)
{
    return !SSL_is_server(s) && connection->is_requested
           && connection->match.mode == ATLS_MODE_REQUIRE
           && !connection->has_verdict;
}

/* --- the info callback ------------------------------------------------------- */

/* Unless ours is the last, as when the handshake only waits to read or write. */
static void raise_again(const struct atls_connection *connection)
{
    if (connection->refusal.code != ATLS_OK
        && !atls_raise_is_last(&connection->refusal))
        atls_raise(&connection->refusal);
}

static void watch(struct atls_connection *connection, const SSL *s, int type,
                  int value)
{
    const bool is_alert = (type & SSL_CB_ALERT) != 0;
    const bool is_fatal = value >> 8 == SSL3_AL_FATAL;
    int saved_errno = errno;

    if (is_alert && (type & SSL_CB_READ) != 0 && is_fatal
        && owes_evidence(connection, s))
        explain_alert(connection, s, value);
    else if ((is_alert && (type & SSL_CB_WRITE) != 0 && is_fatal)
             || ((type & SSL_CB_EXIT) != 0 && value <= 0))
        raise_again(connection);
    errno = saved_errno;
}

/* The program's callback, which OpenSSL would call without ours; or NULL. */
static atls_info_callback *programs_callback(
    const struct atls_connection *connection, const SSL *s)
{
    atls_info_callback *of_context;

    /* Ours is called as the context's, and stands in for none of this SSL. */
    if (SSL_get_info_callback(s) != atls_refusal_info)
        return NULL;
    if (connection != NULL && connection->program_info != NULL)
        return connection->program_info;
    of_context = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(s));
    return of_context != atls_refusal_info ? of_context : NULL;
}

/* While a connection is being freed the program's callback is not called: what it uses
 * may be gone (async.h). */
void atls_refusal_info(const SSL *s, int type, int value)
{
    struct atls_connection *connection = atls_connection_find(s);
    atls_info_callback *program = programs_callback(connection, s);

    if (connection == NULL && program != NULL)
        connection = atls_connection_of(s);
    if (connection == NULL || connection->is_being_freed)
        return;
    if (program != NULL && !connection->is_informing) {
        connection->is_informing = true;
        program(s, type, value);
        connection->is_informing = false;
    }
    watch(connection, s, type, value);
}

void atls_refusal_watch(struct atls_connection *connection, SSL *s)
{
    atls_info_callback *found = SSL_get_info_callback(s);

    if (found == atls_refusal_info)
        return;
    connection->program_info = found;
    SSL_set_info_callback(s, atls_refusal_info);
}
