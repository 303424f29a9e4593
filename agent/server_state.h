/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_SERVER_STATE_H
#define ATTEST_AGENT_SERVER_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/clients.h"
#include "agent/server_config.h"
#include "agent/service.h"
#include "attester/agent_wire.h"
#include "attester/quoter.h"
#include "base/ratelimit.h"

/* The state of attestd's server, which server.c (the loop) and request.c (what is asked
 * on a connection) share. One thread uses it; others set only the two atomic members. */

/* What the service manager is told while nothing is wrong. */
#define AGENT_SERVER_SERVING "Answering requests"

struct agent_server {
    struct agent_server_config config;
    int epoll_fd;
    int wake_fd; /* eventfd: something was asked from outside of the loop */
    atomic_bool is_stopping;
    atomic_bool is_reloading;
    struct atls_done_list *done; /* owners are connections */
    struct agent_clients clients;
    struct agent_service *service; /* in force; a reference */
    int64_t checked_ms;            /* whether its files have changed */
    struct atls_reason failure;    /* of the last reload, if that failed */
    bool lacks_file;               /* and that was told */
    struct atls_ratelimit refusals[ATLS_E_COUNT]; /* by their code */
    bool
        lacks_descriptors; /* close a connection when none is being looked at */
    int64_t listen_at_ms;  /* 0: listening; else no descriptors until then */
    int64_t watchdog_ms;   /* 0: none */
    int64_t watchdog_at_ms;
    uint8_t request[ATLS_AGENT_REQUEST_MAX];
    uint8_t answer[ATLS_AGENT_ANSWER_MAX];
};

/* Have epoll tell when fd is readable or closed, with owner as its data. */
bool agent_server_watch(const struct agent_server *server, int fd, void *owner);

/*
 * Take in a connection, and have epoll tell what it sends.
 *   fd, peer     taken over in every case
 *   is_stranger  may not ask
 * ATLS_OK, ATLS_E_NOMEM, ATLS_E_IO.
 */
enum atls_error agent_server_adopt(
    struct agent_server *server, int fd, struct agent_peer *peer,
    bool is_stranger, struct agent_connection **ret_connection) ATLS_MUST_CHECK;

/* Read the configuration again, and what it names. What is wrong is logged, and the
 * service in force stays. */
void agent_server_load_again(struct agent_server *server);

/* Take up files that have changed, if it is time to look. */
void agent_server_refresh(struct agent_server *server);

#endif
