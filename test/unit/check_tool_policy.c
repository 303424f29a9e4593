/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/suite.h"
#include "tools/policy/draft.h"
#include "tools/common/output.h"
#include "unit/tool_server.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

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

/* A pattern for it would be `*`, and take whatever is logged later. */
START_TEST(test_policy_of_wordless_event)
{
    factory_log(&factory, "!, \"$\"");
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.err, "nothing written: the measured log holds an event "
                           "that the policy does not list: \"!, \\\"$\\\"\"");
    ck_assert_str_eq(result.out, "");
}
END_TEST

/* No pattern for what is nearly a component: it is named as what it is. */
START_TEST(test_policy_of_another_form)
{
    char content[ATLS_EVENT_CONTENT_MAX];

    (void)snprintf(content, sizeof(content), "%s\n",
                   factory_component("server-code", 'c'));
    factory_log(&factory, content);
    serve(SERVE_EVIDENCE);
    RUN(policy, false, "--from", target, "--trust", scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(
        result.err,
        "nothing written: the log has \"component server-code sha256:"
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
        "\\n\", which is no component to attest: a line feed at its "
        "end; use attest measure");
    ck_assert_ptr_null(strstr(result.err, "events"));
    ck_assert_str_eq(result.out, "");
}
END_TEST

/* A disk that is full for a moment leaves a hole, not a shorter file. */
START_TEST(test_policy_with_a_hole)
{
    const char *name = scratch_path("policy.cnf");
    struct tool_output output = {.name = name};
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct atls_reason why = {0};
    FILE *file = NULL;
    int fd;

    ck_assert_int_ge(full, 0);
    ck_assert_int_eq(tool_output_open(&output, &why, &file), ATLS_OK);
    fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
    fputs("pcr.0 = ", file);
    ck_assert_int_ge(dup2(full, fileno(file)), 0);
    ck_assert_int_eq(fflush(file), EOF);
    ck_assert_int_ge(dup2(fd, fileno(file)), 0);
    fputs("aa\n", file);
    ck_assert_int_eq(tool_output_close(&output, file, ATLS_OK, &why),
                     ATLS_E_IO);
    ASSERT_HAS(why.text, "/policy.cnf: Input/output error");
    tool_output_discard(&output);
    close(full);
    close(fd);
}
END_TEST

START_TEST(test_policy_options)
{
    const char *roots;

    factory.authority.not_after = factory.leaf.not_after;
    serve(SERVE_EVIDENCE);
    roots = scratch_path("roots.pem");
    RUN(policy, false, "--from", target, "--trust", roots, "--pcrs", "0,7",
        "--machines", "machine0.example, other.example", "--certificate",
        "any");
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
    {SERVE_NO_EVIDENCE, NULL, NULL, TOOL_NO_EVIDENCE,
     "no attestation evidence"},
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
    {{"--from", "localhost", "--trust", "x", "more", NULL},
     "unexpected argument more: expected options, or check or diff first"},
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
    {"--trust", "/dev/null", "nothing written: trust: /dev/null: "},
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

static const struct suite_test tests[] = {
    ONCE(test_policy_on_standard_output),
    ONCE(test_policy_json),
    ONCE(test_policy_of_odd_log),
    ONCE(test_policy_of_wordless_event),
    ONCE(test_policy_of_another_form),
    ONCE(test_policy_with_a_hole),
    ONCE(test_policy_options),
    ONCE(test_policy_of_machine_without_names),
    LOOP(test_policy_from_hostile_file, 0, 5),
    LOOP(test_policy_refuses, 0, COUNT(refusals)),
    ONCE(test_policy_with_zero_pcrs),
    ONCE(test_policy_overwrites_only_with_force),
    LOOP(test_policy_usage, 0, COUNT(policy_usage)),
    LOOP(test_policy_bad_value, 0, COUNT(bad_values)),
};

SUITE(.name = "tool_policy",
      .cases = {CASE("tool_policy", tests, 60, setup, teardown)});
