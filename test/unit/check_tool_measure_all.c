/* SPDX-License-Identifier: BSD-2-Clause */
/* "attest measure --all", and which configuration measuring goes by. */
#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/measuring.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/verb.h"
#include "tools/measure/conf.h"

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

#define ABC_SHA256 \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_EVENT "component app sha256:" ABC_SHA256
#define GIVEN "0000000000000000000000000000000000000000000000000000000000000001"
#define GIVEN_EVENT "component weights sha256:" GIVEN
#define EMPTY_FOLDER \
    "4cfe2999cd2af7a8370cddb2f6cb5f38117edd61c9fd9d469176ecf04b981063"

static struct verb_result result;

static void setup(void)
{
    memset(&result, 0, sizeof(result));
    measuring_start();
    scratch_write("app", "abc", 3, 0644);
}

static void teardown(void)
{
    verb_result_clear(&result);
    unsetenv("OPENSSL_CONF");
    measuring_stop();
}

static void setup_without_tpm(void)
{
    memset(&result, 0, sizeof(result));
    scratch_make();
    scratch_write("app", "abc", 3, 0644);
}

static void teardown_without_tpm(void)
{
    verb_result_clear(&result);
    unsetenv("OPENSSL_CONF");
    scratch_remove();
}

#define RUN(json, ...)                                        \
    do {                                                      \
        const char *const words[] = {__VA_ARGS__, NULL};      \
                                                              \
        verb_result_clear(&result);                           \
        verb_run(&tool_verb_measure, (json), words, &result); \
    } while (0)

static void expect(int status, const char *out, const char *err)
{
    ck_assert_msg(result.status == status, "%d: %s%s", result.status,
                  result.out, result.err);
    ck_assert_str_eq(result.out, out);
    ck_assert_msg(strstr(result.err, err) != NULL, "%s", result.err);
    if (*err == '\0')
        ck_assert_str_eq(result.err, "");
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

#define NOWHERE "swtpm:host=127.0.0.1,port=1"

/* The agent's file: TPM, log and what is to be measured. `%s` of the sections
 * stands for the scratch folder. */
static void write_agents(const char *tcti, const char *sections)
{
    char text[1024];

    snprintf(text, sizeof(text), "%s", sections);
    for (char *at; (at = strstr(text, "SCRATCH")) != NULL;) {
        char rest[1024];

        snprintf(rest, sizeof(rest), "%s", at + strlen("SCRATCH"));
        snprintf(at, sizeof(text) - (size_t)(at - text), "%s%s",
                 scratch_path("."), rest);
    }
    write_text("attestd.cnf",
               "[attestd]\nquoter = tcti:%s\nak = 0x81010002\n"
               "ak_chain = /none.pem\nmeasured_log = %s\nmeasure_pcr = 15\n%s",
               tcti, scratch_path("log"), text);
}

/* The same in an openssl.cnf. */
static void write_openssls(const char *name, const char *quoter,
                           const char *sections)
{
    write_text(name,
               "openssl_conf = i\n[i]\nproviders = p\n[p]\nattest = a\n"
               "[a]\nattester = b\n[b]\nquoter = %s\nmeasured_log = %s\n"
               "measure_pcr = 15\n%s",
               quoter, scratch_path("log"), sections);
}

static const char *tcti_quoter(void)
{
    static char quoter[128];

    snprintf(quoter, sizeof(quoter), "tcti:%s", swtpm_tcti(measuring.swtpm));
    return quoter;
}

/* A file, a folder, a digest; an authority and a certificate: in this order,
 * whatever the file's. */
START_TEST(test_all)
{
    char certificate[128];
    char authority[128];
    char state[1024];
    struct factory f;

    factory_init(&f, 0);
    factory_make(&f);
    factory_write_certificate(scratch_path("leaf"), f.leaf_cert);
    factory_write_certificate(scratch_path("ca"), f.authority_cert);
    measuring_certificate_event("certificate", f.cert_der, certificate);
    measuring_certificate_event("authority", f.authority_der, authority);
    ck_assert_int_eq(mkdir(scratch_path("folder"), 0755), 0);
    write_agents(swtpm_tcti(measuring.swtpm),
                 "[certificates]\nwww = SCRATCH/leaf\n"
                 "[authorities]\ninternal = SCRATCH/ca\n"
                 "[components]\nweights = sha256:" GIVEN "\n"
                 "app = SCRATCH/app\nfolder = SCRATCH/folder\n");
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"));
    snprintf(state, sizeof(state),
             "measured into PCR 15: " GIVEN_EVENT "\n"
             "measured into PCR 15: " ABC_EVENT "\n"
             "measured into PCR 15: component folder sha256:" EMPTY_FOLDER "\n"
             "measured into PCR 15: %s\nmeasured into PCR 15: %s\n",
             authority, certificate);
    expect(TOOL_DONE, state, "");
    RUN(true, "--conf", scratch_path("attestd.cnf"), "--all");
    snprintf(state, sizeof(state),
             "{\"pcr\":15,\"content\":\"%s\",\"result\":\"already\"}\n",
             certificate);
    ck_assert_int_eq(result.status, TOOL_DONE);
    ck_assert_ptr_nonnull(strstr(result.out, state));
    ck_assert_ptr_null(strstr(result.out, "\"measured\""));
    snprintf(state, sizeof(state),
             GIVEN_EVENT "|" ABC_EVENT "|component folder sha256:" EMPTY_FOLDER
                         "|%s|%s",
             authority, certificate);
    measuring_expect_state("log", state);
    factory_clear(&f);
    factory_free_keys();
}
END_TEST

START_TEST(test_all_of_an_openssl_cnf)
{
    char sections[256];

    snprintf(sections, sizeof(sections),
             "[components]\nb = %s\na = sha256:" GIVEN "\n",
             scratch_path("app"));
    write_openssls("conf", tcti_quoter(), sections);
    RUN(false, "--all", "--conf", scratch_path("conf"));
    expect(TOOL_DONE,
           "measured into PCR 15: component b sha256:" ABC_SHA256 "\n"
           "measured into PCR 15: component a sha256:" GIVEN "\n",
           "");
    ck_assert_int_eq(setenv("OPENSSL_CONF", scratch_path("conf"), 1), 0);
    RUN(false, "--all", "--pcr", "12");
    expect(TOOL_DONE,
           "measured into PCR 12: component b sha256:" ABC_SHA256 "\n"
           "measured into PCR 12: component a sha256:" GIVEN "\n",
           "");
}
END_TEST

/* A policy that lists only one of the two digests refuses, until a reboot. */
START_TEST(test_all_after_an_update)
{
    static const char warning[] =
        "attest measure: component app was measured before with another "
        "digest: policies must list both; reboot for a clean log\n";

    write_agents(swtpm_tcti(measuring.swtpm),
                 "[components]\napp = SCRATCH/app\n");
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"));
    expect(TOOL_DONE, "measured into PCR 15: " ABC_EVENT "\n", "");
    scratch_write("app", "", 0, 0644);
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"));
    ck_assert_int_eq(result.status, TOOL_DONE);
    ck_assert_str_eq(result.err, warning);
    scratch_write("app", "abc", 3, 0644);
    RUN(true, "--all", "--conf", scratch_path("attestd.cnf"));
    expect(TOOL_DONE,
           "{\"pcr\":15,\"content\":\"" ABC_EVENT
           "\",\"result\":\"already\",\"changed\":true}\n",
           warning);
    /* It is the same with one component. */
    RUN(false, "--conf", scratch_path("attestd.cnf"), "--name", "app",
        "--digest", "sha256:" GIVEN);
    expect(TOOL_DONE, "measured into PCR 15: component app sha256:" GIVEN "\n",
           warning);
}
END_TEST

/* Nothing follows the first that fails, and it is named. */
START_TEST(test_all_stops_at_the_first_failure)
{
    write_agents(swtpm_tcti(measuring.swtpm),
                 "[components]\nfirst = SCRATCH/app\napp = SCRATCH/app\n");
    measuring_extend("intruder");
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"));
    expect(TOOL_NO_EVIDENCE, "",
           "log has no event of PCR 15, which is not zero: ");
    expect(TOOL_NO_EVIDENCE, "", "attest measure: [components] first: ");
    ck_assert_ptr_null(strstr(result.err, "] app"));
}
END_TEST

START_TEST(test_T15_lock_is_held)
{
    int fd;

    write_agents(swtpm_tcti(measuring.swtpm),
                 "[components]\napp = SCRATCH/app\n");
    fd = open(scratch_path("log.lock"), O_CREAT | O_RDWR, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"), "--wait", "0");
    expect(TOOL_UNAVAILABLE, "", "is locked by process ");
    close(fd);
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"), "--wait", "0");
    expect(TOOL_DONE, "measured into PCR 15: " ABC_EVENT "\n", "");
}
END_TEST

/* Where programs ask the agent, its file says which TPM, log and PCR. */
START_TEST(test_one_by_the_agents_file)
{
    write_agents(swtpm_tcti(measuring.swtpm), "");
    RUN(false, "--conf", scratch_path("attestd.cnf"), "--name", "app",
        scratch_path("app"));
    expect(TOOL_DONE, "measured into PCR 15: " ABC_EVENT "\n", "");
    measuring_expect_state("log", ABC_EVENT);
}
END_TEST

static const struct {
    const char *sections;
    const char *err;
} bad_agents[] = {
    {"", "/attestd.cnf says nothing to measure: write [components] with "},
    {"[components]\napp = SCRATCH/app\ngone = SCRATCH/gone\n",
     "/attestd.cnf: [components] gone: cannot open "},
    {"[certificates]\nwww = SCRATCH/app\n",
     "/attestd.cnf: [certificates] www: "},
    {"[authorities]\nca = SCRATCH/gone.pem\n",
     "/attestd.cnf: [authorities] ca: cannot open "},
    {"[components]\napp = SCRATCH/app\napp = SCRATCH/app\n",
     "/attestd.cnf:9: "},
};

START_TEST(test_bad_agents_file)
{
    write_agents(NOWHERE, bad_agents[_i].sections);
    RUN(false, "--all", "--conf", scratch_path("attestd.cnf"));
    expect(TOOL_USAGE, "", bad_agents[_i].err);
    ck_assert_int_ne(access(scratch_path("log"), F_OK), 0);
}
END_TEST

static const struct {
    const char *quoter;
    const char *sections;
    const char *err;
} bad_openssls[] = {
    {"tcti:" NOWHERE, "", "/conf says nothing to measure: write [components]"},
    {"tcti:" NOWHERE, "[components]\na = /etc/passwd\na = /etc/passwd\n",
     "/conf:13: [components] a stands there twice"},
    {"tcti:" NOWHERE, "[components]\na b = /etc/passwd\n", "/conf"},
    {"tcti:" NOWHERE, "[components]\n.a = /etc/passwd\n",
     "/conf: [components] .a: a name is a letter or digit, then "},
    {"tcti:" NOWHERE, "[components]\na = etc/passwd\n",
     "/conf: [components] a: expected an absolute path or sha256:HEX, not "},
    {"tcti:" NOWHERE, "[components]\na = sha256:00\n",
     "/conf: [components] a: a digest must be sha256: and 64 hex digits"},
    {"tcti:" NOWHERE, "[certificates]\na = sha256:" GIVEN "\n",
     "/conf: [certificates] a: expected an absolute path, not sha256:"},
    {"unix:/run/attest/agent.sock", "[components]\na = sha256:" GIVEN "\n",
     "/conf: quoter = unix: leaves TPM and log to the agent; name its file "
     "instead: --conf " AGENT_CONFIGURATION_PATH},
};

START_TEST(test_bad_openssl_cnf)
{
    write_openssls("conf", bad_openssls[_i].quoter, bad_openssls[_i].sections);
    RUN(false, "--all", "--conf", scratch_path("conf"));
    expect(TOOL_USAGE, "", bad_openssls[_i].err);
    ck_assert_int_ne(access(scratch_path("log"), F_OK), 0);
}
END_TEST

START_TEST(test_nothing_to_go_by)
{
    RUN(false, "--all", "--conf", "/dev/null");
    expect(TOOL_USAGE, "", "/dev/null says nothing to measure: ");
    RUN(false, "--all", "--conf", scratch_path("gone"));
    expect(TOOL_USAGE, "", "cannot open ");
    RUN(false, "--all", "--name", "a");
    expect(TOOL_USAGE, "", "give one of --name, --certificate, --authority ");
    RUN(false, "--all", "/etc/passwd");
    expect(TOOL_USAGE, "", "--all takes no file and no --digest");
}
END_TEST

/* Which file it is when nobody names one. */
static const struct {
    const char *quoter; /* of OPENSSL_CONF; NULL: no word of us there */
    bool has_agents;
    const char *path; /* NULL: none */
} defaults[] = {
    {"tcti:" NOWHERE, true, "conf"},
    {"tcti:" NOWHERE, false, "conf"},
    {"unix:/run/attest/agent.sock", true, "attestd.cnf"},
    {"unix:/run/attest/agent.sock", false, "conf"},
    {NULL, true, "attestd.cnf"},
    {NULL, false, "conf"},
};

START_TEST(test_default_file)
{
    struct measure_conf conf;
    struct measure_target target = {.tcti = NULL};
    struct atls_reason why = {0};
    bool is_agents;

    if (defaults[_i].quoter != NULL)
        write_openssls("conf", defaults[_i].quoter, "");
    else
        write_text("conf", "a = b\n");
    if (defaults[_i].has_agents)
        write_agents(NOWHERE, "");
    ck_assert_int_eq(setenv("OPENSSL_CONF", scratch_path("conf"), 1), 0);
    ck_assert_int_eq(
        tool_measure_conf_load(NULL, scratch_path("attestd.cnf"), &why, &conf),
        ATLS_OK);
    ck_assert_str_eq(conf.path, scratch_path(defaults[_i].path));
    is_agents = strcmp(defaults[_i].path, "conf") != 0;
    ck_assert(conf.is_agents == is_agents);
    ck_assert_int_eq(tool_measure_conf_complete(&conf, &target, &why), ATLS_OK);
    if (is_agents) {
        ck_assert_str_eq(target.tcti, NOWHERE);
        ck_assert_str_eq(target.log, scratch_path("log"));
    }
    ck_assert_uint_eq(target.pcr, 15);
    tool_measure_conf_clear(&conf);
}
END_TEST

/* No file at all: this machine's own TPM and log. */
START_TEST(test_no_file)
{
    struct measure_conf conf;
    struct measure_target target = {.log = scratch_path("log")};
    struct atls_reason why = {0};

    ck_assert_int_eq(setenv("OPENSSL_CONF", scratch_path("gone"), 1), 0);
    ck_assert_int_eq(
        tool_measure_conf_load(NULL, scratch_path("attestd.cnf"), &why, &conf),
        ATLS_OK);
    ck_assert_ptr_null(conf.path);
    ck_assert_int_eq(tool_measure_conf_complete(&conf, &target, &why), ATLS_OK);
    ck_assert_str_eq(target.tcti, "device:/dev/tpmrm0");
    ck_assert_uint_eq(target.pcr, 15);
    tool_measure_conf_clear(&conf);
}
END_TEST

/* A default that is there, and broken, is no reason to go by another. */
START_TEST(test_broken_default)
{
    struct measure_conf conf;
    struct atls_reason why = {0};

    write_openssls("conf", "unix:/run/attest/agent.sock", "");
    write_agents(NOWHERE, "[nothing]\na = b\n");
    ck_assert_int_eq(setenv("OPENSSL_CONF", scratch_path("conf"), 1), 0);
    ck_assert_int_eq(
        tool_measure_conf_load(NULL, scratch_path("attestd.cnf"), &why, &conf),
        ATLS_E_CONFIG);
    ck_assert_msg(strstr(why.text, "/attestd.cnf:7: [nothing]") != NULL, "%s",
                  why.text);
}
END_TEST

static const struct suite_test with_tpm_tests[] = {
    ONCE(test_all),
    ONCE(test_all_of_an_openssl_cnf),
    ONCE(test_all_after_an_update),
    ONCE(test_all_stops_at_the_first_failure),
    ONCE(test_T15_lock_is_held),
    ONCE(test_one_by_the_agents_file),
};

static const struct suite_test without_tests[] = {
    LOOP(test_bad_agents_file, 0, COUNT(bad_agents)),
    LOOP(test_bad_openssl_cnf, 0, COUNT(bad_openssls)),
    ONCE(test_nothing_to_go_by),
    LOOP(test_default_file, 0, COUNT(defaults)),
    ONCE(test_no_file),
    ONCE(test_broken_default),
};

SUITE(.name = "tool_measure_all", .skip = swtpm_missing,
      .cases = {CASE("with TPM", with_tpm_tests, 60, setup, teardown),
                CASE("without TPM", without_tests, 0, setup_without_tpm,
                     teardown_without_tpm)});
