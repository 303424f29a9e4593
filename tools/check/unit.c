/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/common/input.h"

/* Octets of an EnvironmentFile. */
#define UNIT_FILE_MAX (1u << 20)

static const char properties[] =
    "Id,LoadState,ActiveState,MainPID,ControlGroup,User,RootDirectory,After,"
    "PrivateDevices,Environment,EnvironmentFiles,ExecStart";

/* The characters of a unit's name: systemd.unit(5). */
static bool is_name(const char *name)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
    size_t len = strlen(name);

    return len > 0 && len <= UNIT_NAME_MAX && strspn(name, legal) == len;
}

/* ---- systemctl ---- */

/* No shell runs; the name is one argument, behind "--". */
static FILE *spawn_show(const char *name, pid_t *ret_pid, int *ret_error)
{
    char *const argv[] = {
        (char *)(uintptr_t) "systemctl",  (char *)(uintptr_t) "show",
        (char *)(uintptr_t) "--no-pager", (char *)(uintptr_t) "--property",
        (char *)(uintptr_t)properties,    (char *)(uintptr_t) "--",
        (char *)(uintptr_t)name,          NULL};
    posix_spawn_file_actions_t actions;
    FILE *out = NULL;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        *ret_error = errno;
        return NULL;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
                                     O_WRONLY, 0);
    *ret_error = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (*ret_error == 0)
        out = fdopen(fds[0], "r");
    if (out == NULL)
        close(fds[0]);
    return out;
}

/* ---- its words ---- */

/* The new variable goes first: of two with one name getenv(3) takes the first, and
 * systemd the one of the last file. */
static bool add_variable(struct unit *unit, const char *text, size_t len)
{
    char *more = realloc(unit->environment, unit->environment_len + len + 1);

    if (more == NULL)
        return false;
    unit->environment = more;
    memmove(more + len + 1, more, unit->environment_len);
    memcpy(more, text, len);
    more[len] = '\0';
    unit->environment_len += len + 1;
    return true;
}

/* Words between spaces, perhaps in quotes: `A=b "C=d e"`. Changes text. */
static bool take_environment(struct unit *unit, char *text)
{
    char *from = text;

    while (*(from += strspn(from, " ")) != '\0') {
        char *begin = from, *to = from;
        bool quoted = false;

        for (; *from != '\0' && (quoted || *from != ' '); from++) {
            if (*from == '"') {
                quoted = !quoted;
                continue;
            }
            if (*from == '\\' && from[1] != '\0')
                from++;
            *to++ = *from;
        }
        if (*from != '\0')
            from++; /* `to` may stand there */
        if (memchr(begin, '=', (size_t)(to - begin)) != NULL
            && !add_variable(unit, begin, (size_t)(to - begin)))
            return false;
    }
    return true;
}

/* NAME=VALUE lines, values perhaps in quotes (systemd.exec(5)). systemctl show
 * names these files and does not read them. */
static bool take_environment_file(struct unit *unit, const char *path)
{
    FILE *file = tool_input_check(path, UNIT_FILE_MAX, NULL) == ATLS_OK
                     ? fopen(path, "re")
                     : NULL;
    char *line = NULL;
    size_t room = 0;
    bool is_ok = true;

    while (is_ok && file != NULL && getline(&line, &room, file) > 0) {
        char *name = line + strspn(line, " \t");
        char *value = strchr(name, '=');
        size_t len;

        name[strcspn(name, "\r\n")] = '\0';
        if (*name == '#' || *name == ';' || value == NULL)
            continue;
        len = strlen(++value);
        if (len >= 2 && (*value == '"' || *value == '\'')
            && value[len - 1] == *value) {
            memmove(value, value + 1, len - 2);
            value[len - 2] = '\0';
        }
        is_ok = add_variable(unit, name, strlen(name));
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return is_ok;
}

/* "/etc/default/nginx (ignore_errors=yes)" */
static bool take_environment_files(struct unit *unit, char *text)
{
    char *end = strstr(text, " (ignore_errors=");

    if (end != NULL)
        *end = '\0';
    return take_environment_file(unit, text);
}

/* Properties that are kept as systemctl prints them. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"ActiveState", offsetof(struct unit, active)},
    {"ControlGroup", offsetof(struct unit, control_group)},
    {"User", offsetof(struct unit, user)},
    {"RootDirectory", offsetof(struct unit, root)},
    {"After", offsetof(struct unit, after)},
    {"ExecStart", offsetof(struct unit, program)}, /* by take_program() */
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

static char **text_of(struct unit *unit, size_t i)
{
    return (char **)(void *)((char *)unit + texts[i].offset);
}

static bool take_text(char **ret_text, const char *value)
{
    free(*ret_text);
    *ret_text = strdup(value);
    return *ret_text != NULL;
}

/* "{ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g ... ; ..." */
static bool take_program(struct unit *unit, char *text)
{
    static const char begin[] = "{ path=";

    if (strncmp(text, begin, sizeof(begin) - 1) != 0)
        return true;
    text += sizeof(begin) - 1;
    text[strcspn(text, " ")] = '\0';
    return take_text(&unit->program, text);
}

/* One line, NAME=VALUE. */
static bool take_property(struct unit *unit, char *line, bool *ret_loaded)
{
    char *value = strchr(line, '=');

    if (value == NULL)
        return true;
    *value++ = '\0';
    if (strcmp(line, "Id") == 0)
        snprintf(unit->name, sizeof(unit->name), "%s", value);
    else if (strcmp(line, "LoadState") == 0)
        *ret_loaded = strcmp(value, "loaded") == 0;
    else if (strcmp(line, "MainPID") == 0)
        unit->main_pid = (pid_t)strtol(value, NULL, 10);
    else if (strcmp(line, "PrivateDevices") == 0)
        unit->has_private_devices = strcmp(value, "yes") == 0;
    else if (strcmp(line, "Environment") == 0)
        return take_environment(unit, value);
    else if (strcmp(line, "EnvironmentFiles") == 0)
        return take_environment_files(unit, value);
    else if (strcmp(line, "ExecStart") == 0)
        return take_program(unit, value);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (strcmp(line, texts[i].name) == 0)
            return take_text(text_of(unit, i), value);
    return true;
}

static struct unit *unit_new(const char *name)
{
    struct unit *unit = calloc(1, sizeof(*unit));

    if (unit == NULL)
        return NULL;
    snprintf(unit->name, sizeof(unit->name), "%s", name);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (!take_text(text_of(unit, i), "")) {
            tool_unit_free(unit);
            return NULL;
        }
    return unit;
}

static enum atls_error read_properties(struct unit *unit, FILE *out,
                                       struct atls_reason *why,
                                       bool *ret_loaded)
{
    enum atls_error r = ATLS_OK;
    char *line = NULL;
    size_t room = 0;

    while (r == ATLS_OK && getline(&line, &room, out) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (!take_property(unit, line, ret_loaded))
            r = atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    free(line);
    return r;
}

/* How systemctl ended. 127: posix_spawn(3) found no program. */
static enum atls_error judge_end(const char *name, int error, int status,
                                 struct atls_reason *why)
{
    if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        error = ENOENT;
    if (error != 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "cannot ask systemd about %s: systemctl: %s; name "
                         "the process with --pid",
                         name, strerror(error));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "systemctl show %s failed: no systemd runs here? "
                         "Name the process with --pid",
                         name);
    return ATLS_OK;
}

static enum atls_error ask(struct unit *unit, const char *name,
                           struct atls_reason *why)
{
    bool is_loaded = false;
    int error = 0, status = 0;
    pid_t pid = 0;
    FILE *out = spawn_show(name, &pid, &error);
    enum atls_error r = ATLS_OK;

    if (out != NULL) {
        r = read_properties(unit, out, why, &is_loaded);
        fclose(out);
    }
    while (error == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r == ATLS_OK)
        r = judge_end(name, error, status, why);
    if (r != ATLS_OK)
        return r;
    if (!is_loaded)
        return atls_fail(why, ATLS_E_USAGE,
                         "systemd has no unit %s; its units: systemctl "
                         "list-units --type=service",
                         name);
    return ATLS_OK;
}

enum atls_error tool_unit_read(const char *name, struct atls_reason *why,
                               struct unit **ret_unit)
{
    struct unit *unit;
    enum atls_error r;

    if (!is_name(name))
        return atls_fail(why, ATLS_E_USAGE,
                         "%.80s: not the name of a systemd unit", name);
    unit = unit_new(name);
    if (unit == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = ask(unit, name, why);
    if (r != ATLS_OK) {
        tool_unit_free(unit);
        return r;
    }
    *ret_unit = unit;
    return ATLS_OK;
}

void tool_unit_free(struct unit *unit)
{
    if (unit == NULL)
        return;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        free(*text_of(unit, i));
    free(unit->environment);
    free(unit);
}

bool tool_unit_exists(const char *name)
{
    struct unit *unit = NULL;
    bool exists = tool_unit_read(name, NULL, &unit) == ATLS_OK;

    tool_unit_free(unit);
    return exists;
}

/* ---- control groups ---- */

bool tool_unit_of_process(const struct process *process,
                          char ret_name[UNIT_NAME_MAX + 1])
{
    static const char suffix[] = ".service";
    FILE *file = tool_process_open(process, "cgroup");
    bool is_found = false;
    char *line = NULL;
    size_t room = 0;

    while (!is_found && file != NULL && getline(&line, &room, file) > 0) {
        /* cgroups(7): "0::PATH", or of the first version with systemd's name */
        const bool is_systemds = strncmp(line, "0::", 3) == 0
                                 || strstr(line, ":name=systemd:") != NULL;
        const char *name = strrchr(line, '/');
        size_t len;

        line[strcspn(line, "\n")] = '\0';
        len = name != NULL ? strlen(++name) : 0;
        is_found = is_systemds && len > sizeof(suffix) - 1
                   && len <= UNIT_NAME_MAX
                   && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0
                   && is_name(name);
        if (is_found)
            memcpy(ret_name, name, len + 1);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return is_found;
}

static FILE *open_control_group(const char *group)
{
    static const char *const mounts[] = {
        "/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"};
    FILE *file = NULL;

    for (size_t i = 0; file == NULL && i < sizeof(mounts) / sizeof(mounts[0]);
         i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), "%s%s/cgroup.procs", mounts[i], group)
            < (int)sizeof(path))
            file = fopen(path, "re");
    }
    return file;
}

enum atls_error tool_unit_list_processes(const struct unit *unit,
                                         struct process_list *list,
                                         struct atls_reason *why)
{
    const bool has_group = strlen(unit->control_group) > 1;
    FILE *file = has_group ? open_control_group(unit->control_group) : NULL;
    enum atls_error r = ATLS_OK;
    int pid;

    if (file == NULL)
        return ATLS_OK; /* those that descend from the main one are there */
    while (r == ATLS_OK && fscanf(file, "%d", &pid) == 1)
        r = tool_process_list_add(list, pid, why);
    fclose(file);
    return r;
}
