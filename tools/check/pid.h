/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_PID_H
#define ATTEST_TOOLS_CHECK_PID_H

#include <stddef.h>
#include <sys/types.h>

#include "tools/check/sandbox.h"
#include "tools/check/process.h"
#include "tools/check/unit.h"
#include "tools/check/checks.h"
#include "tools/check/known.h"

/*
 * `attest check --pid` and `--service`: is *that* process attesting? What can be
 * seen of it from outside, its configuration as it sees the files, the rights of
 * every user among it and its workers, and its ports.
 *   conf  the file that it has read, where its environment does not tell; or NULL
 */
void tool_check_pid(struct check *check, pid_t pid, const char *conf);
void tool_check_service(struct check *check, const char *name,
                        const char *conf);

/* ---- the parts ---- */

/* Programs among a family that are told about. */
#define TARGET_KNOWN_MAX 16u

/* Whom it is about. */
struct target {
    struct process_list list;    /* [0]: the process named, or one that it has
                                 started and that has OpenSSL in its place */
    const struct process *named; /* of the list; set with list.items[0] */
    size_t known_count;
    struct known_program known[TARGET_KNOWN_MAX];
    const struct unit *unit; /* systemd's word on it, or NULL */
    const char *conf;        /* --conf, or NULL */
    /* The environment it reads its configuration by: NAME=VALUE with NUL each;
     * NULL: not known. Borrowed. */
    const char *environment;
    size_t environment_len;
    /* With whose rights, in whose place: the first, the root that has forked it,
     * or NULL for a service that is stopped. */
    const struct process *reader;
    struct process *master;   /* owned, or NULL */
    struct sandbox_user user; /* of the reader, or of the stopped service */
};

/* Does it run the same program as the one named, as workers do? */
bool tool_target_is_worker(const struct target *target, size_t i);

/* Set named. Where it has no OpenSSL, let one that it has started and that has be
 * the first of the list. */
void tool_target_choose_carrier(struct check *check, struct target *target);

/* Set known, of all that run. */
void tool_target_note_known(struct target *target);

/* Set reader, master and user, of a process that runs. */
void tool_target_choose_reader(struct target *target);

/* Set user to that of a unit that is stopped; false after a FAIL.
 *   groups  must live as long as the target's user */
bool tool_target_use_user(struct check *check, struct target *target,
                          gid_t groups[SANDBOX_GROUPS_MAX]);

/*
 * In a child: go where the reader is, its root excepted where it has called
 * chroot(2) since, and read the settings with its user's rights; afterwards they
 * are ours again. Sets of_process. The environment is what OpenSSL goes by, no
 * more. Errors as of tool_sandbox_enter() and tool_check_load(); ATLS_E_CONFIG for a file of
 * a third user.
 */
enum atls_error tool_target_read_settings(
    struct check *check, const struct target *target,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* In that child: its attester, which reads its files with the same rights. As of
 * tool_check_new_attester(). */
enum atls_error tool_target_new_attester(
    const struct check *check, const struct target *target,
    struct atls_reason *why,
    struct atls_attester **ret_attester) ATLS_MUST_CHECK;

/* As seen from outside: what it is, what it has loaded, whether that is still
 * what is installed. Returns whether attest is loaded, false too where that
 * cannot be seen. */
bool tool_check_loaded(struct check *check, const struct target *target);

/* Those beside it that have an OpenSSL without attest, and why. A part of
 * tool_check_loaded(). */
void tool_check_others(struct check *check, const struct target *target);

/* Can each user among its processes still read the policy, where that changes? */
void tool_check_reach(struct check *check, const struct target *target);

/* Does each user among its processes get evidence? */
void tool_check_rights(struct check *check, const struct target *target);

/* The same before a service has ever been started: as its user, from here. */
void tool_check_rights_of_unit(struct check *check,
                               const struct target *target);

/* Do its ports answer with evidence? The only proof there is from outside. */
void tool_check_ports(struct check *check, const struct target *target);

#endif
