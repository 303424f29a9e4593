/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_NOTIFY_H
#define ATTEST_AGENT_NOTIFY_H

#include <stdint.h>

/*
 * What systemd is told (sd_notify(3)); nothing happens where no service manager
 * listens. Source: systemd.service(5), Type=notify-reload, WatchdogSec=.
 */
void agent_notify_ready(const char *status);
void agent_notify_reloading(void);
void agent_notify_status(const char *status);
void agent_notify_stopping(void);
void agent_notify_alive(void);

/* How often systemd wants to hear that we are alive: twice in its time, in
 * milliseconds. 0: it does not. */
int64_t agent_notify_interval_ms(void);

#endif
