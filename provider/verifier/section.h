/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_SECTION_H
#define ATLS_VERIFIER_SECTION_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "evidence/bootlog.h"
#include "evidence/eventlog.h"
#include "evidence/pcr.h"

/*
 * What a section of the policy demands of a peer. Immutable once loaded; belongs to
 * the policy. Source: attest-policy.cnf(5).
 */

/* What an AK certificate must carry unless `ak_eku` says otherwise:
 * tcg-kp-AIKCertificate (TCG Credential Profile EK 2.0, "OIDs"). */
#define ATLS_AK_EKU_DEFAULT "2.23.133.8.3"

enum atls_mode { ATLS_MODE_OFF, ATLS_MODE_OBSERVE, ATLS_MODE_REQUIRE };

enum atls_certificate_rule {
    ATLS_CERTIFICATE_MEASURED,
    ATLS_CERTIFICATE_MEASURED_ISSUER,
    ATLS_CERTIFICATE_ANY
};

/* Acceptable values of one PCR in the section's bank; count 0: not named. */
struct atls_pcr_rule {
    size_t count;
    uint8_t (*values)[ATLS_PCR_DIGEST_MAX];
};

struct atls_trust_cache; /* cache.h */

struct atls_component_rule {
    char name[ATLS_COMPONENT_NAME_MAX + 1];
    size_t count;
    uint8_t (*digests)[ATLS_SHA256_LEN];
};

/* A good state of a machine, as a whole: a section of pcr.* and component.*
 * that `reference` of a section for peers names. */
struct atls_reference {
    char *name;
    struct atls_pcr_rule pcrs[ATLS_PCR_COUNT]; /* in that section's bank */
    size_t component_count;
    struct atls_component_rule *components;
    const struct atls_boot_log *boot_log; /* as of atls_section */
};

/* One section that describes peers. All pointers belong to the policy. */
struct atls_section {
    char *name;
    enum atls_mode mode;
    size_t name_count;
    char **names;      /* patterns, atls_name_matches() */
    X509_STORE *trust; /* AK roots; NULL only under mode off */
    /* Of chains it accepted; the one thing here that changes. NULL: none. */
    struct atls_trust_cache *cache;
    bool has_crl; /* trust holds CRLs, and the AK must be under one */
    /* Those, for who looks at each: OpenSSL's lists of a store's objects are copies
     * from 4.0 on, and empty without memory. NULL: none. */
    STACK_OF(X509_CRL) * crls;
    bool machines_any; /* or machine_count > 0, but under mode off */
    size_t machine_count;
    char **machines; /* DNS patterns, google:P/Z/I, sha256:<lower-case
                                  hex>; atls_name_matches() is for the first */
    bool ak_eku_any; /* or ak_eku_count > 0 */
    size_t ak_eku_count;
    ASN1_OBJECT **ak_ekus;
    uint16_t bank; /* TPM_ALG_SHA256, _SHA384, _SHA512 */
    struct atls_pcr_rule pcrs[ATLS_PCR_COUNT];
    bool allow_zero;
    unsigned measure_pcr;   /* 8..15 */
    size_t reference_count; /* 0: none is demanded; else one must match */
    struct atls_reference *references;
    size_t component_count;
    struct atls_component_rule *components;
    bool components_any; /* components = any */
    size_t event_count;
    char **events; /* fnmatch-like patterns over the content, only * */
    enum atls_certificate_rule certificate;
    int64_t expires;    /* seconds since 1970; INT64_MAX: never */
    bool asks_boot_log; /* ask for a boot log */
    /* Recorded with the good values: names the event that differs where a PCR
     * does, and decides nothing. NULL: none. */
    const struct atls_boot_log *boot_log;
};

#endif
