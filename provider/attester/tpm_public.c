/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/tpm_public.h"

#include <openssl/crypto.h>
#include <string.h>

/* X.690 identifier octets. */
#define DER_INTEGER 0x02
#define DER_BIT_STRING 0x03
#define DER_SEQUENCE 0x30

/* RSA-4096 with all its headers, and some room. */
#define SPKI_MAX 640

/* Part 2, TPMS_RSA_PARMS: an exponent of zero means this one. */
#define DEFAULT_EXPONENT 65537u

/* AlgorithmIdentifiers, complete. */
static const uint8_t rsa_algorithm[] = {
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, /* rsaEncryption, NULL */
    0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
};
static const uint8_t p256_algorithm[] = {
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, /* ecPublicKey, */
    0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, /* secp256r1 */
    0xce, 0x3d, 0x03, 0x01, 0x07,
};
static const uint8_t p384_algorithm[] = {
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, /* ecPublicKey, */
    0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, /* secp384r1 */
    0x00, 0x22,
};
static const uint8_t p521_algorithm[] = {
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, /* ecPublicKey, */
    0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, /* secp521r1 */
    0x00, 0x23,
};

static const struct curve {
    TPM2_ECC_CURVE id;
    size_t field_len;
    const uint8_t *algorithm;
    size_t algorithm_len;
} curves[] = {
    {TPM2_ECC_NIST_P256, 32, p256_algorithm, sizeof(p256_algorithm)},
    {TPM2_ECC_NIST_P384, 48, p384_algorithm, sizeof(p384_algorithm)},
    {TPM2_ECC_NIST_P521, 66, p521_algorithm, sizeof(p521_algorithm)},
};

/* DER is written from its end, so that each length is known when it is due. */
struct writer {
    uint8_t octets[SPKI_MAX];
    size_t at; /* first octet written so far */
};

static size_t written(const struct writer *w)
{
    return sizeof(w->octets) - w->at;
}

static void put(struct writer *w, const uint8_t *data, size_t len)
{
    w->at -= len;
    memcpy(w->octets + w->at, data, len);
}

static void put_octet(struct writer *w, uint8_t octet)
{
    put(w, &octet, 1);
}

/* Identifier and length of everything after `end` octets from the end. */
static void put_header(struct writer *w, uint8_t identifier, size_t end)
{
    size_t len = written(w) - end;

    put_octet(w, (uint8_t)len);
    if (len > 0xff)
        put_octet(w, (uint8_t)(len >> 8));
    if (len > 0x7f)
        put_octet(w, len > 0xff ? 0x82 : 0x81);
    put_octet(w, identifier);
}

/* An unsigned number: no leading zeros, but one where the top bit is set. */
static void put_integer(struct writer *w, const uint8_t *number, size_t len)
{
    size_t end = written(w);

    while (len > 1 && number[0] == 0) {
        number++;
        len--;
    }
    put(w, number, len);
    if ((number[0] & 0x80) != 0)
        put_octet(w, 0);
    put_header(w, DER_INTEGER, end);
}

static void put_bit_string_header(struct writer *w)
{
    put_octet(w, 0); /* no unused bits */
    put_header(w, DER_BIT_STRING, 0);
}

static void put_rsa(struct writer *w, const TPMT_PUBLIC *public)
{
    const TPM2B_PUBLIC_KEY_RSA *n = &public->unique.rsa;
    uint32_t e = public->parameters.rsaDetail.exponent;
    uint8_t exponent[4];

    if (e == 0)
        e = DEFAULT_EXPONENT;
    for (size_t i = 0; i < sizeof(exponent); i++)
        exponent[i] = (uint8_t)(e >> (24 - 8 * i));
    put_integer(w, exponent, sizeof(exponent));
    put_integer(w, n->buffer, n->size);
    put_header(w, DER_SEQUENCE, 0);
    put_bit_string_header(w);
    put(w, rsa_algorithm, sizeof(rsa_algorithm));
}

/* TPMs leave out leading zeros of coordinates, SEC 1 does not. */
static void put_coordinate(struct writer *w, const TPM2B_ECC_PARAMETER *number,
                           size_t field_len)
{
    put(w, number->buffer, number->size);
    for (size_t i = number->size; i < field_len; i++)
        put_octet(w, 0);
}

static void put_ecc(struct writer *w, const TPMT_PUBLIC *public,
                    const struct curve *curve)
{
    put_coordinate(w, &public->unique.ecc.y, curve->field_len);
    put_coordinate(w, &public->unique.ecc.x, curve->field_len);
    put_octet(w, 0x04); /* uncompressed, SEC 1 §2.3.3 */
    put_bit_string_header(w);
    put(w, curve->algorithm, curve->algorithm_len);
}

static const struct curve *curve_of(const TPMT_PUBLIC *public)
{
    const TPMS_ECC_POINT *point = &public->unique.ecc;

    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
        if (curves[i].id == public->parameters.eccDetail.curveID
            && point->x.size <= curves[i].field_len
            && point->y.size <= curves[i].field_len)
            return &curves[i];
    }
    return NULL;
}

enum atls_error atls_tpm_public_to_spki(const TPMT_PUBLIC *public,
                                        struct atls_reason *why,
                                        uint8_t **ret_der, size_t *ret_len)
{
    struct writer w = {.at = SPKI_MAX};
    const struct curve *curve = NULL;

    if (public->type == TPM2_ALG_ECC)
        curve = curve_of(public);
    if (curve != NULL)
        put_ecc(&w, public, curve);
    else if (public->type == TPM2_ALG_RSA)
        put_rsa(&w, public);
    else
        return atls_fail(why, ATLS_E_AK,
                         "the AK is neither an RSA key nor one on P-256, "
                         "P-384 or P-521; make another, see attest(7)");
    put_header(&w, DER_SEQUENCE, 0);
    *ret_der = OPENSSL_memdup(w.octets + w.at, written(&w));
    if (*ret_der == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_len = written(&w);
    return ATLS_OK;
}

/* What a key must be, and be for ever, so that its signature means that the TPM
 * made what is signed. No TPM makes a restricted key that signs and decrypts, or
 * one with fixedTPM without fixedParent; what describes one was not written by a
 * TPM (Part 1, "Object Attributes"; Part 2, TPMA_OBJECT). */
const char *atls_tpm_public_ak_flaw(const TPMT_PUBLIC *public)
{
    static const struct {
        TPMA_OBJECT bit;
        const char *flaw;
    } needed[] = {
        {TPMA_OBJECT_SIGN_ENCRYPT, "lacks the attribute sign: it cannot sign"},
        {TPMA_OBJECT_RESTRICTED,
         "lacks the attribute restricted: it signs whatever it is given"},
        {TPMA_OBJECT_FIXEDTPM,
         "lacks the attribute fixedTPM: it can be copied to another TPM"},
        {TPMA_OBJECT_FIXEDPARENT,
         "lacks the attribute fixedParent: it can be copied to another parent"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN,
         "lacks the attribute sensitiveDataOrigin: it was not made in the TPM"},
    };

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if ((public->objectAttributes & needed[i].bit) == 0)
            return needed[i].flaw;
    }
    if ((public->objectAttributes & TPMA_OBJECT_DECRYPT) != 0)
        return "has the attribute decrypt: no AK decrypts";
    return NULL;
}
