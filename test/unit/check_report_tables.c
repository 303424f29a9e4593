/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/report_marks.c and the tables of reports: what the policy
 * says beside each PCR and event, for people and for programs. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/report.h"

static struct trial t;
static char *text;
static json_t *root;

static void setup(void)
{
    trial_begin(&t);
    t.check_all = true;
}

static void teardown(void)
{
    json_decref(root);
    root = NULL;
    free(text);
    text = NULL;
    trial_end(&t);
}

static void print(enum atls_report_style style)
{
    size_t len = 0;
    FILE *out;

    free(text);
    text = NULL;
    out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    atls_report_print(&t.report, "api.example.com", t.section, style, true,
                      out);
    ck_assert_int_eq(fclose(out), 0);
}

/* Both forms of the report on the evidence as it is now. */
static void report(void)
{
    (void)trial_run(&t);
    print(ATLS_REPORT_JSON);
    json_decref(root);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(root != NULL, "no JSON: %s", text);
    print(ATLS_REPORT_PLAIN);
}

static void assert_shows(const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part,
                  text);
}

static void assert_hides(const char *part)
{
    ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text);
}

static const char *member(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    ck_assert_msg(value != NULL, "no %s", name);
    return value;
}

/* The row of a PCR in the table; fails without. */
static const json_t *pcr_row(const char *bank, unsigned pcr)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(root, "pcr_table"), i, row)
    {
        if (json_integer_value(json_object_get(row, "pcr")) == pcr
            && strcmp(member(row, "bank"), bank) == 0)
            return row;
    }
    ck_abort_msg("no row of PCR %u", pcr);
    return NULL;
}

static const json_t *event_row(size_t index)
{
    return json_array_get(json_object_get(root, "event_table"), index);
}

static size_t expected_count(const json_t *row)
{
    return json_array_size(json_object_get(row, "expected"));
}

static bool is_proven(const char *what)
{
    return json_is_true(json_object_get(json_object_get(root, "proven"), what));
}

START_TEST(test_all_is_well)
{
    trial_make(&t);
    report();
    ck_assert_str_eq(member(pcr_row("sha256", 7), "result"), "ok");
    ck_assert_str_eq(member(pcr_row("sha256", 7), "name"),
                     "Secure Boot policy");
    ck_assert_uint_eq(expected_count(pcr_row("sha256", 7)), 1);
    ck_assert_str_eq(member(pcr_row("sha256", 8), "result"), "-");
    ck_assert_uint_eq(expected_count(pcr_row("sha256", 8)), 0);
    ck_assert_str_eq(member(pcr_row("sha256", 15), "result"), "log");
    for (size_t i = 0; i < t.f.log_count; i++)
        ck_assert_str_eq(member(event_row(i), "result"), "ok");
    ck_assert_uint_eq(json_array_size(json_object_get(root, "missing")), 0);
    ck_assert_ptr_null(json_object_get(root, "boot_log"));
    ck_assert(is_proven("chain") && is_proven("quote") && is_proven("pcrs")
              && is_proven("log") && is_proven("boot_log"));
    assert_hides("MISMATCH");
    assert_hides("UNLISTED");
    assert_hides("MISSING");
}
END_TEST

/* Three mistakes at once: all are shown, each with what was expected. */
START_TEST(test_every_difference_is_shown)
{
    trial_make(&t);
    t.section->pcrs[4].values[0][0] ^= 1;
    t.section->components[0].digests[0][0] ^= 1;
    factory_section_component(t.section, "tokenizer",
                              t.section->components[1].digests[0]);
    report();
    ck_assert_str_eq(member(pcr_row("sha256", 4), "result"), "mismatch");
    ck_assert_str_eq(member(event_row(0), "result"), "mismatch");
    ck_assert_uint_eq(expected_count(event_row(0)), 1);
    ck_assert_str_eq(member(event_row(1), "result"), "ok");
    ck_assert_uint_eq(expected_count(event_row(1)), 0);
    ck_assert_str_eq(
        json_string_value(json_array_get(json_object_get(root, "missing"), 0)),
        "tokenizer");
    assert_shows("    4  boot loader and kernel            MISMATCH  ");
    assert_shows("    1  MISMATCH  component model-weights sha256:aaaa");
    assert_shows("\n                 expected sha256:abaa");
    assert_shows("    2  ok        component ");
    assert_shows("    -  MISSING   component tokenizer\n");
}
END_TEST

START_TEST(test_unlisted_events)
{
    factory_log(&t.f, factory_component("backdoor", 'e'));
    factory_log(&t.f, "kexec");
    trial_make(&t);
    report();
    /* trial_make() lists what it finds in the plan; nobody lists kexec. */
    ck_assert_str_eq(member(event_row(t.f.log_count - 1), "result"),
                     "not-listed");
    assert_shows("UNLISTED  kexec\n");
    factory_section_event(t.section, "kex*");
    report();
    ck_assert_str_eq(member(event_row(t.f.log_count - 1), "result"), "ok");
    assert_hides("UNLISTED");
}
END_TEST

/* Before the PCR digest was compared nothing in a table is more than a claim,
 * and no log accounts for anything. */
START_TEST(test_claims_are_marked)
{
    trial_make(&t);
    t.f.evidence.pcrs.banks[0].value[15][0] ^= 1;
    report();
    ck_assert(is_proven("quote"));
    ck_assert(!is_proven("pcrs") && !is_proven("log"));
    ck_assert_str_eq(member(pcr_row("sha256", 15), "result"), "-");
    assert_shows("PCRs, bank sha256 (claimed by the peer, NOT proven)");
}
END_TEST

/* A bank that the section does not judge carries no mark of another bank. */
START_TEST(test_other_bank)
{
    ck_assert_int_eq(atls_pcr_selection_parse("sha256:0-15+sha384:0-7,15", NULL,
                                              &t.f.selection),
                     ATLS_OK);
    trial_make(&t);
    report();
    ck_assert_str_eq(member(pcr_row("sha256", 7), "result"), "ok");
    ck_assert_str_eq(member(pcr_row("sha384", 7), "result"), "-");
    ck_assert_uint_eq(expected_count(pcr_row("sha384", 7)), 0);
    ck_assert_uint_eq(strlen(member(pcr_row("sha384", 7), "value")), 96);
}
END_TEST

/* Two of a reference and one of the section: all that must hold is shown. */
START_TEST(test_reference_counts)
{
    struct atls_reference reference = {.name = NULL};
    char name[] = "golden-b";
    uint8_t values[2][ATLS_PCR_DIGEST_MAX];

    memset(values, 0x5a, sizeof(values));
    trial_make(&t);
    (void)trial_run(&t);
    reference.name = name;
    reference.pcrs[8].count = 2;
    reference.pcrs[8].values = values;
    reference.pcrs[7].count = 2;
    reference.pcrs[7].values = values;
    t.report.reference = &reference;
    print(ATLS_REPORT_JSON);
    root = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_str_eq(member(pcr_row("sha256", 8), "result"), "mismatch");
    ck_assert_uint_eq(expected_count(pcr_row("sha256", 8)), 2);
    ck_assert_uint_eq(expected_count(pcr_row("sha256", 7)), 3);
    ck_assert_str_eq(member(root, "reference"), "golden-b");
}
END_TEST

START_TEST(test_boot_log)
{
    const json_t *event;

    factory_boot(&t.f, 4, 0x80000003, "application");
    factory_boot(&t.f, 8, 13, "grub_cmd: linux /vmlinuz");
    trial_make(&t);
    report();
    event = json_array_get(json_object_get(root, "boot_log"), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(event, "pcr")), 8);
    ck_assert_str_eq(member(event, "type"), "EV_IPL");
    ck_assert_str_eq(member(event, "what"), "grub_cmd: linux /vmlinuz");
    ck_assert_str_eq(member(event, "bank"), "sha256");
    ck_assert_uint_eq(strlen(member(event, "digest")), 64);
    ck_assert_str_eq(member(pcr_row("sha256", 8), "result"), "log");
    assert_shows("Boot log, 2 events; what an event is about, the log says\n");
    assert_shows("    8  EV_IPL                              grub_cmd: linux "
                 "/vmlinuz\n");
}
END_TEST

START_TEST(test_no_log_where_components_are_demanded)
{
    trial_make(&t);
    t.f.evidence.has_log = false;
    t.f.evidence.log_count = 0;
    report();
    ck_assert_ptr_null(json_object_get(root, "event_table"));
    ck_assert_uint_eq(json_array_size(json_object_get(root, "missing")), 2);
    assert_shows("Measured log: none was sent\n");
    assert_shows("    -  MISSING   component model-weights\n");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_all_is_well),     ONCE(test_every_difference_is_shown),
    ONCE(test_unlisted_events), ONCE(test_claims_are_marked),
    ONCE(test_other_bank),      ONCE(test_reference_counts),
    ONCE(test_boot_log),        ONCE(test_no_log_where_components_are_demanded),
};

SUITE(.name = "report_tables",
      .cases = {CASE("report_tables", tests, 0, setup, teardown)});
