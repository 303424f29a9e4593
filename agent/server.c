/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/server.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/notify.h"
#include "agent/request.h"
#include "agent/server_state.h"
#include "agent/socket.h"
#include "base/clock.h"
#include "base/opening.h"

/* How long nobody is let in when there are no descriptors, and none to close. */
#define PAUSE_MS 100

#define ACCEPTED_AT_ONCE 32

static enum atls_error start(struct agent_server *server,
                             struct atls_reason *why)
{
    enum atls_error r = atls_done_list_new(why, &server->done);

    if (r != ATLS_OK)
        return r;
    server->wake_fd = atls_open_eventfd();
    if (server->epoll_fd < 0 || server->wake_fd < 0
        || !agent_socket_prepare(server->config.listener)
        || !agent_server_watch(server, server->wake_fd, &server->wake_fd)
        || (server->config.signals >= 0
            && !agent_server_watch(server, server->config.signals,
                                   &server->config.signals))
        || !agent_server_watch(server, server->config.listener, &server->config)
        || !agent_server_watch(server, atls_done_list_fd(server->done),
                               &server->done))
        return atls_fail(why, ATLS_E_IO, "cannot wait for requests: %s",
                         strerror(errno));
    server->checked_ms = atls_now_ms();
    return agent_service_load(server->config.path, server->config.log, why,
                              &server->service);
}

enum atls_error agent_server_new(const struct agent_server_config *config,
                                 struct atls_reason *why,
                                 struct agent_server **ret_server)
{
    struct agent_server *server = OPENSSL_zalloc(sizeof(*server));
    enum atls_error r;

    if (server == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    server->config = *config;
    server->epoll_fd = atls_open_epoll();
    server->wake_fd = -1;
    atomic_init(&server->is_stopping, false);
    atomic_init(&server->is_reloading, false);
    agent_clients_init(&server->clients, server->epoll_fd);
    r = start(server, why);
    if (r != ATLS_OK) {
        agent_server_free(server);
        return r;
    }
    *ret_server = server;
    return ATLS_OK;
}

/* Close a connection to have its place and descriptors; false when there is none. */
static bool make_room(struct agent_server *server)
{
    struct agent_connection *victim = agent_clients_victim(&server->clients);

    if (victim == NULL)
        return false;
    agent_clients_remove(&server->clients, victim);
    return true;
}

void agent_server_free(struct agent_server *server)
{
    if (server == NULL)
        return;
    while (make_room(server)) {
    }
    atls_done_list_free(server->done);
    agent_service_unref(server->service);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    OPENSSL_free(server);
}

static void wake(const struct agent_server *server)
{
    const uint64_t one = 1;
    ssize_t written = write(server->wake_fd, &one, sizeof(one));

    (void)written; /* fails only where it is readable already */
}

void agent_server_stop(struct agent_server *server)
{
    atomic_store(&server->is_stopping, true);
    wake(server);
}

void agent_server_reload(struct agent_server *server)
{
    atomic_store(&server->is_reloading, true);
    wake(server);
}

static void set_listening(struct agent_server *server, bool is_listening)
{
    struct epoll_event event = {.events = is_listening ? EPOLLIN : 0,
                                .data = {.ptr = &server->config}};

    server->listen_at_ms = is_listening ? 0 : atls_now_ms() + PAUSE_MS;
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->config.listener,
                    &event);
}

static bool is_exhausted(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS
           || error == ENOMEM;
}

static int accept_one(struct agent_server *server)
{
    return atls_open_accepted(server->config.listener, SOCK_NONBLOCK);
}

static void let_in(struct agent_server *server, int fd)
{
    struct agent_connection *connection = NULL;
    struct agent_peer peer;
    struct atls_reason why;
    bool is_stranger;

    if (server->config.peer_of(fd, &why, &peer) != ATLS_OK) {
        atls_log_write(server->config.log, ATLS_LOG_WARN, "%s", why.text);
        agent_socket_close(fd);
        return;
    }
    is_stranger =
        !agent_access_allows(server->service->configuration.access, &peer);
    if (agent_server_adopt(server, fd, &peer, is_stranger, &connection)
        != ATLS_OK)
        server->lacks_descriptors = true;
}

/* Without descriptors the listening socket stays readable: the loop would spin. */
static int accept_first(struct agent_server *server)
{
    int fd = accept_one(server);

    if (fd < 0 && is_exhausted(errno) && make_room(server))
        fd = accept_one(server);
    if (fd < 0 && is_exhausted(errno))
        set_listening(server, false);
    return fd;
}

/* Several at once, since who comes takes turns with all who are in. */
static void accept_some(struct agent_server *server)
{
    int fd = accept_first(server);

    for (unsigned i = 1; fd >= 0 && i < ACCEPTED_AT_ONCE; i++) {
        let_in(server, fd);
        fd = accept_one(server);
    }
    if (fd >= 0)
        let_in(server, fd);
}

static void take_signals(struct agent_server *server)
{
    struct signalfd_siginfo info;

    while (read(server->config.signals, &info, sizeof(info)) == sizeof(info))
        atomic_store(info.ssi_signo == SIGHUP ? &server->is_reloading
                                              : &server->is_stopping,
                     true);
}

static void handle(struct agent_server *server, const struct epoll_event *event)
{
    struct agent_connection *connection = event->data.ptr;
    uint64_t ignored;
    ssize_t n;

    if (event->data.ptr == &server->wake_fd) {
        n = read(server->wake_fd, &ignored, sizeof(ignored));
        (void)n;
    } else if (event->data.ptr == &server->config.signals) {
        take_signals(server);
    } else if (event->data.ptr == &server->config) {
        accept_some(server);
    } else if (event->data.ptr == &server->done) {
        connection = atls_done_list_pop(server->done);
        if (connection != NULL)
            agent_server_finish(server, connection);
    } else if ((event->events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) {
        agent_clients_remove(&server->clients, connection);
    } else {
        agent_server_receive(server, connection);
    }
}

/* Between events, when no connection is being looked at. */
static void tidy(struct agent_server *server, int64_t now_ms)
{
    struct agent_connection *first, *surplus;

    while ((first = TAILQ_FIRST(&server->clients.waiting)) != NULL
           && atls_ticket_deadline_ms(first->ticket) <= now_ms)
        agent_server_finish(server, first);
    while ((surplus = agent_clients_surplus(&server->clients)) != NULL)
        agent_clients_remove(&server->clients, surplus);
    if (server->lacks_descriptors)
        (void)make_room(server);
    server->lacks_descriptors = false;
    while (server->clients.connection_count > server->config.connections_max)
        (void)make_room(server);
    if (server->listen_at_ms != 0 && server->listen_at_ms <= now_ms)
        set_listening(server, true);
    if (server->watchdog_ms != 0 && server->watchdog_at_ms <= now_ms) {
        agent_notify_alive();
        server->watchdog_at_ms = now_ms + server->watchdog_ms;
    }
}

/* -1: whatever comes next comes through a descriptor. */
static int time_left_ms(const struct agent_server *server, int64_t now_ms)
{
    const struct agent_connection *first =
        TAILQ_FIRST(&server->clients.waiting);
    int64_t at_ms = INT64_MAX;

    if (first != NULL)
        at_ms = atls_ticket_deadline_ms(first->ticket);
    if (server->listen_at_ms != 0 && server->listen_at_ms < at_ms)
        at_ms = server->listen_at_ms;
    if (server->watchdog_ms != 0 && server->watchdog_at_ms < at_ms)
        at_ms = server->watchdog_at_ms;
    if (at_ms == INT64_MAX)
        return -1;
    if (at_ms <= now_ms)
        return 0;
    return at_ms - now_ms > INT32_MAX ? INT32_MAX : (int)(at_ms - now_ms);
}

static void refuse_waiting(struct agent_server *server)
{
    struct agent_connection *first;
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_AGENT_UNAVAILABLE,
                    "the agent is being stopped; try again when it is back");
    while ((first = TAILQ_FIRST(&server->clients.waiting)) != NULL) {
        (void)agent_server_refuse(server, first, &why);
        agent_clients_remove(&server->clients, first);
    }
}

/* One event a turn: handling it may close any connection, and with it what
 * further events of the same turn would point to. epoll lets those that are
 * ready take turns. */
void agent_server_run(struct agent_server *server)
{
    struct epoll_event event;

    server->watchdog_ms = agent_notify_interval_ms();
    agent_notify_ready(AGENT_SERVER_SERVING);
    while (!atomic_load(&server->is_stopping)) {
        int64_t now_ms = atls_now_ms();

        if (atomic_exchange(&server->is_reloading, false)) {
            agent_notify_reloading();
            atls_log_reopen(server->config.log);
            server->failure =
                (struct atls_reason){.code = ATLS_OK}; /* say it */
            agent_server_load_again(server);
            agent_notify_ready(server->failure.code == ATLS_OK
                                   ? AGENT_SERVER_SERVING
                                   : server->failure.text);
        }
        tidy(server, now_ms);
        if (epoll_wait(server->epoll_fd, &event, 1,
                       time_left_ms(server, now_ms))
            > 0)
            handle(server, &event);
    }
    agent_notify_stopping();
    refuse_waiting(server);
}
