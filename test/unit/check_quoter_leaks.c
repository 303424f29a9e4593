/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <dirent.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/*
 * T10: what a quote opens in the TPM (three slots without a resource manager, then
 * 0x902) and in the process is closed again, when it succeeds and when it fails.
 * ATTEST_TEST_SCALE=50 makes 10^5 quotes.
 */

#define QUOTES 2000u

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static struct {
    int in_tpm;
    unsigned descriptors;
} before;

static void look_before(void)
{
    before.in_tpm = swtpm_count_transient(quotercase.swtpm);
    before.descriptors = count_descriptors();
    ck_assert_int_ge(before.in_tpm, 0);
}

static void expect_no_more(void)
{
    ck_assert_int_eq(swtpm_count_transient(quotercase.swtpm), before.in_tpm);
    ck_assert_uint_eq(count_descriptors(), before.descriptors);
}

START_TEST(test_T10_quotes_leave_nothing)
{
    unsigned count = QUOTES * (unsigned)suite_scale();
    uint64_t quotes, served;

    quotercase_start();
    ck_assert(quotercase_serve(0, NULL));
    look_before();
    for (unsigned i = 0; i < count; i++) {
        uint8_t *cmw = NULL;
        size_t len = 0;

        quotercase_expect(&quotercase.why,
                          quotercase_obtain(i, &quotercase.why, &cmw, &len),
                          ATLS_OK, "");
        OPENSSL_free(cmw);
        if (i % 500 == 0)
            expect_no_more();
    }
    expect_no_more();
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(quotes, count + 1);
}
END_TEST

/* One command in five is refused or lost, whichever it is: connections and ESYS
 * contexts come and go. */
static uint32_t state = 1; /* the proxy's thread */

static enum tpmproxy_action fail_some(void *arg, uint32_t code,
                                      uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)code;
    state = state * 1664525 + 1013904223;
    if ((state >> 16) % 5 != 0)
        return TPMPROXY_FORWARD;
    tpmproxy_answer_code(0x101 /* TPM_RC_FAILURE */, response, ret_len);
    return state >> 31 != 0 ? TPMPROXY_ANSWER : TPMPROXY_CLOSE;
}

START_TEST(test_T10_failures_leave_nothing)
{
    const struct tpmproxy_hooks hooks = {.before = fail_some};
    unsigned failures = 0, count = QUOTES / 10;

    quotercase_proxy(&hooks);
    look_before();
    for (unsigned i = 0; i < count; i++) {
        uint8_t *cmw = NULL;
        size_t len = 0;

        if (quotercase.quoter == NULL)
            quotercase_start();
        if (quotercase_obtain(i, &quotercase.why, &cmw, &len) != ATLS_OK) {
            failures++; /* a new quoter has no back-off */
            atls_quoter_free(quotercase.quoter);
            quotercase.quoter = NULL;
        }
        OPENSSL_free(cmw);
    }
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    ck_assert_uint_gt(failures, 10);
    ck_assert_uint_lt(failures, count - 10);
    ck_assert_int_eq(swtpm_count_transient(quotercase.swtpm), before.in_tpm);
    /* A connection of the proxy's may be about to close. */
    ck_assert_uint_le(count_descriptors(), before.descriptors + 1);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_T10_quotes_leave_nothing),
    ONCE(test_T10_failures_leave_nothing),
};

SUITE(.name = "quoter_leaks", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 120, quotercase_set_up,
                     quotercase_tear_down)});
