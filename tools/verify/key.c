/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "attester/tpm_public.h"
#include "base/digest.h"
#include "base/pem.h"
#include "tools/common/input.h"
#include "tools/verify/quote_parts.h"

/* Octets of a file with one public key. */
#define KEY_FILE_MAX (16u * 1024u)

/* The identifier octet of a DER SEQUENCE; a TPM's structures begin with zero. */
#define DER_SEQUENCE 0x30

static enum atls_error no_key(const char *path, struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_CONFIG,
                     "%s is no public key: expected PEM or DER "
                     "(SubjectPublicKeyInfo), TPM2B_PUBLIC or TPMT_PUBLIC",
                     path);
}

static enum atls_error from_pem(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                EVP_PKEY **ret_key)
{
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    EVP_PKEY *key = NULL;

    if (bio != NULL)
        key = PEM_read_bio_PUBKEY_ex(bio, NULL, atls_pem_no_password, NULL,
                                     atls_libctx(), NULL);
    BIO_free(bio);
    if (key == NULL && strstr((const char *)data, PEM_STRING_X509 "-") != NULL)
        return atls_fail(why, ATLS_E_USAGE,
                         "%s is a certificate, not a public key: use "
                         "--ak-chain and --trust",
                         path);
    if (key == NULL)
        return no_key(path, why);
    *ret_key = key;
    return ATLS_OK;
}

static enum atls_error from_der(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                EVP_PKEY **ret_key)
{
    const unsigned char *end = data;
    EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &end, (long)len, atls_libctx(), NULL);

    if (key == NULL || end != data + len) {
        EVP_PKEY_free(key);
        return no_key(path, why);
    }
    *ret_key = key;
    return ATLS_OK;
}

/* A TPM2B_PUBLIC is a TPMT_PUBLIC behind its length (Part 2, TPM2B_PUBLIC). A
 * length cannot be taken for the key's type: that would be a public area of 1
 * (RSA) or 35 (ECC) octets, shorter than any. */
static enum atls_error parse_public(const uint8_t *data, size_t len,
                                    TPMT_PUBLIC *ret)
{
    size_t offset = 0;

    if (len > 2 && (size_t)(data[0] << 8 | data[1]) == len - 2) {
        data += 2;
        len -= 2;
    }
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(data, len, &offset, ret)
            != TSS2_RC_SUCCESS
        || offset != len)
        return ATLS_E_MALFORMED;
    return ATLS_OK;
}

static enum atls_error from_tpm(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                EVP_PKEY **ret_key)
{
    TPMT_PUBLIC public = {0};
    const char *flaw;
    uint8_t *der = NULL;
    size_t der_len = 0;
    enum atls_error r;

    if (parse_public(data, len, &public) != ATLS_OK)
        return no_key(path, why);
    flaw = atls_tpm_public_ak_flaw(&public);
    if (flaw != NULL)
        return atls_fail(why, ATLS_E_AK_ATTRIBUTES,
                         "%s: the key %s: what it signs need not be a quote; "
                         "make an AK with tpm2_createak, see attest(7)",
                         path, flaw);
    r = atls_tpm_public_to_spki(&public, why, &der, &der_len);
    if (r == ATLS_E_AK)
        return no_key(path, why);
    if (r != ATLS_OK)
        return r;
    r = from_der(der, der_len, path, why, ret_key);
    OPENSSL_free(der);
    return r;
}

enum atls_error tool_quote_key_read(const char *path, struct atls_reason *why,
                                    EVP_PKEY **ret_key)
{
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r = tool_input_read(path, KEY_FILE_MAX, why, &data, &len);

    if (r == ATLS_E_LIMIT)
        return no_key(path, why);
    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    if (strstr((const char *)data, "-----BEGIN ") != NULL)
        r = from_pem(data, len, path, why, ret_key);
    else if (data[0] == DER_SEQUENCE)
        r = from_der(data, len, path, why, ret_key);
    else
        r = from_tpm(data, len, path, why, ret_key);
    ERR_pop_to_mark();
    OPENSSL_free(data);
    return r;
}
