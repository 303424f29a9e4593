/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tpm.h"
#include "attester/tpm_esys.h"
#include "attester/tpm_public.h"

/* Part 2, TPM_HT_PERSISTENT; the TSS's own constants shift into a sign bit. */
#define PERSISTENT_FIRST 0x81000000u
#define PERSISTENT_LAST 0x81ffffffu

enum atls_error atls_tpm_parse_ak(const char *ak, struct atls_reason *why,
                                  uint32_t *ret_handle)
{
    unsigned long handle;
    char *end = NULL;

    if (strncmp(ak, "0x", 2) != 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "ak = %s: expected a persistent handle such as "
                         "0x81010002; key files are not supported",
                         ak);
    handle = strtoul(ak, &end, 16);
    if (*end != '\0' || handle < PERSISTENT_FIRST || handle > PERSISTENT_LAST)
        return atls_fail(why, ATLS_E_CONFIG,
                         "ak = %s: expected a persistent handle, 0x81000000 to "
                         "0x81ffffff",
                         ak);
    *ret_handle = (uint32_t)handle;
    return ATLS_OK;
}

static enum atls_error check_attributes(const struct atls_tpm *tpm,
                                        struct atls_reason *why)
{
    const char *flaw = atls_tpm_public_ak_flaw(&tpm->ak_public.publicArea);

    if (flaw != NULL)
        return atls_fail(why, ATLS_E_AK,
                         "AK 0x%08x %s; make another, see attest(7)",
                         tpm->ak_handle, flaw);
    return ATLS_OK;
}

/* The object behind a persistent handle, as ESYS knows it. */
static enum atls_error find(struct atls_tpm *tpm, struct atls_reason *why,
                            ESYS_TR *ret_object)
{
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_TR_FromTPMPublic_Async(esys, tpm->ak_handle, ESYS_TR_NONE,
                                     ESYS_TR_NONE, ESYS_TR_NONE);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_TR_FromTPMPublic_Finish(esys, ret_object);
    r = atls_tpm_end(tpm, "TPM2_ReadPublic", rc, why);
    if (r != ATLS_OK && atls_tpm_last_rc(tpm) == (TPM2_RC_HANDLE | TPM2_RC_1))
        return atls_fail(why, ATLS_E_AK,
                         "no key at AK handle 0x%08x: make one, see "
                         "attest(7), or correct ak",
                         tpm->ak_handle);
    return r;
}

static enum atls_error read_public(struct atls_tpm *tpm, ESYS_TR object,
                                   struct atls_reason *why)
{
    TPM2B_NAME *qualified_name = NULL;
    TPM2B_PUBLIC *public = NULL;
    ESYS_CONTEXT *esys;
    enum atls_error r;
    TSS2_RC rc;

    r = atls_tpm_begin(tpm, why, &esys);
    if (r != ATLS_OK)
        return r;
    rc = Esys_ReadPublic_Async(esys, object, ESYS_TR_NONE, ESYS_TR_NONE,
                               ESYS_TR_NONE);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_ReadPublic_Finish(esys, &public, NULL, &qualified_name);
    r = atls_tpm_end(tpm, "TPM2_ReadPublic", rc, why);
    if (r != ATLS_OK)
        return r;
    tpm->ak_public = *public;
    tpm->ak_qualified_name = *qualified_name;
    Esys_Free(public);
    Esys_Free(qualified_name);
    return ATLS_OK;
}

static enum atls_error set_auth(struct atls_tpm *tpm, ESYS_TR object,
                                const uint8_t *auth, size_t auth_len,
                                struct atls_reason *why)
{
    TPM2B_AUTH value = {.size = (UINT16)auth_len};
    TSS2_RC rc;

    if (auth_len > sizeof(value.buffer))
        return atls_fail(why, ATLS_E_CONFIG,
                         "ak_auth has %zu octets: a TPM takes at most %zu",
                         auth_len, sizeof(value.buffer));
    if (auth_len > 0)
        memcpy(value.buffer, auth, auth_len);
    rc = Esys_TR_SetAuth(tpm->esys, object, &value);
    OPENSSL_cleanse(&value, sizeof(value));
    return atls_tpm_end(tpm, "ak_auth", rc, why);
}

enum atls_error atls_tpm_load_ak(struct atls_tpm *tpm, const char *ak,
                                 const uint8_t *auth, size_t auth_len,
                                 struct atls_reason *why)
{
    ESYS_TR object = ESYS_TR_NONE;
    enum atls_error r;

    r = atls_tpm_parse_ak(ak, why, &tpm->ak_handle);
    if (r != ATLS_OK)
        return r;
    /* ESYS holds on to what it once found at a handle. */
    atls_tpm_forget(tpm);
    tpm->known_selection.count = 0;
    r = find(tpm, why, &object);
    if (r != ATLS_OK)
        return r;
    r = read_public(tpm, object, why);
    if (r != ATLS_OK)
        return r;
    r = check_attributes(tpm, why);
    if (r != ATLS_OK)
        return r;
    r = set_auth(tpm, object, auth, auth_len, why);
    if (r != ATLS_OK)
        return r;
    tpm->ak = object;
    return ATLS_OK;
}

enum atls_error atls_tpm_ak_public(struct atls_tpm *tpm,
                                   struct atls_reason *why, uint8_t **ret_der,
                                   size_t *ret_len)
{
    if (tpm->ak == ESYS_TR_NONE)
        return atls_fail(why, ATLS_E_AK, "no AK is loaded");
    return atls_tpm_public_to_spki(&tpm->ak_public.publicArea, why, ret_der,
                                   ret_len);
}

bool atls_tpm_ak_has_no_da(const struct atls_tpm *tpm)
{
    return (tpm->ak_public.publicArea.objectAttributes & TPMA_OBJECT_NODA) != 0;
}
