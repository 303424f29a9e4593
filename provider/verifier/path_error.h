/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_PATH_ERROR_H
#define ATLS_VERIFIER_PATH_ERROR_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What libcrypto says against a path, in our words. Thread-safe. */

/* Is this X509_V_ERR_* about a CRL, rather than what it says of a
 * certificate? */
bool atls_path_is_crl_error(int error);

/* Say why X509_verify_cert() refused; crl is the one it
 * was about, if any. */
enum atls_error atls_path_error(X509_STORE_CTX *ctx, X509_CRL *crl, int64_t now,
                                struct atls_reason *why) ATLS_MUST_CHECK;

#endif
