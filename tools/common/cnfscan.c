/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/cnfscan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTIVE_INCLUDE ".include"
#define DIRECTIVE_PRAGMA ".pragma"
#define UTF8_BOM "\xef\xbb\xbf"

struct scanner {
    struct cnf_scan *scan;
    struct atls_reason *why;
    char *section;     /* the current one; goes on after an include */
    char *include_dir; /* .pragma includedir; NULL: none */
    unsigned depth;
    const char *file;
    unsigned line;
};

static enum atls_error scan_path(struct scanner *scanner, const char *path);

/* ---- the list ---- */

static enum atls_error append(struct scanner *scanner, enum cnf_kind kind,
                              const char *section, const char *key)
{
    struct cnf_scan *scan = scanner->scan;
    struct cnf_entry *entry;

    /* Room doubles whenever the count reaches a power of two. */
    if ((scan->count & (scan->count - 1)) == 0) {
        size_t room = scan->count == 0 ? 1 : scan->count * 2;
        struct cnf_entry *more =
            reallocarray(scan->entries, room, sizeof(*more));

        if (more == NULL)
            return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
        scan->entries = more;
    }
    entry = &scan->entries[scan->count];
    entry->kind = kind;
    entry->file = scanner->file;
    entry->line = scanner->line;
    entry->section = strdup(section);
    entry->key = strdup(key);
    if (entry->section == NULL || entry->key == NULL) {
        free(entry->section);
        free(entry->key);
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    }
    scan->count++;
    return ATLS_OK;
}

const struct cnf_entry *tool_cnf_scan_find(const struct cnf_scan *scan,
                                           const char *section, const char *key)
{
    const struct cnf_entry *found = NULL;

    for (size_t i = 0; i < scan->count; i++) {
        const struct cnf_entry *entry = &scan->entries[i];

        if (strcmp(entry->section, section) != 0)
            continue;
        if (key == NULL && entry->kind == CNF_SECTION)
            return entry;
        if (key != NULL && entry->kind == CNF_KEY
            && strcmp(entry->key, key) == 0)
            found = entry;
    }
    return found;
}

void tool_cnf_scan_free(struct cnf_scan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->entries[i].section);
        free(scan->entries[i].key);
    }
    for (size_t i = 0; i < scan->file_count; i++)
        free(scan->files[i]);
    free(scan->entries);
    free(scan);
}

/* ---- one logical line ---- */

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

/* Past a quoted string or an escaped character at p. */
static char *skip_quoted(char *p)
{
    char quote = *p++;

    if (quote == '\\')
        return *p != '\0' ? p + 1 : p;
    while (*p != '\0' && *p != quote)
        p += *p == '\\' && p[1] != '\0' ? 2 : 1;
    return *p != '\0' ? p + 1 : p;
}

/* A comment starts at any # outside of quotes (clear_comments()). */
static void cut_comment(char *line)
{
    char *p = line;

    while (*p != '\0' && *p != '#')
        p = *p == '\\' || is_quote(*p) ? skip_quoted(p) : p + 1;
    *p = '\0';
}

static char *skip_space(char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* Past a name: IS_ALNUM_PUNCT of conf_def.h. */
static char *skip_name(char *p)
{
    while (*p != '\0'
           && (isalnum((unsigned char)*p)
               || strchr("_!.%&*+,/;?@^~|-\\", *p) != NULL))
        p = *p == '\\' ? skip_quoted(p) : p + 1;
    return p;
}

static void cut_space(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
}

/* Take quotes and backslashes out of a value, in place. */
static void unquote(char *text)
{
    char *out = text, quote = '\0';

    for (const char *p = text; *p != '\0'; p++) {
        if (quote == '\0' && is_quote(*p)) {
            quote = *p;
        } else if (quote != '\0' && *p == quote) {
            quote = '\0';
        } else {
            if (*p == '\\' && p[1] != '\0')
                p++;
            *out++ = *p;
        }
    }
    *out = '\0';
}

/* ---- includes ---- */

/* dir/name in new memory; NULL when out of memory. */
static char *join(const char *dir, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return NULL;
    return path;
}

static int is_cnf_name(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    const char *end = entry->d_name + len - (len < 4 ? len : 4);

    return len > 4
           && (strcasecmp(end, ".cnf") == 0
               || (len > 5 && strcasecmp(end - 1, ".conf") == 0));
}

/* A folder stands for its *.cnf and *.conf. OpenSSL reads them in the order of
 * the file system; sorted here, so that two runs say the same. */
static enum atls_error include_folder(struct scanner *scanner, const char *dir)
{
    struct dirent **names = NULL;
    int count = scandir(dir, &names, is_cnf_name, alphasort);
    enum atls_error r = ATLS_OK;

    if (count < 0)
        return append(scanner, CNF_INCLUDE_MISSING, scanner->section, dir);
    for (int i = 0; i < count; i++) {
        char *path = r == ATLS_OK ? join(dir, names[i]->d_name) : NULL;

        if (path != NULL)
            r = scan_path(scanner, path);
        else if (r == ATLS_OK)
            r = atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
        free(path);
        free(names[i]);
    }
    free(names);
    return r;
}

static enum atls_error include(struct scanner *scanner, char *value)
{
    const char *dir = secure_getenv("OPENSSL_CONF_INCLUDE");
    enum atls_error r;
    struct stat st;
    char *path;

    if (strchr(value, '$') != NULL)
        return append(scanner, CNF_INCLUDE_OPAQUE, scanner->section, value);
    unquote(value);
    if (dir == NULL)
        dir = scanner->include_dir;
    path = dir != NULL && value[0] != '/' ? join(dir, value) : strdup(value);
    if (path == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    if (stat(path, &st) != 0)
        r = append(scanner, CNF_INCLUDE_MISSING, scanner->section, path);
    else if (S_ISDIR(st.st_mode))
        r = include_folder(scanner, path);
    else
        r = scan_path(scanner, path);
    free(path);
    return r;
}

/* `.pragma includedir:DIR`; the others do not matter here. */
static enum atls_error pragma(struct scanner *scanner, char *value)
{
    char *colon = strchr(value, ':');

    if (colon == NULL || strncmp(value, "includedir", 10) != 0)
        return ATLS_OK;
    free(scanner->include_dir);
    scanner->include_dir = strdup(skip_space(colon + 1));
    if (scanner->include_dir == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

/* ---- lines ---- */

static enum atls_error scan_section(struct scanner *scanner, char *p)
{
    char *name = skip_space(p);
    char *end = strchr(name, ']');

    if (end == NULL)
        return ATLS_OK; /* OpenSSL's parser complains */
    *end = '\0';
    cut_space(name);
    free(scanner->section);
    scanner->section = strdup(name);
    if (scanner->section == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    return append(scanner, CNF_SECTION, scanner->section, "");
}

/* `key = value`, `section::key = value`, `.include value`, `.pragma value`. */
static enum atls_error scan_assignment(struct scanner *scanner, char *key)
{
    const char *section = scanner->section;
    char *end = skip_name(key);
    char *value;
    char *other = NULL;

    if (end[0] == ':' && end[1] == ':') {
        *end = '\0';
        section = key;
        key = end + 2;
        end = skip_name(key);
    }
    value = skip_space(end);
    if (*value == '=')
        value = skip_space(value + 1);
    else
        other = value; /* directives need no = */
    *end = '\0';
    if (strcmp(key, DIRECTIVE_INCLUDE) == 0)
        return include(scanner, value);
    if (strcmp(key, DIRECTIVE_PRAGMA) == 0)
        return pragma(scanner, value);
    if (other != NULL)
        return ATLS_OK; /* OpenSSL's parser complains */
    return append(scanner, CNF_KEY, section, key);
}

static enum atls_error scan_line(struct scanner *scanner, char *line)
{
    char *p = line;

    if (scanner->line == 1 && strncmp(p, UTF8_BOM, strlen(UTF8_BOM)) == 0)
        p += strlen(UTF8_BOM);
    cut_comment(p);
    cut_space(p);
    p = skip_space(p);
    if (*p == '\0')
        return ATLS_OK;
    if (*p == '[')
        return scan_section(scanner, p + 1);
    return scan_assignment(scanner, p);
}

/* Is the last character a backslash that is not itself escaped? */
static bool continues(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\\'
           && (len < 2 || line[len - 2] != '\\');
}

/* The next logical line: physical ones joined at a final backslash, in one
 * buffer that the caller frees. Returns false at the end of the file, which feof()
 * knows, and where it cannot be read on, see errno. */
static bool read_line(FILE *file, unsigned *line, char **buffer, size_t *room)
{
    size_t len = 0;
    char *part = NULL;
    size_t part_room = 0;
    bool more = true;

    while (more && getline(&part, &part_room, file) >= 0) {
        size_t part_len = strcspn(part, "\r\n");

        (*line)++;
        more = continues(part, part_len);
        part_len -= more ? 1 : 0;
        if (len + part_len + 1 > *room) {
            char *grown = realloc(*buffer, len + part_len + 1);

            if (grown == NULL) {
                free(part);
                return false;
            }
            *buffer = grown;
            *room = len + part_len + 1;
        }
        memcpy(*buffer + len, part, part_len);
        len += part_len;
        (*buffer)[len] = '\0';
        if (!more) {
            free(part);
            return true;
        }
    }
    free(part);
    return len > 0 && feof(file);
}

static enum atls_error scan_lines(struct scanner *scanner, FILE *file)
{
    enum atls_error r = ATLS_OK;
    char *buffer = NULL;
    size_t room = 0;
    unsigned line = 0;

    scanner->line = 1;
    while (r == ATLS_OK && read_line(file, &line, &buffer, &room)) {
        r = scan_line(scanner, buffer);
        scanner->line = line + 1;
    }
    if (r == ATLS_OK && !feof(file))
        r = atls_fail(scanner->why, ATLS_E_IO, "cannot read %s: %s",
                      scanner->file, strerror(errno));
    free(buffer);
    return r;
}

/* OpenSSL passes over an include that it cannot open, and waits at a FIFO for its
 * writer. */
static enum atls_error check_file(struct scanner *scanner, const char *path,
                                  int fd)
{
    const bool is_included = scanner->depth > 0;
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return atls_fail(scanner->why, is_included ? ATLS_E_CONFIG : ATLS_E_IO,
                         "%s%s is not a regular file", path,
                         is_included ? ", which is included," : "");
    if (st.st_size > CNF_FILE_MAX)
        return atls_fail(scanner->why, ATLS_E_LIMIT,
                         "%s is larger than 1 MiB: no configuration", path);
    return ATLS_OK;
}

static enum atls_error open_file(struct scanner *scanner, const char *path,
                                 FILE **ret_file)
{
    struct cnf_scan *scan = scanner->scan;
    enum atls_error r;
    int fd;

    if (scanner->depth >= CNF_DEPTH_MAX || scan->file_count >= CNF_FILES_MAX)
        return atls_fail(scanner->why, ATLS_E_LIMIT,
                         "%s: more than %u files, or .include deeper than %u "
                         "(does a file include itself?)",
                         path, CNF_FILES_MAX, CNF_DEPTH_MAX);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return atls_fail(scanner->why, ATLS_E_IO, "cannot open %s: %s", path,
                         strerror(errno));
    r = check_file(scanner, path, fd);
    if (r == ATLS_OK && (*ret_file = fdopen(fd, "r")) == NULL)
        r = atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    if (r != ATLS_OK) {
        close(fd);
        return r;
    }
    scan->files[scan->file_count] = strdup(path);
    if (scan->files[scan->file_count] == NULL) {
        fclose(*ret_file);
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    }
    scanner->file = scan->files[scan->file_count++];
    return ATLS_OK;
}

static enum atls_error scan_path(struct scanner *scanner, const char *path)
{
    const char *outer_file = scanner->file;
    unsigned outer_line = scanner->line;
    FILE *file = NULL;
    enum atls_error r = open_file(scanner, path, &file);

    /* OpenSSL passes over an include that it cannot open. */
    if (r == ATLS_E_IO && scanner->depth > 0)
        return append(scanner, CNF_INCLUDE_MISSING, scanner->section, path);
    if (r != ATLS_OK)
        return r;
    scanner->depth++;
    scanner->line = 1;
    r = append(scanner, CNF_FILE, "", "");
    if (r == ATLS_OK)
        r = scan_lines(scanner, file);
    scanner->depth--;
    scanner->file = outer_file;
    scanner->line = outer_line;
    fclose(file);
    return r;
}

enum atls_error tool_cnf_scan_file(const char *path, struct atls_reason *why,
                                   struct cnf_scan **ret_scan)
{
    struct scanner scanner = {.why = why};
    enum atls_error r = ATLS_E_NOMEM;

    scanner.scan = calloc(1, sizeof(*scanner.scan));
    scanner.section = strdup("default");
    if (scanner.scan == NULL || scanner.section == NULL)
        (void)atls_fail(why, r, NULL);
    else
        r = scan_path(&scanner, path);
    free(scanner.section);
    free(scanner.include_dir);
    if (r == ATLS_OK)
        *ret_scan = scanner.scan;
    else
        tool_cnf_scan_free(scanner.scan);
    return r;
}
