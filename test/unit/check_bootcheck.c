/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/bootcheck.c through atls_appraise(): the boot log of
 * evidence of format 2, and what it says of a PCR that differs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/bootcheck.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EV_SEPARATOR 0x00000004u
#define EV_S_CRTM_VERSION 0x00000008u
#define EV_EFI_ACTION 0x80000007u

static struct trial t;

/* The events of a boot: PCR 0 with a locality, PCR 4 with three events, PCR 7. */
static void plan_boot(struct factory *f)
{
    f->boot_locality = 3;
    factory_boot(f, 0, EV_S_CRTM_VERSION, "firmware 2.0");
    factory_boot(f, 4, EV_EFI_ACTION, "Calling EFI Application");
    factory_boot(f, 7, EV_SEPARATOR, "7");
    factory_boot(f, 4, EV_SEPARATOR, "4");
    factory_boot(f, 4, EV_EFI_ACTION, "Exit Boot Services Invocation");
}

static void setup(void)
{
    trial_begin(&t);
    plan_boot(&t.f);
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

/* --- logs that replay ------------------------------------------------------ */

static const char *const selections[] = {
    "sha256:0-15", "sha1:0-7+sha256:0-15",
    "sha512:0-15+sha384:0-9+sha256:all+sha1:all"};

START_TEST(test_log_that_replays)
{
    select_pcrs(selections[_i]);
    trial_make(&t);
    trial_trusted(&t);
    ck_assert_uint_eq(t.report.evidence->boot_log.count, 5);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_LOG].result, ATLS_STEP_PASSED);
}
END_TEST

/* Clouds have machines without one: no error in either format. */
START_TEST(test_empty_and_missing_logs)
{
    t.f.boot_locality = 0;
    t.f.boot_count = 0;
    trial_make(&t);
    trial_trusted(&t);
    ck_assert_uint_eq(t.report.evidence->format, ATLS_FORMAT_TPM_BOOT);
    t.f.has_boot_log = false;
    trial_make(&t);
    trial_trusted(&t);
    ck_assert_uint_eq(t.report.evidence->format, ATLS_FORMAT_TPM);
}
END_TEST

/* The step was made although no measured log counts. */
START_TEST(test_boot_log_counts_as_log)
{
    t.f.has_log = false;
    trial_make(&t);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.section->components_any = true;
    t.section->component_count = 0;
    trial_trusted(&t);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_LOG].result, ATLS_STEP_PASSED);
    t.f.has_boot_log = false;
    factory_quote(&t.f);
    trial_trusted(&t);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_LOG].result, ATLS_STEP_NOT_ASKED);
}
END_TEST

/* --- logs that lie --------------------------------------------------------- */

static struct atls_boot_log *the_log(void)
{
    return &t.f.evidence.boot_log;
}

static void swap_events(void)
{
    const struct atls_boot_event event = the_log()->events[1];

    the_log()->events[1] = the_log()->events[3];
    the_log()->events[3] = event;
}

static void drop_last_event(void)
{
    the_log()->count--;
}

static void repeat_event(void)
{
    the_log()->events[5] = the_log()->events[4];
    the_log()->count++;
}

static void relabel_event(void)
{
    the_log()->events[2].pcr = 5;
}

static void change_digest(void)
{
    t.f.boot_digests[1][1][31] ^= 1;
}

static void change_locality(void)
{
    the_log()->startup_locality = 4;
}

static void invent_locality(void)
{
    the_log()->startup_locality = 3;
    the_log()->events[0].pcr = 6;
}

static void invent_event(void)
{
    the_log()->events[5] = the_log()->events[4];
    the_log()->events[5].pcr = 2;
    the_log()->count++;
}

static const struct {
    void (*change)(void);
    const char *text;
} lies[] = {
    {swap_events, "the boot log does not replay to PCR 4 (sha256): expected "},
    {drop_last_event, "replay to PCR 4 (sha256)"},
    {repeat_event, "replay to PCR 4 (sha256)"},
    {relabel_event, "replay to PCR 5 (sha256)"},
    {change_digest, "replay to PCR 4 (sha256)"},
    {change_locality, "replay to PCR 0 (sha256)"},
    {invent_locality, "replay to PCR 0 (sha256)"},
    {invent_event, "replay to PCR 2 (sha256)"},
};

START_TEST(test_E9_log_that_lies)
{
    trial_make(&t);
    lies[_i].change();
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, lies[_i].text);
    ck_assert_uint_lt(strlen(t.report.reason.text), ATLS_REASON_MAX - 1);
    ck_assert_ptr_nonnull(strstr(t.report.reason.text,
                                 "...; set boot_log = none there, and find"));
}
END_TEST

/* Expected and found as they are, so that a person can look for them. */
START_TEST(test_reason_shows_both_values)
{
    char hex[2 * 16 + 1] = "";

    trial_make(&t);
    change_digest();
    for (unsigned i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x",
                 factory_pcr(&t.f, TPM2_ALG_SHA256, 4)[i]);
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, hex);
    ck_assert_ptr_nonnull(strstr(t.report.reason.text, "..., got "));
}
END_TEST

/* No digest goes unchecked, be it of a bank that the policy does not use. */
static const struct {
    size_t bank; /* of the factory's */
    const char *text;
} other_banks[] = {
    {0, "replay to PCR 4 (sha1)"},
    {2, "replay to PCR 4 (sha384)"},
    {3, "replay to PCR 4 (sha512)"},
};

START_TEST(test_E9_lie_in_another_bank)
{
    select_pcrs("sha1:all+sha256:all+sha384:all+sha512:all");
    trial_make(&t);
    t.f.boot_digests[3][other_banks[_i].bank][0] ^= 0x80;
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, other_banks[_i].text);
}
END_TEST

/* PCRs of the log that no quote covers, in one bank or in the only one. */
static const struct {
    const char *selection;
    unsigned pcr;
    const char *text;
} uncovered[] = {
    {"sha256:0-9,11-15", 10,
     "the boot log has events of PCR 10, but the quote does not cover it in "
     "bank sha256; add it to pcrs"},
    {"sha256:0-15+sha384:0-7", 8,
     "events of PCR 8, but the quote does not cover it in bank sha384"},
    {"sha1:0-7+sha256:0-15", 14,
     "events of PCR 14, but the quote does not cover it in bank sha1"},
};

START_TEST(test_E6_events_of_pcrs_not_quoted)
{
    select_pcrs(uncovered[_i].selection);
    factory_boot(&t.f, uncovered[_i].pcr, EV_SEPARATOR, "x");
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, uncovered[_i].text);
}
END_TEST

/* Nothing that was decoded is like that: the check does not lean on it. */
START_TEST(test_event_without_a_digest)
{
    struct atls_reason why = {.code = ATLS_OK};

    trial_make(&t);
    t.f.boot_events[1].digests[1].alg = TPM2_ALG_SM3_256;
    ck_assert_int_eq(atls_bootcheck(&t.f.evidence, &why), ATLS_E_LOG_REPLAY);
    ck_assert_ptr_nonnull(strstr(why.text, "PCR 4"));
    ck_assert_ptr_null(strstr(why.text, "set boot_log = none"));
}
END_TEST

/* --- what is not covered --------------------------------------------------- */

/* Types and data are the peer's word, and no check looks at them. */
START_TEST(test_types_and_data_are_claims)
{
    static const uint8_t other[] = "something else";

    trial_make(&t);
    t.f.boot_events[1].type = 0xffffffff;
    t.f.boot_events[4].data = (struct atls_span){other, sizeof(other) - 1};
    trial_trusted(&t);
}
END_TEST

static bool is_same_event(const struct atls_boot_event *a,
                          const struct atls_boot_event *b)
{
    return a->pcr == b->pcr && a->digest_count == 1
           && memcmp(a->digests[0].octets,
                     atls_boot_event_digest(b, TPM2_ALG_SHA256), 32)
                  == 0;
}

/* Where the last entry of the map begins: check_flips.c has the others. */
static size_t boot_log_offset(void)
{
    const uint8_t *digest = t.f.boot_digests[0][1];
    size_t offset = t.f.cmw_len - ATLS_SHA256_LEN;

    while (memcmp(t.f.cmw + offset, digest, ATLS_SHA256_LEN) != 0)
        offset--;
    /* Key, array, locality, array; event, PCR, type, digests, digest. */
    return offset - 10;
}

/* E12: whatever octet is changed, evidence that is still accepted says the same
 * of everything but types and data. */
START_TEST(test_E12_flips_change_claims_only)
{
    size_t accepted = 0;
    size_t begin;

    trial_make(&t);
    trial_trusted(&t);
    begin = boot_log_offset();
    for (size_t bit = 8 * begin; bit < 8 * t.f.cmw_len; bit += trial_stride()) {
        t.f.cmw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (trial_run_octets(&t, t.f.cmw, t.f.cmw_len) == ATLS_OK) {
            const struct atls_boot_log *log = &t.report.evidence->boot_log;

            ck_assert_uint_eq(log->count, t.f.boot_count);
            ck_assert_uint_eq(log->startup_locality, t.f.boot_locality);
            for (size_t i = 0; i < log->count; i++)
                ck_assert(is_same_event(&log->events[i], &t.f.boot_events[i]));
            accepted++;
        }
        t.f.cmw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* No more than there are bits of claims. */
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_lt(accepted, 8 * 5 * (4 + FACTORY_BOOT_DATA_MAX));
}
END_TEST

/* --- what was asked for ---------------------------------------------------- */

static const struct atls_formats plain_only = {1, {ATLS_FORMAT_TPM}};
static const struct atls_formats boot_first = {
    2, {ATLS_FORMAT_TPM_BOOT, ATLS_FORMAT_TPM}};

START_TEST(test_S27_boot_log_nobody_asked_for)
{
    trial_make(&t);
    t.asked = &plain_only;
    trial_refused(&t, ATLS_STEP_DECODE, ATLS_E_FORMAT,
                  "the evidence is of format 2, which we did not ask for: the "
                  "peer does not keep to the protocol");
    t.asked = &boot_first;
    trial_trusted(&t);
}
END_TEST

START_TEST(test_plain_answer_to_who_asks_for_both)
{
    t.f.has_boot_log = false;
    trial_make(&t);
    t.asked = &boot_first;
    trial_trusted(&t);
    t.asked = &plain_only;
    trial_trusted(&t);
}
END_TEST

/* --- the event that differs ------------------------------------------------ */

/* The machine that the section is about booted with other events of PCR 4. */
static struct factory good;

static void expect_reason(const char *text)
{
    static struct atls_boot_log log;

    log = factory_boot_log(&good);
    factory_make(&good);
    trial_make(&t);
    t.section->boot_log = &log;
    memcpy(t.section->pcrs[4].values[0], factory_pcr(&good, TPM2_ALG_SHA256, 4),
           ATLS_PCR_DIGEST_MAX);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, text);
    ck_assert_uint_lt(strlen(t.report.reason.text), ATLS_REASON_MAX - 1);
    factory_clear(&good);
}

static void begin_good(void)
{
    factory_init(&good, 1);
    plan_boot(&good);
}

START_TEST(test_first_event_that_differs)
{
    begin_good();
    strcpy(good.boot[3].data, "another separator");
    strcpy(good.boot[4].data, "another exit");
    expect_reason("; first different event: 3 EV_SEPARATOR");
    ck_assert_ptr_nonnull(
        strstr(t.report.reason.text, "PCR 4 does not match policy: expected "));
}
END_TEST

START_TEST(test_event_too_many)
{
    begin_good();
    good.boot_count--;
    expect_reason("; first different event: 4 EV_EFI_ACTION "
                  "Exit Boot Services Invocation");
}
END_TEST

START_TEST(test_event_that_is_missing)
{
    begin_good();
    factory_boot(&good, 4, EV_EFI_ACTION, "Exit Boot Services Returned");
    expect_reason("; its log ends before event EV_EFI_ACTION");
}
END_TEST

/* Logs that agree, a log that is left out of the evidence, and no log. */
static void without_event(void)
{
    ck_assert_ptr_null(strstr(t.report.reason.text, "event"));
    ck_assert_uint_gt(strlen(t.report.reason.text), 150);
}

START_TEST(test_no_event_to_name)
{
    struct atls_boot_log log;

    trial_make(&t);
    log = factory_boot_log(&t.f);
    t.section->pcrs[4].values[0][0] ^= 1;
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, "PCR 4 does not match");
    without_event();
    t.section->boot_log = &log;
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, "PCR 4 does not match");
    without_event();
    t.f.has_boot_log = false;
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, "PCR 4 does not match");
    without_event();
}
END_TEST

/* A log says nothing of evidence whose values are right. */
START_TEST(test_policy_log_decides_nothing)
{
    struct atls_boot_log log;

    begin_good();
    strcpy(good.boot[3].data, "another separator");
    log = factory_boot_log(&good);
    trial_make(&t);
    t.section->boot_log = &log;
    trial_trusted(&t);
    factory_clear(&good);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_log_that_replays, 0, COUNT(selections)),
    ONCE(test_empty_and_missing_logs),
    ONCE(test_boot_log_counts_as_log),
    LOOP(test_E9_log_that_lies, 0, COUNT(lies)),
    ONCE(test_reason_shows_both_values),
    LOOP(test_E9_lie_in_another_bank, 0, COUNT(other_banks)),
    LOOP(test_E6_events_of_pcrs_not_quoted, 0, COUNT(uncovered)),
    ONCE(test_event_without_a_digest),
    ONCE(test_types_and_data_are_claims),
    ONCE(test_E12_flips_change_claims_only),
    ONCE(test_S27_boot_log_nobody_asked_for),
    ONCE(test_plain_answer_to_who_asks_for_both),
    ONCE(test_first_event_that_differs),
    ONCE(test_event_too_many),
    ONCE(test_event_that_is_missing),
    ONCE(test_no_event_to_name),
    ONCE(test_policy_log_decides_nothing),
};

SUITE(.name = "bootcheck", .end = factory_free_keys,
      .cases = {CASE("bootcheck", tests, 300, setup, teardown)});
