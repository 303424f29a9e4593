/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_ASYNC_H
#define ATLS_TLS_ASYNC_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/attester.h"
#include "base/error.h"
#include "tls/state.h"

/*
 * Handshakes of programs with SSL_MODE_ASYNC (HAProxy's ssl-mode-async,
 * `openssl s_server -async`) run in an ASYNC job, which can pause: the program
 * gets SSL_ERROR_WANT_ASYNC and a wait descriptor, serves others, and goes on
 * when that is readable. All other handshakes block.
 *
 * A wait context (one for each SSL) has one wait descriptor of ours, an epoll(7)
 * instance. It is registered right before the first pause, stays the same for all
 * handshakes of that SSL and is closed by its cleanup function, so by SSL_free() alone.
 * HAProxy keeps its number in a table and ends itself when it finds another file there,
 * or a descriptor that no pause has shown it.
 *
 *   descriptors of one handshake  paused                   later, until SSL_free
 *   ----------------------------  -----------------------  ---------------------
 *   quoter = tcti:                2: epoll, timer          1: epoll
 *   quoter = unix:                3: epoll, timer, socket  1: epoll
 *
 * What a paused handshake waits for belongs to the wait context, not to the job:
 * a program may free an SSL whose job never runs again.
 *
 *   event while a job is paused        what becomes of it
 *   ---------------------------------  ------------------------------------------
 *   resumed, evidence there or late    the handshake goes on, or is refused
 *   resumed for another reason         pauses again
 *   SSL_clear()                        refused when it is resumed
 *   SSL_free(), OpenSSL before 3.2     resumed once more, to end: see below
 *   SSL_free(), later versions         what is ours is freed; OpenSSL loses the job
 *   fork()                             goes on in the parent, refused in the child
 */

/*
 * Wait for evidence: paused where there is a job with a wait context and its
 * pauses work, blocking elsewhere. Called within the mark that the caller has set on
 * the error queue. During a pause the program has the queue without the mark, and errno
 * as it was found; both are set again after it.
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
 * OpenSSL cannot free a paused job, 36 KiB of memory; it expects programs to run it
 * to its end. Those that do not (HAProxy and s_server, when a client vanishes) would
 * leak it, and clients could make them do so at will.
 *
 * Before OpenSSL 3.2 SSL_free() frees ex_data first. So a paused job is resumed at
 * that moment with the handshake refused, which makes it unwind and end:
 *   - SSL, BIOs and context are still whole, but for the verify parameters, which
 *     that path does not use;
 *   - SSL_SENT_SHUTDOWN keeps it from sending an alert;
 *   - the one callback of the program on that path is the info callback, as it
 *     was when the handshake function was entered. What it uses may be gone
 *     (HAProxy's is). So an SSL of a context with SSL_MODE_ASYNC and attest gets
 *     an info callback of ours, which calls the context's at all other times.
 * Only the thread that began a job may resume it (ASYNC_start_job(3)): where
 * another thread frees the SSL, the job is lost. From 3.2 on ex_data are freed last,
 * and SSL_new() makes them before the SSL has its context: neither function does
 * anything there.
 */

/* SSL_new() has made this one. */
void atls_async_prepare(SSL *s);

/* SSL_free() begins. Keeps error queue and errno. */
void atls_async_release(struct atls_connection *connection, SSL *s);

#endif
