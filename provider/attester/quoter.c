/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/timerfd.h>

#include "attester/clock.h"
#include "attester/quoter_boot.h"
#include "attester/quoter_core.h"
#include "attester/quoter_events.h"
#include "attester/quoter_setup.h"
#include "digest.h"
#include "evidence/codec.h"
#include "log.h"
#include "process.h"

struct atls_quoter {
    struct atls_quoter_setup *setup;
    atls_quoter_log *log;
    void *log_arg;
    /* Of this process once it is used; NULL at first. That of a parent process
     * is replaced, never touched and never freed. */
    _Atomic(struct atls_quoter_core *) core;
};

enum atls_error atls_quoter_new(const struct atls_quoter_config *config,
                                atls_quoter_log *log, void *log_arg,
                                struct atls_reason *why,
                                struct atls_quoter **ret_quoter)
{
    struct atls_quoter *quoter = OPENSSL_zalloc(sizeof(*quoter));
    enum atls_error r;

    if (quoter == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (!atls_process_counts_forks()) {
        OPENSSL_free(quoter);
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    /* Fetching a hash takes locks of OpenSSL, and a child that is forked while
     * another thread holds one waits for it for ever. This fetches them all; a
     * hash that was fetched takes none. */
    if (atls_libctx() == NULL) {
        OPENSSL_free(quoter);
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    r = atls_quoter_setup_new(config, why, &quoter->setup);
    if (r != ATLS_OK) {
        OPENSSL_free(quoter);
        return r;
    }
    quoter->log = log;
    quoter->log_arg = log_arg;
    *ret_quoter = quoter;
    return ATLS_OK;
}

/* This process's core, or NULL. */
static struct atls_quoter_core *own_core(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core = atomic_load(&quoter->core);

    if (core == NULL || core->generation != atls_process_generation())
        return NULL;
    return core;
}

void atls_quoter_stop(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core = own_core(quoter);

    if (core != NULL)
        atls_quoter_thread_stop(core);
}

void atls_quoter_free(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core;

    if (quoter == NULL)
        return;
    core = own_core(quoter);
    if (core != NULL) {
        atls_quoter_thread_stop(core);
        pthread_mutex_lock(&core->lock);
        atls_quoter_core_leave(core);
    }
    atls_quoter_setup_unref(quoter->setup);
    OPENSSL_free(quoter);
}

/* Threads of a fresh child may come here at once: the first one's core is for
 * all. There is no lock that would be sure to be free after a fork. */
static enum atls_error ensure_core(struct atls_quoter *quoter,
                                   struct atls_reason *why,
                                   struct atls_quoter_core **ret_core)
{
    struct atls_quoter_core *old = atomic_load(&quoter->core);
    struct atls_quoter_core *fresh;

    *ret_core = own_core(quoter);
    if (*ret_core != NULL)
        return ATLS_OK;
    fresh = atls_quoter_core_new(quoter->setup, quoter->log, quoter->log_arg,
                                 atls_process_generation());
    if (fresh == NULL)
        return atls_fail(why, ATLS_E_INTERNAL, "cannot start a quoter: %s",
                         strerror(errno));
    if (atomic_compare_exchange_strong(&quoter->core, &old, fresh)) {
        *ret_core = fresh;
        return ATLS_OK;
    }
    pthread_mutex_lock(&fresh->lock);
    atls_quoter_core_leave(fresh);
    *ret_core = old;
    return ATLS_OK;
}

/* Called with lock held. */
static enum atls_error enqueue(struct atls_quoter_core *core,
                               struct atls_ticket *ticket,
                               struct atls_reason *why)
{
    enum atls_error r;

    if (core->is_stopping)
        return atls_fail(why, ATLS_E_NO_ATTESTER,
                         "the quoter was stopped: this program is ending");
    if (core->queue_count >= core->setup->max_queue)
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "%zu handshakes wait for a quote already: the TPM is "
                         "too slow for this load; raise max_queue",
                         core->queue_count);
    r = atls_quoter_thread_start(core, why);
    if (r != ATLS_OK)
        return r;
    TAILQ_INSERT_TAIL(&core->queue, ticket, entry);
    core->queue_count++;
    core->refs++;
    pthread_cond_signal(&core->work);
    return ATLS_OK;
}

static enum atls_error compute_leaf(enum atls_role role,
                                    const uint8_t channel[ATLS_CHANNEL_LEN],
                                    struct atls_span cert_der,
                                    struct atls_reason *why,
                                    uint8_t ret_leaf[ATLS_SHA256_LEN])
{
    uint8_t binding[ATLS_SHA256_LEN];
    enum atls_error r;

    r = atls_binding_live(role, channel, cert_der, binding);
    if (r == ATLS_OK)
        r = atls_merkle_leaf(binding, ret_leaf);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}

static bool is_stand_in(struct atls_span der)
{
    const char *stand_in = ATLS_STAND_IN_CERTIFICATE;

    return der.len == strlen(stand_in)
           && memcmp(der.data, stand_in, der.len) == 0;
}

static enum atls_error note_certificate(struct atls_ticket *ticket,
                                        struct atls_span cert_der,
                                        struct atls_reason *why)
{
    ticket->must_be_measured = ticket->core->setup->needs_measured_certificate
                               && !is_stand_in(cert_der);
    if (ticket->must_be_measured
        && atls_sha256(cert_der.data, cert_der.len, ticket->certificate)
               != ATLS_OK)
        return atls_fail(why, ATLS_E_CRYPTO, NULL);
    return ATLS_OK;
}

enum atls_error atls_quoter_submit(struct atls_quoter *quoter,
                                   enum atls_role role,
                                   const uint8_t channel[ATLS_CHANNEL_LEN],
                                   struct atls_span cert_der,
                                   const struct atls_formats *formats,
                                   struct atls_reason *why,
                                   struct atls_ticket **ret_ticket)
{
    struct atls_quoter_core *core;
    struct atls_ticket *ticket;
    enum atls_error r;

    r = ensure_core(quoter, why, &core);
    if (r != ATLS_OK)
        return r;
    ticket = OPENSSL_zalloc(sizeof(*ticket));
    if (ticket == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    ticket->core = core;
    ticket->generation = core->generation;
    ticket->deadline_ms = atls_now_ms() + core->setup->timeout_ms;
    ticket->timer_fd = -1;
    ticket->formats = *formats;
    r = compute_leaf(role, channel, cert_der, why, ticket->leaf);
    if (r == ATLS_OK)
        r = note_certificate(ticket, cert_der, why);
    if (r == ATLS_OK) {
        pthread_mutex_lock(&core->lock);
        r = enqueue(core, ticket, why);
        pthread_mutex_unlock(&core->lock);
    }
    if (r != ATLS_OK) {
        OPENSSL_free(ticket);
        return r;
    }
    *ret_ticket = ticket;
    return ATLS_OK;
}

/* A ticket that crossed a fork: its core belongs to the parent's threads. */
static bool is_inherited(const struct atls_ticket *ticket)
{
    return ticket->generation != atls_process_generation();
}

void atls_ticket_drop(struct atls_ticket *ticket)
{
    struct atls_quoter_core *core;

    if (ticket == NULL)
        return;
    if (is_inherited(ticket)) {
        OPENSSL_free(ticket);
        return;
    }
    core = ticket->core;
    pthread_mutex_lock(&core->lock);
    atls_done_link_remove(&ticket->done);
    if (ticket->state == ATLS_IN_FLIGHT) {
        ticket->is_abandoned = true;
        ticket->timer_fd = -1;
        pthread_mutex_unlock(&core->lock);
        return;
    }
    if (ticket->state == ATLS_WAITING) {
        TAILQ_REMOVE(&core->queue, ticket, entry);
        core->queue_count--;
    }
    atls_ticket_free(ticket);
    atls_quoter_core_leave(core);
}

enum atls_error atls_ticket_notify(struct atls_ticket *ticket, int timer_fd,
                                   struct atls_reason *why)
{
    struct itimerspec when = {.it_value = {.tv_nsec = 1}};
    enum atls_error r = ATLS_OK;

    if (is_inherited(ticket))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "this handshake was started by another process");
    pthread_mutex_lock(&ticket->core->lock);
    if (ticket->state != ATLS_DONE)
        when.it_value = atls_timespec_of_ms(ticket->deadline_ms);
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0)
        ticket->timer_fd = timer_fd;
    else
        r = atls_fail(why, ATLS_E_INTERNAL, "cannot set a timer: %s",
                      strerror(errno));
    pthread_mutex_unlock(&ticket->core->lock);
    return r;
}

enum atls_error atls_ticket_gather(struct atls_ticket *ticket,
                                   struct atls_done_list *list, void *owner,
                                   struct atls_reason *why)
{
    if (is_inherited(ticket))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "this handshake was started by another process");
    pthread_mutex_lock(&ticket->core->lock);
    ticket->done.list = list;
    ticket->done.owner = owner;
    if (ticket->state == ATLS_DONE)
        atls_done_link_add(&ticket->done);
    pthread_mutex_unlock(&ticket->core->lock);
    return ATLS_OK;
}

int64_t atls_ticket_deadline_ms(const struct atls_ticket *ticket)
{
    return ticket->deadline_ms;
}

/* As far as the ticket's own deadline permits. */
static bool wait_until_done(struct atls_ticket *ticket)
{
    struct timespec deadline = atls_timespec_of_ms(ticket->deadline_ms);
    struct atls_quoter_core *core = ticket->core;
    int error = 0;
    bool is_done;

    pthread_mutex_lock(&core->lock);
    while (ticket->state != ATLS_DONE && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&core->done, &core->lock, &deadline);
    is_done = ticket->state == ATLS_DONE;
    pthread_mutex_unlock(&core->lock);
    return is_done;
}

bool atls_ticket_is_ready(struct atls_ticket *ticket)
{
    bool is_ready = true;

    if (is_inherited(ticket) || atls_now_ms() >= ticket->deadline_ms)
        return true;
    pthread_mutex_lock(&ticket->core->lock);
    is_ready = ticket->state == ATLS_DONE;
    pthread_mutex_unlock(&ticket->core->lock);
    return is_ready;
}

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
static enum atls_error encode(const struct atls_ticket *ticket,
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

static enum atls_error take_result(const struct atls_ticket *ticket,
                                   struct atls_reason *why, uint8_t **ret_cmw,
                                   size_t *ret_len)
{
    if (ticket->result == ATLS_OK)
        return encode(ticket, why, ret_cmw, ret_len);
    if (ticket->result == ATLS_E_NO_ATTESTER)
        return atls_fail(why, ticket->result,
                         "the quoter was stopped while this handshake waited");
    if (ticket->batch == NULL)
        return atls_fail(why, ticket->result, NULL);
    (void)atls_fail_as(why, &ticket->batch->why);
    return ticket->result;
}

enum atls_error atls_ticket_wait(struct atls_ticket *ticket,
                                 struct atls_reason *why, uint8_t **ret_cmw,
                                 size_t *ret_len)
{
    enum atls_error r;

    if (is_inherited(ticket))
        r = atls_fail(why, ATLS_E_INTERNAL,
                      "this handshake was started by another process");
    else if (wait_until_done(ticket))
        r = take_result(ticket, why, ret_cmw, ret_len);
    else
        r = atls_fail(why, ATLS_E_TIMEOUT,
                      "no quote within %u ms: the TPM is slow, silent or "
                      "overloaded; see the log, or raise timeout",
                      ticket->core->setup->timeout_ms);
    atls_ticket_drop(ticket);
    return r;
}

void atls_quoter_counters(struct atls_quoter *quoter, uint64_t *ret_quotes,
                          uint64_t *ret_served)
{
    struct atls_quoter_core *core = own_core(quoter);

    *ret_quotes = 0;
    *ret_served = 0;
    if (core == NULL)
        return;
    pthread_mutex_lock(&core->lock);
    *ret_quotes = core->quotes;
    *ret_served = core->served;
    pthread_mutex_unlock(&core->lock);
}
