/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_DONE_H
#define ATLS_ATTESTER_QUOTER_DONE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "attester/quoter.h"

/*
 * The quoter's side of atls_done_list (quoter.h). A list has a lock of its own,
 * because tickets of several quoters may gather there; it is taken while a
 * quoter's lock is held, never the other way round.
 */

/* A ticket's place in a list. All zero: in none. Called with the ticket's quoter's
 * lock held. */
struct atls_done_link {
    TAILQ_ENTRY(atls_done_link) entry;
    struct atls_done_list *list; /* NULL: the ticket gathers nowhere */
    void *owner;
    bool is_listed; /* the list's lock */
};

/* The ticket is done. Nothing happens where it gathers nowhere. */
void atls_done_link_add(struct atls_done_link *link);

/* The ticket is let go of: the list is not touched for it any more. */
void atls_done_link_remove(struct atls_done_link *link);

#endif
