/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/descriptor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/opening.h"
#include "base/process.h"

/* --- one owner --------------------------------------------------------------- */

void atls_descriptor_set(struct atls_descriptor *descriptor, int fd)
{
    struct stat st;

    descriptor->fd = -1;
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    descriptor->fd = fd;
    descriptor->device = st.st_dev;
    descriptor->inode = st.st_ino;
    descriptor->owner = atls_process_generation();
}

bool atls_descriptor_is_ours(const struct atls_descriptor *descriptor)
{
    struct stat st;

    return descriptor->fd >= 0 && fstat(descriptor->fd, &st) == 0
           && st.st_dev == descriptor->device && st.st_ino == descriptor->inode;
}

bool atls_descriptor_is_own(const struct atls_descriptor *descriptor)
{
    return descriptor->fd >= 0
           && descriptor->owner == atls_process_generation();
}

void atls_descriptor_close(struct atls_descriptor *descriptor)
{
    if (atls_descriptor_is_ours(descriptor))
        close(descriptor->fd);
    descriptor->fd = -1;
}

void atls_descriptor_close_anonymous(struct atls_descriptor *descriptor)
{
    if (atls_descriptor_is_own(descriptor))
        atls_descriptor_close(descriptor);
    descriptor->fd = -1;
}

/* --- shared ------------------------------------------------------------------ */

/* Two files that meet in 32 bits have to meet in one number as well. */
static uint32_t identity_of(const struct stat *st)
{
    const uint64_t both =
        (uint64_t)st->st_ino ^ (uint64_t)st->st_dev * 0x9e3779b97f4a7c15u;

    return (uint32_t)(both ^ both >> 32);
}

/* 0: it is not open. */
static uint64_t word_of(int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return 0;
    return (uint64_t)(fd + 1) << 32 | identity_of(&st);
}

static int descriptor_of(uint64_t word)
{
    return (int)(word >> 32) - 1;
}

static bool is_ours(uint64_t word)
{
    return word != 0 && word_of(descriptor_of(word)) == word;
}

int atls_shared_descriptor_get(const struct atls_shared_descriptor *shared)
{
    uint64_t word = atomic_load(&shared->word);

    return is_ours(word) ? descriptor_of(word) : -1;
}

void atls_shared_descriptor_put(struct atls_shared_descriptor *shared, int fd)
{
    uint64_t old = atomic_exchange(&shared->word, word_of(fd));

    if (is_ours(old))
        close(descriptor_of(old));
}

int atls_shared_descriptor_fill(struct atls_shared_descriptor *shared, int fd)
{
    uint64_t old = atomic_load(&shared->word);

    if (fd < 0)
        return -1;
    if (!is_ours(old)
        && atomic_compare_exchange_strong(&shared->word, &old, word_of(fd)))
        return fd;
    close(fd);
    return atls_shared_descriptor_get(shared);
}

/* Looked at before, so that nobody else's file is duplicated and loses its locks
 * when that is closed, and after, for whoever was faster than that. */
int atls_shared_descriptor_copy(const struct atls_shared_descriptor *shared)
{
    uint64_t word = atomic_load(&shared->word);
    int copy;

    errno = EBADF;
    if (!is_ours(word))
        return -1;
    copy = atls_open_copy(descriptor_of(word));
    if (copy < 0 || (uint32_t)word_of(copy) == (uint32_t)word)
        return copy;
    close(copy);
    errno = EBADF;
    return -1;
}

/* --- writing ----------------------------------------------------------------- */

/* A full pipe, or a terminal that was stopped, would stop the program as well. */
static bool has_room(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0;
}

/* A SIGPIPE of our own write is taken back; one that was pending before is the
 * program's and stays. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe_signal, pending, old;
    ssize_t written;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    if (pthread_sigmask(SIG_BLOCK, &pipe_signal, &old) != 0)
        return -1;
    written = write(fd, data, len);
    if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
        (void)sigtimedwait(&pipe_signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return written;
}

bool atls_descriptor_write(int fd, const void *data, size_t len)
{
    int saved = errno;
    bool is_written =
        has_room(fd) && write_quietly(fd, data, len) == (ssize_t)len;

    errno = saved;
    return is_written;
}

/* --- standard error ---------------------------------------------------------- */

void atls_stderr_note(struct atls_descriptor *ret_descriptor)
{
    atls_descriptor_set(ret_descriptor, STDERR_FILENO);
}

static bool is_of_the_internet(int fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0
           && domain != AF_UNIX;
}

bool atls_stderr_is_there(const struct atls_descriptor *noted)
{
    struct stat st;

    if (noted->fd < 0 || fstat(STDERR_FILENO, &st) != 0)
        return false;
    return !S_ISSOCK(st.st_mode)
           || (atls_descriptor_is_ours(noted)
               && !is_of_the_internet(STDERR_FILENO));
}
