/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/pcrs.c through atls_appraise(): which PCRs count, whose
 * values they are, and what the policy accepts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
}

static void teardown(void)
{
    trial_end(&t);
}

static void select_pcrs(const char *text)
{
    ck_assert_int_eq(atls_pcr_selection_parse(text, NULL, &t.f.selection),
                     ATLS_OK);
}

/* --- selection ------------------------------------------------------------- */

/* Banks in any order, PCRs that nobody asked for, some that never count. */
static const char *const good_selections[] = {
    "sha256:0-9,11-15",
    "sha256:all",
    "sha1:all+sha256:0-15",
    "sha256:0-15+sha1:0",
    "sha512:1,2+sha384:0-7+sha256:0-7,11,15",
    "sha384:all+sha256:all+sha1:all+sha512:all",
};

START_TEST(test_good_selection)
{
    select_pcrs(good_selections[_i]);
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

static const struct {
    const char *selection;
    const char *text;
} bad_selections[] = {
    /* E6, E8: the values that the policy names are not quoted, or only of a
     * bank or of a PCR that never counts */
    {"sha256:1-9,11-15", "the policy needs PCR 0 of bank sha256, which the "
                         "quote does not cover"},
    {"sha256:0-6,8-15", "the policy needs PCR 7 of bank sha256"},
    {"sha256:0-9,12-15", "the policy needs PCR 11 of bank sha256"},
    {"sha256:0-14", "the policy needs PCR 15 of bank sha256"},
    {"sha1:all", "the policy needs PCR 0 of bank sha256"},
    {"sha384:all", "the policy needs PCR 0 of bank sha256"},
    {"sha1:all+sha384:all+sha512:all", "the policy needs PCR 0 of bank sha256"},
};

START_TEST(test_E6_E8_selection_does_not_cover_policy)
{
    trial_make(&t);
    select_pcrs(bad_selections[_i].selection);
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  bad_selections[_i].text);
}
END_TEST

/* The measured PCR is needed for each of these reasons, and for no other. */
static void log_travels(void)
{
    t.f.has_log = true;
}

static void certificate_is_demanded(void)
{
    t.section->certificate = ATLS_CERTIFICATE_MEASURED;
}

static void issuer_is_demanded(void)
{
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
}

static void component_is_demanded(void)
{
    factory_section_component(t.section, "server-code", t.channel);
}

static void others_are_excluded(void)
{
    t.section->components_any = false;
}

static void (*const log_demands[])(void) = {
    log_travels,           certificate_is_demanded, issuer_is_demanded,
    component_is_demanded, others_are_excluded,
};

/* A section with PCRs only, and evidence without log or PCR 15. */
static void make_without_log(void)
{
    t.f.has_log = false;
    select_pcrs("sha256:0-7");
    trial_make(&t);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.section->components_any = true;
}

START_TEST(test_measured_pcr_is_needed)
{
    make_without_log();
    trial_trusted(&t);
    log_demands[_i]();
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "the policy needs PCR 15 of bank sha256");
}
END_TEST

/* A PCR whose value the policy names leaves a log nothing to add. */
START_TEST(test_named_measured_pcr_needs_no_log)
{
    make_without_log();
    t.section->components_any = false;
    select_pcrs("sha256:0-7,15");
    factory_quote(&t.f);
    factory_section_pcr(t.section, 15, factory_pcr(&t.f, TPM2_ALG_SHA256, 15));
    trial_trusted(&t);
    t.section->pcrs[15].values[0][0] ^= 1;
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "PCR 15 does not match");
}
END_TEST

START_TEST(test_other_measured_pcr)
{
    t.f.measure_pcr = 8;
    trial_make(&t);
    trial_trusted(&t);
    select_pcrs("sha256:0-7,11,15");
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "the policy needs PCR 8 of bank sha256");
}
END_TEST

/* No program may decide what a PCR that it can reset says. */
START_TEST(test_resettable_pcr_never_counts)
{
    const unsigned pcr = _i == 0 ? 16 : 23;
    char text[64];

    select_pcrs("sha256:all");
    trial_make(&t);
    trial_trusted(&t);
    factory_section_pcr(t.section, pcr,
                        factory_pcr(&t.f, TPM2_ALG_SHA256, pcr));
    (void)snprintf(text, sizeof(text), "the policy needs PCR %u of bank sha256",
                   pcr);
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION, text);
}
END_TEST

START_TEST(test_E8_sha1_bank_never_counts)
{
    select_pcrs("sha1:0-15+sha256:0-15");
    trial_make(&t);
    t.section->bank = TPM2_ALG_SHA1;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "the policy needs PCR 0 of bank sha1, which the quote does "
                  "not cover (PCRs 16, 23 and bank sha1 never count)");
}
END_TEST

/* E6: quote PCR 0 alone, send more. */
START_TEST(test_E6_values_that_nobody_quoted)
{
    struct atls_pcr_values all;

    trial_make(&t);
    all = t.f.evidence.pcrs;
    select_pcrs("sha256:0");
    factory_quote(&t.f);
    t.f.evidence.pcrs = all;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "a value of PCR 1 of bank sha256 is in the evidence, but the "
                  "quote does not cover it");
}
END_TEST

START_TEST(test_E6_bank_that_nobody_quoted)
{
    struct atls_pcr_values both;

    select_pcrs("sha256:0-15+sha384:7");
    trial_make(&t);
    both = t.f.evidence.pcrs;
    select_pcrs("sha256:0-15");
    factory_quote(&t.f);
    t.f.evidence.pcrs = both;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "a value of PCR 7 of bank sha384 is in the evidence");
}
END_TEST

START_TEST(test_E7_quoted_value_is_missing)
{
    trial_make(&t);
    t.f.evidence.pcrs.banks[0].mask &= ~(UINT32_C(1) << 12);
    trial_refused(
        &t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
        "PCR 12 of bank sha256 is quoted, but its value is not in the "
        "evidence");
}
END_TEST

START_TEST(test_E7_quoted_bank_is_missing)
{
    select_pcrs("sha256:0-15+sha384:7");
    trial_make(&t);
    t.f.evidence.pcrs.count = 1;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "PCR 7 of bank sha384 is quoted, but its value is not in the "
                  "evidence");
}
END_TEST

/* What the evidence says of PCR 8 was quoted as PCR 9's (CVE-2024-29039). */
START_TEST(test_E7_relabelled_values)
{
    uint8_t(*values)[ATLS_PCR_DIGEST_MAX];
    uint8_t kept[ATLS_PCR_DIGEST_MAX];

    trial_make(&t);
    values = t.f.evidence.pcrs.banks[0].value;
    memcpy(kept, values[8], sizeof(kept));
    memcpy(values[8], values[9], sizeof(kept));
    memcpy(values[9], kept, sizeof(kept));
    trial_refused(&t, ATLS_STEP_DIGEST, ATLS_E_PCR_DIGEST,
                  "the PCR values in the evidence are not those that the TPM "
                  "quoted");
}
END_TEST

/* --- digest ---------------------------------------------------------------- */

/* The digest is of the signing scheme's hash. */
START_TEST(test_digest_of_scheme)
{
    static const uint16_t hashes[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                      TPM2_ALG_SHA512};

    t.f.hash = hashes[_i];
    t.f.ak.key = factory_key(FACTORY_P521, 0);
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

/* Where the digest stands in a quote: at its end. */
static void flip_digest(uint8_t *attest, size_t *len)
{
    attest[*len - 1] ^= 1;
}

static void cut_digest(uint8_t *attest, size_t *len)
{
    attest[*len - ATLS_SHA256_LEN - 1]--;
    (*len)--;
}

static void no_digest(uint8_t *attest, size_t *len)
{
    attest[*len - ATLS_SHA256_LEN - 1] = 0;
    *len -= ATLS_SHA256_LEN;
}

static void (*const digest_edits[])(uint8_t *, size_t *) = {
    flip_digest, cut_digest, no_digest};

START_TEST(test_wrong_digest)
{
    t.f.edit_attest = digest_edits[_i];
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_DIGEST, ATLS_E_PCR_DIGEST,
                  "not those that the TPM quoted");
}
END_TEST

/* Every octet of every value is covered. */
START_TEST(test_flipped_value)
{
    trial_make(&t);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if ((t.f.evidence.pcrs.banks[0].mask >> pcr & 1) == 0)
            continue;
        for (size_t i = 0; i < ATLS_SHA256_LEN; i++) {
            t.f.evidence.pcrs.banks[0].value[pcr][i] ^= 0x80;
            trial_refused(&t, ATLS_STEP_DIGEST, ATLS_E_PCR_DIGEST, "quoted");
            t.f.evidence.pcrs.banks[0].value[pcr][i] ^= 0x80;
        }
    }
}
END_TEST

/* --- values ---------------------------------------------------------------- */

/* In words of 64 digits each, as nothing is cut from SHA-256. */
START_TEST(test_pcr_value)
{
    char got[2 * ATLS_SHA256_LEN + 1];
    char text[ATLS_REASON_MAX];

    trial_make(&t);
    memset(t.section->pcrs[7].values[0], 0x3f, ATLS_PCR_DIGEST_MAX);
    atls_hex(factory_pcr(&t.f, TPM2_ALG_SHA256, 7), ATLS_SHA256_LEN, got);
    (void)snprintf(text, sizeof(text),
                   "PCR 7 does not match policy: expected "
                   "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f"
                   "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f, got %s",
                   got);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, text);
    ck_assert_str_eq(t.report.reason.text, text);
}
END_TEST

START_TEST(test_each_named_pcr_is_compared)
{
    char text[64];

    trial_make(&t);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (t.section->pcrs[pcr].count == 0)
            continue;
        t.section->pcrs[pcr].values[0][31] ^= 1;
        (void)snprintf(text, sizeof(text), "PCR %u does not match policy", pcr);
        trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, text);
        t.section->pcrs[pcr].values[0][31] ^= 1;
    }
}
END_TEST

START_TEST(test_one_of_several_values)
{
    uint8_t other[ATLS_PCR_DIGEST_MAX] = {1};

    trial_make(&t);
    t.section->pcrs[4].values[0][0] ^= 1;
    factory_section_pcr(t.section, 4, other);
    factory_section_pcr(t.section, 4, other);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, " or 2 others, got ");
    factory_section_pcr(t.section, 4, factory_pcr(&t.f, TPM2_ALG_SHA256, 4));
    trial_trusted(&t);
}
END_TEST

/* Two long values do not fit into a reason. */
START_TEST(test_value_of_a_long_bank)
{
    const uint16_t bank = _i == 0 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA512;

    select_pcrs(_i == 0 ? "sha384:all" : "sha512:all");
    trial_make(&t);
    t.section->bank = bank;
    for (unsigned pcr = 0; pcr <= 7; pcr++)
        factory_section_pcr(t.section, pcr, factory_pcr(&t.f, bank, pcr));
    trial_trusted(&t);
    /* the last octet counts as well */
    t.section->pcrs[4].values[0][atls_hash_by_alg(bank)->len - 1] ^= 1;
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "PCR 4 does not match policy: expected ");
    /* Both whole in the text, and short in what programs show. */
    ck_assert_ptr_null(strstr(t.report.reason.text, "..."));
    ck_assert_uint_eq(strlen(t.report.reason.text),
                      strlen("PCR 4 does not match policy: expected , got ")
                          + 2 * (size_t)(2 * atls_hash_by_alg(bank)->len));
    ck_assert_ptr_nonnull(strstr(t.report.reason.brief, "expected ..."));
    ck_assert_ptr_nonnull(strstr(t.report.reason.brief, ", got ..."));
}
END_TEST

static void zero_boot_pcrs(unsigned except)
{
    for (unsigned pcr = 0; pcr <= 7; pcr++) {
        if (pcr != except)
            memset(factory_pcr(&t.f, TPM2_ALG_SHA256, pcr), 0,
                   ATLS_PCR_DIGEST_MAX);
    }
}

START_TEST(test_E8_bank_that_firmware_does_not_extend)
{
    zero_boot_pcrs(8);
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO,
                  "PCRs 0-7 of bank sha256 are all zero: firmware did not "
                  "measure into it; use another bank, or allow_zero = yes");
    t.section->allow_zero = true;
    trial_trusted(&t);
}
END_TEST

START_TEST(test_E8_one_boot_pcr_was_extended)
{
    zero_boot_pcrs((unsigned)_i);
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

/* Zero is refused even where the policy names it, or names nothing. */
START_TEST(test_E8_some_boot_pcrs_quoted)
{
    zero_boot_pcrs(3);
    select_pcrs("sha256:2,4,11,15");
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO, "are all zero");
    t.section->pcrs[2].count = t.section->pcrs[4].count = 0;
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO, "are all zero");
}
END_TEST

START_TEST(test_no_boot_pcr_quoted)
{
    zero_boot_pcrs(8);
    select_pcrs("sha256:11,15");
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_good_selection, 0, COUNT(good_selections)),
    LOOP(test_E6_E8_selection_does_not_cover_policy, 0, COUNT(bad_selections)),
    LOOP(test_measured_pcr_is_needed, 0, COUNT(log_demands)),
    ONCE(test_named_measured_pcr_needs_no_log),
    ONCE(test_other_measured_pcr),
    LOOP(test_resettable_pcr_never_counts, 0, 2),
    ONCE(test_E8_sha1_bank_never_counts),
    ONCE(test_E6_values_that_nobody_quoted),
    ONCE(test_E6_bank_that_nobody_quoted),
    ONCE(test_E7_quoted_value_is_missing),
    ONCE(test_E7_quoted_bank_is_missing),
    ONCE(test_E7_relabelled_values),
    LOOP(test_digest_of_scheme, 0, 3),
    LOOP(test_wrong_digest, 0, COUNT(digest_edits)),
    ONCE(test_flipped_value),
    ONCE(test_pcr_value),
    ONCE(test_each_named_pcr_is_compared),
    ONCE(test_one_of_several_values),
    LOOP(test_value_of_a_long_bank, 0, 2),
    ONCE(test_E8_bank_that_firmware_does_not_extend),
    LOOP(test_E8_one_boot_pcr_was_extended, 0, 8),
    ONCE(test_E8_some_boot_pcrs_quoted),
    ONCE(test_no_boot_pcr_quoted),
};

SUITE(.name = "pcrs", .end = factory_free_keys,
      .cases = {CASE("pcrs", tests, 120, setup, teardown)});
