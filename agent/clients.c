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

/* Who may ask is a handful of users, mostly: no table. */
static struct agent_user *find_user(struct agent_clients *clients, uid_t uid,
                                    bool is_strangers)
{
    struct agent_user *user = NULL;

    LIST_FOREACH(user, &clients->users, entry)
    {
        if (user->is_strangers == is_strangers
            && (is_strangers || user->uid == uid))
            return user;
    }
    user = OPENSSL_zalloc(sizeof(*user));
    if (user == NULL)
        return NULL;
    user->uid = uid;
    user->is_strangers = is_strangers;
    TAILQ_INIT(&user->connections);
    LIST_INSERT_HEAD(&clients->users, user, entry);
    return user;
}

static void join(struct agent_clients *clients,
                 struct agent_connection *connection, struct agent_user *user)
{
    connection->user = user;
    connection->touched = ++clients->uses;
    TAILQ_INSERT_TAIL(&user->connections, connection, of_user);
    user->connection_count++;
}

static void leave(struct agent_connection *connection)
{
    struct agent_user *user = connection->user;

    TAILQ_REMOVE(&user->connections, connection, of_user);
    user->untaken_count -= connection->untaken_count;
    if (--user->connection_count == 0) {
        LIST_REMOVE(user, entry);
        OPENSSL_free(user);
    }
}

enum atls_error agent_clients_add(struct agent_clients *clients, int fd,
                                  const struct agent_peer *peer,
                                  bool is_stranger,
                                  struct agent_connection **ret_connection)
{
    struct agent_connection *connection = OPENSSL_zalloc(sizeof(*connection));
    struct agent_user *user;

    if (connection == NULL)
        return ATLS_E_NOMEM;
    user = find_user(clients, peer->uid, is_stranger);
    if (user == NULL) {
        OPENSSL_free(connection);
        return ATLS_E_NOMEM;
    }
    connection->fd = fd;
    connection->peer = *peer;
    connection->sender = (struct ucred){peer->pid, peer->uid, peer->gid};
    join(clients, connection, user);
    clients->connection_count++;
    *ret_connection = connection;
    return ATLS_OK;
}

/* Nothing was served on it before: it is no standing connection, and has no request. */
enum atls_error agent_clients_admit(struct agent_clients *clients,
                                    struct agent_connection *connection)
{
    struct agent_user *user;

    if (!connection->user->is_strangers)
        return ATLS_OK;
    user = find_user(clients, connection->peer.uid, false);
    if (user == NULL)
        return ATLS_E_NOMEM;
    leave(connection);
    join(clients, connection, user);
    return ATLS_OK;
}

void agent_clients_remove(struct agent_clients *clients,
                          struct agent_connection *connection)
{
    atls_ticket_drop(connection->ticket);
    agent_clients_end_wait(clients, connection);
    leave(connection);
    clients->connection_count--;
    /* What a thread has open for a moment longer would stay in there. */
    (void)epoll_ctl(clients->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    agent_socket_close(connection->fd);
    agent_peer_clear(&connection->peer);
    OPENSSL_free(connection);
}

void agent_clients_touch(struct agent_clients *clients,
                         struct agent_connection *connection)
{
    struct agent_user *user = connection->user;

    connection->touched = ++clients->uses;
    TAILQ_REMOVE(&user->connections, connection, of_user);
    TAILQ_INSERT_TAIL(&user->connections, connection, of_user);
}

/* The order in which connections of a user are closed: clients.h. */
enum rank { RANK_IDLE, RANK_BUSY, RANK_UNASKED, RANK_STANDING };

static enum rank rank_of(const struct agent_connection *connection)
{
    if (connection->is_standing)
        return RANK_STANDING;
    if (!connection->has_asked)
        return RANK_UNASKED;
    return connection->ticket != NULL ? RANK_BUSY : RANK_IDLE;
}

static struct agent_connection *victim_of(const struct agent_user *user)
{
    struct agent_connection *connection = NULL, *victim = NULL;

    TAILQ_FOREACH(connection, &user->connections, of_user)
    {
        enum rank rank = rank_of(connection);

        if (rank == RANK_IDLE)
            return connection;
        if (victim == NULL || rank < rank_of(victim)
            || (rank == RANK_BUSY && rank_of(victim) == RANK_BUSY))
            victim = connection;
    }
    return victim;
}

/* Does one of another user go first? */
static bool goes_before(const struct agent_connection *a,
                        const struct agent_connection *b)
{
    if (rank_of(a) != rank_of(b))
        return rank_of(a) < rank_of(b);
    return a->touched < b->touched;
}

struct agent_connection *agent_clients_victim(
    const struct agent_clients *clients)
{
    const struct agent_user *user = NULL;
    struct agent_connection *victim = NULL;
    size_t largest = 0;

    LIST_FOREACH(user, &clients->users, entry)
    {
        if (user->connection_count > largest)
            largest = user->connection_count;
    }
    LIST_FOREACH(user, &clients->users, entry)
    {
        struct agent_connection *candidate;

        if (user->connection_count < largest)
            continue;
        candidate = victim_of(user);
        if (victim == NULL || goes_before(candidate, victim))
            victim = candidate;
    }
    return victim;
}

struct agent_connection *agent_clients_surplus(
    const struct agent_clients *clients)
{
    const struct agent_user *user = NULL;

    LIST_FOREACH(user, &clients->users, entry)
    {
        if (user->is_strangers && user->connection_count > AGENT_STRANGERS_MAX)
            return TAILQ_FIRST(&user->connections);
    }
    return NULL;
}

enum atls_error agent_clients_check_standing(struct agent_connection *standing,
                                             size_t max,
                                             struct atls_reason *why)
{
    if (agent_socket_is_drained(standing->fd)) {
        standing->user->untaken_count -= standing->untaken_count;
        standing->untaken_count = 0;
        return ATLS_OK;
    }
    if (standing->user->untaken_count >= max)
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "%zu connections were handed out to programs of uid "
                         "%lu that do not take them",
                         standing->user->untaken_count,
                         (unsigned long)standing->user->uid);
    return ATLS_OK;
}

void agent_clients_handed_out(struct agent_connection *standing)
{
    standing->is_standing = true;
    standing->untaken_count++;
    standing->user->untaken_count++;
}

enum atls_error agent_clients_check_queue(
    const struct agent_clients *clients,
    const struct agent_connection *connection, size_t max,
    struct atls_reason *why)
{
    size_t left =
        clients->waiting_count < max ? max - clients->waiting_count : 0;

    if (connection->user->waiting_count >= left)
        return atls_fail(
            why, ATLS_E_QUEUE_FULL,
            "%zu requests wait for a quote" ATLS_MORE ", %zu of them of uid "
            "%lu: the TPM is too slow for this load; raise "
            "max_queue",
            clients->waiting_count, connection->user->waiting_count,
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
