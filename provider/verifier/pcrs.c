/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/pcrs.h"

#include <stdio.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "verifier/bootcheck.h"
#include "verifier/measured.h"

/* Any program on the machine can reset PCR 16 (debug) and 23 (application): TCG
 * PC Client Platform TPM Profile, "PCR Attributes". */
#define RESETTABLE (UINT32_C(1) << 16 | UINT32_C(1) << 23)
/* Firmware extends each of PCRs 0-7 in every boot, be it by a separator: TCG PC
 * Client Platform Firmware Profile. */
#define FIRMWARE_PCR_COUNT 8u
#define BOOT_PCRS ((UINT32_C(1) << FIRMWARE_PCR_COUNT) - 1)

#define VALUE_TEXT (2 * ATLS_PCR_DIGEST_MAX + 1)
/* Octets of a value in the brief form of a reason: enough to tell two apart. */
#define EVENT_TEXT 120

static const char *bank_name(uint16_t alg)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);

    return hash != NULL ? hash->name : "of unknown hash";
}

static size_t bank_len(uint16_t alg)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);

    return hash != NULL ? hash->len : 0;
}

static unsigned lowest_pcr(uint32_t mask)
{
    unsigned pcr = 0;

    while ((mask >> pcr & 1) == 0)
        pcr++;
    return pcr;
}

static uint32_t quoted_mask(const struct atls_pcr_selection *selection,
                            uint16_t alg)
{
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->banks[i].alg == alg)
            return selection->banks[i].mask;
    }
    return 0;
}

static uint32_t value_mask(const struct atls_pcr_values *values, uint16_t alg)
{
    for (size_t i = 0; i < values->count; i++) {
        if (values->banks[i].alg == alg)
            return values->banks[i].mask;
    }
    return 0;
}

enum atls_error atls_pcrs_check_quoted(
    const struct atls_pcr_selection *selection,
    const struct atls_pcr_values *values, struct atls_reason *why)
{
    for (size_t i = 0; i < selection->count; i++) {
        uint16_t alg = selection->banks[i].alg;
        uint32_t missing = selection->banks[i].mask & ~value_mask(values, alg);

        if (missing != 0)
            return atls_fail(
                why, ATLS_E_SELECTION,
                "PCR %u of bank %s is quoted, but its value is not "
                "in the evidence",
                lowest_pcr(missing), bank_name(alg));
    }
    for (size_t i = 0; i < values->count; i++) {
        uint16_t alg = values->banks[i].alg;
        uint32_t extra = values->banks[i].mask & ~quoted_mask(selection, alg);

        if (extra != 0)
            return atls_fail(
                why, ATLS_E_SELECTION,
                "a value of PCR %u of bank %s is in the evidence" ATLS_MORE ", "
                "but the quote does not cover it",
                lowest_pcr(extra), bank_name(alg));
    }
    return ATLS_OK;
}

static uint32_t named_pcrs(const struct atls_pcr_rule rules[ATLS_PCR_COUNT])
{
    uint32_t named = 0;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (rules[pcr].count > 0)
            named |= UINT32_C(1) << pcr;
    }
    return named;
}

/* Of references those PCRs that each of them names: no choice is made yet, and a
 * machine need not quote what only another model's reference is about. */
static uint32_t needed_pcrs(const struct atls_section *section,
                            const struct atls_evidence *evidence)
{
    uint32_t needed = named_pcrs(section->pcrs);
    uint32_t common = section->reference_count > 0 ? UINT32_MAX : 0;

    for (size_t i = 0; i < section->reference_count; i++)
        common &= named_pcrs(section->references[i].pcrs);
    needed |= common;
    if (atls_measured_log_counts(section, evidence))
        needed |= UINT32_C(1) << section->measure_pcr;
    return needed;
}

enum atls_error atls_pcrs_check_covered(
    const struct atls_section *section, const struct atls_evidence *evidence,
    const struct atls_pcr_selection *selection, struct atls_reason *why)
{
    uint32_t counts = quoted_mask(selection, section->bank) & ~RESETTABLE;
    uint32_t missing;

    if (section->bank == TPM2_ALG_SHA1)
        counts = 0;
    missing = needed_pcrs(section, evidence) & ~counts;
    if (missing != 0)
        return atls_fail(why, ATLS_E_SELECTION,
                         "the policy needs PCR %u of bank %s, which the quote "
                         "does not cover" ATLS_MORE
                         " (PCRs 16, 23 and bank sha1 never "
                         "count); add it to pcrs on the attester",
                         lowest_pcr(missing), bank_name(section->bank));
    return ATLS_OK;
}

bool atls_pcrs_list_zero(const struct atls_pcr_rule rules[ATLS_PCR_COUNT])
{
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX];

    for (unsigned pcr = 0; pcr < FIRMWARE_PCR_COUNT; pcr++) {
        for (size_t i = 0; i < rules[pcr].count; i++) {
            if (memcmp(rules[pcr].values[i], zero, sizeof(zero)) == 0)
                return true;
        }
    }
    return false;
}

/* What one visit of PCRs is about. */
struct visit {
    const struct atls_section *section;
    const struct atls_reference *reference; /* or NULL */
    const struct atls_evidence *evidence;
    atls_mismatch_visitor *visitor;
    void *arg;
};

/* allow_zero is of use only to who lists zero: not to another reference. */
static bool may_be_zero(const struct visit *visit)
{
    return visit->section->allow_zero
           && (atls_pcrs_list_zero(visit->section->pcrs)
               || (visit->reference != NULL
                   && atls_pcrs_list_zero(visit->reference->pcrs)));
}

/* A bank that firmware does not extend vouches for nothing, whatever else was
 * extended into it (CVE-2021-42299). */
static enum atls_error check_boot_bank(const struct visit *visit,
                                       struct atls_reason *why)
{
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX];
    const struct atls_pcr_values *values = &visit->evidence->pcrs;
    uint16_t bank = visit->section->bank;
    uint32_t boot = value_mask(values, bank) & BOOT_PCRS;

    if (boot == 0 || may_be_zero(visit))
        return ATLS_OK;
    for (; boot != 0; boot &= boot - 1) {
        const uint8_t *value = atls_pcr_value(values, bank, lowest_pcr(boot));

        if (memcmp(value, zero, sizeof(zero)) != 0)
            return ATLS_OK;
    }
    return atls_fail(why, ATLS_E_PCR_ZERO,
                     "PCRs 0-7 of bank %s are all zero: firmware did not "
                     "measure into it; use another bank, or allow_zero = yes "
                     "where no firmware measures",
                     bank_name(bank));
}

/* Each whole, and as the brief form of a reason has it.
 *   value  NULL: there is none */
static void write_values(const uint8_t *wanted, const uint8_t *value,
                         size_t len, char ret_wanted[VALUE_TEXT],
                         char ret_wanted_brief[ATLS_HEX_BRIEF_SIZE],
                         char ret[VALUE_TEXT],
                         char ret_brief[ATLS_HEX_BRIEF_SIZE])
{
    atls_hex(wanted, len, ret_wanted);
    atls_hex_brief(wanted, value != NULL ? value : wanted, len,
                   ret_wanted_brief, ret_brief);
    if (value != NULL) {
        atls_hex(value, len, ret);
        return;
    }
    strcpy(ret, "no value");
    strcpy(ret_brief, "no value");
}

/* The log that was recorded with the values of the mismatch's rule. */
static const struct atls_boot_log *boot_log_of(
    const struct visit *visit, const struct atls_mismatch *mismatch)
{
    if (mismatch->reference != NULL && mismatch->reference->boot_log != NULL)
        return mismatch->reference->boot_log;
    return visit->section->boot_log;
}

/* Is the value one that the mismatch's rule accepts? */
static enum atls_error check_pcr(const struct visit *visit,
                                 struct atls_mismatch *mismatch)
{
    const struct atls_pcr_rule *rule = mismatch->pcr_rule;
    const uint8_t *value = mismatch->pcr_value;
    size_t len = bank_len(visit->section->bank);
    char expected[VALUE_TEXT], expected_brief[ATLS_HEX_BRIEF_SIZE];
    char got[VALUE_TEXT], got_brief[ATLS_HEX_BRIEF_SIZE];
    char event[EVENT_TEXT];
    char others[32] = "";

    for (size_t i = 0; i < rule->count; i++) {
        if (value != NULL && memcmp(value, rule->values[i], len) == 0)
            return ATLS_OK;
    }
    atls_bootcheck_explain(boot_log_of(visit, mismatch), visit->evidence,
                           visit->section->bank, mismatch->pcr, event,
                           sizeof(event));
    write_values(rule->values[0], value, len, expected, expected_brief, got,
                 got_brief);
    if (rule->count > 1)
        (void)snprintf(others, sizeof(others), " or %zu others",
                       rule->count - 1);
    return atls_fail(
        &mismatch->reason, ATLS_E_PCR_VALUE,
        "PCR %u does not match policy: expected %s%.20s, got %s" ATLS_WHOLE
        "PCR %u does not match policy: expected %s%s, got %s%s",
        mismatch->pcr, expected_brief, others, got_brief, mismatch->pcr,
        expected, others, got, event);
}

/* One PCR, under the rule of the section (reference NULL) or of a reference. */
static enum atls_error visit_pcr(const struct visit *visit, unsigned pcr,
                                 const struct atls_pcr_rule *rule,
                                 const struct atls_reference *reference)
{
    struct atls_mismatch mismatch = {
        .kind = ATLS_MISMATCH_PCR,
        .step = ATLS_STEP_PCRS,
        .reference = reference,
        .pcr = pcr,
        .pcr_rule = rule,
        .pcr_value =
            atls_pcr_value(&visit->evidence->pcrs, visit->section->bank, pcr)};

    if (rule->count == 0 || check_pcr(visit, &mismatch) == ATLS_OK)
        return ATLS_OK;
    return visit->visitor(&mismatch, visit->arg);
}

static enum atls_error visit_boot_bank(const struct visit *visit)
{
    const struct atls_section *section = visit->section;
    struct atls_mismatch mismatch = {
        .kind = ATLS_MISMATCH_PCR_ZERO,
        .step = ATLS_STEP_PCRS,
        /* Another reference might list zero. */
        .reference = section->allow_zero ? visit->reference : NULL};

    if (check_boot_bank(visit, &mismatch.reason) == ATLS_OK)
        return ATLS_OK;
    return visit->visitor(&mismatch, visit->arg);
}

enum atls_error atls_pcrs_visit_values(const struct atls_section *section,
                                       const struct atls_reference *reference,
                                       const struct atls_evidence *evidence,
                                       atls_mismatch_visitor *visitor,
                                       void *arg)
{
    const struct visit visit = {section, reference, evidence, visitor, arg};
    enum atls_error r = visit_boot_bank(&visit);

    if (r != ATLS_OK)
        return r;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        r = visit_pcr(&visit, pcr, &section->pcrs[pcr], NULL);
        if (r != ATLS_OK)
            return r;
        if (reference == NULL)
            continue;
        r = visit_pcr(&visit, pcr, &reference->pcrs[pcr], reference);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}
