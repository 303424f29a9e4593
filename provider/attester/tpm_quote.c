/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "attester/tpm.h"
#include "attester/tpm_esys.h"
#include "evidence/quote.h"

/* PCRs that move again and again while we quote. */
#define TRIES_MAX 8

static enum atls_error run_quote(struct atls_tpm *tpm,
                                 const TPML_PCR_SELECTION *selection,
                                 const TPM2B_DATA *qualifying,
                                 struct atls_reason *why,
                                 TPM2B_ATTEST **ret_attest,
                                 TPMT_SIGNATURE **ret_signature)
{
    /* ALG_NULL: the AK's own scheme. */
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_Quote_Async(esys, tpm->ak, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                          ESYS_TR_NONE, qualifying, &scheme, selection);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_Quote_Finish(esys, ret_attest, ret_signature);
    return atls_tpm_end(tpm, "TPM2_Quote", rc, why);
}

static bool signature_to_octets(const TPMT_SIGNATURE *signature,
                                struct atls_tpm_quote *quote)
{
    quote->signature_len = 0;
    return Tss2_MU_TPMT_SIGNATURE_Marshal(signature, quote->signature,
                                          sizeof(quote->signature),
                                          &quote->signature_len)
           == TSS2_RC_SUCCESS;
}

/* Is it signed by the key that was loaded? A TPM that was cleared or swapped
 * may hold another one at the same handle by now. */
static bool is_from_ak(const struct atls_tpm *tpm, const TPM2B_ATTEST *attest)
{
    const TPM2B_NAME *ak = &tpm->ak_qualified_name;
    TPMS_ATTEST content;
    size_t at = 0;

    return Tss2_MU_TPMS_ATTEST_Unmarshal(attest->attestationData, attest->size,
                                         &at, &content)
               == TSS2_RC_SUCCESS
           && content.qualifiedSigner.size == ak->size
           && memcmp(content.qualifiedSigner.name, ak->name, ak->size) == 0;
}

static enum atls_error take_quote(const struct atls_tpm *tpm,
                                  const TPM2B_ATTEST *attest,
                                  const TPMT_SIGNATURE *signature,
                                  struct atls_reason *why,
                                  struct atls_tpm_quote *ret_quote)
{
    if (attest->size > sizeof(ret_quote->attest)
        || !signature_to_octets(signature, ret_quote))
        return atls_fail(why, ATLS_E_TPM,
                         "TPM2_Quote: the response has no usable size");
    if (!is_from_ak(tpm, attest))
        return atls_fail(why, ATLS_E_AK,
                         "the key at AK handle 0x%08x is not the one that was "
                         "loaded: was the TPM cleared?",
                         tpm->ak_handle);
    memcpy(ret_quote->attest, attest->attestationData, attest->size);
    ret_quote->attest_len = attest->size;
    return ATLS_OK;
}

enum atls_error atls_tpm_quote(struct atls_tpm *tpm,
                               const struct atls_pcr_selection *selection,
                               const uint8_t *qualifying, size_t qualifying_len,
                               struct atls_reason *why,
                               struct atls_tpm_quote *ret_quote)
{
    TPM2B_DATA data = {.size = (UINT16)qualifying_len};
    TPMT_SIGNATURE *signature = NULL;
    TPM2B_ATTEST *attest = NULL;
    TPML_PCR_SELECTION list;
    enum atls_error r;

    if (tpm->ak == ESYS_TR_NONE)
        return atls_fail(why, ATLS_E_AK, "no AK is loaded");
    if (qualifying_len > sizeof(data.buffer))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "qualifying data of %zu octets: a TPM takes %zu",
                         qualifying_len, sizeof(data.buffer));
    if (qualifying_len > 0)
        memcpy(data.buffer, qualifying, qualifying_len);
    atls_tpm_selection(selection, &list);
    r = run_quote(tpm, &list, &data, why, &attest, &signature);
    if (r == ATLS_OK)
        r = take_quote(tpm, attest, signature, why, ret_quote);
    Esys_Free(attest);
    Esys_Free(signature);
    return r;
}

static bool is_same_selection(const struct atls_pcr_selection *a,
                              const struct atls_pcr_selection *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->banks[i].alg != b->banks[i].alg
            || a->banks[i].mask != b->banks[i].mask)
            return false;
    }
    return true;
}

/* Are these the values that were quoted? ret_fits is set on success. */
static enum atls_error compare(const struct atls_tpm_quote *quote,
                               const struct atls_pcr_selection *selection,
                               const struct atls_pcr_values *values,
                               struct atls_reason *why, bool *ret_fits)
{
    struct atls_span signature = {quote->signature, quote->signature_len};
    struct atls_span attest = {quote->attest, quote->attest_len};
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    struct atls_signature signed_with;
    struct atls_quote parsed;
    enum atls_error r;
    size_t len;

    r = atls_quote_parse(attest, why, &parsed);
    if (r != ATLS_OK)
        return r;
    r = atls_signature_parse(signature, why, &signed_with);
    if (r != ATLS_OK)
        return r;
    if (!is_same_selection(&parsed.selection, selection))
        return atls_fail(why, ATLS_E_SELECTION,
                         "the TPM quoted other PCRs than it was asked for");
    r = atls_pcr_digest(signed_with.hash, selection, values, digest, &len);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    *ret_fits = parsed.pcr_digest_len == len
                && CRYPTO_memcmp(parsed.pcr_digest, digest, len) == 0;
    return ATLS_OK;
}

/* Values are read only when those of the last quote do not fit: a reading of
 * fifteen PCRs is two more commands. */
enum atls_error atls_tpm_quote_consistent(
    struct atls_tpm *tpm, const struct atls_pcr_selection *selection,
    const uint8_t *qualifying, size_t qualifying_len, struct atls_reason *why,
    struct atls_pcr_values *ret_values, struct atls_tpm_quote *ret_quote)
{
    bool is_known = is_same_selection(&tpm->known_selection, selection);
    enum atls_error r;

    for (int left = TRIES_MAX; left > 0; left--) {
        bool fits = false;

        if (!is_known) {
            tpm->known_selection.count = 0;
            r = atls_tpm_read_pcrs(tpm, selection, why, &tpm->known_values);
            if (r != ATLS_OK)
                return r;
            tpm->known_selection = *selection;
        }
        r = atls_tpm_quote(tpm, selection, qualifying, qualifying_len, why,
                           ret_quote);
        if (r != ATLS_OK)
            return r;
        r = compare(ret_quote, selection, &tpm->known_values, why, &fits);
        if (r != ATLS_OK)
            return r;
        if (fits) {
            *ret_values = tpm->known_values;
            return ATLS_OK;
        }
        is_known = false;
    }
    return atls_fail(why, ATLS_E_PCR_UNSTABLE,
                     "PCRs moved during each of %d quotes: is something "
                     "extending them in a loop?",
                     TRIES_MAX);
}
