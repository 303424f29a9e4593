/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_OPENSSL_COMPAT_H
#define ATLS_OPENSSL_COMPAT_H

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#if OPENSSL_VERSION_NUMBER >= 0x40000000L && !defined(OPENSSL_NO_ECH)
#define ATLS_HAS_ECH 1
#include <openssl/ech.h>
#else
#define ATLS_HAS_ECH 0
#endif

/*
 * One form of what differs between releases of OpenSSL from 3.0 to 4.0.
 */

/* Call a function at the end of the program, before libcrypto is cleaned up. OpenSSL
 * 4.0 has no OPENSSL_atexit(): the C library does it. False: no memory. */
static inline bool atls_at_exit(void (*function)(void))
{
#if OPENSSL_VERSION_NUMBER >= 0x40000000L
    return atexit(function) == 0;
#else
    return OPENSSL_atexit(function) == 1;
#endif
}

/* QUIC (from 3.2) contains TLS 1.3, and has version numbers of its own. */
static inline bool atls_ssl_is_quic(const SSL *s)
{
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    return SSL_is_quic(s) == 1;
#else
    (void)s;
    return false;
#endif
}

/* Will this client encrypt its ClientHello (RFC 9849, from 4.0), in earnest or as
 * GREASE? Such a connection has two ClientHellos: a line of the key log carries the
 * random of the inner one, and an extension must be in both or in neither. */
static inline bool atls_ssl_has_ech(SSL *s)
{
#if ATLS_HAS_ECH
    char *inner = NULL, *outer = NULL;
    int status = SSL_ech_get1_status(s, &inner, &outer);

    OPENSSL_free(inner);
    OPENSSL_free(outer);
    return status != SSL_ECH_STATUS_NOT_CONFIGURED;
#else
    (void)s;
    return false;
#endif
}

/* BIO's callback of the kind before 3.0; and the one that a BIO has, or NULL. */
typedef long atls_bio_legacy_callback(BIO *bio, int operation, const char *data,
                                      int number, long more, long result);

static inline atls_bio_legacy_callback *atls_bio_legacy(const BIO *bio)
{
#ifndef OPENSSL_NO_DEPRECATED_3_0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    return BIO_get_callback(bio);
#pragma GCC diagnostic pop
#else
    (void)bio;
    return NULL;
#endif
}

#endif
