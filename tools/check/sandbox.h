/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_SANDBOX_H
#define ATTEST_TOOLS_CHECK_SANDBOX_H

#include "tools/check/process.h"
#include "tools/check/checks.h"

/*
 * Seeing what another process sees: a forked child of ours goes where that
 * process is, becomes its user, and tells what it found over a pipe. Nothing of
 * the process itself is touched.
 */

enum sandbox {
    SANDBOX_MOUNTS = 1,  /* its mount namespace, at that namespace's root */
    SANDBOX_ROOT = 2,    /* its root folder, where it has called chroot(2) */
    SANDBOX_NETWORK = 4, /* its network namespace */
    SANDBOX_USER = 8 /* its user, groups and capabilities, for good; not where
                          it has a user namespace of its own */
};

/* Other mounts with another root, whose root user makes devices that its cgroup
 * keeps from it and not from us. */
bool tool_sandbox_is_container(const struct process *process);

/*
 * Go there; only in a child of tool_sandbox_run(). Where everything is as here already,
 * no right is needed and nothing happens.
 * ATLS_OK, or ATLS_E_IO with what could not be entered and what to do.
 */
enum atls_error tool_sandbox_enter(const struct process *process,
                                   unsigned sandbox,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Be nobody but this user; as the last part of tool_sandbox_enter(). */
#define SANDBOX_GROUPS_MAX PROCESS_GROUPS_MAX
struct sandbox_user {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    const gid_t *groups;
    uint64_t capabilities;
};
enum atls_error tool_sandbox_become(const struct sandbox_user *user,
                                    struct atls_reason *why) ATLS_MUST_CHECK;

/* Its user; the groups are borrowed from it. */
struct sandbox_user tool_sandbox_user_of(const struct process *process);

/*
 * Open files with the rights of this user, without capabilities, until they are
 * given back: for reading alone, nothing foreign may run meanwhile. ATLS_OK or
 * ATLS_E_IO; give back in either case.
 */
struct sandbox_borrowed {
    bool is_borrowed;
    gid_t gid;
    int group_count;
    gid_t groups[SANDBOX_GROUPS_MAX];
};
enum atls_error tool_sandbox_borrow(
    const struct sandbox_user *user, struct atls_reason *why,
    struct sandbox_borrowed *ret_own) ATLS_MUST_CHECK;
void tool_sandbox_give_back(const struct sandbox_borrowed *own);

/*
 * Run body in a child that has a copy of everything; what it finds is added to
 * check->findings. It has SANDBOX_SECONDS_MAX, no terminal, and nobody may trace
 * it: as another user it must not be a way back to us.
 *   body  returns 0..SANDBOX_RESULT_MAX
 * Returns what body returned, or -1 after a FAIL that says how the child ended.
 */
#define SANDBOX_SECONDS_MAX 120u
#define SANDBOX_RESULT_MAX 63
typedef int sandbox_body(struct check *check, const void *arg);
int tool_sandbox_run(struct check *check, sandbox_body *body, const void *arg);

#endif
