/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/scanner.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>

#define BLANKS " \t"

/* A file being scanned, and the chain of those that include it. */
struct frame {
    const struct frame *includer;
    const struct atls_file *file;
    unsigned line;
    unsigned depth;
};

struct scanner {
    struct atls_scan scan;
    size_t file_count;
    bool section_open; /* the last of scan.sections takes keys */
    bool located;      /* the reason says file and line already */
    struct atls_reason *why;
};

static enum atls_error scan_file(struct scanner *scanner,
                                 const struct frame *includer,
                                 const char *path);

static char *skip_blanks(char *text)
{
    return text + strspn(text, BLANKS);
}

static bool ends_line(const char *text)
{
    return *text == '\0' || *text == '#';
}

static bool is_section_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* Component names (evidence/eventlog.h) are part of keys. */
static bool is_key_char(char c)
{
    return is_section_char(c) || c == ':' || c == '@' || c == '/';
}

/* Cut out a word of such characters: the octet after it becomes its end, and
 * *text goes on at the next one that is no blank, whose value is returned. */
static char cut_word(char **text, bool (*is_word_char)(char), char **ret_word)
{
    char *end = *text;
    char next;

    while (is_word_char(*end))
        end++;
    *ret_word = *text;
    *text = skip_blanks(end);
    next = **text;
    *end = '\0';
    return next;
}

/* Memory for one more element than count; NULL when there is none. */
static void *grow(void *array, size_t count, size_t size)
{
    /* Room doubles: it is full exactly when count is a power of two. */
    if (array != NULL && (count & (count - 1)) != 0)
        return array;
    return OPENSSL_realloc(array, size * (count == 0 ? 1 : 2 * count));
}

/* Control characters hide what a terminal shows; a NUL hides all after it. */
static enum atls_error check_characters(const struct scanner *scanner,
                                        const char *text, size_t len)
{
    if (len > ATLS_SCAN_LINE_MAX)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "line of %zu octets; at most %u, so spread the values "
                         "over sections",
                         len, ATLS_SCAN_LINE_MAX);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return atls_fail(scanner->why, ATLS_E_POLICY,
                             "control character 0x%02x; only tab and line feed "
                             "may stand here (no DOS line ends)",
                             c);
    }
    return ATLS_OK;
}

/* text: behind the opening quote. Nothing is special inside. */
static enum atls_error cut_quoted(const struct scanner *scanner, char *text,
                                  char quote)
{
    char *end = strchr(text, quote);

    if (end == NULL)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "the quote %c is not closed on its line", quote);
    *end = '\0';
    if (!ends_line(skip_blanks(end + 1)))
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "text after the closing quote; quote the value as a "
                         "whole or not at all");
    return ATLS_OK;
}

static enum atls_error cut_unquoted(const struct scanner *scanner, char *text)
{
    char *end = text + strcspn(text, "#");

    while (end > text && strchr(BLANKS, end[-1]) != NULL)
        end--;
    *end = '\0';
    if (strpbrk(text, "\"'`") != NULL)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "quote in the middle; quote the value as a whole or "
                         "not at all");
    return ATLS_OK;
}

/* Everything behind '='. */
static enum atls_error cut_value(const struct scanner *scanner, char *text,
                                 const char **ret_value)
{
    char *value = skip_blanks(text);
    enum atls_error r;

    if (*value == '"' || *value == '\'') {
        value++;
        r = cut_quoted(scanner, value, value[-1]);
    } else {
        r = cut_unquoted(scanner, value);
    }
    if (r != ATLS_OK)
        return r;
    if (*value == '\0')
        return atls_fail(
            scanner->why, ATLS_E_POLICY,
            "nothing behind it; give a value or take the line out");
    if (strchr(value, '$') != NULL)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "'$' in a value; there are no variables here, write "
                         "the value itself");
    if (strchr(value, '\\') != NULL)
        return atls_fail(
            scanner->why, ATLS_E_POLICY,
            "'\\' in a value; there are no escapes and no continued "
            "lines here, use quotes");
    *ret_value = value;
    return ATLS_OK;
}

static enum atls_error scan_section(struct scanner *scanner,
                                    const struct frame *frame, char *text)
{
    struct atls_scan *scan = &scanner->scan;
    struct atls_scan_section *sections;
    char *name = NULL;
    char next;

    text = skip_blanks(text + 1);
    next = cut_word(&text, is_section_char, &name);
    if (*name == '\0' || next != ']' || !ends_line(skip_blanks(text + 1)))
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "expected [NAME] alone on its line, NAME of letters, "
                         "digits, '_', '-' and '.'");
    for (size_t i = 0; i < scan->section_count; i++) {
        if (strcmp(scan->sections[i].name, name) == 0)
            return atls_fail(scanner->why, ATLS_E_POLICY,
                             "[%.64s] began in line %u of %s already; join the "
                             "two",
                             name, scan->sections[i].line,
                             scan->sections[i].file->label);
    }
    if (scan->section_count == ATLS_SCAN_SECTIONS_MAX)
        return atls_fail(scanner->why, ATLS_E_POLICY, "more than %u sections",
                         ATLS_SCAN_SECTIONS_MAX);
    sections = grow(scan->sections, scan->section_count, sizeof(*sections));
    if (sections == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    scan->sections = sections;
    sections[scan->section_count] = (struct atls_scan_section){
        .name = name, .file = frame->file, .line = frame->line};
    scan->section_count++;
    scanner->section_open = true;
    return ATLS_OK;
}

static enum atls_error add_pair(struct scanner *scanner,
                                const struct atls_scan_pair *pair)
{
    struct atls_scan_section *section;
    const struct atls_scan_pair *earlier;
    struct atls_scan_pair *pairs;

    if (!scanner->section_open)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "stands in no section; put the [NAME] of the one it "
                         "belongs to above it");
    section = &scanner->scan.sections[scanner->scan.section_count - 1];
    earlier = atls_scan_find(section, pair->key);
    if (earlier != NULL)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "set in line %u of %s already; keep one of the two",
                         earlier->line, earlier->file->label);
    if (section->pair_count == ATLS_SCAN_PAIRS_MAX)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "more than %u keys in [%.64s]", ATLS_SCAN_PAIRS_MAX,
                         section->name);
    pairs = grow(section->pairs, section->pair_count, sizeof(*pairs));
    if (pairs == NULL)
        return atls_fail(scanner->why, ATLS_E_NOMEM, NULL);
    section->pairs = pairs;
    pairs[section->pair_count] = *pair;
    section->pair_count++;
    return ATLS_OK;
}

static enum atls_error scan_pair(struct scanner *scanner,
                                 const struct frame *frame, char *text)
{
    struct atls_scan_pair pair = {.file = frame->file, .line = frame->line};
    char *key = NULL;
    char next = cut_word(&text, is_key_char, &key);
    enum atls_error r;

    if (*key == '\0' || next != '=')
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "expected 'key = value', '[section]', '.include FILE' "
                         "or a comment");
    pair.key = key;
    r = cut_value(scanner, text + 1, &pair.value);
    if (r == ATLS_OK)
        r = add_pair(scanner, &pair);
    if (r != ATLS_OK)
        atls_reason_prefix(scanner->why, "%.48s: ", key);
    return r;
}

static enum atls_error scan_include(struct scanner *scanner,
                                    const struct frame *frame, char *text)
{
    static const char directive[] = ".include";
    const char *path = NULL;
    enum atls_error r;

    if (strncmp(text, directive, strlen(directive)) != 0
        || strchr(BLANKS "=", text[strlen(directive)]) == NULL)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "unknown directive; there is only '.include FILE'");
    text = skip_blanks(text + strlen(directive));
    if (*text == '=')
        text++;
    r = cut_value(scanner, text, &path);
    if (r == ATLS_OK)
        r = scan_file(scanner, frame, path);
    if (r != ATLS_OK && !scanner->located)
        atls_reason_prefix(scanner->why, ".include: ");
    return r;
}

/* text ends with a NUL where its line ends. */
static enum atls_error scan_line(struct scanner *scanner,
                                 const struct frame *frame, char *text,
                                 size_t len)
{
    enum atls_error r = check_characters(scanner, text, len);

    if (r != ATLS_OK)
        return r;
    text = skip_blanks(text);
    if (ends_line(text))
        return ATLS_OK;
    if (*text == '[')
        return scan_section(scanner, frame, text);
    if (*text == '.')
        return scan_include(scanner, frame, text);
    return scan_pair(scanner, frame, text);
}

static enum atls_error scan_lines(struct scanner *scanner, struct frame *frame)
{
    char *text = frame->file->text;
    const char *end = text + frame->file->len;

    while (text < end) {
        char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((line_end != NULL ? line_end : end) - text);
        enum atls_error r;

        frame->line++;
        text[len] = '\0';
        r = scan_line(scanner, frame, text, len);
        if (r != ATLS_OK) {
            if (!scanner->located)
                atls_file_locate(scanner->why, frame->file, frame->line);
            scanner->located = true;
            return r;
        }
        text += len + 1;
    }
    return ATLS_OK;
}

static bool is_being_scanned(const struct frame *frame,
                             const struct atls_file *file)
{
    for (; frame != NULL; frame = frame->includer) {
        if (frame->file->st.st_dev == file->st.st_dev
            && frame->file->st.st_ino == file->st.st_ino)
            return true;
    }
    return false;
}

/* includer: NULL for the first file. */
static enum atls_error scan_file(struct scanner *scanner,
                                 const struct frame *includer, const char *path)
{
    struct frame frame = {.includer = includer};
    size_t sections_before = scanner->scan.section_count;
    enum atls_error r;

    if (includer != NULL)
        frame.depth = includer->depth + 1;
    if (frame.depth > ATLS_SCAN_DEPTH_MAX)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "more than %u files include each other",
                         ATLS_SCAN_DEPTH_MAX);
    if (scanner->file_count == ATLS_SCAN_FILES_MAX)
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "more than %u files are included",
                         ATLS_SCAN_FILES_MAX);
    r = atls_file_read(&scanner->scan.files,
                       includer == NULL ? NULL : includer->file, path,
                       scanner->why, &frame.file);
    if (r != ATLS_OK)
        return r;
    scanner->file_count++;
    if (is_being_scanned(includer, frame.file))
        return atls_fail(scanner->why, ATLS_E_POLICY,
                         "%s includes itself, directly or through others",
                         frame.file->label);
    r = scan_lines(scanner, &frame);
    if (scanner->scan.section_count != sections_before && includer != NULL)
        scanner->section_open = false;
    return r;
}

enum atls_error atls_scan_read(const char *path, struct atls_reason *why,
                               struct atls_scan *ret_scan)
{
    struct scanner scanner = {.why = why};
    enum atls_error r = scan_file(&scanner, NULL, path);

    if (r != ATLS_OK) {
        atls_scan_clear(&scanner.scan);
        return r;
    }
    *ret_scan = scanner.scan;
    return ATLS_OK;
}

void atls_scan_clear(struct atls_scan *scan)
{
    for (size_t i = 0; i < scan->section_count; i++)
        OPENSSL_free(scan->sections[i].pairs);
    OPENSSL_free(scan->sections);
    atls_file_free_list(scan->files);
    *scan = (struct atls_scan){0};
}

const struct atls_scan_pair *atls_scan_find(
    const struct atls_scan_section *section, const char *key)
{
    for (size_t i = 0; i < section->pair_count; i++) {
        if (strcmp(section->pairs[i].key, key) == 0)
            return &section->pairs[i];
    }
    return NULL;
}
