/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_NOTIFY_H
#define ATTEST_AGENT_NOTIFY_H

#include <stdint.h>

/*
 * Messages to the service manager (sd_notify(3)). Each does nothing where none listens
 * ($NOTIFY_SOCKET), and none fails: there is nobody to report it to. Texts are borrowed,
 * one line each. Source: systemd.service(5), Type=notify-reload, WatchdogSec=.
 */

/* The start or a reload is over, and requests are answered. */
void agent_notify_ready(const char *status);

/* A reload begins: agent_notify_ready() ends it. */
void agent_notify_reloading(void);

/* Replace the line that systemctl status shows. */
void agent_notify_status(const char *status);

/* The end has begun: requests are refused from now on. */
void agent_notify_stopping(void);

/* The loop still turns: due every agent_notify_interval_ms(). */
void agent_notify_alive(void);

/* How often systemd wants agent_notify_alive(), in ms: twice in its time. 0: never. */
int64_t agent_notify_interval_ms(void);

#endif
