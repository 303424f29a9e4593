/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/suite.h"
#include "unit/tool_server.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* The result of a step in the JSON of a report. */
static const char *step(const json_t *object, const char *name)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(object, "steps"), i,
                       entry) if (strcmp(member(entry, "name"), name)
                                  == 0) return member(entry, "result");
    return "(none)";
}

/* A policy for the factory's server, from the verb itself. */
static const char *write_policy(const char *extra)
{
    const char *path = scratch_path("policy.cnf");

    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"),
        "--output", path, "--force", "--name", "lab", extra);
    ASSERT_STATUS(TOOL_DONE);
    return path;
}

/* --- show without a policy -------------------------------------------------- */

START_TEST(test_show_is_no_verdict)
{
    serve(SERVE_EVIDENCE);
    RUN(show, false, target);
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out,
               "attest: 127.0.0.1 shown, not judged (no policy asks for it)");
    ASSERT_HAS(result.out, "component model-weights sha256:aaaa");
    ASSERT_HAS(result.out, "TLSv1.3");
    ASSERT_HAS(result.out, "NOT verified by the CAs here: self-signed");
    ASSERT_HAS(result.out, "CN=www.example");
    ASSERT_HAS_NOT(result.out, "FAIL");
    ASSERT_HAS_NOT(result.out, "is trusted");
    ASSERT_HAS_NOT(result.out, "\033");
    ck_assert_str_eq(result.err, "");
}
END_TEST

START_TEST(test_show_json)
{
    json_t *object, *connection;

    serve(SERVE_EVIDENCE);
    RUN(show, true, target);
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    connection = json_object_get(object, "connection");
    ck_assert_str_eq(member(object, "verdict"), "none");
    ck_assert_str_eq(member(object, "peer"), "127.0.0.1");
    ASSERT_HAS(member(object, "machine"), "machine0.example");
    ck_assert_str_eq(step(object, "ak-chain"), "not-done");
    ck_assert_str_eq(step(object, "pcr-values"), "not-done");
    ck_assert_str_eq(step(object, "components"), "not-done");
    ck_assert_str_eq(step(object, "signature"), "passed");
    ck_assert_str_eq(step(object, "binding"), "passed");
    ck_assert_str_eq(step(object, "log"), "passed");
    ck_assert_str_eq(step(object, "certificate"), "passed");
    ck_assert(json_is_true(json_object_get(connection, "live")));
    ck_assert(json_is_true(json_object_get(connection, "binding_checked")));
    ck_assert_str_eq(member(connection, "address"), "127.0.0.1");
    json_decref(object);
}
END_TEST

/* Whatever bank and PCR the attester uses. */
START_TEST(test_show_other_bank_and_pcr)
{
    ck_assert_int_eq(
        atls_pcr_selection_parse("sha384:0-7,12", NULL, &factory.selection),
        ATLS_OK);
    factory.measure_pcr = 12;
    serve(SERVE_EVIDENCE);
    RUN(show, false, target);
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "bank sha384");
    ASSERT_HAS(result.out, "Measured log of PCR 12");
}
END_TEST

static const struct {
    enum evidence_server_kind kind;
    int status;
    const char *text; /* on standard error, or in the report */
} failures[] = {
    {SERVE_OTHER_CHANNEL, TOOL_NO_EVIDENCE, "made for another connection"},
    {SERVE_NO_EVIDENCE, TOOL_NO_EVIDENCE, "sent no attestation evidence"},
    {SERVE_MISPLACED, TOOL_NO_EVIDENCE, "first certificate entry"},
    {SERVE_BAD_LENGTH, TOOL_NO_EVIDENCE, "is no evidence"},
    {SERVE_TLS12, TOOL_NO_EVIDENCE, "does not speak TLS 1.3"},
    {SERVE_TEXT, TOOL_NO_EVIDENCE, "does not speak TLS"},
};

START_TEST(test_show_fails)
{
    serve(failures[_i].kind);
    RUN(show, false, target);
    ASSERT_STATUS(failures[_i].status);
    ck_assert_msg(strstr(result.err, failures[_i].text) != NULL
                      || strstr(result.out, failures[_i].text) != NULL,
                  "%s%s", result.out, result.err);
}
END_TEST

START_TEST(test_show_wrong_signature)
{
    factory.signer = factory_key(FACTORY_P256, 3);
    serve(SERVE_EVIDENCE);
    RUN(show, false, target);
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.out, "FAIL  signature");
    ASSERT_HAS(result.out, "NOT proven");
}
END_TEST

static const char *const bad_usage[][4] = {
    {NULL},
    {"a", "b", NULL},
    {"--bogus", "a", NULL},
    {"a", "--policy", NULL},
    {"a", "--section", "b", NULL},
    {"a", "--timeout", "0", NULL},
    {"a", "--timeout", "1h", NULL},
    {"a:0", NULL},
    {"https://a/", NULL},
};

START_TEST(test_show_usage)
{
    verb_run(&tool_verb_show, false, bad_usage[_i], &result);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "Try 'attest show --help'.");
    ck_assert_str_eq(result.out, "");
}
END_TEST

static const struct {
    const char *path;
    int status;
    const char *text;
} bad_files[] = {
    {"/nonexistent", TOOL_USAGE, "No such file"},
    {"missing.json", TOOL_USAGE, "No such file"},
    {"/", TOOL_USAGE, "Is a directory"},
    {"/dev/null", TOOL_USAGE, "not a regular file"},
    {"/dev/zero", TOOL_USAGE, "not a regular file"},
};

START_TEST(test_show_bad_file)
{
    RUN(show, true, bad_files[_i].path);
    ASSERT_STATUS(bad_files[_i].status);
    ASSERT_HAS(result.err, bad_files[_i].text);
    ck_assert_ptr_eq(strchr(result.err, '\n'), strrchr(result.err, '\n'));
    json_decref(verb_json(&result));
}
END_TEST

/* 0x9b begins an escape sequence on some terminals, in UTF-8 too. */
START_TEST(test_show_json_is_ascii)
{
    json_t *object;

    factory_log(&factory, "file-system:\x9b\x32J\xc3\xa9");
    serve(SERVE_EVIDENCE);
    RUN(show, true, target);
    ASSERT_STATUS(TOOL_DONE);
    ck_assert_ptr_nonnull(
        strstr(result.out, "\"file-system:\\u009B2J\\u00C3\\u00A9\""));
    for (const char *at = result.out; *at != '\0'; at++)
        ck_assert_msg((unsigned char)*at < 0x80, "%.40s", at);
    object = verb_json(&result);
    json_decref(object);
}
END_TEST

/* --- saved ------------------------------------------------------------------ */

START_TEST(test_show_saved)
{
    const char *path = scratch_path("evidence.json");

    serve(SERVE_EVIDENCE);
    RUN(show, false, target, "--save", path);
    ASSERT_STATUS(TOOL_DONE);
    RUN(show, false, path);
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "attest: 127.0.0.1 shown, not judged");
    ASSERT_HAS(result.out, "  ok    binding");
    ASSERT_HAS(result.out, "checked against the channel value in the file");
    ASSERT_HAS_NOT(result.out, "verified by the CAs");
}
END_TEST

START_TEST(test_show_bare_record)
{
    const char *path = scratch_path("record.cbor");

    serve(SERVE_EVIDENCE);
    factory_encode(&factory);
    scratch_write("record.cbor", factory.cmw, factory.cmw_len, 0644);
    RUN(show, false, path);
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "  -     binding");
    ASSERT_HAS(result.out, "nothing tells which connection");
    ASSERT_HAS_NOT(result.out, "FAIL");
}
END_TEST

/* A bare record cannot pass a policy, whatever else is right. */
START_TEST(test_bare_record_is_not_trusted)
{
    const char *path = scratch_path("record.cbor");
    const char *policy;

    serve(SERVE_EVIDENCE);
    policy = write_policy(NULL);
    factory_encode(&factory);
    scratch_write("record.cbor", factory.cmw, factory.cmw_len, 0644);
    RUN(show, false, path, "--policy", policy, "--section", "lab");
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.out, "REFUSED");
    RUN(show, false, path, "--policy", policy);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--section");
}
END_TEST

START_TEST(test_save_fails)
{
    serve(SERVE_EVIDENCE);
    RUN(show, false, target, "--save", scratch_path("no/such"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "No such file");
}
END_TEST

/* --- show with a policy ----------------------------------------------------- */

START_TEST(test_show_trusted)
{
    const char *policy;
    json_t *object;

    serve(SERVE_EVIDENCE);
    policy = write_policy(NULL);
    RUN(show, false, target, "--policy", policy);
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "attest: 127.0.0.1 is trusted (policy section lab");
    RUN(show, true, target, "--policy", policy, "--section", "lab");
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    ck_assert_str_eq(member(object, "verdict"), "trusted");
    ck_assert_str_eq(member(object, "section"), "lab");
    json_decref(object);
}
END_TEST

START_TEST(test_show_refused)
{
    const char *policy;

    serve(SERVE_EVIDENCE);
    policy = write_policy(NULL);
    evidence_server_stop(server);
    factory_pcr(&factory, TPM2_ALG_SHA256, 7)[0] ^= 1;
    serve(SERVE_EVIDENCE);
    RUN(show, false, target, "--policy", policy);
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "REFUSED: PCR 7 does not match policy");
}
END_TEST

static const struct {
    const char *section; /* after "servers = " and names */
    const char *text;
    int status;
} other_policies[] = {
    {"servers = a\notherwise = require\nnameless = off\n[a]\nnames = "
     "other.example\nmode = off\n",
     "the policy does not ask for evidence here: shown, not judged", TOOL_DONE},
    {"servers = a\notherwise = off\nnameless = refuse\n[a]\nnames = "
     "other.example\nmode = off\n",
     "the peer has no name to find a policy", TOOL_REFUSED},
    {"servers = a\notherwise = off\n[a]\nnames = 127.0.0.1\nmode = off\n",
     "the policy does not ask for evidence here: shown, not judged", TOOL_DONE},
    {"nonsense = 1\n", "policy.cnf:2", TOOL_USAGE},
};

START_TEST(test_show_other_policy)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "[policy]\n%s",
                       other_policies[_i].section);

    serve(SERVE_EVIDENCE);
    scratch_write("policy.cnf", text, (size_t)len, 0644);
    RUN(show, false, target, "--policy", scratch_path("policy.cnf"));
    ASSERT_STATUS(other_policies[_i].status);
    ASSERT_HAS(result.err, other_policies[_i].text);
}
END_TEST

START_TEST(test_show_unknown_section)
{
    const char *policy;

    serve(SERVE_EVIDENCE);
    policy = write_policy(NULL);
    RUN(show, false, target, "--policy", policy, "--section", "other");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--section other: no such section");
    RUN(show, false, target, "--policy", scratch_path("missing.cnf"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "No such file");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_show_is_no_verdict),
    ONCE(test_show_json),
    ONCE(test_show_json_is_ascii),
    ONCE(test_show_other_bank_and_pcr),
    LOOP(test_show_fails, 0, COUNT(failures)),
    ONCE(test_show_wrong_signature),
    LOOP(test_show_usage, 0, COUNT(bad_usage)),
    LOOP(test_show_bad_file, 0, COUNT(bad_files)),
    ONCE(test_show_saved),
    ONCE(test_show_bare_record),
    ONCE(test_bare_record_is_not_trusted),
    ONCE(test_save_fails),
    ONCE(test_show_trusted),
    ONCE(test_show_refused),
    LOOP(test_show_other_policy, 0, COUNT(other_policies)),
    ONCE(test_show_unknown_section),
};

SUITE(.name = "tool_show",
      .cases = {CASE("tool_show", tests, 60, setup, teardown)});
