/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "base/log.h"

/*
 * T2, T4, T5: each command that a quote takes meets each fault, over a socket and
 * over a device; and afterwards all is well again.
 */

/* Of a quoter's first quote. */
static const uint32_t sequence[] = {
    TPM2_CC_ReadPublic, TPM2_CC_ReadPublic, TPM2_CC_PCR_Read,
    TPM2_CC_PCR_Read,   TPM2_CC_Quote,
};

#define COMMANDS 5

static struct {
    atomic_int at;    /* the command that fails, from 0; -1: none */
    atomic_int times; /* in a row */
    atomic_int seen;
    atomic_int action; /* enum tpmproxy_action */
    atomic_uint rc;    /* of TPMPROXY_ANSWER */
} fault;

static enum tpmproxy_action meet_fault(void *arg, uint32_t code,
                                       uint8_t *response, size_t *ret_len)
{
    enum tpmproxy_action action =
        (enum tpmproxy_action)atomic_load(&fault.action);
    int number = atomic_load(&fault.seen);

    (void)arg;
    if (number < COMMANDS && sequence[number] != code)
        abort();
    if (number != atomic_load(&fault.at) || atomic_load(&fault.times) == 0) {
        atomic_fetch_add(&fault.seen, 1);
        return TPMPROXY_FORWARD;
    }
    atomic_fetch_sub(&fault.times, 1);
    if (action == TPMPROXY_ANSWER)
        tpmproxy_answer_code(atomic_load(&fault.rc), response, ret_len);
    return action;
}

static void arrange(int at, int times, enum tpmproxy_action action, uint32_t rc)
{
    atomic_store(&fault.at, at);
    atomic_store(&fault.times, times);
    atomic_store(&fault.seen, 0);
    atomic_store(&fault.action, (int)action);
    atomic_store(&fault.rc, rc);
}

static void start(bool over_device)
{
    static const struct tpmproxy_hooks hooks = {.before = meet_fault};

    if (over_device)
        quotercase_proxy_device(&hooks);
    else
        quotercase_proxy(&hooks);
    quotercase_start();
}

/* The refusal; it took from least_ms to most_ms. */
static void expect_failure(enum atls_error code, const char *text, int least_ms,
                           int most_ms)
{
    struct atls_reason *why = &quotercase.why;
    int64_t begin = atls_now_ms();
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_expect(why, quotercase_obtain(1, why, &cmw, &len), code, text);
    ck_assert_ptr_null(cmw);
    ck_assert_int_ge(atls_now_ms() - begin, least_ms);
    ck_assert_int_le(atls_now_ms() - begin, most_ms);
}

static void expect_recovery(void)
{
    int64_t begin = atls_now_ms();

    arrange(-1, 0, TPMPROXY_FORWARD, 0);
    atomic_store(&fault.seen, COMMANDS); /* a new connection, or the old one */
    while (!quotercase_serve(2, NULL)) {
        ck_assert_int_lt(atls_now_ms() - begin, QUOTERCASE_PATIENCE_MS);
        usleep(20000);
    }
}

START_TEST(test_a_quote_takes_these_commands)
{
    arrange(-1, 0, TPMPROXY_FORWARD, 0);
    start(_i == 1);
    ck_assert(quotercase_serve(1, NULL));
    ck_assert_int_eq(fault.seen, COMMANDS);
    atomic_store(&fault.seen, COMMANDS - 1);
    ck_assert(quotercase_serve(2, NULL)); /* TPM2_Quote alone */
    ck_assert_int_eq(fault.seen, COMMANDS);
}
END_TEST

/* TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING */
static const uint32_t warnings[] = {0x922, 0x908, 0x90a};

#define WARNINGS 3

START_TEST(test_T2_warnings_are_retried_in_each_command)
{
    arrange(_i % COMMANDS, 5, TPMPROXY_ANSWER, warnings[_i / COMMANDS]);
    start(_i % 2 == 1);
    ck_assert(quotercase_serve(1, NULL));
    ck_assert_int_eq(fault.times, 0);
    ck_assert_int_eq(fault.seen, COMMANDS);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, ""), 0);
}
END_TEST

/* A TPM that never stops saying so: bounded by the deadline, and in number. */
START_TEST(test_T2_retries_of_each_command_are_bounded)
{
    arrange(_i % COMMANDS, 1000000, TPMPROXY_ANSWER, warnings[_i / COMMANDS]);
    quotercase.config.timeout_ms = 600;
    start(_i % 2 == 0);
    expect_failure(ATLS_E_TIMEOUT, "", 590, 2 * 600);
    ck_assert_int_ge(fault.times, 1000000 - 20);
    expect_recovery();
}
END_TEST

START_TEST(test_T4_silence_at_each_command)
{
    arrange(_i % COMMANDS, 1, TPMPROXY_HANG, 0);
    quotercase.config.timeout_ms = 600;
    start(_i / COMMANDS == 1);
    expect_failure(ATLS_E_TIMEOUT, "", 590, 2 * 600);
    ck_assert_int_eq(fault.times, 0);
    expect_recovery();
}
END_TEST

/* A TPM that vanishes: said at once, and tried again at once where it had worked
 * before. */
START_TEST(test_T5_connection_lost_at_each_command)
{
    static const char *const names[] = {"TPM2_ReadPublic", "TPM2_ReadPublic",
                                        "TPM2_PCR_Read", "TPM2_PCR_Read",
                                        "TPM2_Quote"};

    arrange(_i, 1, TPMPROXY_CLOSE, 0);
    start(false);
    expect_failure(ATLS_E_TPM_UNAVAILABLE, names[_i], 0, 2000);
    ck_assert_ptr_nonnull(strstr(
        quotercase.why.text, "in the middle of a command: connection closed"));
    expect_recovery();
}
END_TEST

/* The TPM answers each command with a refusal that is no warning. */
START_TEST(test_T2_failure_mode_at_each_command)
{
    arrange(_i, 1, TPMPROXY_ANSWER, 0x101 /* TPM_RC_FAILURE */);
    start(false);
    expect_failure(ATLS_E_TPM, "because of a TPM failure (0x101)", 0, 2000);
    expect_recovery();
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_a_quote_takes_these_commands, 0, 2),
    LOOP(test_T2_warnings_are_retried_in_each_command, 0, COMMANDS *WARNINGS),
    LOOP(test_T2_retries_of_each_command_are_bounded, 0, COMMANDS *WARNINGS),
    LOOP(test_T2_failure_mode_at_each_command, 0, COMMANDS),
    LOOP(test_T4_silence_at_each_command, 0, COMMANDS * 2),
    LOOP(test_T5_connection_lost_at_each_command, 0, COMMANDS),
};

SUITE(.name = "quoter_commands", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
