/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_FACTORY_CRL_H
#define ATLS_TEST_FACTORY_CRL_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/factory.h"

/* CRLs for the factory's certificates. What fails is a broken test, as there. */

/* What RFC 5280 §5.2 demands. */
#define FACTORY_CRL_EXTENSIONS "authorityKeyIdentifier=keyid:always\n"

struct factory_crl {
    X509 *issuer;
    EVP_PKEY *issuer_key;
    int64_t last_update;
    int64_t next_update;    /* 0: none */
    const X509 *revoked[4]; /* up to the first NULL */
    int64_t revoked_at;
    /* NULL, or of each entry: lines as of factory_cert */
    const char *entry_extensions;
    const char *extensions;
};

/* A plan for a CRL that was issued a day before FACTORY_NOW, is good for ten days
 * and revokes nothing. */
struct factory_crl factory_crl_plan(X509 *issuer, EVP_PKEY *issuer_key);

/* X509_CRL_free() it. */
X509_CRL *factory_crl(const struct factory_crl *wanted);

/* Make it and put it into the section, which thereby has CRLs. */
void factory_section_crl(struct atls_section *section,
                         const struct factory_crl *wanted);

#endif
