/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_BOOT_H
#define ATLS_ATTESTER_QUOTER_BOOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "attester/measured_log.h"
#include "attester/quoter_core.h"
#include "attester/quoter_setup.h"
#include "evidence/bootlog.h"
#include "evidence/pcr.h"

/*
 * The boot log beside a quote: what firmware and boot loaders extended, and what
 * user space did in other PCRs than measure_pcr. Verifiers hold it against the
 * quote, so only what leads to the quoted values is sent.
 */

/*
 * Read and parse the firmware's log, once: it does not change within a boot, and
 * only root may read it, which a program is for its first moments only. What is
 * wrong is kept in setup->boot_log_reason: no boot log is an error.
 */
void atls_boot_read(struct atls_quoter_setup *setup,
                    const struct atls_quoter_config *config);

/* Events to be sent, with data cut to ATLS_BOOT_WIRE_DATA_MAX; shared by
 * reference count with those who encode them. The firmware's point into the
 * setup. */
struct atls_boot_events {
    atomic_uint refs;
    struct atls_boot_log log;         /* at least one event */
    struct atls_measured_events user; /* what user space's point to */
};

void atls_boot_events_unref(struct atls_boot_events *events); /* NULL is fine */

/* The thread's own: what was chosen last. All zero at first. */
struct atls_boot_cache {
    bool is_known; /* the rest is for these values */
    struct atls_pcr_values values;
    struct atls_boot_events *events; /* NULL: nothing is sent */
    uint32_t left_out;               /* PCRs of the log that do not replay */
    bool is_told;                    /* the administrator knows what is amiss */
};

/*
 * The events for quoted PCR values, a reference for the caller; NULL when none
 * are to be sent. Of a PCR whose events do not replay to the quoted value in
 * every quoted bank, or that is not quoted in each of them, none are; the
 * administrator is told so once.
 */
struct atls_boot_events *atls_boot_events_for(
    struct atls_boot_cache *cache, struct atls_quoter_core *core,
    const struct atls_pcr_values *values);

void atls_boot_cache_clear(struct atls_boot_cache *cache);

#endif
