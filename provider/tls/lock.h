/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_LOCK_H
#define ATLS_TLS_LOCK_H

#include <openssl/ssl.h>

#include "error.h"
#include "tls/connection.h"

/*
 * The lock: a filter BIO on a client's write side that lets nothing of its Finished
 * flight leave without a verdict (design, fact 25). The gate decides; the lock asks
 * no callback, so it holds where a program has replaced all of ours. A server gets
 * no Finished then, so it takes no application data and the client reads none.
 *
 *   state of the handshake                       without a verdict
 *   -------------------------------------------  ---------------------------------
 *   ClientHello, alerts before the last flight   pass
 *   Certificate, CertificateVerify, Finished,    refused, with a reason of our own
 *   EndOfEarlyData, data                         unless the gate has given one
 *
 * A program that swaps BIOs in mid-handshake takes the lock out; the gate remains.
 * QUIC objects have no such BIO.
 */
struct atls_lock;

/*
 * Put it before the BIO that the connection writes to; once a connection, also when
 * called again for a second ClientHello.
 * ATLS_OK (also without a BIO to put it before), ATLS_E_NOMEM.
 */
enum atls_error atls_lock_put(struct atls_connection *connection,
                              SSL *s) ATLS_MUST_CHECK;

/* Take it out, if it is there: the connection has its verdict, or needs none. */
void atls_lock_take_out(struct atls_connection *connection, SSL *s);

/* The connection goes; what is left of the lock refuses for good. */
void atls_lock_forget(struct atls_connection *connection);

#endif
