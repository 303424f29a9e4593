/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/ratelimit.h"

#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

#define INTERVAL_MS 1000

/* Of several threads one has the turn. */
static bool takes_turn(struct atls_ratelimit *pace)
{
    int_least64_t now_ms = atls_now_ms();
    int_least64_t logged_ms = atomic_load(&pace->logged_ms);

    if (logged_ms != 0 && now_ms < logged_ms + INTERVAL_MS)
        return false;
    return atomic_compare_exchange_strong(&pace->logged_ms, &logged_ms, now_ms);
}

bool atls_ratelimit_turn(struct atls_ratelimit *pace,
                         char ret_more[ATLS_RATELIMIT_MORE_SIZE])
{
    unsigned unlogged;

    if (!takes_turn(pace)) {
        atomic_fetch_add(&pace->unlogged, 1);
        return false;
    }
    unlogged = atomic_exchange(&pace->unlogged, 0);
    ret_more[0] = '\0';
    if (unlogged > 0)
        snprintf(ret_more, ATLS_RATELIMIT_MORE_SIZE, " (and %u before that)",
                 unlogged);
    return true;
}
