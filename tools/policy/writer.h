/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_WRITER_H
#define ATTEST_TOOLS_POLICY_WRITER_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "evidence/codec.h"

/* What a policy shall say. */
struct policy_draft {
    const char *host;     /* name of the server: exactly one */
    const char *section;  /* NULL: made of the host */
    const char *trust;    /* path of the AK issuers; relative to the policy */
    const char *machines; /* NULL: the names in the AK certificate */
    const char *pcrs;     /* "0-7" or "sha384:0-7"; NULL: see below */
    const char *certificate; /* measured, measured-issuer or any */
    bool allow_zero;         /* PCRs 0-7 may all be zero */
    const char *reference;   /* PCRs and components go into a section of this
                                name, a reference; NULL: they do not */
};

/* PCRs without --pcrs: all of 0-9 and 11-14 that the evidence has. IMA changes
 * 10 while the machine runs; the log itself lists what is in its PCR. PCRs
 * that are zero are written too: an unexpected system extension would show in
 * 12 or 13. */
#define POLICY_DRAFT_PCRS 0x7bffu

/* The state of one that is being written: draft.c has the form, writer.c the values. */
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
