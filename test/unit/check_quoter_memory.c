/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "attester/quoter.h"
#include "attester/tpm.h"
#include "lib/allocation.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "lib/tpmcase.h"

/*
 * R3: every allocation of ours and of OpenSSL's fails in turn. What is asked
 * for is refused, nothing leaks (under a leak checker), and once there is
 * memory again all works.
 */

#define ALLOCATIONS_MAX 20000u

static struct atls_reason why;

START_TEST(test_R3_quoter_new)
{
    enum atls_error r = ATLS_E_NOMEM;

    quotercase.config.measured_log = quotercase.measured_log;
    /* OpenSSL leaks when it cannot finish a library context: have one. */
    quotercase_start();
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    for (size_t n = 1; r != ATLS_OK; n++) {
        ck_assert_uint_lt(n, ALLOCATIONS_MAX);
        allocation_fail_at(n);
        r = atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                            &quotercase.quoter);
        allocation_fail_at(0);
        ck_assert_int_eq(r == ATLS_OK, quotercase.quoter != NULL);
    }
    ck_assert(quotercase_serve(1, NULL));
}
END_TEST

/* Handshake by handshake, each with a quoter of its own. */
START_TEST(test_R3_handshake)
{
    enum atls_error r = ATLS_E_NOMEM;

    quotercase.config.measured_log = quotercase.measured_log;
    quotercase.config.timeout_ms = 2000;
    for (size_t n = 1; r != ATLS_OK; n++) {
        uint8_t *cmw = NULL;
        size_t len = 0;

        ck_assert_uint_lt(n, ALLOCATIONS_MAX);
        quotercase_start();
        allocation_fail_at(n);
        r = quotercase_obtain(1, &why, &cmw, &len);
        allocation_fail_at(0);
        ck_assert_int_eq(r == ATLS_OK, cmw != NULL);
        OPENSSL_free(cmw);
        if (n % 8 == 1) {
            usleep(60000); /* the back-off */
            ck_assert(quotercase_serve(2, NULL));
        }
        atls_quoter_free(quotercase.quoter);
        quotercase.quoter = NULL;
    }
}
END_TEST

static enum atls_error use_tpm(const char *tcti)
{
    static const char text[] = "event";
    const struct atls_span content = {(const uint8_t *)text, 5};
    uint8_t *der = NULL;
    enum atls_error r;
    size_t len;

    r = atls_tpm_open(tcti, &tpmcase.why, &tpmcase.tpm);
    if (r == ATLS_OK)
        r = atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why);
    if (r == ATLS_OK)
        r = atls_tpm_ak_public(tpmcase.tpm, &tpmcase.why, &der, &len);
    OPENSSL_free(der);
    if (r == ATLS_OK)
        r = tpmcase_quote_consistent("sha256:0");
    if (r == ATLS_OK)
        r = atls_tpm_extend(tpmcase.tpm, 16, content, &tpmcase.why, NULL);
    tpmcase_close();
    return r;
}

START_TEST(test_R3_tpm)
{
    const char *tcti = swtpm_tcti(quotercase.swtpm);
    enum atls_error r = ATLS_E_NOMEM;

    ck_assert_int_eq(use_tpm(tcti), ATLS_OK);
    for (size_t n = 1; r != ATLS_OK; n++) {
        ck_assert_uint_lt(n, ALLOCATIONS_MAX);
        allocation_fail_at(n);
        r = use_tpm(tcti);
        allocation_fail_at(0);
    }
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_R3_quoter_new),
    ONCE(test_R3_handshake),
    ONCE(test_R3_tpm),
};

SUITE(.name = "quoter_memory", .skip = swtpm_missing,
      .begin = allocation_install,
      .cases = {CASE("with a swtpm", tests, 120, quotercase_set_up,
                     quotercase_tear_down)});
