/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_EXTENSION_H
#define ATLS_TLS_EXTENSION_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The octets of extension ATLS_EXTENSION_TYPE in ClientHello and Certificate
 * (doc/PROTOCOL.md): the request of a client that verifies, and the evidence of a
 * server that was asked. Both functions are what OpenSSL's custom extension calls:
 *
 *   context  SSL_EXT_...; others than the two above add nothing and read nothing
 *   al       set to the alert only on failure
 *
 * They keep error queue and errno unless they refuse; then the reason has been raised.
 * Source: SSL_CTX_add_custom_ext(3).
 */

/*
 * What to send.
 *   x, chain_index  of the certificate entry, in Certificate
 *   ret_out         set only where 1 is returned; OPENSSL_free() it
 * Returns 1, 0 (the extension is left out), or -1 (the handshake fails). Waits for
 * evidence: in an ASYNC job it pauses (async.h), and may never come back.
 */
int atls_extension_add(SSL *s, unsigned context, X509 *x, size_t chain_index,
                       const uint8_t **ret_out, size_t *ret_len, int *al);

/* Take what has come. Returns 1, or -1 (the handshake fails). */
int atls_extension_parse(SSL *s, unsigned context, size_t chain_index,
                         const uint8_t *in, size_t in_len, int *al);

#endif
