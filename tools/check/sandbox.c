/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WHAT "process"

/* ---- there ---- */

static enum atls_error enter_namespace(const struct process *process,
                                       const char *name, int kind,
                                       struct atls_reason *why)
{
    int fd = openat(process->dir, name, O_RDONLY | O_CLOEXEC);
    int r = fd >= 0 ? setns(fd, kind) : -1;
    int error = errno;

    if (fd >= 0)
        close(fd);
    if (r != 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot enter the %s namespace of process %d: %s",
                         kind == CLONE_NEWNS ? "mount" : "network",
                         process->pid, strerror(error));
    return ATLS_OK;
}

bool tool_sandbox_is_container(const struct process *process)
{
    return process->has_other_mounts && process->has_other_root;
}

/* chroot(2) needs a capability, so skip it where the root is ours already. */
static bool is_root_here(const struct process *process)
{
    struct stat own, theirs;

    return stat("/", &own) == 0
           && fstatat(process->dir, "root", &theirs, 0) == 0
           && own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino;
}

static enum atls_error enter_root(const struct process *process,
                                  struct atls_reason *why)
{
    int fd;

    if (is_root_here(process))
        return ATLS_OK;
    fd = openat(process->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fchdir(fd) != 0 || chroot(".") != 0) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        return atls_fail(why, ATLS_E_IO,
                         "cannot enter the root %s of process %d: %s",
                         process->root, process->pid, strerror(error));
    }
    close(fd);
    return ATLS_OK;
}

/* capset(2), which the C library leaves to libcap. */
static bool set_capabilities(uint64_t wanted)
{
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(wanted >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

/* A process of the user that we become must not read our memory, nor give us
 * rights by what we execute. A change of user resets the first two (prctl(2)). */
static bool shut_off(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
           && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0
           && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

enum atls_error tool_sandbox_become(const struct sandbox_user *user,
                                    struct atls_reason *why)
{
    if (geteuid() != 0 && geteuid() == user->uid && getegid() == user->gid)
        return ATLS_OK; /* and no right to be anybody else */
    /* Capabilities that it has although it is not root go with it. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0
        || setgroups(user->group_count, user->groups) != 0
        || setresgid(user->gid, user->gid, user->gid) != 0
        || setresuid(user->uid, user->uid, user->uid) != 0
        || !set_capabilities(user->capabilities) || !shut_off())
        return atls_fail(why, ATLS_E_IO,
                         "cannot become user %u: %s; run this as root",
                         user->uid, strerror(errno));
    return ATLS_OK;
}

struct sandbox_user tool_sandbox_user_of(const struct process *process)
{
    return (struct sandbox_user){
        .uid = process->uid,
        .gid = process->gid,
        .group_count = process->group_count,
        .groups = process->groups,
        /* Capabilities in another user namespace are not valid here. */
        .capabilities = process->has_other_users ? 0 : process->capabilities,
    };
}

enum atls_error tool_sandbox_borrow(const struct sandbox_user *user,
                                    struct atls_reason *why,
                                    struct sandbox_borrowed *ret_own)
{
    *ret_own = (struct sandbox_borrowed){.gid = getegid()};
    if (geteuid() == user->uid)
        return ATLS_OK;
    ret_own->group_count = getgroups(SANDBOX_GROUPS_MAX, ret_own->groups);
    if (ret_own->group_count < 0
        || setgroups(user->group_count, user->groups) != 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot become user %u: %s; run this as root",
                         user->uid, strerror(errno));
    ret_own->is_borrowed = true;
    if (setegid(user->gid) != 0 || seteuid(user->uid) != 0 || !shut_off())
        return atls_fail(why, ATLS_E_IO, "cannot become user %u: %s", user->uid,
                         strerror(errno));
    return ATLS_OK;
}

/* With any other rights the findings that follow would be wrong. */
void tool_sandbox_give_back(const struct sandbox_borrowed *own)
{
    if (own->is_borrowed
        && (seteuid(0) != 0 || setegid(own->gid) != 0
            || setgroups((size_t)own->group_count, own->groups) != 0
            || !shut_off()))
        _exit(SANDBOX_RESULT_MAX + 1);
}

enum atls_error tool_sandbox_enter(const struct process *process,
                                   unsigned sandbox, struct atls_reason *why)
{
    const struct sandbox_user user = tool_sandbox_user_of(process);
    enum atls_error r = ATLS_OK;

    if ((sandbox & SANDBOX_USER) != 0 && process->has_other_users)
        return atls_fail(why, ATLS_E_IO,
                         "process %d has a user namespace of its own: its user "
                         "is nobody's here",
                         process->pid);
    if ((sandbox & SANDBOX_NETWORK) != 0 && process->has_other_network)
        r = enter_namespace(process, "ns/net", CLONE_NEWNET, why);
    if (r == ATLS_OK && (sandbox & SANDBOX_MOUNTS) != 0
        && process->has_other_mounts)
        r = enter_namespace(process, "ns/mnt", CLONE_NEWNS, why);
    if (r == ATLS_OK && (sandbox & SANDBOX_ROOT) != 0)
        r = enter_root(process, why);
    if (r == ATLS_OK && (sandbox & SANDBOX_USER) != 0)
        r = tool_sandbox_become(&user, why);
    return r;
}

/* ---- and back ---- */

/* The child has no terminal to type into (ioctl_tty(2), TIOCSTI) and no input
 * to read. */
static bool cut_off(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool is_cut = null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO
                  && setsid() > 0 && shut_off();

    if (null > STDIN_FILENO)
        close(null);
    return is_cut;
}

static void run_child(struct check *check, sandbox_body *body, const void *arg,
                      int out) __attribute__((noreturn));
static void run_child(struct check *check, sandbox_body *body, const void *arg,
                      int out)
{
    bool is_sent;
    int result;

    alarm(SANDBOX_SECONDS_MAX);
    if (!cut_off())
        _exit(SANDBOX_RESULT_MAX + 1);
    tool_findings_free(check->findings); /* the parent has its own */
    check->findings = tool_findings_new();
    if (check->findings == NULL)
        _exit(SANDBOX_RESULT_MAX + 1);
    result = body(check, arg);
    is_sent = tool_findings_send(check->findings, out);
    tool_findings_free(check->findings);
    _exit(is_sent ? result : SANDBOX_RESULT_MAX + 1);
}

static int fail_child(struct check *check, int status)
{
    if (WIFSIGNALED(status))
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT, "Try again",
                          "looking at it from inside ended by signal %d (%s)",
                          WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT, "Try again",
                          "looking at it from inside failed");
    return -1;
}

int tool_sandbox_run(struct check *check, sandbox_body *body, const void *arg)
{
    int fds[2], status = 0;
    bool is_complete;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return fail_child(check, 0);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        run_child(check, body, arg, fds[1]);
    }
    close(fds[1]);
    is_complete = child > 0 && tool_findings_receive(check->findings, fds[0]);
    close(fds[0]);
    if (child < 0)
        return fail_child(check, 0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!is_complete || !WIFEXITED(status)
        || WEXITSTATUS(status) > SANDBOX_RESULT_MAX)
        return fail_child(check, status);
    return WEXITSTATUS(status);
}
