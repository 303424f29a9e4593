/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REFERENCE_H
#define ATLS_VERIFIER_REFERENCE_H

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
 * The reason for a person of the first mismatch that a check met. Before that of
 * a reference it says that none matches, which one is nearest and in how much
 * that one differs.
 *   first  code ATLS_OK: there was none, and nothing is done
 *   why    may be NULL
 */
void atls_reference_explain(const struct atls_section *section,
                            const struct atls_evidence *evidence,
                            const struct atls_mismatch *first,
                            struct atls_reason *why);

#endif
