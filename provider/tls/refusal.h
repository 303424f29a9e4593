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
 * Write the log's line about a refused handshake. While the agent or the TPM is out,
 * every handshake is refused: of each kind (code) the process writes one line a second,
 * with the number of lines that it left out.
 *   log  may be NULL
 * Keeps errno. Thread-safe, also in forked children.
 */
void atls_refusal_log(struct atls_log *log, const struct atls_reason *why);

/* Log and report why a server is refused, or under observe would be. Once a handshake:
 * nothing happens where an appraisal has done so. */
void atls_refusal_report(struct atls_connection *connection,
                         const struct atls_reason *why);

/*
 * Refuse: put the reason on the error queue, into the log and, for a client, into the
 * report. Once a handshake: nothing happens where a reason was given before, or where
 * why has none (code ATLS_OK).
 */
void atls_refusal_raise(struct atls_connection *connection, const SSL *s,
                        const struct atls_reason *why);

/* Refuse a client that would send data without a verdict, and that nothing has refused
 * before: the program has replaced the gate. */
void atls_refusal_without_verdict(struct atls_connection *connection,
                                  const SSL *s);

/* The info callback: raises the reason once more when the alert leaves or the handshake
 * ends, and explains alerts of a peer that owes evidence. Calls the program's own, too.
 * Keeps errno. */
void atls_refusal_info(const SSL *s, int type, int value);

/* See that it is in force on this SSL, chained to the program's. */
void atls_refusal_watch(struct atls_connection *connection, SSL *s);

#endif
