/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_LOCK_H
#define ATLS_TLS_LOCK_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "tls/state.h"

/*
 * The lock: a callback on the BIO that a client writes to, which lets nothing of its
 * Finished flight leave without a verdict (design, fact 25). The gate decides. The
 * lock depends on no callback of SSL objects, so it holds where a program has replaced
 * all of ours. Without Finished the server accepts no application data, and the client
 * reads none.
 *
 *   state of the handshake                       without a verdict
 *   -------------------------------------------  ---------------------------------
 *   ClientHello, alerts before the last flight   pass
 *   Certificate, CertificateVerify, Finished,    refused, with a reason of the lock's
 *   EndOfEarlyData, data                         own unless the gate has given one
 *
 * The SSL keeps the program's own BIO, which the program may set once more:
 * SSL_set_bio(3) counts references by the BIO that it finds. A callback that was on
 * this BIO is called by ours. A program that gives the SSL another BIO, or the BIO
 * another callback, in mid-handshake takes the lock off. It is put on again with each
 * line of the key log, the last of them when the server's Finished has come; and the
 * gate remains. QUIC objects have no such BIO.
 */
struct atls_lock;

/* Make the ex_data index of BIO, once. Thread-safe. Returns 1, or 0 when out of
 * memory. */
int atls_lock_init(void);

/*
 * Put it on the BIO that the connection writes to, unless it is there.
 * Returns ATLS_OK (also without a BIO), or ATLS_E_NOMEM.
 */
enum atls_error atls_lock_put(struct atls_connection *connection,
                              SSL *s) ATLS_MUST_CHECK;

/* Put it on again where the connection has one and the program has changed the BIO or
 * its callback. Without memory the gate remains. */
void atls_lock_renew(struct atls_connection *connection, SSL *s);

/* Take it off, if there is one: the connection has its verdict, needs none, or is
 * freed. */
void atls_lock_forget(struct atls_connection *connection);

#endif
