/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "base/log.h"

/* A TPM that is another one from one moment to the next, forgets, or is busy with
 * somebody else. */

static struct atls_reason why;

static void expect_failure(enum atls_error code, const char *text)
{
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_expect(&why, quotercase_obtain(1, &why, &cmw, &len), code, text);
    ck_assert_ptr_null(cmw);
}

static void wait_for_recovery(void)
{
    int64_t begin = atls_now_ms();

    while (!quotercase_serve(2, NULL)) {
        ck_assert_int_lt(atls_now_ms() - begin, QUOTERCASE_PATIENCE_MS);
        usleep(50000);
    }
}

static void expect_recovery(void)
{
    wait_for_recovery();
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "quotes again"), 1);
}

/* --- T4: another TPM on the way to ours ---------------------------------------- */

static const struct {
    bool has_ak;
    enum atls_error code;
    const char *text;
} replacements[] = {
    {false, ATLS_E_AK, "no key at AK handle 0x81010002: make one"},
    {true, ATLS_E_AK,
     "ak-chain.pem is for another key than AK 0x81010002: correct ak or "
     "ak_chain, or have that AK certified"},
};

/* Its seeds are others, so even a key that was made in the same way is another.
 * Nothing of it goes out under the old chain; and when the TPM of the chain is
 * back, its evidence is. */
START_TEST(test_T4_tpm_is_replaced)
{
    struct swtpm *other = swtpm_start();
    uint64_t quotes, served;

    ck_assert_ptr_nonnull(other);
    ck_assert(!replacements[_i].has_ak || swtpm_make_ak(other, NULL));
    quotercase_proxy(NULL);
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    tpmproxy_redirect(quotercase.proxy, swtpm_port(other));
    for (int i = 0; i < 3; i++)
        expect_failure(replacements[_i].code, replacements[_i].text);
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(quotes, 1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, replacements[_i].text),
                      1);
    tpmproxy_redirect(quotercase.proxy, swtpm_port(quotercase.swtpm));
    expect_recovery();
    swtpm_stop(other);
}
END_TEST

static struct swtpm *replacement;

static enum tpmproxy_action replace_before_quote(void *arg, uint32_t code,
                                                 uint8_t *response,
                                                 size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    if (code == TPM2_CC_Quote)
        tpmproxy_redirect(quotercase.proxy, swtpm_port(replacement));
    return TPMPROXY_FORWARD;
}

/* Between the check of the key and the quote: what another key signed is not sent
 * as this one's. */
START_TEST(test_T4_tpm_is_replaced_before_the_quote)
{
    static const struct tpmproxy_hooks hooks = {.before = replace_before_quote};

    replacement = swtpm_start();
    ck_assert_ptr_nonnull(replacement);
    ck_assert(swtpm_make_ak(replacement, NULL));
    quotercase_proxy(&hooks);
    quotercase_start();
    expect_failure(ATLS_E_AK, "the key at AK handle 0x81010002 is not the one "
                              "that was loaded: was the TPM cleared?");
    swtpm_stop(replacement);
}
END_TEST

/* --- T6: reset in mid-batch ------------------------------------------------------- */

static atomic_int resets_left;

static bool switch_off_and_on(void)
{
    return swtpm_power_cycle(quotercase.swtpm);
}

static bool reboot(void)
{
    return swtpm_reset(quotercase.swtpm);
}

static const struct {
    bool (*happen)(void);
    bool is_survived;
} resets[] = {{reboot, true}, {switch_off_and_on, false}};

static enum tpmproxy_action reset_before_quote(void *arg, uint32_t code,
                                               uint8_t *response,
                                               size_t *ret_len)
{
    const int *which = arg;

    (void)response;
    (void)ret_len;
    if (code != TPM2_CC_Quote || atomic_load(&resets_left) == 0)
        return TPMPROXY_FORWARD;
    atomic_fetch_sub(&resets_left, 1);
    usleep(50000); /* others come, for the next batch */
    if (!resets[*which].happen())
        abort();
    return TPMPROXY_FORWARD;
}

#define BATCH 20

/* PCR values were read before it: they are read again, and no evidence mixes the
 * two lives of the TPM. One that nobody started refuses by name. */
START_TEST(test_T6_reset_in_mid_batch)
{
    const struct tpmproxy_hooks hooks = {.arg = &_i,
                                         .before = reset_before_quote};
    struct atls_ticket *tickets[BATCH];

    quotercase_proxy(&hooks);
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "before the reset"));
    ck_assert(quotercase_serve(2, NULL));
    atomic_store(&resets_left, 1);
    for (unsigned i = 0; i < BATCH; i++)
        quotercase_expect(&why, quotercase_submit(i, &why, &tickets[i]),
                          ATLS_OK, "");
    for (unsigned i = 0; i < BATCH; i++) {
        enum atls_error r;
        uint8_t *cmw = NULL;
        size_t len = 0;

        r = atls_ticket_wait(tickets[i], &why, &cmw, &len);
        if (resets[_i].is_survived)
            quotercase_expect(&why, r, ATLS_OK, "");
        else
            quotercase_expect(&why, r, ATLS_E_TPM,
                              "nobody started the TPM: tpm2_startup -c");
        ck_assert(r != ATLS_OK || quotercase_is_valid(i, cmw, len, NULL));
    }
    ck_assert_int_eq(resets_left, 0);
    if (resets[_i].is_survived)
        return;
    ck_assert(swtpm_reset(quotercase.swtpm)); /* with TPM2_Startup */
    expect_recovery();
}
END_TEST

/* --- T13: somebody else keeps the TPM busy ---------------------------------------- */

static atomic_bool is_hogging;

/* RSA keys, one after the other: each takes the TPM for up to a second. */
static void *make_keys(void *arg)
{
    struct swtpm_ak ak = {.key = SWTPM_RSASSA, .handle = 0x81010055};

    (void)arg;
    while (atomic_load(&is_hogging)) {
        ak.unique++;
        (void)swtpm_make_ak(quotercase.swtpm, &ak);
    }
    return NULL;
}

START_TEST(test_T13_rsa_keys_are_made_beside_us)
{
    unsigned late = 0;
    pthread_t hog;

    quotercase.config.timeout_ms = 50;
    quotercase_start();
    wait_for_recovery(); /* where 50 ms are few, it has happened once */
    atomic_store(&is_hogging, true);
    ck_assert_int_eq(pthread_create(&hog, NULL, make_keys, NULL), 0);
    for (unsigned i = 0; i < 60; i++) {
        int64_t begin = atls_now_ms();
        uint8_t *cmw = NULL;
        enum atls_error r;
        size_t len = 0;

        r = quotercase_obtain(i, &why, &cmw, &len);
        ck_assert_int_le(atls_now_ms() - begin, 250);
        if (r == ATLS_OK)
            ck_assert(quotercase_is_valid(i, cmw, len, NULL));
        else
            quotercase_expect(&why, r, ATLS_E_TIMEOUT, "");
        late += r != ATLS_OK;
    }
    atomic_store(&is_hogging, false);
    ck_assert_int_eq(pthread_join(hog, NULL), 0);
    ck_assert_uint_gt(late, 0);
    for (unsigned i = 0; i < 10; i++)
        wait_for_recovery();
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_T4_tpm_is_replaced, 0, 2),
    ONCE(test_T4_tpm_is_replaced_before_the_quote),
    LOOP(test_T6_reset_in_mid_batch, 0, 2),
    ONCE(test_T13_rsa_keys_are_made_beside_us),
};

SUITE(.name = "quoter_replaced", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
