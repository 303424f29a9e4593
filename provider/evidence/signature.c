/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "base/digest.h"
#include "evidence/tpm_reader.h"
#include "evidence/quote.h"

/* More than the longest signature that atls_signature_parse() lets through. */
#define MARSHALLED_MAX 600

/* Octets of r and s on the largest curve, P-521. */
#define ECC_PARAMETER_MAX 66

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096

static enum atls_error read_rsa(struct atls_tpm_reader *c,
                                TPM2B_PUBLIC_KEY_RSA *ret,
                                struct atls_signature *signature)
{
    static const char field[] = "the RSA signature";
    enum atls_error r =
        atls_tpm_reader_need_sized(c, sizeof(ret->buffer), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPM2B_PUBLIC_KEY_RSA_Unmarshal(c->in.data, c->in.len,
                                                &c->offset, ret);
    r = atls_tpm_reader_check(c, rc, field);
    if (r != ATLS_OK)
        return r;
    signature->len = ret->size;
    memcpy(signature->octets, ret->buffer, ret->size);
    return ATLS_OK;
}

static enum atls_error read_ecc_parameter(struct atls_tpm_reader *c,
                                          const char *field,
                                          TPM2B_ECC_PARAMETER *ret)
{
    enum atls_error r = atls_tpm_reader_need_sized(c, ECC_PARAMETER_MAX, field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPM2B_ECC_PARAMETER_Unmarshal(c->in.data, c->in.len,
                                               &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

/* r and s to the DER that OpenSSL verifies. Returns 1 on success. */
static int ecdsa_to_der(const TPMS_SIGNATURE_ECDSA *ecdsa,
                        struct atls_signature *signature)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r =
        BN_bin2bn(ecdsa->signatureR.buffer, ecdsa->signatureR.size, NULL);
    BIGNUM *s =
        BN_bin2bn(ecdsa->signatureS.buffer, ecdsa->signatureS.size, NULL);
    uint8_t *out = signature->octets;
    int len = 0;

    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s)) {
        r = NULL; /* transferred */
        s = NULL;
        len = i2d_ECDSA_SIG(sig, &out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    if (len <= 0)
        return 0;
    signature->len = (size_t)len;
    return 1;
}

static enum atls_error read_ecdsa(struct atls_tpm_reader *c,
                                  TPMS_SIGNATURE_ECDSA *ret,
                                  struct atls_signature *signature)
{
    enum atls_error r = read_ecc_parameter(c, "signatureR", &ret->signatureR);
    int is_converted;

    if (r != ATLS_OK)
        return r;
    r = read_ecc_parameter(c, "signatureS", &ret->signatureS);
    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    is_converted = ecdsa_to_der(ret, signature);
    ERR_pop_to_mark();
    if (!is_converted)
        return atls_fail(c->why, ATLS_E_CRYPTO, NULL);
    return ATLS_OK;
}

static enum atls_error read_hash(struct atls_tpm_reader *c, uint16_t *ret_hash)
{
    enum atls_error r = atls_tpm_reader_u16(c, "the hash algorithm", ret_hash);

    if (r != ATLS_OK)
        return r;
    if (*ret_hash != TPM2_ALG_SHA256 && *ret_hash != TPM2_ALG_SHA384
        && *ret_hash != TPM2_ALG_SHA512)
        return atls_fail(c->why, ATLS_E_SIGNATURE_ALG,
                         "the AK signs with hash 0x%04x, expected SHA-256, "
                         "SHA-384 or SHA-512",
                         *ret_hash);
    return ATLS_OK;
}

/* Scheme, hash and the scheme's own fields (Part 2, TPMT_SIGNATURE). */
static enum atls_error read_signature(struct atls_tpm_reader *c,
                                      TPMT_SIGNATURE *ret,
                                      struct atls_signature *signature)
{
    enum atls_error r = atls_tpm_reader_u16(c, "the scheme", &ret->sigAlg);

    if (r != ATLS_OK)
        return r;
    switch (ret->sigAlg) {
    case TPM2_ALG_RSASSA:
        r = read_hash(c, &ret->signature.rsassa.hash);
        if (r != ATLS_OK)
            return r;
        return read_rsa(c, &ret->signature.rsassa.sig, signature);
    case TPM2_ALG_RSAPSS:
        r = read_hash(c, &ret->signature.rsapss.hash);
        if (r != ATLS_OK)
            return r;
        return read_rsa(c, &ret->signature.rsapss.sig, signature);
    case TPM2_ALG_ECDSA:
        r = read_hash(c, &ret->signature.ecdsa.hash);
        if (r != ATLS_OK)
            return r;
        return read_ecdsa(c, &ret->signature.ecdsa, signature);
    default:
        return atls_fail(c->why, ATLS_E_SIGNATURE_ALG,
                         "the AK signs with scheme 0x%04x, expected RSASSA, "
                         "RSAPSS or ECDSA",
                         ret->sigAlg);
    }
}

enum atls_error atls_signature_parse(struct atls_span signature,
                                     struct atls_reason *why,
                                     struct atls_signature *ret_signature)
{
    struct atls_tpm_reader c = {
        .structure = "TPMT_SIGNATURE", .in = signature, .why = why};
    struct atls_signature found = {0};
    TPMT_SIGNATURE parsed = {0};
    uint8_t again[MARSHALLED_MAX];
    size_t again_len = 0;
    enum atls_error r = read_signature(&c, &parsed, &found);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPMT_SIGNATURE_Marshal(&parsed, again, sizeof(again),
                                        &again_len);
    r = atls_tpm_reader_finish(&c, rc, again, again_len);
    if (r != ATLS_OK)
        return r;
    found.scheme = parsed.sigAlg;
    found.hash = parsed.signature.any.hashAlg;
    *ret_signature = found;
    return ATLS_OK;
}

static enum atls_error check_rsa_key(const EVP_PKEY *key,
                                     struct atls_reason *why)
{
    const int bits = EVP_PKEY_get_bits(key);

    if (!EVP_PKEY_is_a(key, "RSA"))
        return atls_fail(why, ATLS_E_SIGNATURE_ALG,
                         "the quote has an RSA signature, but the AK is no "
                         "RSA key");
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return atls_fail(why, ATLS_E_SIGNATURE_ALG,
                         "the AK is an RSA key of %d bits, expected %d to %d",
                         bits, RSA_BITS_MIN, RSA_BITS_MAX);
    return ATLS_OK;
}

static enum atls_error check_ec_key(const EVP_PKEY *key,
                                    struct atls_reason *why)
{
    char curve[64] = "";

    if (!EVP_PKEY_is_a(key, "EC"))
        return atls_fail(why, ATLS_E_SIGNATURE_ALG,
                         "the quote has an ECDSA signature, but the AK is no "
                         "EC key");
    /* Left empty for curves given by their parameters. */
    (void)EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL);
    if (strcmp(curve, SN_X9_62_prime256v1) != 0
        && strcmp(curve, SN_secp384r1) != 0 && strcmp(curve, SN_secp521r1) != 0)
        return atls_fail(why, ATLS_E_SIGNATURE_ALG,
                         "the AK is on curve '%s', expected P-256, P-384 or "
                         "P-521",
                         curve);
    return ATLS_OK;
}

/* Returns OpenSSL's answer: 1 verified, else not; or -2 when it could not even
 * be tried. */
static int verify(const struct atls_signature *signature, EVP_PKEY *key,
                  struct atls_span attest)
{
    const char *md = atls_hash_by_alg(signature->hash)->ossl;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL; /* ctx's */
    int ret = -2;

    /* With a NULL library context the program's own would be used. */
    if (ctx == NULL || atls_libctx() == NULL
        || !EVP_DigestVerifyInit_ex(ctx, &pctx, md, atls_libctx(), NULL, key,
                                    NULL))
        goto out;
    if (signature->scheme == TPM2_ALG_RSAPSS
        && (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) <= 0
            || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_AUTO)
                   <= 0))
        goto out;
    ret = EVP_DigestVerify(ctx, signature->octets, signature->len, attest.data,
                           attest.len)
          == 1;
out:
    EVP_MD_CTX_free(ctx);
    return ret;
}

enum atls_error atls_signature_verify(const struct atls_signature *signature,
                                      EVP_PKEY *key, struct atls_span attest,
                                      struct atls_reason *why)
{
    enum atls_error r;
    int verified;

    if (signature->scheme == TPM2_ALG_ECDSA)
        r = check_ec_key(key, why);
    else
        r = check_rsa_key(key, why);
    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    verified = verify(signature, key, attest);
    ERR_pop_to_mark();
    if (verified < 0)
        return atls_fail(why, ATLS_E_CRYPTO, NULL);
    if (verified != 1)
        return atls_fail(why, ATLS_E_SIGNATURE,
                         "the AK's signature over the quote is wrong: the "
                         "quote was changed, or another key signed it");
    return ATLS_OK;
}
