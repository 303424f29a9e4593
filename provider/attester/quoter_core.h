/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_CORE_H
#define ATLS_ATTESTER_QUOTER_CORE_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "attester/quoter.h"
#include "attester/quoter_done.h"
#include "attester/quoter_setup.h"
#include "attester/tpm.h"
#include "base/descriptor.h"
#include "base/digest.h"
#include "base/error.h"
#include "evidence/merkle.h"
#include "evidence/pcr.h"

/* What quoter*.c share. */

/*
 * Locks and the program's signals. A handler of the program may end it: exit() then
 * calls atls_quoter_stop() in the thread that the handler has interrupted, wherever
 * that was. So that stop never waits for this very thread,
 *   - a core's lock is taken by atls_quoter_core_lock(), which blocks all signals until
 *     it is given back, and by the quoter's thread, which has them blocked for its
 *     life. Whoever holds it goes on, and soon: under it nothing is allocated, freed or
 *     started, and nobody else's function is called;
 *   - atls_quoter_submit() and _drop(), which allocate and start the thread, block
 *     signals as a whole, and so does whoever calls the log function;
 *   - a handshake waits on its ticket's semaphore, without the lock and with signals as
 *     the program has them. Conditions are for threads that have them blocked: one that
 *     is interrupted in pthread_cond_wait() holds the lock, or the condition's own.
 *
 * The thread of a core. Who finds NONE makes it STARTING, and starts it without the
 * lock.
 *
 *             | submit           | created  | not created     | stop
 *   NONE      | STARTING, queued | -        | -               | (stays NONE)
 *   STARTING  | queued           | RUNNING  | NONE; all that  | waits for the next
 *             |                  |          | is queued fails | state; LEFT after 2 s
 *   RUNNING   | queued           | -        | -               | LEFT: joined once it
 *             |                  |          |                 | has ended, detached
 *             |                  |          |                 | after 2 s
 *   LEFT      | refused          | detached | (stays LEFT)    | (stays LEFT)
 *
 * Stop may come before the first submit: from then on, in any state, what is submitted
 * is refused, and what is queued fails. A fork leaves the child with a core of its own
 * to make, in NONE, whatever the parent has.
 */
enum atls_quoter_thread_state {
    ATLS_THREAD_NONE,
    ATLS_THREAD_STARTING,
    ATLS_THREAD_RUNNING, /* also when it has ended: it is there to be joined */
    ATLS_THREAD_LEFT
};

/*
 * A ticket's life. It belongs to the handshake that waits for it until that
 * drops it; an IN_FLIGHT one that is dropped belongs to the thread.
 *
 *             | thread takes   | thread is done | dropped     | stop
 *   WAITING   | IN_FLIGHT      | -              | freed       | DONE
 *   IN_FLIGHT | -              | DONE, or freed | abandoned   | (is done soon)
 *   DONE      | -              | -              | freed       | -
 */
enum atls_ticket_state { ATLS_WAITING, ATLS_IN_FLIGHT, ATLS_DONE };

struct atls_batch;

struct atls_ticket {
    TAILQ_ENTRY(atls_ticket) entry; /* in the queue, or in a batch */
    struct atls_quoter_core *core;  /* a reference */
    unsigned generation;            /* the core's: a core of another is gone */
    int64_t deadline_ms;
    uint8_t leaf[ATLS_SHA256_LEN];
    struct atls_formats formats; /* that its peer takes */
    bool must_be_measured;       /* or there is no evidence for: */
    uint8_t certificate[ATLS_SHA256_LEN];
    uint16_t place; /* in the tree; the thread's until it is done */
    sem_t ready;    /* posted once, when it is done */
    /* Below: called with lock held. */
    enum atls_ticket_state state;
    bool is_abandoned;
    int timer_fd; /* -1: none */
    struct atls_done_link done;
    enum atls_error result;   /* of a done one that no batch was made for */
    struct atls_batch *batch; /* of another done one: a reference */
};

TAILQ_HEAD(atls_tickets, atls_ticket);

/* One quote and all that it is for. The thread fills it in; from then on it
 * does not change, and those who encode their evidence share it. */
struct atls_batch {
    atomic_uint refs;
    enum atls_error result;
    struct atls_reason why;
    struct atls_merkle_tree *tree;
    struct atls_tpm_quote quote;
    struct atls_pcr_values values;
    struct atls_events *events;    /* NULL: no log is sent */
    struct atls_boot_events *boot; /* NULL: no boot log is sent */
    int64_t deadline_ms;           /* nobody waits any longer */
    struct atls_tickets tickets;   /* while in flight; the thread's */
    size_t count;
};

/*
 * What a quoter has in one process: queue and thread. The child of a fork gets
 * one of its own; that of the parent is left as it is, because locks, thread
 * and connection to the TPM are not the child's.
 */
struct atls_quoter_core {
    struct atls_quoter_setup *setup;
    unsigned generation;
    /* A socket that is shut down, and so readable, once the thread shall stop: it has
     * an inode of its own, which an eventfd has not. */
    struct atls_descriptor wake;
    pthread_mutex_t lock; /* see above */
    pthread_cond_t work;  /* the thread waits: for tickets, or the end */
    pthread_cond_t ended; /* stop waits: for the thread, and for loggers */
    /* Below: called with lock held. */
    unsigned refs; /* the quoter, the thread, each ticket */
    enum atls_quoter_thread_state thread_state;
    bool is_stopping;
    unsigned logging; /* threads in the log function */
    bool has_ended;
    pthread_t thread; /* once it is RUNNING */
    struct atls_tickets queue;
    size_t queue_count;
    uint64_t quotes;
    uint64_t served;
    atls_quoter_log *log;
    void *log_arg;
    /* The administrator knows that the boot log does not fit into evidence. */
    atomic_flag is_boot_size_told;
};

/* NULL: out of memory or of descriptors, see errno. One reference, and one of
 * setup's. */
struct atls_quoter_core *atls_quoter_core_new(struct atls_quoter_setup *setup,
                                              atls_quoter_log *log,
                                              void *log_arg,
                                              unsigned generation);

/* Block all signals of this thread.
 *   signals  what was blocked before: for pthread_sigmask() */
void atls_quoter_block_signals(sigset_t *ret_signals);

/* Take the lock with all signals blocked; give both back. Not nested.
 *   signals  what was blocked before */
void atls_quoter_core_lock(struct atls_quoter_core *core,
                           sigset_t *ret_signals);
void atls_quoter_core_unlock(struct atls_quoter_core *core,
                             const sigset_t *signals);

/* Readable once the thread shall stop; -1: the program has closed it. */
int atls_quoter_core_wake_fd(const struct atls_quoter_core *core);

/* Let go of a reference, and free when it was the last. Called with lock held, which
 * is given back; signals stay blocked. */
void atls_quoter_core_leave(struct atls_quoter_core *core);

/* The caller has made it STARTING: start it. With signals blocked and without the
 * lock. ATLS_OK, or ATLS_E_INTERNAL: then all that waits fails with that. */
enum atls_error atls_quoter_thread_start(
    struct atls_quoter_core *core, struct atls_reason *why) ATLS_MUST_CHECK;

/* Stop the thread and fail what waits; waits for a bounded time, then lets the
 * thread end by itself. The log function is not called after this returns. Also in a
 * signal handler, whatever it has interrupted. */
void atls_quoter_thread_stop(struct atls_quoter_core *core);

/* Complete tickets of a list, and take them out of it. Called with lock held.
 *   batch          a reference for each; NULL: none was made
 *   ret_abandoned  gets those that nobody waits for: atls_tickets_free() them
 *                  without the lock */
void atls_tickets_complete(struct atls_quoter_core *core,
                           struct atls_tickets *tickets, enum atls_error result,
                           struct atls_batch *batch,
                           struct atls_tickets *ret_abandoned);
void atls_tickets_free(struct atls_tickets *tickets);

/* Tickets that are in no list; not their references of the core. NULL: no memory. */
struct atls_ticket *atls_ticket_new(struct atls_quoter_core *core);
void atls_ticket_free(struct atls_ticket *ticket);

/* Of one reference. NULL: no memory. */
struct atls_batch *atls_batch_new(void);
void atls_batch_unref(struct atls_batch *batch); /* NULL is fine */

/* The evidence of a ticket that is done with a batch. As of atls_ticket_wait(). */
enum atls_error atls_quoter_encode(const struct atls_ticket *ticket,
                                   struct atls_reason *why, uint8_t **ret_cmw,
                                   size_t *ret_len) ATLS_MUST_CHECK;

/* Tell the administrator. Without the lock. */
void atls_quoter_note(struct atls_quoter_core *core, int level, const char *fmt,
                      ...) __attribute__((format(printf, 3, 4)));

#endif
