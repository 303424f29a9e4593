/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_TPM_READER_H
#define ATLS_EVIDENCE_TPM_READER_H

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_common.h>

#include "base/error.h"
#include "base/span.h"

/*
 * Reading a marshalled TPM structure, for quote.c and signature.c only.
 *
 * mu does the unmarshalling, but it is never asked for octets that are not
 * there or do not fit: it would write a warning to the stderr of the program we
 * live in, for every peer that likes to cause one, and its errors do not tell
 * "too short" from "too long".
 *
 * `field` names in reasons what is read.
 */
struct atls_tpm_reader {
    const char *structure; /* for reasons */
    struct atls_span in;
    size_t offset;
    struct atls_reason *why;
};

/* Are len octets there? ATLS_OK or ATLS_E_TRUNCATED. */
enum atls_error atls_tpm_reader_need(const struct atls_tpm_reader *c,
                                     size_t len,
                                     const char *field) ATLS_MUST_CHECK;

/* Is a whole TPM2B of 0..max octets there? ATLS_OK, ATLS_E_TRUNCATED,
 * ATLS_E_MALFORMED (longer than max). */
enum atls_error atls_tpm_reader_need_sized(const struct atls_tpm_reader *c,
                                           size_t max,
                                           const char *field) ATLS_MUST_CHECK;

/* What mu answered: ATLS_OK or ATLS_E_MALFORMED. */
enum atls_error atls_tpm_reader_check(const struct atls_tpm_reader *c,
                                      TSS2_RC rc,
                                      const char *field) ATLS_MUST_CHECK;

/* Big-endian integers: ATLS_OK, ATLS_E_TRUNCATED. */
enum atls_error atls_tpm_reader_u16(struct atls_tpm_reader *c,
                                    const char *field,
                                    uint16_t *ret) ATLS_MUST_CHECK;
enum atls_error atls_tpm_reader_u32(struct atls_tpm_reader *c,
                                    const char *field,
                                    uint32_t *ret) ATLS_MUST_CHECK;
enum atls_error atls_tpm_reader_u64(struct atls_tpm_reader *c,
                                    const char *field,
                                    uint64_t *ret) ATLS_MUST_CHECK;

/*
 * The structure was read: nothing is left over (ATLS_E_TRAILING), and what mu
 * makes of its fields is what came in, octet for octet (ATLS_E_NOT_CANONICAL).
 *   rc, again, again_len  the result of mu's marshalling
 */
enum atls_error atls_tpm_reader_finish(const struct atls_tpm_reader *c,
                                       TSS2_RC rc, const uint8_t *again,
                                       size_t again_len) ATLS_MUST_CHECK;

#endif
