/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_APPRAISE_H
#define ATLS_VERIFIER_APPRAISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "base/span.h"
#include "verifier/policy.h"
#include "verifier/result.h"

/*
 * Appraisal: the checks of design "Appraisal", in that order, each its own
 * function with its own error. The verdict starts as refusal.
 */

/* Everything borrowed for the call. */
struct atls_appraisal {
    const struct atls_section *section;
    struct atls_span cmw;      /* as received */
    enum atls_role role;       /* the sender's */
    const uint8_t *channel;    /* ATLS_CHANNEL_LEN octets, or NULL: no live
                                   evidence can be bound (saved evidence) */
    struct atls_span cert_der; /* the sender's end-entity certificate */
    int64_t now;               /* seconds since 1970 */
    const struct atls_formats *asked; /* formats that the sender was asked for;
                                         NULL: any that we know (files) */
    bool check_all; /* for tools: go on after a failed check where
                                   the next can still be made; same verdict */
};

/*
 * Appraise. Returns report->verdict: ATLS_OK only if every step was made and
 * passed, or was not asked for.
 *   ret_report  always set; atls_report_clear() it
 * Pure (time and randomness are inputs), thread-safe, error queue as found.
 */
enum atls_error atls_appraise(const struct atls_appraisal *appraisal,
                              struct atls_report *ret_report) ATLS_MUST_CHECK;

#endif
