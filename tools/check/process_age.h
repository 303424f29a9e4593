/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_PROCESS_AGE_H
#define ATTEST_TOOLS_CHECK_PROCESS_AGE_H

#include <stdint.h>
#include <time.h>

#define PROCESS_SECOND_NS INT64_C(1000000000)
/* A change closer to a process's start counts as neither before nor after it:
 * the start is known to a tick, a file's time may be a file server's, and a
 * leap second sets the clock back by one. */
#define PROCESS_TOLERANCE_NS PROCESS_SECOND_NS

/* Two clocks at one moment. Starts of processes are of the first; changes of
 * files are of the second, which the administrator or NTP may set. */
struct process_clocks {
    int64_t boot_ns; /* CLOCK_BOOTTIME */
    int64_t wall_ns; /* CLOCK_REALTIME, since 1970 */
};

/* Read both clocks. */
struct process_clocks tool_process_clocks_now(void);

enum process_change {
    PROCESS_CHANGED_BEFORE,
    PROCESS_CHANGED_SINCE,
    PROCESS_CHANGE_UNKNOWN, /* too close, or of a time that is still to come:
                               the clock was set back since */
};

/*
 * Was a file changed before the process began, or since?
 *   began_ns  its start, on CLOCK_BOOTTIME
 *   changed   of stat(2); st_ctim, which nobody can choose, also tells of owner,
 *             rights and name
 *   now      read after the file's time
 * A wall clock that was set forward since then hides a change (BEFORE) that is
 * younger than the process by less than that. One that was set back by more than
 * PROCESS_TOLERANCE_NS shows a change just before the start as UNKNOWN until it has
 * caught up, then as SINCE: nothing records what the clock was at the start.
 */
enum process_change tool_process_changed(int64_t began_ns,
                                         const struct timespec *changed,
                                         const struct process_clocks *now);

#endif
