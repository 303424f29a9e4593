/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>

#include "attester/measured_log.h"
#include "lib/suite.h"
#include "lib/tcglog.h"
#include "unit/tool_saved.h"
#include "verifier/policy.h"

#define EV_SEPARATOR 0x00000004u
#define EV_IPL 0x0000000du
#define EV_EFI_ACTION 0x80000007u

static const struct tcglog_algorithm two_banks[] = {{TPM2_ALG_SHA256, 32},
                                                    {TPM2_ALG_SHA384, 48}};

static struct tcglog tcg; /* too large for a stack */

static void write_log(const char *name)
{
    scratch_write(name, tcg.octets, tcg.len, 0644);
}

/* PCR 4 has fourteen events, 0 one, 7 none; IMA's aggregate is in 10. */
static void make_log(void)
{
    char text[32];

    tcglog_begin(&tcg, two_banks, 2);
    tcglog_text(&tcg, 0, EV_EFI_ACTION, "firmware 1");
    for (int i = 0; i < 14; i++) {
        snprintf(text, sizeof(text), "image %02d", i);
        tcglog_text(&tcg, 4, EV_EFI_ACTION, text);
    }
    tcglog_text(&tcg, 10, EV_IPL, "boot_aggregate");
    write_log("boot.log");
}

#define FROM_LOG(...)                                            \
    RUN(false, "--boot-log", scratch_path("boot.log"), "--host", \
        "api.example", "--machines", "m.example", "--trust",     \
        scratch_path("roots.pem"), __VA_ARGS__)

static void setup_log(void)
{
    setup();
    factory_make(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    make_log();
}

/* The value that a log leads to, computed by the evidence's own replay. */
static void assert_value(uint16_t alg, unsigned pcr)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    char line[2 * ATLS_PCR_DIGEST_MAX + 32];
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];
    struct atls_boot_log log;

    ck_assert_int_eq(atls_boot_log_parse(
                         (struct atls_span){tcg.octets, tcg.len}, NULL, &log),
                     ATLS_OK);
    ck_assert_int_eq(atls_boot_log_replay(&log, alg, pcr, NULL, value, NULL),
                     ATLS_OK);
    atls_boot_log_clear(&log);
    atls_hex(value, atls_hash_by_alg(alg)->len, hex);
    snprintf(line, sizeof(line), "\npcr.%-7u = %s  #", pcr, hex);
    ASSERT_HAS(result.out, line);
}

START_TEST(test_policy_of_a_boot_log)
{
    struct atls_policy *policy = NULL;
    struct atls_reason why;

    FROM_LOG("--name", "lab");
    ASSERT_STATUS(TOOL_DONE);
    assert_value(TPM2_ALG_SHA256, 0);
    assert_value(TPM2_ALG_SHA256, 4);
    ASSERT_HAS_NOT(result.out, "pcr.7");
    ASSERT_HAS(result.out, "\nbank        = sha256\n");
    ASSERT_HAS(result.out, "\nmachines    = m.example  # as given\n");
    ASSERT_HAS(result.out, "\n#   EV_EFI_ACTION  image 00\n");
    ASSERT_HAS(result.out,
               "#   EV_EFI_ACTION  image 11\n#   ... and 2 more\npcr.4");
    ASSERT_HAS_NOT(result.out, "image 12");
    ASSERT_HAS(result.err, "nothing vouches for it");
    ASSERT_HAS(result.err, "That is not in a boot log (--pcrs)");
    scratch_write("policy.cnf", result.out, strlen(result.out), 0644);
    ck_assert_msg(atls_policy_load(scratch_path("policy.cnf"), &why, &policy)
                      == ATLS_OK,
                  "%s", why.text);
    ck_assert_ptr_nonnull(atls_policy_find(policy, "lab"));
    atls_policy_unref(policy);
}
END_TEST

/* It changes with every file that runs, unless somebody knows better. */
START_TEST(test_policy_leaves_ima_out)
{
    FROM_LOG("--name", "lab");
    ASSERT_HAS(result.out, "# PCR 10 is left out: IMA extends it");
    ASSERT_HAS_NOT(result.out, "pcr.10");
    FROM_LOG("--pcrs", "0,10");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\npcr.10 ");
    ASSERT_HAS_NOT(result.out, "left out: IMA");
    ASSERT_HAS_NOT(result.out, "pcr.4");
}
END_TEST

START_TEST(test_policy_of_another_bank)
{
    FROM_LOG("--bank", "sha384");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\nbank        = sha384\n");
    assert_value(TPM2_ALG_SHA384, 4);
    FROM_LOG("--bank", "sha512");
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.err, "boot.log: ");
    FROM_LOG("--bank", "sha1");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--bank sha1: expected sha256, sha384 or sha512");
}
END_TEST

START_TEST(test_policy_with_a_measured_log)
{
    struct atls_pcr_selection banks = {
        .count = 1, .banks = {{TPM2_ALG_SHA256, UINT32_C(1) << 15}}};
    struct atls_reason why;
    char *record = NULL;
    size_t len = 0;

    ck_assert_int_eq(atls_measured_record(15, &banks,
                                          factory_component("app", 'e'), &why,
                                          &record, &len),
                     ATLS_OK);
    scratch_write("events.cel", record, len, 0644);
    OPENSSL_free(record);
    FROM_LOG("--measured-log", scratch_path("events.cel"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\ncomponent.app = sha256:eeee");
    FROM_LOG("--measured-log", scratch_path("missing"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "No such file");
}
END_TEST

/* Only what was extended can be replayed. */
START_TEST(test_policy_of_an_empty_log)
{
    tcglog_begin(&tcg, two_banks, 2);
    write_log("boot.log");
    FROM_LOG("--name", "lab");
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.err, "boot.log: no event was extended in it");
    scratch_write("boot.log", "-----BEGIN CERTIFICATE-----", 27, 0644);
    FROM_LOG("--name", "lab");
    ASSERT_STATUS(TOOL_NO_EVIDENCE);
    ASSERT_HAS(result.err, "boot.log: not the TCG's format: ");
}
END_TEST

START_TEST(test_policy_as_a_reference)
{
    FROM_LOG("--reference", "golden");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\n#   reference = golden\n\n[golden]\n");
    ASSERT_HAS_NOT(result.out, "trust ");
    ASSERT_HAS_NOT(result.out, "bank  ");
    ASSERT_HAS_NOT(result.out, "components");
    assert_value(TPM2_ALG_SHA256, 4);
    FROM_LOG("--reference", "policy");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--reference policy: expected letters");
    FROM_LOG("--reference", "a", "--name", "a");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "--reference a: expected letters");
}
END_TEST

/* A whole state in a section of its own, and the server's evidence fits it. */
START_TEST(test_reference_of_evidence)
{
    json_t *object;

    save("evidence.json");
    write_policy("evidence.json", "policy.cnf");
    RUN(true, "--from", scratch_path("evidence.json"), "--trust",
        scratch_path("roots.pem"), "--reference", "golden", "--output",
        scratch_path("golden.cnf"));
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    ck_assert_str_eq(json_string_value(json_object_get(object, "section")),
                     "golden");
    json_decref(object);
    edit("policy.cnf", "[lab]",
         ".include golden.cnf\n[lab]\nreference = golden");
    RUN(false, "check", scratch_path("policy.cnf"),
        scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_DONE);
    edit("golden.cnf", "component.server-code = sha256:bb",
         "component.server-code = sha256:cc");
    RUN(false, "check", scratch_path("policy.cnf"),
        scratch_path("evidence.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "component server-code does not match");
}
END_TEST

/* Evidence says whose it is; the user may know better. */
START_TEST(test_policy_for_a_host)
{
    save("evidence.json");
    RUN(false, "--from", scratch_path("evidence.json"), "--trust",
        scratch_path("roots.pem"), "--host", "www.example");
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\nnames       = www.example\n");
    scratch_write("record.cmw", factory.cmw, factory.cmw_len, 0644);
    RUN(false, "--from", scratch_path("record.cmw"), "--trust",
        scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "name the server with --host");
}
END_TEST

/* The events that peers tell stand above the values they made. */
START_TEST(test_policy_names_events_of_a_peer)
{
    factory_boot(&factory, 4, EV_EFI_ACTION, "loader 2.0");
    factory_boot(&factory, 4, EV_SEPARATOR, "end");
    save("evidence.json");
    RUN(false, "--from", scratch_path("evidence.json"), "--trust",
        scratch_path("roots.pem"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "\n#   EV_EFI_ACTION  loader 2.0\n#   EV_SEPARATOR");
}
END_TEST

static const struct {
    const char *words[10];
    const char *text;
} usage[] = {
    {{"--boot-log", "x", "--trust", "y"}, "--boot-log needs --host and"},
    {{"--boot-log", "x", "--here", "--trust", "y"}, "give one of --from"},
    {{"--from", "x", "--here", "--trust", "y"}, "give one of --from"},
    {{"--from", "x", "--conf", "y", "--trust", "z"},
     "--conf and --certificate-file belong to --here"},
    {{"--from", "x", "--certificate-file", "y", "--trust", "z"},
     "--conf and --certificate-file belong to --here"},
    {{"--here", "--bank", "sha256", "--trust", "z"},
     "--measured-log and --bank belong to --boot-log"},
    {{"--here", "--measured-log", "x", "--trust", "z"},
     "--measured-log and --bank belong to --boot-log"},
};

START_TEST(test_policy_sources)
{
    verb_run(&tool_verb_policy, false, usage[_i].words, &result);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, usage[_i].text);
    ASSERT_HAS(result.err, "Try 'attest policy --help'.");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_policy_of_a_boot_log),
    ONCE(test_policy_leaves_ima_out),
    ONCE(test_policy_of_another_bank),
    ONCE(test_policy_with_a_measured_log),
    ONCE(test_policy_of_an_empty_log),
    ONCE(test_policy_as_a_reference),
    ONCE(test_reference_of_evidence),
    ONCE(test_policy_for_a_host),
    ONCE(test_policy_names_events_of_a_peer),
    LOOP(test_policy_sources, 0, COUNT(usage)),
};

SUITE(.name = "tool_policy_log",
      .cases = {CASE("tool_policy_log", tests, 60, setup_log, teardown)});
