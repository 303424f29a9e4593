/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_OPENING_H
#define ATLS_BASE_OPENING_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/*
 * Where every descriptor of ours comes from. Programs run with standard input,
 * output or error closed (`program 2>&-`, daemons). The kernel gives out the lowest
 * free number, so what we open next would be their stderr: what the program, or a
 * library of its, prints there would go into our log, to the agent, to the TPM.
 *
 * So no descriptor of ours is ever 0, 1 or 2, and all are CLOEXEC. While one is
 * opened, O_PATH descriptors stand where nothing is open: reading and writing fail
 * there with EBADF, as they do without. A descriptor that comes out too low all the
 * same (another thread has opened or closed one at that moment) is moved.
 *
 * What libraries of others open by themselves is not ours to number: OpenSSL, and libc
 * where it reads its time zone or a message catalogue at some first time (to read only,
 * and closed at once).
 *
 * The functions return a descriptor of 3 or more, or -1 and errno. Where the standard
 * descriptors are open they cost three fcntl(2) more than what they call. Thread-safe,
 * also in the child of a fork made at any moment.
 */

int atls_open_file(const char *path, int flags, mode_t mode);
int atls_open_at(int folder, const char *name, int flags);
int atls_open_socket(int domain, int type);
int atls_open_accepted(int listener, int flags); /* as of accept4(2) */
int atls_open_eventfd(void);                     /* at zero, O_NONBLOCK */
int atls_open_timer(void);                       /* monotonic, O_NONBLOCK */
int atls_open_epoll(void);
int atls_open_signals(const sigset_t *signals); /* O_NONBLOCK */
int atls_open_copy(int fd);                     /* of the same open file */

/* Both ends of a Unix socket; false: errno. */
bool atls_open_pair(int type, int ret_ends[2]);

/* To read from; NULL and errno. fclose() it. */
FILE *atls_open_stream(const char *path);

/*
 * The same for what a library opens by itself, between begin and end: its own
 * descriptors then get higher numbers. Both keep errno. Not nested in one thread.
 */
struct atls_opening {
    unsigned held; /* a bit for each of 0, 1, 2 */
};
void atls_opening_begin(struct atls_opening *ret_opening);
void atls_opening_end(const struct atls_opening *opening);

/* Move a descriptor that is too low; any other comes back as it is, -1 too. */
int atls_opening_lift(int fd);

/*
 * For a program of ours, first in main(): what is closed of 0, 1 and 2 is opened on
 * /dev/null, as ssh(1) does, but the wrong way round: reading there and writing fails
 * with EBADF as before, so that what is lost is not lost unseen. False: it cannot be.
 */
bool atls_opening_standard(void);

#endif
