/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_ASYNC_H
#define ATLS_TLS_ASYNC_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/attester.h"
#include "base/error.h"
#include "tls/connection.h"

/*
 * Handshakes of programs with SSL_MODE_ASYNC (HAProxy's ssl-mode-async,
 * `openssl s_server -async`) run in an ASYNC job, which can pause: the program
 * gets SSL_ERROR_WANT_ASYNC and a wait descriptor, serves others, and goes on
 * when that is readable. All other handshakes wait where they are.
 *
 * A wait context (one for each SSL) has one wait descriptor of ours, an epoll(7)
 * instance. It is made at the first pause, stays the same for all handshakes of
 * that SSL and is closed by its cleanup function, so by SSL_free() alone: HAProxy
 * keeps its number in a table and ends itself when it finds another file there, or a
 * descriptor that it was not told of: it is registered right before the first pause.
 *
 *   descriptors of one handshake  parked                   later, until SSL_free
 *   ----------------------------  -----------------------  ---------------------
 *   quoter = tcti:                2: epoll, timer          1: epoll
 *   quoter = unix:                3: epoll, timer, socket  1: epoll
 *
 * What a parked handshake waits for belongs to the wait context, not to the job:
 * a program may free an SSL whose job never runs again.
 *
 *   event while a job is parked        what becomes of it
 *   ---------------------------------  ------------------------------------------
 *   resumed, evidence there or late    the handshake goes on, or is refused
 *   resumed for another reason         pauses again
 *   SSL_clear()                        refused when it is resumed
 *   SSL_free(), OpenSSL before 3.2     resumed once more, to end: see below
 *   SSL_free() elsewise                what is ours is freed; OpenSSL loses the job
 *   fork()                             goes on in the parent, refused in the child
 */

/*
 * Wait for evidence: parked where there is a job with a wait context and its
 * pauses work, blocking elsewhere. Called by an extension's callback within its
 * mark on the error queue. A pause gives the queue back to the program, without
 * the mark and with errno as found, and takes both again.
 *   pending      freed in every case
 *   found_errno  in: errno as the callback found it; out: as of the last pause
 *   ret_cmw      set only on success; OPENSSL_free() it
 * Errors as of atls_pending_watch() (no descriptors) and atls_pending_wait();
 * ATLS_E_UNEXPECTED when the program cleared or is freeing the SSL.
 * Source: ASYNC_start_job(3), ASYNC_WAIT_CTX_new(3).
 */
enum atls_error atls_async_wait(struct atls_connection *connection,
                                const SSL *s, struct atls_pending *pending,
                                int *found_errno, struct atls_reason *why,
                                uint8_t **ret_cmw,
                                size_t *ret_len) ATLS_MUST_CHECK;

/*
 * OpenSSL has no way to let go of a paused job, 36 KiB of memory; it expects
 * programs to run it to its end. Those that do not (HAProxy and s_server, when a
 * client vanishes) would lose it, and clients could do that to them at will.
 *
 * Before OpenSSL 3.2 ex_data are what SSL_free() frees first. So a parked job is
 * resumed there with the handshake refused, which makes it unwind and end:
 *   - SSL, BIOs and context are whole yet, but for the verify parameters, which
 *     that path does not use;
 *   - SSL_SENT_SHUTDOWN keeps it from sending an alert;
 *   - the one callback of the program on that path is the info callback, as it
 *     was when the handshake function was entered. What it stands on may be gone
 *     (HAProxy's is). So an SSL of a context with SSL_MODE_ASYNC and attest gets
 *     one of ours, which passes on what comes to the context's, but for this.
 * Only the thread that began a job may resume it (ASYNC_start_job(3)): where
 * another one frees the SSL the job is lost. From 3.2 ex_data are freed last, and
 * SSL_new() makes them before the SSL has its context: there neither function
 * does anything.
 */

/* SSL_new() has just made this one. */
void atls_async_prepare(SSL *s);

/* SSL_free() begins. */
void atls_async_release(struct atls_connection *connection, SSL *s);

#endif
