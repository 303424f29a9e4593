/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_MISMATCH_H
#define ATLS_VERIFIER_MISMATCH_H

#include <stddef.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "base/span.h"
#include "verifier/policy.h"
#include "verifier/result.h"

/*
 * In what evidence differs from the values that a policy lists, all of it: the
 * checks of appraisal stop at the first (they are these same comparisons), who
 * has to mend a policy wants the whole list. Decides nothing; values are the
 * peer's word until the steps before have passed.
 */

enum atls_mismatch_kind {
    ATLS_MISMATCH_COMPONENT, /* in the log, with a digest that is not listed */
    ATLS_MISMATCH_COMPONENT_MISSING,
    ATLS_MISMATCH_COMPONENT_UNLISTED,
    ATLS_MISMATCH_EVENT_UNLISTED, /* any other event */
    ATLS_MISMATCH_PCR_ZERO,       /* PCRs 0-7, together */
    ATLS_MISMATCH_PCR
};

/* One difference. All pointers are borrowed from section, reference or evidence
 * and live as long as they do. */
struct atls_mismatch {
    enum atls_mismatch_kind kind;
    enum atls_step step;       /* whose check it is: COMPONENTS or PCRS */
    struct atls_reason reason; /* code, and the sentence of that check */
    /* Whose demand it is; NULL: the section's own. Of what is not listed: the
     * reference that, with the section, was held against it. */
    const struct atls_reference *reference;
    unsigned pcr;                         /* PCR */
    const struct atls_pcr_rule *pcr_rule; /* PCR: what is acceptable */
    const uint8_t *pcr_value; /* PCR: as long as the bank's; NULL: no value */
    /* COMPONENT, COMPONENT_MISSING: what is acceptable */
    const struct atls_component_rule *component;
    /* COMPONENT, *_UNLISTED: the event of evidence->log; else empty, NULL */
    struct atls_span event;
};

/* ATLS_OK: go on; else the visit ends with that code. The mismatch lives for the
 * call. */
typedef enum atls_error atls_mismatch_visitor(
    const struct atls_mismatch *mismatch, void *arg);

#endif
