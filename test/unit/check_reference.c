/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/reference.c through atls_appraise(): sets of
 * good states, one of which a machine must be in as a whole. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/components.h"
#include "verifier/mismatch.h"
#include "verifier/pcrs.h"
#include "verifier/reference.h"

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

/* --- sections -------------------------------------------------------------- */

static const uint8_t *pcr_value(unsigned pcr)
{
    return factory_pcr(&t.f, TPM2_ALG_SHA256, pcr);
}

static void name_component(struct atls_reference *reference, const char *name,
                           uint8_t octet)
{
    uint8_t digest[ATLS_SHA256_LEN];

    memset(digest, octet, sizeof(digest));
    factory_reference_component(reference, name, digest);
}

static void name_wrong_pcr(struct atls_reference *reference, unsigned pcr)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    memset(value, 0x3f, ATLS_SHA256_LEN);
    factory_reference_pcr(reference, pcr, value);
}

/* The section of the plan, that demands no PCR and no component itself. */
static void make_bare(void)
{
    struct atls_section *section;

    trial_make(&t);
    section = factory_section_new();
    factory_section_trust(section, t.f.root_cert);
    factory_section_machine(section, t.f.ak.cn);
    section->ak_eku_any = true;
    section->certificate = ATLS_CERTIFICATE_MEASURED;
    factory_section_free(t.section);
    t.section = section;
}

/* What the plan's machine is: PCRs 0, 4, 7 and both components. */
static struct atls_reference *add_good(const char *name)
{
    struct atls_reference *reference =
        factory_section_reference(t.section, name);

    factory_reference_pcr(reference, 0, pcr_value(0));
    factory_reference_pcr(reference, 4, pcr_value(4));
    factory_reference_pcr(reference, 7, pcr_value(7));
    name_component(reference, "model-weights", 0xaa);
    name_component(reference, "server-code", 0xbb);
    return reference;
}

/* Another PCR 4 and other weights. */
static struct atls_reference *add_other(const char *name)
{
    struct atls_reference *reference =
        factory_section_reference(t.section, name);

    factory_reference_pcr(reference, 0, pcr_value(0));
    name_wrong_pcr(reference, 4);
    factory_reference_pcr(reference, 7, pcr_value(7));
    name_component(reference, "model-weights", 0xcc);
    name_component(reference, "server-code", 0xbb);
    return reference;
}

static void assert_reference(const char *name)
{
    ck_assert_ptr_nonnull(t.report.reference);
    ck_assert_str_eq(t.report.reference->name, name);
}

/* --- one of them matches --------------------------------------------------- */

START_TEST(test_one_of_several_matches)
{
    make_bare();
    if (_i == 0)
        (void)add_good("golden-a");
    (void)add_other("golden-b");
    if (_i == 1)
        (void)add_good("golden-a");
    (void)add_other("golden-c");
    if (_i == 2)
        (void)add_good("golden-a");
    trial_trusted(&t);
    assert_reference("golden-a");
    ck_assert_int_eq(t.report.steps[ATLS_STEP_COMPONENTS].result,
                     ATLS_STEP_PASSED);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_PCRS].result, ATLS_STEP_PASSED);
}
END_TEST

START_TEST(test_first_of_several_that_match)
{
    make_bare();
    (void)add_good("golden-a");
    (void)add_good("golden-b");
    trial_trusted(&t);
    assert_reference("golden-a");
}
END_TEST

/* Good in each value, but not in all those of one reference. */
START_TEST(test_must_match_as_a_whole)
{
    struct atls_reference *reference;

    make_bare();
    reference = add_good("golden-a");
    memset(reference->pcrs[4].values[0], 0x3f, ATLS_SHA256_LEN);
    reference = add_good("golden-b");
    memset(reference->pcrs[7].values[0], 0x3f, ATLS_SHA256_LEN);
    trial_refused(
        &t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
        "no reference matches; nearest is golden-a (1 of 5 differ): "
        "PCR 4 does not match policy: expected "
        "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f, "
        "got ");
    assert_reference("golden-a");
}
END_TEST

START_TEST(test_no_references)
{
    trial_make(&t);
    trial_trusted(&t);
    ck_assert_ptr_null(t.report.reference);
}
END_TEST

/* --- none matches ---------------------------------------------------------- */

START_TEST(test_component_of_a_reference)
{
    make_bare();
    (void)add_other("golden-b");
    trial_refused(
        &t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
        "no reference matches; nearest is golden-b (2 of 5 differ): "
        "component model-weights does not match policy: expected "
        "sha256:"
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc, got "
        "sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_reference("golden-b");
    memset(t.section->references[0].components[0].digests[0], 0xaa,
           ATLS_SHA256_LEN);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "no reference matches; nearest is golden-b (1 of 5 differ): "
                  "PCR 4 does not match policy");
}
END_TEST

START_TEST(test_P10_component_of_a_reference_is_missing)
{
    struct atls_reference *reference;

    make_bare();
    reference = add_good("golden-a");
    name_component(reference, "tokenizer", 0xdd);
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
                  "nearest is golden-a (1 of 6 differ): component tokenizer is "
                  "missing from the measured log");
}
END_TEST

/* `components = listed` goes by what section and reference list, not by what
 * another reference does. */
START_TEST(test_listed_by_another_reference)
{
    struct atls_reference *reference;

    make_bare();
    reference = factory_section_reference(t.section, "golden-a");
    factory_reference_pcr(reference, 4, pcr_value(4));
    name_component(reference, "server-code", 0xbb);
    reference = add_other("golden-b");
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "no reference matches; nearest is golden-a (1 of 3 differ): "
                  "component model-weights was loaded, which the policy does "
                  "not list");
    /* The section's list counts for each of them. */
    memset(t.f.extra_data, 0xaa, ATLS_SHA256_LEN);
    factory_section_component(t.section, "model-weights", t.f.extra_data);
    trial_trusted(&t);
    assert_reference("golden-a");
}
END_TEST

START_TEST(test_unlisted_event)
{
    factory_log(&t.f, "machine-id:0123456789abcdef0123456789abcdef and so on "
                      "for more than is shown of it");
    make_bare();
    (void)add_good("golden-a");
    trial_refused(
        &t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
        "nearest is golden-a (1 of 6 differ): the measured log holds "
        "an event that the policy does not list: "
        "\"machine-id:0123456789abcdef0123456789a...and so on for more than "
        "is shown of it\"; add a pattern");
    factory_section_event(t.section, "machine-id:*");
    trial_trusted(&t);
}
END_TEST

START_TEST(test_nearest)
{
    make_bare();
    (void)add_other("golden-a");
    name_wrong_pcr(add_good("golden-b"), 9);
    (void)add_other("golden-c");
    name_wrong_pcr(add_good("golden-d"), 9);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "nearest is golden-b (1 of 6 differ): PCR 9 does not match");
}
END_TEST

/* --- beside the section ---------------------------------------------------- */

/* The same PCR in both: both must hold. */
START_TEST(test_pcr_of_section_and_reference)
{
    uint8_t other[ATLS_PCR_DIGEST_MAX] = {0};

    make_bare();
    (void)add_good("golden-a");
    memset(other, 0x3f, ATLS_SHA256_LEN);
    factory_section_pcr(t.section, 4, other);
    /* No reference is to blame. */
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "PCR 4 does not match policy: expected 3f3f");
    ck_assert_ptr_null(strstr(t.report.reason.text, "reference"));
    assert_reference("golden-a");
    factory_section_pcr(t.section, 4, pcr_value(4));
    trial_trusted(&t);
    memset(t.section->references[0].pcrs[4].values[0], 0x3e, ATLS_SHA256_LEN);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "nearest is golden-a (1 of 5 differ): PCR 4 does not match "
                  "policy: expected 3e3e");
}
END_TEST

START_TEST(test_component_of_section_and_reference)
{
    uint8_t digest[ATLS_SHA256_LEN];

    make_bare();
    (void)add_good("golden-a");
    memset(digest, 0x11, sizeof(digest));
    factory_section_component(t.section, "server-code", digest);
    trial_refused(
        &t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
        "component server-code does not match policy: expected "
        "sha256:"
        "1111111111111111111111111111111111111111111111111111111111111111, got "
        "sha256:"
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    ck_assert_ptr_null(strstr(t.report.reason.text, "reference"));
    memset(digest, 0xbb, sizeof(digest));
    factory_section_component(t.section, "server-code", digest);
    trial_trusted(&t);
}
END_TEST

/* --- what must be quoted --------------------------------------------------- */

static void select_pcrs(const char *text)
{
    ck_assert_int_eq(atls_pcr_selection_parse(text, NULL, &t.f.selection),
                     ATLS_OK);
}

/* What each reference names is demanded before one is chosen. */
START_TEST(test_E6_pcr_of_every_reference_is_not_quoted)
{
    select_pcrs("sha256:0-3,5-9,11-15");
    make_bare();
    (void)add_good("golden-a");
    (void)add_other("golden-b");
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION,
                  "the policy needs PCR 4 of bank sha256");
}
END_TEST

/* What one of them names, and is not quoted, does not match. */
START_TEST(test_E6_pcr_of_one_reference_is_not_quoted)
{
    struct atls_reference *reference;

    select_pcrs("sha256:0-8,11-15");
    make_bare();
    reference = add_good("golden-a");
    factory_reference_pcr(reference, 9, pcr_value(9));
    reference = add_other("golden-b");
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE,
                  "nearest is golden-a (1 of 6 differ): PCR 9 does not match "
                  "policy: expected ");
    ck_assert_ptr_nonnull(strstr(t.report.reason.text, "got no value"));
    (void)add_good("golden-c");
    trial_trusted(&t);
    assert_reference("golden-c");
}
END_TEST

/* Components of a reference make the log count, and so its PCR. */
START_TEST(test_P10_log_left_out)
{
    make_bare();
    t.section->components_any = true;
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.f.evidence.has_log = false;
    trial_trusted(&t);
    (void)add_good("golden-a");
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY,
                  "the measured log (0 events, none was sent)");
}
END_TEST

/* Where the section, or each reference, names the measured PCR's value, nothing
 * depends on the log. */
START_TEST(test_named_measured_pcr_needs_no_log)
{
    struct atls_reference *reference;

    make_bare();
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.f.evidence.has_log = false;
    t.f.evidence.log_count = 0;
    reference = factory_section_reference(t.section, "golden-a");
    factory_reference_pcr(reference, 15, pcr_value(15));
    trial_trusted(&t);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_LOG].result, ATLS_STEP_NOT_ASKED);
    reference = factory_section_reference(t.section, "golden-b");
    factory_reference_pcr(reference, 4, pcr_value(4));
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, "none was sent");
}
END_TEST

/* --- zero ------------------------------------------------------------------ */

START_TEST(test_E8_zero_listed_by_a_reference)
{
    struct atls_reference *reference;

    for (unsigned pcr = 0; pcr < 8; pcr++)
        memset(factory_pcr(&t.f, TPM2_ALG_SHA256, pcr), 0, ATLS_PCR_DIGEST_MAX);
    make_bare();
    reference = factory_section_reference(t.section, "no-zero");
    factory_reference_pcr(reference, 11, pcr_value(11));
    name_component(reference, "model-weights", 0xaa);
    name_component(reference, "server-code", 0xbb);
    reference = add_good("zero");
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO,
                  "PCRs 0-7 of bank sha256 are all zero");
    ck_assert_ptr_null(strstr(t.report.reason.text, "reference"));
    t.section->allow_zero = true;
    trial_trusted(&t);
    assert_reference("zero");
    /* Another reference does not profit from it. */
    name_wrong_pcr(reference, 9);
    name_wrong_pcr(reference, 8);
    trial_refused(&t, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO,
                  "nearest is no-zero (1 of 4 differ): PCRs 0-7 of bank sha256 "
                  "are all zero");
}
END_TEST

/* --- every mismatch -------------------------------------------------------- */

struct seen {
    size_t count;
    struct atls_mismatch mismatches[16];
    enum atls_error stop_code; /* returned at the last one wanted */
    size_t wanted;
};

static enum atls_error note(const struct atls_mismatch *mismatch, void *arg)
{
    struct seen *seen = arg;

    ck_assert_uint_lt(seen->count, COUNT(seen->mismatches));
    seen->mismatches[seen->count++] = *mismatch;
    return seen->count == seen->wanted ? seen->stop_code : ATLS_OK;
}

static enum atls_error visit(struct seen *seen)
{
    seen->count = 0;
    return atls_reference_visit(t.section,
                                atls_reference_choose(t.section, &t.f.evidence),
                                &t.f.evidence, note, seen);
}

/* One of each kind, in the order in which they are shown. */
static const struct {
    enum atls_mismatch_kind kind;
    enum atls_step step;
    enum atls_error code;
    bool is_of_reference;
    const char *text;
} every[] = {
    {ATLS_MISMATCH_COMPONENT_UNLISTED, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
     true, "component rootkit was loaded"},
    {ATLS_MISMATCH_EVENT_UNLISTED, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT, true,
     "\"machine-id:0\""},
    {ATLS_MISMATCH_COMPONENT_MISSING, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
     false, "component firmware is missing"},
    {ATLS_MISMATCH_COMPONENT, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT, true,
     "component model-weights does not match"},
    {ATLS_MISMATCH_PCR_ZERO, ATLS_STEP_PCRS, ATLS_E_PCR_ZERO, false,
     "all zero"},
    {ATLS_MISMATCH_PCR, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, true,
     "PCR 4 does not match"},
    {ATLS_MISMATCH_PCR, ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, false,
     "PCR 11 does not match"},
};

static void make_every_mismatch(void)
{
    uint8_t other[ATLS_PCR_DIGEST_MAX] = {0};

    for (unsigned pcr = 0; pcr < 8; pcr++)
        memset(factory_pcr(&t.f, TPM2_ALG_SHA256, pcr), 0, ATLS_PCR_DIGEST_MAX);
    factory_log(&t.f, factory_component("rootkit", 'e'));
    factory_log(&t.f, "machine-id:0");
    make_bare();
    (void)add_other("golden-a");
    memset(other, 0x77, ATLS_SHA256_LEN);
    factory_section_pcr(t.section, 11, other);
    factory_section_component(t.section, "firmware", other);
}

static void assert_every(const struct seen *seen, size_t count)
{
    ck_assert_uint_eq(seen->count, count);
    for (size_t i = 0; i < count; i++) {
        const struct atls_mismatch *mismatch = &seen->mismatches[i];

        ck_assert_int_eq(mismatch->kind, every[i].kind);
        ck_assert_int_eq(mismatch->step, every[i].step);
        ck_assert_int_eq(mismatch->reason.code, every[i].code);
        ck_assert_ptr_nonnull(strstr(mismatch->reason.text, every[i].text));
        ck_assert_ptr_null(strstr(mismatch->reason.text, "nearest"));
        ck_assert_ptr_eq(mismatch->reference, every[i].is_of_reference
                                                  ? &t.section->references[0]
                                                  : NULL);
    }
}

START_TEST(test_every_mismatch)
{
    struct seen seen = {.wanted = 0};
    const struct atls_mismatch *found = seen.mismatches;

    make_every_mismatch();
    ck_assert_int_eq(visit(&seen), ATLS_OK);
    assert_every(&seen, COUNT(every));
    ck_assert_mem_eq(found[0].event.data, "component rootkit ", 18);
    ck_assert_mem_eq(found[1].event.data, "machine-id:0", found[1].event.len);
    ck_assert_str_eq(found[2].component->name, "firmware");
    ck_assert_ptr_null(found[2].event.data);
    ck_assert_str_eq(found[3].component->name, "model-weights");
    ck_assert_mem_eq(found[3].event.data, "component model-weights ", 24);
    ck_assert_uint_eq(found[5].pcr, 4);
    ck_assert_ptr_eq(found[5].pcr_rule, &t.section->references[0].pcrs[4]);
    ck_assert_mem_eq(found[5].pcr_value,
                     atls_pcr_value(&t.f.evidence.pcrs, TPM2_ALG_SHA256, 4),
                     ATLS_SHA256_LEN);
    ck_assert_uint_eq(found[6].pcr, 11);
    ck_assert_ptr_eq(found[6].pcr_rule, &t.section->pcrs[11]);
}
END_TEST

/* A visitor that has seen enough ends the visit with its code. */
START_TEST(test_visit_ends)
{
    struct seen seen = {.stop_code = ATLS_E_LIMIT};

    make_every_mismatch();
    for (seen.wanted = 1; seen.wanted <= COUNT(every); seen.wanted++) {
        ck_assert_int_eq(visit(&seen), ATLS_E_LIMIT);
        assert_every(&seen, seen.wanted);
    }
}
END_TEST

START_TEST(test_no_mismatch)
{
    struct seen seen = {.wanted = 0};

    make_bare();
    (void)add_other("golden-b");
    (void)add_good("golden-a");
    ck_assert_int_eq(visit(&seen), ATLS_OK);
    ck_assert_uint_eq(seen.count, 0);
}
END_TEST

/* The checks of appraisal are the same comparisons. */
START_TEST(test_E14_steps_refuse_what_is_shown)
{
    make_every_mismatch();
    t.check_all = true;
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "nearest is golden-a (4 of 7 differ): component rootkit");
    ck_assert_ptr_nonnull(strstr(t.report.steps[ATLS_STEP_PCRS].reason.text,
                                 "PCRs 0-7 of bank sha256 are all zero"));
}
END_TEST

/* Who does not read the reason gets the same answer. */
START_TEST(test_without_a_reason)
{
    make_bare();
    (void)add_other("golden-b");
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT, "golden-b");
    ck_assert_int_eq(atls_reference_check_components(
                         t.section, t.section->references, &t.f.evidence, NULL),
                     ATLS_E_COMPONENT);
    ck_assert_int_eq(atls_reference_check_pcrs(t.section, t.section->references,
                                               &t.f.evidence, NULL),
                     ATLS_E_PCR_VALUE);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_one_of_several_matches, 0, 3),
    ONCE(test_first_of_several_that_match),
    ONCE(test_must_match_as_a_whole),
    ONCE(test_no_references),
    ONCE(test_component_of_a_reference),
    ONCE(test_P10_component_of_a_reference_is_missing),
    ONCE(test_listed_by_another_reference),
    ONCE(test_unlisted_event),
    ONCE(test_nearest),
    ONCE(test_pcr_of_section_and_reference),
    ONCE(test_component_of_section_and_reference),
    ONCE(test_E6_pcr_of_every_reference_is_not_quoted),
    ONCE(test_E6_pcr_of_one_reference_is_not_quoted),
    ONCE(test_P10_log_left_out),
    ONCE(test_named_measured_pcr_needs_no_log),
    ONCE(test_E8_zero_listed_by_a_reference),
    ONCE(test_every_mismatch),
    ONCE(test_visit_ends),
    ONCE(test_no_mismatch),
    ONCE(test_E14_steps_refuse_what_is_shown),
    ONCE(test_without_a_reason),
};

SUITE(.name = "reference", .end = factory_free_keys,
      .cases = {CASE("reference", tests, 120, setup, teardown)});
