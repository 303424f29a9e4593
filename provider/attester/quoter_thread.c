/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "attester/clock.h"
#include "attester/quoter_boot.h"
#include "attester/quoter_core.h"
#include "attester/quoter_events.h"
#include "attester/quoter_tpm.h"
#include "attester/quoter_tree.h"
#include "opening.h"

/* What we call needs a tenth of it; ESYS and getaddrinfo() need most. */
#define STACK_OCTETS (512u * 1024)

/* A program that ends does not wait longer than this for a TPM. */
#define STOP_LIMIT_MS 2000

#define NOTE_MAX 400

/* The thread's own. */
struct worker {
    struct atls_quoter_core *core;
    struct atls_quoter_tpm tpm;
    struct atls_events_cache events;
    struct atls_boot_cache boot;
};

void atls_quoter_note(struct atls_quoter_core *core, int level, const char *fmt,
                      ...)
{
    char text[NOTE_MAX];
    atls_quoter_log *log;
    va_list args;

    pthread_mutex_lock(&core->lock);
    log = core->is_stopping ? NULL : core->log;
    if (log != NULL)
        core->logging++;
    pthread_mutex_unlock(&core->lock);
    if (log == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log(core->log_arg, level, text);
    pthread_mutex_lock(&core->lock);
    core->logging--;
    pthread_cond_broadcast(&core->done);
    pthread_mutex_unlock(&core->lock);
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

void atls_ticket_free(struct atls_ticket *ticket)
{
    atls_batch_unref(ticket->batch);
    OPENSSL_free(ticket);
}

void atls_ticket_complete(struct atls_ticket *ticket, enum atls_error result,
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
}

/* Everything that waits. Called with lock held. */
static void take_tickets(struct atls_quoter_core *core,
                         struct atls_batch *batch)
{
    struct atls_ticket *ticket = NULL;

    TAILQ_FOREACH(ticket, &core->queue, entry)
    {
        ticket->state = ATLS_IN_FLIGHT;
        batch->count++;
        if (ticket->deadline_ms > batch->deadline_ms)
            batch->deadline_ms = ticket->deadline_ms;
    }
    TAILQ_CONCAT(&batch->tickets, &core->queue, entry);
    core->queue_count = 0;
}

/* Tickets in flight do not change, and are freed by this thread only: no lock. */
static bool wants_boot_log(const struct atls_batch *batch)
{
    const struct atls_ticket *ticket = NULL;

    TAILQ_FOREACH(ticket, &batch->tickets, entry)
    {
        if (atls_formats_want_boot_log(&ticket->formats))
            return true;
    }
    return false;
}

static enum atls_error serve(struct worker *w, struct atls_batch *batch)
{
    enum atls_error r = atls_quoter_plant(batch);

    if (r != ATLS_OK)
        return r;
    r = atls_quoter_tpm_quote(&w->tpm, batch);
    if (r != ATLS_OK)
        return r;
    r = atls_events_for(&w->events, w->core, &w->tpm, batch);
    if (r != ATLS_OK)
        return r;
    if (wants_boot_log(batch))
        batch->boot = atls_boot_events_for(&w->boot, w->core, &batch->values);
    return ATLS_OK;
}

/* Hand the result out. Called with lock held. */
static void complete_tickets(struct atls_quoter_core *core,
                             struct atls_tickets *tickets,
                             enum atls_error result, struct atls_batch *batch)
{
    struct atls_ticket *ticket;

    while ((ticket = TAILQ_FIRST(tickets)) != NULL) {
        TAILQ_REMOVE(tickets, ticket, entry);
        if (ticket->is_abandoned) {
            atls_ticket_free(ticket);
            core->refs--; /* the thread's own keeps it above zero */
            continue;
        }
        atls_ticket_complete(ticket, result, batch);
        if (result == ATLS_OK)
            core->served++;
    }
    pthread_cond_broadcast(&core->done);
}

/* Called with lock held, which is given up meanwhile. */
static void make_batch(struct worker *w)
{
    struct atls_quoter_core *core = w->core;
    struct atls_batch *batch = OPENSSL_zalloc(sizeof(*batch));

    if (batch == NULL) {
        complete_tickets(core, &core->queue, ATLS_E_NOMEM, NULL);
        core->queue_count = 0;
        return;
    }
    atomic_init(&batch->refs, 1);
    TAILQ_INIT(&batch->tickets);
    take_tickets(core, batch);
    pthread_mutex_unlock(&core->lock);
    batch->result = serve(w, batch);
    pthread_mutex_lock(&core->lock);
    if (batch->result == ATLS_OK)
        core->quotes++;
    complete_tickets(core, &batch->tickets, batch->result, batch);
    atls_batch_unref(batch);
}

static void *run(void *arg)
{
    struct worker w = {.core = arg};
    struct atls_quoter_core *core = arg;

    (void)pthread_setname_np(pthread_self(), "attest-quoter");
    atls_quoter_tpm_init(&w.tpm, core);
    pthread_mutex_lock(&core->lock);
    while (!core->is_stopping) {
        if (TAILQ_EMPTY(&core->queue))
            pthread_cond_wait(&core->work, &core->lock);
        else
            make_batch(&w);
    }
    pthread_mutex_unlock(&core->lock);
    atls_quoter_tpm_close(&w.tpm);
    atls_events_clear(&w.events);
    atls_boot_cache_clear(&w.boot);
    pthread_mutex_lock(&core->lock);
    core->has_ended = true;
    pthread_cond_broadcast(&core->done);
    atls_quoter_core_leave(core);
    return NULL;
}

/* Signals are the program's: none may choose this thread. */
static int create_thread(struct atls_quoter_core *core)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    int error;

    error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_attr_setstacksize(&attributes, STACK_OCTETS);
    sigfillset(&all);
    if (error == 0)
        error = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (error == 0) {
        error = pthread_create(&core->thread, &attributes, run, core);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

enum atls_error atls_quoter_thread_start(struct atls_quoter_core *core,
                                         struct atls_reason *why)
{
    int error;

    if (core->has_thread)
        return ATLS_OK;
    core->refs++;
    error = create_thread(core);
    if (error != 0) {
        core->refs--;
        return atls_fail(why, ATLS_E_INTERNAL,
                         "cannot start the quoter's thread: %s; raise the "
                         "limit (ulimit -u, TasksMax=; in HAProxy: "
                         "insecure-fork-wanted)",
                         strerror(error));
    }
    core->has_thread = true;
    return ATLS_OK;
}

/* Has the thread ended? A log function that is being called may take as long as
 * it likes, because its argument must outlive the call. Called with lock held. */
static bool wait_for_end(struct atls_quoter_core *core)
{
    struct timespec limit = atls_timespec_of_ms(atls_now_ms() + STOP_LIMIT_MS);
    bool is_late = false;

    while ((!core->has_ended && !is_late) || core->logging > 0) {
        if (core->has_ended || is_late)
            pthread_cond_wait(&core->done, &core->lock);
        else
            is_late = pthread_cond_timedwait(&core->done, &core->lock, &limit)
                      == ETIMEDOUT;
    }
    return core->has_ended;
}

void atls_quoter_thread_stop(struct atls_quoter_core *core)
{
    const uint64_t one = 1;
    bool has_thread, has_ended;
    ssize_t written;

    pthread_mutex_lock(&core->lock);
    core->is_stopping = true;
    complete_tickets(core, &core->queue, ATLS_E_NO_ATTESTER, NULL);
    core->queue_count = 0;
    written = write(core->wake_fd, &one, sizeof(one));
    (void)written; /* an eventfd at zero takes a one */
    pthread_cond_signal(&core->work);
    has_thread = core->has_thread;
    core->has_thread = false; /* who stops it again finds nothing to join */
    has_ended = has_thread && wait_for_end(core);
    pthread_mutex_unlock(&core->lock);
    if (has_ended)
        pthread_join(core->thread, NULL);
    else if (has_thread)
        pthread_detach(core->thread);
}

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
        error = pthread_cond_init(&core->done, &attributes);
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
    core->wake_fd = atls_open_eventfd();
    if (core->wake_fd < 0) {
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

void atls_quoter_core_leave(struct atls_quoter_core *core)
{
    bool is_last = --core->refs == 0;

    pthread_mutex_unlock(&core->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&core->done);
    pthread_cond_destroy(&core->work);
    pthread_mutex_destroy(&core->lock);
    close(core->wake_fd);
    atls_quoter_setup_unref(core->setup);
    OPENSSL_free(core);
}
