/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "attester/tpm.h"
#include "attester/tpm_esys.h"

#define SELECT_LEN 3u /* octets of bit map for PCRs 0..23 */

void atls_tpm_selection(const struct atls_pcr_selection *selection,
                        TPML_PCR_SELECTION *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < selection->count; i++) {
        TPMS_PCR_SELECTION *bank = &ret->pcrSelections[ret->count];

        if (selection->banks[i].mask == 0)
            continue;
        bank->hash = selection->banks[i].alg;
        bank->sizeofSelect = SELECT_LEN;
        for (size_t octet = 0; octet < SELECT_LEN; octet++)
            bank->pcrSelect[octet] =
                (BYTE)(selection->banks[i].mask >> (8 * octet));
        ret->count++;
    }
}

static uint32_t mask_of(const TPMS_PCR_SELECTION *bank)
{
    uint32_t mask = 0;

    for (size_t octet = 0; octet < SELECT_LEN && octet < bank->sizeofSelect;
         octet++)
        mask |= (uint32_t)bank->pcrSelect[octet] << (8 * octet);
    return mask;
}

void atls_tpm_selection_from(const TPML_PCR_SELECTION *list,
                             struct atls_pcr_selection *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < list->count && ret->count < ATLS_BANKS_MAX; i++) {
        uint32_t mask = mask_of(&list->pcrSelections[i]);

        if (mask == 0 || atls_hash_by_alg(list->pcrSelections[i].hash) == NULL)
            continue;
        ret->banks[ret->count].alg = list->pcrSelections[i].hash;
        ret->banks[ret->count].mask = mask;
        ret->count++;
    }
}

/* What TPM2_PCR_Read gives at a time: at most eight values, in order. */
struct read_step {
    struct atls_pcr_selection selection;
    TPML_DIGEST *values;
};

/* Begins and ends one TPM2_PCR_Read; step->values: Esys_Free() it. */
static enum atls_error read_some(struct atls_tpm *tpm,
                                 const struct atls_pcr_selection *missing,
                                 struct atls_reason *why,
                                 struct read_step *step)
{
    TPML_PCR_SELECTION *out = NULL;
    TPML_PCR_SELECTION in;
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    atls_tpm_selection(missing, &in);
    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_PCR_Read_Async(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                             &in);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_PCR_Read_Finish(esys, NULL, &out, &step->values);
    r = atls_tpm_end(tpm, "TPM2_PCR_Read", rc, why);
    if (r != ATLS_OK)
        return r;
    atls_tpm_selection_from(out, &step->selection);
    Esys_Free(out);
    return ATLS_OK;
}

/* Take one bank's values of a step over; true if they are what was asked. */
static bool take_bank(const struct read_step *step, size_t bank, size_t *next,
                      struct atls_pcr_selection *missing,
                      struct atls_pcr_values *values)
{
    uint16_t alg = step->selection.banks[bank].alg;
    uint32_t mask = step->selection.banks[bank].mask;
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    size_t i = 0;

    while (i < missing->count && missing->banks[i].alg != alg)
        i++;
    if (hash == NULL || i == missing->count
        || (mask & ~missing->banks[i].mask) != 0)
        return false;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if ((mask >> pcr & 1) == 0)
            continue;
        if (*next >= step->values->count
            || step->values->digests[*next].size != hash->len)
            return false;
        memcpy(values->banks[i].value[pcr], step->values->digests[*next].buffer,
               hash->len);
        (*next)++;
    }
    missing->banks[i].mask &= ~mask;
    return true;
}

static bool take_step(const struct read_step *step,
                      struct atls_pcr_selection *missing,
                      struct atls_pcr_values *values)
{
    size_t next = 0;

    for (size_t bank = 0; bank < step->selection.count; bank++) {
        if (!take_bank(step, bank, &next, missing, values))
            return false;
    }
    return next == step->values->count;
}

static uint32_t missing_mask(const struct atls_pcr_selection *missing,
                             size_t *ret_bank)
{
    for (size_t i = 0; i < missing->count; i++) {
        *ret_bank = i;
        if (missing->banks[i].mask != 0)
            return missing->banks[i].mask;
    }
    return 0;
}

static enum atls_error not_allocated(const struct atls_pcr_selection *missing,
                                     struct atls_reason *why)
{
    size_t bank = 0;
    uint32_t mask = missing_mask(missing, &bank);
    const struct atls_hash *hash = atls_hash_by_alg(missing->banks[bank].alg);
    unsigned pcr = 0;

    while ((mask >> pcr & 1) == 0)
        pcr++;
    return atls_fail(why, ATLS_E_SELECTION,
                     "this TPM has no PCR %u in bank %s" ATLS_MORE
                     ": take it out of pcrs, "
                     "or allocate the bank in the firmware",
                     pcr, hash != NULL ? hash->name : "?");
}

static void start_values(const struct atls_pcr_selection *selection,
                         struct atls_pcr_values *values)
{
    memset(values, 0, sizeof(*values));
    values->count = selection->count;
    for (size_t i = 0; i < selection->count; i++) {
        values->banks[i].alg = selection->banks[i].alg;
        values->banks[i].mask = selection->banks[i].mask;
    }
}

enum atls_error atls_tpm_read_pcrs(struct atls_tpm *tpm,
                                   const struct atls_pcr_selection *selection,
                                   struct atls_reason *why,
                                   struct atls_pcr_values *ret_values)
{
    struct atls_pcr_selection missing = *selection;
    size_t bank;

    start_values(selection, ret_values);
    while (missing_mask(&missing, &bank) != 0) {
        struct read_step step = {.values = NULL};
        enum atls_error r = read_some(tpm, &missing, why, &step);
        bool makes_sense;

        if (r != ATLS_OK)
            return r;
        makes_sense = take_step(&step, &missing, ret_values);
        Esys_Free(step.values);
        if (!makes_sense)
            return atls_fail(why, ATLS_E_TPM,
                             "TPM2_PCR_Read: other PCRs than were asked for");
        if (step.selection.count == 0)
            return not_allocated(&missing, why);
    }
    return ATLS_OK;
}

enum atls_error atls_tpm_banks(struct atls_tpm *tpm, unsigned pcr,
                               struct atls_reason *why,
                               struct atls_pcr_selection *ret_banks)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    struct atls_pcr_selection all;
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_GetCapability_Async(esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                  ESYS_TR_NONE, TPM2_CAP_PCRS, 0, 1);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_GetCapability_Finish(esys, NULL, &data);
    r = atls_tpm_end(tpm, "TPM2_GetCapability", rc, why);
    if (r != ATLS_OK)
        return r;
    atls_tpm_selection_from(&data->data.assignedPCR, &all);
    Esys_Free(data);
    memset(ret_banks, 0, sizeof(*ret_banks));
    for (size_t i = 0; i < all.count; i++) {
        if (pcr >= ATLS_PCR_COUNT || (all.banks[i].mask >> pcr & 1) == 0)
            continue;
        ret_banks->banks[ret_banks->count].alg = all.banks[i].alg;
        ret_banks->banks[ret_banks->count].mask = UINT32_C(1) << pcr;
        ret_banks->count++;
    }
    if (ret_banks->count == 0)
        return atls_fail(why, ATLS_E_SELECTION,
                         "this TPM has no PCR %u in any bank that we know",
                         pcr);
    return ATLS_OK;
}

static enum atls_error digest_content(const struct atls_pcr_selection *banks,
                                      struct atls_span content,
                                      struct atls_reason *why,
                                      TPML_DIGEST_VALUES *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < banks->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(banks->banks[i].alg);
        TPMT_HA *digest = &ret->digests[ret->count++];
        uint8_t *octets = (uint8_t *)&digest->digest;

        digest->hashAlg = hash->alg;
        if (atls_hash_parts(hash->ossl, &content, 1, octets, NULL) != ATLS_OK)
            return atls_fail(why, ATLS_E_CRYPTO, "cannot hash with %s",
                             hash->name);
    }
    return ATLS_OK;
}

enum atls_error atls_tpm_extend(struct atls_tpm *tpm, unsigned pcr,
                                struct atls_span content,
                                struct atls_reason *why,
                                struct atls_pcr_selection *ret_banks)
{
    struct atls_pcr_selection banks;
    TPML_DIGEST_VALUES digests;
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    r = atls_tpm_banks(tpm, pcr, why, &banks);
    if (r != ATLS_OK)
        return r;
    r = digest_content(&banks, content, why, &digests);
    if (r != ATLS_OK)
        return r;
    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_PCR_Extend_Async(esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD,
                               ESYS_TR_NONE, ESYS_TR_NONE, &digests);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_PCR_Extend_Finish(esys);
    r = atls_tpm_end(tpm, "TPM2_PCR_Extend", rc, why);
    if (r != ATLS_OK)
        return r;
    if (ret_banks != NULL)
        *ret_banks = banks;
    return ATLS_OK;
}
