/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REFERENCE_H
#define ATLS_VERIFIER_REFERENCE_H

#include "base/error.h"
#include "evidence/codec.h"
#include "verifier/mismatch.h"
#include "verifier/policy.h"

/*
 * Reference sets: a section for peers may name several good states, one of which
 * a machine must be in as a whole, beside what the section itself demands.
 */

/*
 * Which reference is evidence to be held against: the first that it matches in
 * every PCR and component, else the one with the fewest that differ, the first
 * of equals. Events that neither it nor the section lists differ too. Chooses
 * only: the checks that follow decide. NULL for a section without references,
 * and only then. Pure, cannot fail, thread-safe.
 */
const struct atls_reference *atls_reference_choose(
    const struct atls_section *section, const struct atls_evidence *evidence);

/*
 * Show every mismatch to a visitor, in the order in which appraisal would meet
 * them: components and events, then PCRs. What appraisal can say one thing of
 * only (log, certificate, chain ...) is in the report's steps.
 *   reference  as of atls_report, atls_reference_choose(); NULL: none
 * Returns ATLS_OK or what the visitor returned. Allocates nothing, thread-safe.
 */
enum atls_error atls_reference_visit(const struct atls_section *section,
                                     const struct atls_reference *reference,
                                     const struct atls_evidence *evidence,
                                     atls_mismatch_visitor *visit,
                                     void *arg) ATLS_MUST_CHECK;

/*
 * The checks of appraisal: does evidence match section and reference in components
 * and events (atls_components_visit()), in PCR values (atls_pcrs_visit_values())?
 *   reference  as of atls_reference_choose(); NULL: none
 *   why        the first mismatch. Where it is the reference's, it says that none
 *              matches, which one is nearest and in how much that one differs
 * Return ATLS_OK; ATLS_E_COMPONENT, ATLS_E_LOG_EVENT, ATLS_E_LOG_FORM; ATLS_E_PCR_VALUE for
 * the first PCR that does not match, ATLS_E_PCR_ZERO.
 */
enum atls_error atls_reference_check_components(
    const struct atls_section *section, const struct atls_reference *reference,
    const struct atls_evidence *evidence,
    struct atls_reason *why) ATLS_MUST_CHECK;
enum atls_error atls_reference_check_pcrs(
    const struct atls_section *section, const struct atls_reference *reference,
    const struct atls_evidence *evidence,
    struct atls_reason *why) ATLS_MUST_CHECK;

#endif
