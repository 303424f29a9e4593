/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/tpm.h"

#include <openssl/crypto.h>

#include "attester/tpm_esys.h"

enum atls_error atls_tpm_open(const char *tcti, struct atls_reason *why,
                              struct atls_tpm **ret_tpm)
{
    struct atls_tpm *tpm = OPENSSL_zalloc(sizeof(*tpm));
    enum atls_error r;

    if (tpm == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    tpm->ak = ESYS_TR_NONE;
    r = atls_tcti_open(tcti, why, &tpm->tcti);
    if (r != ATLS_OK) {
        OPENSSL_free(tpm);
        return r;
    }
    *ret_tpm = tpm;
    return ATLS_OK;
}

void atls_tpm_forget(struct atls_tpm *tpm)
{
    if (tpm->esys != NULL)
        Esys_Finalize(&tpm->esys);
    tpm->ak = ESYS_TR_NONE;
}

void atls_tpm_close(struct atls_tpm *tpm)
{
    if (tpm == NULL)
        return;
    atls_tpm_forget(tpm);
    atls_tcti_close(tpm->tcti);
    OPENSSL_free(tpm);
}

void atls_tpm_set_deadline(struct atls_tpm *tpm, int64_t deadline_ms,
                           int wake_fd)
{
    atls_tcti_set_deadline(tpm->tcti, deadline_ms, wake_fd);
}

enum atls_error atls_tpm_begin(struct atls_tpm *tpm, struct atls_reason *why,
                               ESYS_CONTEXT **ret_esys)
{
    if (tpm->esys == NULL
        && Esys_Initialize(&tpm->esys, atls_tcti_context(tpm->tcti), NULL)
               != TSS2_RC_SUCCESS)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_esys = tpm->esys;
    return ATLS_OK;
}

TPM2_RC atls_tpm_last_rc(const struct atls_tpm *tpm)
{
    uint32_t rc;

    (void)atls_tcti_failure(tpm->tcti, &rc);
    return rc;
}

/* Format-one codes carry the number of the handle, session or parameter. */
static TPM2_RC without_position(TPM2_RC rc)
{
    return (rc & TPM2_RC_FMT1) != 0 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

/* What to do about it, where the TSS's own text does not say. */
static const char *words_for(TPM2_RC rc)
{
    switch (without_position(rc)) {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_SESSION_MEMORY:
        return "the TPM's slots are full: use its resource manager, "
               "/dev/tpmrm0";
    case TPM2_RC_INITIALIZE:
        return "nobody started the TPM: tpm2_startup -c";
    case TPM2_RC_LOCKOUT:
        return "the TPM is locked after wrong passwords: "
               "tpm2_dictionarylockout -c, then use an AK with noDA";
    case TPM2_RC_AUTH_FAIL:
    case TPM2_RC_BAD_AUTH:
        return "the TPM refused the AK's password: correct ak_auth";
    default:
        return NULL;
    }
}

static enum atls_error code_of(const struct atls_reason *failure, TPM2_RC rc)
{
    switch (without_position(rc)) {
    case TPM2_RC_AUTH_FAIL:
    case TPM2_RC_BAD_AUTH:
    case TPM2_RC_LOCKOUT:
        return ATLS_E_TPM_AUTH;
    default:
        return failure->code;
    }
}

enum atls_error atls_tpm_end(struct atls_tpm *tpm, const char *command,
                             TSS2_RC rc, struct atls_reason *why)
{
    const struct atls_reason *failure;
    const char *words;
    TPM2_RC tpm_rc;

    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    atls_tpm_forget(tpm);
    failure = atls_tcti_failure(tpm->tcti, &tpm_rc);
    words = words_for(tpm_rc);
    if (words != NULL)
        return atls_fail(why, code_of(failure, tpm_rc), "%s: %s (0x%x)",
                         command, words, tpm_rc);
    if (failure->code != ATLS_OK)
        return atls_fail(why, failure->code, "%s: %s", command, failure->text);
    if (rc == TSS2_ESYS_RC_MEMORY)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return atls_fail(why, ATLS_E_TPM, "%s: the response makes no sense (0x%x)",
                     command, rc);
}
