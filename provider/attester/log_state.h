/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_LOG_STATE_H
#define ATLS_ATTESTER_LOG_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "attester/measured_log.h"
#include "base/error.h"
#include "evidence/pcr.h"

/*
 * Does a measured log lead to its PCR, and if not, which of the two was lost? What
 * measures and what quotes go by the same answer. Neither opens nor reads anything,
 * but for whether the log is there.
 */
struct atls_log_state {
    const char *path; /* of the log, for messages */
    unsigned pcr;
    const struct atls_measured_log *log;
    /* Its PCR in each of the banks that has it, one at least; other PCRs do not
     * matter. */
    const struct atls_pcr_values *values;
    /* The SHA-1 bank, which no verifier counts, does not matter beside others. */
    bool passes_over_sha1;
};

/*
 * How many events of the log, from the first, lead to the value of the PCR in every
 * bank? Fewer than all where the log was read after the PCR and something was
 * measured in between.
 *   why        what is wrong and what to do: the log was lost, or others extended
 *              the PCR
 *   ret_count  set only on success
 * Returns ATLS_OK, ATLS_E_LOG_MISMATCH (no number of them does), ATLS_E_CRYPTO,
 * ATLS_E_INTERNAL (no such bank). Thread-safe.
 */
enum atls_error atls_log_state_count(const struct atls_log_state *state,
                                     struct atls_reason *why,
                                     size_t *ret_count) ATLS_MUST_CHECK;

/*
 * The refusal of a log of which only `count` events lead to the PCR, although nothing
 * is being measured: the PCR was there once, and the TPM was reset. Returns
 * ATLS_E_LOG_MISMATCH.
 */
enum atls_error atls_log_state_fail_reset(const struct atls_log_state *state,
                                          size_t count,
                                          struct atls_reason *why);

/* That of a log that lacks an event because whoever extended the PCR was
 * interrupted: its write-ahead record is still there. ATLS_E_LOG_MISMATCH. */
enum atls_error atls_log_state_fail_interrupted(
    const struct atls_log_state *state, struct atls_reason *why);

/* The banks and PCR of a state that decide, to be read from the TPM again. */
struct atls_pcr_selection atls_log_state_selection(
    const struct atls_log_state *state);

#endif
