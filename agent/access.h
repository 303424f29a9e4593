/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_ACCESS_H
#define ATTEST_AGENT_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/scanner.h"

/*
 * Who may ask the agent: both who made a connection, as the kernel recorded it
 * then (SO_PEERCRED, SO_PEERGROUPS), and who sends a request over it
 * (SCM_CREDENTIALS). The one alone would give the rights of a master that is root
 * to its workers; the other those of a program that can be brought to write to a
 * descriptor it did not open.
 */
struct agent_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    size_t group_count; /* supplementary ones */
    gid_t *groups;      /* owned */
};

/*
 * Who is at the other end of a connected Unix socket?
 *   ret_peer  set only on success; agent_peer_clear() it
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_NOMEM. Source: unix(7), socket(7).
 */
enum atls_error agent_peer_of(int fd, struct atls_reason *why,
                              struct agent_peer *ret_peer) ATLS_MUST_CHECK;
/* Who sends a message on a connection of this peer. Supplementary groups are known
 * where he is the same user.
 * Returns ATLS_OK or ATLS_E_NOMEM. */
enum atls_error agent_peer_of_sender(
    const struct agent_peer *peer, const struct ucred *sender,
    struct agent_peer *ret_peer) ATLS_MUST_CHECK;
void agent_peer_clear(struct agent_peer *peer);

/* Enough for names as useradd(8) makes them. */
#define AGENT_USER_NAME_SIZE 64

/* What a user is called on this machine, or his number; cut to the room. */
void agent_user_name(uid_t uid, char *name, size_t size);

/* A list of users and groups, resolved. */
struct agent_access;

/*
 * Resolve `allow`: users, @groups and numbers (of users; @33 of a group),
 * separated by commas or blanks.
 *   pair  NULL: nobody but root and the agent's own user, who always may
 *   why   "FILE:LINE: allow: ..." for a user or group that does not exist
 * Returns ATLS_OK, ATLS_E_CONFIG, ATLS_E_NOMEM.
 */
enum atls_error agent_access_new(
    const struct atls_scan_pair *pair, struct atls_reason *why,
    struct agent_access **ret_access) ATLS_MUST_CHECK;
void agent_access_free(struct agent_access *access); /* NULL is fine */

/* May this one ask? */
bool agent_access_allows(const struct agent_access *access,
                         const struct agent_peer *peer);

/*
 * The same, with an answer.
 *   path  of the configuration, for the message
 * Returns ATLS_OK, or ATLS_E_NOT_ALLOWED with the user, and what to add where. By
 * number: a directory that is asked for names may be slow, and strangers could have
 * it asked at will.
 */
enum atls_error agent_access_check(const struct agent_access *access,
                                   const struct agent_peer *peer,
                                   const char *path,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

#endif
