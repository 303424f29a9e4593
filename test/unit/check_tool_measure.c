/* SPDX-License-Identifier: BSD-2-Clause */
/* "attest measure" against a swtpm, and what all verbs share. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/measuring.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/verb.h"
#include "tools/common/conf.h"

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

#define ABC_SHA256 \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_EVENT "component abc sha256:" ABC_SHA256

static struct verb_result result;

static void setup(void)
{
    memset(&result, 0, sizeof(result));
    measuring_start();
}

static void teardown(void)
{
    verb_result_clear(&result);
    measuring_stop();
}

static void setup_without_tpm(void)
{
    memset(&result, 0, sizeof(result));
    scratch_make();
}

static void teardown_without_tpm(void)
{
    verb_result_clear(&result);
    scratch_remove();
}

#define RUN(json, ...)                                        \
    do {                                                      \
        const char *const words[] = {__VA_ARGS__, NULL};      \
                                                              \
        verb_result_clear(&result);                           \
        verb_run(&tool_verb_measure, (json), words, &result); \
    } while (0)

/* Options that keep the test off this machine's TPM and log. */
#define HERE                                                             \
    "--tcti", swtpm_tcti(measuring.swtpm), "--log", scratch_path("log"), \
        "--conf", "/dev/null"

/* A run without TPM: what is asked for is refused before it is opened. */
#define NOWHERE                                                            \
    "--tcti", "swtpm:host=127.0.0.1,port=1", "--log", scratch_path("log"), \
        "--conf", "/dev/null"

static void expect(int status, const char *out, const char *err)
{
    ck_assert_msg(result.status == status, "%d: %s%s", result.status,
                  result.out, result.err);
    ck_assert_str_eq(result.out, out);
    ck_assert_msg(strstr(result.err, err) != NULL, "%s", result.err);
}

static void write_text(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void write_text(const char *name, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    scratch_write(name, text, (size_t)len, 0644);
}

START_TEST(test_component)
{
    scratch_write("abc", "abc", 3, 0644);
    RUN(false, HERE, "--name", "abc", scratch_path("abc"));
    expect(TOOL_DONE, "measured into PCR 15: " ABC_EVENT "\n", "");
    RUN(false, HERE, "--name", "abc", scratch_path("abc"));
    expect(TOOL_DONE, "already measured in PCR 15: " ABC_EVENT "\n", "");
    RUN(true, HERE, "--name", "abc", "--", scratch_path("abc"));
    expect(TOOL_DONE,
           "{\"pcr\":15,\"content\":\"" ABC_EVENT "\",\"result\":"
           "\"already\"}\n",
           "");
    measuring_expect_state("log", ABC_EVENT);
}
END_TEST

START_TEST(test_folder)
{
    ck_assert_int_eq(mkdir(scratch_path("folder"), 0755), 0);
    RUN(true, "--name", "f", scratch_path("folder"), HERE);
    expect(TOOL_DONE,
           "{\"pcr\":15,\"content\":\"component f sha256:"
           "4cfe2999cd2af7a8370cddb2f6cb5f38117edd61c9fd9d469176ecf04b981063\","
           "\"result\":\"measured\"}\n",
           "");
}
END_TEST

/* Upper case is taken, and is the same event. */
START_TEST(test_given_digest)
{
    RUN(false, HERE, "--name", "abc", "--digest",
        "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
        "AD");
    expect(TOOL_DONE, "measured into PCR 15: " ABC_EVENT "\n", "");
    RUN(false, HERE, "--name", "abc", "--digest", "sha256:" ABC_SHA256);
    expect(TOOL_DONE, "already measured in PCR 15: " ABC_EVENT "\n", "");
}
END_TEST

static void copy_to(const char *name, const char *const *parts, int count)
{
    char text[16384];
    size_t used = 0;

    for (int i = 0; i < count; i++) {
        size_t len = 0;
        char *part = scratch_read(parts[i], &len);

        memcpy(text + used, part, len);
        used += len;
        free(part);
    }
    scratch_write(name, text, used, 0644);
}

/* The leaf, as servers keep it: alone, before its issuer, behind its key, or in
 * DER. */
START_TEST(test_certificate)
{
    char event[128];
    char expected[256];
    struct factory f;

    factory_init(&f, 0);
    factory_make(&f);
    factory_write_certificate(scratch_path("leaf"), f.leaf_cert);
    factory_write_certificate(scratch_path("ca"), f.authority_cert);
    factory_write_key(scratch_path("key"), f.leaf.key);
    copy_to("chain.pem", (const char *const[]){"leaf", "ca"}, 2);
    copy_to("all.pem", (const char *const[]){"key", "leaf", "ca"}, 3);
    scratch_write("leaf.der", f.cert_der.data, f.cert_der.len, 0644);
    measuring_certificate_event("certificate", f.cert_der, event);

    RUN(false, HERE, "--certificate", scratch_path("leaf"));
    snprintf(expected, sizeof(expected), "measured into PCR 15: %s\n", event);
    expect(TOOL_DONE, expected, "");
    snprintf(expected, sizeof(expected), "already measured in PCR 15: %s\n",
             event);
    RUN(false, HERE, "--certificate", scratch_path("chain.pem"));
    expect(TOOL_DONE, expected, "");
    RUN(false, HERE, "--certificate", scratch_path("all.pem"));
    expect(TOOL_DONE, expected, "");
    RUN(false, HERE, "--certificate", scratch_path("leaf.der"));
    expect(TOOL_DONE, expected, "");
    measuring_expect_state("log", event);
    factory_clear(&f);
    factory_free_keys();
}
END_TEST

START_TEST(test_authority)
{
    struct factory f;
    char event[128];

    factory_init(&f, 0);
    factory_make(&f);
    factory_write_certificate(scratch_path("leaf"), f.leaf_cert);
    factory_write_certificate(scratch_path("ca"), f.authority_cert);
    measuring_certificate_event("authority", f.authority_der, event);

    RUN(false, HERE, "--authority", scratch_path("ca"));
    ck_assert_int_eq(result.status, TOOL_DONE);
    measuring_expect_state("log", event);
    RUN(false, HERE, "--authority", scratch_path("leaf"));
    expect(TOOL_USAGE, "",
           "/leaf is no authority (CA:TRUE, keyCertSign): a server's own "
           "certificate is measured as a certificate\n");
    factory_clear(&f);
    factory_free_keys();
}
END_TEST

/* What the command line leaves open stands where the provider reads it. */
START_TEST(test_configuration)
{
    write_text("conf",
               "openssl_conf = i\n[i]\nproviders = p\n[p]\nattest = a\n"
               "[a]\nattester = b\n[b]\nquoter = tcti:%s\nmeasured_log = %s\n"
               "measure_pcr = 12\n",
               swtpm_tcti(measuring.swtpm), scratch_path("log"));
    RUN(true, "--conf", scratch_path("conf"), "--name", "abc", "--digest",
        "sha256:" ABC_SHA256);
    expect(TOOL_DONE,
           "{\"pcr\":12,\"content\":\"" ABC_EVENT
           "\",\"result\":\"measured\"}\n",
           "");
    ck_assert_int_eq(setenv("OPENSSL_CONF", scratch_path("conf"), 1), 0);
    RUN(true, "--pcr", "15", "--name", "abc", "--digest", "sha256:" ABC_SHA256);
    expect(TOOL_DONE,
           "{\"pcr\":15,\"content\":\"" ABC_EVENT
           "\",\"result\":\"measured\"}\n",
           "");
    measuring_expect_state("log", ABC_EVENT);
    unsetenv("OPENSSL_CONF");
}
END_TEST

#define ATTESTER(lines)                                         \
    "openssl_conf = i\n[i]\nproviders = p\n[p]\n1.attest = a\n" \
    "[a]\nattester = b\n[b]\n" lines

static const struct {
    const char *text;
    const char *err;
} bad_confs[] = {
    {ATTESTER("measure_pcr = 16\n"),
     "/conf: [b] measure_pcr must be 8 to 15, is 16\n"},
    {ATTESTER("measure_pcr =\n"),
     "/conf: [b] measure_pcr must be 8 to 15, is \n"},
    {ATTESTER("quoter = device:/dev/tpmrm0\n"),
     "/conf: [b] quoter must begin with tcti: or unix:, is device:/dev/"},
    {"a = b\n[c\n", "/conf:2: missing close square bracket"},
};

START_TEST(test_bad_configuration)
{
    write_text("conf", "%s", bad_confs[_i].text);
    RUN(false, "--conf", scratch_path("conf"), "--log", scratch_path("log"),
        "--name", "abc", "--digest", "sha256:" ABC_SHA256);
    expect(TOOL_USAGE, "", bad_confs[_i].err);
}
END_TEST

/* A client's configuration, or a file of another kind: nothing is extended. */
START_TEST(test_configuration_without_attester)
{
    write_text("conf", "openssl_conf = i\n[i]\nproviders = p\n[p]\nattest = "
                       "a\n[a]\nverifier = v\n[v]\npolicy = /p\n");
    RUN(false, "--conf", scratch_path("conf"), "--name", "abc", "--digest",
        "sha256:" ABC_SHA256);
    expect(TOOL_USAGE, "", "/conf: no attester is configured there");
    RUN(false, "--conf", scratch_path("conf"), "--tcti",
        "swtpm:host=127.0.0.1,port=1", "--name", "abc", "--digest",
        "sha256:" ABC_SHA256);
    expect(TOOL_USAGE, "", "/conf: no attester is configured there");
}
END_TEST

START_TEST(test_missing_configuration)
{
    RUN(true, "--conf", scratch_path("conf"), "--name", "abc", "--digest",
        "sha256:" ABC_SHA256);
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ck_assert_ptr_nonnull(strstr(result.out, "{\"error\":\"io-error\",\"reason"
                                             "\":\"cannot open "));
    ck_assert_ptr_nonnull(
        strstr(result.err, "/conf: No such file or directory\n"));
}
END_TEST

static const struct {
    const char *words[5];
    const char *err;
} mistakes[] = {
    {{NULL},
     "attest measure: give one of --name, --certificate, "
     "--authority and --all\nTry 'attest measure --help'.\n"},
    {{"--name", "x"}, "--name needs a file, a folder or --digest, one of them"},
    {{"--name", "x", "--digest", "y", "z"},
     "--name needs a file, a folder or --digest, one of them"},
    {{"--certificate", "x", "y"}, "a file, folder or --digest needs --name"},
    {{"x"}, "give one of --name, --certificate, --authority and --all"},
    {{"--certificate", "x", "--authority", "y"}, "give one of --name, "},
    {{"--all", "x"}, "--all takes no file and no --digest"},
    {{"--name", "x", "y", "z"}, "one component at a time: z is too much"},
    {{"--name", "a b", "/dev/null"}, "a b is no name of a component: "},
    {{"--name", "x", "/dev/null"}, "/dev/null: neither file nor folder"},
    {{"--name", "x", "--digest", "sha512:00"},
     "a digest must be sha256: and 64 hex digits, not sha512:00"},
    {{"--name", "x", "--digest", "sha256:00"}, "a digest must be sha256: "},
    {{"--certificate", "/dev/null"},
     "cannot read /dev/null: not a regular file"},
    {{"--certificate", "/etc/passwd"},
     "/etc/passwd holds no certificate, neither PEM nor DER"},
    {{"--certificate", "/nonexistent"}, "cannot open /nonexistent: No such"},
    {{"--pcr", "7"}, "7 is out of range: --pcr takes 8 to 15, --wait"},
    {{"--pcr", "16"}, "16 is out of range: "},
    {{"--pcr", "0x8"}, "0x8 is out of range: "},
    {{"--pcr", ""}, " is out of range: "},
    {{"--wait", "600001"}, "600001 is out of range: "},
    {{"--wait", "18446744073709551616"}, "18446744073709551616 is out of"},
    {{"--pcr"}, "option --pcr needs a value"},
    {{"--nothing"}, "unknown option --nothing"},
    {{"-x"}, "unknown option -x"},
};

START_TEST(test_mistakes)
{
    const char *const *w = mistakes[_i].words;

    RUN(false, NOWHERE, w[0], w[1], w[2], w[3], w[4]);
    expect(TOOL_USAGE, "", mistakes[_i].err);
    ck_assert_int_ne(access(scratch_path("log"), F_OK), 0);
}
END_TEST

START_TEST(test_status_of_failures)
{
    RUN(false, NOWHERE, "--name", "abc", "--digest", "sha256:" ABC_SHA256);
    expect(TOOL_UNAVAILABLE, "",
           "attest measure: no TPM answers at swtpm:host=127.0.0.1,port=1: ");
    measuring_extend("intruder");
    RUN(true, HERE, "--name", "abc", "--digest", "sha256:" ABC_SHA256);
    ck_assert_int_eq(result.status, TOOL_NO_EVIDENCE);
    ck_assert_ptr_nonnull(
        strstr(result.out, "{\"error\":\"log-mismatch\",\"reason\":\"/"));
    ck_assert_ptr_nonnull(
        strstr(result.out, "/log has no event of PCR 15, which is not zero: "));
    RUN(false, HERE, "--log", scratch_path("no/log"), "--name", "abc",
        "--digest", "sha256:" ABC_SHA256);
    expect(TOOL_USAGE, "", "/no/log.lock for writing: No such file");
}
END_TEST

/* Every error has a status, and only success is success. */
START_TEST(test_exit_status)
{
    ck_assert_int_eq(atls_error_status(ATLS_OK), TOOL_DONE);
    for (int code = 1; code < ATLS_E_COUNT; code++) {
        int status = atls_error_status((enum atls_error)code);

        ck_assert_int_ge(status, TOOL_REFUSED);
        ck_assert_int_le(status, TOOL_UNAVAILABLE);
    }
    ck_assert_int_eq(atls_error_status(ATLS_E_PCR_VALUE), TOOL_REFUSED);
    ck_assert_int_eq(atls_error_status(ATLS_E_POLICY), TOOL_USAGE);
    ck_assert_int_eq(atls_error_status(ATLS_E_SIGNATURE), TOOL_NO_EVIDENCE);
    ck_assert_int_eq(atls_error_status(ATLS_E_LOG_BUSY), TOOL_UNAVAILABLE);
    ck_assert_int_eq(atls_error_status((enum atls_error)1000), TOOL_USAGE);
}
END_TEST

static const struct {
    const char *text;
    const char *provider; /* NULL: the file has none */
    const char *attester;
    const char *verifier;
} confs[] = {
    {"", NULL, NULL, NULL},
    {"openssl_conf = i\n", NULL, NULL, NULL},
    {"openssl_conf = i\n[i]\nproviders = p\n", NULL, NULL, NULL},
    {"openssl_conf = i\n[i]\nproviders = p\n[p]\nattest = a\n", "a", NULL,
     NULL},
    {"openssl_conf = i\n[i]\nproviders = p\n[p]\ndefault = d\nx.attest = a\n"
     "[d]\nattester = no\n[a]\nattester = b\nverifier = c\n",
     "a", "b", "c"},
    {"openssl_conf = i\n[i]\nproviders = p\n[p]\nother = a\n"
     "[a]\nidentity = attest\nverifier = c\n",
     "a", NULL, "c"},
    {"openssl_conf = i\n[i]\nproviders = p\n[p]\nattest = a\n"
     "[a]\nidentity = other\nverifier = c\n",
     NULL, NULL, NULL},
    /* NCONF_get_string() would find these in the first section. */
    {"attester = no\nverifier = no\nopenssl_conf = i\n[i]\nproviders = p\n"
     "[p]\nattest = a\n[a]\nactivate = 1\n",
     "a", NULL, NULL},
};

static void expect_string(const char *found, const char *expected)
{
    if (expected == NULL)
        ck_assert_ptr_null(found);
    else
        ck_assert_str_eq(found, expected);
}

START_TEST(test_conf_sections)
{
    struct atls_reason why;
    struct tool_conf *conf = NULL;

    write_text("conf", "%s", confs[_i].text);
    ck_assert_int_eq(tool_conf_load(scratch_path("conf"), &why, &conf),
                     ATLS_OK);
    expect_string(conf->path, scratch_path("conf"));
    expect_string(conf->provider, confs[_i].provider);
    expect_string(conf->attester, confs[_i].attester);
    expect_string(conf->verifier, confs[_i].verifier);
    ck_assert_ptr_null(tool_conf_get(conf, conf->verifier, "policy"));
    tool_conf_free(conf);
}
END_TEST

static const struct suite_test with_tpm_tests[] = {
    ONCE(test_component),          ONCE(test_folder),
    ONCE(test_given_digest),       ONCE(test_certificate),
    ONCE(test_authority),          ONCE(test_configuration),
    ONCE(test_status_of_failures),
};

static const struct suite_test without_tests[] = {
    LOOP(test_bad_configuration, 0, COUNT(bad_confs)),
    ONCE(test_configuration_without_attester),
    ONCE(test_missing_configuration),
    LOOP(test_mistakes, 0, COUNT(mistakes)),
    ONCE(test_exit_status),
    LOOP(test_conf_sections, 0, COUNT(confs)),
};

SUITE(.name = "tool_measure", .skip = swtpm_missing,
      .cases = {CASE("with TPM", with_tpm_tests, 60, setup, teardown),
                CASE("without TPM", without_tests, 0, setup_without_tpm,
                     teardown_without_tpm)});
