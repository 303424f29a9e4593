/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_core.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "attester/quoter_boot.h"
#include "attester/quoter_events.h"
#include "base/opening.h"

#define NOTE_MAX 400

/* --- the core ----------------------------------------------------------------- */

/* The clock of deadlines for what is waited for with one. */
static int init_conditions(struct atls_quoter_core *core)
{
    pthread_condattr_t attributes;
    int error;

    error = pthread_condattr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0)
        error = pthread_cond_init(&core->work, &attributes);
    if (error == 0)
        error = pthread_cond_init(&core->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    return error;
}

struct atls_quoter_core *atls_quoter_core_new(struct atls_quoter_setup *setup,
                                              atls_quoter_log *log,
                                              void *log_arg,
                                              unsigned generation)
{
    struct atls_quoter_core *core = OPENSSL_zalloc(sizeof(*core));

    if (core == NULL)
        return NULL;
    atls_descriptor_set(&core->wake, atls_open_socket(AF_UNIX, SOCK_DGRAM));
    if (core->wake.fd < 0) {
        OPENSSL_free(core);
        return NULL;
    }
    core->refs = 1;
    core->generation = generation;
    core->log = log;
    core->log_arg = log_arg;
    atomic_flag_clear(&core->is_boot_size_told);
    TAILQ_INIT(&core->queue);
    core->setup = atls_quoter_setup_ref(setup);
    (void)pthread_mutex_init(&core->lock, NULL); /* cannot fail on Linux */
    (void)init_conditions(core);
    return core;
}

void atls_quoter_block_signals(sigset_t *ret_signals)
{
    sigset_t all;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_signals);
}

void atls_quoter_core_lock(struct atls_quoter_core *core, sigset_t *ret_signals)
{
    atls_quoter_block_signals(ret_signals);
    pthread_mutex_lock(&core->lock);
}

void atls_quoter_core_unlock(struct atls_quoter_core *core,
                             const sigset_t *signals)
{
    pthread_mutex_unlock(&core->lock);
    (void)pthread_sigmask(SIG_SETMASK, signals, NULL);
}

int atls_quoter_core_wake_fd(const struct atls_quoter_core *core)
{
    return atls_descriptor_is_ours(&core->wake) ? core->wake.fd : -1;
}

void atls_quoter_core_leave(struct atls_quoter_core *core)
{
    bool is_last = --core->refs == 0;

    pthread_mutex_unlock(&core->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&core->ended);
    pthread_cond_destroy(&core->work);
    pthread_mutex_destroy(&core->lock);
    atls_descriptor_close(&core->wake);
    atls_quoter_setup_unref(core->setup);
    OPENSSL_free(core);
}

/* Signals stay blocked while it logs: stop waits for whoever does, and must not be
 * called in its thread meanwhile. */
void atls_quoter_note(struct atls_quoter_core *core, int level, const char *fmt,
                      ...)
{
    char text[NOTE_MAX];
    atls_quoter_log *log;
    sigset_t signals;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    atls_quoter_core_lock(core, &signals);
    log = core->is_stopping ? NULL : core->log;
    if (log != NULL) {
        core->logging++;
        pthread_mutex_unlock(&core->lock);
        log(core->log_arg, level, text);
        pthread_mutex_lock(&core->lock);
        core->logging--;
        pthread_cond_broadcast(&core->ended);
    }
    atls_quoter_core_unlock(core, &signals);
}

/* --- tickets and batches -------------------------------------------------------- */

struct atls_ticket *atls_ticket_new(struct atls_quoter_core *core)
{
    struct atls_ticket *ticket = OPENSSL_zalloc(sizeof(*ticket));

    if (ticket == NULL)
        return NULL;
    ticket->core = core;
    ticket->generation = core->generation;
    ticket->timer_fd = -1;
    (void)sem_init(&ticket->ready, 0, 0); /* cannot fail */
    return ticket;
}

void atls_ticket_free(struct atls_ticket *ticket)
{
    atls_batch_unref(ticket->batch);
    sem_destroy(&ticket->ready);
    OPENSSL_free(ticket);
}

void atls_tickets_free(struct atls_tickets *tickets)
{
    struct atls_ticket *ticket;

    while ((ticket = TAILQ_FIRST(tickets)) != NULL) {
        TAILQ_REMOVE(tickets, ticket, entry);
        atls_ticket_free(ticket);
    }
}

/* Its result is there: tell whoever waits for it, its timer and its list. */
static void complete(struct atls_ticket *ticket, enum atls_error result,
                     struct atls_batch *batch)
{
    const struct itimerspec now = {.it_value = {.tv_nsec = 1}};

    ticket->state = ATLS_DONE;
    ticket->result = result;
    ticket->batch = batch;
    if (batch != NULL)
        atomic_fetch_add(&batch->refs, 1);
    if (ticket->timer_fd >= 0)
        (void)timerfd_settime(ticket->timer_fd, TFD_TIMER_ABSTIME, &now, NULL);
    atls_done_link_add(&ticket->done);
    (void)sem_post(&ticket->ready);
}

void atls_tickets_complete(struct atls_quoter_core *core,
                           struct atls_tickets *tickets, enum atls_error result,
                           struct atls_batch *batch,
                           struct atls_tickets *ret_abandoned)
{
    struct atls_ticket *ticket;

    TAILQ_INIT(ret_abandoned);
    while ((ticket = TAILQ_FIRST(tickets)) != NULL) {
        TAILQ_REMOVE(tickets, ticket, entry);
        if (ticket->is_abandoned) {
            TAILQ_INSERT_TAIL(ret_abandoned, ticket, entry);
            core->refs--; /* the quoter's or the thread's keep it above zero */
            continue;
        }
        complete(ticket, result, batch);
        if (result == ATLS_OK)
            core->served++;
    }
}

struct atls_batch *atls_batch_new(void)
{
    struct atls_batch *batch = OPENSSL_zalloc(sizeof(*batch));

    if (batch == NULL)
        return NULL;
    atomic_init(&batch->refs, 1);
    TAILQ_INIT(&batch->tickets);
    return batch;
}

void atls_batch_unref(struct atls_batch *batch)
{
    if (batch == NULL || atomic_fetch_sub(&batch->refs, 1) != 1)
        return;
    atls_merkle_tree_free(batch->tree);
    atls_events_unref(batch->events);
    atls_boot_events_unref(batch->boot);
    OPENSSL_free(batch);
}
