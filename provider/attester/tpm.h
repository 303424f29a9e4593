/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_H
#define ATLS_ATTESTER_TPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "evidence/pcr.h"
#include "base/span.h"

/*
 * The only module that talks to a TPM (tpm*.c, through ESYS). A struct atls_tpm belongs to one
 * thread of one process at a time; it is never used after a fork.
 */
struct atls_tpm;

/* Octets of TPMS_ATTEST and TPMT_SIGNATURE that we take from a TPM. */
#define ATLS_TPM_BLOB_MAX 1200u

struct atls_tpm_quote {
    size_t attest_len;
    uint8_t attest[ATLS_TPM_BLOB_MAX];
    size_t signature_len;
    uint8_t signature[ATLS_TPM_BLOB_MAX];
};

/*
 * Open a connection.
 *   tcti  TCTI configuration as of tctildr ("device:/dev/tpmrm0",
 *         "swtpm:host=127.0.0.1,port=2321")
 *   why   which TCTI, the TSS's own text, what to do next (group tss, daemon)
 * Descriptors are CLOEXEC. Returns ATLS_OK, ATLS_E_TPM_UNAVAILABLE,
 * ATLS_E_CONFIG (no such TCTI), ATLS_E_NOMEM.
 */
enum atls_error atls_tpm_open(const char *tcti, struct atls_reason *why,
                              struct atls_tpm **ret_tpm) ATLS_MUST_CHECK;
void atls_tpm_close(struct atls_tpm *tpm); /* NULL is fine */

/*
 * Deadline of every following command: CLOCK_MONOTONIC in ms; 0: none.
 *   wake_fd  readable: give up at once with ATLS_E_TIMEOUT; -1: none
 * Enforced by polling between sending and receiving (tpm_link.h). After
 * ATLS_E_TIMEOUT or ATLS_E_TPM_UNAVAILABLE close the connection and open a new
 * one; after any other failed command the AK must be loaded again.
 */
void atls_tpm_set_deadline(struct atls_tpm *tpm, int64_t deadline_ms,
                           int wake_fd);

/*
 * Which persistent handle does an `ak` mean? Needs no TPM.
 *   ak   "0x81010002"; key files are not supported
 *   why  "ak = AK: what is expected"
 * Returns ATLS_OK or ATLS_E_CONFIG. Pure and thread-safe.
 * Source: TPM 2.0 Library Part 2, TPM_HT_PERSISTENT.
 */
enum atls_error atls_tpm_parse_ak(const char *ak, struct atls_reason *why,
                                  uint32_t *ret_handle) ATLS_MUST_CHECK;

/*
 * Load the attestation key.
 *   ak    as of atls_tpm_parse_ak()
 *   auth  authorization value of the key, auth_len 0: empty
 * Refuses keys that are not restricted signing keys with ATLS_E_AK, says which
 * attribute is missing. Returns ATLS_OK, ATLS_E_AK, ATLS_E_CONFIG,
 * ATLS_E_TPM, ATLS_E_TPM_UNAVAILABLE, ATLS_E_TIMEOUT.
 */
enum atls_error atls_tpm_load_ak(struct atls_tpm *tpm, const char *ak,
                                 const uint8_t *auth, size_t auth_len,
                                 struct atls_reason *why) ATLS_MUST_CHECK;

/* DER SubjectPublicKeyInfo of the loaded AK, to compare with the certificate.
 * ret_der: OPENSSL_free() it. */
enum atls_error atls_tpm_ak_public(struct atls_tpm *tpm,
                                   struct atls_reason *why, uint8_t **ret_der,
                                   size_t *ret_len) ATLS_MUST_CHECK;

/* Is the loaded AK free of dictionary-attack lockout (attribute noDA)? */
bool atls_tpm_ak_has_no_da(const struct atls_tpm *tpm);

/* TPM2_PCR_Read until every PCR of the selection was read. ATLS_E_SELECTION
 * when the TPM has no such bank or PCR allocated; else errors as above. */
enum atls_error atls_tpm_read_pcrs(
    struct atls_tpm *tpm, const struct atls_pcr_selection *selection,
    struct atls_reason *why,
    struct atls_pcr_values *ret_values) ATLS_MUST_CHECK;

/* One TPM2_Quote with the AK's own scheme. Transient TPM warnings (RETRY,
 * YIELDED, TESTING) are retried until the deadline, at most 100 times. */
enum atls_error atls_tpm_quote(
    struct atls_tpm *tpm, const struct atls_pcr_selection *selection,
    const uint8_t *qualifying, size_t qualifying_len, struct atls_reason *why,
    struct atls_tpm_quote *ret_quote) ATLS_MUST_CHECK;

/*
 * Values and quote that agree: reads, quotes, compares the digests, again when
 * a PCR moved in between, at most 8 times (ATLS_E_PCR_UNSTABLE).
 */
enum atls_error atls_tpm_quote_consistent(
    struct atls_tpm *tpm, const struct atls_pcr_selection *selection,
    const uint8_t *qualifying, size_t qualifying_len, struct atls_reason *why,
    struct atls_pcr_values *ret_values,
    struct atls_tpm_quote *ret_quote) ATLS_MUST_CHECK;

/*
 * Extend one PCR in every active bank with H_bank(content): TPM2_PCR_Event is
 * not used, so that contents over 1,024 octets work.
 *   ret_banks  the selection whose banks were extended; may be NULL
 */
enum atls_error atls_tpm_extend(
    struct atls_tpm *tpm, unsigned pcr, struct atls_span content,
    struct atls_reason *why,
    struct atls_pcr_selection *ret_banks) ATLS_MUST_CHECK;

/* The banks that are active for one PCR. */
enum atls_error atls_tpm_banks(
    struct atls_tpm *tpm, unsigned pcr, struct atls_reason *why,
    struct atls_pcr_selection *ret_banks) ATLS_MUST_CHECK;

#endif
