/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_SANDBOX_H
#define ATTEST_TOOLS_CHECK_SANDBOX_H

#include "tools/check/process.h"
#include "tools/check/checks.h"

/* See what another process sees: a forked child of ours enters that process's
 * sandbox (its namespaces and root), becomes its user, and sends its findings
 * over a pipe. The process itself is not touched. */

enum sandbox {
    SANDBOX_MOUNTS = 1,  /* its mount namespace, at that namespace's root */
    SANDBOX_ROOT = 2,    /* its root folder, where it has called chroot(2) */
    SANDBOX_NETWORK = 4, /* its network namespace */
    SANDBOX_USER = 8 /* its user, groups and capabilities, for good; not where
                          it has a user namespace of its own */
};

/* Is the process in a container: mounts and a root of its own, where root
 * cannot make devices but we could? */
bool tool_sandbox_is_container(const struct process *process);

/* Enter the sandbox of a process; only in a child of tool_sandbox_run(). If it
 * is ours already, this needs no right and does nothing. Returns ATLS_OK, or
 * ATLS_E_IO with what could not be entered and what to do. */
enum atls_error tool_sandbox_enter(const struct process *process,
                                   unsigned sandbox,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* A user, its groups and its effective capabilities. */
#define SANDBOX_GROUPS_MAX PROCESS_GROUPS_MAX
struct sandbox_user {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    const gid_t *groups;
    uint64_t capabilities;
};

/* Become this user for good, without any other right. Returns ATLS_OK,
 * ATLS_E_IO. */
enum atls_error tool_sandbox_become(const struct sandbox_user *user,
                                    struct atls_reason *why) ATLS_MUST_CHECK;

/* The user of a process; the groups are borrowed from it. */
struct sandbox_user tool_sandbox_user_of(const struct process *process);

/* Our own rights while those of another user are in use. */
struct sandbox_borrowed {
    bool is_borrowed;
    gid_t gid;
    int group_count;
    gid_t groups[SANDBOX_GROUPS_MAX];
};

/* Open files with the rights of this user, without capabilities, until
 * tool_sandbox_give_back(), which must follow in either case. Only for
 * reading: no foreign code may run meanwhile. Returns ATLS_OK, ATLS_E_IO. */
enum atls_error tool_sandbox_borrow(
    const struct sandbox_user *user, struct atls_reason *why,
    struct sandbox_borrowed *ret_own) ATLS_MUST_CHECK;

/* Restore our own rights. */
void tool_sandbox_give_back(const struct sandbox_borrowed *own);

/* What a child runs: returns 0..SANDBOX_RESULT_MAX. */
#define SANDBOX_SECONDS_MAX 120u
#define SANDBOX_RESULT_MAX 63
typedef int sandbox_body(struct check *check, const void *arg);

/* Run body in a forked child and add its findings to check->findings. The
 * child has SANDBOX_SECONDS_MAX and no terminal, and no process may trace it:
 * as another user it must not be a way back to us. Returns what body returned,
 * or -1 after a FAIL that says how the child ended. */
int tool_sandbox_run(struct check *check, sandbox_body *body, const void *arg);

#endif
