/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_FOREIGN_H
#define ATLS_FOREIGN_H

#include <openssl/core.h>
#include <stdbool.h>

/*
 * An OpenSSL that is not ours. A process can have several: a program linked with
 * a static one reads the same openssl.cnf and loads attest.so, which brings the
 * system's libcrypto along and calls that. Our hooks would be put into a library
 * that makes no connection, and pointers of one would be handed to the other.
 *
 * Nothing of such a library can be guarded, and one that cannot load a provider
 * runs on without it (design, fact 11). But SSL_CTX_new asks every provider for
 * its groups and fails when one cannot tell: so we load, and let no SSL_CTX be
 * made there, with the reason in that library's own error queue and in the log.
 */

/*
 * Is the library that hands us these functions another one than that which we
 * are bound to? Leaves both error queues as they were. Without memory for an
 * error queue the answer is yes.
 */
bool atls_core_is_foreign(const OSSL_CORE_HANDLE *handle,
                          const OSSL_DISPATCH *functions);

/* OSSL_provider_init() for a library that is: cannot fail. */
void atls_foreign_init(const OSSL_CORE_HANDLE *handle,
                       const OSSL_DISPATCH *functions,
                       const OSSL_DISPATCH **ret_dispatch, void **ret_provctx);

#endif
