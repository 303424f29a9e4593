/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_TCTI_H
#define ATLS_ATTESTER_TPM_TCTI_H

#include <stdint.h>
#include <tss2/tss2_tcti.h>

#include "base/error.h"

/*
 * A link as a TCTI, so that ESYS can use it. For tpm*.c only.
 *
 * ESYS and what is below it print to stderr whatever goes wrong, and only the
 * environment of the process (TSS2_LOG) can stop them: not for us to change in
 * a program that we are a guest of. So nothing goes wrong that ESYS could see.
 * Transmitting only keeps the command; receiving sends it, waits, repeats it
 * when the TPM says RETRY, YIELDED or TESTING, and hands on successful
 * responses alone. Anything else is kept here and ESYS is told to try again,
 * which it passes up without a word. The ESYS context is then half-way through
 * a command and of no more use: throw it away.
 */
struct atls_tcti;

/* As atls_tpm_open(). */
enum atls_error atls_tcti_open(const char *tcti, struct atls_reason *why,
                               struct atls_tcti **ret_tcti) ATLS_MUST_CHECK;
void atls_tcti_close(struct atls_tcti *tcti); /* NULL is fine */

/* As atls_tpm_set_deadline(). */
void atls_tcti_set_deadline(struct atls_tcti *tcti, int64_t deadline_ms,
                            int wake_fd);

/* What ESYS takes; belongs to tcti. */
TSS2_TCTI_CONTEXT *atls_tcti_context(struct atls_tcti *tcti);

/*
 * Why the last command failed, code ATLS_OK when it did not fail here.
 *   ret_rc  the TPM's response code, 0 when there was none
 */
const struct atls_reason *atls_tcti_failure(const struct atls_tcti *tcti,
                                            uint32_t *ret_rc);

#endif
