/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>

#include "attester/quoter_boot.h"
#include "attester/quoter_core.h"
#include "attester/quoter_events.h"
#include "attester/quoter_setup.h"
#include "evidence/codec.h"
#include "base/log.h"

static void describe(const struct atls_quoter_setup *setup,
                     const struct atls_batch *batch,
                     struct atls_evidence *evidence)
{
    evidence->quote.data = batch->quote.attest;
    evidence->quote.len = batch->quote.attest_len;
    evidence->signature.data = batch->quote.signature;
    evidence->signature.len = batch->quote.signature_len;
    evidence->chain_count = setup->chain_count;
    for (size_t i = 0; i < setup->chain_count; i++) {
        evidence->chain[i].data = setup->chain[i].data;
        evidence->chain[i].len = setup->chain[i].len;
    }
    evidence->pcrs = batch->values;
    if (batch->events != NULL) {
        evidence->has_log = true;
        evidence->log_pcr = setup->measure_pcr;
        evidence->log_count = batch->events->count;
        evidence->log = batch->events->log.contents;
    }
}

/* The first of the list, unless it is the one with a boot log and there is none to
 * send: who takes nothing else gets an empty one. */
static unsigned format_without_boot_log(const struct atls_formats *formats)
{
    if (formats->list[0] == ATLS_FORMAT_TPM_BOOT && formats->count > 1)
        return formats->list[1];
    return formats->list[0];
}

/* A boot log is worth no handshake: where it does not fit, evidence goes out
 * without, and the administrator is told once. False then. */
static bool encode_with_boot_log(const struct atls_ticket *ticket,
                                 struct atls_evidence *evidence,
                                 uint8_t **ret_cmw, size_t *ret_len)
{
    struct atls_quoter_core *core = ticket->core;
    struct atls_reason why;

    evidence->format = ticket->formats.list[0];
    evidence->boot_log = ticket->batch->boot->log;
    if (atls_evidence_encode(evidence, &why, ret_cmw, ret_len) == ATLS_OK)
        return true;
    if (!atomic_flag_test_and_set(&core->is_boot_size_told))
        atls_quoter_note(core, ATLS_LOG_WARN,
                         "evidence goes out without the boot log: %s",
                         why.text);
    return false;
}

static enum atls_error encode_described(const struct atls_ticket *ticket,
                                        struct atls_evidence *evidence,
                                        struct atls_reason *why,
                                        uint8_t **ret_cmw, size_t *ret_len)
{
    if (ticket->batch->boot != NULL
        && atls_formats_want_boot_log(&ticket->formats)
        && encode_with_boot_log(ticket, evidence, ret_cmw, ret_len))
        return ATLS_OK;
    evidence->boot_log = (struct atls_boot_log){.count = 0};
    evidence->format = format_without_boot_log(&ticket->formats);
    return atls_evidence_encode(evidence, why, ret_cmw, ret_len);
}

/* In the thread of the handshake: the quoter's has other handshakes to serve.
 * On the heap: a fibre of an ASYNC job has a stack of 32 KiB. */
enum atls_error atls_quoter_encode(const struct atls_ticket *ticket,
                                   struct atls_reason *why, uint8_t **ret_cmw,
                                   size_t *ret_len)
{
    struct atls_evidence *evidence;
    enum atls_error r;

    if (ticket->must_be_measured) {
        r = atls_events_check_certificate(ticket->batch->events,
                                          ticket->certificate, why);
        if (r != ATLS_OK)
            return r;
    }
    evidence = OPENSSL_zalloc(sizeof(*evidence));
    if (evidence == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    describe(ticket->core->setup, ticket->batch, evidence);
    r = atls_merkle_tree_prove(ticket->batch->tree, ticket->place,
                               &evidence->merkle);
    if (r == ATLS_OK)
        r = encode_described(ticket, evidence, why, ret_cmw, ret_len);
    OPENSSL_free(evidence);
    return r;
}
