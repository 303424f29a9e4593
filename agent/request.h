/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_REQUEST_H
#define ATTEST_AGENT_REQUEST_H

#include <stdbool.h>

#include "agent/server_state.h"
#include "base/error.h"

/* What is asked on a connection, and answered (PROTOCOL.md "Agent"). */

/* A connection is readable. It may be gone afterwards. */
void agent_server_receive(struct agent_server *server,
                          struct agent_connection *connection);

/* Its evidence is there, or late. It may be gone afterwards. */
void agent_server_finish(struct agent_server *server,
                         struct agent_connection *connection);

/* Answer with a refusal. False when that cannot be sent. */
bool agent_server_refuse(struct agent_server *server,
                         struct agent_connection *connection,
                         const struct atls_reason *why);

#endif
