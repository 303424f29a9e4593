/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_REFUSAL_H
#define ATLS_TLS_REFUSAL_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "base/log.h"
#include "tls/state.h"

/*
 * How a refusal reaches people: OpenSSL's error queue, log and report.
 *
 * Programs show the first error of the queue or the last, and OpenSSL adds one of
 * its own after a callback that refused. So a reason is raised twice: at the
 * refusal, and once more by an info callback when the handshake ends.
 */

/*
 * The administrator's line about a handshake that was refused. While the agent or
 * the TPM is out, each one is: of one kind (code) the process writes one line a
 * second, with the number of those it left out.
 *   log  may be NULL
 * Keeps errno. Thread-safe, also in forked children.
 */
void atls_refusal_log(struct atls_log *log, const struct atls_reason *why);

/* Log and report why a server is, or under observe would be, refused, when no
 * appraisal has done so: once a handshake. */
void atls_refusal_report(struct atls_connection *connection,
                         const struct atls_reason *why);

/*
 * Refuse: put the reason on the error queue, into the log and, of a client, into the
 * report. Once a handshake: nothing happens where a reason was given before, or
 * where why has none (code ATLS_OK).
 */
void atls_refusal_raise(struct atls_connection *connection, const SSL *s,
                        const struct atls_reason *why);

/* A client would send data although nothing has refused: the program has replaced
 * the gate. */
void atls_refusal_without_verdict(struct atls_connection *connection,
                                  const SSL *s);

/* The info callback. Passes all on to the program's own. */
void atls_refusal_info(const SSL *s, int type, int value);

/* See that it is in force on this object, chained to the program's. */
void atls_refusal_watch(struct atls_connection *connection, SSL *s);

#endif
