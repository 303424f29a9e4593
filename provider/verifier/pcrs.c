/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/pcrs.h"

#include <stdio.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "digest.h"
#include "verifier/measured.h"

/* Any program on the machine can reset PCR 16 (debug) and 23 (application): TCG
 * PC Client Platform TPM Profile, "PCR Attributes". */
#define RESETTABLE (UINT32_C(1) << 16 | UINT32_C(1) << 23)
/* Firmware extends each of PCRs 0-7 in every boot, be it by a separator: TCG PC
 * Client Platform Firmware Profile. */
#define BOOT_PCRS UINT32_C(0xff)

/* Longer ones than SHA-256's do not fit into a reason twice. */
#define VALUE_LEN_MAX ATLS_SHA256_LEN
#define VALUE_TEXT (2 * VALUE_LEN_MAX + sizeof("..."))

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
            return atls_fail(why, ATLS_E_SELECTION,
                             "a value of PCR %u of bank %s is in the evidence, "
                             "but the quote does not cover it",
                             lowest_pcr(extra), bank_name(alg));
    }
    return ATLS_OK;
}

static uint32_t needed_pcrs(const struct atls_section *section,
                            const struct atls_evidence *evidence)
{
    uint32_t needed = 0;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (section->pcrs[pcr].count > 0)
            needed |= UINT32_C(1) << pcr;
    }
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
                         "does not cover (PCRs 16, 23 and bank sha1 never "
                         "count); add it to pcrs on the attester",
                         lowest_pcr(missing), bank_name(section->bank));
    return ATLS_OK;
}

/* A bank that firmware does not extend vouches for nothing, whatever else was
 * extended into it (CVE-2021-42299). */
static enum atls_error check_boot_bank(const struct atls_section *section,
                                       const struct atls_pcr_values *values,
                                       struct atls_reason *why)
{
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX];
    uint16_t bank = section->bank;
    uint32_t boot = value_mask(values, bank) & BOOT_PCRS;

    if (boot == 0 || section->allow_zero)
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

/* Cut, with dots, where two of them do not fit into a reason. */
static void write_value(const uint8_t *value, size_t len, char ret[VALUE_TEXT])
{
    atls_hex(value, len < VALUE_LEN_MAX ? len : VALUE_LEN_MAX, ret);
    if (len > VALUE_LEN_MAX)
        strcat(ret, "...");
}

static enum atls_error check_pcr(const struct atls_section *section,
                                 const struct atls_pcr_values *values,
                                 unsigned pcr, struct atls_reason *why)
{
    const struct atls_pcr_rule *rule = &section->pcrs[pcr];
    const uint8_t *value = atls_pcr_value(values, section->bank, pcr);
    size_t len = bank_len(section->bank);
    char expected[VALUE_TEXT];
    char got[VALUE_TEXT] = "no value";
    char others[32] = "";

    for (size_t i = 0; i < rule->count; i++) {
        if (value != NULL && memcmp(value, rule->values[i], len) == 0)
            return ATLS_OK;
    }
    write_value(rule->values[0], len, expected);
    if (value != NULL)
        write_value(value, len, got);
    if (rule->count > 1)
        (void)snprintf(others, sizeof(others), " or %zu others",
                       rule->count - 1);
    return atls_fail(why, ATLS_E_PCR_VALUE,
                     "PCR %u does not match policy: expected %s%s, got %s", pcr,
                     expected, others, got);
}

enum atls_error atls_pcrs_check_values(const struct atls_section *section,
                                       const struct atls_pcr_values *values,
                                       struct atls_reason *why)
{
    enum atls_error r = check_boot_bank(section, values, why);

    if (r != ATLS_OK)
        return r;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (section->pcrs[pcr].count == 0)
            continue;
        r = check_pcr(section, values, pcr, why);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}
