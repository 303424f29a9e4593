/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_FOREIGN_H
#define ATLS_FOREIGN_H

#include <openssl/core.h>
#include <stdbool.h>

/*
 * An OpenSSL that is not ours. A process can have several: a program linked with
 * a static one reads the same openssl.cnf and loads attest.so, which brings the
 * system's libcrypto along and calls that. Our hooks would go into a library
 * that makes no connection, and pointers of one library would reach the other.
 *
 * Nothing of such a library can be guarded, and it runs on without a provider that
 * fails to load (design, fact 11). But SSL_CTX_new asks every provider for its groups
 * and fails when one gives none: so we load, and let no SSL_CTX be made there, with the
 * reason in that library's own error queue and in the log.
 */

/*
 * Is the library of these functions another one than the one that we are bound to?
 * Keeps both error queues. True where there is no memory for an error queue.
 */
bool atls_core_is_foreign(const OSSL_CORE_HANDLE *handle,
                          const OSSL_DISPATCH *functions);

/* OSSL_provider_init() for such a library: cannot fail. */
void atls_foreign_init(const OSSL_CORE_HANDLE *handle,
                       const OSSL_DISPATCH *functions,
                       const OSSL_DISPATCH **ret_dispatch, void **ret_provctx);

#endif
