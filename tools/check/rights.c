/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/check/target.h"
#include "tools/common/local_evidence.h"

#define WHAT "rights"
/* The group of Debian's udev rules for /dev/tpm*. */
#define TPM_GROUP "tss"

/* One user's try. */
struct trial {
    const struct target *target;
    const struct process *process; /* NULL: none runs, but a user is known */
    struct sandbox_user user;
    char name[CHECK_USER_MAX];
    bool is_in_tpm_group;
};

/* ---- in the child ---- */

static const char *quoter_of(const struct check *check)
{
    const struct atls_attester_config *config = &check->configuration.attester;

    return config->socket != NULL ? config->socket : config->quoter.tcti;
}

static enum atls_error become(const struct trial *trial,
                              struct atls_reason *why)
{
    if (trial->process != NULL)
        return tool_sandbox_enter(trial->process, SANDBOX_ROOT | SANDBOX_USER,
                                  why);
    return tool_sandbox_become(&trial->user, why);
}

/* A quoter reads its files when the program makes its first context, with the
 * rights of that moment; a serving process asks the agent. */
static enum atls_error prepare(struct check *check, const struct trial *trial,
                               struct atls_reason *why,
                               struct atls_attester **ret_attester)
{
    const bool is_early = check->configuration.attester.socket == NULL;
    enum atls_error r = ATLS_OK;

    if (is_early)
        r = tool_target_new_attester(check, trial->target, why, ret_attester);
    if (r == ATLS_OK)
        r = become(trial, why);
    if (r == ATLS_OK && !is_early)
        r = tool_check_new_attester(check, why, ret_attester);
    return r;
}

/* B4: any user of the TPM can have any data quoted. */
static void check_direct_use(struct check *check, const struct trial *trial)
{
    static const char *const devices[] = {"/dev/tpmrm0", "/dev/tpm0"};
    const char *found = NULL;

    if (check->configuration.attester.socket == NULL || trial->user.uid == 0)
        return;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (found == NULL
            && faccessat(AT_FDCWD, devices[i], R_OK | W_OK, AT_EACCESS) == 0)
            found = devices[i];
    if (found != NULL)
        tool_finding_warn(
            check->findings, WHAT,
            "Take the right away: never a server in group " TPM_GROUP,
            "%s may open %s itself: who takes over the server can "
            "have anything quoted",
            trial->name, found);
    else if (trial->is_in_tpm_group)
        tool_finding_warn(
            check->findings, WHAT,
            "Take it out: gpasswd -d, or SupplementaryGroups= of the "
            "unit",
            "%s is in group " TPM_GROUP
            ", which may use the TPM: who takes over the server can "
            "have anything quoted",
            trial->name);
}

/* ---- connections to the agent ---- */

/* Looks for a process's connection to the agent (attester/agent_client.h). */
struct connection_search {
    int pidfd;
    const char *name; /* of the agent's socket, without its folder */
    bool is_open;
};

/* The path of a connected socket's peer, without its folder; "" if it is no
 * Unix SOCK_SEQPACKET socket, has no path or was closed. */
static const char *peer_name(int fd, struct sockaddr_un *address)
{
    socklen_t len = sizeof(*address) - 1, type_len = sizeof(int);
    struct pollfd hangup = {.fd = fd};
    const char *slash;
    int type = 0;

    memset(address, 0, sizeof(*address));
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0
        || type != SOCK_SEQPACKET
        || getpeername(fd, (struct sockaddr *)address, &len) != 0
        || address->sun_family != AF_UNIX || poll(&hangup, 1, 0) != 0)
        return "";
    slash = strrchr(address->sun_path, '/');
    return slash != NULL ? slash + 1 : "";
}

/* Works on a duplicate and reads nothing from it. */
static bool note_connection(void *arg, int fd, uint64_t inode)
{
    struct connection_search *search = arg;
    struct sockaddr_un address;
    int copy = (int)syscall(SYS_pidfd_getfd, search->pidfd, fd, 0);

    (void)inode;
    if (copy < 0)
        return true;
    search->is_open = strcmp(peer_name(copy, &address), search->name) == 0;
    close(copy);
    return !search->is_open;
}

static bool holds_connection(const struct process *process, const char *socket)
{
    const char *slash = strrchr(socket, '/');
    struct connection_search search = {
        .pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0),
        .name = slash != NULL ? slash + 1 : socket,
    };

    if (search.pidfd < 0)
        return false;
    /* The pid may belong to another process by now; not while its /proc folder
     * is alive. */
    if (faccessat(process->dir, "stat", F_OK, 0) == 0)
        (void)tool_process_visit_sockets(process, note_connection, &search);
    close(search.pidfd);
    return search.is_open;
}

/* ---- what came of it ---- */

/* The process connected before it changed its root. */
static void report_unreachable(struct check *check, const struct trial *trial,
                               bool has_connection,
                               const struct atls_reason *why)
{
    const struct process *process = trial->process;
    const char *socket = check->configuration.attester.socket;
    char next[256];

    snprintf(next, sizeof(next),
             "Let it see the socket there: BindReadOnlyPaths=%.*s:%.100s%.*s "
             "in the unit",
             (int)(strrchr(socket, '/') - socket), socket, process->root,
             (int)(strrchr(socket, '/') - socket), socket);
    if (has_connection)
        tool_finding_warn(
            check->findings, WHAT, next,
            "%s cannot reach %s in its root %s, but process %d holds "
            "a connection that was made before: good until the agent "
            "restarts",
            trial->name, socket, process->root, process->pid);
    else
        tool_finding_fail(check->findings, TOOL_UNAVAILABLE, WHAT, next,
                          "%s gets no evidence in its root %s: %s", trial->name,
                          process->root, why->text);
}

/* The process connected before its rights, or the socket's, changed. */
static bool may_not_connect(const char *socket)
{
    return faccessat(AT_FDCWD, socket, W_OK, AT_EACCESS) != 0
           && errno == EACCES;
}

static void report_kept_out(struct check *check, const struct trial *trial)
{
    tool_finding_warn(
        check->findings, WHAT,
        "Let it search the socket's folders and write the socket "
        "(SocketMode= of attestd.socket)",
        "%s may not connect to %s, but process %d holds a connection "
        "that was made before: good until the agent restarts",
        trial->name, check->configuration.attester.socket, trial->process->pid);
}

static void report_failure(struct check *check, const struct trial *trial,
                           bool has_connection, struct atls_reason *why)
{
    const bool is_out_of_reach =
        why->code == ATLS_E_AGENT_UNAVAILABLE && trial->process != NULL;

    if (is_out_of_reach && trial->process->has_other_root) {
        report_unreachable(check, trial, has_connection, why);
        return;
    }
    if (is_out_of_reach && has_connection
        && may_not_connect(check->configuration.attester.socket)) {
        report_kept_out(check, trial);
        return;
    }
    if (why->text[0] == '\0')
        (void)atls_fail(why, why->code, NULL);
    tool_finding_fail(check->findings,
                      atls_error_status(why->code) == TOOL_UNAVAILABLE
                          ? TOOL_UNAVAILABLE
                          : TOOL_USAGE,
                      WHAT, tool_check_quoter_hint(why->code),
                      "%s gets no evidence: %s", trial->name, why->text);
}

/* A program opens its log when it starts; processes that it forks inherit the
 * descriptor. */
static bool opens_its_log(const struct trial *trial)
{
    const struct process *first =
        trial->process != NULL ? trial->target->list.items[0] : NULL;

    return first == NULL || (first != trial->process && first->uid != 0);
}

static int try_as_user(struct check *check, const void *arg)
{
    const struct trial *trial = arg;
    const struct atls_span stand_in = {NULL, 0};
    struct atls_attester *attester = NULL;
    struct peer_evidence evidence = {0};
    struct atls_reason why = {0};
    enum atls_error r = tool_target_read_settings(check, trial->target, &why);
    bool is_connected = false;
    int64_t begin;

    /* Tries with the current rights. */
    if (r == ATLS_OK && trial->process != NULL
        && check->configuration.attester.socket != NULL)
        is_connected = holds_connection(trial->process,
                                        check->configuration.attester.socket);
    if (r == ATLS_OK && tool_check_why_not_tried(check) != NULL)
        return 0; /* said so for the configuration */
    if (r == ATLS_OK)
        r = prepare(check, trial, &why, &attester);
    begin = atls_now_ms();
    if (r == ATLS_OK)
        r = tool_local_evidence(attester, stand_in, &why, &evidence);
    if (r == ATLS_OK)
        tool_finding_ok(check->findings, WHAT,
                        "%s gets evidence from %s in %lld ms", trial->name,
                        quoter_of(check), (long long)(atls_now_ms() - begin));
    else
        report_failure(check, trial, is_connected, &why);
    check_direct_use(check, trial);
    if (opens_its_log(trial))
        tool_check_logging(check);
    tool_peer_evidence_clear(&evidence);
    atls_attester_free(attester);
    return 0;
}

/* A changed policy is read again with the rights, and in the root, that the
 * program has then. */
static int look_for_policy(struct check *check, const void *arg)
{
    const struct trial *trial = arg;
    struct atls_reason why = {0};
    const char *policy;

    if (tool_target_read_settings(check, trial->target, &why) != ATLS_OK)
        return 0; /* said so for the configuration */
    policy = check->configuration.policy;
    if (policy == NULL
        || tool_sandbox_enter(trial->process, SANDBOX_ROOT | SANDBOX_USER, &why)
               != ATLS_OK
        || faccessat(AT_FDCWD, policy, R_OK, AT_EACCESS) == 0)
        return 0;
    tool_finding_warn(
        check->findings, WHAT,
        "Restart the program after each change of the policy, its "
        "roots and CRLs, or let it reach them",
        "%s, in the root %s, cannot read %s (%s): process %d goes by "
        "what it has read before, whatever changes",
        trial->name, trial->process->root, policy, strerror(errno),
        trial->process->pid);
    return 0;
}

/* ---- in the parent ---- */

static bool is_in_tpm_group(const struct sandbox_user *user)
{
    const struct group *tss = getgrnam(TPM_GROUP);
    bool is_in = tss != NULL && user->gid == tss->gr_gid;

    for (size_t i = 0; tss != NULL && i < user->group_count; i++)
        is_in |= user->groups[i] == tss->gr_gid;
    return is_in;
}

static void try(struct check *check, struct trial *trial)
{
    trial->is_in_tpm_group = is_in_tpm_group(&trial->user);
    (void)tool_sandbox_run(check, try_as_user, trial);
}

static bool was_tried(const struct target *target, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (tool_target_is_worker(target, j)
            && tool_process_is_alike(target->list.items[j],
                                     target->list.items[i]))
            return true;
    return false;
}

/* Each user among its processes once.
 *   visit  gets a trial with the user's name */
static void visit_users(struct check *check, const struct target *target,
                        void (*visit)(struct check *check, struct trial *trial))
{
    for (size_t i = 0; i < target->list.count; i++) {
        const struct process *process = target->list.items[i];
        struct trial trial = {
            .target = target,
            .process = process,
            .user = tool_sandbox_user_of(process),
        };

        if (!tool_target_is_worker(target, i) || was_tried(target, i))
            continue;
        tool_check_user(check, trial.user.uid, trial.name);
        visit(check, &trial);
    }
}

static void try_process(struct check *check, struct trial *trial)
{
    if (trial->process->has_other_users)
        tool_finding_note(check->findings, WHAT,
                          "process %d has a user namespace of its own: its "
                          "rights are not tried",
                          trial->process->pid);
    else
        try(check, trial);
}

void tool_check_rights(struct check *check, const struct target *target)
{
    visit_users(check, target, try_process);
}

static void try_reach(struct check *check, struct trial *trial)
{
    if (trial->process->inner.path != NULL && !trial->process->has_other_users)
        (void)tool_sandbox_run(check, look_for_policy, trial);
}

void tool_check_reach(struct check *check, const struct target *target)
{
    visit_users(check, target, try_reach);
}

void tool_check_rights_of_unit(struct check *check, const struct target *target)
{
    struct trial trial = {.target = target, .user = target->user};

    tool_check_user(check, trial.user.uid, trial.name);
    try(check, &trial);
}
