/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "attester/quoter_boot.h"
#include "attester/quoter_core.h"
#include "attester/quoter_events.h"
#include "attester/quoter_tpm.h"
#include "attester/quoter_tree.h"

/* What we call needs a tenth of it; ESYS and getaddrinfo() need most. */
#define STACK_OCTETS (512u * 1024)

/* A program that ends does not wait longer than this for a TPM. */
#define STOP_LIMIT_MS 2000

/* The thread's own. */
struct worker {
    struct atls_quoter_core *core;
    struct atls_quoter_tpm tpm;
    struct atls_events_cache events;
    struct atls_boot_cache boot;
};

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
    enum atls_error r = atls_quoter_build_tree(batch);

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

/* Those who waited, to make place for; not the thread's. */
static void finish(struct atls_quoter_core *core, struct atls_tickets *tickets,
                   enum atls_error result, struct atls_batch *batch)
{
    struct atls_tickets abandoned;

    pthread_mutex_lock(&core->lock);
    if (result == ATLS_OK)
        core->quotes++;
    if (tickets == &core->queue)
        core->queue_count = 0;
    atls_tickets_complete(core, tickets, result, batch, &abandoned);
    pthread_mutex_unlock(&core->lock);
    atls_tickets_free(&abandoned);
}

static void make_batch(struct worker *w)
{
    struct atls_quoter_core *core = w->core;
    struct atls_batch *batch = atls_batch_new();

    if (batch == NULL) {
        finish(core, &core->queue, ATLS_E_NOMEM, NULL);
        return;
    }
    pthread_mutex_lock(&core->lock);
    take_tickets(core, batch);
    pthread_mutex_unlock(&core->lock);
    if (batch->count > 0) { /* else all have left meanwhile */
        batch->result = serve(w, batch);
        finish(core, &batch->tickets, batch->result, batch);
    }
    atls_batch_unref(batch);
}

/* Is there any? False: it is the end. */
static bool wait_for_work(struct atls_quoter_core *core)
{
    bool is_stopping;

    pthread_mutex_lock(&core->lock);
    while (!core->is_stopping && TAILQ_EMPTY(&core->queue))
        pthread_cond_wait(&core->work, &core->lock);
    is_stopping = core->is_stopping;
    pthread_mutex_unlock(&core->lock);
    return !is_stopping;
}

/* All signals are blocked here: the lock is taken without more ado. */
static void *run(void *arg)
{
    struct worker w = {.core = arg};
    struct atls_quoter_core *core = arg;

    (void)pthread_setname_np(pthread_self(), "attest-quoter");
    atls_quoter_tpm_init(&w.tpm, core);
    while (wait_for_work(core))
        make_batch(&w);
    atls_quoter_tpm_close(&w.tpm);
    atls_events_clear(&w.events);
    atls_boot_cache_clear(&w.boot);
    pthread_mutex_lock(&core->lock);
    core->has_ended = true;
    pthread_cond_broadcast(&core->ended);
    atls_quoter_core_leave(core);
    return NULL;
}

/* --- start and stop ------------------------------------------------------------- */

/* Signals are the program's: none may choose this thread, which begins with those of
 * whoever starts it. */
static int create_thread(struct atls_quoter_core *core, pthread_t *ret_thread)
{
    pthread_attr_t attributes;
    int error;

    error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_attr_setstacksize(&attributes, STACK_OCTETS);
    if (error == 0)
        error = pthread_create(ret_thread, &attributes, run, core);
    pthread_attr_destroy(&attributes);
    return error;
}

/* The thread has its own reference by now. */
static void note_thread(struct atls_quoter_core *core, pthread_t thread)
{
    bool is_left;

    pthread_mutex_lock(&core->lock);
    is_left = core->thread_state == ATLS_THREAD_LEFT;
    if (!is_left) {
        core->thread = thread;
        core->thread_state = ATLS_THREAD_RUNNING;
    }
    pthread_cond_broadcast(&core->ended);
    pthread_mutex_unlock(&core->lock);
    if (is_left)
        pthread_detach(thread);
}

/* Others may have queued meanwhile and rely on it: they get the same reason. */
static void note_failure(struct atls_quoter_core *core,
                         const struct atls_reason *why)
{
    struct atls_batch *batch = atls_batch_new();
    struct atls_tickets abandoned;

    if (batch != NULL)
        batch->why = *why;
    pthread_mutex_lock(&core->lock);
    core->refs--; /* the thread's: the caller has a ticket's */
    if (core->thread_state == ATLS_THREAD_STARTING)
        core->thread_state = ATLS_THREAD_NONE;
    pthread_cond_broadcast(&core->ended);
    core->queue_count = 0;
    atls_tickets_complete(core, &core->queue, why->code, batch, &abandoned);
    pthread_mutex_unlock(&core->lock);
    atls_tickets_free(&abandoned);
    atls_batch_unref(batch);
}

enum atls_error atls_quoter_thread_start(struct atls_quoter_core *core,
                                         struct atls_reason *why)
{
    struct atls_reason reason;
    pthread_t thread;
    int error = create_thread(core, &thread);

    if (error == 0) {
        note_thread(core, thread);
        return ATLS_OK;
    }
    (void)atls_fail(&reason, ATLS_E_INTERNAL,
                    "cannot start the quoter's thread: %s; raise the limit "
                    "(ulimit -u, TasksMax=; in HAProxy: insecure-fork-wanted)",
                    strerror(error));
    note_failure(core, &reason);
    if (why != NULL)
        *why = reason;
    return reason.code;
}

/* Wait until it is known whether there is a thread and whether it has ended; too long
 * a time is none. A log function that is being called may take as long as it likes,
 * because its argument must outlive the call. Called with lock held. */
static void wait_for_end(struct atls_quoter_core *core,
                         const struct timespec *limit)
{
    bool is_late = false;

    for (;;) {
        bool is_awaited =
            core->thread_state == ATLS_THREAD_STARTING
            || (core->thread_state == ATLS_THREAD_RUNNING && !core->has_ended);

        if (is_awaited && !is_late)
            is_late = pthread_cond_timedwait(&core->ended, &core->lock, limit)
                      == ETIMEDOUT;
        else if (core->logging > 0)
            pthread_cond_wait(&core->ended, &core->lock);
        else
            return;
    }
}

/* Past its last line a thread still gives back what libraries keep for it. It may wait
 * there for a lock of the C library's allocator, which whoever runs a handler in the
 * middle of malloc() holds until this returns. */
static void join(pthread_t thread, const struct timespec *limit)
{
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, limit) != 0)
        pthread_detach(thread);
}

void atls_quoter_thread_stop(struct atls_quoter_core *core)
{
    struct timespec limit = atls_timespec_of_ms(atls_now_ms() + STOP_LIMIT_MS);
    struct atls_tickets abandoned;
    bool is_running, has_ended;
    sigset_t signals;

    atls_quoter_core_lock(core, &signals);
    core->is_stopping = true;
    atls_tickets_complete(core, &core->queue, ATLS_E_NO_ATTESTER, NULL,
                          &abandoned);
    core->queue_count = 0;
    (void)shutdown(atls_quoter_core_wake_fd(core), SHUT_RDWR); /* unix(7) */
    pthread_cond_signal(&core->work);
    wait_for_end(core, &limit);
    is_running = core->thread_state == ATLS_THREAD_RUNNING;
    has_ended = core->has_ended;
    /* Whoever stops it again finds nothing to join. */
    if (core->thread_state != ATLS_THREAD_NONE)
        core->thread_state = ATLS_THREAD_LEFT;
    pthread_mutex_unlock(&core->lock);
    if (is_running && has_ended)
        join(core->thread, &limit);
    else if (is_running)
        pthread_detach(core->thread);
    (void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
    atls_tickets_free(&abandoned);
}
