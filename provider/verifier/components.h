/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_COMPONENTS_H
#define ATLS_VERIFIER_COMPONENTS_H

#include "base/error.h"
#include "evidence/codec.h"
#include "verifier/mismatch.h"
#include "verifier/policy.h"

/*
 * What the measured log says about components, and whether it says anything that
 * nobody asked for. Judges contents alone, so the log must have been replayed
 * before. Evidence without a log is taken for evidence with an empty one. Pure,
 * thread-safe; allocates nothing.
 */

/*
 * Is every component of the section and of the reference in the log, with none
 * but acceptable digests, and no event there that neither names? What both name
 * must please both. Every event of a name counts, not the last: what ran once
 * may have changed the machine. Certificate and authority events need no naming.
 *   reference  as of atls_reference_choose(); NULL: none
 * Shows each mismatch to the visitor. Returns ATLS_OK or what it returned.
 */
enum atls_error atls_components_visit(const struct atls_section *section,
                                      const struct atls_reference *reference,
                                      const struct atls_evidence *evidence,
                                      atls_mismatch_visitor *visitor,
                                      void *arg) ATLS_MUST_CHECK;

#endif
