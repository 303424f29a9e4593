/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_VALIDITY_H
#define ATLS_VERIFIER_VALIDITY_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdint.h>

/* Seconds since 1970: from on, before until, as X509_cmp_time() has it. */
struct atls_validity {
    int64_t from;
    int64_t until;
};

/* All times. */
#define ATLS_VALIDITY_ALWAYS \
    {                        \
        INT64_MIN, INT64_MAX \
    }

/*
 * Narrow a time to that of all certificates of a path, or of all CRLs of a section
 * whether a path needs them or not. One that cannot be read leaves none. Pure;
 * leaves the OpenSSL error queue as it comes.
 */
void atls_validity_of_path(struct atls_validity *validity,
                           const STACK_OF(X509) * path);
void atls_validity_of_crls(struct atls_validity *validity,
                           const STACK_OF(X509_CRL) * crls);

#endif
