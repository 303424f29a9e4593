/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/clock.h"
#include "attester/tpm.h"
#include "lib/suite.h"
#include "lib/tpmcase.h"

/*
 * T3: signals that interrupt a read from the TPM, without SA_RESTART, thousands
 * for one response. ESYS 3.2 and later is wedged by one such EINTR (tpm2-tss#3086):
 * it never sees it, and what ends half-way leaves a context that is rebuilt.
 */

static atomic_uint signals;
static atomic_int hangs;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

/* That interrupt each wait for an answer. */
#define SIGNALS 25u

static atomic_bool is_storming;

/* Once the wait for it was interrupted so often. The proxy's thread has all signals
 * blocked. */
static enum tpmproxy_action answer_late(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    const unsigned enough = atomic_load(&signals) + SIGNALS;
    const struct timespec pause = {.tv_nsec = 1000000};

    (void)arg;
    (void)code;
    (void)response;
    (void)ret_len;
    while (atomic_load(&is_storming) && atomic_load(&signals) < enough)
        nanosleep(&pause, NULL);
    if (code != TPM2_CC_Quote || atomic_load(&hangs) == 0)
        return TPMPROXY_FORWARD;
    atomic_fetch_sub(&hangs, 1);
    return TPMPROXY_HANG;
}

static void storm(long interval_us)
{
    const struct itimerval timer = {
        .it_interval = {.tv_usec = interval_us},
        .it_value = {.tv_usec = interval_us},
    };
    const struct sigaction action = {.sa_handler = count_signal};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    atomic_store(&is_storming, interval_us > 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void open_blocked(bool is_device)
{
    static const struct tpmproxy_hooks hooks = {.before = answer_late};

    atomic_store(&hangs, 0);
    tpmcase_open(is_device ? tpmcase_proxy_device(&hooks)
                           : tpmcase_proxy(&hooks));
}

static void load(void)
{
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why), ATLS_OK,
        "");
}

START_TEST(test_T3_storm_against_a_blocked_read)
{
    open_blocked(_i == 1);
    storm(200);
    load();
    for (int i = 0; i < 10; i++) {
        unsigned before = atomic_load(&signals);

        tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
        ck_assert_uint_ge(atomic_load(&signals) - before, SIGNALS);
    }
    storm(0);
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

/* Interrupted all the time, the deadline still comes when it should; and the
 * half command leaves nothing behind. */
START_TEST(test_T3_storm_does_not_move_the_deadline)
{
    int64_t begin;

    open_blocked(_i == 1);
    load();
    atomic_store(&hangs, 1);
    storm(200);
    begin = atls_now_ms();
    atls_tpm_set_deadline(tpmcase.tpm, begin + 1000, -1);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT, "did not answer in time");
    ck_assert_int_ge(atls_now_ms() - begin, 1000);
    ck_assert_int_lt(atls_now_ms() - begin, 2 * 1000);
    atls_tpm_set_deadline(tpmcase.tpm, 0, -1);
    load();
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    storm(0);
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_T3_storm_against_a_blocked_read, 0, 2),
    LOOP(test_T3_storm_does_not_move_the_deadline, 0, 2),
};

SUITE(.name = "tpm_signals", .skip = swtpm_missing,
      .cases = {
          CASE("with a swtpm", tests, 60, tpmcase_set_up, tpmcase_tear_down)});
