/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_PCRS_H
#define ATLS_VERIFIER_PCRS_H

#include <stdbool.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "evidence/pcr.h"
#include "verifier/mismatch.h"
#include "verifier/policy.h"

/*
 * What quote, PCR values and policy section have to do with each other. All are
 * pure and thread-safe.
 */

/*
 * Are the values those of exactly the quoted PCRs? A value that no quote covers
 * is anybody's word (CVE-2022-0317), and a quoted one that is missing leaves the
 * digest without meaning. Returns ATLS_OK or ATLS_E_SELECTION.
 */
enum atls_error atls_pcrs_check_quoted(
    const struct atls_pcr_selection *selection,
    const struct atls_pcr_values *values,
    struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Does the selection, which is signed, cover each PCR that the section or all of
 * its references name, and the measured one where the log counts? PCRs 16 and 23, which any program
 * can reset, and the SHA-1 bank may travel and never count.
 * Returns ATLS_OK or ATLS_E_SELECTION.
 */
enum atls_error atls_pcrs_check_covered(
    const struct atls_section *section, const struct atls_evidence *evidence,
    const struct atls_pcr_selection *selection,
    struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Are the values those that the section accepts, and the reference? A PCR that
 * both name must please both. And has firmware measured into the bank at all?
 *   reference  as of atls_reference_choose(); NULL: none
 * Shows each mismatch to the visitor. Returns ATLS_OK or what it returned.
 */
enum atls_error atls_pcrs_visit_values(const struct atls_section *section,
                                       const struct atls_reference *reference,
                                       const struct atls_evidence *evidence,
                                       atls_mismatch_visitor *visitor,
                                       void *arg) ATLS_MUST_CHECK;

/* Is zero an acceptable value of a PCR that firmware extends, 0 to 7? */
bool atls_pcrs_list_zero(const struct atls_pcr_rule rules[ATLS_PCR_COUNT]);

#endif
