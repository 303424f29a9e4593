/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/quoted.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>

enum atls_error atls_quoted_check_magic(const struct atls_quote *quote,
                                        struct atls_reason *why)
{
    if (quote->magic != TPM2_GENERATED_VALUE)
        return atls_fail(
            why, ATLS_E_MAGIC,
            "the signed structure was not made by a TPM: expected "
            "magic 0x%08x, found 0x%08x; the AK may be a plain key",
            TPM2_GENERATED_VALUE, quote->magic);
    return ATLS_OK;
}

enum atls_error atls_quoted_check_type(const struct atls_quote *quote,
                                       struct atls_reason *why)
{
    if (quote->type != TPM2_ST_ATTEST_QUOTE)
        return atls_fail(why, ATLS_E_TYPE,
                         "the TPM signed no quote: expected type 0x%04x, found "
                         "0x%04x",
                         TPM2_ST_ATTEST_QUOTE, quote->type);
    return ATLS_OK;
}

enum atls_error atls_quoted_check_digest(const struct atls_quote *quote,
                                         uint16_t hash,
                                         const struct atls_pcr_values *values,
                                         struct atls_reason *why)
{
    uint8_t digest[ATLS_PCR_DIGEST_MAX] = {0};
    size_t len = 0;
    enum atls_error r =
        atls_pcr_digest(hash, &quote->selection, values, digest, &len);

    if (r != ATLS_OK)
        return r;
    if (len != quote->pcr_digest_len
        || memcmp(digest, quote->pcr_digest, len) != 0)
        return atls_fail(why, ATLS_E_PCR_DIGEST,
                         "the PCR values in the evidence are not those that "
                         "the TPM quoted");
    return ATLS_OK;
}
