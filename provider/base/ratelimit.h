/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_RATELIMIT_H
#define ATLS_BASE_RATELIMIT_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * One kind of log line that others can provoke without end: one a second, with
 * the number of those that were left out. All zero to begin with; thread-safe and
 * without a lock, which a fork could find taken.
 */
struct atls_ratelimit {
    atomic_int_least64_t logged_ms; /* 0: never */
    atomic_uint unlogged;           /* since then */
};

#define ATLS_RATELIMIT_MORE_SIZE 48u

/*
 * Is it this line's turn? One that is not is counted.
 *   ret_more  what to put behind the line: " (and 7 before that)", or ""; set
 *             only when true
 */
bool atls_ratelimit_turn(struct atls_ratelimit *pace,
                         char ret_more[ATLS_RATELIMIT_MORE_SIZE]);

#endif
