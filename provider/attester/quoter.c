/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "attester/quoter_core.h"
#include "attester/quoter_setup.h"
#include "base/digest.h"
#include "base/process.h"

struct atls_quoter {
    struct atls_quoter_setup *setup;
    atls_quoter_log *log;
    void *log_arg;
    /* Of this process once it is used; NULL at first. That of a parent process
     * is replaced, never touched and never freed. */
    _Atomic(struct atls_quoter_core *) core;
    atomic_bool is_stopped; /* for ever, whatever core there is */
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

/* Let go of a reference, without the lock. */
static void leave(struct atls_quoter_core *core)
{
    sigset_t signals;

    atls_quoter_core_lock(core, &signals);
    atls_quoter_core_leave(core);
    (void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

/* This process's core, or NULL. */
static struct atls_quoter_core *own_core(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core = atomic_load(&quoter->core);

    if (core == NULL || core->generation != atls_process_generation())
        return NULL;
    return core;
}

/* In this order: whoever has put a core there and does not see that it was stopped is
 * seen here, or finds its core stopping. */
void atls_quoter_stop(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core;

    atomic_store(&quoter->is_stopped, true);
    core = own_core(quoter);
    if (core != NULL)
        atls_quoter_thread_stop(core);
}

void atls_quoter_free(struct atls_quoter *quoter)
{
    struct atls_quoter_core *core;

    if (quoter == NULL)
        return;
    atls_quoter_stop(quoter);
    core = own_core(quoter);
    if (core != NULL)
        leave(core);
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
    leave(fresh);
    *ret_core = old;
    return ATLS_OK;
}

/* Called with lock held.
 *   ret_is_first  it is the caller's to start the thread */
static enum atls_error enqueue(const struct atls_quoter *quoter,
                               struct atls_quoter_core *core,
                               struct atls_ticket *ticket,
                               struct atls_reason *why, bool *ret_is_first)
{
    *ret_is_first = false;
    if (core->is_stopping || atomic_load(&quoter->is_stopped))
        return atls_fail(why, ATLS_E_NO_ATTESTER,
                         "the quoter was stopped: this program is ending");
    if (core->queue_count >= core->setup->max_queue)
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "%zu handshakes wait for a quote already: the TPM is "
                         "too slow for this load; raise max_queue",
                         core->queue_count);
    TAILQ_INSERT_TAIL(&core->queue, ticket, entry);
    core->queue_count++;
    core->refs++;
    if (core->thread_state == ATLS_THREAD_NONE) {
        core->thread_state = ATLS_THREAD_STARTING;
        core->refs++; /* the thread's */
        *ret_is_first = true;
    }
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

/* With signals blocked. */
static enum atls_error queue(const struct atls_quoter *quoter,
                             struct atls_ticket *ticket,
                             struct atls_reason *why)
{
    struct atls_quoter_core *core = ticket->core;
    bool is_first;
    enum atls_error r;

    pthread_mutex_lock(&core->lock);
    r = enqueue(quoter, core, ticket, why, &is_first);
    pthread_mutex_unlock(&core->lock);
    if (!is_first)
        return r;
    r = atls_quoter_thread_start(core, why);
    if (r != ATLS_OK) { /* the ticket is done with that */
        pthread_mutex_lock(&core->lock);
        atls_quoter_core_leave(core);
    }
    return r;
}

static enum atls_error make_ticket(struct atls_quoter_core *core,
                                   enum atls_role role,
                                   const uint8_t channel[ATLS_CHANNEL_LEN],
                                   struct atls_span cert_der,
                                   const struct atls_formats *formats,
                                   struct atls_reason *why,
                                   struct atls_ticket **ret_ticket)
{
    struct atls_ticket *ticket = atls_ticket_new(core);
    enum atls_error r;

    if (ticket == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    ticket->deadline_ms = atls_now_ms() + core->setup->timeout_ms;
    ticket->formats = *formats;
    r = compute_leaf(role, channel, cert_der, why, ticket->leaf);
    if (r == ATLS_OK)
        r = note_certificate(ticket, cert_der, why);
    if (r != ATLS_OK) {
        atls_ticket_free(ticket);
        return r;
    }
    *ret_ticket = ticket;
    return ATLS_OK;
}

/* A handler of the program that ends it finds all of this done, or nothing. */
enum atls_error atls_quoter_submit(struct atls_quoter *quoter,
                                   enum atls_role role,
                                   const uint8_t channel[ATLS_CHANNEL_LEN],
                                   struct atls_span cert_der,
                                   const struct atls_formats *formats,
                                   struct atls_reason *why,
                                   struct atls_ticket **ret_ticket)
{
    struct atls_quoter_core *core;
    struct atls_ticket *ticket = NULL;
    sigset_t signals;
    enum atls_error r;

    atls_quoter_block_signals(&signals);
    r = ensure_core(quoter, why, &core);
    if (r == ATLS_OK)
        r = make_ticket(core, role, channel, cert_der, formats, why, &ticket);
    if (r == ATLS_OK)
        r = queue(quoter, ticket, why);
    if (r != ATLS_OK && ticket != NULL)
        atls_ticket_free(ticket);
    (void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
    if (r != ATLS_OK)
        return r;
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
    sigset_t signals;

    if (ticket == NULL)
        return;
    if (is_inherited(ticket)) {
        OPENSSL_free(ticket);
        return;
    }
    core = ticket->core;
    atls_quoter_core_lock(core, &signals);
    atls_done_link_remove(&ticket->done);
    if (ticket->state == ATLS_IN_FLIGHT) {
        ticket->is_abandoned = true;
        ticket->timer_fd = -1;
        atls_quoter_core_unlock(core, &signals);
        return;
    }
    if (ticket->state == ATLS_WAITING) {
        TAILQ_REMOVE(&core->queue, ticket, entry);
        core->queue_count--;
    }
    atls_quoter_core_leave(core);
    atls_ticket_free(ticket);
    (void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

enum atls_error atls_ticket_notify(struct atls_ticket *ticket, int timer_fd,
                                   struct atls_reason *why)
{
    struct itimerspec when = {.it_value = {.tv_nsec = 1}};
    enum atls_error r = ATLS_OK;
    sigset_t signals;

    if (is_inherited(ticket))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "this handshake was started by another process");
    atls_quoter_core_lock(ticket->core, &signals);
    if (ticket->state != ATLS_DONE)
        when.it_value = atls_timespec_of_ms(ticket->deadline_ms);
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0)
        ticket->timer_fd = timer_fd;
    else
        r = atls_fail(why, ATLS_E_INTERNAL, "cannot set a timer: %s",
                      strerror(errno));
    atls_quoter_core_unlock(ticket->core, &signals);
    return r;
}

enum atls_error atls_ticket_gather(struct atls_ticket *ticket,
                                   struct atls_done_list *list, void *owner,
                                   struct atls_reason *why)
{
    sigset_t signals;

    if (is_inherited(ticket))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "this handshake was started by another process");
    atls_quoter_core_lock(ticket->core, &signals);
    ticket->done.list = list;
    ticket->done.owner = owner;
    if (ticket->state == ATLS_DONE)
        atls_done_link_add(&ticket->done);
    atls_quoter_core_unlock(ticket->core, &signals);
    return ATLS_OK;
}

int64_t atls_ticket_deadline_ms(const struct atls_ticket *ticket)
{
    return ticket->deadline_ms;
}

static bool is_done(struct atls_ticket *ticket)
{
    sigset_t signals;
    bool is_it;

    atls_quoter_core_lock(ticket->core, &signals);
    is_it = ticket->state == ATLS_DONE;
    atls_quoter_core_unlock(ticket->core, &signals);
    return is_it;
}

/* As far as the ticket's own deadline permits. */
static bool wait_until_done(struct atls_ticket *ticket)
{
    struct timespec deadline = atls_timespec_of_ms(ticket->deadline_ms);
    int saved = errno;

    while (sem_clockwait(&ticket->ready, CLOCK_MONOTONIC, &deadline) != 0
           && errno == EINTR)
        continue;
    errno = saved;
    return is_done(ticket);
}

bool atls_ticket_is_ready(struct atls_ticket *ticket)
{
    return is_inherited(ticket) || atls_now_ms() >= ticket->deadline_ms
           || is_done(ticket);
}

static enum atls_error take_result(const struct atls_ticket *ticket,
                                   struct atls_reason *why, uint8_t **ret_cmw,
                                   size_t *ret_len)
{
    if (ticket->result == ATLS_OK)
        return atls_quoter_encode(ticket, why, ret_cmw, ret_len);
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
    sigset_t signals;

    *ret_quotes = 0;
    *ret_served = 0;
    if (core == NULL)
        return;
    atls_quoter_core_lock(core, &signals);
    *ret_quotes = core->quotes;
    *ret_served = core->served;
    atls_quoter_core_unlock(core, &signals);
}
