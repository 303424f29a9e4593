/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/reference.h"

#include <stdint.h>

#include "verifier/components.h"
#include "verifier/pcrs.h"

enum atls_error atls_reference_visit(const struct atls_section *section,
                                     const struct atls_reference *reference,
                                     const struct atls_evidence *evidence,
                                     atls_mismatch_visitor *visit, void *arg)
{
    enum atls_error r =
        atls_components_visit(section, reference, evidence, visit, arg);

    if (r != ATLS_OK)
        return r;
    return atls_pcrs_visit_values(section, reference, evidence, visit, arg);
}

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
    if (atls_reference_visit(section, reference, evidence, count, &tally)
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

/* The reason of the first mismatch that a check met, if any; why may be NULL. */
static void explain(const struct atls_section *section,
                    const struct atls_evidence *evidence,
                    const struct atls_mismatch *first, struct atls_reason *why)
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

/* A visitor that ends at the first one; arg becomes it. */
static enum atls_error take_first(const struct atls_mismatch *mismatch,
                                  void *arg)
{
    struct atls_mismatch *first = arg;

    *first = *mismatch;
    return mismatch->reason.code;
}

/* What shows the mismatches of one step. */
typedef enum atls_error visit_mismatches(const struct atls_section *section,
                                         const struct atls_reference *reference,
                                         const struct atls_evidence *evidence,
                                         atls_mismatch_visitor *visitor,
                                         void *arg);

static enum atls_error check(visit_mismatches *visit,
                             const struct atls_section *section,
                             const struct atls_reference *reference,
                             const struct atls_evidence *evidence,
                             struct atls_reason *why)
{
    struct atls_mismatch first = {.reference = NULL};
    enum atls_error r = visit(section, reference, evidence, take_first, &first);

    explain(section, evidence, &first, why);
    return r;
}

enum atls_error atls_reference_check_components(
    const struct atls_section *section, const struct atls_reference *reference,
    const struct atls_evidence *evidence, struct atls_reason *why)
{
    return check(atls_components_visit, section, reference, evidence, why);
}

enum atls_error atls_reference_check_pcrs(
    const struct atls_section *section, const struct atls_reference *reference,
    const struct atls_evidence *evidence, struct atls_reason *why)
{
    return check(atls_pcrs_visit_values, section, reference, evidence, why);
}
