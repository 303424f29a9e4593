/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "lib/factory.h"
#include "lib/factory_internal.h"

static const EVP_MD *scheme_hash(const struct factory *f)
{
    switch (f->hash) {
    case TPM2_ALG_SHA1:
        return EVP_sha1();
    case TPM2_ALG_SHA384:
        return EVP_sha384();
    case TPM2_ALG_SHA512:
        return EVP_sha512();
    default:
        return EVP_sha256();
    }
}

/* The raw signature as OpenSSL gives it: for EC keys in DER. */
static size_t raw_signature(const struct factory *f, EVP_PKEY *key, size_t len,
                            uint8_t *ret, size_t max)
{
    const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : scheme_hash(f);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    size_t ret_len = max;

    factory_need(ctx != NULL && EVP_DigestSignInit(ctx, &pctx, md, NULL, key));
    if (EVP_PKEY_is_a(key, "RSA") && f->scheme == TPM2_ALG_RSAPSS)
        factory_need(
            EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_MAX) > 0);
    factory_need(EVP_DigestSign(ctx, ret, &ret_len, f->attest, len));
    EVP_MD_CTX_free(ctx);
    return ret_len;
}

static void set_parameter(TPM2B_ECC_PARAMETER *ret, const BIGNUM *number,
                          int len)
{
    ret->size = (UINT16)len;
    factory_need(BN_bn2binpad(number, ret->buffer, len) == len);
}

/* An RSA key has no r and s: the first octets of its signature stand for them. */
static void set_ecdsa(TPMS_SIGNATURE_ECDSA *ret, const EVP_PKEY *key,
                      const uint8_t *raw, size_t raw_len)
{
    int len = (EVP_PKEY_get_bits(key) + 7) / 8;
    ECDSA_SIG *sig = NULL;

    if (!EVP_PKEY_is_a(key, "EC")) {
        ret->signatureR.size = ret->signatureS.size = ATLS_SHA256_LEN;
        memcpy(ret->signatureR.buffer, raw, ATLS_SHA256_LEN);
        memcpy(ret->signatureS.buffer, raw + ATLS_SHA256_LEN, ATLS_SHA256_LEN);
        return;
    }
    sig = d2i_ECDSA_SIG(NULL, &raw, (long)raw_len);
    factory_need(sig != NULL);
    set_parameter(&ret->signatureR, ECDSA_SIG_get0_r(sig), len);
    set_parameter(&ret->signatureS, ECDSA_SIG_get0_s(sig), len);
    ECDSA_SIG_free(sig);
}

static void set_rsa(TPM2B_PUBLIC_KEY_RSA *ret, const uint8_t *raw,
                    size_t raw_len)
{
    ret->size = (UINT16)raw_len;
    memcpy(ret->buffer, raw, raw_len);
}

void factory_sign(struct factory *f, size_t len)
{
    EVP_PKEY *key = f->signer != NULL ? f->signer : f->ak.key;
    TPMT_SIGNATURE signature = {.sigAlg = f->scheme};
    uint8_t raw[ATLS_SIGNATURE_MAX];
    size_t raw_len = raw_signature(f, key, len, raw, sizeof(raw));
    size_t offset = 0;

    if (signature.sigAlg == 0)
        signature.sigAlg =
            EVP_PKEY_is_a(key, "RSA") ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA;
    signature.signature.any.hashAlg = f->hash;
    if (signature.sigAlg == TPM2_ALG_ECDSA)
        set_ecdsa(&signature.signature.ecdsa, key, raw, raw_len);
    else
        set_rsa(&signature.signature.rsassa.sig, raw, raw_len);
    factory_need(Tss2_MU_TPMT_SIGNATURE_Marshal(&signature, f->signature,
                                                sizeof(f->signature), &offset)
                 == TSS2_RC_SUCCESS);
    f->evidence.quote = (struct atls_span){f->attest, len};
    f->evidence.signature = (struct atls_span){f->signature, offset};
}
