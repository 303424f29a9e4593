/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/cnfscan.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/safestack.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tools/common/input.h"

#define UTF8_BOM "\xef\xbb\xbf"
#define SPACES " \t\r\n\v\f"
/* The section that a line is read in; a name that no file has. */
#define NO_SECTION "~no~section~"

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

/* Copy text over what *ret holds. */
static enum atls_error set(const struct scanner *scanner, char **ret,
                           const char *text)
{
    free(*ret);
    *ret = strdup(text);
    if (*ret == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

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

/* Replaces '$', so that OpenSSL does not expand a variable that is set
 * elsewhere. OpenSSL treats this character as any other, and no text has it. */
#define DOLLAR '\x1a'

/*
 * Let OpenSSL's own parser read one logical line, in section NO_SECTION.
 *   ret_conf  set only on success; NCONF_free() it
 * Returns ATLS_OK, ATLS_E_NOMEM, or ATLS_E_MALFORMED for a line that it refuses.
 */
static enum atls_error parse(const struct scanner *scanner, const char *key,
                             const char *line, CONF **ret_conf)
{
    CONF *conf = NCONF_new(NULL);
    char *text = NULL;
    BIO *bio = NULL;
    enum atls_error r = ATLS_OK;
    int len = asprintf(&text, "[" NO_SECTION "]\n%s%s\n", key, line);

    if (len >= 0) {
        for (char *p = text; (p = strchr(p, '$')) != NULL;)
            *p = DOLLAR;
        bio = BIO_new_mem_buf(text, len);
    }
    if (conf == NULL || bio == NULL)
        r = atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    else if (NCONF_load_bio(conf, bio, NULL) <= 0)
        r = ATLS_E_MALFORMED;
    BIO_free(bio);
    if (len >= 0)
        free(text);
    if (r != ATLS_OK) {
        NCONF_free(conf);
        return r;
    }
    *ret_conf = conf;
    return ATLS_OK;
}

/* The line's section, and its key, or NULL for a line that begins a section. */
static void take_apart(const CONF *conf, const char **ret_section,
                       const CONF_VALUE **ret_value)
{
    STACK_OF(OPENSSL_CSTRING) *names = NCONF_get_section_names(conf);

    *ret_section = "default";
    *ret_value = NULL;
    for (int i = 0; i < sk_OPENSSL_CSTRING_num(names); i++) {
        const char *name = sk_OPENSSL_CSTRING_value(names, i);
        const STACK_OF(CONF_VALUE) *values = NCONF_get_section(conf, name);

        if (sk_CONF_VALUE_num(values) > 0) {
            *ret_section = name;
            *ret_value = sk_CONF_VALUE_value(values, 0);
            break;
        }
        if (strcmp(name, NO_SECTION) != 0 && strcmp(name, "default") != 0)
            *ret_section = name;
    }
    sk_OPENSSL_CSTRING_free(names);
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

/* A folder includes its *.cnf and *.conf. OpenSSL reads them in the order of
 * the file system; here they are sorted, so that two runs agree. */
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

static enum atls_error include(struct scanner *scanner, const char *value)
{
    const char *dir = secure_getenv("OPENSSL_CONF_INCLUDE");
    enum atls_error r;
    struct stat st;
    char *path;

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

/* `.pragma includedir:DIR`; no other pragma matters here. */
static enum atls_error pragma(struct scanner *scanner, const char *value)
{
    const char *colon = strchr(value, ':');

    if (colon == NULL || strncmp(value, "includedir", 10) != 0)
        return ATLS_OK;
    return set(scanner, &scanner->include_dir,
               colon + 1 + strspn(colon + 1, SPACES));
}

/* ---- lines ---- */

/* The value of `.include` or `.pragma`, with or without `=`; NULL if the line is
 * no such directive. */
static const char *after_word(const char *line, const char *word)
{
    const size_t len = strlen(word);

    if (strncmp(line, word, len) != 0 || strchr(SPACES "=", line[len]) == NULL)
        return NULL;
    line += len + strspn(line + len, SPACES);
    return *line == '=' ? line + 1 : line;
}

static enum atls_error take_directive(struct scanner *scanner, char *value,
                                      bool is_include)
{
    bool is_opaque = false;

    for (char *p = value; (p = strchr(p, DOLLAR)) != NULL; is_opaque = true)
        *p = '$';
    if (!is_include)
        return pragma(scanner, value);
    if (is_opaque)
        return append(scanner, CNF_INCLUDE_OPAQUE, scanner->section, value);
    return include(scanner, value);
}

static enum atls_error scan_line(struct scanner *scanner, const char *line)
{
    const char *included, *directive, *section;
    const CONF_VALUE *value;
    CONF *conf = NULL;
    enum atls_error r;

    if (scanner->line == 1 && strncmp(line, UTF8_BOM, strlen(UTF8_BOM)) == 0)
        line += strlen(UTF8_BOM);
    line += strspn(line, SPACES);
    if (*line == '\0' || *line == '#')
        return ATLS_OK;
    included = after_word(line, ".include");
    directive = included != NULL ? included : after_word(line, ".pragma");
    r = directive != NULL ? parse(scanner, "directive=", directive, &conf)
                          : parse(scanner, "", line, &conf);
    if (r != ATLS_OK)
        return r == ATLS_E_MALFORMED ? ATLS_OK : r;
    take_apart(conf, &section, &value);
    if (value != NULL && directive != NULL)
        r = take_directive(scanner, value->value, included != NULL);
    else if (value != NULL)
        r = append(scanner, CNF_KEY,
                   strcmp(section, NO_SECTION) == 0 ? scanner->section
                                                    : section,
                   value->name);
    else if (*line == '[') {
        r = set(scanner, &scanner->section, section);
        if (r == ATLS_OK)
            r = append(scanner, CNF_SECTION, section, "");
    }
    NCONF_free(conf);
    return r;
}

/* End a logical line with NUL: physical ones that a final backslash joins, unless
 * that is escaped itself. What stands behind a NUL of the file is lost, as in OpenSSL.
 * Returns the next line, or limit. */
static char *cut_line(char *line, char *limit, unsigned *number)
{
    char *end = line;

    for (;;) {
        size_t len;

        end = memchr(end, '\n', (size_t)(limit - end));
        (*number)++;
        if (end == NULL)
            return limit;
        len = (size_t)(end - line);
        if (len > 0 && line[len - 1] == '\r')
            len--;
        if (len == 0 || line[len - 1] != '\\'
            || (len > 1 && line[len - 2] == '\\'))
            break;
        end++;
    }
    *end = '\0';
    return end + 1;
}

static enum atls_error scan_lines(struct scanner *scanner, char *text,
                                  char *end)
{
    enum atls_error r = ATLS_OK;
    unsigned line = 0;

    while (r == ATLS_OK && text < end) {
        char *next;

        scanner->line = line + 1;
        next = cut_line(text, end, &line);
        r = scan_line(scanner, text);
        text = next;
    }
    return r;
}

/* OpenSSL would wait at a FIFO for its writer. */
static enum atls_error check_file(const struct scanner *scanner,
                                  const char *path)
{
    const bool is_included = scanner->depth > 0;
    struct stat st;

    if (stat(path, &st) != 0)
        return atls_fail(scanner->why, ATLS_E_IO, "cannot open %s: %s", path,
                         strerror(errno));
    if (!S_ISREG(st.st_mode))
        return atls_fail(scanner->why, is_included ? ATLS_E_CONFIG : ATLS_E_IO,
                         "%s%s is not a regular file", path,
                         is_included ? ", which is included," : "");
    if (st.st_size > CNF_FILE_MAX)
        return atls_fail(scanner->why, ATLS_E_LIMIT,
                         "%s is larger than 1 MiB: no configuration", path);
    return ATLS_OK;
}

static enum atls_error read_file(struct scanner *scanner, const char *path,
                                 uint8_t **ret_text, size_t *ret_len)
{
    struct cnf_scan *scan = scanner->scan;
    enum atls_error r;

    if (scanner->depth >= CNF_DEPTH_MAX || scan->file_count >= CNF_FILES_MAX)
        return atls_fail(scanner->why, ATLS_E_LIMIT,
                         "%s: more than %u files, or .include deeper than %u "
                         "(does a file include itself?)",
                         path, CNF_FILES_MAX, CNF_DEPTH_MAX);
    r = check_file(scanner, path);
    if (r == ATLS_OK)
        r = tool_input_read(path, CNF_FILE_MAX, scanner->why, ret_text,
                            ret_len);
    if (r != ATLS_OK)
        return r;
    r = set(scanner, &scan->files[scan->file_count], path);
    if (r != ATLS_OK) {
        OPENSSL_free(*ret_text);
        return r;
    }
    scanner->file = scan->files[scan->file_count++];
    return ATLS_OK;
}

static enum atls_error scan_path(struct scanner *scanner, const char *path)
{
    const char *outer_file = scanner->file;
    unsigned outer_line = scanner->line;
    uint8_t *text = NULL;
    size_t len = 0;
    enum atls_error r = read_file(scanner, path, &text, &len);

    /* OpenSSL passes over an include that it cannot open. */
    if (r == ATLS_E_IO && scanner->depth > 0)
        return append(scanner, CNF_INCLUDE_MISSING, scanner->section, path);
    if (r != ATLS_OK)
        return r;
    scanner->depth++;
    scanner->line = 1;
    r = append(scanner, CNF_FILE, "", "");
    if (r == ATLS_OK)
        r = scan_lines(scanner, (char *)text, (char *)text + len);
    scanner->depth--;
    scanner->file = outer_file;
    scanner->line = outer_line;
    OPENSSL_free(text);
    return r;
}

enum atls_error tool_cnf_scan_file(const char *path, struct atls_reason *why,
                                   struct cnf_scan **ret_scan)
{
    struct scanner scanner = {.why = why};
    enum atls_error r = ATLS_E_NOMEM;

    ERR_set_mark();
    scanner.scan = calloc(1, sizeof(*scanner.scan));
    scanner.section = strdup("default");
    if (scanner.scan == NULL || scanner.section == NULL)
        (void)atls_fail(why, r, NULL);
    else
        r = scan_path(&scanner, path);
    ERR_pop_to_mark();
    free(scanner.section);
    free(scanner.include_dir);
    if (r == ATLS_OK)
        *ret_scan = scanner.scan;
    else
        tool_cnf_scan_free(scanner.scan);
    return r;
}
