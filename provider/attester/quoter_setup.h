/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_SETUP_H
#define ATLS_ATTESTER_QUOTER_SETUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/quoter.h"
#include "base/error.h"
#include "evidence/bootlog.h"
#include "evidence/codec.h"
#include "evidence/pcr.h"

/* TPM2B_AUTH at its largest. */
#define ATLS_AK_AUTH_MAX 64u

struct atls_octets {
    uint8_t *data;
    size_t len;
};

/* A quoter's configuration, read and checked; never changes. Shared by
 * reference count: the quoter's thread may outlive the quoter. */
struct atls_quoter_setup {
    atomic_uint refs;
    char *tcti;
    char *ak;
    char *ak_chain;     /* for messages */
    char *measured_log; /* NULL: none */
    bool needs_measured_certificate;
    unsigned measure_pcr;
    unsigned timeout_ms;
    unsigned max_queue;
    struct atls_pcr_selection selection;
    uint8_t auth[ATLS_AK_AUTH_MAX];
    size_t auth_len;
    /* DER, AK certificate first, without a root. */
    size_t chain_count;
    struct atls_octets chain[ATLS_CHAIN_MAX];
    /* SubjectPublicKeyInfo of the AK certificate. */
    struct atls_octets ak_spki;
    bool sends_boot_log;
    /* The firmware's log; empty where there is none. */
    struct atls_octets boot_octets;
    struct atls_boot_log boot_log;
    struct atls_reason boot_log_reason; /* ATLS_OK, or why it is empty */
};

/* As of atls_quoter_new(); error queue as found. */
enum atls_error atls_quoter_setup_new(
    const struct atls_quoter_config *config, struct atls_reason *why,
    struct atls_quoter_setup **ret_setup) ATLS_MUST_CHECK;
struct atls_quoter_setup *atls_quoter_setup_ref(
    struct atls_quoter_setup *setup);
void atls_quoter_setup_unref(
    struct atls_quoter_setup *setup); /* NULL is fine */

#endif
