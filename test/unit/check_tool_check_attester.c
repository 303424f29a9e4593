/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/suite.h"
#include "lib/swtpm.h"
#include "lib/verb.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define OTHER_HANDLE 0x81010003u

/* What "attest check" says of a machine that proves itself, on a swtpm. */

static struct swtpm *swtpm;
static struct verb_result result;
static json_t *object;
static char folder[256];
static char attester[1024]; /* the section; a test may add to it */

static const char *path_of(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void setup(void)
{
    swtpm = swtpm_start();
    ck_assert_ptr_nonnull(swtpm);
    snprintf(folder, sizeof(folder), "%s", swtpm_folder(swtpm));
    ck_assert(swtpm_make_ak(swtpm, NULL));
    ck_assert(swtpm_write_chain(swtpm, SWTPM_AK_HANDLE, false,
                                path_of("chain.pem"), path_of("root.pem")));
    snprintf(attester, sizeof(attester),
             "quoter = tcti:%s\nak = " SWTPM_AK "\nak_chain = %s\n"
             "measured_log = %s\npcrs = sha256:0-9,11-15\ntimeout = 4000\n",
             swtpm_tcti(swtpm), path_of("chain.pem"), path_of("events.cel"));
}

static void teardown(void)
{
    json_decref(object);
    object = NULL;
    verb_result_clear(&result);
    swtpm_stop(swtpm);
    swtpm = NULL;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void check(void)
{
    const char *const words[] = {"--conf", path_of("openssl.cnf"), "--warn",
                                 "0", NULL}; /* the chain is short-lived */
    char text[2048];

    snprintf(text, sizeof(text),
             "openssl_conf = i\n[i]\nproviders = p\n[p]\ndefault = d\n"
             "attest = a\n[d]\nactivate = 1\n[a]\nactivate = 1\n"
             "module = /nonexistent/attest.so\nattester = s\n[s]\n%s",
             attester);
    write_file("openssl.cnf", text);
    json_decref(object);
    verb_result_clear(&result);
    verb_run(&tool_verb_check, true, words, &result);
    object = verb_json(&result);
}

static bool has(const char *level, const char *what, const char *words)
{
    json_t *finding;
    size_t i;

    json_array_foreach(json_object_get(object, "findings"), i, finding)
    {
        const char *l = "", *w = "", *detail = "";

        json_unpack(finding, "{s:s, s:s, s:s}", "level", &l, "what", &w,
                    "detail", &detail);
        if (strcmp(l, level) == 0 && strcmp(w, what) == 0
            && strstr(detail, words) != NULL)
            return true;
    }
    return false;
}

#define ASSERT_FOUND(level, what, words)                                 \
    ck_assert_msg(has((level), (what), (words)), "%s %s: %s not in\n%s", \
                  (level), (what), (words), result.out)

/* Is there no warning and no failure but that of the module? */
static void assert_nothing_else(void)
{
    static const char *const parts[] = {"settings", "attester", "AK chain",
                                        "AK",       "TPM",      "event log",
                                        "evidence"};

    for (int i = 0; i < COUNT(parts); i++)
        ck_assert_msg(!has("warn", parts[i], "") && !has("fail", parts[i], ""),
                      "%s", result.out);
}

START_TEST(test_all_is_well)
{
    check();
    ASSERT_FOUND("ok", "settings", "attester");
    ASSERT_FOUND("ok", "AK chain", "2 certificates");
    ASSERT_FOUND("ok", "AK", "is the key of the AK certificate");
    ASSERT_FOUND("ok", "event log", "replays to PCR 15 (events: 0)");
    ASSERT_FOUND("ok", "evidence", "octets, made in");
    assert_nothing_else();
}
END_TEST

START_TEST(test_T8_ak_without_noda)
{
    const struct swtpm_ak ak = {.without = TPMA_OBJECT_NODA};

    ck_assert(swtpm_make_ak(swtpm, &ak));
    ck_assert(swtpm_write_chain(swtpm, SWTPM_AK_HANDLE, false,
                                path_of("chain.pem"), NULL));
    check();
    ASSERT_FOUND("warn", "AK", "lacks noDA");
}
END_TEST

START_TEST(test_E3_ak_is_not_restricted)
{
    const struct swtpm_ak ak = {.without = TPMA_OBJECT_RESTRICTED};

    ck_assert(swtpm_make_ak(swtpm, &ak));
    check();
    ASSERT_FOUND("fail", "AK", "estricted");
}
END_TEST

START_TEST(test_chain_of_another_key)
{
    const struct swtpm_ak other = {.handle = OTHER_HANDLE, .unique = 1};

    ck_assert(swtpm_make_ak(swtpm, &other));
    ck_assert(swtpm_write_chain(swtpm, OTHER_HANDLE, false,
                                path_of("chain.pem"), NULL));
    check();
    ASSERT_FOUND("fail", "AK", "is not the key of the first certificate");
}
END_TEST

START_TEST(test_chain_with_root)
{
    ck_assert(swtpm_write_chain(swtpm, SWTPM_AK_HANDLE, true,
                                path_of("chain.pem"), NULL));
    check();
    ck_assert_msg(has("fail", "AK chain", "is a root")
                      || has("fail", "attester", "root"),
                  "%s", result.out);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} bad_chains[] = {
    {"", "chain.pem"},
    {"no certificate\n", "chain.pem"},
    {NULL, "No such file"},
};

START_TEST(test_unusable_chain)
{
    if (bad_chains[_i].text != NULL)
        write_file("chain.pem", bad_chains[_i].text);
    else
        ck_assert_int_eq(unlink(path_of("chain.pem")), 0);
    check();
    ASSERT_FOUND("fail", "attester", bad_chains[_i].words);
}
END_TEST

START_TEST(test_T1_no_tpm)
{
    swtpm_kill(swtpm);
    check();
    ASSERT_FOUND("fail", "TPM", "swtpm");
    ASSERT_FOUND("fail", "evidence", "");
}
END_TEST

START_TEST(test_no_key_at_handle)
{
    strcat(attester, "ak = 0x81010009\n");
    check();
    ASSERT_FOUND("fail", "AK", "0x81010009");
}
END_TEST

START_TEST(test_wrong_authorization)
{
    const struct swtpm_ak ak = {.auth = "secret"};

    ck_assert(swtpm_make_ak(swtpm, &ak));
    ck_assert(swtpm_write_chain(swtpm, SWTPM_AK_HANDLE, false,
                                path_of("chain.pem"), NULL));
    check();
    ASSERT_FOUND("fail", "evidence", "");
    write_file("ak.auth", "secret");
    ck_assert_int_eq(chmod(path_of("ak.auth"), 0600), 0);
    snprintf(attester + strlen(attester), sizeof(attester) - strlen(attester),
             "ak_auth = file:%s\n", path_of("ak.auth"));
    check();
    ASSERT_FOUND("ok", "evidence", "octets, made in");
    ck_assert(!has("fail", "AK authorization", ""));
    ck_assert_int_eq(chmod(path_of("ak.auth"), 0604), 0);
    check();
    ASSERT_FOUND("fail", "AK authorization", "can be read by everybody");
}
END_TEST

START_TEST(test_log_does_not_replay)
{
    ck_assert(swtpm_extend(swtpm, 15, "not in any log"));
    check();
    ASSERT_FOUND(
        "fail", "event log",
        "events.cel is not there, yet PCR 15 is not zero: lost (kexec)");
    ck_assert(!has("ok", "evidence", ""));
}
END_TEST

START_TEST(test_log_is_garbage)
{
    write_file("events.cel", "garbage");
    check();
    ASSERT_FOUND("fail", "event log", "the measured log cannot be read: ");
    ck_assert(!has("ok", "evidence", ""));
}
END_TEST

START_TEST(test_no_log_is_sent)
{
    strcat(attester, "measured_log = none\n");
    check();
    ASSERT_FOUND("warn", "event log", "no measured log is sent");
    ASSERT_FOUND("ok", "evidence", "octets, made in");
}
END_TEST

static void measure(void)
{
    const char *const words[] = {
        "--name",
        "model",
        "--digest",
        "sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "--conf",
        path_of("openssl.cnf"),
        NULL};

    verb_result_clear(&result);
    verb_run(&tool_verb_measure, false, words, &result);
    ck_assert_msg(result.status == TOOL_DONE, "%s", result.err);
}

START_TEST(test_measured_log_replays)
{
    check();
    measure();
    check();
    ASSERT_FOUND("ok", "event log", "replays to PCR 15 (events: 1)");
    assert_nothing_else();
}
END_TEST

START_TEST(test_T16_reset_with_the_log_still_there)
{
    check();
    measure();
    ck_assert(swtpm_reset(swtpm));
    check();
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ASSERT_FOUND("fail", "event log", "the TPM was reset since ");
    ASSERT_FOUND("fail", "event log",
                 "was written: PCR 15 is zero, the log has 1 events");
    ck_assert(!has("ok", "event log", "") && !has("ok", "evidence", ""));
    ck_assert_int_eq(unlink(path_of("events.cel")), 0);
    measure();
    check();
    ASSERT_FOUND("ok", "event log", "replays to PCR 15 (events: 1)");
    assert_nothing_else();
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_all_is_well),
    ONCE(test_T8_ak_without_noda),
    ONCE(test_E3_ak_is_not_restricted),
    ONCE(test_chain_of_another_key),
    ONCE(test_chain_with_root),
    LOOP(test_unusable_chain, 0, COUNT(bad_chains)),
    ONCE(test_T1_no_tpm),
    ONCE(test_no_key_at_handle),
    ONCE(test_wrong_authorization),
    ONCE(test_log_does_not_replay),
    ONCE(test_log_is_garbage),
    ONCE(test_no_log_is_sent),
    ONCE(test_measured_log_replays),
    ONCE(test_T16_reset_with_the_log_still_there),
};

SUITE(.name = "tool_check_attester", .skip = swtpm_missing,
      .cases = {CASE("tool_check_attester", tests, 120, setup, teardown)});
