/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_AGENT_STANDING_H
#define ATLS_ATTESTER_AGENT_STANDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/descriptor.h"
#include "base/error.h"

/* The standing connection of agent_client.h: a connection kept open in somebody else's
 * program, over which the agent hands out others. Threads and forked children use one
 * standing connection at once, without a lock: a request is one message, an answer is
 * one message, and it does not matter whose answer one gets. */
struct atls_agent_standing {
    struct atls_shared_descriptor socket;
    /* It kept somebody waiting in vain: nobody waits long until it answers. */
    atomic_bool is_slow;
};

/* Is there one whose other end is open? */
bool atls_agent_standing_is_open(const struct atls_agent_standing *standing);

/* Put a connection in its place, and close the one before it. */
void atls_agent_standing_set(struct atls_agent_standing *standing, int fd);

/* Close it, if it is still ours. */
void atls_agent_standing_close(struct atls_agent_standing *standing);

/*
 * A connection out of the standing connection.
 *   deadline_ms  CLOCK_MONOTONIC; waits 1 s at most, and 5 ms where it has kept
 *                somebody waiting in vain
 *   ret_fd       set only on success; CLOEXEC
 * ATLS_OK, ATLS_E_AGENT_UNAVAILABLE (closed, or silent), ATLS_E_QUEUE_FULL,
 * ATLS_E_AGENT_PROTOCOL, ATLS_E_IO (no descriptors), or the agent's refusal as it
 * gave it.
 */
enum atls_error atls_agent_standing_ask(struct atls_agent_standing *standing,
                                        int64_t deadline_ms,
                                        struct atls_reason *why,
                                        int *ret_fd) ATLS_MUST_CHECK;

#endif
