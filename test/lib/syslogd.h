/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_SYSLOGD_H
#define TEST_SYSLOGD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A machine's log daemon, in a mount namespace of the test's own: what is at
 * /dev/log and in /run is the test's.
 */

#define SYSLOGD_PATH "/dev/log"
#define SYSLOGD_JOURNAL "/run/systemd/journal/socket"

/* Put this process into such a namespace, with neither of the two. In a child: there
 * is no way back. False where that is not permitted. */
bool syslogd_room(void);

/* Listen at one of the two. Ends the process when it cannot. */
int syslogd_start(const char *path);

/* The file goes, too. */
void syslogd_stop(int fd, const char *path);

/* Take the next line; false: there is none. */
bool syslogd_next(int fd, char *ret_line, size_t size);

/* Is the next line one that ends so, and is there no further one? Says what there is
 * instead. */
bool syslogd_says(int fd, const char *end);

#endif
