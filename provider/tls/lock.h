/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_LOCK_H
#define ATLS_TLS_LOCK_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "tls/state.h"

/*
 * The lock: a callback on the BIO that a client writes to, which lets nothing of its
 * Finished flight leave without a verdict (design, fact 25). The gate decides; the
 * lock asks no callback of SSL objects, so it holds where a program has replaced all
 * of ours. A server gets no Finished then, so it takes no application data and the
 * client reads none.
 *
 *   state of the handshake                       without a verdict
 *   -------------------------------------------  ---------------------------------
 *   ClientHello, alerts before the last flight   pass
 *   Certificate, CertificateVerify, Finished,    refused, with a reason of our own
 *   EndOfEarlyData, data                         unless the gate has given one
 *
 * The BIO stays the program's own, which it finds at the SSL object and may set once
 * more: SSL_set_bio(3) goes by what it finds there. A callback that it had on its BIO
 * is called by ours. A program that gives the SSL object another BIO, or that BIO
 * another callback, in mid-handshake takes the lock off; it is put on again when the
 * server's Finished has come, and the gate remains. QUIC objects have no such BIO.
 */
struct atls_lock;

/* Once, before the first connection: an index of BIO's ex_data. 0: no memory. */
int atls_lock_init(void);

/*
 * Put it on the BIO that the connection writes to; nothing to do where it is there.
 * ATLS_OK (also without a BIO), ATLS_E_NOMEM.
 */
enum atls_error atls_lock_put(struct atls_connection *connection,
                              SSL *s) ATLS_MUST_CHECK;

/* Put it on again where it was on this handshake's BIO and the program has changed that;
 * without memory the gate remains. */
void atls_lock_renew(struct atls_connection *connection, SSL *s);

/* Take it off, if it is there: the connection has its verdict, needs none, or goes. */
void atls_lock_forget(struct atls_connection *connection);

#endif
