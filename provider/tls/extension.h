/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_EXTENSION_H
#define ATLS_TLS_EXTENSION_H

#include <openssl/ssl.h>

/*
 * Register extension ATLS_EXTENSION_TYPE for ClientHello, CertificateRequest and
 * Certificate. Registered without TLS1_3_ONLY, so that every ClientHello passes
 * through our callback, which re-arms the gate and adds nothing unless the
 * policy asks. Returns 1, or 0 when the type is taken or memory is short.
 */
int atls_extension_add(SSL_CTX *ctx);

#endif
