/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/refusal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "attester/clock.h"

#define INTERVAL_MS 1000

/* By code. No lock, which a fork could find taken. */
static struct {
    atomic_int_least64_t logged_ms; /* 0: never */
    atomic_uint unlogged;           /* since then */
} refusals[ATLS_E_COUNT];

/* Of several threads one has the turn. */
static bool takes_turn(enum atls_error code)
{
    int_least64_t now_ms = atls_now_ms();
    int_least64_t logged_ms = atomic_load(&refusals[code].logged_ms);

    if (logged_ms != 0 && now_ms < logged_ms + INTERVAL_MS)
        return false;
    return atomic_compare_exchange_strong(&refusals[code].logged_ms, &logged_ms,
                                          now_ms);
}

void atls_refusal_log(struct atls_log *log, const struct atls_reason *why)
{
    char more[48] = "";
    unsigned unlogged;

    if (!takes_turn(why->code)) {
        atomic_fetch_add(&refusals[why->code].unlogged, 1);
        return;
    }
    unlogged = atomic_exchange(&refusals[why->code].unlogged, 0);
    if (unlogged > 0)
        snprintf(more, sizeof(more), " (and %u before that)", unlogged);
    atls_log_write(log, ATLS_LOG_ERROR, "handshake refused: %s%s", why->text,
                   more);
}
