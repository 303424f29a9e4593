/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_CLIENTS_H
#define ATTEST_AGENT_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "agent/access.h"
#include "agent/service.h"
#include "attester/quoter.h"
#include "error.h"

/*
 * The connections of an agent, by the users who made them, so that none of them
 * takes it away from the others:
 *
 * - A user may have as many requests wait as there are places left: one alone
 *   gets half of them all, and whoever comes then finds a place, too.
 * - When there are as many connections as there may be, the user who has most
 *   loses the one that was idle longest.
 *
 * For one thread.
 */

struct agent_user {
    LIST_ENTRY(agent_user) entry;
    uid_t uid;
    size_t connection_count;
    size_t waiting_count;
    TAILQ_HEAD(agent_connections, agent_connection)
    connections; /* idle longest first */
};

struct agent_connection {
    TAILQ_ENTRY(agent_connection) of_user;
    TAILQ_ENTRY(agent_connection) of_waiting;
    int fd; /* owned */
    struct agent_peer peer;
    struct agent_user *user;
    /* Of its request; NULL: none is in flight. */
    struct atls_ticket *ticket;
    struct agent_service *service; /* a reference: who made the ticket */
};

struct agent_clients {
    int epoll_fd; /* that tells of the connections; borrowed */
    LIST_HEAD(agent_users, agent_user) users;
    size_t connection_count;
    TAILQ_HEAD(agent_waiting, agent_connection)
    waiting; /* the next deadline first */
    size_t waiting_count;
};

/* epoll_fd: connections are taken out of it when they are closed. */
void agent_clients_init(struct agent_clients *clients, int epoll_fd);

/*
 * Take in a connection.
 *   fd, peer        belong to it, on success
 *   ret_connection  lives until agent_clients_remove()
 * Returns ATLS_OK or ATLS_E_NOMEM.
 */
enum atls_error agent_clients_add(
    struct agent_clients *clients, int fd, const struct agent_peer *peer,
    struct agent_connection **ret_connection) ATLS_MUST_CHECK;

/* Close it, and drop its request. */
void agent_clients_remove(struct agent_clients *clients,
                          struct agent_connection *connection);

/* It is in use. */
void agent_clients_touch(struct agent_connection *connection);

/* Which one to close when there are too many; NULL: there are none. */
struct agent_connection *agent_clients_victim(
    const struct agent_clients *clients);

/*
 * May this user have another request wait?
 *   max  how many requests may wait in all
 * Returns ATLS_OK, or ATLS_E_QUEUE_FULL with whose they are.
 */
enum atls_error agent_clients_check_queue(
    const struct agent_clients *clients,
    const struct agent_connection *connection, size_t max,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* Its request waits from now on; takes over the ticket, and a reference of the
 * service. */
void agent_clients_wait(struct agent_clients *clients,
                        struct agent_connection *connection,
                        struct agent_service *service,
                        struct atls_ticket *ticket);

/* It waits no longer: the ticket was waited for or dropped. Nothing happens where
 * there was none. */
void agent_clients_end_wait(struct agent_clients *clients,
                            struct agent_connection *connection);

#endif
