/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/server_state.h"

#include <string.h>
#include <sys/epoll.h>

#include "agent/notify.h"
#include "agent/socket.h"
#include "base/clock.h"

/* How soon a changed file is noticed. */
#define CHECK_MS 200

bool agent_server_watch(const struct agent_server *server, int fd, void *owner)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP,
                                .data = {.ptr = owner}};

    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* These are what the process began with. */
static void warn_of_fixed(const struct agent_server *server,
                          const struct agent_service *fresh)
{
    const struct agent_configuration *a = &server->service->configuration;
    const struct agent_configuration *b = &fresh->configuration;

    if (strcmp(a->socket, b->socket) != 0 || strcmp(a->log, b->log) != 0
        || a->log_level != b->log_level)
        atls_log_write(server->config.log, ATLS_LOG_WARN,
                       "%s: socket, log and log_level change when attestd is "
                       "restarted",
                       server->config.path);
}

/* What is wrong is told once, and tried again: the repair may have come. */
static void keep_old(struct agent_server *server, const struct atls_reason *why)
{
    if (strcmp(server->failure.text, why->text) == 0)
        return;
    server->failure = *why;
    atls_log_write(server->config.log, ATLS_LOG_ERROR,
                   "what was in force stays so: %s", why->text);
    agent_notify_status(why->text);
}

void agent_server_load_again(struct agent_server *server)
{
    struct agent_service *fresh = NULL;
    struct atls_reason why;

    server->checked_ms = atls_now_ms();
    if (agent_service_load(server->config.path, server->config.log, &why,
                           &fresh)
        != ATLS_OK) {
        keep_old(server, &why);
        return;
    }
    server->lacks_file = false;
    warn_of_fixed(server, fresh);
    agent_service_unref(server->service);
    server->service = fresh;
    server->failure = (struct atls_reason){.code = ATLS_OK};
    atls_log_write(server->config.log, ATLS_LOG_INFO, "%s: taken up anew",
                   server->config.path);
    agent_notify_status(AGENT_SERVER_SERVING);
}

/* One that was removed leaves nothing to take up. */
static void tell_missing(struct agent_server *server)
{
    const char *path = agent_service_missing(server->service);
    struct atls_reason why;

    if (path == NULL && server->lacks_file) {
        server->failure = (struct atls_reason){.code = ATLS_OK};
        agent_notify_status(AGENT_SERVER_SERVING);
    } else if (path != NULL && !server->lacks_file) {
        (void)atls_fail(&why, ATLS_E_IO, "%.128s is gone", path);
        keep_old(server, &why);
    }
    server->lacks_file = path != NULL;
}

void agent_server_refresh(struct agent_server *server)
{
    int64_t now_ms = atls_now_ms();

    if (now_ms < server->checked_ms + CHECK_MS)
        return;
    server->checked_ms = now_ms;
    if (agent_service_is_stale(server->service))
        agent_server_load_again(server);
    else
        tell_missing(server);
}

enum atls_error agent_server_adopt(struct agent_server *server, int fd,
                                   struct agent_peer *peer, bool is_stranger,
                                   struct agent_connection **ret_connection)
{
    struct agent_connection *connection = NULL;

    if (agent_clients_add(&server->clients, fd, peer, is_stranger, &connection)
        != ATLS_OK) {
        agent_socket_close(fd);
        agent_peer_clear(peer);
        return ATLS_E_NOMEM;
    }
    if (!agent_socket_prepare(fd)
        || !agent_server_watch(server, fd, connection)) {
        agent_clients_remove(&server->clients, connection);
        return ATLS_E_IO;
    }
    *ret_connection = connection;
    return ATLS_OK;
}
