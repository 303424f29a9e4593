/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_REENTRY_H
#define ATLS_TLS_REENTRY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Callbacks of ours that call the program's. A program may have wrapped ours and
 * call it back (S24), and may do TLS of its own meanwhile (S34): so each callback
 * keeps, for its thread, the objects that it is calling others about.
 */
struct atls_reentry {
    const void *about;
    struct atls_reentry *outer;
};

/* Is this thread within such a call about this object? */
static inline bool atls_reentry_holds(const struct atls_reentry *head,
                                      const void *about)
{
    for (; head != NULL; head = head->outer)
        if (head->about == about)
            return true;
    return false;
}

/* Begin a call; frame lives until it ends. */
static inline void atls_reentry_enter(struct atls_reentry **head,
                                      struct atls_reentry *frame,
                                      const void *about)
{
    *frame = (struct atls_reentry){about, *head};
    *head = frame;
}

static inline void atls_reentry_leave(struct atls_reentry **head,
                                      const struct atls_reentry *frame)
{
    *head = frame->outer;
}

#endif
