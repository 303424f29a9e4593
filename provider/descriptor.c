/* SPDX-License-Identifier: BSD-2-Clause */
#include "descriptor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

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

/* A SIGPIPE of our own write is taken back; one that was pending before is the
 * program's and stays. */
void atls_descriptor_write(int fd, const void *data, size_t len)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe_signal, pending, old;
    int saved = errno;
    ssize_t written;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    if (pthread_sigmask(SIG_BLOCK, &pipe_signal, &old) == 0) {
        written = write(fd, data, len);
        if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
            (void)sigtimedwait(&pipe_signal, NULL, &at_once);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    errno = saved;
}
