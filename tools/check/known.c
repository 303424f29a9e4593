/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/known.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/input.h"
#include "tools/check/known_table.h"

#define WHAT "program"
/* Octets of a program's configuration file. */
#define SETTINGS_MAX (1u << 20)
/* Octets of a value that are shown. */
#define SHOWN_MAX 120

/* ---- which ---- */

/* Does the path end in the word's parts, whatever version follows: python3.11,
 * libpq.so.5.15? */
static bool is_word_of(const char *path, const char *word, size_t len)
{
    const char *tail = path + strlen(path);
    size_t parts = 1;

    for (size_t i = 0; i < len; i++)
        parts += word[i] == '/';
    while (tail > path && (tail[-1] != '/' || --parts > 0))
        tail--;
    return strncmp(tail, word, len) == 0
           && tail[len + strspn(tail + len, "0123456789.")] == '\0';
}

static bool is_about(const struct known_row *known, const char *path)
{
    for (const char *word = known->programs; *word != '\0';) {
        size_t len = strcspn(word, " ");

        if (is_word_of(path, word, len))
            return true;
        word += len + strspn(word + len, " ");
    }
    return false;
}

void tool_known_note(struct known_program *program, const char *path)
{
    for (size_t i = 0; i < tool_known_table_count; i++)
        if (is_about(&tool_known_table[i], path))
            program->rows |= UINT64_C(1) << i;
}

uint64_t tool_known_once(uint64_t rows)
{
    for (size_t i = 0; i < tool_known_table_count; i++)
        if (tool_known_table[i].setting.key != NULL
            && tool_known_table[i].setting.file == NULL)
            rows &= ~(UINT64_C(1) << i);
    return rows;
}

const char *tool_known_advice(const struct process *process,
                              enum known_kind kind)
{
    for (size_t i = 0; process->exe.path != NULL && i < tool_known_table_count;
         i++)
        if (tool_known_table[i].kind == kind
            && is_about(&tool_known_table[i], process->exe.path))
            return tool_known_table[i].next;
    return NULL;
}

/* ---- settings ---- */

/* Read one logical line: continuation lines are joined to it. */
static char *copy_value(const char *begin, const char *end)
{
    char *value;

    while (begin < end && strchr(" \t\n", *begin) != NULL)
        begin++;
    value = strndup(begin, (size_t)(end - begin));
    for (char *p = value; p != NULL && *p != '\0'; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    return value;
}

/* The value of the last `key = value` line. A line that begins with white
 * space continues the one before (postconf(5)). NULL: none. free() it. */
static char *find_value(const char *text, const char *key)
{
    const size_t key_len = strlen(key);
    char *value = NULL;

    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        while (*end != '\0' && (end[1] == ' ' || end[1] == '\t'))
            end = strchrnul(end + 1, '\n');
        if (strncmp(line, key, key_len) == 0) {
            const char *equals = line + key_len;

            equals += strspn(equals, " \t");
            if (*equals == '=') {
                free(value);
                value = copy_value(equals + 1, end);
            }
        }
        line = *end != '\0' ? end + 1 : end;
    }
    return value;
}

static const char *variable_of(const struct known_program *program,
                               const char *name)
{
    return program->process != NULL
               ? tool_process_getenv(program->process, name)
               : getenv(name);
}

/* The file of a setting: free() it. */
static char *file_of(const struct known_setting *setting,
                     const struct known_program *program)
{
    const char *folder = setting->folder_variable != NULL
                             ? variable_of(program, setting->folder_variable)
                             : NULL;
    char *path = NULL;

    if (folder == NULL)
        return strdup(setting->file);
    if (asprintf(&path, "%s%s", folder, strrchr(setting->file, '/')) < 0)
        return NULL;
    return path;
}

/* The text of what is set, and where; free() it. False, with a reason, if that
 * cannot be known. */
static bool read_file(const struct known_setting *setting,
                      const struct known_program *program,
                      struct atls_reason *why, char **ret_value,
                      char **ret_where)
{
    uint8_t *data = NULL;
    size_t len;

    *ret_where = file_of(setting, program);
    if (*ret_where == NULL
        || tool_input_read(*ret_where, SETTINGS_MAX, why, &data, &len)
               != ATLS_OK)
        return false;
    *ret_value = find_value((const char *)data, setting->key);
    OPENSSL_free(data);
    return true;
}

static bool read_setting(const struct check *check,
                         const struct known_setting *setting,
                         const struct known_program *program,
                         struct atls_reason *why, char **ret_value,
                         char **ret_where)
{
    const char *value;

    if (setting->file != NULL && setting->file[0] != '\0')
        return read_file(setting, program, why, ret_value, ret_where);
    if (setting->file != NULL) {
        value = tool_conf_get(check->conf, check->conf->provider, setting->key);
        *ret_where = strdup(check->conf->path);
    } else if (program->process != NULL
               && program->process->environment == NULL) {
        (void)atls_fail(why, ATLS_E_IO, "its environment is not known");
        return false;
    } else {
        value = variable_of(program, setting->key);
        *ret_where = strdup("its environment");
    }
    *ret_value = value != NULL ? strdup(value) : NULL;
    return true;
}

/* Has the value one of these words, or one of them with `=` behind it? */
static bool has_word(const char *value, const char *words)
{
    if (strcmp(words, "*") == 0)
        return *value != '\0';
    for (const char *at = value; *at != '\0';) {
        const size_t len = strcspn(at, " \t\n,");
        const char *equals = memchr(at, '=', len);
        const size_t name_len = equals != NULL ? (size_t)(equals - at) : len;

        for (const char *word = words; len > 0 && *word != '\0';) {
            size_t word_len = strcspn(word, " ");

            if (word_len == name_len && strncmp(word, at, name_len) == 0)
                return true;
            word += word_len + strspn(word + word_len, " ");
        }
        at += len + strspn(at + len, " \t\n,");
    }
    return false;
}

/* ---- findings ---- */

/* Does a row matter under this configuration? A chroot(2) of a running process
 * is the settings' check. */
static bool matters(const struct check *check, const struct known_row *known,
                    const struct known_program *program)
{
    char *system = NULL;
    bool is_system;

    switch (known->kind) {
    case KNOWN_CLEAR:
    case KNOWN_NAMELESS:
        return check->configuration.has_verifier;
    case KNOWN_RESUMES:
        return check->configuration.has_attester;
    case KNOWN_LOSES:
        if (check->conf->provider == NULL)
            return true; /* that of the system, as it may be for this */
        if (asprintf(&system, "%s/openssl.cnf", X509_get_default_cert_area())
            < 0)
            return true;
        is_system = strcmp(system, check->conf->path) == 0;
        free(system);
        return !is_system;
    case KNOWN_CHROOTS:
        return program->process == NULL || !program->process->has_other_root;
    case KNOWN_KINDS:
    default:
        return true;
    }
}

/* The note about what cannot be read. tool_check_others() reports a process
 * that lost its configuration. */
static void report_unread(struct check *check, const struct known_row *known,
                          const struct known_program *program,
                          const struct atls_reason *why)
{
    const char *open = why->text[0] != '\0' ? " (" : "";
    const char *close = why->text[0] != '\0' ? ")" : "";

    if (known->kind != KNOWN_LOSES)
        tool_finding_note(check->findings, WHAT, "%s %s%s%s%s. %s",
                          program->path, known->does, open, why->text, close,
                          known->next);
    else if (program->process == NULL)
        tool_finding_warn(check->findings, WHAT, known->next, "%s %s%s%s%s",
                          program->path, known->does, open, why->text, close);
}

static void report_wrong(struct check *check, const struct known_row *known,
                         const struct known_program *program, const char *value,
                         const char *where)
{
    const bool fails =
        known->kind == KNOWN_LOSES || known->kind == KNOWN_CHROOTS;
    char found[2 * SHOWN_MAX + 64];

    /* The process has attest, whatever that file says: another process started
     * it. */
    if (known->kind == KNOWN_LOSES && program->process != NULL
        && program->process->outer.path != NULL)
        return;
    if (value != NULL)
        snprintf(found, sizeof(found), "%s = %.*s in %.*s", known->setting.key,
                 SHOWN_MAX, value, SHOWN_MAX, where);
    else
        snprintf(found, sizeof(found), "no %s in %.*s", known->setting.key,
                 SHOWN_MAX, where);
    if (fails)
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT, known->next,
                          "%s %s: %s", program->path, known->does, found);
    else if (known->kind == KNOWN_CLEAR)
        tool_finding_warn(check->findings, WHAT, known->next, "%s %s: %s",
                          program->path, known->does, found);
    else
        tool_finding_note(check->findings, WHAT, "%s %s: %s. %s", program->path,
                          known->does, found, known->next);
}

static void report_row(struct check *check, const struct known_row *known,
                       const struct known_program *program)
{
    struct atls_reason why = {0};
    char *value = NULL, *where = NULL;

    if (known->setting.key == NULL
        || !read_setting(check, &known->setting, program, &why, &value, &where))
        report_unread(check, known, program, &why);
    else if (value != NULL && has_word(value, known->setting.words))
        tool_finding_ok(check->findings, WHAT, "%s: %s = %.*s in %s",
                        program->path, known->setting.key, SHOWN_MAX, value,
                        where);
    else
        report_wrong(check, known, program, value, where != NULL ? where : "?");
    free(value);
    free(where);
}

void tool_known_report(struct check *check, const struct known_program *program)
{
    for (size_t i = 0; i < tool_known_table_count && check->conf != NULL; i++)
        if ((program->rows >> i & 1) != 0
            && matters(check, &tool_known_table[i], program))
            report_row(check, &tool_known_table[i], program);
}
