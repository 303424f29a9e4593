/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_H
#define ATLS_ATTESTER_QUOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "base/span.h"

/*
 * The quoter turns requests of handshakes into complete evidence. One thread
 * owns the TPM; one quote is in flight; what queues meanwhile forms the next
 * batch (Merkle tree); an idle quoter quotes at once. The thread is started at
 * the first request and again in a forked child. All its signals are blocked.
 *
 * Signals of the program wait while a function has a lock, never while it waits for
 * the TPM.
 *
 * Every function may be called from any thread, and in the child of a fork made
 * at any moment: the child gets a queue, a thread and a connection of its own,
 * and fails tickets of the parent. Of the parent's descriptors a socket and,
 * with device:, the TPM's stay open in the child, unused, until it execs.
 */
struct atls_quoter;

/* The longest time that a handshake may wait for its quote. */
#define ATLS_QUOTER_TIMEOUT_MAX_MS 600000u

/* All strings are copied. */
struct atls_quoter_config {
    const char *tcti;         /* after "tcti:" */
    const char *ak;           /* handle or file */
    const char *ak_auth;      /* "file:PATH", or NULL: empty */
    const char *ak_chain;     /* PEM: AK certificate, then intermediates */
    const char *pcrs;         /* selection text; NULL: sha256:0-9,11-15 */
    const char *measured_log; /* CEL-JSON; NULL: none is sent */
    /* Evidence is for certificates only that stand in it; and for the stand-in of
     * evidence/binding.h, which no TLS peer can show. */
    bool needs_measured_certificate;
    const char *boot_log;      /* the firmware's; NULL: none is sent */
    bool is_boot_log_optional; /* say nothing where it cannot be opened */
    unsigned measure_pcr;
    unsigned timeout_ms; /* 1..ATLS_QUOTER_TIMEOUT_MAX_MS */
    unsigned max_queue;  /* 1..ATLS_BATCH_MAX waiting requests */
};

/* Where the quoter reports what an administrator should know (level as of
 * log.h); may be NULL. Called from the quoter's thread and from those that wait
 * for tickets, never with a lock held. */
typedef void atls_quoter_log(void *arg, int level, const char *text);

/*
 * Make a quoter: reads and checks ak_chain and ak_auth, parses pcrs, reads
 * boot_log (that it cannot is told with the first quote, and no error). Opens no
 * TPM, starts no thread. Returns ATLS_OK, ATLS_E_CONFIG, ATLS_E_IO,
 * ATLS_E_NOMEM with file and line or key in why.
 */
enum atls_error atls_quoter_new(
    const struct atls_quoter_config *config, atls_quoter_log *log,
    void *log_arg, struct atls_reason *why,
    struct atls_quoter **ret_quoter) ATLS_MUST_CHECK;

/* Stops the thread, fails what waits; 2 s at most, then the thread is left to
 * end by itself. The log function is not called any more. Nobody may submit at
 * the same time, but tickets may be waited for or dropped later. NULL is fine. */
void atls_quoter_free(struct atls_quoter *quoter);

/* The first half of it, for the end of a program: libcrypto goes away before the
 * quoter can be freed. What is submitted from then on, or was at that moment, is
 * ATLS_E_NO_ATTESTER, and no thread is started for it. May be called again, and by
 * exit() in a signal handler, whatever that has interrupted (quoter_core.h). */
void atls_quoter_stop(struct atls_quoter *quoter);

/* One handshake's request, shared by the handshake and the quoter's thread;
 * whoever lets go last frees it. */
struct atls_ticket;

/*
 * Queue a request; never blocks on the TPM. The quoter computes the binding
 * itself from role, channel and certificate.
 *   formats  at least one: the first is made, unless it is the one with a boot
 *            log, there is none to send and another is among them
 * Returns ATLS_OK, ATLS_E_QUEUE_FULL, ATLS_E_NOMEM, ATLS_E_CRYPTO,
 * ATLS_E_INTERNAL (no thread).
 */
enum atls_error atls_quoter_submit(
    struct atls_quoter *quoter, enum atls_role role,
    const uint8_t channel[ATLS_CHANNEL_LEN], struct atls_span cert_der,
    const struct atls_formats *formats, struct atls_reason *why,
    struct atls_ticket **ret_ticket) ATLS_MUST_CHECK;

/*
 * Wait for the evidence, at most the configured timeout from submission.
 *   ret_cmw  set only on success; OPENSSL_free() it
 * Frees the ticket in every case. Returns ATLS_OK, ATLS_E_TIMEOUT,
 * ATLS_E_LOG_MISMATCH (the measured log does not lead to its PCR: which of them was
 * lost, and what to do, in why), ATLS_E_LOG_UNREADABLE, ATLS_E_LOG_BUSY,
 * ATLS_E_CERTIFICATE_UNMEASURED, or the quoter's own
 * error (ATLS_E_TPM_UNAVAILABLE, ...).
 */
enum atls_error atls_ticket_wait(struct atls_ticket *ticket,
                                 struct atls_reason *why, uint8_t **ret_cmw,
                                 size_t *ret_len) ATLS_MUST_CHECK;

/*
 * For a handshake that parks instead of waiting (ASYNC): have a timer become
 * readable when the ticket is done or its time is over, whichever is first;
 * atls_ticket_wait() then returns at once.
 *   timer_fd  timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC) of
 *             the caller; used until the ticket is waited for or dropped, so
 *             drop the ticket before closing it
 * Returns ATLS_OK or ATLS_E_INTERNAL (not a timer).
 */
enum atls_error atls_ticket_notify(struct atls_ticket *ticket, int timer_fd,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Would atls_ticket_wait() return at once? */
bool atls_ticket_is_ready(struct atls_ticket *ticket);

/* CLOCK_MONOTONIC, ms: atls_ticket_wait() fails with ATLS_E_TIMEOUT then. */
int64_t atls_ticket_deadline_ms(const struct atls_ticket *ticket);

/*
 * For one thread that waits for many tickets with one descriptor (attestd): the
 * tickets that are done gather in a list, in the order in which they became so.
 * One that is late need not appear, because others of its batch may still be in
 * time: who owns the list keeps a timer for the earliest
 * atls_ticket_deadline_ms().
 *
 *   submit -> gather -> fd readable -> pop -> atls_ticket_wait() (returns at once)
 *
 * A ticket may be waited for or dropped at any time, popped or not; it leaves the
 * list then. Of the process that made it alone: a forked child has nothing to do
 * with it. Thread-safe.
 */
struct atls_done_list;

/* ATLS_OK, ATLS_E_NOMEM, ATLS_E_IO (no descriptors). */
enum atls_error atls_done_list_new(
    struct atls_reason *why, struct atls_done_list **ret_list) ATLS_MUST_CHECK;

/* Once every ticket that was gathered there is waited for or dropped. Closes the
 * descriptor. NULL is fine. */
void atls_done_list_free(struct atls_done_list *list);

/* An eventfd of the list's own, O_NONBLOCK and FD_CLOEXEC: readable as long as
 * the list is not empty. For poll() and epoll only: the list reads and writes it,
 * and closes it in atls_done_list_free(). */
int atls_done_list_fd(const struct atls_done_list *list);

/*
 * Have a ticket appear in the list when it is done: at once when it is already.
 * Not more than once for a ticket, and not beside atls_ticket_notify().
 *   owner  what atls_done_list_pop() returns for it; not NULL, borrowed
 * Returns ATLS_OK or ATLS_E_INTERNAL (a ticket of another process).
 */
enum atls_error atls_ticket_gather(struct atls_ticket *ticket,
                                   struct atls_done_list *list, void *owner,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Takes the first ticket out of the list, and nothing else: it still has to be
 * waited for or dropped. Returns its owner, NULL when the list is empty. */
void *atls_done_list_pop(struct atls_done_list *list);

/* Let go of a ticket without waiting. NULL is fine. */
void atls_ticket_drop(struct atls_ticket *ticket);

/* Quotes made and handshakes served so far, for tests and benchmarks. */
void atls_quoter_counters(struct atls_quoter *quoter, uint64_t *ret_quotes,
                          uint64_t *ret_served);

#endif
