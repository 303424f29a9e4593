/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/clients.h"

#include <openssl/crypto.h>
#include <sys/epoll.h>

#include "agent/socket.h"

void agent_clients_init(struct agent_clients *clients, int epoll_fd)
{
    *clients = (struct agent_clients){.epoll_fd = epoll_fd};
    LIST_INIT(&clients->users);
    TAILQ_INIT(&clients->waiting);
}

/* A handful of users have connections at a time: no table. */
static struct agent_user *find_user(struct agent_clients *clients, uid_t uid)
{
    struct agent_user *user = NULL;

    LIST_FOREACH(user, &clients->users, entry)
    {
        if (user->uid == uid)
            return user;
    }
    user = OPENSSL_zalloc(sizeof(*user));
    if (user == NULL)
        return NULL;
    user->uid = uid;
    TAILQ_INIT(&user->connections);
    LIST_INSERT_HEAD(&clients->users, user, entry);
    return user;
}

enum atls_error agent_clients_add(struct agent_clients *clients, int fd,
                                  const struct agent_peer *peer,
                                  struct agent_connection **ret_connection)
{
    struct agent_connection *connection = OPENSSL_zalloc(sizeof(*connection));

    if (connection == NULL)
        return ATLS_E_NOMEM;
    connection->user = find_user(clients, peer->uid);
    if (connection->user == NULL) {
        OPENSSL_free(connection);
        return ATLS_E_NOMEM;
    }
    connection->fd = fd;
    connection->peer = *peer;
    TAILQ_INSERT_TAIL(&connection->user->connections, connection, of_user);
    connection->user->connection_count++;
    clients->connection_count++;
    *ret_connection = connection;
    return ATLS_OK;
}

void agent_clients_remove(struct agent_clients *clients,
                          struct agent_connection *connection)
{
    struct agent_user *user = connection->user;

    atls_ticket_drop(connection->ticket);
    agent_clients_end_wait(clients, connection);
    TAILQ_REMOVE(&user->connections, connection, of_user);
    clients->connection_count--;
    if (--user->connection_count == 0) {
        LIST_REMOVE(user, entry);
        OPENSSL_free(user);
    }
    /* What a thread has open for a moment longer would stay in there. */
    (void)epoll_ctl(clients->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    agent_socket_close(connection->fd);
    agent_peer_clear(&connection->peer);
    OPENSSL_free(connection);
}

void agent_clients_touch(struct agent_connection *connection)
{
    struct agent_user *user = connection->user;

    TAILQ_REMOVE(&user->connections, connection, of_user);
    TAILQ_INSERT_TAIL(&user->connections, connection, of_user);
}

struct agent_connection *agent_clients_victim(
    const struct agent_clients *clients)
{
    const struct agent_user *user = NULL, *largest = NULL;
    struct agent_connection *connection = NULL;

    LIST_FOREACH(user, &clients->users, entry)
    {
        if (largest == NULL
            || user->connection_count > largest->connection_count)
            largest = user;
    }
    if (largest == NULL)
        return NULL;
    TAILQ_FOREACH(connection, &largest->connections, of_user)
    {
        if (connection->ticket == NULL)
            return connection;
    }
    return TAILQ_FIRST(&largest->connections);
}

enum atls_error agent_clients_check_queue(
    const struct agent_clients *clients,
    const struct agent_connection *connection, size_t max,
    struct atls_reason *why)
{
    size_t left =
        clients->waiting_count < max ? max - clients->waiting_count : 0;

    if (connection->user->waiting_count >= left)
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "%zu requests wait for a quote, %zu of them of uid "
                         "%lu: the TPM is too slow for this load; raise "
                         "max_queue",
                         clients->waiting_count,
                         connection->user->waiting_count,
                         (unsigned long)connection->user->uid);
    return ATLS_OK;
}

void agent_clients_wait(struct agent_clients *clients,
                        struct agent_connection *connection,
                        struct agent_service *service,
                        struct atls_ticket *ticket)
{
    int64_t deadline_ms = atls_ticket_deadline_ms(ticket);
    struct agent_connection *before = NULL;

    connection->ticket = ticket;
    connection->service = agent_service_ref(service);
    connection->user->waiting_count++;
    clients->waiting_count++;
    /* Nearly always the last: only another timeout can change the order. */
    TAILQ_FOREACH_REVERSE(before, &clients->waiting, agent_waiting, of_waiting)
    {
        if (atls_ticket_deadline_ms(before->ticket) <= deadline_ms) {
            TAILQ_INSERT_AFTER(&clients->waiting, before, connection,
                               of_waiting);
            return;
        }
    }
    TAILQ_INSERT_HEAD(&clients->waiting, connection, of_waiting);
}

void agent_clients_end_wait(struct agent_clients *clients,
                            struct agent_connection *connection)
{
    if (connection->ticket == NULL)
        return;
    TAILQ_REMOVE(&clients->waiting, connection, of_waiting);
    clients->waiting_count--;
    connection->user->waiting_count--;
    connection->ticket = NULL;
    agent_service_unref(connection->service);
    connection->service = NULL;
}
