/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_EVENTS_H
#define ATLS_ATTESTER_QUOTER_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/measure.h"
#include "attester/quoter_core.h"
#include "error.h"
#include "evidence/pcr.h"

/*
 * The measured log beside a quote: the events of measure_pcr up to the moment
 * that was quoted. The log only grows, and a PCR is extended before the event
 * is written down; so a log read after the quote either has a beginning that
 * replays to the quoted value, or will have it in a moment.
 */

/* Events to be sent; shared by reference count with those who encode them. */
struct atls_events {
    atomic_uint refs;
    struct atls_measured_log log;
    size_t count; /* of them, from the first, belong to the quote */
};

void atls_events_unref(struct atls_events *events); /* NULL is fine */

/* The thread's own: what it knows of the log. All zero at first. */
struct atls_events_cache {
    bool is_known; /* the rest says something */
    bool fits;
    uint8_t value[ATLS_PCR_DIGEST_MAX]; /* of the PCR */
    struct atls_events *events;         /* NULL: the log could not be read */
};

/*
 * The events for quoted PCR values, a reference for the caller; NULL when no
 * log is to be sent. When no beginning of the log fits, or the log cannot be
 * read, the administrator is told so once, and what there is is sent all the
 * same: the verifier decides.
 */
struct atls_events *atls_events_for(struct atls_events_cache *cache,
                                    struct atls_quoter_core *core,
                                    const struct atls_pcr_values *values);

void atls_events_clear(struct atls_events_cache *cache);

#endif
