/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/report*.c: what people and programs read of a verdict. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/report.h"
#include "verifier/report_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct trial t;
static char *text;

static void setup(void)
{
    trial_begin(&t);
    text = NULL;
}

static void teardown(void)
{
    free(text);
    trial_end(&t);
}

static void print(enum atls_report_style style, bool verbose)
{
    size_t len = 0;
    FILE *out;

    free(text);
    text = NULL;
    out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    atls_report_print(&t.report, "api.example.com", t.section, style, verbose,
                      out);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_uint_eq(strlen(text), len);
}

static void print_unjudged(enum atls_report_style style)
{
    size_t len = 0;
    FILE *out;

    free(text);
    text = NULL;
    out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    atls_report_print_unjudged(&t.report, NULL, style, out);
    ck_assert_int_eq(fclose(out), 0);
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

static void make_trusted(void)
{
    trial_make(&t);
    trial_trusted(&t);
}

static void make_refused(void)
{
    trial_make(&t);
    memset(t.section->pcrs[7].values[0], 0x3f, ATLS_PCR_DIGEST_MAX);
    (void)trial_run(&t);
    ck_assert_int_eq(t.report.verdict, ATLS_E_PCR_VALUE);
}

#define HEX_3F \
    "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f"
/* SHA-256 of the octet 7, as the factory fills PCRs. */
#define HEX_7 "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879"

/* --- text ------------------------------------------------------------------ */

START_TEST(test_trusted_in_short)
{
    char expected[1024];

    make_trusted();
    print(ATLS_REPORT_PLAIN, false);
    (void)snprintf(expected, sizeof(expected),
                   "attest: api.example.com is trusted (policy section test, "
                   "machine %s)\n",
                   t.report.machine);
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(test_refused_in_short)
{
    make_refused();
    print(ATLS_REPORT_PLAIN, false);
    ck_assert_str_eq(
        text,
        "attest: api.example.com REFUSED: PCR 7 does not match policy: "
        "expected " HEX_3F ", got " HEX_7 "\n"
        "  FAIL  pcr-values    PCR values are the listed ones\n"
        "next: if this change was intended, write a new policy: attest policy "
        "--from HOST\n");
}
END_TEST

/* Of several failures those after the first show their own reason. */
START_TEST(test_refused_for_several_reasons)
{
    make_refused();
    t.section->measure_pcr = 14;
    t.check_all = true;
    (void)trial_run(&t);
    print(ATLS_REPORT_PLAIN, false);
    assert_shows("api.example.com REFUSED: the measured log is of PCR 15; the "
                 "policy expects PCR 14, see measure_pcr\n"
                 "  FAIL  log           measured log replays to its PCR\n"
                 "  FAIL  pcr-values    PCR values are the listed ones\n"
                 "                      PCR 7 does not match policy: expected");
}
END_TEST

START_TEST(test_trusted_at_length)
{
    static const char *const parts[] = {
        "\n\nChecks\n  ok    decode        evidence is well-formed\n",
        "\n  -     tls-key       TLS key lives in this TPM (not asked for)\n",
        "\n\nPCRs, bank sha256\n"
        "    0  firmware code                     ok        6e340b9c",
        "\n    7  Secure Boot policy                ok        " HEX_7 "\n",
        "\n    8  GRUB commands                     -         beead779",
        "\n   15  system identity, components       log       ",
        "\n\nMeasured log of PCR 15, 3 events\n"
        "    1  ok        component model-weights sha256:aaaaaaaa",
        "\n    3  ok        certificate sha256:",
        "\n\nAK chain\n  AK   CN=machine0.example, until 2026-10-28\n"
        "  CA   CN=AK issuer 1, until 2026-10-28\n",
        "\n\nTPM\n  clock 61907 s, resets 2, restarts 0, firmware "
        "2020031200120003\n",
    };

    make_trusted();
    print(ATLS_REPORT_PLAIN, true);
    for (size_t i = 0; i < COUNT(parts); i++)
        assert_shows(parts[i]);
    assert_hides("next: ");
    assert_hides("NOT proven");
    assert_hides("\033");
}
END_TEST

START_TEST(test_refused_at_length)
{
    make_refused();
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("  FAIL  pcr-values    PCR values are the listed ones\n"
                 "                      PCR 7 does not match policy: ");
    assert_shows("  -     tls-key       TLS key lives in this TPM (not "
                 "checked)\n");
    assert_shows("    7  Secure Boot policy                MISMATCH  " HEX_7
                 "\n"
                 "                                         expected  " HEX_3F
                 "\n    8  ");
    assert_shows("\n\nnext: if this change was intended");
    assert_hides("NOT proven");
}
END_TEST

START_TEST(test_many_expected_values)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];

    make_refused();
    for (uint8_t i = 0; i < 4; i++) {
        memset(value, i, sizeof(value));
        factory_section_pcr(t.section, 7, value);
    }
    (void)trial_run(&t);
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("expected  " HEX_3F "\n");
    assert_shows("expected  01010101");
    assert_shows(
        "                                         or one of 2 others\n");
    assert_hides("expected  02020202");
}
END_TEST

/* Nobody may take for proven what only the peer says. */
START_TEST(test_unproven_values)
{
    t.f.signer = factory_key(FACTORY_P256, 3);
    trial_make(&t);
    (void)trial_run(&t);
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("PCRs, bank sha256 (claimed by the peer, NOT proven)\n");
    assert_shows("3 events (claimed by the peer, NOT proven)\n");
    assert_shows("AK chain\n");
    assert_hides("\nTPM");
    t.check_all = true;
    (void)trial_run(&t);
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("\nTPM (claimed by the peer, NOT proven)\n");
}
END_TEST

START_TEST(test_other_banks)
{
    ck_assert_int_eq(
        atls_pcr_selection_parse("sha256:all+sha384:0,7", NULL, &t.f.selection),
        ATLS_OK);
    make_trusted();
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("\nPCRs, bank sha256\n");
    assert_shows("\nPCRs, bank sha384, not in the policy\n"
                 "    0  firmware code                     -         ");
}
END_TEST

START_TEST(test_no_section_no_peer)
{
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    make_trusted();
    ck_assert_ptr_nonnull(out);
    atls_report_print(&t.report, NULL, NULL, ATLS_REPORT_PLAIN, true, out);
    ck_assert_int_eq(fclose(out), 0);
    assert_shows("attest: the peer is trusted");
    assert_shows(
        "\nPCRs, bank sha256\n    0  firmware code                     "
        "-         6e34");
}
END_TEST

START_TEST(test_undecodable_evidence)
{
    trial_make(&t);
    (void)trial_run_octets(&t, (const uint8_t *)"x", 1);
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("  FAIL  decode        evidence is well-formed\n");
    assert_hides("PCRs, bank");
    assert_hides("AK chain\n");
}
END_TEST

START_TEST(test_no_log)
{
    t.f.has_log = false;
    t.f.log_count = 0;
    trial_make(&t);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    trial_trusted(&t);
    print(ATLS_REPORT_PLAIN, true);
    assert_hides("Measured log");
}
END_TEST

START_TEST(test_E17_resets_are_reported)
{
    make_trusted();
    t.report.quote.reset_count = 77;
    t.report.quote.safe = false;
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("resets 77, restarts 0 (clock not safe), firmware");
}
END_TEST

START_TEST(test_colour)
{
    make_refused();
    print(ATLS_REPORT_COLOUR, true);
    assert_shows("\033[1;31m REFUSED\033[0m: PCR 7");
    assert_shows("\033[32m  ok    \033[0mdecode");
    assert_shows("\033[1;31m  FAIL  \033[0mpcr-values");
    assert_shows("\033[2m  -     \033[0mtls-key");
    assert_shows("\033[1;31mMISMATCH  \033[0m" HEX_7);
    assert_shows("\033[1mMeasured log\033[0m of PCR 15");
}
END_TEST

/* Escape sequences of a peer reach no terminal, its line feeds no line. */
START_TEST(test_octets_of_the_peer_are_escaped)
{
    char content[ATLS_EVENT_CONTENT_MAX];

    factory_log(&t.f, "\033[2Jclear\nattest: api.example.com is trusted\\");
    memset(content, 'x', sizeof(content));
    content[sizeof(content) - 1] = '\0';
    factory_log(&t.f, content);
    t.f.intermediates[0].cn = "evil\033[2J";
    trial_make(&t);
    factory_section_event(t.section, "*");
    trial_trusted(&t);
    print(ATLS_REPORT_PLAIN, true);
    assert_shows(
        "    4  ok        \\x1b[2Jclear\\x0aattest: api.example.com is "
        "trusted\\x5c\n");
    assert_hides("\033");
}
END_TEST

START_TEST(test_long_event_is_cut)
{
    static uint8_t content[400];
    struct atls_span *span;

    make_trusted();
    memset(content, 'x', sizeof(content));
    span = &t.report.evidence->log[0];
    *span = (struct atls_span){content, 160};
    print(ATLS_REPORT_PLAIN, true);
    assert_hides("...");
    span->len++;
    print(ATLS_REPORT_PLAIN, true);
    assert_shows("xxx...\n");
}
END_TEST

START_TEST(test_name_of_the_peer_is_escaped)
{
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    make_trusted();
    ck_assert_ptr_nonnull(out);
    atls_report_print(&t.report, "a\nb", t.section, ATLS_REPORT_PLAIN, false,
                      out);
    ck_assert_int_eq(fclose(out), 0);
    assert_shows("attest: a\\x0ab is trusted");
}
END_TEST

/* --- without a policy ------------------------------------------------------ */

START_TEST(test_unjudged)
{
    make_trusted();
    t.report.steps[ATLS_STEP_CHAIN].result = ATLS_STEP_NOT_DONE;
    print_unjudged(ATLS_REPORT_PLAIN);
    assert_shows(
        "attest: the peer shown, not judged (no policy asks for it)\n");
    assert_shows("\nPCRs, bank sha256 (claimed by the peer, NOT proven)\n");
    assert_hides("is trusted");
    assert_hides("next: ");
    print_unjudged(ATLS_REPORT_JSON);
    assert_shows("{\"verdict\":\"none\",\"peer\":null,\"section\":null,");
    assert_shows("\"pcrs\":{");
    assert_hides("advice");
}
END_TEST

/* --- JSON ------------------------------------------------------------------ */

static json_t *print_json(bool verbose)
{
    json_error_t error;
    json_t *root;

    print(ATLS_REPORT_JSON, verbose);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, text);
    return root;
}

static const char *member(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    ck_assert_msg(value != NULL, "no %s", name);
    return value;
}

START_TEST(test_json_trusted)
{
    json_t *root;
    const json_t *steps;
    const json_t *pcrs;

    make_trusted();
    root = print_json(true);
    ck_assert_str_eq(member(root, "verdict"), "trusted");
    ck_assert_str_eq(member(root, "peer"), "api.example.com");
    ck_assert_str_eq(member(root, "section"), "test");
    ck_assert_str_eq(member(root, "machine"), t.report.machine);
    ck_assert_ptr_null(json_object_get(root, "error"));
    steps = json_object_get(root, "steps");
    ck_assert_uint_eq(json_array_size(steps), ATLS_STEP_COUNT);
    ck_assert_str_eq(member(json_array_get(steps, 0), "name"), "decode");
    ck_assert_str_eq(member(json_array_get(steps, 0), "result"), "passed");
    ck_assert_str_eq(member(json_array_get(steps, ATLS_STEP_TLS_KEY), "result"),
                     "not-asked");
    pcrs = json_object_get(json_object_get(root, "pcrs"), "sha256");
    ck_assert_uint_eq(json_object_size(pcrs), 15);
    ck_assert_str_eq(member(pcrs, "7"), HEX_7);
    ck_assert_str_eq(member(json_object_get(root, "quote"), "clock_ms"),
                     "61907839");
    ck_assert_str_eq(member(json_object_get(root, "quote"), "firmware_version"),
                     "2020031200120003");
    ck_assert_uint_eq(
        strlen(member(json_object_get(root, "quote"), "extra_data")),
        2 * ATLS_SHA256_LEN);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "ak_chain")), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(
                          json_object_get(root, "log"), "events")),
                      3);
    json_decref(root);
}
END_TEST

START_TEST(test_json_refused)
{
    json_t *root;
    const json_t *step;

    make_refused();
    root = print_json(false);
    ck_assert_str_eq(member(root, "verdict"), "refused");
    ck_assert_str_eq(member(root, "error"), "pcr-value");
    ck_assert_str_eq(member(root, "reason"), t.report.reason.text);
    ck_assert_str_eq(member(root, "advice"),
                     atls_report_advice(ATLS_E_PCR_VALUE));
    step = json_array_get(json_object_get(root, "steps"), ATLS_STEP_PCRS);
    ck_assert_str_eq(member(step, "result"), "failed");
    ck_assert_str_eq(member(step, "error"), "pcr-value");
    ck_assert_str_eq(member(step, "reason"), t.report.reason.text);
    step = json_array_get(json_object_get(root, "steps"), ATLS_STEP_TLS_KEY);
    ck_assert_str_eq(member(step, "result"), "not-done");
    ck_assert_ptr_null(json_object_get(root, "pcrs"));
    ck_assert_ptr_null(json_object_get(root, "quote"));
    json_decref(root);
}
END_TEST

/* The largest numbers a TPM can give, and every octet a log can hold. */
START_TEST(test_json_of_extremes)
{
    uint8_t octets[256];
    json_t *root;
    const json_t *events;
    const char *value;
    size_t at = 0;

    make_trusted();
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (uint8_t)i;
    t.report.evidence->log[0] = (struct atls_span){octets, sizeof(octets)};
    t.report.quote.clock = UINT64_MAX;
    t.report.quote.reset_count = UINT32_MAX;
    t.report.quote.safe = false;
    root = print_json(true);
    ck_assert_str_eq(member(json_object_get(root, "quote"), "clock_ms"),
                     "18446744073709551615");
    ck_assert(
        json_is_false(json_object_get(json_object_get(root, "quote"), "safe")));
    events = json_object_get(json_object_get(root, "log"), "events");
    value = json_string_value(json_array_get(events, 0));
    /* octets beyond ASCII are code points of the same number, in UTF-8 */
    for (size_t i = 0; i < sizeof(octets); i++) {
        if (i >= 0x80)
            ck_assert_uint_eq((uint8_t)value[at++], 0xc0 | i >> 6);
        ck_assert_uint_eq((uint8_t)value[at++],
                          i >= 0x80 ? 0x80 | (i & 0x3f) : i);
    }
    ck_assert_uint_eq(at, json_string_length(json_array_get(events, 0)));
    json_decref(root);
}
END_TEST

START_TEST(test_json_without_evidence_peer_or_log)
{
    json_t *root;

    trial_make(&t);
    (void)trial_run_octets(&t, (const uint8_t *)"x", 1);
    json_decref(print_json(true));
    assert_hides("\"pcrs\"");
    t.f.evidence.has_log = false;
    (void)trial_run(&t);
    root = print_json(true);
    ck_assert_ptr_null(json_object_get(root, "log"));
    ck_assert_ptr_nonnull(json_object_get(root, "pcrs"));
    json_decref(root);
}
END_TEST

/* --- words ----------------------------------------------------------------- */

START_TEST(test_pcr_names)
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        ck_assert_uint_gt(strlen(atls_pcr_name(pcr)), 0);
        ck_assert_uint_le(strlen(atls_pcr_name(pcr)), 32);
    }
    ck_assert_str_eq(atls_pcr_name(ATLS_PCR_COUNT), "");
}
END_TEST

/* Each error has some next step, and those of appraisal one of their own. */
START_TEST(test_advice)
{
    const char *general = atls_report_advice(ATLS_E_INTERNAL);

    for (int code = 0; code < ATLS_E_COUNT; code++)
        ck_assert_uint_gt(strlen(atls_report_advice((enum atls_error)code)), 0);
    ck_assert_str_eq(atls_report_advice(ATLS_E_MAGIC), general);
    ck_assert_str_ne(atls_report_advice(ATLS_E_CHAIN_EXPIRED), general);
    ck_assert_str_ne(atls_report_advice(ATLS_E_CHAIN_REVOKED), general);
    ck_assert_str_ne(atls_report_advice(ATLS_E_CHAIN_CRL), general);
    ck_assert_str_ne(atls_report_advice(ATLS_E_CERTIFICATE_UNMEASURED),
                     general);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_trusted_in_short),
    ONCE(test_refused_in_short),
    ONCE(test_refused_for_several_reasons),
    ONCE(test_trusted_at_length),
    ONCE(test_refused_at_length),
    ONCE(test_many_expected_values),
    ONCE(test_unproven_values),
    ONCE(test_other_banks),
    ONCE(test_no_section_no_peer),
    ONCE(test_undecodable_evidence),
    ONCE(test_no_log),
    ONCE(test_E17_resets_are_reported),
    ONCE(test_colour),
    ONCE(test_octets_of_the_peer_are_escaped),
    ONCE(test_long_event_is_cut),
    ONCE(test_name_of_the_peer_is_escaped),
    ONCE(test_unjudged),
    ONCE(test_json_trusted),
    ONCE(test_json_refused),
    ONCE(test_json_of_extremes),
    ONCE(test_json_without_evidence_peer_or_log),
    ONCE(test_pcr_names),
    ONCE(test_advice),
};

SUITE(.name = "report", .end = factory_free_keys,
      .cases = {CASE("report", tests, 60, setup, teardown)});
