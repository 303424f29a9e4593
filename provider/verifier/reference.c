/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/reference.h"

#include <stdint.h>

/* How evidence compares with one reference. */
struct tally {
    const struct atls_reference *reference;
    size_t differing;
    size_t beyond; /* of them: no PCR and no component that it names */
};

/* What only the section demands differs from every reference alike. */
static enum atls_error count(const struct atls_mismatch *mismatch, void *arg)
{
    struct tally *tally = arg;

    if (mismatch->reference != tally->reference)
        return ATLS_OK;
    tally->differing++;
    if (mismatch->pcr_rule == NULL && mismatch->component == NULL)
        tally->beyond++;
    return ATLS_OK;
}

static struct tally compare(const struct atls_section *section,
                            const struct atls_reference *reference,
                            const struct atls_evidence *evidence)
{
    struct tally tally = {.reference = reference};

    /* The visitor always goes on. */
    if (atls_mismatch_visit(section, reference, evidence, count, &tally)
        != ATLS_OK)
        tally.differing = SIZE_MAX;
    return tally;
}

const struct atls_reference *atls_reference_choose(
    const struct atls_section *section, const struct atls_evidence *evidence)
{
    const struct atls_reference *nearest = NULL;
    size_t fewest = 0;

    for (size_t i = 0; i < section->reference_count; i++) {
        const struct tally tally =
            compare(section, &section->references[i], evidence);

        if (nearest == NULL || tally.differing < fewest) {
            nearest = tally.reference;
            fewest = tally.differing;
        }
    }
    return nearest;
}

static size_t count_rules(const struct atls_reference *reference)
{
    size_t rules = reference->component_count;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (reference->pcrs[pcr].count > 0)
            rules++;
    }
    return rules;
}

void atls_reference_explain(const struct atls_section *section,
                            const struct atls_evidence *evidence,
                            const struct atls_mismatch *first,
                            struct atls_reason *why)
{
    struct tally tally;

    if (why == NULL || first->reason.code == ATLS_OK)
        return;
    *why = first->reason;
    if (first->reference == NULL)
        return;
    tally = compare(section, first->reference, evidence);
    atls_reason_prefix(
        why, "no reference matches; nearest is %.32s (%zu of %zu differ): ",
        first->reference->name, tally.differing,
        count_rules(first->reference) + tally.beyond);
}
