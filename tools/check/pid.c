/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/target.h"

#include <fcntl.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/agent_socket.h"

/* The exit status of the child that reads the configuration. */
#define HAS_ATTESTER 1
#define HAS_AGENT 2

/* ---- configuration ---- */

/* install -p and mv keep the time of the content. */
static const char *what_changed(const struct process *process,
                                const struct stat *st,
                                const struct process_clocks *now)
{
    if (tool_process_changed(process->began_ns, &st->st_mtim, now)
        == PROCESS_CHANGED_SINCE)
        return "was changed";
    return "was replaced, or its owner or rights were changed,";
}

static void check_change(struct check *check, const struct process *process,
                         const char *file, const struct stat *st)
{
    const struct process_clocks now = tool_process_clocks_now();

    switch (tool_process_changed(process->began_ns, &st->st_ctim, &now)) {
    case PROCESS_CHANGED_SINCE:
        tool_finding_warn(
            check->findings, "configuration",
            "Restart it; reloading is enough only for programs that "
            "execute themselves anew for it, as HAProxy",
            "%s %s after process %d began, which may still go by the "
            "old one",
            file, what_changed(process, st, &now), process->pid);
        break;
    case PROCESS_CHANGE_UNKNOWN:
        tool_finding_note(
            check->findings, "configuration",
            "cannot tell whether %s was changed before process %d "
            "began or after: both were within a second, or the clock "
            "was set back since. A restart makes sure",
            file, process->pid);
        break;
    case PROCESS_CHANGED_BEFORE:
        break;
    }
}

/* A process reads its configuration once. */
static void check_changes(struct check *check, const struct process *process)
{
    for (size_t i = 0; i < check->scan->file_count; i++) {
        struct stat st;

        if (stat(check->scan->files[i], &st) == 0)
            check_change(check, process, check->scan->files[i], &st);
    }
}

static int tell(const struct atls_configuration *configuration)
{
    if (!configuration->has_attester || configuration->broken.code != ATLS_OK
        || configuration->attester_broken.code != ATLS_OK)
        return 0;
    return HAS_ATTESTER
           | (configuration->attester.socket != NULL ? HAS_AGENT : 0);
}

/* C8 */
static void check_devices(struct check *check, const struct unit *unit)
{
    const char *tcti = check->configuration.attester.quoter.tcti;

    if (unit->has_private_devices && tcti != NULL
        && strncmp(tcti, "device:", strlen("device:")) == 0)
        tool_finding_fail(
            check->findings, TOOL_UNAVAILABLE, "service",
            "Let attestd have the TPM: quoter = unix:" ATLS_AGENT_SOCKET,
            "%s has PrivateDevices=yes: there is no TPM in its /dev "
            "for quoter = tcti:%s",
            unit->name, tcti);
}

/* The module is loaded, OPENSSL_CONF is not known, and the system's file does
 * not name attest: the process has read another file. */
static bool has_read_another(const struct check *check,
                             const struct target *target)
{
    return target->conf == NULL && target->environment == NULL
           && check->process->outer.path != NULL
           && (check->conf == NULL || check->conf->provider == NULL);
}

static const char *next_when_unread(const struct check *check,
                                    const struct target *target)
{
    if (geteuid() != 0 && geteuid() != target->user.uid)
        return NULL; /* the reason itself tells */
    if (check->process != NULL && check->process->may_have_been_root)
        return "If it was read before root was given up, name it with --conf, "
               "as root";
    return "OpenSSL runs programs without it";
}

static void report_unread(struct check *check, const struct target *target,
                          const struct atls_reason *why)
{
    const struct process *process = check->process;

    if (process != NULL && has_read_another(check, target))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "configuration",
            "Name it with --conf (often /etc/attest/openssl.cnf)",
            "not known which file process %d has read: it runs %s, "
            "and the system's file says nothing of that",
            process->pid, process->outer.path);
    else
        tool_finding_fail(check->findings, TOOL_USAGE, "configuration",
                          next_when_unread(check, target), "%s", why->text);
}

static int read_configuration(struct check *check, const void *arg)
{
    const struct target *target = arg;
    struct atls_reason why = {0};
    enum atls_error r;

    if (target->list.count > 0)
        check->process = target->list.items[0];
    r = tool_target_read_settings(check, target, &why);
    if (r != ATLS_OK
        || (check->process != NULL && has_read_another(check, target))) {
        report_unread(check, target, &why);
        return 0;
    }
    if (tool_sandbox_become(&target->user, &why) != ATLS_OK) {
        tool_check_fail(check, "process", "Run this as root", &why);
        return 0;
    }
    tool_check_run(check);
    for (size_t i = 0; i < target->known_count; i++)
        tool_known_report(check, &target->known[i]);
    if (check->process != NULL)
        check_changes(check, check->process);
    else
        check_devices(check, target->unit);
    return tell(&check->configuration);
}

/* ---- which environment ---- */

static void report_environment(struct check *check, const struct target *target)
{
    const struct process *process = target->reader;

    if (process->environment != NULL || target->conf != NULL)
        return;
    if (target->environment != NULL)
        tool_finding_note(
            check->findings, "environment",
            "process %d has written over it, as programs do to show "
            "a title: taken from the unit %s",
            process->pid, target->unit->name);
    else
        tool_finding_warn(
            check->findings, "environment",
            "Name the file it has read with --conf",
            "process %d has written over it, as programs do to show "
            "a title: OPENSSL_CONF is not known, the system's file "
            "is looked at",
            process->pid);
}

static void report_past(struct check *check, const struct target *target)
{
    if (target->reader->may_have_been_root)
        tool_finding_note(
            check->findings, "rights",
            "process %d may have begun as root: what it read and "
            "opened as that is tried with the rights that it has now",
            target->reader->pid);
}

/* nginx passes to a new binary (SIGUSR2) only the variables that its `env`
 * directive names. */
static void check_upgrade(struct check *check, const struct target *target)
{
    const char *program = tool_process_program(target->list.items[0]);
    const char *slash = strrchr(program, '/');

    if (slash == NULL || strcmp(slash + 1, "nginx") != 0
        || target->environment == NULL
        || memmem(target->environment, target->environment_len,
                  "OPENSSL_CONF=", strlen("OPENSSL_CONF="))
               == NULL)
        return;
    tool_finding_note(
        check->findings, "environment",
        "nginx hands OPENSSL_CONF on to a new binary (USR2) only with "
        "env OPENSSL_CONF; in nginx.conf");
}

/* A unit that sets no variable has an empty environment. */
static void use_unit(struct target *target)
{
    const struct unit *unit = target->unit;

    target->environment = unit->environment != NULL ? unit->environment : "";
    target->environment_len = unit->environment_len;
}

static void choose_environment(struct target *target)
{
    const struct process *process = target->reader;

    if (process->environment != NULL) {
        target->environment = process->environment;
        target->environment_len = process->environment_len;
    } else if (target->unit != NULL && target->list.items[0] == target->named) {
        use_unit(target);
    }
}

/* ---- both verbs ---- */

/* Design "Measuring": what is measured at boot is measured before a service
 * proves it. */
static void check_order(struct check *check, const struct unit *unit, int found)
{
    static const struct {
        const char *name;
        int needed_by;
    } before[] = {{"attest-measure.service", HAS_ATTESTER},
                  {"attestd.socket", HAS_AGENT}};

    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        if ((found & before[i].needed_by) != 0
            && strstr(unit->after, before[i].name) == NULL
            && tool_unit_exists(before[i].name))
            tool_finding_warn(check->findings, "service",
                              "Add it there: systemctl edit",
                              "%s is not ordered After=%s: it may start before",
                              unit->name, before[i].name);
}

static void check_subject(struct check *check, struct target *target)
{
    bool is_loaded;
    int found;

    tool_target_choose_carrier(check, target);
    tool_target_note_known(target);
    tool_target_choose_reader(target);
    choose_environment(target);
    is_loaded = tool_check_loaded(check, target);
    if (target->list.items[0]->hidden.code != ATLS_OK)
        return;
    if (target->list.items[0]->has_other_users) {
        tool_finding_note(
            check->findings, "sandbox",
            "process %d has a user namespace of its own: its "
            "configuration and rights are not looked at from here. "
            "Run attest check in there",
            target->list.items[0]->pid);
        if (is_loaded)
            tool_check_ports(check, target);
        return;
    }
    report_environment(check, target);
    report_past(check, target);
    check_upgrade(check, target);
    found = tool_sandbox_run(check, read_configuration, target);
    if (found >= 0)
        tool_check_reach(check, target);
    if (found <= 0)
        return;
    tool_check_rights(check, target);
    if (target->unit != NULL)
        check_order(check, target->unit, found);
    if (is_loaded)
        tool_check_ports(check, target);
}

/* A program that a user starts by hand is also in the unit of the user's
 * session. */
static bool started_it(const struct unit *unit, const struct process *process)
{
    return unit->main_pid == process->pid || unit->main_pid == process->parent;
}

/* A relative --conf is relative to our folder: the process's own folder is its
 * user's choice. NULL for none. */
static char *conf_from_here(const char *conf)
{
    char folder[PATH_MAX], *path = NULL;

    if (conf == NULL || conf[0] == '/' || getcwd(folder, PATH_MAX) == NULL)
        return conf != NULL ? strdup(conf) : NULL;
    if (asprintf(&path, "%s/%s", folder, conf) < 0)
        return NULL;
    return path;
}

void tool_check_pid(struct check *check, pid_t pid, const char *conf)
{
    char *const from_here = conf_from_here(conf);
    struct target target = {.conf = from_here};
    char name[UNIT_NAME_MAX + 1];
    struct unit *unit = NULL;
    struct atls_reason why = {0};

    if (tool_process_list_add_family(&target.list, pid, &why) != ATLS_OK) {
        tool_check_fail(check, "process", "ps -e lists those there are", &why);
    } else {
        if (target.list.items[0]->environment == NULL
            && tool_unit_of_process(target.list.items[0], name)
            && tool_unit_read(name, NULL, &unit) == ATLS_OK
            && started_it(unit, target.list.items[0]))
            target.unit = unit;
        check_subject(check, &target);
    }
    tool_unit_free(unit);
    tool_process_free(target.master);
    tool_process_list_clear(&target.list);
    free(from_here);
}

/* ---- services ---- */

/* Check what would happen if the service were started. */
static void check_stopped(struct check *check, struct target *target)
{
    const struct unit *unit = target->unit;
    gid_t groups[SANDBOX_GROUPS_MAX];
    int found;

    if (strcmp(unit->active, "active") == 0) {
        tool_finding_fail(check->findings, TOOL_USAGE, "service",
                          "If it stands for instances, name one: systemctl "
                          "list-units postfix@* postgresql@*",
                          "%s is active without a process: nothing to look at",
                          unit->name);
        return;
    }
    tool_finding_warn(check->findings, "service", "systemctl start starts it",
                      "%s is not running (%s): below, how it would start",
                      unit->name, unit->active);
    if (unit->root[0] != '\0')
        tool_finding_note(
            check->findings, "service",
            "it runs in the root %s, which is not looked at before",
            unit->root);
    use_unit(target);
    target->known[0].path = unit->program;
    tool_known_note(&target->known[0], unit->program);
    target->known_count = 1;
    if (!tool_target_use_user(check, target, groups))
        return;
    found = tool_sandbox_run(check, read_configuration, target);
    if (found > 0) {
        tool_check_rights_of_unit(check, target);
        check_order(check, unit, found);
    }
}

/* The main process and its descendants first, then the rest of its control
 * group. */
static enum atls_error list_processes(struct target *target,
                                      struct atls_reason *why)
{
    const struct unit *unit = target->unit;
    enum atls_error r = ATLS_OK;

    if (unit->main_pid > 0)
        r = tool_process_list_add_family(&target->list, unit->main_pid, why);
    if (r == ATLS_OK || r == ATLS_E_USAGE)
        r = tool_unit_list_processes(unit, &target->list, why);
    return r;
}

void tool_check_service(struct check *check, const char *name, const char *conf)
{
    char *const from_here = conf_from_here(conf);
    struct target target = {.conf = from_here};
    struct atls_reason why = {0};
    struct unit *unit = NULL;

    if (tool_unit_read(name, &why, &unit) != ATLS_OK) {
        tool_check_fail(check, "service", NULL, &why);
        free(from_here);
        return;
    }
    target.unit = unit;
    if (list_processes(&target, &why) != ATLS_OK)
        tool_check_fail(check, "service", NULL, &why);
    else if (target.list.count == 0)
        check_stopped(check, &target);
    else
        check_subject(check, &target);
    tool_process_free(target.master);
    tool_process_list_clear(&target.list);
    tool_unit_free(unit);
    free(from_here);
}
