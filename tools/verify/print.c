/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/verify/print.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"

/* Any program on the machine can reset these: TCG PC Client Platform TPM
 * Profile, "PCR Attributes". */
#define RESETTABLE (UINT32_C(1) << 16 | UINT32_C(1) << 23)

#define HEX_MAX (2 * ATLS_PCR_DIGEST_MAX + 1)

/* What the report says of the AK. */
struct ak_words {
    char kind[64];
    char sha256[2 * ATLS_SHA256_LEN + 1]; /* of its SubjectPublicKeyInfo, as
                                             `machines` takes it */
};

static void describe_ak(const EVP_PKEY *key, struct ak_words *ret)
{
    uint8_t digest[ATLS_SHA256_LEN];
    unsigned char *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    char curve[32] = "";

    if (EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL))
        (void)snprintf(ret->kind, sizeof(ret->kind), "EC %s", curve);
    else
        (void)snprintf(ret->kind, sizeof(ret->kind), "RSA %d",
                       EVP_PKEY_get_bits(key));
    strcpy(ret->sha256, "?");
    if (len > 0 && atls_sha256(der, (size_t)len, digest) == ATLS_OK)
        atls_hex(digest, sizeof(digest), ret->sha256);
    OPENSSL_free(der);
}

static const char *scheme_name(uint16_t scheme)
{
    switch (scheme) {
    case TPM2_ALG_RSASSA:
        return "rsassa";
    case TPM2_ALG_RSAPSS:
        return "rsapss";
    default:
        return "ecdsa";
    }
}

/* Why a quoted value proves less than it seems; NULL if it does not. */
static const char *remark(uint16_t alg, unsigned pcr)
{
    if (alg == TPM2_ALG_SHA1)
        return "SHA-1: does not count";
    if ((RESETTABLE >> pcr & 1) != 0)
        return "any program can reset it";
    return NULL;
}

/* ---- JSON ---- */

static json_t *values_json(const struct atls_pcr_values *values)
{
    json_t *banks = json_object();

    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);
        json_t *pcrs = json_object();

        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            char index[4];
            char hex[HEX_MAX];

            if ((values->banks[i].mask >> pcr & 1) == 0)
                continue;
            (void)snprintf(index, sizeof(index), "%u", pcr);
            atls_hex(values->banks[i].value[pcr], hash->len, hex);
            (void)json_object_set_new(pcrs, index, json_string(hex));
        }
        (void)json_object_set_new(banks, hash->name, pcrs);
    }
    return banks;
}

static json_t *selection_json(const struct atls_pcr_selection *selection)
{
    json_t *banks = json_object();

    for (size_t i = 0; i < selection->count; i++) {
        json_t *pcrs = json_array();

        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if ((selection->banks[i].mask >> pcr & 1) != 0)
                (void)json_array_append_new(pcrs, json_integer((int)pcr));
        }
        (void)json_object_set_new(
            banks, atls_hash_by_alg(selection->banks[i].alg)->name, pcrs);
    }
    return banks;
}

/* Of the logs that were given; NULL: none. */
static json_t *accounted_json(const struct quote_accounted *accounted)
{
    json_t *object = NULL;

    if (accounted->pcrs.count == 0 && !accounted->has_ima)
        return NULL;
    object = json_pack("{s:o}", "pcrs", selection_json(&accounted->pcrs));
    if (accounted->has_ima)
        (void)json_object_set_new(
            object, "ima",
            json_pack("{s:I, s:I}", "entries", (json_int_t)accounted->ima_count,
                      "quoted", (json_int_t)accounted->ima_matched));
    return object;
}

static json_t *result_json(const struct quote_result *result)
{
    const struct atls_quote *quote = &result->quote;
    char extra_data[2 * sizeof(quote->extra_data) + 1];
    char firmware[17];
    struct ak_words ak;

    describe_ak(result->key, &ak);
    atls_hex(quote->extra_data, quote->extra_data_len, extra_data);
    (void)snprintf(firmware, sizeof(firmware), "%016" PRIx64,
                   quote->firmware_version);
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s*}, s:{s:s, s:s}, s:s, s:{s:I, s:I, s:I, s:b, "
        "s:s}, s:o, s:o, s:o*}",
        "verdict", "trusted", "ak", "key", ak.kind, "sha256", ak.sha256,
        "machine", result->machine[0] != '\0' ? result->machine : NULL,
        "signature", "scheme", scheme_name(result->scheme), "hash",
        atls_hash_by_alg(result->hash)->name, "extra_data", extra_data, "tpm",
        "clock", (json_int_t)quote->clock, "reset_count",
        (json_int_t)quote->reset_count, "restart_count",
        (json_int_t)quote->restart_count, "safe", (int)quote->safe,
        "firmware_version", firmware, "pcrs", values_json(&result->values),
        "ignored", selection_json(&result->ignored), "logs",
        accounted_json(&result->accounted));
}

/* ---- for people ---- */

static void print_values(const struct atls_pcr_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);

        printf("PCRs quoted, bank %s\n", hash->name);
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            const char *text = remark(hash->alg, pcr);
            char hex[HEX_MAX];

            if ((values->banks[i].mask >> pcr & 1) == 0)
                continue;
            atls_hex(values->banks[i].value[pcr], hash->len, hex);
            printf("  %2u  %s%s%s\n", pcr, hex, text != NULL ? "  " : "",
                   text != NULL ? text : "");
        }
    }
}

static void print_selection(const char *words,
                            const struct atls_pcr_selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        printf("%s: bank %s, PCRs", words,
               atls_hash_by_alg(selection->banks[i].alg)->name);
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if ((selection->banks[i].mask >> pcr & 1) != 0)
                printf(" %u", pcr);
        }
        putchar('\n');
    }
}

static void print_accounted(const struct quote_accounted *accounted)
{
    print_selection("The logs replay to", &accounted->pcrs);
    if (accounted->has_ima)
        printf("The IMA log replays to PCR 10 with %zu of its %zu entries\n",
               accounted->ima_matched, accounted->ima_count);
}

static void print_result(const struct quote_result *result)
{
    const struct atls_quote *quote = &result->quote;
    char extra_data[2 * sizeof(quote->extra_data) + 1];
    struct ak_words ak;

    describe_ak(result->key, &ak);
    atls_hex(quote->extra_data, quote->extra_data_len, extra_data);
    printf("attest: the quote is trusted; PCR values are as quoted, no policy "
           "judged them\n");
    printf("  AK               %s, sha256:%s\n", ak.kind, ak.sha256);
    if (result->machine[0] != '\0')
        printf("  machine          %s\n", result->machine);
    printf("  signature        %s, %s\n", scheme_name(result->scheme),
           atls_hash_by_alg(result->hash)->name);
    printf("  qualifying data  %s\n",
           extra_data[0] != '\0' ? extra_data : "none");
    printf("  TPM              clock %" PRIu64 " s, resets %" PRIu32
           ", restarts %" PRIu32 "%s, firmware %016" PRIx64 "\n",
           quote->clock / 1000, quote->reset_count, quote->restart_count,
           quote->safe ? "" : " (clock not safe)", quote->firmware_version);
    print_values(&result->values);
    print_selection("Ignored, for the quote does not cover them",
                    &result->ignored);
    print_accounted(&result->accounted);
}

int tool_quote_result_print(const struct tool_options *options,
                            const struct quote_result *result)
{
    if (options->json)
        return tool_print_json(options, result_json(result));
    print_result(result);
    return tool_finish_output(options);
}
