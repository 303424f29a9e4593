/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* Nobody could be told that systemd cannot be told. */

void agent_notify_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void agent_notify_reloading(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                     (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void agent_notify_status(const char *status)
{
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void agent_notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void agent_notify_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

int64_t agent_notify_interval_ms(void)
{
    uint64_t usec = 0;

    if (sd_watchdog_enabled(0, &usec) <= 0)
        return 0;
    return usec < 2000 ? 1 : (int64_t)(usec / 2000);
}
