/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_SERVER_H
#define ATTEST_AGENT_SERVER_H

#include "agent/server_config.h"
#include "base/error.h"

/*
 * attestd's loop: one thread, which waits for nothing but epoll. Whoever is at
 * the other end of a connection may be hostile: each message is checked, answers
 * are sent once and never waited for, and what connections cost is bounded
 * (clients.h).
 *
 *              | request            | answer is there | peer is gone | too late
 *   idle       | checked, submitted | -               | closed       | -
 *   waiting    | refused, closed    | sent; idle      | dropped      | refused; idle
 *
 * A request that is malformed, or of somebody who is not allowed, is answered
 * with a refusal and the connection closed.
 */
struct agent_server;

/*
 * Read the configuration; serve nobody yet.
 * Returns ATLS_OK, ATLS_E_IO (no descriptors), ATLS_E_NOMEM, and what
 * agent_service_load() returns.
 */
enum atls_error agent_server_new(
    const struct agent_server_config *config, struct atls_reason *why,
    struct agent_server **ret_server) ATLS_MUST_CHECK;
void agent_server_free(struct agent_server *server); /* NULL is fine */

/* Serve until agent_server_stop(). What waits then is refused. */
void agent_server_run(struct agent_server *server);

/* From any thread. */
void agent_server_stop(struct agent_server *server);
void agent_server_reload(struct agent_server *server);

#endif
