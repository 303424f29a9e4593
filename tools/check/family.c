/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/check/target.h"
#include "tools/check/known.h"

#define WHAT "loaded"

/* ---- which of them do TLS ---- */

/* How much of attest a process has. The module counts more than a linked
 * OpenSSL. */
static int rank(const struct process *process)
{
    if (process->hidden.code != ATLS_OK)
        return 0;
    return (process->libssl.path != NULL) + 2 * (process->outer.path != NULL)
           + (process->inner.path != NULL);
}

/* The process to check: the named one, unless a child of it has attest.so and
 * it has not, or a child has OpenSSL and it has none. */
static size_t find_carrier(const struct process_list *list)
{
    size_t best = 0;

    if (list->items[0]->outer.path != NULL)
        return 0;
    for (size_t i = 1; i < list->count; i++)
        if (rank(list->items[i]) > rank(list->items[best]))
            best = i;
    if (rank(list->items[0]) > 0 && list->items[best]->outer.path == NULL)
        return 0;
    return best;
}

/* The first process of Postfix and of Dovecot only starts others. Dovecot's
 * has OpenSSL mapped. */
void tool_target_choose_carrier(struct check *check, struct target *target)
{
    struct process **items = target->list.items;
    struct process *named = items[0];
    size_t carrier;

    target->named = named;
    if (named->hidden.code != ATLS_OK)
        return;
    carrier = find_carrier(&target->list);
    if (carrier == 0)
        return;
    items[0] = items[carrier];
    items[carrier] = named;
    if (rank(named) == 0)
        tool_finding_note(
            check->findings, "process",
            "%d (%s) has no OpenSSL: of those that it has started, "
            "%d (%s) is looked at",
            named->pid, tool_process_program(named), items[0]->pid,
            tool_process_program(items[0]));
    else
        tool_finding_warn(
            check->findings, "process",
            "If it does TLS itself, restart it: it was started before "
            "attest was configured, or reads no configuration",
            "%d (%s) has OpenSSL mapped and runs without attest.so: "
            "of those that it has started, %d (%s) is looked at",
            named->pid, tool_process_program(named), items[0]->pid,
            tool_process_program(items[0]));
}

/* ---- programs that are known ---- */

static void note_libraries(struct known_program *known)
{
    FILE *file = tool_process_open(known->process, "maps");
    char *line = NULL;
    size_t room = 0;

    while (file != NULL && getline(&line, &room, file) > 0) {
        char *path = strchr(line, '/');

        line[strcspn(line, "\n")] = '\0';
        if (path != NULL)
            tool_known_note(known, path);
    }
    free(line);
    if (file != NULL)
        fclose(file);
}

static bool was_noted(const struct target *target, size_t i)
{
    const char *path = target->list.items[i]->exe.path;

    for (size_t j = 0; path != NULL && j < i; j++)
        if (target->list.items[j]->exe.path != NULL
            && strcmp(target->list.items[j]->exe.path, path) == 0)
            return true;
    return path == NULL;
}

/* Only a user with the right to trace a process sees what it has mapped. */
void tool_target_note_known(struct target *target)
{
    uint64_t said = 0;

    for (size_t i = 0;
         i < target->list.count && target->known_count < TARGET_KNOWN_MAX;
         i++) {
        const struct process *process = target->list.items[i];
        struct known_program known = {.path = process->exe.path,
                                      .process = process};

        if (process->hidden.code != ATLS_OK || was_noted(target, i))
            continue;
        tool_known_note(&known, known.path);
        note_libraries(&known);
        known.rows &= ~said;
        said |= tool_known_once(known.rows);
        if (known.rows != 0)
            target->known[target->known_count++] = known;
    }
}

/* ---- which of them have lost the configuration ---- */

/* Helpers of a service and workers that were executed instead of forked. One
 * that lost the configuration on the way is as unattested as a program without
 * it. */
struct other {
    const struct process *process;
    const struct process *named;
    const char *conf;     /* OPENSSL_CONF of the process named; NULL: none */
    const char *own_conf; /* of its own; NULL: none, or not known */
};

/* OPENSSL_CONF of the named process, which its user has set for all of them. */
static const char *conf_of_named(const struct target *target)
{
    const struct process *named = target->named;

    if (named->environment != NULL || target->unit == NULL)
        return tool_process_getenv(named, "OPENSSL_CONF");
    return tool_process_variable(target->unit->environment,
                                 target->unit->environment_len, "OPENSSL_CONF");
}

static void fail(struct check *check, const struct other *other,
                 const char *next, const char *cause, const char *value)
{
    const char *advice = tool_known_advice(other->process, KNOWN_LOSES);

    tool_finding_fail(check->findings, TOOL_USAGE, WHAT,
                      advice != NULL ? advice : next,
                      "process %d (%s) of it has OpenSSL and runs without "
                      "attest.so: %s%s",
                      other->process->pid, tool_process_program(other->process),
                      cause, value);
}

/* Runs in the process's sandbox, with its rights. */
static int try_to_read(struct check *check, const void *arg)
{
    const struct other *other = arg;
    struct atls_reason why = {0};
    char user[CHECK_USER_MAX], cause[CHECK_USER_MAX + 64];
    enum atls_error r;

    tool_check_user(check, other->process->uid, user);
    r = tool_sandbox_enter(other->process,
                           SANDBOX_MOUNTS | SANDBOX_ROOT | SANDBOX_USER, &why);
    if (r != ATLS_OK || faccessat(AT_FDCWD, other->conf, R_OK, AT_EACCESS) == 0)
        return 0;
    snprintf(cause, sizeof(cause), "%s, as it runs there, cannot read (%s) ",
             user, strerror(errno));
    fail(check, other, "Let it read the file, or name one that it can read",
         cause, other->conf);
    return 1;
}

static bool has_lost_environment(struct check *check, const struct other *other)
{
    if (other->process->environment == NULL)
        return false;
    if (other->conf != NULL && other->own_conf == NULL)
        fail(check, other, "Hand the variable on to it",
             "it was started without OPENSSL_CONF=", other->conf);
    else if (other->own_conf != NULL
             && (other->conf == NULL
                 || strcmp(other->conf, other->own_conf) != 0))
        fail(check, other, "Correct its environment, or look at it with --pid",
             "it goes by another file, OPENSSL_CONF=", other->own_conf);
    else
        return false;
    return true;
}

static bool is_named_program(const struct other *other)
{
    return strcmp(tool_process_program(other->process),
                  tool_process_program(other->named))
           == 0;
}

/* A process may link OpenSSL and never use it. A process other than the named
 * one is in order if it would find the same file when it does. */
static void report_unused(struct check *check, const struct other *other)
{
    const struct process *process = other->process;

    if (other->own_conf != NULL && !is_named_program(other))
        tool_finding_note(check->findings, WHAT,
                          "process %d (%s) of it has OpenSSL mapped and runs "
                          "without attest.so: it has not used it so far",
                          process->pid, tool_process_program(process));
    else
        tool_finding_warn(
            check->findings, WHAT,
            "If it does TLS, restart it: it was started before attest "
            "was configured, or reads no configuration",
            "process %d (%s) of it has OpenSSL mapped and runs "
            "without attest.so; it may not have used it so far",
            process->pid, tool_process_program(process));
}

static void check_other(struct check *check, const struct other *other)
{
    const char *conf = other->own_conf != NULL ? other->own_conf : other->conf;

    if (other->process->is_secure && conf != NULL) {
        fail(check, other,
             "Configure attest in the system's openssl.cnf, or execute it "
             "without that right",
             "its real and effective ids differed when it was executed, or it "
             "is setuid, setgid or has file capabilities (AT_SECURE), so "
             "OpenSSL ignores OPENSSL_CONF=",
             conf);
        return;
    }
    if (has_lost_environment(check, other)
        || (conf != NULL && conf[0] == '/'
            && tool_sandbox_run(check, try_to_read, other) > 0))
        return;
    report_unused(check, other);
}

void tool_check_others(struct check *check, const struct target *target)
{
    for (size_t i = 0; i < target->list.count; i++) {
        const struct process *process = target->list.items[i];
        const struct other other = {
            .process = process,
            .named = target->named,
            .conf = conf_of_named(target),
            .own_conf = tool_process_getenv(process, "OPENSSL_CONF"),
        };

        if (process != target->named && process->hidden.code == ATLS_OK
            && process->libssl.path != NULL && process->outer.path == NULL)
            check_other(check, &other);
    }
}
