/* SPDX-License-Identifier: BSD-2-Clause */
/* Which formats of evidence a client asks for, and takes. */
#include <check.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/codec.h"
#include "lib/suite.h"
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

/* The puppet's machine has a boot log. Its attest makes formats 1 and 2, as those of
 * before did, or format 3. */
static void begin(const char *policy, bool is_short)
{
    pair_init(&pair, policy);
    pair.factory.is_short = is_short;
    factory_boot(&pair.factory, 9, 4, "separator");
    pair_new(&pair, "localhost");
}

/* Format 3 first, then those of older peers. */
static void expect_asked(bool asks_boot_log)
{
    const struct atls_formats *asked = &pair.asked_formats;

    ck_assert_uint_eq(asked->count, asks_boot_log ? 3 : 2);
    ck_assert_uint_eq(asked->list[0], ATLS_FORMAT_TPM_SHORT);
    if (asks_boot_log)
        ck_assert_uint_eq(asked->list[1], ATLS_FORMAT_TPM_BOOT);
    ck_assert_uint_eq(asked->list[asked->count - 1], ATLS_FORMAT_TPM);
}

static void expect_accepted(bool asks_boot_log)
{
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
    ck_assert_uint_eq(pair.asked, 1);
    expect_asked(asks_boot_log);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

static void expect_refused(const char *reason)
{
    ck_assert(!pair_shake(&pair));
    ck_assert_msg(strstr(pair.client_reason, reason) != NULL, "%s",
                  pair.client_reason);
}

START_TEST(test_boot_log_that_was_asked_for)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"),
          _i == 1);
    expect_accepted(true);
}
END_TEST

START_TEST(test_server_without_a_boot_log)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"),
          _i == 1);
    pair.factory.has_boot_log = false;
    expect_accepted(true);
}
END_TEST

/* Of the sections that match, one that asks is enough. */
START_TEST(test_one_of_two_sections_asks)
{
    begin(TOP SECTION("lab", "localhost") SECTION("more", "b.example") ASK,
          _i == 1);
    ck_assert_int_eq(SSL_set1_host(pair.client, "b.example"), 1);
    expect_accepted(true);
}
END_TEST

/* A section of others does not. */
START_TEST(test_S27_boot_log_nobody_asked_for)
{
    begin(TOP SECTION("lab", "localhost") SECTION("more", "b.example") ASK,
          _i == 1);
    expect_refused(_i == 1 ? "the evidence carries a boot log, which we did "
                             "not ask for"
                           : "the evidence is of format 2, which we did not "
                             "ask for");
    expect_asked(false);
    pair.factory.has_boot_log = false;
    pair.asked = 0;
    pair_new(&pair, "localhost");
    expect_accepted(false);
}
END_TEST

START_TEST(test_E9_boot_log_that_lies)
{
    begin(TOP SECTION("lab", "localhost") ASK SECTION("more", "b.example"),
          _i == 1);
    pair.factory.boot_replays = false;
    expect_refused("the boot log does not replay to PCR 9 (sha256)");
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_boot_log_that_was_asked_for, 0, 2),
    LOOP(test_server_without_a_boot_log, 0, 2),
    LOOP(test_one_of_two_sections_asks, 0, 2),
    LOOP(test_S27_boot_log_nobody_asked_for, 0, 2),
    LOOP(test_E9_boot_log_that_lies, 0, 2),
};

SUITE(.name = "gate_formats",
      .cases = {CASE("gate_formats", tests, 60, NULL, teardown)});
