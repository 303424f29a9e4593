/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_TPM_H
#define ATLS_ATTESTER_QUOTER_TPM_H

#include <stdbool.h>
#include <stdint.h>

#include "attester/quoter_core.h"
#include "attester/tpm.h"
#include "base/error.h"

/*
 * The thread's TPM: opened at the first quote and kept open; after an error
 * closed, and opened anew for the next quote, but not more often than a
 * back-off allows. Until then requests fail with the recorded reason.
 *
 *          | quote wanted                     | it succeeds | it fails
 *   closed | open, load AK, compare the chain | open        | down
 *   open   | quote                            | open        | closed, once more
 *   down   | too early: recorded reason; else as closed
 */
struct atls_quoter_tpm {
    struct atls_quoter_core *core;
    struct atls_tpm *tpm; /* NULL: closed, or down */
    bool is_down;
    struct atls_reason reason; /* of the last failure; it was logged */
    unsigned backoff_ms;
    int64_t retry_at_ms;
};

void atls_quoter_tpm_init(struct atls_quoter_tpm *q,
                          struct atls_quoter_core *core);

/* Quote the root of batch->tree by batch->deadline_ms; sets quote and values of
 * the batch. Returns what atls_tpm_*() return, and batch->why. */
enum atls_error atls_quoter_tpm_quote(struct atls_quoter_tpm *q,
                                      struct atls_batch *batch) ATLS_MUST_CHECK;

/*
 * Read PCRs once more, by a deadline, of the TPM that has just quoted; what fails
 * closes the connection. Returns what atls_tpm_read_pcrs() returns, or
 * ATLS_E_TPM_UNAVAILABLE when there is no connection.
 */
enum atls_error atls_quoter_tpm_read(
    struct atls_quoter_tpm *q, const struct atls_pcr_selection *selection,
    int64_t deadline_ms, struct atls_reason *why,
    struct atls_pcr_values *ret_values) ATLS_MUST_CHECK;

void atls_quoter_tpm_close(struct atls_quoter_tpm *q);

#endif
