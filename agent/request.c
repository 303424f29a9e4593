/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/request.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/socket.h"
#include "base/opening.h"

/* Strangers can ask without end. */
static void log_refusal(struct agent_server *server,
                        const struct agent_connection *connection,
                        const struct atls_reason *why)
{
    char more[ATLS_RATELIMIT_MORE_SIZE];

    if (atls_ratelimit_turn(&server->refusals[why->code], more))
        atls_log_write(server->config.log, ATLS_LOG_WARN,
                       "refused pid %ld, uid %lu: %s%s",
                       (long)connection->sender.pid,
                       (unsigned long)connection->sender.uid, why->text, more);
}

/* Once, and without waiting: the answer fits into an empty socket, and who has
 * let earlier ones pile up there has no claim to another.
 *   pass_fd  goes with it; -1: none */
static bool send_answer(struct agent_server *server,
                        const struct agent_connection *connection,
                        const struct atls_agent_answer *answer, int pass_fd)
{
    union {
        struct cmsghdr head; /* for its alignment */
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    struct iovec octets = {.iov_base = server->answer};
    struct msghdr message = {.msg_iov = &octets, .msg_iovlen = 1};

    octets.iov_len = atls_agent_answer_write(answer, server->answer);
    if (pass_fd >= 0) {
        message.msg_control = control.octets;
        message.msg_controllen = sizeof(control.octets);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &pass_fd, sizeof(int));
    }
    return sendmsg(connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool agent_server_refuse(struct agent_server *server,
                         struct agent_connection *connection,
                         const struct atls_reason *why)
{
    const struct atls_agent_answer answer = {.type = ATLS_AGENT_REFUSAL,
                                             .reason = *why};

    log_refusal(server, connection, why);
    return send_answer(server, connection, &answer, -1);
}

void agent_server_finish(struct agent_server *server,
                         struct agent_connection *connection)
{
    struct atls_agent_answer answer = {.type = ATLS_AGENT_EVIDENCE};
    uint8_t *cmw = NULL;
    bool is_sent;

    if (atls_ticket_wait(connection->ticket, &answer.reason, &cmw,
                         &answer.cmw.len)
        == ATLS_OK) {
        answer.cmw.data = cmw;
        is_sent = send_answer(server, connection, &answer, -1);
        OPENSSL_free(cmw);
    } else {
        is_sent = agent_server_refuse(server, connection, &answer.reason);
    }
    agent_clients_end_wait(&server->clients, connection);
    if (!is_sent)
        agent_clients_remove(&server->clients, connection);
}

/* The binding is computed by the quoter, from what this connection's program
 * says of its own handshake: nobody can have data of his choice signed. */
static enum atls_error begin(struct agent_server *server,
                             struct agent_connection *connection,
                             const struct atls_agent_request *request,
                             struct atls_reason *why)
{
    struct agent_service *service = server->service;
    struct atls_ticket *ticket = NULL;
    enum atls_error r;

    connection->has_asked = true;
    r = agent_clients_check_queue(&server->clients, connection,
                                  service->configuration.quoter.max_queue, why);
    if (r != ATLS_OK)
        return r;
    r = atls_quoter_submit(service->quoter, request->role, request->channel,
                           request->certificate, &request->formats, why,
                           &ticket);
    if (r != ATLS_OK)
        return r;
    r = atls_ticket_gather(ticket, server->done, connection, why);
    if (r != ATLS_OK) {
        atls_ticket_drop(ticket);
        return r;
    }
    agent_clients_wait(&server->clients, connection, service, ticket);
    return ATLS_OK;
}

/* Of a user, beyond one for each standing connection. All may not take what the agent
 * has. */
static size_t untaken_max(const struct agent_server *server)
{
    return server->config.connections_max / 8;
}

/* Two ends of a connection, the other one for whoever asked. */
static enum atls_error pass_on(struct agent_server *server,
                               struct agent_connection *connection, int other,
                               struct atls_reason *why)
{
    const struct atls_agent_answer answer = {.type = ATLS_AGENT_CONNECTION};

    if (send_answer(server, connection, &answer, other))
        return ATLS_OK;
    return atls_fail(why, ATLS_E_IO, "cannot hand out a connection: %s",
                     strerror(errno));
}

/* The kernel takes the agent itself for the peer of such a connection: who asked
 * for it is who it is of, whoever opened the standing connection. */
static enum atls_error hand_out(struct agent_server *server,
                                struct agent_connection *connection,
                                struct atls_reason *why)
{
    struct agent_connection *fresh = NULL;
    struct agent_peer peer;
    enum atls_error r;
    int ends[2];

    r = agent_clients_check_standing(connection, untaken_max(server), why);
    if (r != ATLS_OK)
        return r;
    /* Blocking, as the program expects it; each call of ours says MSG_DONTWAIT. */
    if (!atls_open_pair(SOCK_SEQPACKET, ends)) {
        server->lacks_descriptors |= errno == EMFILE || errno == ENFILE;
        return atls_fail(why, ATLS_E_IO, "cannot make a connection: %s",
                         strerror(errno));
    }
    r = agent_peer_of_sender(&connection->peer, &connection->sender, &peer);
    if (r == ATLS_OK)
        r = agent_server_adopt(server, ends[0], &peer, false, &fresh);
    else
        close(ends[0]);
    if (r != ATLS_OK) {
        close(ends[1]);
        return atls_fail(why, r, NULL);
    }
    r = pass_on(server, connection, ends[1], why);
    close(ends[1]);
    if (r == ATLS_OK)
        agent_clients_handed_out(connection);
    else
        agent_clients_remove(&server->clients, fresh);
    return r;
}

/* What is wrong with a message as such? */
static enum atls_error check_message(const struct agent_connection *connection,
                                     int flags, struct atls_reason *why)
{
    if ((flags & MSG_TRUNC) != 0)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "a request of more than %u octets",
                         ATLS_AGENT_REQUEST_MAX);
    if ((flags & MSG_CTRUNC) != 0)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "a request that brings descriptors");
    if (connection->ticket != NULL)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "a request while another waits on this connection: "
                         "open one for each");
    return ATLS_OK;
}

/* May who opened the connection ask, and who sent this? */
static enum atls_error check_rights(struct agent_server *server,
                                    struct agent_connection *connection,
                                    struct atls_reason *why)
{
    const struct agent_access *access = server->service->configuration.access;
    struct agent_peer sender;
    enum atls_error r;

    r = agent_access_check(access, &connection->peer, server->config.path, why);
    if (r != ATLS_OK)
        return r;
    r = agent_peer_of_sender(&connection->peer, &connection->sender, &sender);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    r = agent_access_check(access, &sender, server->config.path, why);
    agent_peer_clear(&sender);
    if (r != ATLS_OK)
        return r;
    r = agent_clients_admit(&server->clients, connection);
    return r == ATLS_OK ? ATLS_OK : atls_fail(why, r, NULL);
}

/* False: the connection is to be closed, whoever it is of. */
static bool serve(struct agent_server *server,
                  struct agent_connection *connection, size_t len, int flags,
                  struct atls_reason *why)
{
    struct atls_agent_request request;

    if (check_rights(server, connection, why) != ATLS_OK
        || check_message(connection, flags, why) != ATLS_OK
        || atls_agent_request_read(server->request, len, why, &request)
               != ATLS_OK) {
        (void)agent_server_refuse(server, connection, why);
        return false;
    }
    if (request.type == ATLS_AGENT_CONNECTION
            ? hand_out(server, connection, why) == ATLS_OK
            : begin(server, connection, &request, why) == ATLS_OK)
        return true;
    return agent_server_refuse(server, connection, why);
}

void agent_server_receive(struct agent_server *server,
                          struct agent_connection *connection)
{
    struct atls_reason why;
    int flags;
    ssize_t len = agent_socket_receive(connection->fd, server->request,
                                       sizeof(server->request), &flags,
                                       &connection->sender);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len < 0 || (len == 0 && flags == 0)) { /* at its end, or broken */
        agent_clients_remove(&server->clients, connection);
        return;
    }
    if (server->config.rename_sender != NULL)
        server->config.rename_sender(&connection->sender);
    agent_clients_touch(&server->clients, connection);
    agent_server_refresh(server);
    if (!serve(server, connection, (size_t)len, flags, &why))
        agent_clients_remove(&server->clients, connection);
}
