/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/suite.h"
#include "unit/tool_saved.h"

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "(none)";
}

#define CHECK(json, ...) \
    RUN(json, "check", scratch_path("policy.cnf"), __VA_ARGS__)

/* Evidence and the policy made of it. */
static void make_pair(void)
{
    save("evidence.json");
    write_policy("evidence.json", "policy.cnf");
}

START_TEST(test_check_accepts)
{
    json_t *object, *one;

    make_pair();
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_DONE);
    ck_assert_str_eq(result.out, "[lab] accepts api.example\n");
    CHECK(true, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    ck_assert_str_eq(member(object, "peer"), "api.example");
    one = json_array_get(json_object_get(object, "results"), 0);
    ck_assert_str_eq(member(one, "verdict"), "trusted");
    ck_assert_str_eq(member(one, "next"), "(none)");
    ck_assert_uint_eq(json_array_size(json_object_get(one, "mismatches")), 0);
    json_decref(object);
}
END_TEST

/* Each is listed, where a handshake would stop at the first. */
START_TEST(test_check_lists_all_mismatches)
{
    static const char *const lines[] = {
        "  component server-code does not match policy: expected sha256:",
        "  component model-weights was loaded, which the policy does not list",
        "  component extra is missing",
        "  PCR 2 does not match policy: expected ",
        "  PCR 7 does not match policy: expected ",
        "  next: if this change was intended, write a new policy",
    };
    make_pair();
    factory_pcr(&factory, TPM2_ALG_SHA256, 2)[0] ^= 1;
    factory_pcr(&factory, TPM2_ALG_SHA256, 7)[0] ^= 1;
    save("evidence.json");
    edit("policy.cnf", "component.server-code = sha256:bbbb",
         "component.server-code = sha256:cccc");
    edit("policy.cnf", "component.model-weights", "component.extra");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "[lab] REFUSES api.example\n");
    for (int i = 0; i < COUNT(lines); i++)
        ASSERT_HAS(result.out, lines[i]);
    ASSERT_HAS_NOT(result.out, "PCR 4");
    /* The same advice once, however many codes it is for. */
    ck_assert_ptr_null(strstr(strstr(result.out, "  next: if this change") + 8,
                              "  next: if this change"));
}
END_TEST

START_TEST(test_check_json_of_mismatches)
{
    json_t *object, *mismatch;

    make_pair();
    factory_pcr(&factory, TPM2_ALG_SHA256, 2)[0] ^= 1;
    save("evidence.json");
    CHECK(true, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    object = verb_json(&result);
    mismatch = json_array_get(json_object_get(object, "results"), 0);
    ck_assert_str_eq(member(mismatch, "section"), "lab");
    ck_assert_str_eq(member(mismatch, "verdict"), "refused");
    ASSERT_HAS(member(mismatch, "next"), "write a new policy");
    ck_assert_uint_eq(json_array_size(json_object_get(mismatch, "mismatches")),
                      1);
    mismatch = json_array_get(json_object_get(mismatch, "mismatches"), 0);
    ck_assert_str_eq(member(mismatch, "check"), "pcr-values");
    ck_assert_str_eq(member(mismatch, "error"), "pcr-value");
    ASSERT_HAS(member(mismatch, "reason"), "PCR 2 does not match policy");
    json_decref(object);
}
END_TEST

static void sign_with_other_key(void)
{
    factory.signer = factory_key(FACTORY_P256, 3);
}

static void other_channel(void)
{
    factory.channel[0] ^= 1;
}

static void log_differs(void)
{
    factory.replays = false;
}

static void leave_certificate_out(void)
{
    factory.log_count = 2;
}

static void other_machine(void)
{
    factory_clear(&factory);
    factory_init(&factory, 1);
    evidence_server_now(&factory, 30);
}

/* Checks that can say one thing only; the others are made all the same. */
static const struct {
    void (*change)(void);
    int status;
    const char *text;
} refusals[] = {
    {sign_with_other_key, TOOL_NO_EVIDENCE, "signature"},
    {log_differs, TOOL_NO_EVIDENCE, "does not replay"},
    {leave_certificate_out, TOOL_REFUSED, "attest measure --certificate"},
    {other_machine, TOOL_REFUSED, "machine1.example"},
};

START_TEST(test_check_refuses)
{
    make_pair();
    refusals[_i].change();
    factory_make(&factory);
    save_as_made("evidence.json");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(refusals[_i].status);
    ASSERT_HAS(result.out, "[lab] REFUSES api.example\n");
    ASSERT_HAS(result.out, refusals[_i].text);
    ASSERT_HAS(result.out, "  next: ");
}
END_TEST

/* Saved evidence is bound to the channel that was saved with it. */
START_TEST(test_check_of_another_channel)
{
    make_pair();
    other_channel();
    save_as_made("evidence.json");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.out, "made for another connection");
}
END_TEST

START_TEST(test_P11_check_at_a_time)
{
    make_pair();
    CHECK(false, scratch_path("evidence.json"), "--at", "2099-01-01T00:00:00Z");
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "expired");
    edit("policy.cnf", "mode        = require",
         "mode        = require\nexpires = 2001-01-01T00:00:00Z");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "  policy section lab expired 2001-01-01");
    ASSERT_HAS(result.out, "  next: review the policy and set expires");
    ASSERT_HAS(result.err, "attest policy: warning: ");
    ASSERT_HAS(result.err, "expires: the time is past");
    CHECK(false, scratch_path("evidence.json"), "--at", "2000-12-31");
    ASSERT_HAS_NOT(result.out, "policy section lab expired");
}
END_TEST

/* Which section: that of the name, one that is named, or none. */
START_TEST(test_check_section)
{
    make_pair();
    edit("policy.cnf", "names       = api.example", "names       = b.example");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "api.example: the policy does not ask for evidence "
                           "here; choose a section with --section");
    CHECK(false, scratch_path("evidence.json"), "--section", "lab");
    ASSERT_STATUS(TOOL_DONE);
    CHECK(false, scratch_path("evidence.json"), "--section", "bal");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--section bal: no such section in ");
    edit("policy.cnf", "otherwise   = off", "otherwise   = require");
    CHECK(false, scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.err, "no policy section names this peer; add it to");
    edit("policy.cnf", "mode        = require", "mode        = off");
    CHECK(false, scratch_path("evidence.json"), "--section", "lab");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "the section says mode = off");
}
END_TEST

/* A bare record says neither whose it is nor what it was bound to. */
START_TEST(test_check_of_a_bare_record)
{
    make_pair();
    scratch_write("record.cmw", factory.cmw, factory.cmw_len, 0644);
    CHECK(false, scratch_path("record.cmw"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "name the section with --section");
    CHECK(false, scratch_path("record.cmw"), "--section", "lab");
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.out, "live evidence belongs to one connection");
}
END_TEST

START_TEST(test_check_of_the_policy_alone)
{
    json_t *object;

    make_pair();
    RUN(false, "check", scratch_path("policy.cnf"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "policy.cnf loads\n  [lab] require: 1 name, ");
    ASSERT_HAS(result.out, " PCRs, 2 components\n");
    ck_assert_str_eq(result.err, "");
    edit("policy.cnf", "machines    = machine0.example", "machines    = any");
    RUN(false, "check", scratch_path("policy.cnf"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.err, "attest policy: warning: ");
    ASSERT_HAS(result.err, "policy.cnf:10: [lab] machines = any");
    RUN(true, "check", scratch_path("policy.cnf"));
    object = verb_json(&result);
    ck_assert_uint_eq(json_array_size(json_object_get(object, "warnings")), 1);
    ck_assert_str_eq(
        member(json_array_get(json_object_get(object, "sections"), 0), "mode"),
        "require");
    json_decref(object);
    edit("policy.cnf", "mode ", "mod ");
    RUN(false, "check", scratch_path("policy.cnf"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "policy.cnf:12: mod: ");
}
END_TEST

static const struct {
    const char *words[6];
    const char *text;
} usage[] = {
    {{"check"}, "check: expected a policy"},
    {{"check", "a", "b", "c"}, "check: expected a policy"},
    {{"check", "a", "--section", "b"}, "check: --section needs evidence"},
    {{"check", "a", "b", "--at", "tomorrow"}, "--at tomorrow: expected a time"},
    {{"check", "a", "b", "--at", "2027-06-31"}, "--at 2027-06-31: expected"},
    {{"check", "a", "b", "--at", "1969-12-31"}, "--at 1969-12-31: expected"},
    {{"check", "a", "b", "--at", "2027-06-30T00:00:00Zx"}, "--at 2027-06-30"},
    {{"check", "a", "b", "--timeout", "0"}, "--timeout 0: expected seconds"},
    {{"check", "a", "--bogus"}, "unknown option --bogus"},
    {{"check", "a", "--at"}, "--at needs a value"},
};

START_TEST(test_check_usage)
{
    verb_run(&tool_verb_policy, false, usage[_i].words, &result);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, usage[_i].text);
    ASSERT_HAS(result.err, "Try 'attest policy --help'.");
    ck_assert_str_eq(result.out, "");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_check_accepts),
    ONCE(test_check_lists_all_mismatches),
    ONCE(test_check_json_of_mismatches),
    LOOP(test_check_refuses, 0, COUNT(refusals)),
    ONCE(test_check_of_another_channel),
    ONCE(test_P11_check_at_a_time),
    ONCE(test_check_section),
    ONCE(test_check_of_a_bare_record),
    ONCE(test_check_of_the_policy_alone),
    LOOP(test_check_usage, 0, COUNT(usage)),
};

SUITE(.name = "tool_policy_check",
      .cases = {CASE("tool_policy_check", tests, 60, setup, teardown)});
