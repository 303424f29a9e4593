/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/access.h"
#include "base/opening.h"

#define LOCK_SUFFIX ".lock"

/* Who may not be accepted yet waits here; the kernel cuts it to somaxconn. */
#define BACKLOG 1024

static enum atls_error take_activated(int count, struct atls_reason *why,
                                      struct agent_listener *listener)
{
    if (count > 1)
        return atls_fail(why, ATLS_E_CONFIG,
                         "systemd passes %d sockets, expected one: see "
                         "attestd.socket",
                         count);
    listener->fd = SD_LISTEN_FDS_START;
    if (sd_is_socket_unix(listener->fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "systemd passes no listening Unix socket of type "
                         "seqpacket" ATLS_MORE ": attestd.socket needs "
                         "ListenSequentialPacket=");
    listener->is_activated = true;
    /* systemd hands it over blocking; who was there when epoll looked may be gone
     * when we accept. */
    if (fcntl(listener->fd, F_SETFL, O_NONBLOCK) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot use systemd's socket: %s",
                         strerror(errno));
    return ATLS_OK;
}

/* Programs believe root, themselves and the folder's owner. */
static enum atls_error check_folder(const char *path, struct atls_reason *why)
{
    const char *slash = strrchr(path, '/');
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    char owner[AGENT_USER_NAME_SIZE], name[AGENT_USER_NAME_SIZE];
    struct stat st;

    snprintf(folder, sizeof(folder), "%.*s",
             slash == path ? 1 : (int)(slash - path), path);
    if (stat(folder, &st) != 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot listen in %s: %s; the folder must exist and "
                         "be writable for the agent's user",
                         folder, strerror(errno));
    agent_user_name(geteuid(), name, sizeof(name));
    agent_user_name(st.st_uid, owner, sizeof(owner));
    if (geteuid() != 0 && geteuid() != st.st_uid)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: the folder belongs to %s" ATLS_MORE
                         ": programs will not "
                         "believe this agent: chown it to %s, mode 755, or "
                         "make another for the socket",
                         folder, owner, name);
    /* In a sticky one nobody can take the socket away. */
    if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: anybody may write to this folder" ATLS_MORE
                         ", and put his "
                         "own socket in the place of the agent's: chmod 755",
                         folder);
    return ATLS_OK;
}

static enum atls_error fail_to_open(const char *lock, struct atls_reason *why)
{
    const char *text = strerror(errno);
    char owner[AGENT_USER_NAME_SIZE];
    struct stat st;

    if (errno == EACCES && lstat(lock, &st) == 0) {
        agent_user_name(st.st_uid, owner, sizeof(owner));
        return atls_fail(why, ATLS_E_IO, "%s belongs to %s: remove it", lock,
                         owner);
    }
    return atls_fail(why, ATLS_E_IO,
                     "cannot open %s: %s; the folder must be writable for the "
                     "agent's user",
                     lock, text);
}

/* Two agents that find the socket of a dead one must not both replace it. */
static enum atls_error take_lock(struct agent_listener *listener,
                                 struct atls_reason *why)
{
    const struct sockaddr_un *address = NULL;
    char path[sizeof(address->sun_path) + sizeof(LOCK_SUFFIX)];

    snprintf(path, sizeof(path), "%s%s", listener->path, LOCK_SUFFIX);
    listener->lock_fd = atls_open_file(
        path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, S_IRUSR | S_IWUSR);
    if (listener->lock_fd < 0)
        return fail_to_open(path, why);
    if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ATLS_OK;
    if (errno == EWOULDBLOCK)
        return atls_fail(why, ATLS_E_CONFIG,
                         "another attestd listens on %s (it holds %s%s)",
                         listener->path, listener->path, LOCK_SUFFIX);
    return atls_fail(why, ATLS_E_IO, "cannot lock %s: %s", path,
                     strerror(errno));
}

/* Nobody has the lock, but a socket that systemd made, or another program's, has
 * none. */
static enum atls_error check_dead(int fd, const struct sockaddr_un *address,
                                  struct atls_reason *why)
{
    struct ucred peer = {.pid = 0};
    socklen_t len = sizeof(peer);

    /* A full backlog (EAGAIN) is somebody's as well. */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0
        && errno != EAGAIN) {
        if (errno == ECONNREFUSED)
            return ATLS_OK;
        return atls_fail(why, ATLS_E_CONFIG,
                         "cannot tell whether %s is in use: %s; remove it if "
                         "no agent runs",
                         address->sun_path, strerror(errno));
    }
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    return atls_fail(why, ATLS_E_CONFIG,
                     "%s is served by process %ld" ATLS_MORE
                     ": stop that one first "
                     "(systemd's attestd.socket?)",
                     address->sun_path, (long)peer.pid);
}

static enum atls_error remove_stale(const struct sockaddr_un *address,
                                    struct atls_reason *why)
{
    enum atls_error r;
    struct stat st;
    int fd;

    if (lstat(address->sun_path, &st) != 0)
        return ATLS_OK; /* bind(2) says what else is wrong */
    if (!S_ISSOCK(st.st_mode))
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s is there and no socket: remove it, or change "
                         "socket",
                         address->sun_path);
    fd = atls_open_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK);
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot make a socket: %s",
                         strerror(errno));
    r = check_dead(fd, address, why);
    close(fd);
    if (r != ATLS_OK)
        return r;
    if (unlink(address->sun_path) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot remove the old %s: %s",
                         address->sun_path, strerror(errno));
    return ATLS_OK;
}

static enum atls_error make_socket(struct agent_listener *listener,
                                   struct atls_reason *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    enum atls_error r;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", listener->path);
    r = remove_stale(&address, why);
    if (r != ATLS_OK)
        return r;
    listener->fd = atls_open_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK);
    /* chmod(2) instead of umask(2): until then too few may connect. */
    if (listener->fd < 0
        || bind(listener->fd, (const struct sockaddr *)&address,
                sizeof(address))
               != 0
        || chmod(listener->path, 0666) != 0
        || lstat(listener->path, &listener->st) != 0
        || listen(listener->fd, BACKLOG) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot listen on %s: %s",
                         listener->path, strerror(errno));
    return ATLS_OK;
}

enum atls_error agent_listen(const char *path, struct atls_reason *why,
                             struct agent_listener *ret_listener)
{
    struct agent_listener listener = {.fd = -1, .path = path, .lock_fd = -1};
    int count = sd_listen_fds(1);
    enum atls_error r;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return atls_fail(why, ATLS_E_CONFIG,
                         "the path of the socket is longer than 107 octets "
                         "(unix(7)): %s",
                         path);
    if (count < 0)
        return atls_fail(why, ATLS_E_CONFIG, "cannot take systemd's socket: %s",
                         strerror(-count));
    if (count > 0) {
        r = take_activated(count, why, &listener);
    } else {
        r = check_folder(path, why);
        if (r == ATLS_OK)
            r = take_lock(&listener, why);
        if (r == ATLS_OK)
            r = make_socket(&listener, why);
    }
    if (r != ATLS_OK) {
        agent_listener_close(&listener);
        return r;
    }
    *ret_listener = listener;
    return ATLS_OK;
}

void agent_listener_remove(const struct agent_listener *listener)
{
    struct stat now;

    if (!listener->is_activated && listener->fd >= 0 && listener->st.st_ino != 0
        && lstat(listener->path, &now) == 0 && now.st_ino == listener->st.st_ino
        && now.st_dev == listener->st.st_dev)
        (void)unlink(listener->path);
}

void agent_listener_close(struct agent_listener *listener)
{
    agent_listener_remove(listener);
    if (listener->fd >= 0)
        close(listener->fd);
    if (listener->lock_fd >= 0)
        close(listener->lock_fd);
    listener->fd = -1;
    listener->lock_fd = -1;
}
