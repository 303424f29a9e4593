/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/agent_standing.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attester/agent_socket.h"
#include "attester/agent_wire.h"
#include "base/clock.h"

#define PATIENCE_MS 1000
#define PATIENCE_SLOW_MS 5

bool atls_agent_standing_is_open(const struct atls_agent_standing *standing)
{
    int fd = atls_shared_descriptor_get(&standing->socket);

    return fd >= 0 && !atls_agent_is_dead(fd);
}

void atls_agent_standing_set(struct atls_agent_standing *standing, int fd)
{
    atls_shared_descriptor_put(&standing->socket, fd);
    atomic_store(&standing->is_slow, false);
}

void atls_agent_standing_close(struct atls_agent_standing *standing)
{
    atls_shared_descriptor_put(&standing->socket, -1);
}

/* A descriptor of our own for the standing connection, which another thread may
 * replace and close meanwhile. */
static enum atls_error duplicate(const struct atls_agent_standing *standing,
                                 struct atls_reason *why, int *ret_fd)
{
    int fd = atls_shared_descriptor_copy(&standing->socket);

    if (fd < 0 && errno == EBADF)
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "no standing connection to the agent is open");
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot use the standing connection to the agent: %s; "
                         "raise the limit of descriptors (LimitNOFILE=)",
                         strerror(errno));
    *ret_fd = fd;
    return ATLS_OK;
}

static bool is_seqpacket(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0
           && domain == AF_UNIX
           && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0
           && type == SOCK_SEQPACKET;
}

/* One answer: a connection, or why not. fd is the caller's on success only. */
static enum atls_error check_answer(const uint8_t *octets, size_t len, int fd,
                                    struct atls_reason *why)
{
    struct atls_agent_answer answer;
    enum atls_error r = atls_agent_answer_read(octets, len, why, &answer);

    if (r != ATLS_OK)
        return r;
    if (answer.type == ATLS_AGENT_REFUSAL)
        return atls_fail_as(why, &answer.reason);
    if (answer.type != ATLS_AGENT_CONNECTION)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the agent answered with evidence where a connection "
                         "was asked for");
    /* The kernel drops what finds no room in the table of descriptors. */
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO,
                         "the agent's connection did not arrive: raise the "
                         "limit of descriptors (LimitNOFILE=)");
    if (!is_seqpacket(fd))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the agent handed over something else than a "
                         "connection to it");
    return ATLS_OK;
}

/* The next answer that is there. ATLS_OK and *ret_fd -1: none, since another was
 * faster, or a dead connection, which somebody asked for and never fetched. */
static enum atls_error take_answer(int standing_fd, struct atls_reason *why,
                                   int *ret_fd)
{
    uint8_t octets[2 + 1 + UINT8_MAX + 1 + UINT8_MAX]; /* a refusal */
    int fd = -1;
    ssize_t n = atls_agent_receive(standing_fd, octets, sizeof(octets), &fd);
    enum atls_error r = ATLS_OK;

    *ret_fd = -1;
    if (n < 0)
        return ATLS_OK;
    if (n == 0)
        r = atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                      "the agent closed its standing connection");
    else if ((size_t)n > sizeof(octets))
        r = atls_fail(
            why, ATLS_E_AGENT_PROTOCOL,
            "the agent's standing connection answered with %zd octets", n);
    else
        r = check_answer(octets, (size_t)n, fd, why);
    if (fd >= 0 && (r != ATLS_OK || atls_agent_is_dead(fd))) {
        close(fd);
        fd = -1;
    }
    *ret_fd = fd;
    return r;
}

/* There are as many answers as requests, so after a dead one ours is to come. */
static enum atls_error wait_for_answer(int standing_fd, int64_t deadline_ms,
                                       struct atls_reason *why, int *ret_fd)
{
    while (atls_agent_poll(standing_fd, POLLIN, deadline_ms)) {
        enum atls_error r = take_answer(standing_fd, why, ret_fd);

        if (r != ATLS_OK || *ret_fd >= 0)
            return r;
    }
    return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                     "the agent does not answer on its standing connection: "
                     "see systemctl status attestd");
}

enum atls_error atls_agent_standing_ask(struct atls_agent_standing *standing,
                                        int64_t deadline_ms,
                                        struct atls_reason *why, int *ret_fd)
{
    static const uint8_t request[] = {ATLS_AGENT_VERSION,
                                      ATLS_AGENT_CONNECTION};
    int64_t until_ms =
        atls_now_ms()
        + (atomic_load(&standing->is_slow) ? PATIENCE_SLOW_MS : PATIENCE_MS);
    int fd = -1;
    enum atls_error r = duplicate(standing, why, &fd);

    if (r != ATLS_OK)
        return r;
    if (until_ms > deadline_ms)
        until_ms = deadline_ms;
    r = atls_agent_send(fd, request, sizeof(request), why);
    if (r == ATLS_OK) {
        r = wait_for_answer(fd, until_ms, why, ret_fd);
        atomic_store(&standing->is_slow, r == ATLS_E_AGENT_UNAVAILABLE);
    }
    close(fd);
    return r;
}
