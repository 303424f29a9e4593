/* SPDX-License-Identifier: BSD-2-Clause */
/* Which formats of evidence a client asks for, and takes. */
#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tlspair.h"

static struct pair pair;

static void teardown(void)
{
    pair_clear(&pair);
}

#define TOP                          \
    "[policy]\nservers = lab more\n" \
    "otherwise = off\nnameless = refuse\n"
#define SECTION(name, host)                                           \
    "[" name "]\nnames = " host "\nmode = require\ntrust = @TRUST@\n" \
    "machines = machine0.example\n@PCRS@@COMPONENTS@"
#define ASK "boot_log = ask\n"

/* The puppet's machine has a boot log. */
static void begin(const char *policy)
{
    pair_init(&pair, policy);
    factory_boot(&pair.factory, 9, 4, "separator");
    pair_new(&pair, "localhost");
}

static void expect_accepted(unsigned asked_format)
{
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
    ck_assert_uint_eq(pair.asked, 1);
    ck_assert_uint_eq(pair.asked_format, asked_format);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

START_TEST(test_boot_log_that_was_asked_for)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"));
    expect_accepted(ATLS_FORMAT_TPM_BOOT);
}
END_TEST

START_TEST(test_server_without_a_boot_log)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"));
    pair.factory.has_boot_log = false;
    expect_accepted(ATLS_FORMAT_TPM_BOOT);
}
END_TEST

/* Of the sections that match, one that asks is enough. */
START_TEST(test_one_of_two_sections_asks)
{
    begin(TOP SECTION("lab", "localhost") SECTION("more", "b.example") ASK);
    ck_assert_int_eq(SSL_set1_host(pair.client, "b.example"), 1);
    expect_accepted(ATLS_FORMAT_TPM_BOOT);
}
END_TEST

/* A section of others does not. */
START_TEST(test_S27_boot_log_nobody_asked_for)
{
    begin(TOP SECTION("lab", "localhost") SECTION("more", "b.example") ASK);
    ck_assert(!pair_shake(&pair));
    ck_assert_uint_eq(pair.asked_format, ATLS_FORMAT_TPM);
    ck_assert_msg(strstr(pair.client_reason,
                         "the evidence is of format 2, and we asked for "
                         "format 1 only")
                      != NULL,
                  "%s", pair.client_reason);
    pair.factory.has_boot_log = false;
    pair.asked = 0;
    pair_new(&pair, "localhost");
    expect_accepted(ATLS_FORMAT_TPM);
}
END_TEST

START_TEST(test_E9_boot_log_that_lies)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"));
    pair.factory.boot_replays = false;
    ck_assert(!pair_shake(&pair));
    ck_assert_msg(strstr(pair.client_reason,
                         "the boot log does not replay to PCR 9 (sha256)")
                      != NULL,
                  "%s", pair.client_reason);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate_formats");
    TCase *tcase = tcase_create("gate_formats");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, test_boot_log_that_was_asked_for);
    tcase_add_test(tcase, test_server_without_a_boot_log);
    tcase_add_test(tcase, test_one_of_two_sections_asks);
    tcase_add_test(tcase, test_S27_boot_log_nobody_asked_for);
    tcase_add_test(tcase, test_E9_boot_log_that_lies);
    suite_add_tcase(suite, tcase);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
