/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/check/interface.h"
#include "tools/check/target.h"
#include "core.h"
#include "tools/check/known.h"

/* proc(5), comm: at most TASK_COMM_LEN octets, without the folder; any user
 * may read it. */
#define COMMAND_MAX 32

static const char *command_of(const struct process *process,
                              char command[COMMAND_MAX])
{
    FILE *file = tool_process_open(process, "comm");

    command[0] = '\0';
    if (file != NULL && fgets(command, COMMAND_MAX, file) != NULL)
        command[strcspn(command, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
    return command[0] != '\0' ? command : "?";
}

static void describe(struct check *check, const struct target *target)
{
    const struct process *process = target->list.items[0];
    char user[CHECK_USER_MAX], more[64] = "", command[COMMAND_MAX];
    size_t workers = 0;

    for (size_t i = 1; i < target->list.count; i++)
        workers += tool_target_is_worker(target, i);
    if (workers > 0)
        snprintf(more, sizeof(more), ", with %zu more of the same program",
                 workers);
    tool_check_user(check, process->uid, user);
    tool_finding_ok(check->findings, "process", "%d is %s as %s%s",
                    process->pid,
                    process->exe.path != NULL ? process->exe.path
                                              : command_of(process, command),
                    user, more);
}

/* Namespaces, chroot and confinement: the process sees other files or has
 * other rights than its user. */
static void describe_place(struct check *check, const struct process *process)
{
    if (process->has_other_mounts)
        tool_finding_note(
            check->findings, "sandbox",
            "process %d has mounts of its own: files below are those "
            "that it sees",
            process->pid);
    if (process->has_other_root && !process->has_other_mounts)
        tool_finding_note(
            check->findings, "sandbox",
            "process %d has the root %s: what it opens now, it opens "
            "there",
            process->pid, process->root);
    if (process->has_other_network)
        tool_finding_note(check->findings, "sandbox",
                          "process %d has a network of its own", process->pid);
    if (process->label[0] != '\0')
        tool_finding_note(
            check->findings, "sandbox",
            "process %d runs under the rules %s, which are not tried "
            "here",
            process->pid, process->label);
    if (process->has_seccomp)
        tool_finding_note(
            check->findings, "sandbox",
            "process %d has a filter of system calls, which is not "
            "tried here",
            process->pid);
}

/* The settings that decide what OpenSSL and attest read and write in it. */
static void describe_environment(struct check *check,
                                 const struct process *process)
{
    static const char *const names[] = {"OPENSSL_CONF", "OPENSSL_MODULES",
                                        "ATTEST_REPORT"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = tool_process_getenv(process, names[i]);

        if (value != NULL)
            tool_finding_note(check->findings, "environment", "%s=%s", names[i],
                              value);
    }
}

/* ---- what it has mapped ---- */

static void check_stale(struct check *check, const struct process *process,
                        const struct process_file *file)
{
    if (file->path != NULL && file->is_stale)
        tool_finding_warn(
            check->findings, "upgrade", "Restart it",
            "process %d still runs the %s of before: it was replaced "
            "or deleted",
            process->pid, file->path);
}

/* C14: the first TLS context maps the inner object that is installed at that
 * time. Does it fit the attest.so that is already mapped? */
static bool has_outlived_its_inner(const struct process *process)
{
    const char *outer = process->outer.path;
    const char *slash = outer != NULL ? strrchr(outer, '/') : NULL;
    char inner[PATH_MAX];
    int mapped, installed;

    if (slash == NULL || !process->outer.is_stale
        || process->inner.path != NULL)
        return false;
    snprintf(inner, sizeof(inner), "%.*s/" ATLS_INNER_NAME,
             (int)(slash - outer), outer);
    mapped = tool_interface_of_descriptor(
        tool_process_open_mapped(process, &process->outer));
    installed =
        tool_interface_of_descriptor(tool_process_open_path(process, inner));
    return mapped != INTERFACE_UNKNOWN && installed != INTERFACE_UNKNOWN
           && mapped != installed;
}

static void check_modules_are_stale(struct check *check,
                                    const struct process *process)
{
    if (has_outlived_its_inner(process))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "upgrade", "Restart it",
            "process %d still runs the %s of before, which does not "
            "fit the " ATLS_INNER_NAME " that is installed: it can "
            "make no TLS context",
            process->pid, process->outer.path);
    else
        check_stale(check, process, &process->outer);
    check_stale(check, process, &process->inner);
}

static void check_library(struct check *check, const struct process *process)
{
    if (process->libssl.path != NULL)
        tool_finding_ok(check->findings, "library", "%s is loaded",
                        process->libssl.path);
    else if (process->libcrypto.path != NULL)
        tool_finding_note(check->findings, "library",
                          "%s is loaded, and no libssl so far",
                          process->libcrypto.path);
    else
        tool_finding_fail(
            check->findings, TOOL_USAGE, "library",
            "attest check --exec tells what the program has",
            "process %d has loaded no OpenSSL: it uses none, not yet, "
            "or one inside itself, which attest cannot work in",
            process->pid);
}

/* C3. OpenSSL reads OPENSSL_CONF by secure_getenv(3). */
static void check_secure(struct check *check, const struct target *target)
{
    const struct process *process = target->list.items[0];
    const char *conf = tool_process_getenv(process, "OPENSSL_CONF");
    const char *advice = tool_known_advice(process, KNOWN_LOSES);

    if (!process->is_secure)
        return;
    if (conf != NULL)
        tool_finding_fail(
            check->findings, TOOL_USAGE, "environment",
            advice != NULL ? advice
                           : "Configure attest in the system's openssl.cnf, or "
                             "take the right from its file (chmod ug-s, setcap "
                             "-r)",
            "process %d was executed setuid, setgid, with file "
            "capabilities or with real and effective ids that differ "
            "(AT_SECURE): OpenSSL ignores OPENSSL_CONF=%s in it",
            process->pid, conf);
    else
        tool_finding_note(
            check->findings, "environment",
            "process %d was executed setuid, setgid, with file "
            "capabilities or with real and effective ids that differ "
            "(AT_SECURE): it reads the system's openssl.cnf alone",
            process->pid);
}

static const char *next_when_not_loaded(const struct process *process)
{
    if (process->libcrypto.path == NULL)
        return NULL;
    return "If nothing below fails, it was started before attest was "
           "configured: restart it";
}

static bool check_module_is_loaded(struct check *check,
                                   const struct process *process)
{
    if (process->outer.path == NULL) {
        tool_finding_fail(
            check->findings, TOOL_USAGE, "loaded",
            next_when_not_loaded(process),
            "process %d runs without attest.so: its connections are "
            "not attested",
            process->pid);
        return false;
    }
    if (process->inner.path == NULL)
        tool_finding_warn(
            check->findings, "loaded", "Does its configuration switch TLS on?",
            "process %d has loaded %s, and has made no TLS context "
            "so far",
            process->pid, process->outer.path);
    else
        tool_finding_ok(check->findings, "loaded",
                        "%s is on in process %d, and it has made a TLS context",
                        process->outer.path, process->pid);
    return true;
}

bool tool_check_loaded(struct check *check, const struct target *target)
{
    const struct process *process = target->list.items[0];
    bool is_loaded;

    describe(check, target);
    if (process->hidden.code != ATLS_OK) {
        tool_check_fail(check, "process",
                        geteuid() == 0 ? "Even root may not: a container, or "
                                         "kernel.yama.ptrace_scope"
                                       : "Run this as root, or as its user",
                        &process->hidden);
        return false;
    }
    describe_place(check, process);
    describe_environment(check, process);
    check_stale(check, process, &process->exe);
    check_stale(check, process, &process->libcrypto);
    check_stale(check, process, &process->libssl);
    check_library(check, process);
    check_secure(check, target);
    is_loaded = check_module_is_loaded(check, process);
    check_modules_are_stale(check, process);
    tool_check_others(check, target);
    return is_loaded;
}
