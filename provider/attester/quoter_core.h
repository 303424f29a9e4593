/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_CORE_H
#define ATLS_ATTESTER_QUOTER_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "attester/quoter.h"
#include "attester/quoter_done.h"
#include "attester/quoter_setup.h"
#include "attester/tpm.h"
#include "digest.h"
#include "error.h"
#include "evidence/merkle.h"
#include "evidence/pcr.h"

/* What quoter*.c share. */

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
    int wake_fd; /* eventfd: readable once the thread shall stop */
    pthread_mutex_t lock;
    pthread_cond_t work; /* the thread waits: for tickets, or the end */
    pthread_cond_t done; /* others wait: for tickets, or the thread's end */
    /* Below: called with lock held. */
    unsigned refs; /* the quoter, the thread, each ticket */
    bool has_thread;
    bool is_stopping;
    unsigned logging; /* threads in the log function */
    bool has_ended;
    pthread_t thread;
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

/* Called with lock held; unlocks, and frees when it was the last reference. */
void atls_quoter_core_leave(struct atls_quoter_core *core);

/* Start the thread if there is none. Called with lock held. ATLS_OK or
 * ATLS_E_INTERNAL. */
enum atls_error atls_quoter_thread_start(
    struct atls_quoter_core *core, struct atls_reason *why) ATLS_MUST_CHECK;

/* Stop the thread and fail what waits; waits for a bounded time, then lets the
 * thread end by itself. The log function is not called after this returns. */
void atls_quoter_thread_stop(struct atls_quoter_core *core);

/* A ticket's result is there: tell its timer or list. Called with lock held; who
 * calls wakes `done` when all are. */
void atls_ticket_complete(struct atls_ticket *ticket, enum atls_error result,
                          struct atls_batch *batch);

/* Free a ticket that is in no list; not its reference of the core. */
void atls_ticket_free(struct atls_ticket *ticket);

void atls_batch_unref(struct atls_batch *batch); /* NULL is fine */

/* Tell the administrator. Without the lock. */
void atls_quoter_note(struct atls_quoter_core *core, int level, const char *fmt,
                      ...) __attribute__((format(printf, 3, 4)));

#endif
