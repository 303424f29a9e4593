/* SPDX-License-Identifier: BSD-2-Clause */
/* Quotes of Azure's and Google's machines, as published in other projects' test
 * suites, in ../shared/vectors; skipped where that folder is missing. */
#include <check.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/digest.h"
#include "evidence/pcr.h"
#include "evidence/quote.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct atls_span span_of(const struct vector *vector)
{
    return (struct atls_span){vector->data, vector->len};
}

static const char *const real_names[] = {
    "azure-cvm-2025-12-ca03",
    "azure-snp-challenge",
    "azure-tl-2023-07-aicert-wrong-chain",
    "azure-tl-2023-11-blindllama",
    "gce-cos85-nonce9009-sha256",
};

static char *real_path(const char *name, const char *file)
{
    static char path[1024];
    const char *srcdir = getenv("srcdir");

    snprintf(path, sizeof(path), "%s/../shared/vectors/%s/%s",
             srcdir != NULL ? srcdir : ".", name, file);
    return path;
}

static void read_real(const char *name, const char *file, struct vector *ret)
{
    uint8_t *data = vector_file(real_path(name, file), &ret->len);

    ck_assert_msg(data != NULL, "cannot read %s", real_path(name, file));
    ck_assert_uint_lt(ret->len, sizeof(ret->data));
    memcpy(ret->data, data, ret->len);
    ret->data[ret->len] = '\0';
    free(data);
}

/* "7": "<hex>" of pcrs.json. */
static void read_real_pcrs(const char *name, struct atls_pcr_values *values)
{
    struct vector json;

    read_real(name, "pcrs.json", &json);
    memset(values, 0, sizeof(*values));
    values->count = 1;
    values->banks[0].alg = TPM2_ALG_SHA256;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        char key[16];
        char hex[65] = "";
        const char *found;
        size_t len;

        snprintf(key, sizeof(key), "\"%u\": \"", pcr);
        found = strstr((const char *)json.data, key);
        if (found == NULL)
            continue;
        memcpy(hex, found + strlen(key), 64);
        ck_assert(atls_unhex(hex, values->banks[0].value[pcr], 32, &len));
        values->banks[0].mask |= 1u << pcr;
    }
}

static EVP_PKEY *read_real_key(const char *name)
{
    FILE *file = fopen(real_path(name, "ak_pub.pem"), "r");
    EVP_PKEY *key;

    ck_assert_ptr_nonnull(file);
    key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    fclose(file);
    ck_assert_ptr_nonnull(key);
    return key;
}

START_TEST(test_real_quotes_verify)
{
    const char *name = real_names[_i];
    EVP_PKEY *key = read_real_key(name);
    struct atls_pcr_values values;
    struct atls_signature signature;
    struct atls_quote quote;
    struct atls_reason why = {0};
    struct vector attest;
    struct vector octets;
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    size_t len;

    read_real(name, "quote.msg", &attest);
    ck_assert_msg(atls_quote_parse(span_of(&attest), &why, &quote) == ATLS_OK,
                  "%s", why.text);
    ck_assert_uint_eq(quote.magic, TPM2_GENERATED_VALUE);
    ck_assert_uint_eq(quote.type, TPM2_ST_ATTEST_QUOTE);
    read_real(name, "quote.sig", &octets);
    ck_assert_int_eq(atls_signature_parse(span_of(&octets), NULL, &signature),
                     ATLS_OK);
    ck_assert_int_eq(
        atls_signature_verify(&signature, key, span_of(&attest), &why),
        ATLS_OK);
    read_real_pcrs(name, &values);
    ck_assert_int_eq(atls_pcr_digest(signature.hash, &quote.selection, &values,
                                     digest, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, quote.pcr_digest_len);
    ck_assert_mem_eq(digest, quote.pcr_digest, len);
    attest.data[attest.len - 1] ^= 1;
    ck_assert_int_eq(
        atls_signature_verify(&signature, key, span_of(&attest), &why),
        ATLS_E_SIGNATURE);
    EVP_PKEY_free(key);
}
END_TEST

static const char *skip(void)
{
    if (access(real_path(real_names[0], "quote.msg"), R_OK) != 0)
        return "no ../shared/vectors";
    return NULL;
}

static const struct suite_test tests[] = {
    LOOP(test_real_quotes_verify, 0, COUNT(real_names)),
};

SUITE(.name = "real_quotes", .skip = skip,
      .cases = {CASE("real_quotes", tests, 0, NULL, NULL)});
