/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_ESYS_H
#define ATLS_ATTESTER_TPM_ESYS_H

#include <tss2/tss2_esys.h>

#include "attester/tpm_tcti.h"
#include "base/error.h"
#include "evidence/pcr.h"

/* What tpm*.c share. */

struct atls_tpm {
    struct atls_tcti *tcti;
    ESYS_CONTEXT *esys; /* NULL until the next command, after a failed one */
    ESYS_TR ak;         /* ESYS_TR_NONE: not loaded */
    TPM2_HANDLE ak_handle;
    TPM2B_PUBLIC ak_public;
    TPM2B_NAME ak_qualified_name;
    /* The last values that a quote confirmed: while no PCR moves, the next
     * quote needs no reading. */
    struct atls_pcr_selection known_selection;
    struct atls_pcr_values known_values;
};

/* Drop the ESYS context, and with it the loaded AK. */
void atls_tpm_forget(struct atls_tpm *tpm);

/*
 * Begin a command.
 *   ret_esys  an ESYS context in its initial state; belongs to tpm
 * ATLS_OK or ATLS_E_NOMEM.
 */
enum atls_error atls_tpm_begin(struct atls_tpm *tpm, struct atls_reason *why,
                               ESYS_CONTEXT **ret_esys) ATLS_MUST_CHECK;

/*
 * End a command: turn what ESYS returned into our error, the only place that
 * does. After a failed one the ESYS context is gone, and the loaded AK with it.
 *   command  for the message: "TPM2_Quote"
 *   rc       of the Async or the Finish function, whichever failed first
 */
enum atls_error atls_tpm_end(struct atls_tpm *tpm, const char *command,
                             TSS2_RC rc,
                             struct atls_reason *why) ATLS_MUST_CHECK;

/* The TPM's response code of the last command, 0 when it had none or succeeded. */
TPM2_RC atls_tpm_last_rc(const struct atls_tpm *tpm);

/* Selection as the TPM takes it: three octets of bit map per bank. */
void atls_tpm_selection(const struct atls_pcr_selection *selection,
                        TPML_PCR_SELECTION *ret);

/* And back. Banks that we have no hash for are left out. */
void atls_tpm_selection_from(const TPML_PCR_SELECTION *list,
                             struct atls_pcr_selection *ret);

#endif
