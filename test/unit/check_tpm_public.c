/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tpm_public.h"
#include "lib/suite.h"

/* OpenSSL's own encoder is the oracle. */

static void expect_spki(const TPMT_PUBLIC *public, EVP_PKEY *key)
{
    unsigned char *expected = NULL;
    int expected_len = i2d_PUBKEY(key, &expected);
    uint8_t *der = NULL;
    size_t len = 0;

    ck_assert_int_gt(expected_len, 0);
    ck_assert_int_eq(atls_tpm_public_to_spki(public, NULL, &der, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, (size_t)expected_len);
    ck_assert_mem_eq(der, expected, len);
    OPENSSL_free(expected);
    OPENSSL_free(der);
}

/* As a TPM stores a number: without leading zeros. True if there were some. */
static bool take_coordinate(EVP_PKEY *key, const char *name, size_t field_len,
                            TPM2B_ECC_PARAMETER *ret)
{
    BIGNUM *number = NULL;

    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, name, &number), 1);
    ret->size = (UINT16)BN_bn2bin(number, ret->buffer);
    BN_free(number);
    return ret->size < field_len;
}

static const struct {
    const char *name;
    TPM2_ECC_CURVE id;
    size_t field_len;
} curves[] = {
    {"P-256", TPM2_ECC_NIST_P256, 32},
    {"P-384", TPM2_ECC_NIST_P384, 48},
    {"P-521", TPM2_ECC_NIST_P521, 66},
};

/* Until a coordinate with a leading zero came by. */
START_TEST(test_spki_of_ecc_keys)
{
    bool has_short = false;

    for (int i = 0; i < 8 || !has_short; i++) {
        EVP_PKEY *key = EVP_EC_gen(curves[_i].name);
        TPMT_PUBLIC public = {.type = TPM2_ALG_ECC};
        size_t len = curves[_i].field_len;

        ck_assert_ptr_nonnull(key);
        public.parameters.eccDetail.curveID = curves[_i].id;
        if (take_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, len,
                            &public.unique.ecc.x))
            has_short = true;
        if (take_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, len,
                            &public.unique.ecc.y))
            has_short = true;
        expect_spki(&public, key);
        EVP_PKEY_free(key);
    }
}
END_TEST

START_TEST(test_spki_of_rsa_keys)
{
    static const int bits[] = {1024, 2048, 3072};
    EVP_PKEY *key = EVP_RSA_gen((unsigned)bits[_i]);
    TPMT_PUBLIC public = {.type = TPM2_ALG_RSA};
    BIGNUM *n = NULL;

    ck_assert_ptr_nonnull(key);
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    public.unique.rsa.size = (UINT16)BN_bn2bin(n, public.unique.rsa.buffer);
    BN_free(n);
    expect_spki(&public, key); /* exponent 0: 65537 */
    public.parameters.rsaDetail.exponent = 65537;
    expect_spki(&public, key);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(test_spki_of_other_keys)
{
    TPMT_PUBLIC public = {.type = TPM2_ALG_KEYEDHASH};
    struct atls_reason why = {.text = ""};
    uint8_t *der = NULL;
    size_t len = 0;

    switch (_i) {
    case 1:
        public
        .type = TPM2_ALG_ECC;
        public.parameters.eccDetail.curveID = TPM2_ECC_BN_P256;
        break;
    case 2:
        public
        .type = TPM2_ALG_ECC;
        public.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
        public.unique.ecc.x.size = 33;
        break;
    case 3:
        public
        .type = TPM2_ALG_ECC;
        public.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
        public.unique.ecc.y.size = 33;
        break;
    default:
        break;
    }
    ck_assert_int_eq(atls_tpm_public_to_spki(&public, &why, &der, &len),
                     ATLS_E_AK);
    ck_assert_ptr_nonnull(strstr(
        why.text, "neither an RSA key nor one on P-256, P-384 or P-521"));
    ck_assert_ptr_null(der);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_spki_of_ecc_keys, 0, sizeof(curves) / sizeof(curves[0])),
    LOOP(test_spki_of_rsa_keys, 0, 3),
    LOOP(test_spki_of_other_keys, 0, 4),
};

SUITE(.name = "tpm_public",
      .cases = {CASE("SubjectPublicKeyInfo", tests, 60, NULL, NULL)});
