/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_DESCRIPTOR_H
#define ATLS_BASE_DESCRIPTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A descriptor that we keep open in somebody else's program. Programs close
 * descriptors they do not know (closefrom(3) in daemons), and the number may be
 * a client's connection by the time we use it: so we remember what it stood for.
 * They come from opening.h, so none is below 3.
 */
struct atls_descriptor {
    int fd; /* -1: none */
    dev_t device;
    ino_t inode;
    unsigned owner; /* generation of the process that took it over */
};

/* Take over fd; -1 is fine. */
void atls_descriptor_set(struct atls_descriptor *descriptor, int fd);

/* Is it still what was taken over? */
bool atls_descriptor_is_ours(const struct atls_descriptor *descriptor);

/* Was it this process that took it over, and not one that has forked it? */
bool atls_descriptor_is_own(const struct atls_descriptor *descriptor);

/* Close it if it is still ours. */
void atls_descriptor_close(struct atls_descriptor *descriptor);

/*
 * The same of one that looks like all others of its kind: epoll(7), timerfd, eventfd
 * share one inode. A forked child, which may have closed all and opened others, as
 * daemons do, leaves it open: exec(2) closes it.
 */
void atls_descriptor_close_anonymous(struct atls_descriptor *descriptor);

/*
 * One that threads use while another puts a new one in its place. Number and
 * identity are one word, so that nobody sees the one without the other; a fork
 * copies it, and parent and child each go on by themselves. All zero: none.
 */
struct atls_shared_descriptor {
    _Atomic uint64_t
        word; /* descriptor + 1, and 32 bits of what it stands for */
};

/* Its number if it is still what was put there, else -1. Another thread may close it
 * right after: see atls_shared_descriptor_copy(). */
int atls_shared_descriptor_get(const struct atls_shared_descriptor *shared);

/* Put fd there, -1: none; what was there is closed if it is still ours. */
void atls_shared_descriptor_put(struct atls_shared_descriptor *shared, int fd);

/* Put fd there if nothing of ours is; else it is closed. What is there then, -1:
 * nothing. */
int atls_shared_descriptor_fill(struct atls_shared_descriptor *shared, int fd);

/* A descriptor of the caller's own for what is there. -1 and errno: EBADF, none is. */
int atls_shared_descriptor_copy(const struct atls_shared_descriptor *shared);

/*
 * Write all octets with one write(2), if that is possible without waiting, and
 * raise no SIGPIPE in the program where a reader has gone. Up to PIPE_BUF octets
 * never wait in a pipe or a socket, whatever its flags; keeps errno.
 * Returns false where they are lost, all or some.
 */
bool atls_descriptor_write(int fd, const void *data, size_t len);

/*
 * The program's standard error as it was at some moment: never closed by us.
 */
void atls_stderr_note(struct atls_descriptor *ret_descriptor);

/*
 * May we write there? Not where it was closed when it was noted: what has its number
 * now is something else of the program's. Nor to a socket that has come there since,
 * or one of the internet: that is a peer. (A terminal, file or pipe may have come in
 * its place: daemons do that.)
 */
bool atls_stderr_is_there(const struct atls_descriptor *noted);

#endif
