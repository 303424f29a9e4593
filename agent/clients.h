/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_CLIENTS_H
#define ATTEST_AGENT_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "agent/access.h"
#include "agent/service.h"
#include "attester/quoter.h"
#include "base/error.h"

/*
 * The connections of an agent, by the users that made them, so that no user takes the
 * agent away from the others:
 *
 * - All users that may not ask count as one, which has a few places: somebody may have
 *   any number of uids (subuid(5)).
 * - A user may have as many requests wait as there are places left: one alone gets half
 *   of all places, and the next user still finds one.
 * - When there are as many connections as there may be, the user with most connections
 *   loses one. The order: the one that has been idle longest since its evidence; the
 *   last one that began to wait; one that was never asked for evidence; one that has
 *   handed out others. The last two are standing connections, which a program in a
 *   chroot cannot open again. Among users with as many, the one whose connection was
 *   idle longest loses it.
 * - A connection that was handed out and not yet taken costs the agent a descriptor
 *   (unix(7), ETOOMANYREFS): each standing connection may have one, and a user a few
 *   more.
 *
 * For one thread.
 */

struct agent_user {
    LIST_ENTRY(agent_user) entry;
    uid_t uid;
    bool is_strangers; /* all of them; uid says nothing */
    size_t connection_count;
    size_t waiting_count;
    size_t untaken_count; /* of its standing connections */
    TAILQ_HEAD(agent_connections, agent_connection)
    connections; /* idle longest first */
};

struct agent_connection {
    TAILQ_ENTRY(agent_connection) of_user;
    TAILQ_ENTRY(agent_connection) of_waiting;
    int fd; /* owned */
    struct agent_peer peer;
    struct ucred sender; /* of the message that came last */
    struct agent_user *user;
    uint64_t touched;     /* when it was in use; see agent_clients.uses */
    size_t untaken_count; /* connections handed out that may lie in it */
    bool has_asked;       /* for evidence */
    bool is_standing;     /* it has handed out another connection */
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
    uint64_t uses; /* of all connections, so far: a clock */
};

/* Places for those who may not ask: enough to be told so. */
#define AGENT_STRANGERS_MAX 64u

/* epoll_fd: connections are taken out of it when they are closed. */
void agent_clients_init(struct agent_clients *clients, int epoll_fd);

/*
 * Take in a connection.
 *   fd, peer        belong to it, on success
 *   is_stranger     may not ask
 *   ret_connection  lives until agent_clients_remove()
 * Returns ATLS_OK or ATLS_E_NOMEM.
 */
enum atls_error agent_clients_add(
    struct agent_clients *clients, int fd, const struct agent_peer *peer,
    bool is_stranger, struct agent_connection **ret_connection) ATLS_MUST_CHECK;

/* It is of somebody who may ask, by now. Returns ATLS_OK or ATLS_E_NOMEM. */
enum atls_error agent_clients_admit(struct agent_clients *clients,
                                    struct agent_connection *connection)
    ATLS_MUST_CHECK;

/* Close it, and drop its request. */
void agent_clients_remove(struct agent_clients *clients,
                          struct agent_connection *connection);

/* It is in use. */
void agent_clients_touch(struct agent_clients *clients,
                         struct agent_connection *connection);

/* Which one to close when there are too many; NULL: there are none. */
struct agent_connection *agent_clients_victim(
    const struct agent_clients *clients);

/* Which one of those who may not ask to close; NULL: they are not too many. */
struct agent_connection *agent_clients_surplus(
    const struct agent_clients *clients);

/*
 * May another connection be handed out at this standing connection?
 *   max  how many of a user may lie untaken, but for one at each standing connection
 * Returns ATLS_OK, or ATLS_E_QUEUE_FULL.
 */
enum atls_error agent_clients_check_standing(
    struct agent_connection *standing, size_t max,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* One was. */
void agent_clients_handed_out(struct agent_connection *standing);

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
