/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_LISTEN_H
#define ATTEST_AGENT_LISTEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

/* The socket that attestd listens on. */
struct agent_listener {
    int fd;
    bool is_activated; /* systemd's: its file is not ours to remove */
    const char *path;  /* of our own; borrowed */
    int lock_fd;       /* of PATH.lock; -1 */
    struct stat st;    /* of the socket's file */
};

/*
 * Take the socket that systemd passed (sd_listen_fds(3)), else make one at a path.
 * The file is everybody's to connect to, since who is served is not a matter of
 * the file's mode (access.h). One that a dead agent left is replaced; a lock on
 * PATH.lock, which only the agent's user can open, sees to it that two agents
 * that start at once do not both do so.
 *   path          absolute; its folder must exist, and be one where programs
 *                 believe whom they find (attester/agent_socket.c)
 *   ret_listener  set only on success; agent_listener_close() it
 * Returns ATLS_OK, ATLS_E_CONFIG (somebody else listens there, or something else
 * is there; the folder is somebody else's; it does not fit into sockaddr_un; systemd's is no SOCK_SEQPACKET or not
 * the only one), ATLS_E_IO.
 */
enum atls_error agent_listen(const char *path, struct atls_reason *why,
                             struct agent_listener *ret_listener)
    ATLS_MUST_CHECK;

/* Remove its file, if it is ours still. At the end of a process the rest is the
 * kernel's: closing here would close what strangers who were not let in yet have
 * sent (socket.h). */
void agent_listener_remove(const struct agent_listener *listener);

/* The same, and close it, and let go of the lock. */
void agent_listener_close(struct agent_listener *listener);

#endif
