/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/agent_socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/opening.h"

enum atls_error atls_agent_path_check(const char *path, struct atls_reason *why)
{
    const struct sockaddr_un address;

    if (path[0] != '/')
        return atls_fail(why, ATLS_E_CONFIG,
                         "quoter = unix:%s: expected an absolute path, for "
                         "example unix:" ATLS_AGENT_SOCKET,
                         path);
    if (strlen(path) >= sizeof(address.sun_path))
        return atls_fail(why, ATLS_E_CONFIG,
                         "the path of the agent's socket has %zu octets, a "
                         "Unix socket takes %zu",
                         strlen(path), sizeof(address.sun_path) - 1);
    return ATLS_OK;
}

/* Octets of the path that name its folder; the root's is its slash. */
static int folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? 1 : (int)(slash - path);
}

/* errno as a sentence for whoever is called at night, with room for the longest
 * path (ATLS_REASON_MAX). */
static enum atls_error fail_to_connect(const char *path, int error,
                                       struct atls_reason *why)
{
    const char *text = strerror(error);

    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "no agent at %s (%s): systemctl start attestd.socket",
                         path, text);
    case ECONNREFUSED:
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "no agent listens at %s (%s): see systemctl status "
                         "attestd",
                         path, text);
    case EACCES:
    case EPERM:
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "user %u may not reach the agent at %s (%s)" ATLS_MORE
                         ": it needs "
                         "to search its folders and to write the socket",
                         (unsigned)geteuid(), path, text);
    case EPROTOTYPE:
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "%s is no socket of attestd, but of another program "
                         "(%s)",
                         path, text);
    case EAGAIN:
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "the agent at %s is overloaded: it takes no more "
                         "connections; see systemctl status attestd",
                         path);
    default:
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "cannot connect to the agent at %s: %s", path, text);
    }
}

/* A full backlog keeps connect(2) waiting, for as long as SO_SNDTIMEO says. */
static int connect_until(int fd, const struct sockaddr_un *address,
                         int64_t deadline_ms)
{
    int r;

    do {
        int64_t left_ms = deadline_ms - atls_now_ms();
        struct timeval left = {.tv_usec = 1000}; /* 0 would be for ever */

        if (left_ms > 0)
            left = (struct timeval){.tv_sec = left_ms / 1000,
                                    .tv_usec = left_ms % 1000 * 1000};
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left));
        r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    } while (r != 0 && errno == EINTR);
    return r;
}

static enum atls_error check_who_answers(const char *path, int fd,
                                         struct atls_reason *why)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)] = {0};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    struct stat st;

    memcpy(folder, path, (size_t)folder_len(path));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0
        || stat(folder, &st) != 0)
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "cannot see who answers at %s: %s", path,
                         strerror(errno));
    if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != st.st_uid)
        return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                         "user %u answers at %s" ATLS_MORE
                         ", who is neither root nor the "
                         "owner of its folder: is it really attestd?",
                         (unsigned)peer.uid, path);
    return ATLS_OK;
}

enum atls_error atls_agent_connect(const char *path, int64_t deadline_ms,
                                   struct atls_reason *why, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    enum atls_error r;
    int fd;

    memcpy(address.sun_path, path, strlen(path));
    fd = atls_open_socket(AF_UNIX, SOCK_SEQPACKET);
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot make a socket for the agent: %s; raise the "
                         "limit of descriptors (LimitNOFILE=)",
                         strerror(errno));
    if (connect_until(fd, &address, deadline_ms) != 0)
        r = fail_to_connect(path, errno, why);
    else
        r = check_who_answers(path, fd, why);
    if (r != ATLS_OK) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return ATLS_OK;
}

bool atls_agent_poll(int fd, short events, int64_t deadline_ms)
{
    struct pollfd pollfd = {.fd = fd, .events = events};
    int n;

    do {
        int64_t left_ms = deadline_ms - atls_now_ms();

        if (left_ms < 0)
            left_ms = 0;
        n = poll(&pollfd, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

bool atls_agent_is_dead(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    uint8_t octet;

    return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLHUP) != 0
           && recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static ssize_t send_at_once(int fd, const uint8_t *octets, size_t len)
{
    ssize_t n;

    do {
        n = send(fd, octets, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n;
}

enum atls_error atls_agent_send(int fd, const uint8_t *octets, size_t len,
                                struct atls_reason *why)
{
    ssize_t n = send_at_once(fd, octets, len);

    if (n < 0 && errno == EMSGSIZE) {
        /* A machine with little memory for sockets, and a large certificate. */
        const int size = (int)(2 * len);

        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        n = send_at_once(fd, octets, len);
    }
    if (n >= 0 || errno == EPIPE || errno == ECONNRESET)
        return ATLS_OK;
    if (errno == EAGAIN)
        return atls_fail(why, ATLS_E_QUEUE_FULL,
                         "the agent is overloaded: it reads no more requests; "
                         "see systemctl status attestd");
    return atls_fail(
        why, ATLS_E_IO, "cannot send %zu octets to the agent: %s%s", len,
        strerror(errno), errno == EMSGSIZE ? "; raise net.core.wmem_max" : "");
}

/* Keep the first descriptor, close all others. */
static int take_descriptors(struct msghdr *message)
{
    int kept = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
         c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len;
             at += sizeof(int)) {
            int fd;

            memcpy(&fd, (const uint8_t *)c + at, sizeof(fd));
            if (kept < 0)
                kept = atls_opening_lift(fd);
            else
                close(fd);
        }
    }
    return kept;
}

ssize_t atls_agent_receive(int fd, uint8_t *octets, size_t size, int *ret_fd)
{
    union {
        struct cmsghdr head; /* aligns it */
        uint8_t room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = octets, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct atls_opening opening;
    bool is_reset = false;
    ssize_t n;

    atls_opening_begin(&opening);
    for (;;) {
        if (ret_fd != NULL) {
            message.msg_control = &control;
            message.msg_controllen = sizeof(control);
        }
        n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
        /* That it went is told once, before what it had said. */
        if (n < 0 && errno == ECONNRESET && !is_reset)
            is_reset = true;
        else if (n >= 0 || errno != EINTR)
            break;
    }
    atls_opening_end(&opening);
    if (n < 0)
        return errno == EAGAIN ? -1 : 0;
    if (ret_fd != NULL)
        *ret_fd = take_descriptors(&message);
    return n;
}
