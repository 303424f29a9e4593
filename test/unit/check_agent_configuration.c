/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/configuration.h"
#include "attester/measure.h"
#include "lib/allocation.h"
#include "lib/scratch.h"

#define DIGEST \
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define QUOTER \
    "[attestd]\nquoter = tcti:x\nak = 0x81010002\nak_chain = /c.pem\n"

static struct agent_configuration configuration;
static struct atls_reason why;

static enum atls_error load(const char *text)
{
    scratch_write("attestd.cnf", text, strlen(text), 0600);
    return agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                    &configuration);
}

static void expect_loaded(const char *text)
{
    ck_assert_msg(load(text) == ATLS_OK, "%s", why.text);
}

static void set_up(void)
{
    scratch_make();
    memset(&configuration, 0, sizeof(configuration));
}

static void tear_down(void)
{
    agent_configuration_clear(&configuration);
    scratch_remove();
}

START_TEST(test_defaults)
{
    expect_loaded(QUOTER);
    ck_assert_str_eq(configuration.socket, AGENT_SOCKET_PATH);
    ck_assert_str_eq(configuration.log, "stderr");
    ck_assert_int_eq(configuration.log_level, ATLS_LOG_INFO);
    ck_assert(configuration.needs_measured_certificate);
    ck_assert_str_eq(configuration.quoter.tcti, "x");
    ck_assert_str_eq(configuration.quoter.ak, "0x81010002");
    ck_assert_str_eq(configuration.quoter.ak_chain, "/c.pem");
    ck_assert_ptr_null(configuration.quoter.ak_auth);
    ck_assert_str_eq(configuration.quoter.event_log,
                     atls_measure_default_log());
    ck_assert_uint_eq(configuration.quoter.measure_pcr, 15);
    ck_assert_uint_eq(configuration.quoter.timeout_ms, 5000);
    ck_assert_ptr_null(configuration.components.components);
    ck_assert_ptr_null(configuration.components.certificates);
    ck_assert_ptr_null(configuration.components.authorities);
}
END_TEST

START_TEST(test_everything)
{
    expect_loaded(
        "[attestd]\nsocket = /run/a.sock\nallow = root, @root 33\n"
        "certificate = any\nlog = /var/log/a\nlog_level = debug\n"
        "quoter = tcti:device:/dev/tpmrm0\nak = 0x81010003\n"
        "ak_auth = file:/a.auth\nak_chain = /c.pem\npcrs = sha256:0-15\n"
        "event_log = /e.cel\nboot_log = /b\nmeasure_pcr = 12\n"
        "timeout = 700\nmax_queue = 9\n"
        "[components]\nserver-code = /srv/app\nweights = " DIGEST
        "\n[certificates]\nwww = /etc/ssl/www.pem\n"
        "[authorities]\ninternal = /var/ca.pem\n");
    ck_assert_str_eq(configuration.socket, "/run/a.sock");
    ck_assert(!configuration.needs_measured_certificate);
    ck_assert_str_eq(configuration.log, "/var/log/a");
    ck_assert_int_eq(configuration.log_level, ATLS_LOG_DEBUG);
    ck_assert_str_eq(configuration.quoter.tcti, "device:/dev/tpmrm0");
    ck_assert_str_eq(configuration.quoter.ak_auth, "file:/a.auth");
    ck_assert_str_eq(configuration.quoter.pcrs, "sha256:0-15");
    ck_assert_str_eq(configuration.quoter.event_log, "/e.cel");
    ck_assert_str_eq(configuration.quoter.boot_log, "/b");
    ck_assert_uint_eq(configuration.quoter.measure_pcr, 12);
    ck_assert_uint_eq(configuration.quoter.timeout_ms, 700);
    ck_assert_uint_eq(configuration.quoter.max_queue, 9);
    ck_assert_uint_eq(configuration.components.components->pair_count, 2);
    ck_assert_str_eq(configuration.components.components->pairs[1].value,
                     DIGEST);
    ck_assert_str_eq(configuration.components.certificates->pairs[0].key,
                     "www");
    ck_assert_uint_eq(configuration.components.authorities->pair_count, 1);
}
END_TEST

START_TEST(test_no_log_where_any_certificate_does)
{
    expect_loaded(QUOTER "event_log = none\ncertificate = any\n");
    ck_assert_ptr_null(configuration.quoter.event_log);
}
END_TEST

/* Each with the line in which it stands. */
static const struct {
    const char *text;
    const char *expected;
} mistakes[] = {
    {"", "attestd.cnf: no section [attestd]"},
    {"[attestd]\n", "attestd.cnf:1: [attestd] has no quoter"},
    {"[attestd]\nquoter = tcti:x\n", "attestd.cnf:1: "},
    {QUOTER "alow = www-data\n", "attestd.cnf:5: alow: unknown key"},
    {QUOTER "prove_to = any\n", "attestd.cnf:5: prove_to: unknown key"},
    {QUOTER "socket = agent.sock\n",
     "attestd.cnf:5: socket = agent.sock: expected an absolute path"},
    {QUOTER "certificate = all\n",
     "attestd.cnf:5: certificate = all: expected measured or any"},
    {QUOTER "certificate = Measured\n", "expected measured or any"},
    {QUOTER "event_log = none\n",
     "attestd.cnf:5: event_log = none: certificates cannot be looked up"},
    {QUOTER "log = here\n", "attestd.cnf:5: log = here: expected stderr"},
    {QUOTER "log_level = loud\n", "attestd.cnf:5: log_level = loud: "},
    {QUOTER "timeout = 0\n", "attestd.cnf:5: timeout = 0 is not from 1"},
    {QUOTER "timeout = 5s\n", "attestd.cnf:5: timeout = 5s is no number"},
    {QUOTER "max_queue = 4097\n", "attestd.cnf:5: max_queue = 4097 is not"},
    {QUOTER "measure_pcr = 7\n", "attestd.cnf:5: measure_pcr = 7 is not"},
    {QUOTER "allow = root, nobody-of-that-name\n",
     "attestd.cnf:5: allow: this machine has no user nobody-of-that-name"},
    {"[attestd]\nquoter = unix:/run/attest/agent.sock\nak = 1\nak_chain = c\n",
     "attestd.cnf:2: quoter = unix:/run/attest/agent.sock: expected tcti:"},
    {"[attestd]\nquoter = tcti:\n", "attestd.cnf:2: quoter = tcti:: expected"},
    {QUOTER "[component]\nx = /x\n",
     "attestd.cnf:5: [component]: unknown section: expected attestd"},
    {QUOTER "[components]\nx = y\n",
     "attestd.cnf:6: x = y: expected an absolute path or sha256:"},
    {QUOTER "[components]\nx = sha256:00\n", "attestd.cnf:6: x = sha256:00: "},
    {QUOTER "[components]\n-x = /x\n", "attestd.cnf:6: -x: a name begins with"},
    {QUOTER "[certificates]\nwww = " DIGEST "\n",
     "attestd.cnf:6: www = sha256:"},
    {QUOTER "[authorities]\nca = ca.pem\n",
     "attestd.cnf:6: ca = ca.pem: expected an absolute path"},
    {QUOTER "ak = 0x81010003\n", "attestd.cnf:5: "},
    {QUOTER "[attestd]\n", "attestd.cnf:5: "},
    {"quoter = tcti:x\n", "attestd.cnf:1: "},
    {QUOTER "socket = $HOME/a\n", "attestd.cnf:5: "},
    {QUOTER ".include other.cnf\n", "other.cnf"},
};

START_TEST(test_P2_mistakes)
{
    enum atls_error r = load(mistakes[_i].text);

    ck_assert_msg(r == ATLS_E_CONFIG || r == ATLS_E_IO, "%s: %s",
                  mistakes[_i].text, atls_error_name(r));
    ck_assert_int_eq(why.code, r);
    ck_assert_msg(strstr(why.text, mistakes[_i].expected) != NULL,
                  "expected \"%s\" in \"%s\"", mistakes[_i].expected, why.text);
    ck_assert_uint_lt(strlen(why.text), 200);
}
END_TEST

START_TEST(test_socket_that_does_not_fit)
{
    char text[300];

    snprintf(text, sizeof(text), "%ssocket = /%0107d\n", QUOTER, 0);
    ck_assert_int_eq(load(text), ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "expected an absolute path of 107"));
    snprintf(text, sizeof(text), "%ssocket = /%0106d\n", QUOTER, 0);
    expect_loaded(text);
    ck_assert_uint_eq(strlen(configuration.socket), 107);
}
END_TEST

START_TEST(test_P1_missing_file)
{
    ck_assert_int_eq(agent_configuration_load(scratch_path("none.cnf"), &why,
                                              &configuration),
                     ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "none.cnf"));
}
END_TEST

START_TEST(test_P9_included_line)
{
    scratch_write("more.cnf", "\ncertificate = no\n", 18, 0600);
    ck_assert_int_eq(load(QUOTER ".include more.cnf\n"), ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "more.cnf:2: certificate = no"));
}
END_TEST

/* Every allocation fails in turn. */
START_TEST(test_R3_out_of_memory)
{
    const char *text = QUOTER "allow = root, @root, 33\n.include more.cnf\n"
                              "[components]\nx = /x\n";
    enum atls_error r = ATLS_E_NOMEM;

    scratch_write("more.cnf", "certificate = any\n", 18, 0600);
    scratch_write("attestd.cnf", text, strlen(text), 0600);
    for (size_t n = 1; r != ATLS_OK; n++) {
        ck_assert_uint_lt(n, 200);
        allocation_fail_at(n);
        r = agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                     &configuration);
        allocation_fail_at(0);
        ck_assert_msg(r == ATLS_OK || r == ATLS_E_NOMEM, "%s", why.text);
    }
    ck_assert(!configuration.needs_measured_certificate);
}
END_TEST

/* What we give people to begin with. */
START_TEST(test_example)
{
    enum atls_error r = agent_configuration_load(
        TEST_SRCDIR "/attestd.cnf.example", &why, &configuration);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert(configuration.needs_measured_certificate);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("agent_configuration");
    TCase *tcase = tcase_create("file");
    SRunner *runner;
    int failed;

    allocation_install();
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_defaults);
    tcase_add_test(tcase, test_everything);
    tcase_add_test(tcase, test_no_log_where_any_certificate_does);
    tcase_add_loop_test(tcase, test_P2_mistakes, 0,
                        sizeof(mistakes) / sizeof(mistakes[0]));
    tcase_add_test(tcase, test_socket_that_does_not_fit);
    tcase_add_test(tcase, test_P1_missing_file);
    tcase_add_test(tcase, test_P9_included_line);
    tcase_add_test(tcase, test_R3_out_of_memory);
    tcase_add_test(tcase, test_example);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
