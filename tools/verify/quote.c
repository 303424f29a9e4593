/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "tools/verify/quote_parts.h"
#include "verifier/pcrs.h"
#include "verifier/quoted.h"

/* The identifier octet of a DER SEQUENCE; a TPMT_SIGNATURE begins with zero. */
#define DER_SEQUENCE 0x30

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8
           | at[3];
}

/* A TPM returns the structure behind its length; tpm2-tools write it bare. A
 * bare structure always begins with TPM_GENERATED_VALUE, a length never does
 * (Part 2, TPM2B_ATTEST). */
static struct atls_span without_length(struct atls_span quote)
{
    const uint8_t *data = quote.data;

    if (quote.len >= 6 && (size_t)(data[0] << 8 | data[1]) == quote.len - 2
        && read_u32(data) != TPM2_GENERATED_VALUE
        && read_u32(data + 2) == TPM2_GENERATED_VALUE)
        return (struct atls_span){data + 2, quote.len - 2};
    return quote;
}

static enum atls_error find_key(const struct quote_input *input,
                                struct atls_reason *why,
                                struct quote_result *result)
{
    struct atls_trust trust = {0};
    enum atls_error r;

    if (input->chain == NULL) {
        (void)EVP_PKEY_up_ref(input->key);
        result->key = input->key;
        return ATLS_OK;
    }
    r = atls_trust_check(input->section, input->chain->ders,
                         input->chain->count, input->now, why, &trust);
    result->key = trust.key;
    memcpy(result->machine, trust.machine, sizeof(result->machine));
    return r;
}

/* tpm2_quote writes a signature in the key's own form on request. That form
 * lacks scheme and hash, which are not guessed here. */
static bool looks_plain(struct atls_span signature, const EVP_PKEY *key)
{
    const size_t size = (size_t)EVP_PKEY_get_size(key);

    return (EVP_PKEY_is_a(key, "RSA") && signature.len == size)
           || (EVP_PKEY_is_a(key, "EC") && signature.len > 0
               && signature.data[0] == DER_SEQUENCE && signature.len <= size);
}

/* Only for the reason: no content counts before its signature holds. */
static bool begins_as_quote(struct atls_span attest)
{
    return attest.len >= 4 && read_u32(attest.data) == TPM2_GENERATED_VALUE;
}

static enum atls_error check_signature(const struct quote_input *input,
                                       struct atls_span attest,
                                       struct atls_reason *why,
                                       struct quote_result *result)
{
    struct atls_signature signature;
    enum atls_error r = atls_signature_parse(input->signature, why, &signature);

    if (r != ATLS_OK && looks_plain(input->signature, result->key))
        return atls_fail(why, r,
                         "the signature is no TPMT_SIGNATURE but the plain one "
                         "of tpm2_quote -f plain, which lacks scheme and hash; "
                         "quote with -f tss, the default");
    if (r != ATLS_OK) {
        atls_reason_prefix(why, "--signature: ");
        return r;
    }
    result->scheme = signature.scheme;
    result->hash = signature.hash;
    r = atls_signature_verify(&signature, result->key, attest, why);
    if (r == ATLS_E_SIGNATURE && !begins_as_quote(attest))
        return atls_fail(why, r,
                         "the AK's signature over the quote is wrong, and "
                         "--quote is no TPMS_ATTEST: expected ff544347 at its "
                         "start; is it another file?");
    return r;
}

/* For reasons: two of them fit into one. */
#define DATA_SHOWN_MAX 32u
#define DATA_TEXT (2 * DATA_SHOWN_MAX + sizeof("..."))

static void write_data(struct atls_span data, char ret[DATA_TEXT])
{
    if (data.len == 0) {
        strcpy(ret, "none");
        return;
    }
    atls_hex(data.data, data.len < DATA_SHOWN_MAX ? data.len : DATA_SHOWN_MAX,
             ret);
    if (data.len > DATA_SHOWN_MAX)
        strcat(ret, "...");
}

static enum atls_error check_extra_data(const struct atls_quote *quote,
                                        struct atls_span expected,
                                        struct atls_reason *why)
{
    const struct atls_span found = {quote->extra_data, quote->extra_data_len};
    char wanted_text[DATA_TEXT];
    char found_text[DATA_TEXT];

    if (found.len == expected.len
        && (found.len == 0
            || CRYPTO_memcmp(found.data, expected.data, found.len) == 0))
        return ATLS_OK;
    write_data(expected, wanted_text);
    write_data(found, found_text);
    return atls_fail(why, ATLS_E_BINDING,
                     "qualifying data: expected %s (%zu octets), found %s "
                     "(%zu): an old quote, or one for somebody else",
                     wanted_text, expected.len, found_text, found.len);
}

/* No policy says which PCRs must be covered, but a SHA-1 bank is never enough:
 * its values can be forged. */
static enum atls_error check_banks(const struct atls_pcr_selection *selection,
                                   struct atls_reason *why)
{
    if (selection->count == 1 && selection->banks[0].alg == TPM2_ALG_SHA1)
        return atls_fail(why, ATLS_E_SELECTION,
                         "the quote covers bank sha1 alone, which never "
                         "counts; quote PCRs of sha256, sha384 or sha512");
    return ATLS_OK;
}

static enum atls_error check_body(const struct quote_input *input,
                                  struct atls_reason *why,
                                  struct quote_result *result)
{
    const struct atls_quote *quote = &result->quote;
    enum atls_error r = atls_quoted_check_magic(quote, why);

    if (r != ATLS_OK)
        return r;
    r = atls_quoted_check_type(quote, why);
    if (r != ATLS_OK)
        return r;
    r = check_extra_data(quote, input->extra_data, why);
    if (r != ATLS_OK)
        return r;
    r = check_banks(&quote->selection, why);
    if (r != ATLS_OK)
        return r;
    tool_quote_pcrs_part(input->values, &quote->selection, &result->values,
                         &result->ignored);
    r = atls_pcrs_check_quoted(&quote->selection, &result->values, why);
    if (r != ATLS_OK)
        return r;
    return atls_quoted_check_digest(quote, result->hash, &result->values, why);
}

static enum atls_error check(const struct quote_input *input,
                             struct atls_reason *why,
                             struct quote_result *result)
{
    const struct atls_span attest = without_length(input->quote);
    enum atls_error r = find_key(input, why, result);

    if (r != ATLS_OK)
        return r;
    r = check_signature(input, attest, why, result);
    if (r != ATLS_OK)
        return r;
    r = atls_quote_parse(attest, why, &result->quote);
    if (r != ATLS_OK)
        return r;
    return check_body(input, why, result);
}

enum atls_error tool_quote_check(const struct quote_input *input,
                                 struct atls_reason *why,
                                 struct quote_result *ret_result)
{
    struct quote_result result = {0};
    enum atls_error r = check(input, why, &result);

    if (r != ATLS_OK) {
        tool_quote_result_clear(&result);
        return r;
    }
    *ret_result = result;
    return ATLS_OK;
}

void tool_quote_result_clear(struct quote_result *result)
{
    EVP_PKEY_free(result->key);
    result->key = NULL;
}
