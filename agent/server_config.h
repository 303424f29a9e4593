/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_SERVER_CONFIG_H
#define ATTEST_AGENT_SERVER_CONFIG_H

#include <stddef.h>

#include "agent/access.h"
#include "base/error.h"
#include "base/log.h"

/* What attestd's server is made of (server.h). */
struct agent_server_config {
    const char *path; /* of attestd.cnf; borrowed */
    int listener;     /* listening, SOCK_SEQPACKET; borrowed */
    /* signalfd(2) of SIGHUP, to reload, and others, to end; borrowed. They stay
     * blocked as long as the process lives: one that comes when it is ending has
     * nothing left to ask of. -1 in tests. */
    int signals;
    size_t connections_max; /* at least 1 */
    struct atls_log *log;   /* outlives the server; may be NULL */
    /* Who a connection is of: agent_peer_of(), but in tests. */
    enum atls_error (*peer_of)(int fd, struct atls_reason *why,
                               struct agent_peer *ret_peer);
    /* In tests: make up who sent a message. NULL: nobody does. */
    void (*rename_sender)(struct ucred *sender);
};

#endif
