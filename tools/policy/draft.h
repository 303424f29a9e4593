/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_DRAFT_H
#define ATTEST_TOOLS_POLICY_DRAFT_H

#include <stdio.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "tools/policy/writer.h"

/*
 * The text of a policy that demands of a server what its evidence shows. Only
 * text: whether the evidence deserves it is the caller's to find out, by
 * appraising it against what was written. Evidence may also be no more than PCR
 * values and logs, without a chain; machines must then be given.
 */

/* Octets of a section's name with its terminator. */
#define POLICY_DRAFT_SECTION_MAX 65u

/*
 * Write it.
 *   ret_section  its name, as written
 * Returns ATLS_OK, ATLS_E_USAGE (something cannot be written into a policy, or
 * the evidence lacks a PCR of pcrs), ATLS_E_MALFORMED (AK certificate),
 * ATLS_E_NOMEM. Errors of out are the caller's to see.
 */
enum atls_error tool_policy_draft_write(
    const struct policy_draft *draft, const struct atls_evidence *evidence,
    struct atls_reason *why, FILE *out,
    char ret_section[POLICY_DRAFT_SECTION_MAX]) ATLS_MUST_CHECK;

/*
 * Write the section of a reference alone; draft is one that tool_policy_draft_write()
 * has taken. Returns ATLS_OK, ATLS_E_USAGE.
 */
enum atls_error tool_policy_draft_write_reference(
    const struct policy_draft *draft, const struct atls_evidence *evidence,
    struct atls_reason *why, FILE *out) ATLS_MUST_CHECK;

/* Call visit with each line that a person should compare with what they know
 * from another source. */
void tool_policy_draft_compare(const struct policy_draft *draft,
                               const struct atls_evidence *evidence,
                               void (*visit)(void *arg, const char *line),
                               void *arg);

#endif
