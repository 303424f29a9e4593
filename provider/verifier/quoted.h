/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_QUOTED_H
#define ATLS_VERIFIER_QUOTED_H

#include <stdint.h>

#include "base/error.h"
#include "evidence/pcr.h"
#include "evidence/quote.h"

/*
 * What a parsed quote must be whatever a policy says, each check by itself.
 * Whoever asks has verified the signature over it. All are pure and thread-safe.
 * Source: TPM 2.0 Library Part 1, "Restricted Signing"; Part 2, TPMS_ATTEST;
 * Part 3, TPM2_Quote.
 */

/* A TPM made it, as a restricted key signs no outside data that begin with this
 * value. Returns ATLS_OK or ATLS_E_MAGIC. */
enum atls_error atls_quoted_check_magic(
    const struct atls_quote *quote, struct atls_reason *why) ATLS_MUST_CHECK;

/* It is a quote, and not another structure that an AK signs. Returns ATLS_OK or
 * ATLS_E_TYPE. */
enum atls_error atls_quoted_check_type(const struct atls_quote *quote,
                                       struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * The values are those that the TPM put into the digest.
 *   hash  of the signature, which is the digest's as well
 * Returns ATLS_OK, ATLS_E_PCR_DIGEST, and the errors of atls_pcr_digest().
 */
enum atls_error atls_quoted_check_digest(
    const struct atls_quote *quote, uint16_t hash,
    const struct atls_pcr_values *values,
    struct atls_reason *why) ATLS_MUST_CHECK;

#endif
