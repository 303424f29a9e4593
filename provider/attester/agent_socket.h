/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_AGENT_SOCKET_H
#define ATLS_ATTESTER_AGENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Connections of the program to its agent: AF_UNIX, SOCK_SEQPACKET. No call
 * raises SIGPIPE or is ended by a signal. Deadlines are CLOCK_MONOTONIC, ms.
 */

/* Where attestd listens unless it is configured otherwise. */
#define ATLS_AGENT_SOCKET "/run/attest/agent.sock"

/* Is it absolute, and does sockaddr_un hold it? ATLS_OK, ATLS_E_CONFIG. */
enum atls_error atls_agent_path_check(const char *path,
                                      struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Connect by the socket's path.
 *   deadline_ms  how long to wait while attestd's backlog is full
 *   ret_fd       set only on success; CLOEXEC
 * Who answers must be root, this user, or the owner of the socket's folder: others
 * could have put their own socket there only where everybody may.
 * ATLS_OK; ATLS_E_AGENT_UNAVAILABLE (not reached: errno, and what to do);
 * ATLS_E_QUEUE_FULL (reached, but its backlog is full); ATLS_E_IO (no descriptors).
 */
enum atls_error atls_agent_connect(const char *path, int64_t deadline_ms,
                                   struct atls_reason *why,
                                   int *ret_fd) ATLS_MUST_CHECK;

/* Wait for events of poll(2), or the other end to go; false: time is up. */
bool atls_agent_poll(int fd, short events, int64_t deadline_ms);

/* Has the other end gone, with nothing left to read? */
bool atls_agent_is_dead(int fd);

/*
 * Send one message; never waits. That the other end has gone is no error: what it
 * said before, or that it said nothing, is found by reading.
 * ATLS_OK, ATLS_E_QUEUE_FULL (it does not read), ATLS_E_IO.
 */
enum atls_error atls_agent_send(int fd, const uint8_t *octets, size_t len,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Receive one message; never waits.
 *   ret_fd  NULL: descriptors that come with it are let go by the kernel; else -1
 *           or the one that came, CLOEXEC, the caller's; others are closed
 * Returns octets of the message, which may be more than size (then the rest is
 * lost); 0 when the other end has gone; -1 and EAGAIN when nothing is there.
 */
ssize_t atls_agent_receive(int fd, uint8_t *octets, size_t size, int *ret_fd);

#endif
