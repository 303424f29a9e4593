/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/digest.c: hashes of known inputs, hex, behaviour without memory. */
#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lib/allocation.h"
#include "lib/suite.h"

/* FIPS 180-4 examples: "abc". */
static const struct {
    const char *name;
    size_t len;
    const char *hex;
} of_abc[] = {
    {"SHA1", 20, "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {"SHA2-256", 32,
     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"SHA2-384", 48,
     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
     "8086072ba1e7cc2358baeca134c825a7"},
    {"SHA2-512", 64,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
};

START_TEST(test_hash_of_known_input)
{
    const struct atls_span parts[] = {
        {(const uint8_t *)"a", 1}, {NULL, 0}, {(const uint8_t *)"bc", 2}};
    uint8_t digest[64];
    char hex[129];
    size_t len = 0;

    ck_assert_int_eq(atls_hash_parts(of_abc[_i].name, parts, 3, digest, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, of_abc[_i].len);
    atls_hex(digest, len, hex);
    ck_assert_str_eq(hex, of_abc[_i].hex);
}
END_TEST

START_TEST(test_sha256_of_nothing)
{
    uint8_t digest[ATLS_SHA256_LEN];
    char hex[2 * ATLS_SHA256_LEN + 1];

    ck_assert_int_eq(atls_sha256(NULL, 0, digest), ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    ck_assert_str_eq(
        hex,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(test_unknown_hash_leaves_the_error_queue_as_found)
{
    const struct atls_span part = {NULL, 0};
    uint8_t digest[64];

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    ck_assert_int_eq(atls_hash_parts("MD5", &part, 1, digest, NULL),
                     ATLS_E_CRYPTO);
    ck_assert_int_eq(ERR_GET_REASON(ERR_get_error()), 42);
    ck_assert_uint_eq(ERR_get_error(), 0);
}
END_TEST

/* A TPM provider or `fips=yes` of the program must not reach our hashes. */
START_TEST(test_C6_own_library_context_ignores_the_programs_properties)
{
    uint8_t digest[ATLS_SHA256_LEN];

    ck_assert_ptr_nonnull(atls_libctx());
    ck_assert_int_eq(EVP_set_default_properties(NULL, "provider=nobody"), 1);
    ck_assert_int_eq(atls_sha256("abc", 3, digest), ATLS_OK);
    ck_assert_int_eq(EVP_set_default_properties(NULL, ""), 1);
    ck_assert_int_eq(OSSL_PROVIDER_available(atls_libctx(), "default"), 1);
    ck_assert_ptr_eq(atls_libctx(), atls_libctx());
}
END_TEST

static void *use_context(void *ret)
{
    uint8_t digest[ATLS_SHA256_LEN];

    if (atls_sha256("abc", 3, digest) == ATLS_OK)
        *(OSSL_LIB_CTX **)ret = atls_libctx();
    return NULL;
}

/* First in this process (each test is a fork of its own). */
START_TEST(test_threads_that_race_share_one_context)
{
    OSSL_LIB_CTX *seen[8] = {NULL};
    pthread_t threads[8];

    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, use_context, &seen[i]), 0);
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_ptr_nonnull(seen[0]);
    for (size_t i = 1; i < 8; i++)
        ck_assert_ptr_eq(seen[i], seen[0]);
}
END_TEST

/* A failure must not stick: refused now, right as soon as there is memory.
 * (Only the first two allocations: later ones leak within libcrypto.) */
START_TEST(test_R3_library_context_without_memory)
{
    uint8_t digest[ATLS_SHA256_LEN];

    for (size_t n = 1; n <= 2; n++) {
        allocation_fail_at(n);
        ck_assert_ptr_null(atls_libctx());
        ck_assert_int_eq(atls_sha256("abc", 3, digest), ATLS_E_CRYPTO);
    }
    allocation_fail_at(0);
    ck_assert_int_eq(atls_sha256("abc", 3, digest), ATLS_OK);
}
END_TEST

START_TEST(test_R3_every_allocation_of_a_hash_fails)
{
    const struct atls_span part = {(const uint8_t *)"abc", 3};
    uint8_t digest[64];
    enum atls_error r;
    size_t n = 0;

    ck_assert_ptr_nonnull(atls_libctx());
    do {
        allocation_fail_at(++n);
        r = atls_hash_parts("SHA2-512", &part, 1, digest, NULL);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_CRYPTO);
        ck_assert_uint_lt(n, 1000);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 2);
    ck_assert_uint_eq(digest[0], 0xdd);
}
END_TEST

START_TEST(test_unhex_takes_hex_of_either_case_only)
{
    static const struct {
        const char *text;
        int ok;
    } cases[] = {
        {"", 1},     {"00ff", 1}, {"AbCd", 1}, {"0", 0},
        {"0g", 0},   {"g0", 0},   {" 00", 0},  {"00 ", 0},
        {"0x00", 0}, {"00\n", 0}, {"-100", 0}, {"0011223344", 0},
    };
    uint8_t octets[4];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = 99;

        ck_assert_msg(atls_unhex(cases[i].text, octets, sizeof(octets), &len)
                          == cases[i].ok,
                      "'%s'", cases[i].text);
        ck_assert_uint_eq(len, cases[i].ok ? strlen(cases[i].text) / 2 : 99);
    }
    ck_assert_uint_eq(octets[0], 0xab);
    ck_assert_uint_eq(octets[1], 0xcd);
}
END_TEST

/* A value that somebody typed may differ anywhere. */
START_TEST(test_brief_digests_show_where_they_differ)
{
    static const struct {
        size_t differs; /* 32: nowhere */
        const char *a, *b;
    } cases[] = {{0, "00010203...", "ff010203..."},
                 {3, "00010203...", "000102fc..."},
                 {4, "...04050607...", "...fb050607..."},
                 {27, "...1b1c1d1e...", "...e41c1d1e..."},
                 {28, "...1c1d1e1f", "...e31d1e1f"},
                 {31, "...1c1d1e1f", "...1c1d1ee0"},
                 {32, "00010203...", "00010203..."}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char brief_a[ATLS_HEX_BRIEF_SIZE], brief_b[ATLS_HEX_BRIEF_SIZE];
        uint8_t a[32], b[32];

        for (unsigned j = 0; j < sizeof(a); j++)
            a[j] = b[j] = (uint8_t)j;
        if (cases[i].differs < sizeof(b))
            b[cases[i].differs] ^= 0xff;
        atls_hex_brief(a, b, sizeof(a), brief_a, brief_b);
        ck_assert_str_eq(brief_a, cases[i].a);
        ck_assert_str_eq(brief_b, cases[i].b);
    }
}
END_TEST

static void begin(void)
{
    allocation_install();
    /* libcrypto's own start never recovers from a failed allocation; it is
     * behind every program that gets as far as our code. */
    ERR_clear_error();
    EVP_MD_free(EVP_MD_fetch(NULL, "SHA2-256", NULL));
}

static const struct suite_test tests[] = {
    /* First: they need a process that has not hashed yet, also when
     * CK_FORK=no. */
    ONCE(test_R3_library_context_without_memory),
    ONCE(test_R3_every_allocation_of_a_hash_fails),
    ONCE(test_threads_that_race_share_one_context),
    LOOP(test_hash_of_known_input, 0, sizeof(of_abc) / sizeof(of_abc[0])),
    ONCE(test_sha256_of_nothing),
    ONCE(test_unknown_hash_leaves_the_error_queue_as_found),
    ONCE(test_C6_own_library_context_ignores_the_programs_properties),
    ONCE(test_unhex_takes_hex_of_either_case_only),
    ONCE(test_brief_digests_show_where_they_differ),
};

SUITE(.name = "digest", .begin = begin,
      .cases = {CASE("digest", tests, 0, NULL, NULL)});
