/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/cache.c, and what trust.c makes of it: a chain that was
 * accepted before is accepted again, and nothing else is. */
#include <check.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/factory_crl.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/cache.h"
#include "verifier/trust.h"

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
    trial_make(&t);
    t.section->cache = atls_trust_cache_new();
    ck_assert_ptr_nonnull(t.section->cache);
}

static void teardown(void)
{
    atls_trust_cache_free(t.section->cache);
    t.section->cache = NULL;
    trial_end(&t);
}

static enum atls_error check_at(int64_t now)
{
    return trial_chain(&t, t.f.evidence.chain, t.f.evidence.chain_count, now);
}

/* Take away what the chain is verified by: only the cache can accept it now. */
static void forget_anchors(void)
{
    X509_STORE_free(t.section->trust);
    t.section->trust = X509_STORE_new();
    ck_assert_ptr_nonnull(t.section->trust);
}

START_TEST(test_second_time_comes_from_the_cache)
{
    char machine[ATLS_MACHINE_NAMES_MAX];

    trial_chain_trusted(&t);
    memcpy(machine, t.machine, sizeof(machine));
    forget_anchors();
    trial_chain_trusted(&t);
    ck_assert_str_eq(t.machine, machine);
    trial_trusted(&t); /* with its key: the whole appraisal */
}
END_TEST

START_TEST(test_without_a_cache)
{
    struct atls_trust_cache *cache = t.section->cache;

    t.section->cache = NULL;
    trial_chain_trusted(&t);
    forget_anchors();
    trial_chain_refused(&t, ATLS_E_CHAIN_UNTRUSTED, "leads to no certificate");
    t.section->cache = cache;
}
END_TEST

START_TEST(test_refusals_are_not_kept)
{
    X509_STORE *trust = t.section->trust;

    t.section->trust = X509_STORE_new();
    trial_chain_refused(&t, ATLS_E_CHAIN_UNTRUSTED, "leads to no certificate");
    X509_STORE_free(t.section->trust);
    t.section->trust = trust;
    trial_chain_trusted(&t);
}
END_TEST

/* Every octet of every certificate counts, their order and number too. */
START_TEST(test_E18_another_chain_is_another)
{
    struct atls_span chain[ATLS_CHAIN_MAX];
    const size_t count = t.f.evidence.chain_count;

    ck_assert_uint_eq(count, 2);
    trial_chain_trusted(&t);
    forget_anchors();
    memcpy(chain, t.f.evidence.chain, sizeof(chain));
    for (size_t i = 0; i < count; i++) {
        uint8_t octets[ATLS_CERTIFICATE_MAX];

        memcpy(octets, chain[i].data, chain[i].len);
        for (size_t at = 0; at < chain[i].len; at++) {
            octets[at] ^= 1;
            chain[i].data = octets;
            ck_assert_int_ne(trial_chain(&t, chain, count, FACTORY_NOW),
                             ATLS_OK);
            octets[at] ^= 1;
        }
        chain[i] = t.f.evidence.chain[i];
    }
    ck_assert_int_ne(trial_chain(&t, chain, 1, FACTORY_NOW), ATLS_OK);
    chain[2] = chain[1];
    ck_assert_int_ne(trial_chain(&t, chain, 3, FACTORY_NOW), ATLS_OK);
    chain[0] = t.f.evidence.chain[1];
    chain[1] = t.f.evidence.chain[0];
    ck_assert_int_ne(trial_chain(&t, chain, count, FACTORY_NOW), ATLS_OK);
}
END_TEST

/* Of all certificates the shortest time counts; beyond it the check says why. */
static const struct {
    int64_t offset; /* from the end of the AK certificate's time */
    enum atls_error code;
} ends[] = {{-1, ATLS_OK},
            {0, ATLS_E_CHAIN_EXPIRED},
            {1, ATLS_E_CHAIN_EXPIRED},
            {FACTORY_DAY, ATLS_E_CHAIN_EXPIRED}};

START_TEST(test_E18_certificates_expire_in_the_cache)
{
    const int64_t end = t.f.ak.not_after;

    ck_assert_int_eq(check_at(FACTORY_NOW), ATLS_OK);
    ck_assert_int_eq(check_at(end + ends[_i].offset), ends[_i].code);
}
END_TEST

START_TEST(test_E18_certificates_are_not_valid_yet_in_the_cache)
{
    const int64_t start = t.f.ak.not_before;

    ck_assert_int_eq(check_at(FACTORY_NOW), ATLS_OK);
    ck_assert_int_eq(check_at(start), ATLS_OK);
    ck_assert_int_eq(check_at(start - 1), ATLS_E_CHAIN_NOT_YET);
}
END_TEST

/* The issuer's end comes first here. */
START_TEST(test_E18_issuers_expire_in_the_cache)
{
    t.f.intermediates[0].not_after = FACTORY_NOW + 10;
    factory_make(&t.f);
    ck_assert_int_eq(check_at(FACTORY_NOW), ATLS_OK);
    ck_assert_int_eq(check_at(FACTORY_NOW + 9), ATLS_OK);
    ck_assert_int_eq(check_at(FACTORY_NOW + 11), ATLS_E_CHAIN_EXPIRED);
}
END_TEST

START_TEST(test_P11_crls_expire_in_the_cache)
{
    struct factory_crl crl =
        factory_crl_plan(t.f.intermediate_certs[0], t.f.intermediates[0].key);

    crl.last_update = FACTORY_NOW - 5;
    crl.next_update = FACTORY_NOW + 100;
    factory_section_crl(t.section, &crl);
    ck_assert_int_eq(check_at(FACTORY_NOW), ATLS_OK);
    ck_assert_int_eq(check_at(FACTORY_NOW + 99), ATLS_OK);
    ck_assert_int_eq(check_at(FACTORY_NOW + 101), ATLS_E_CHAIN_CRL);
    ck_assert_int_eq(check_at(FACTORY_NOW - 6), ATLS_E_CHAIN_CRL);
}
END_TEST

/* What is full or cannot keep something still checks. */
START_TEST(test_a_full_cache)
{
    static uint8_t octets[2000];
    const struct atls_validity always = ATLS_VALIDITY_ALWAYS;
    struct atls_trust trust = {.key = factory_key(FACTORY_P256, 0)};
    struct atls_trust found;
    struct atls_span ak = {octets, sizeof(octets)};
    unsigned kept = 0;

    for (unsigned i = 0; i < 1000; i++) {
        memcpy(octets, &i, sizeof(i)); /* all in one row of slots */
        atls_trust_cache_add(t.section->cache, &ak, 1, &always, &trust);
        if (atls_trust_cache_find(t.section->cache, &ak, 1, 0, &found)) {
            EVP_PKEY_free(found.key);
            kept++;
        }
    }
    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_lt(kept, 64);
    trial_chain_trusted(&t);
}
END_TEST

START_TEST(test_what_cannot_be_kept)
{
    const struct atls_validity always = ATLS_VALIDITY_ALWAYS;
    const struct atls_trust trust = {.key = NULL};
    const struct atls_span *chain = t.f.evidence.chain;
    struct atls_trust found;

    atls_trust_cache_add(t.section->cache, chain, 2, &always, &trust);
    atls_trust_cache_add(t.section->cache, chain, 0, &always, &trust);
    atls_trust_cache_add(NULL, chain, 2, &always, &trust);
    ck_assert(!atls_trust_cache_find(t.section->cache, chain, 2, 0, &found));
    ck_assert(!atls_trust_cache_find(t.section->cache, chain, 0, 0, &found));
    ck_assert(!atls_trust_cache_find(NULL, chain, 2, 0, &found));
}
END_TEST

static void *check_often(void *arg)
{
    struct atls_reason why = {0};
    struct atls_trust trust;
    size_t *passed = arg;

    for (int i = 0; i < 200; i++) {
        if (atls_trust_check(t.section, t.f.evidence.chain,
                             t.f.evidence.chain_count, FACTORY_NOW, &why,
                             &trust)
            == ATLS_OK)
            (*passed)++;
        EVP_PKEY_free(trust.key);
    }
    return NULL;
}

START_TEST(test_threads_share_it)
{
    pthread_t threads[8];
    size_t passed[8] = {0};

    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, check_often, &passed[i]), 0);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(passed[i], 200);
    }
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_second_time_comes_from_the_cache),
    ONCE(test_without_a_cache),
    ONCE(test_refusals_are_not_kept),
    ONCE(test_E18_another_chain_is_another),
    LOOP(test_E18_certificates_expire_in_the_cache, 0,
         sizeof(ends) / sizeof(ends[0])),
    ONCE(test_E18_certificates_are_not_valid_yet_in_the_cache),
    ONCE(test_E18_issuers_expire_in_the_cache),
    ONCE(test_P11_crls_expire_in_the_cache),
    ONCE(test_a_full_cache),
    ONCE(test_what_cannot_be_kept),
    ONCE(test_threads_share_it),
};

SUITE(.name = "cache", .cases = {CASE("cache", tests, 0, setup, teardown)});
