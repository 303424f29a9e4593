/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_DESCRIPTOR_H
#define ATLS_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A descriptor that we keep open in somebody else's program. Programs close
 * descriptors they do not know (closefrom(3) in daemons), and the number may be
 * a client's connection by the time we use it: so we remember what it stood for.
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
 * Write all octets with one write(2), raising no SIGPIPE in the program where a
 * reader has gone. What cannot be written is lost: nobody could be told. Keeps
 * errno. fd is used as it is; see atls_descriptor_is_ours().
 */
void atls_descriptor_write(int fd, const void *data, size_t len);

#endif
