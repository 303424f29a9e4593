/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_PCR_H
#define ATLS_EVIDENCE_PCR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* PCRs 0..23, as every PC client TPM has (TCG PC Client Platform TPM Profile). */
#define ATLS_PCR_COUNT 24u
/* Octets of the longest PCR digest, SHA-512's. */
#define ATLS_PCR_DIGEST_MAX 64u
/* SHA-1, SHA-256, SHA-384, SHA-512, each at most once. */
#define ATLS_BANKS_MAX 4u

/* PCR that holds the application's events unless `measure_pcr` says otherwise
 * (design: measuring; UAPI's registry: system identity). */
#define ATLS_MEASURE_PCR_DEFAULT 15u
/* The firmware measures into PCRs 0-7; any program can reset 16 and 23. */
#define ATLS_MEASURE_PCR_MIN 8u
#define ATLS_MEASURE_PCR_MAX 15u

/*
 * A hash algorithm that can be a PCR bank.
 *   alg    TPM_ALG_ID (Part 2, 6.3); len: octets of a digest
 *   name   as in configuration ("sha256"); ossl: as OpenSSL fetches it
 */
struct atls_hash {
    uint16_t alg;
    uint8_t len;
    const char *name;
    const char *ossl;
};

/* Both return a static constant, or NULL for what is no PCR bank. */
const struct atls_hash *atls_hash_by_alg(uint16_t alg);
const struct atls_hash *atls_hash_by_name(const char *name);

/* Which PCRs of which banks, in the order of the TPM's list: the PCR digest of
 * a quote depends on that order (Part 2, TPMS_QUOTE_INFO). mask: bit i = PCR i. */
struct atls_pcr_selection {
    size_t count;
    struct {
        uint16_t alg;
        uint32_t mask;
    } banks[ATLS_BANKS_MAX];
};

/* Values for exactly the PCRs of a selection; octets not selected are zero. */
struct atls_pcr_values {
    size_t count;
    struct {
        uint16_t alg;
        uint32_t mask;
        uint8_t value[ATLS_PCR_COUNT][ATLS_PCR_DIGEST_MAX];
    } banks[ATLS_BANKS_MAX];
};

/*
 * Parse "sha256:0-9,11-15" or, for several banks, "sha1:0,7+sha256:all".
 *   why  gets what is wrong; may be NULL
 *   ret_selection  set only on success; no bank twice, no PCR twice, none empty
 * Returns ATLS_OK or ATLS_E_CONFIG. Pure and thread-safe.
 */
enum atls_error atls_pcr_selection_parse(
    const char *text, struct atls_reason *why,
    struct atls_pcr_selection *ret_selection) ATLS_MUST_CHECK;

/*
 * Value of one PCR, or NULL when the bank or the PCR is not among the values.
 * The pointer lives as long as values; its length is that of the bank's hash.
 */
const uint8_t *atls_pcr_value(const struct atls_pcr_values *values,
                              uint16_t alg, unsigned pcr);

/*
 * The PCR digest of a quote: Hash(values in order of the selection list, within
 * a bank by rising index). Part 3, TPM2_Quote; Part 1, "PCR Attestation".
 *   hash_alg    the hash of the signing scheme
 *   selection   the order; every PCR in it must be among values
 *   ret_digest  ATLS_PCR_DIGEST_MAX octets of room; ret_len set on success
 * Returns ATLS_OK, ATLS_E_SELECTION when a value is missing, ATLS_E_CRYPTO.
 */
enum atls_error atls_pcr_digest(uint16_t hash_alg,
                                const struct atls_pcr_selection *selection,
                                const struct atls_pcr_values *values,
                                uint8_t ret_digest[ATLS_PCR_DIGEST_MAX],
                                size_t *ret_len) ATLS_MUST_CHECK;

/* value = Hash_alg(value || digest), the TPM's extend; digest has the length of
 * the bank's hash. Returns ATLS_OK, ATLS_E_INTERNAL (no such bank), ATLS_E_CRYPTO. */
enum atls_error atls_pcr_extend(uint16_t alg,
                                uint8_t value[ATLS_PCR_DIGEST_MAX],
                                const uint8_t *digest) ATLS_MUST_CHECK;

#endif
