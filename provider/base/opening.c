/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOWEST (STDERR_FILENO + 1)

/* --- the places ------------------------------------------------------------- */

static bool is_closed(int fd)
{
    return fcntl(fd, F_GETFD) < 0;
}

/* The root is there in every chroot, and nobody reads or writes an O_PATH. */
static void hold_place(struct atls_opening *opening)
{
    int place = open("/", O_PATH | O_CLOEXEC);

    if (place >= LOWEST)
        close(place); /* another thread has opened that one meanwhile */
    else if (place >= 0)
        opening->held |= 1u << place;
}

void atls_opening_begin(struct atls_opening *ret_opening)
{
    int saved = errno;

    ret_opening->held = 0;
    for (int fd = 0; fd < LOWEST; fd++)
        if (is_closed(fd))
            hold_place(ret_opening);
    errno = saved;
}

/* The program may have put a file of its own there. */
static bool is_place(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_PATH) != 0;
}

void atls_opening_end(const struct atls_opening *opening)
{
    int saved = errno;

    for (int fd = 0; fd < LOWEST; fd++)
        if ((opening->held >> fd & 1) != 0 && is_place(fd))
            close(fd);
    errno = saved;
}

int atls_opening_lift(int fd)
{
    int moved, error;

    if (fd < 0 || fd >= LOWEST)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
    error = errno == EINVAL ? EMFILE : errno; /* the limit is that low */
    close(fd);
    errno = error;
    return moved;
}

static int finish(const struct atls_opening *opening, int fd)
{
    atls_opening_end(opening);
    return atls_opening_lift(fd);
}

/* --- what is opened --------------------------------------------------------- */

int atls_open_file(const char *path, int flags, mode_t mode)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, open(path, flags | O_CLOEXEC, mode));
}

int atls_open_at(int folder, const char *name, int flags)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, openat(folder, name, flags | O_CLOEXEC));
}

int atls_open_socket(int domain, int type)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, socket(domain, type | SOCK_CLOEXEC, 0));
}

int atls_open_accepted(int listener, int flags)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening,
                  accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC));
}

int atls_open_eventfd(void)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int atls_open_timer(void)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening,
                  timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

int atls_open_epoll(void)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, epoll_create1(EPOLL_CLOEXEC));
}

int atls_open_signals(const sigset_t *signals)
{
    struct atls_opening opening;

    atls_opening_begin(&opening);
    return finish(&opening, signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

int atls_open_copy(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
}

bool atls_open_pair(int type, int ret_ends[2])
{
    struct atls_opening opening;
    bool is_made;

    atls_opening_begin(&opening);
    is_made = socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_ends) == 0;
    atls_opening_end(&opening);
    if (!is_made)
        return false;
    ret_ends[0] = atls_opening_lift(ret_ends[0]);
    ret_ends[1] = atls_opening_lift(ret_ends[1]);
    if (ret_ends[0] >= 0 && ret_ends[1] >= 0)
        return true;
    for (int i = 0; i < 2; i++)
        if (ret_ends[i] >= 0)
            close(ret_ends[i]);
    errno = EMFILE;
    return false;
}

FILE *atls_open_stream(const char *path)
{
    int fd = atls_open_file(path, O_RDONLY | O_NOCTTY, 0);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

/* --- programs of ours ------------------------------------------------------- */

bool atls_opening_standard(void)
{
    for (int fd = 0; fd < LOWEST; fd++)
        if (is_closed(fd)
            && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY)
                   != fd)
            return false;
    return true;
}
