/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_LIBSSL_H
#define ATLS_LIBSSL_H

#include <openssl/ssl.h> /* types and constants only: libssl is not linked */
#include <stdint.h>

/* The type of OpenSSL's security callback. */
typedef int atls_security_callback(const SSL *s, const SSL_CTX *ctx, int op,
                                   int bits, int nid, void *other, void *ex);

/*
 * The functions of libssl that attest.so calls. It is not linked with libssl: it gets
 * them from attest-inner.so, which is, or finds them by name.
 */
struct atls_libssl {
    void (*set_security_callback)(SSL_CTX *ctx, atls_security_callback *);
    int (*is_server)(const SSL *s);
    OSSL_HANDSHAKE_STATE (*get_state)(const SSL *s);
    const SSL_METHOD *(*get_method)(const SSL_CTX *ctx);
    uint64_t (*get_options)(const SSL_CTX *ctx);
    const SSL_METHOD *(*any_method)(void); /* lies in libssl, as all of them */
};

/* The functions of `struct atls_libssl`, by their names. */
#define ATLS_LIBSSL(X)                                        \
    X(set_security_callback, "SSL_CTX_set_security_callback") \
    X(is_server, "SSL_is_server")                             \
    X(get_state, "SSL_get_state")                             \
    X(get_method, "SSL_CTX_get_ssl_method")                   \
    X(get_options, "SSL_CTX_get_options")                     \
    X(any_method, "TLS_method")

#endif
