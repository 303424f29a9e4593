/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_TARGET_H
#define ATTEST_TOOLS_CHECK_TARGET_H

#include <stddef.h>
#include <sys/types.h>

#include "tools/check/sandbox.h"
#include "tools/check/process.h"
#include "tools/check/unit.h"
#include "tools/check/checks.h"
#include "tools/check/known.h"

/*
 * `attest check --pid`: is that process attesting? Checks what can be seen from
 * outside: its configuration as it sees the files, the rights of every user among
 * it and its workers, its ports.
 *   conf  the file that it has read, if its environment does not say so; or NULL
 */
void tool_check_pid(struct check *check, pid_t pid, const char *conf);

/* The same for the processes of a systemd service, or, if it is stopped, for
 * how it would start. */
void tool_check_service(struct check *check, const char *name,
                        const char *conf);

/* ---- the parts ---- */

/* Programs of a family that are reported. */
#define TARGET_KNOWN_MAX 16u

/* The processes and what they go by. */
struct target {
    struct process_list list;    /* [0]: the process named, or one that it has
                                 started and that has OpenSSL in its place */
    const struct process *named; /* of the list; set with list.items[0] */
    size_t known_count;
    struct known_program known[TARGET_KNOWN_MAX];
    const struct unit *unit; /* systemd's word on it, or NULL */
    const char *conf;        /* --conf, or NULL */
    /* The environment that its configuration is read by: NAME=VALUE with NUL
     * each; NULL: not known. Borrowed. */
    const char *environment;
    size_t environment_len;
    /* The process whose rights and sandbox are used: the first, or the root
     * process that forked it; NULL for a stopped service. */
    const struct process *reader;
    struct process *master;   /* owned, or NULL */
    struct sandbox_user user; /* of the reader, or of the stopped service */
};

/* Does process i run the same program as the first, as workers do? */
bool tool_target_is_worker(const struct target *target, size_t i);

/* Set named. If that process has no OpenSSL, a child of it that has becomes
 * the first of the list. */
void tool_target_choose_carrier(struct check *check, struct target *target);

/* Set known for all processes of the list. */
void tool_target_note_known(struct target *target);

/* Set reader, master and user of a running process. */
void tool_target_choose_reader(struct target *target);

/*
 * Set user to the one of a stopped unit. Returns false after a FAIL.
 *   groups  must live as long as target->user
 */
bool tool_target_use_user(struct check *check, struct target *target,
                          gid_t groups[SANDBOX_GROUPS_MAX]);

/* In a child: enter the reader's sandbox, but not a root that it entered by
 * chroot(2) later, and read the settings with its user's rights. Our own
 * rights are restored afterwards. Sets of_process. The environment keeps only
 * what OpenSSL reads. Returns the errors of tool_sandbox_enter() and
 * tool_check_load(), or ATLS_E_CONFIG for a file that a third user owns. */
enum atls_error tool_target_read_settings(
    struct check *check, const struct target *target,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* In that child: make its attester, which reads its files with the same
 * rights. Returns as tool_check_new_attester(). */
enum atls_error tool_target_new_attester(
    const struct check *check, const struct target *target,
    struct atls_reason *why,
    struct atls_attester **ret_attester) ATLS_MUST_CHECK;

/* Check from outside what the process is, what it has loaded, and whether that
 * is still what is installed. Returns whether attest is loaded; false also if
 * that cannot be seen. */
bool tool_check_loaded(struct check *check, const struct target *target);

/* Check the other processes that have OpenSSL without attest. A part of
 * tool_check_loaded(). */
void tool_check_others(struct check *check, const struct target *target);

/* Can each user among its processes still read the policy when it changes? */
void tool_check_reach(struct check *check, const struct target *target);

/* Does each user among its processes get evidence? */
void tool_check_rights(struct check *check, const struct target *target);

/* The same for a service that was never started: as its user, in our sandbox. */
void tool_check_rights_of_unit(struct check *check,
                               const struct target *target);

/* Do its ports answer with evidence? Only this proves it from outside. */
void tool_check_ports(struct check *check, const struct target *target);

#endif
