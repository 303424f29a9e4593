/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_CLOCK_H
#define ATLS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in milliseconds: what deadlines are made of, so that a wall
 * clock that jumps moves none. */
static inline int64_t atls_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline struct timespec atls_timespec_of_ms(int64_t ms)
{
    struct timespec ts = {
        .tv_sec = (time_t)(ms / 1000),
        .tv_nsec = (long)(ms % 1000) * 1000000L,
    };

    return ts;
}

#endif
