/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/evidence_server.h"
#include "lib/scratch.h"
#include "lib/verb.h"
#include "tools/policy_draft.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* "attest show" and "attest policy" against a server of the factory's. */

static struct factory factory;
static struct evidence_server *server;
static struct verb_result result;
static char target[64]; /* 127.0.0.1:PORT */

static void setup(void)
{
    scratch_make();
    factory_init(&factory, 0);
    evidence_server_now(&factory, 30);
    memset(&result, 0, sizeof(result));
    server = NULL;
}

static void teardown(void)
{
    if (server != NULL)
        evidence_server_stop(server);
    verb_result_clear(&result);
    factory_clear(&factory);
    factory_free_keys();
    scratch_remove();
}

static void serve(enum evidence_server_kind kind)
{
    factory_make(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    server = evidence_server_start(kind, &factory);
    snprintf(target, sizeof(target), "127.0.0.1:%u",
             evidence_server_port(server));
}

#define RUN(verb, json, ...)                                 \
    do {                                                     \
        const char *const words[] = {__VA_ARGS__, NULL};     \
        verb_result_clear(&result);                          \
        verb_run(&tool_verb_##verb, (json), words, &result); \
    } while (0)

#define ASSERT_HAS(text, part)                          \
    ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))
#define ASSERT_HAS_NOT(text, part)                      \
    ck_assert_msg(strstr((text), (part)) == NULL, "%s", (text))
#define ASSERT_STATUS(expected)                                            \
    ck_assert_msg(result.status == (expected), "status %d\n%s\n%s",        \
                  result.status, result.out, result.err)

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "(none)";
}

/* The result of a step in the JSON of a report. */
static const char *step(const json_t *object, const char *name)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(object, "steps"), i, entry)
        if (strcmp(member(entry, "name"), name) == 0)
            return member(entry, "result");
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
    ASSERT_HAS(result.out, "attest: 127.0.0.1 shown, not judged (no policy given)");
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
    ck_assert_int_eq(atls_pcr_selection_parse("sha384:0-7,12", NULL,
                                              &factory.selection),
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
    {"/dev/null", TOOL_NO_EVIDENCE, "is empty"},
    {"/dev/zero", TOOL_NO_EVIDENCE, "larger than"},
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
    {"servers = a\notherwise = require\nnameless = refuse\n[a]\nnames = "
     "other.example\nmode = off\n",
     "no policy section names this peer", TOOL_REFUSED},
    {"servers = a\notherwise = off\n[a]\nnames = other.example\nmode = off\n",
     "the policy does not ask for evidence here: shown, not judged", TOOL_DONE},
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

/* --- policy ----------------------------------------------------------------- */

START_TEST(test_policy_on_standard_output)
{
    struct atls_policy *policy = NULL;
    const struct atls_section *section;
    struct atls_reason why;

    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.err, "Compare before you use it");
    scratch_write("policy.cnf", result.out, strlen(result.out), 0644);
    ck_assert_msg(atls_policy_load(scratch_path("policy.cnf"), &why, &policy)
                      == ATLS_OK,
                  "%s", why.text);
    section = atls_policy_find(policy, "127.0.0.1");
    ck_assert_ptr_nonnull(section);
    ck_assert_int_eq(section->mode, ATLS_MODE_REQUIRE);
    ck_assert_uint_eq(section->name_count, 1);
    ck_assert_uint_eq(section->machine_count, 1);
    ck_assert_str_eq(section->machines[0], "machine0.example");
    ck_assert_int_eq(section->certificate, ATLS_CERTIFICATE_MEASURED);
    ck_assert_uint_eq(section->component_count, 2);
    ck_assert(!section->components_any && !section->ak_eku_any);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++)
        ck_assert_uint_eq(section->pcrs[pcr].count,
                          POLICY_DRAFT_PCRS >> pcr & 1u);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_policy_json)
{
    json_t *object;

    serve(SERVE_EVIDENCE);
    RUN(policy, true, "--from", target, "--trust", scratch_path("roots.pem"),
        "--name", "lab");
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    ck_assert_str_eq(member(object, "section"), "lab");
    ASSERT_HAS(member(object, "policy"), "[lab]\nnames       = 127.0.0.1\n");
    ck_assert_uint_ge(json_array_size(json_object_get(object, "compare")), 3);
    json_decref(object);
}
END_TEST

/* Contents that are no words of a list, the same component twice. */
START_TEST(test_policy_of_odd_log)
{
    factory_log(&factory, "machine-id:0123 with, blanks # and \"quotes\"");
    factory_log(&factory, factory_component("server-code", 'c'));
    factory_log(&factory, factory_component("server-code", 'b'));
    factory_log(&factory, "file-system:/");
    factory_log(&factory, "file-system:/");
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\nevents      = machine-id:0123*with*blanks*and*"
                           "quotes* file-system:/\n");
    ASSERT_HAS(result.out, "component.server-code = sha256:bbbb");
    ASSERT_HAS(result.out, " sha256:cccc");
}
END_TEST

START_TEST(test_policy_options)
{
    const char *roots;

    factory.authority.not_after = factory.leaf.not_after;
    serve(SERVE_EVIDENCE);
    roots = scratch_path("roots.pem");
    RUN(policy, false, "--from", target, "--trust", roots, "--pcrs", "0,7",
        "--machines", "machine0.example, other.example", "--certificate", "any");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "pcr.0 ");
    ASSERT_HAS(result.out, "pcr.7 ");
    ASSERT_HAS_NOT(result.out, "pcr.1 ");
    ASSERT_HAS(result.out, "machines    = machine0.example, other.example  #");
    ASSERT_HAS(result.out, "certificate = any");
}
END_TEST

START_TEST(test_policy_of_machine_without_names)
{
    factory.ak.cn = "AK 1"; /* no name of a host */
    factory.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE;
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "machines    = sha256:");
    ASSERT_HAS(result.out, "ak_eku      = any");
}
END_TEST

/* A file says what it likes; none of it may become syntax. */
START_TEST(test_policy_from_hostile_file)
{
    static const char *const names[] = {"*.example", "10.0.0.0/8",
                                        "a\\n[policy]", "a b", "any # x"};
    char text[ATLS_CMW_MAX];
    json_t *saved;

    serve(SERVE_EVIDENCE);
    RUN(show, false, target, "--save", scratch_path("evidence.json"));
    saved = json_load_file(scratch_path("evidence.json"), 0, NULL);
    snprintf(text, sizeof(text), "%s", names[_i]);
    json_object_set_new(saved, "peer", json_string(text));
    json_dump_file(saved, scratch_path("hostile.json"), 0);
    json_decref(saved);
    RUN(policy, false, "--from", scratch_path("hostile.json"), "--trust",
        scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "no host name or address");
    ck_assert_str_eq(result.out, "");
}
END_TEST

static void use_other_root(void)
{
    factory_write_certificate(scratch_path("roots.pem"),
                              factory.authority_cert);
}

static void leave_certificate_out(void)
{
    factory.log_count = 2;
}

static void zero_boot_pcrs(void)
{
    for (unsigned pcr = 0; pcr < 8; pcr++)
        memset(factory_pcr(&factory, TPM2_ALG_SHA256, pcr), 0,
               ATLS_PCR_DIGEST_MAX);
}

static void sign_with_other_key(void)
{
    factory.signer = factory_key(FACTORY_P256, 3);
}

static void log_differs(void)
{
    factory.replays = false;
}

/* Refused before anything is written, and why. */
static const struct {
    enum evidence_server_kind kind;
    void (*before)(void);
    void (*after)(void);
    int status;
    const char *text;
} refusals[] = {
    {SERVE_EVIDENCE, NULL, use_other_root, TOOL_REFUSED,
     "is --trust the root above these AK certificates?"},
    {SERVE_EVIDENCE, leave_certificate_out, NULL, TOOL_REFUSED,
     "attest measure --certificate"},
    {SERVE_EVIDENCE, zero_boot_pcrs, NULL, TOOL_REFUSED, "--allow-zero"},
    {SERVE_EVIDENCE, sign_with_other_key, NULL, TOOL_NO_EVIDENCE,
     "nothing written: "},
    {SERVE_EVIDENCE, log_differs, NULL, TOOL_NO_EVIDENCE, "does not replay"},
    {SERVE_OTHER_CHANNEL, NULL, NULL, TOOL_NO_EVIDENCE, "another connection"},
    {SERVE_NO_EVIDENCE, NULL, NULL, TOOL_NO_EVIDENCE, "no attestation evidence"},
};

START_TEST(test_policy_refuses)
{
    const char *path = scratch_path("policy.cnf");

    if (refusals[_i].before != NULL)
        refusals[_i].before();
    serve(refusals[_i].kind);
    if (refusals[_i].after != NULL)
        refusals[_i].after();
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"),
        "--output", path);
    ASSERT_STATUS(refusals[_i].status);
    ASSERT_HAS(result.err, "attest policy: nothing written: ");
    ASSERT_HAS(result.err, refusals[_i].text);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_policy_with_zero_pcrs)
{
    zero_boot_pcrs();
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"),
        "--allow-zero");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "allow_zero  = yes");
}
END_TEST

START_TEST(test_policy_overwrites_only_with_force)
{
    const char *path = scratch_path("policy.cnf");
    const char *roots;
    char *text;

    serve(SERVE_EVIDENCE);
    roots = scratch_path("roots.pem");
    scratch_write("policy.cnf", "mine", 4, 0644);
    RUN(policy, false, "--from", target, "--trust", roots, "--output", path);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "exists; --force writes over it");
    text = scratch_read("policy.cnf", NULL);
    ck_assert_str_eq(text, "mine");
    free(text);
    RUN(policy, false, "--from", target, "--trust", roots, "--output", path,
        "--force");
    ASSERT_STATUS(TOOL_DONE);
    text = scratch_read("policy.cnf", NULL);
    ASSERT_HAS(text, "[127.0.0.1]");
    free(text);
}
END_TEST

static const struct {
    const char *words[8];
    const char *text;
} policy_usage[] = {
    {{NULL}, "--from"},
    {{"--from", "localhost", NULL}, "--trust FILE is missing"},
    {{"--trust", "x", NULL}, "--from"},
    {{"--from", "localhost", "--trust", "x", "more", NULL}, "unexpected argument"},
    {{"--from", "localhost", "--trust", "x", "--certificate", "yes", NULL},
     "--certificate yes"},
    {{"--from", "localhost", "--trust", "x", "--timeout", "0", NULL},
     "--timeout 0"},
    {{"--bogus", NULL}, "unknown option --bogus"},
    {{"--from", NULL}, "--from needs a value"},
    {{"--from", "a:0", "--trust", "x", NULL}, "a port is a number"},
};

START_TEST(test_policy_usage)
{
    verb_run(&tool_verb_policy, false, policy_usage[_i].words, &result);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, policy_usage[_i].text);
    ASSERT_HAS(result.err, "Try 'attest policy --help'.");
}
END_TEST

static const struct {
    const char *option;
    const char *value;
    const char *text;
} bad_values[] = {
    {"--pcrs", "0-7,99", "--pcrs 0-7,99: expected PCRs"},
    {"--pcrs", "sha1:0", "expected one bank"},
    {"--pcrs", "sha256:0+sha384:0", "expected one bank"},
    {"--pcrs", "0,10", "PCR 10 of bank sha256 is not in the evidence"},
    {"--name", "policy", "--name policy: expected"},
    {"--name", "a b", "--name a b: expected"},
    {"--name", "", "--name : expected"},
    {"--machines", "a\n[policy]", "--machines"},
    {"--machines", "a # b", "--machines"},
    {"--machines", "..", "machines"},
    {"--trust", "/nonexistent", "No such file"},
    {"--trust", "/dev/null", "nothing written"},
    {"--output", "/nonexistent/policy.cnf", "No such file"},
};

START_TEST(test_policy_bad_value)
{
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"),
        bad_values[_i].option, bad_values[_i].value);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, bad_values[_i].text);
    ck_assert_str_eq(result.out, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tool_show");
    TCase *tcase = tcase_create("tool_show");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_show_is_no_verdict);
    tcase_add_test(tcase, test_show_json);
    tcase_add_test(tcase, test_show_other_bank_and_pcr);
    tcase_add_loop_test(tcase, test_show_fails, 0, COUNT(failures));
    tcase_add_test(tcase, test_show_wrong_signature);
    tcase_add_loop_test(tcase, test_show_usage, 0, COUNT(bad_usage));
    tcase_add_loop_test(tcase, test_show_bad_file, 0, COUNT(bad_files));
    tcase_add_test(tcase, test_show_saved);
    tcase_add_test(tcase, test_show_bare_record);
    tcase_add_test(tcase, test_bare_record_is_not_trusted);
    tcase_add_test(tcase, test_save_fails);
    tcase_add_test(tcase, test_show_trusted);
    tcase_add_test(tcase, test_show_refused);
    tcase_add_loop_test(tcase, test_show_other_policy, 0, COUNT(other_policies));
    tcase_add_test(tcase, test_show_unknown_section);
    tcase_add_test(tcase, test_policy_on_standard_output);
    tcase_add_test(tcase, test_policy_json);
    tcase_add_test(tcase, test_policy_of_odd_log);
    tcase_add_test(tcase, test_policy_options);
    tcase_add_test(tcase, test_policy_of_machine_without_names);
    tcase_add_loop_test(tcase, test_policy_from_hostile_file, 0, 5);
    tcase_add_loop_test(tcase, test_policy_refuses, 0, COUNT(refusals));
    tcase_add_test(tcase, test_policy_with_zero_pcrs);
    tcase_add_test(tcase, test_policy_overwrites_only_with_force);
    tcase_add_loop_test(tcase, test_policy_usage, 0, COUNT(policy_usage));
    tcase_add_loop_test(tcase, test_policy_bad_value, 0, COUNT(bad_values));
    suite_add_tcase(suite, tcase);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
