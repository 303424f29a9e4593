/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_EVENTS_H
#define ATLS_ATTESTER_QUOTER_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "attester/measured_log.h"
#include "attester/quoter_core.h"
#include "attester/quoter_tpm.h"
#include "base/error.h"
#include "evidence/pcr.h"

/*
 * The measured log beside a quote: the events of measure_pcr up to the moment that was
 * quoted. A log that does not lead to the quoted PCR goes to nobody: verifiers would
 * refuse it, and none could say why.
 *
 * A PCR is extended before the event is written down, and the log is read after the
 * quote, so two things are no fault:
 *
 *   found                                | means
 *   no number of its events leads there  | one is not written down yet: wait a little
 *   fewer than all lead there            | measured since; then the PCR has moved on
 */

/* Events to be sent; shared by reference count with those who encode them. */
struct atls_events {
    atomic_uint refs;
    struct atls_measured_log log;
    size_t count; /* of them, from the first, belong to the quote */
    size_t certificate_count;
    uint8_t (*certificates)[ATLS_SHA256_LEN]; /* that are among those */
};

void atls_events_unref(struct atls_events *events); /* NULL is fine */

/* The thread's own: what it knows of the log. All zero at first. */
struct atls_events_cache {
    uint8_t values[ATLS_BANKS_MAX * ATLS_PCR_DIGEST_MAX]; /* of the PCR ... */
    struct stat st; /* ... and the log's file before it was read */
    struct atls_events
        *events; /* that lead there, all there are; NULL: unknown */
    /* What the last batch was refused for, which was logged; ATLS_OK: nothing. */
    struct atls_reason refusal;
};

/*
 * Set batch->events, which stays NULL where no log is to be sent, for the values that
 * were quoted. Waits for a log that lags behind its PCR: 100 ms, and a second while
 * somebody is measuring.
 * Returns ATLS_OK; with batch->why ATLS_E_LOG_MISMATCH (log_state.h),
 * ATLS_E_LOG_UNREADABLE, ATLS_E_LOG_BUSY, or what a command to the TPM returns. The administrator is told so once, and when it is over.
 */
enum atls_error atls_events_for(struct atls_events_cache *cache,
                                struct atls_quoter_core *core,
                                struct atls_quoter_tpm *tpm,
                                struct atls_batch *batch) ATLS_MUST_CHECK;

void atls_events_clear(struct atls_events_cache *cache);

/*
 * May evidence for this certificate go out, where certificates have to be measured?
 *   events  NULL: no log is sent, so it may not
 * Returns ATLS_OK, or ATLS_E_CERTIFICATE_UNMEASURED with its digest and what to do.
 */
enum atls_error atls_events_check_certificate(
    const struct atls_events *events, const uint8_t digest[ATLS_SHA256_LEN],
    struct atls_reason *why) ATLS_MUST_CHECK;

#endif
