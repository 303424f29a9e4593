/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/process_age.h"

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * PROCESS_SECOND_NS + time->tv_nsec;
}

struct process_clocks tool_process_clocks_now(void)
{
    struct timespec boot = {0}, wall = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    return (struct process_clocks){.boot_ns = ns_of(&boot),
                                   .wall_ns = ns_of(&wall)};
}

/* Both ages are counted back from now, each by its own clock. The btime of
 * /proc/stat joins the clocks in whole seconds: files of the second before
 * would seem newer than the process. */
enum process_change tool_process_changed(int64_t began_ns,
                                         const struct timespec *changed,
                                         const struct process_clocks *now)
{
    const int64_t process_age_ns = now->boot_ns - began_ns;
    const int64_t change_age_ns = now->wall_ns - ns_of(changed);

    if (change_age_ns >= process_age_ns)
        return PROCESS_CHANGED_BEFORE;
    if (change_age_ns < 0
        || process_age_ns - change_age_ns <= PROCESS_TOLERANCE_NS)
        return PROCESS_CHANGE_UNKNOWN;
    return PROCESS_CHANGED_SINCE;
}
