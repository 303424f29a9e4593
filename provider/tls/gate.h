/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_GATE_H
#define ATLS_TLS_GATE_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "tls/connection.h"

/*
 * The gate: every refusal of a handshake is decided here, of evidence by
 * appraisal.c. Behind it stands the lock (lock.h), which decides nothing.
 * It is the security callback of every context, chained to what the program has
 * set: OpenSSL asks it about versions, ciphers and signature algorithms, and its
 * 0 ends the handshake. What it does when (design, fact 5):
 *
 *   operation       state              peer is a server under require (we verify)
 *   --------------  -----------------  -------------------------------------------
 *   VERSION         BEFORE             state as new, policy as on disk now; session
 *                                      and PSK callbacks dropped; refuse without a
 *                                      name, TLS 1.3
 *   VERSION         any                versions below TLS 1.3 and DTLS refused
 *   CIPHER_CHECK    session reused     refused: no Certificate, no evidence
 *   SIGALG_CHECK    CR_CERT_VRFY       appraise
 *
 * A context with a broken configuration or policy refuses every version.
 */
int atls_gate(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
              void *other, void *ex);

/* Put gate and keylog callback back where a program has replaced them since the
 * context was made; chains to the program's. */
void atls_gate_arm(struct atls_connection *connection, SSL *s);

/*
 * A client writes its ClientHello: begin anew, look the policy up for good, arm,
 * put the lock in, and set is_requested. Also the second moment to refuse what must not leave
 * with it (early data), should the program have hidden the first from the gate.
 */
enum atls_error atls_gate_client_hello(struct atls_connection *connection,
                                       SSL *s,
                                       struct atls_reason *why) ATLS_MUST_CHECK;

#endif
