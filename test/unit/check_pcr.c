/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/pcr.c: banks, selections, PCR digest, extend. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "evidence/pcr.h"
#include "lib/suite.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

START_TEST(test_hashes_by_algorithm_and_name)
{
    static const struct {
        uint16_t alg;
        uint8_t len;
        const char *name;
    } cases[] = {
        {TPM2_ALG_SHA1, 20, "sha1"},
        {TPM2_ALG_SHA256, 32, "sha256"},
        {TPM2_ALG_SHA384, 48, "sha384"},
        {TPM2_ALG_SHA512, 64, "sha512"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct atls_hash *hash = atls_hash_by_alg(cases[i].alg);

        ck_assert_ptr_nonnull(hash);
        ck_assert_uint_eq(hash->len, cases[i].len);
        ck_assert_str_eq(hash->name, cases[i].name);
        ck_assert_ptr_eq(atls_hash_by_name(cases[i].name), hash);
    }
}
END_TEST

START_TEST(test_what_is_no_bank)
{
    static const char *const names[] = {
        "", "SHA256", "sha-256", "sha25", "sha2566", "sm3_256", "sha256:"};

    ck_assert_ptr_null(atls_hash_by_alg(0));
    ck_assert_ptr_null(atls_hash_by_alg(TPM2_ALG_SM3_256));
    ck_assert_ptr_null(atls_hash_by_alg(TPM2_ALG_NULL));
    for (size_t i = 0; i < COUNT(names); i++)
        ck_assert_ptr_null(atls_hash_by_name(names[i]));
}
END_TEST

static const struct {
    const char *text;
    struct atls_pcr_selection selection;
} good_selections[] = {
    {"sha256:0", {1, {{TPM2_ALG_SHA256, 0x000001}}}},
    {"sha256:23", {1, {{TPM2_ALG_SHA256, 0x800000}}}},
    {"sha256:0-9,11-15", {1, {{TPM2_ALG_SHA256, 0x00fbff}}}},
    {"sha384:7,3,5-5", {1, {{TPM2_ALG_SHA384, 0x0000a8}}}},
    {"sha512:all", {1, {{TPM2_ALG_SHA512, 0xffffff}}}},
    {"sha512:0-23", {1, {{TPM2_ALG_SHA512, 0xffffff}}}},
    {"sha256:all+sha1:0,7",
     {2, {{TPM2_ALG_SHA256, 0xffffff}, {TPM2_ALG_SHA1, 0x000081}}}},
    {"sha1:1+sha256:2+sha384:3+sha512:4",
     {4,
      {{TPM2_ALG_SHA1, 0x02},
       {TPM2_ALG_SHA256, 0x04},
       {TPM2_ALG_SHA384, 0x08},
       {TPM2_ALG_SHA512, 0x10}}}},
};

START_TEST(test_selections)
{
    struct atls_pcr_selection selection;
    struct atls_reason why = {0};

    ck_assert_int_eq(
        atls_pcr_selection_parse(good_selections[_i].text, &why, &selection),
        ATLS_OK);
    ck_assert_uint_eq(selection.count, good_selections[_i].selection.count);
    for (size_t i = 0; i < selection.count; i++) {
        ck_assert_uint_eq(selection.banks[i].alg,
                          good_selections[_i].selection.banks[i].alg);
        ck_assert_uint_eq(selection.banks[i].mask,
                          good_selections[_i].selection.banks[i].mask);
    }
}
END_TEST

static const struct {
    const char *text;
    const char *reason;
} bad_selections[] = {
    {"", "expected 'sha1:', 'sha256:', 'sha384:' or 'sha512:'"},
    {"0-7", "found '0-7'"},
    {"sha256", "before the PCRs, found 'sha256'"},
    {"SHA256:0", "found 'SHA256:0'"},
    {"sm3_256:0", "found 'sm3_256:0'"},
    {" sha256:0", "found ' sha256:0'"},
    {"sha256:", "as in '0-9,11-15', or 'all', found ''"},
    {"sha256:24", "found '24'"},
    {"sha256:4294967296", "found '4294967296'"},
    {"sha256:-1", "found '-1'"},
    {"sha256:+1", "found '+1'"},
    {"sha256: 1", "found ' 1'"},
    {"sha256:07", "found '07'"},
    {"sha256:00", "found '00'"},
    {"sha256:ALL", "found 'ALL'"},
    {"sha256:5-3", "found '5-3'"},
    {"sha256:5-", "found '5-'"},
    {"sha256:5-24", "found '5-24'"},
    {"sha256:1,", "found ''"},
    {"sha256:1,,2", "found ',2'"},
    {"sha256:1,all", "found 'all'"},
    {"sha256:1,1", "PCR 1 stands there twice"},
    {"sha256:0-4,4-7", "PCR 4 stands there twice"},
    {"sha256:all,1", "found ',1'"},
    {"sha256:1 ", "found ' '"},
    {"sha256:1;sha1:1", "found ';sha1:1'"},
    {"sha256:1+", "before the PCRs, found ''"},
    {"sha256:1+sha256:2", "bank sha256 stands there twice"},
    {"sha256:1+sha384:1+sha256:2", "bank sha256 stands there twice"},
};

START_TEST(test_P2_bad_selections_say_what_is_wrong)
{
    struct atls_pcr_selection selection = {.count = 99};
    struct atls_reason why = {0};

    ck_assert_int_eq(
        atls_pcr_selection_parse(bad_selections[_i].text, &why, &selection),
        ATLS_E_CONFIG);
    ck_assert_int_eq(why.code, ATLS_E_CONFIG);
    ck_assert_msg(strstr(why.text, bad_selections[_i].reason) != NULL,
                  "'%s': %s", bad_selections[_i].text, why.text);
    ck_assert_uint_eq(selection.count, 99);
    ck_assert_int_eq(
        atls_pcr_selection_parse(bad_selections[_i].text, NULL, &selection),
        ATLS_E_CONFIG);
}
END_TEST

/* Two banks, values 0x11.. and 0x22.. with the PCR's number in front. */
static void make_values(struct atls_pcr_values *values)
{
    memset(values, 0, sizeof(*values));
    values->count = 2;
    values->banks[0].alg = TPM2_ALG_SHA256;
    values->banks[0].mask = 0x00800083;
    values->banks[1].alg = TPM2_ALG_SHA1;
    values->banks[1].mask = 0x00000001;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        memset(values->banks[0].value[pcr], 0x11, 32);
        memset(values->banks[1].value[pcr], 0x22, 20);
        values->banks[0].value[pcr][0] = (uint8_t)pcr;
        values->banks[1].value[pcr][0] = (uint8_t)pcr;
    }
}

START_TEST(test_values_that_are_not_there)
{
    struct atls_pcr_values values;

    make_values(&values);
    ck_assert_ptr_eq(atls_pcr_value(&values, TPM2_ALG_SHA256, 7),
                     values.banks[0].value[7]);
    ck_assert_ptr_eq(atls_pcr_value(&values, TPM2_ALG_SHA256, 23),
                     values.banks[0].value[23]);
    ck_assert_ptr_eq(atls_pcr_value(&values, TPM2_ALG_SHA1, 0),
                     values.banks[1].value[0]);
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA256, 2));
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA1, 7));
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA384, 0));
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA256, 24));
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA256, 32));
    ck_assert_ptr_null(atls_pcr_value(&values, TPM2_ALG_SHA256, 0xffffffff));
}
END_TEST

/* In the order of the selection's banks, within a bank by rising index. */
START_TEST(test_pcr_digest_follows_the_selection)
{
    static const struct atls_pcr_selection selection = {
        2, {{TPM2_ALG_SHA1, 0x000001}, {TPM2_ALG_SHA256, 0x800081}}};
    struct atls_pcr_values values;
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    uint8_t octets[20 + 3 * 32];
    uint8_t expected[ATLS_SHA256_LEN];
    size_t len = 0;

    make_values(&values);
    memcpy(octets, values.banks[1].value[0], 20);
    memcpy(octets + 20, values.banks[0].value[0], 32);
    memcpy(octets + 52, values.banks[0].value[7], 32);
    memcpy(octets + 84, values.banks[0].value[23], 32);
    ck_assert_int_eq(atls_sha256(octets, sizeof(octets), expected), ATLS_OK);
    ck_assert_int_eq(
        atls_pcr_digest(TPM2_ALG_SHA256, &selection, &values, digest, &len),
        ATLS_OK);
    ck_assert_uint_eq(len, 32);
    ck_assert_mem_eq(digest, expected, 32);
    ck_assert_int_eq(
        atls_pcr_digest(TPM2_ALG_SHA384, &selection, &values, digest, &len),
        ATLS_OK);
    ck_assert_uint_eq(len, 48);
}
END_TEST

START_TEST(test_E6_pcr_digest_needs_every_selected_value)
{
    static const struct {
        uint16_t hash;
        struct atls_pcr_selection selection;
        enum atls_error r;
    } cases[] = {
        {TPM2_ALG_SHA256, {1, {{TPM2_ALG_SHA256, 0x04}}}, ATLS_E_SELECTION},
        {TPM2_ALG_SHA256, {1, {{TPM2_ALG_SHA1, 0x80}}}, ATLS_E_SELECTION},
        {TPM2_ALG_SHA256, {1, {{TPM2_ALG_SHA384, 0x01}}}, ATLS_E_SELECTION},
        {TPM2_ALG_SHA256, {1, {{TPM2_ALG_SM3_256, 0x01}}}, ATLS_E_SELECTION},
        {TPM2_ALG_SHA256,
         {1, {{TPM2_ALG_SHA256, 0x01000001}}},
         ATLS_E_SELECTION},
        {TPM2_ALG_SHA256,
         {1, {{TPM2_ALG_SHA256, 0x80000001}}},
         ATLS_E_SELECTION},
        {TPM2_ALG_NULL, {1, {{TPM2_ALG_SHA256, 0x01}}}, ATLS_E_CRYPTO},
        {TPM2_ALG_SHA256, {1, {{TPM2_ALG_SHA256, 0x01}}}, ATLS_OK},
    };
    struct atls_pcr_values values;
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    size_t len;

    make_values(&values);
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_assert_int_eq(atls_pcr_digest(cases[i].hash, &cases[i].selection,
                                         &values, digest, &len),
                         cases[i].r);
}
END_TEST

/* SHA-256(32 zeros || SHA-256("abc")), computed with coreutils. */
START_TEST(test_extend)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t digest[ATLS_SHA256_LEN];
    char hex[2 * ATLS_SHA256_LEN + 1];

    ck_assert_int_eq(atls_sha256("abc", 3, digest), ATLS_OK);
    ck_assert_int_eq(atls_pcr_extend(TPM2_ALG_SHA256, value, digest), ATLS_OK);
    atls_hex(value, ATLS_SHA256_LEN, hex);
    ck_assert_str_eq(
        hex,
        "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe08faee8d");
    for (size_t i = ATLS_SHA256_LEN; i < sizeof(value); i++)
        ck_assert_uint_eq(value[i], 0);
    ck_assert_int_eq(atls_pcr_extend(TPM2_ALG_NULL, value, digest),
                     ATLS_E_INTERNAL);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_hashes_by_algorithm_and_name),
    ONCE(test_what_is_no_bank),
    LOOP(test_selections, 0, COUNT(good_selections)),
    LOOP(test_P2_bad_selections_say_what_is_wrong, 0, COUNT(bad_selections)),
    ONCE(test_values_that_are_not_there),
    ONCE(test_pcr_digest_follows_the_selection),
    ONCE(test_E6_pcr_digest_needs_every_selected_value),
    ONCE(test_extend),
};

SUITE(.name = "pcr", .cases = {CASE("pcr", tests, 0, NULL, NULL)});
