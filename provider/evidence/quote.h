/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_QUOTE_H
#define ATLS_EVIDENCE_QUOTE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/pcr.h"
#include "base/span.h"

/*
 * TPMS_ATTEST and TPMT_SIGNATURE, unmarshalled with tpm2-tss's mu and nothing
 * else. Source: TPM 2.0 Library Part 2, "Attestation Structures" and
 * "Signatures"; Part 3, TPM2_Quote.
 */

/* The common head of every attestation structure, and the quote's body. */
struct atls_quote {
    uint32_t magic;         /* TPM_GENERATED_VALUE when a TPM made it */
    uint16_t type;          /* TPM_ST_ATTEST_QUOTE ... */
    uint8_t extra_data[64]; /* qualifying data, 0..64 octets */
    size_t extra_data_len;
    uint64_t clock; /* ms */
    uint32_t reset_count;
    uint32_t restart_count;
    bool safe;
    uint64_t firmware_version;
    /* meaningful only when type is TPM_ST_ATTEST_QUOTE: */
    struct atls_pcr_selection selection;
    uint8_t pcr_digest[ATLS_PCR_DIGEST_MAX];
    size_t pcr_digest_len;
};

/* What signs: key kind, scheme and hash, and the raw signature. */
struct atls_signature {
    uint16_t scheme; /* TPM_ALG_RSASSA, _RSAPSS, _ECDSA */
    uint16_t hash;   /* TPM_ALG_SHA256, _SHA384, _SHA512 */
    size_t len;      /* RSA: octets of the signature; ECDSA: of its DER form */
    uint8_t octets[600];
};

/*
 * Parse the head of a TPMS_ATTEST, and the body when it is a quote. Magic and
 * type are handed over, not judged: appraisal does that, in its order, after
 * the signature.
 *   attest  whole structure, no more: a trailing octet is ATLS_E_TRAILING
 * A quote's selection list must name 1..4 banks with PCRs, none twice, in at
 * most 4 octets of bit map each, no bit above PCR 23 set; else ATLS_E_SELECTION.
 * Entries without PCRs are passed over and not in ret_quote->selection.
 * Re-marshals and compares (ATLS_E_NOT_CANONICAL).
 * Returns ATLS_OK, ATLS_E_TRUNCATED, _TRAILING, _MALFORMED, _SELECTION,
 * _NOT_CANONICAL. Pure and thread-safe.
 */
enum atls_error atls_quote_parse(struct atls_span attest,
                                 struct atls_reason *why,
                                 struct atls_quote *ret_quote) ATLS_MUST_CHECK;

/*
 * Parse a TPMT_SIGNATURE.
 * Returns ATLS_OK, ATLS_E_TRUNCATED, _TRAILING, _MALFORMED, _NOT_CANONICAL, or
 * ATLS_E_SIGNATURE_ALG for schemes and hashes other than RSASSA, RSAPSS, ECDSA
 * with SHA-256, SHA-384, SHA-512 (SHA-1 never counts), or ATLS_E_CRYPTO (out of
 * memory for the DER of an ECDSA signature). Pure and thread-safe.
 */
enum atls_error atls_signature_parse(
    struct atls_span signature, struct atls_reason *why,
    struct atls_signature *ret_signature) ATLS_MUST_CHECK;

/*
 * Verify that key signed attest.
 *   key  RSA of 2048..4096 bits for RSASSA and RSAPSS (salt: any length, the
 *        TPM uses the largest or the hash's), EC P-256/P-384/P-521 for ECDSA
 * Returns ATLS_OK, ATLS_E_SIGNATURE_ALG when key and scheme do not fit,
 * ATLS_E_SIGNATURE when it does not verify, ATLS_E_CRYPTO. Leaves the OpenSSL
 * error queue as found.
 */
enum atls_error atls_signature_verify(const struct atls_signature *signature,
                                      EVP_PKEY *key, struct atls_span attest,
                                      struct atls_reason *why) ATLS_MUST_CHECK;

#endif
