/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_WRITER_H
#define ATTEST_TOOLS_POLICY_WRITER_H

#include <stdio.h>

#include "tools/policy/draft.h"

/* The state that draft.c (the form) and draft_values.c (the values) share. */
struct policy_writer {
    const struct policy_draft *draft;
    const struct atls_evidence *evidence;
    struct atls_reason *why;
    FILE *out;
    const struct atls_hash
        *bank;     /* set, with mask, by tool_policy_writer_choose() */
    uint32_t mask; /* of the PCRs to write */
};

/* Choose the bank and its PCRs. Returns ATLS_OK, ATLS_E_USAGE. */
enum atls_error tool_policy_writer_choose(struct policy_writer *writer)
    ATLS_MUST_CHECK;

/* Write "pcr.N = value", each below the boot events that made it. */
void tool_policy_writer_pcrs(const struct policy_writer *writer);

/* Write "component.NAME = digest" for each component of the measured log. */
void tool_policy_writer_components(const struct policy_writer *writer);

/* Write components, measure_pcr and events: what else the log may hold. */
void tool_policy_writer_log_rules(const struct policy_writer *writer);

/* Are all of PCRs 0-7 that are written zero? Firmware that measured nothing
 * needs a word of its own in the policy. */
bool tool_policy_writer_boot_is_zero(const struct policy_writer *writer);

#endif
