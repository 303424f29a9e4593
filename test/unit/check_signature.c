/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/signature.c: TPMT_SIGNATURE, and every key with every
 * scheme. */
#include <check.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "base/digest.h"
#include "evidence/quote.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const uint8_t message[] = "what a TPM would have signed";
static const struct atls_span attest = {message, sizeof(message)};

struct octets {
    size_t len;
    uint8_t data[sizeof(TPMT_SIGNATURE)];
};

static enum atls_error parse(const struct octets *octets, size_t len,
                             struct atls_reason *why,
                             struct atls_signature *signature)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum atls_error r;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, octets->data, len);
    r = atls_signature_parse((struct atls_span){copy, len}, why, signature);
    free(copy);
    return r;
}

static void marshal(const TPMT_SIGNATURE *signature, struct octets *ret)
{
    ret->len = 0;
    ck_assert_uint_eq(Tss2_MU_TPMT_SIGNATURE_Marshal(
                          signature, ret->data, sizeof(ret->data), &ret->len),
                      TSS2_RC_SUCCESS);
}

/* --- keys ------------------------------------------------------------------ */

/* Which schemes a key can be used with. */
enum use { USE_NONE, USE_RSA, USE_ECDSA };

static const struct {
    const char *name; /* in keys.txt, or of a curve */
    const char *type; /* for EVP_PKEY_Q_keygen(); NULL: from keys.txt */
    enum use use;
    const char *reason; /* for the RSA or EC schemes, of a key of that kind */
} keys[] = {
    {"private.2048", NULL, USE_RSA, ""},
    {"private.4096", NULL, USE_RSA, ""},
    {"private.1024", NULL, USE_NONE, "an RSA key of 1024 bits, expected 2048"},
    {"public.4104", NULL, USE_NONE, "an RSA key of 4104 bits, expected 2048"},
    {"private.pss", NULL, USE_NONE, "no RSA key"},
    {"P-256", "EC", USE_ECDSA, ""},
    {"P-384", "EC", USE_ECDSA, ""},
    {"P-521", "EC", USE_ECDSA, ""},
    {"P-224", "EC", USE_NONE, "on curve 'secp224r1', expected P-256"},
    {"secp256k1", "EC", USE_NONE, "on curve 'secp256k1', expected P-256"},
    {"brainpoolP256r1", "EC", USE_NONE, "on curve 'brainpoolP256r1'"},
    {"ed25519", "ED25519", USE_NONE, "is no"},
    {"ed448", "ED448", USE_NONE, "is no"},
    {"x25519", "X25519", USE_NONE, "is no"},
    {"sm2", "SM2", USE_NONE, "is no"},
};

static EVP_PKEY *make_key(size_t i)
{
    struct vector der;
    const uint8_t *at = der.data;
    EVP_PKEY *key;

    if (keys[i].type != NULL && strcmp(keys[i].type, "EC") == 0) {
        key = EVP_EC_gen(keys[i].name);
    } else if (keys[i].type != NULL) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, keys[i].type);
    } else {
        vector_octets("keys.txt", "rsa", keys[i].name, &der);
        if (strncmp(keys[i].name, "public", 6) == 0)
            key = d2i_PUBKEY(NULL, &at, (long)der.len);
        else
            key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    }
    ck_assert_msg(key != NULL, "no key %s", keys[i].name);
    return key;
}

/* --- schemes --------------------------------------------------------------- */

static const uint16_t schemes[] = {TPM2_ALG_RSASSA, TPM2_ALG_RSAPSS,
                                   TPM2_ALG_ECDSA};
static const uint16_t hashes[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                  TPM2_ALG_SHA512};

/* What OpenSSL signs with this key, in whatever form it has. */
static size_t sign(EVP_PKEY *key, uint16_t scheme, uint16_t hash, int salt_len,
                   uint8_t *ret, size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;

    ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, &pctx,
                                           atls_hash_by_alg(hash)->ossl, NULL,
                                           NULL, key, NULL),
                     1);
    if (scheme == TPM2_ALG_RSAPSS) {
        ck_assert_int_eq(
            EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt_len), 1);
    }
    ck_assert_int_eq(EVP_DigestSign(ctx, ret, &size, message, sizeof(message)),
                     1);
    EVP_MD_CTX_free(ctx);
    return size;
}

static void from_der(const uint8_t *der, size_t len, TPMS_SIGNATURE_ECDSA *ret)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);

    ck_assert_ptr_nonnull(sig);
    ret->signatureR.size = (UINT16)BN_num_bytes(ECDSA_SIG_get0_r(sig));
    ret->signatureS.size = (UINT16)BN_num_bytes(ECDSA_SIG_get0_s(sig));
    BN_bn2bin(ECDSA_SIG_get0_r(sig), ret->signatureR.buffer);
    BN_bn2bin(ECDSA_SIG_get0_s(sig), ret->signatureS.buffer);
    ECDSA_SIG_free(sig);
}

/* A TPMT_SIGNATURE over the message: a right one where key and scheme belong
 * together, else one of the right form. */
static void make_signature(EVP_PKEY *key, uint16_t scheme, uint16_t hash,
                           int salt_len, TPMT_SIGNATURE *ret)
{
    const bool is_ec = EVP_PKEY_is_a(key, "EC");
    const bool is_rsa =
        EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) <= 4096;
    uint8_t der[256];

    memset(ret, 0, sizeof(*ret));
    ret->sigAlg = scheme;
    ret->signature.any.hashAlg = hash;
    if (scheme == TPM2_ALG_ECDSA && is_ec) {
        from_der(der, sign(key, scheme, hash, 0, der, sizeof(der)),
                 &ret->signature.ecdsa);
    } else if (scheme == TPM2_ALG_ECDSA) {
        ret->signature.ecdsa.signatureR.size = 32;
        ret->signature.ecdsa.signatureS.size = 32;
    } else if (is_rsa && EVP_PKEY_get_bits(key) >= 2048) {
        ret->signature.rsassa.sig.size = (UINT16)sign(
            key, scheme, hash, salt_len, ret->signature.rsassa.sig.buffer,
            sizeof(ret->signature.rsassa.sig.buffer));
    } else {
        ret->signature.rsassa.sig.size = 256;
    }
}

/* A signature as appraisal gets it. */
static void make_parsed(EVP_PKEY *key, uint16_t scheme, uint16_t hash,
                        int salt_len, struct atls_signature *ret)
{
    TPMT_SIGNATURE signature;
    struct octets octets;
    struct atls_reason why = {0};

    make_signature(key, scheme, hash, salt_len, &signature);
    marshal(&signature, &octets);
    ck_assert_msg(parse(&octets, octets.len, &why, ret) == ATLS_OK, "%s",
                  why.text);
    ck_assert_uint_eq(ret->scheme, scheme);
    ck_assert_uint_eq(ret->hash, hash);
}

/* --- verification ---------------------------------------------------------- */

START_TEST(test_E13_every_key_with_every_scheme)
{
    EVP_PKEY *key = make_key((size_t)_i);

    for (size_t i = 0; i < COUNT(schemes) * COUNT(hashes); i++) {
        const uint16_t scheme = schemes[i / COUNT(hashes)];
        const uint16_t hash = hashes[i % COUNT(hashes)];
        const enum use use = scheme == TPM2_ALG_ECDSA ? USE_ECDSA : USE_RSA;
        const bool is_kind =
            EVP_PKEY_is_a(key, use == USE_ECDSA ? "EC" : "RSA");
        struct atls_signature signature;
        struct atls_reason why = {0};
        enum atls_error r;

        make_parsed(key, scheme, hash, RSA_PSS_SALTLEN_DIGEST, &signature);
        r = atls_signature_verify(&signature, key, attest, &why);
        ck_assert_msg(
            r == (keys[_i].use == use ? ATLS_OK : ATLS_E_SIGNATURE_ALG),
            "%s, 0x%x, 0x%x: %s", keys[_i].name, scheme, hash, why.text);
        if (r == ATLS_OK)
            continue;
        ck_assert_msg(strstr(why.text, is_kind ? keys[_i].reason
                                       : use == USE_ECDSA
                                           ? "the AK is no EC key"
                                           : "the AK is no RSA key")
                          != NULL,
                      "%s", why.text);
    }
    EVP_PKEY_free(key);
}
END_TEST

/* TPMs use the largest salt that fits, or the hash's length (Part 1, B.7). */
START_TEST(test_pss_salts)
{
    static const int salt_lens[] = {RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_MAX,
                                    0, 20};
    EVP_PKEY *key = make_key(0);

    for (size_t i = 0; i < COUNT(salt_lens); i++) {
        struct atls_signature signature;

        make_parsed(key, TPM2_ALG_RSAPSS, TPM2_ALG_SHA256, salt_lens[i],
                    &signature);
        ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                         ATLS_OK);
    }
    EVP_PKEY_free(key);
}
END_TEST

#define P256 5

/* The first of each kind. */
static const struct {
    size_t key;
    uint16_t scheme;
} good[] = {
    {0, TPM2_ALG_RSASSA},
    {0, TPM2_ALG_RSAPSS},
    {P256, TPM2_ALG_ECDSA},
};

START_TEST(test_E1_what_another_key_signed)
{
    EVP_PKEY *key = make_key(good[_i].key);
    EVP_PKEY *other = good[_i].key == P256 ? make_key(P256) : make_key(1);
    struct atls_signature signature;
    struct atls_reason why = {0};

    make_parsed(other, good[_i].scheme, TPM2_ALG_SHA256, RSA_PSS_SALTLEN_DIGEST,
                &signature);
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, &why),
                     ATLS_E_SIGNATURE);
    ck_assert_str_eq(
        why.text, "the AK's signature over the quote is wrong: the quote was "
                  "changed, or another key signed it");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}
END_TEST

START_TEST(test_E12_changed_quote_signature_or_hash)
{
    EVP_PKEY *key = make_key(good[_i].key);
    struct atls_signature signature;
    uint8_t changed[sizeof(message)];

    make_parsed(key, good[_i].scheme, TPM2_ALG_SHA256, RSA_PSS_SALTLEN_DIGEST,
                &signature);
    memcpy(changed, message, sizeof(message));
    for (size_t i = 0; i < sizeof(message); i++) {
        changed[i] ^= 1;
        ck_assert_int_eq(
            atls_signature_verify(&signature, key,
                                  (struct atls_span){changed, sizeof(changed)},
                                  NULL),
            ATLS_E_SIGNATURE);
        changed[i] ^= 1;
    }
    for (size_t i = 0; i < signature.len; i++) {
        signature.octets[i] ^= 1;
        ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                         ATLS_E_SIGNATURE);
        signature.octets[i] ^= 1;
    }
    signature.hash = TPM2_ALG_SHA384;
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                     ATLS_E_SIGNATURE);
    EVP_PKEY_free(key);
}
END_TEST

/* A PKCS #1 signature is no PSS signature, and the reverse. */
START_TEST(test_E13_rsa_scheme_relabelled)
{
    EVP_PKEY *key = make_key(0);
    struct atls_signature signature;

    for (size_t i = 0; i < 2; i++) {
        make_parsed(key, schemes[i], TPM2_ALG_SHA256, RSA_PSS_SALTLEN_DIGEST,
                    &signature);
        signature.scheme = schemes[1 - i];
        ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                         ATLS_E_SIGNATURE);
    }
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(test_error_queue_stays_as_found)
{
    EVP_PKEY *key = make_key(good[_i].key);
    struct atls_signature signature;

    make_parsed(key, good[_i].scheme, TPM2_ALG_SHA256, RSA_PSS_SALTLEN_DIGEST,
                &signature);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                     ATLS_OK);
    signature.octets[signature.len - 1] ^= 1;
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                     ATLS_E_SIGNATURE);
    signature.octets[0] ^= 1;
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                     ATLS_E_SIGNATURE);
    ck_assert_int_eq(ERR_GET_REASON(ERR_get_error()), 42);
    ck_assert_uint_eq(ERR_get_error(), 0);
    EVP_PKEY_free(key);
}
END_TEST

/* Without memory nothing is verified. OpenSSL does not tell why it could not,
 * so the reason may be the wrong one. */
START_TEST(test_R3_every_allocation_fails)
{
    EVP_PKEY *key = make_key(good[_i].key);
    struct atls_signature signature;
    enum atls_error r;
    size_t n = 0;

    make_parsed(key, good[_i].scheme, TPM2_ALG_SHA256, RSA_PSS_SALTLEN_DIGEST,
                &signature);
    ck_assert_int_eq(atls_signature_verify(&signature, key, attest, NULL),
                     ATLS_OK);
    do {
        allocation_fail_at(++n);
        r = atls_signature_verify(&signature, key, attest, NULL);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_CRYPTO || r == ATLS_E_SIGNATURE
                  || r == ATLS_E_SIGNATURE_ALG);
        ck_assert_uint_lt(n, 1000);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 3);
    EVP_PKEY_free(key);
}
END_TEST

/* --- parsing --------------------------------------------------------------- */

/* 0018 000b 0020 r.. 0020 s.. */
static void make_ecdsa_octets(struct octets *ret)
{
    EVP_PKEY *key = make_key(P256);
    TPMT_SIGNATURE signature;

    make_signature(key, TPM2_ALG_ECDSA, TPM2_ALG_SHA256, 0, &signature);
    marshal(&signature, ret);
    EVP_PKEY_free(key);
}

static void make_rsa_octets(struct octets *ret)
{
    TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_RSASSA};

    signature.signature.rsassa.hash = TPM2_ALG_SHA256;
    signature.signature.rsassa.sig.size = 256;
    marshal(&signature, ret);
}

static const struct {
    const char *hex;
    enum atls_error r;
    const char *text;
} signatures[] = {
    {"0018000b0001010001aa", ATLS_OK, ""},
    {"0018000b00000000", ATLS_OK, ""},
    {"0014000b0000", ATLS_OK, ""},
    {"0016000d000101", ATLS_OK, ""},
    {"0010", ATLS_E_SIGNATURE_ALG, "signs with scheme 0x0010, expected RSASSA"},
    {"0005000b", ATLS_E_SIGNATURE_ALG, "signs with scheme 0x0005"},
    {"001a000b", ATLS_E_SIGNATURE_ALG, "signs with scheme 0x001a"},
    {"001b000b", ATLS_E_SIGNATURE_ALG, "signs with scheme 0x001b"},
    {"001c000b", ATLS_E_SIGNATURE_ALG, "signs with scheme 0x001c"},
    {"ffff000b", ATLS_E_SIGNATURE_ALG, "signs with scheme 0xffff"},
    {"001400040000", ATLS_E_SIGNATURE_ALG,
     "signs with hash 0x0004, expected SHA-256, SHA-384 or SHA-512"},
    {"001600040000", ATLS_E_SIGNATURE_ALG, "signs with hash 0x0004"},
    {"0018000400000000", ATLS_E_SIGNATURE_ALG, "signs with hash 0x0004"},
    {"001800100000", ATLS_E_SIGNATURE_ALG, "signs with hash 0x0010"},
    {"001800120000", ATLS_E_SIGNATURE_ALG, "signs with hash 0x0012"},
    {"0018000b0043", ATLS_E_MALFORMED,
     "TPMT_SIGNATURE: signatureR has 67 octets, at most 66 are possible"},
    {"0018000b0001010043", ATLS_E_MALFORMED,
     "TPMT_SIGNATURE: signatureS has 67 octets, at most 66 are possible"},
    {"0018000bffff", ATLS_E_MALFORMED, "signatureR has 65535 octets"},
    {"0014000b0201", ATLS_E_MALFORMED,
     "the RSA signature has 513 octets, at most 512 are possible"},
    {"0018000b000101000101ff", ATLS_E_TRAILING,
     "1 octets after the end of TPMT_SIGNATURE"},
    {"0014000b000101ff", ATLS_E_TRAILING,
     "1 octets after the end of TPMT_SIGNATURE"},
};

START_TEST(test_E12_signatures)
{
    struct atls_reason why = {0};
    struct atls_signature signature = {.len = 599};
    struct octets octets;
    enum atls_error r;

    ck_assert(atls_unhex(signatures[_i].hex, octets.data, sizeof(octets.data),
                         &octets.len));
    r = parse(&octets, octets.len, &why, &signature);
    ck_assert_msg(r == signatures[_i].r, "%s: %s", atls_error_name(r),
                  why.text);
    ck_assert_msg(strstr(why.text, signatures[_i].text) != NULL, "%s",
                  why.text);
    ck_assert(r == ATLS_OK || signature.len == 599);
    ck_assert_int_eq(parse(&octets, octets.len, NULL, &signature), r);
}
END_TEST

START_TEST(test_E12_cut_at_every_octet)
{
    struct octets octets;

    if (_i == 0)
        make_ecdsa_octets(&octets);
    else
        make_rsa_octets(&octets);
    for (size_t cut = 0; cut < octets.len; cut++) {
        struct atls_reason why = {0};
        struct atls_signature signature;

        ck_assert_int_eq(parse(&octets, cut, &why, &signature),
                         ATLS_E_TRUNCATED);
        ck_assert_ptr_nonnull(strstr(why.text, "TPMT_SIGNATURE ends at octet"));
    }
}
END_TEST

START_TEST(test_E12_every_bit_flipped)
{
    EVP_PKEY *key = make_key(P256);
    struct octets octets;

    make_ecdsa_octets(&octets);
    for (size_t bit = 0; bit < 8 * octets.len; bit++) {
        struct atls_signature signature;

        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (parse(&octets, octets.len, NULL, &signature) == ATLS_OK)
            ck_assert_int_ne(
                atls_signature_verify(&signature, key, attest, NULL), ATLS_OK);
        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    EVP_PKEY_free(key);
}
END_TEST

/* TPMs pad r and s to the curve's size, or leave leading zeros out. */
START_TEST(test_ecdsa_parameters_with_leading_zeros)
{
    EVP_PKEY *key = make_key(P256);
    TPMT_SIGNATURE signature;
    TPM2B_ECC_PARAMETER *r = &signature.signature.ecdsa.signatureR;
    struct atls_signature parsed;
    struct octets octets;

    make_signature(key, TPM2_ALG_ECDSA, TPM2_ALG_SHA256, 0, &signature);
    memmove(r->buffer + 66 - r->size, r->buffer, r->size);
    memset(r->buffer, 0, 66u - r->size);
    r->size = 66;
    marshal(&signature, &octets);
    ck_assert_int_eq(parse(&octets, octets.len, NULL, &parsed), ATLS_OK);
    ck_assert_int_eq(atls_signature_verify(&parsed, key, attest, NULL),
                     ATLS_OK);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(test_R3_parsing_without_memory)
{
    struct octets octets;
    struct atls_signature signature;
    enum atls_error r;
    size_t n = 0;

    make_ecdsa_octets(&octets);
    do {
        allocation_fail_at(++n);
        r = atls_signature_parse((struct atls_span){octets.data, octets.len},
                                 NULL, &signature);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_CRYPTO);
        ck_assert_uint_lt(n, 100);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 5);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E13_every_key_with_every_scheme, 0, COUNT(keys)),
    ONCE(test_pss_salts),
    LOOP(test_E1_what_another_key_signed, 0, COUNT(good)),
    LOOP(test_E12_changed_quote_signature_or_hash, 0, COUNT(good)),
    ONCE(test_E13_rsa_scheme_relabelled),
    LOOP(test_error_queue_stays_as_found, 0, COUNT(good)),
    LOOP(test_R3_every_allocation_fails, 0, COUNT(good)),
    LOOP(test_E12_signatures, 0, COUNT(signatures)),
    LOOP(test_E12_cut_at_every_octet, 0, 2),
    ONCE(test_E12_every_bit_flipped),
    ONCE(test_ecdsa_parameters_with_leading_zeros),
    ONCE(test_R3_parsing_without_memory),
};

SUITE(.name = "signature", .begin = allocation_install,
      .cases = {CASE("signature", tests, 60, NULL, NULL)});
