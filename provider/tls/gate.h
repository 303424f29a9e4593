/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_GATE_H
#define ATLS_TLS_GATE_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "tls/state.h"

/*
 * The gate: every refusal of a handshake is decided here, that of evidence in
 * appraisal.c. Behind it stands the lock (lock.h), which decides nothing.
 * OpenSSL asks the security callback about versions, ciphers and signature algorithms,
 * and its 0 ends the handshake. What the gate does when (design, fact 5):
 *
 *   operation       state              peer is a server under require (we verify)
 *   --------------  -----------------  -------------------------------------------
 *   VERSION         BEFORE             state cleared, policy as on disk now; session
 *                                      and PSK callbacks dropped; refuse without
 *                                      TLS 1.3
 *   VERSION         any                versions below TLS 1.3 and DTLS refused
 *   CIPHER_CHECK    session reused     refused: no Certificate, no evidence
 *   SIGALG_CHECK    CR_CERT_VRFY       appraise
 *
 * A context with a broken configuration or policy refuses every version.
 */

/*
 * The answer of the security callback of s to operation op (SSL_SECOP_...), about nid.
 * Returns 1: go on; 0: refused. The reason has been raised, but for a version that is
 * refused before it was offered, and for want of memory. Keeps error queue and errno
 * unless it refuses.
 */
int atls_gate(const SSL *s, int op, int nid);

/*
 * A client writes its ClientHello: clear the state, look the policy up for this
 * handshake, put the lock on, set is_requested and formats. It is also the second
 * moment to refuse what must not leave with it (early data), where the program has
 * hidden the first from the gate.
 * Returns ATLS_OK, or why the ClientHello must not leave.
 */
enum atls_error atls_gate_client_hello(struct atls_connection *connection,
                                       SSL *s,
                                       struct atls_reason *why) ATLS_MUST_CHECK;

#endif
