/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_PEM_H
#define ATLS_BASE_PEM_H

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/error.h"

/*
 * PEM text (RFC 7468). Readers leave OpenSSL's reason in its error queue; callers set a
 * mark and pop to it.
 */

/* The password callback of every reader: there is none. OpenSSL's own would make a
 * server ask its terminal when a block is encrypted. */
int atls_pem_no_password(char *buffer, int size, int writing, void *arg);

/*
 * Did the last PEM_read_bio...() of this text fail because no other block begins in
 * what was left? Otherwise a block is cut or damaged, or reading failed.
 */
bool atls_pem_is_end(BIO *text);

/* OpenSSL's reason of the last failure of such a call; static, never NULL. */
const char *atls_pem_error(void);

/*
 * Read the next certificate. What stands before it is passed over: PEM files carry
 * remarks and other blocks.
 *   ret_certificate  in the library context of atls_libctx(); the caller frees it.
 *                    NULL behind the last one. Set only on success.
 * Returns ATLS_OK, ATLS_E_NOMEM, or ATLS_E_MALFORMED for a certificate that is cut,
 * damaged or encrypted. Gives no sentence.
 */
enum atls_error atls_pem_read_certificate(BIO *text, X509 **ret_certificate)
    ATLS_MUST_CHECK;

#endif
