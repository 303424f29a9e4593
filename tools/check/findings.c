/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/term.h"

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARN, LEVEL_FAIL, LEVEL_COUNT };

/* Names in JSON, words in text, colour of the words. */
static const struct {
    const char *name;
    const char *word;
    const char *colour;
} levels[LEVEL_COUNT] = {
    [LEVEL_OK] = {"ok", "ok", "\033[32m"},
    [LEVEL_NOTE] = {"note", "note", ""},
    [LEVEL_WARN] = {"warn", "warn", "\033[33m"},
    [LEVEL_FAIL] = {"fail", "FAIL", "\033[1;31m"},
};

struct findings {
    json_t *list;
    bool incomplete; /* out of memory on the way: never report success */
    unsigned counts[LEVEL_COUNT];
    bool unusable;    /* a FAIL with TOOL_USAGE */
    bool unavailable; /* a FAIL with TOOL_UNAVAILABLE */
};

struct findings *tool_findings_new(void)
{
    struct findings *findings = calloc(1, sizeof(*findings));

    if (findings == NULL)
        return NULL;
    findings->list = json_array();
    if (findings->list == NULL) {
        free(findings);
        return NULL;
    }
    return findings;
}

void tool_findings_free(struct findings *findings)
{
    if (findings == NULL)
        return;
    json_decref(findings->list);
    free(findings);
}

static void clean_line(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

static void append(struct findings *findings, enum level level,
                   const char *what, const char *detail, const char *next)
{
    json_t *finding =
        json_pack("{s:s, s:s, s:s, s:s*}", "level", levels[level].name, "what",
                  what, "detail", detail, "next", next);

    findings->counts[level]++;
    if (json_array_append_new(findings->list, finding) != 0)
        findings->incomplete = true;
}

static void add(struct findings *findings, enum level level, const char *what,
                const char *next, const char *fmt, va_list args)
    __attribute__((format(printf, 5, 0)));

static void add(struct findings *findings, enum level level, const char *what,
                const char *next, const char *fmt, va_list args)
{
    char detail[512];

    vsnprintf(detail, sizeof(detail), fmt, args);
    clean_line(detail);
    append(findings, level, what, detail, next);
}

void tool_finding_ok(struct findings *findings, const char *what,
                     const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(findings, LEVEL_OK, what, NULL, fmt, args);
    va_end(args);
}

void tool_finding_note(struct findings *findings, const char *what,
                       const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(findings, LEVEL_NOTE, what, NULL, fmt, args);
    va_end(args);
}

void tool_finding_warn(struct findings *findings, const char *what,
                       const char *next, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(findings, LEVEL_WARN, what, next, fmt, args);
    va_end(args);
}

void tool_finding_fail(struct findings *findings, int status, const char *what,
                       const char *next, const char *fmt, ...)
{
    va_list args;

    if (status == TOOL_UNAVAILABLE)
        findings->unavailable = true;
    else
        findings->unusable = true;
    va_start(args, fmt);
    add(findings, LEVEL_FAIL, what, next, fmt, args);
    va_end(args);
}

bool tool_findings_failed(const struct findings *findings)
{
    return findings->counts[LEVEL_FAIL] > 0;
}

/* ---- between processes ---- */

bool tool_findings_send(const struct findings *findings, int fd)
{
    json_t *object =
        json_pack("{s:b, s:b, s:O}", "unusable", findings->unusable,
                  "unavailable", findings->unavailable, "list", findings->list);
    bool sent = object != NULL && !findings->incomplete
                && json_dumpfd(object, fd, JSON_COMPACT) == 0;

    json_decref(object);
    return sent;
}

static enum level level_of(const char *name)
{
    enum level level = LEVEL_OK;

    while (level < LEVEL_FAIL && strcmp(levels[level].name, name) != 0)
        level++;
    return level;
}

static void receive_one(struct findings *findings, json_t *finding)
{
    const char *name = "", *what = "", *detail = "", *next = NULL;
    char texts[3][512];

    if (json_unpack(finding, "{s:s, s:s, s:s, s?s}", "level", &name, "what",
                    &what, "detail", &detail, "next", &next)
        != 0) {
        findings->incomplete = true;
        return;
    }
    snprintf(texts[0], sizeof(texts[0]), "%s", what);
    snprintf(texts[1], sizeof(texts[1]), "%s", detail);
    snprintf(texts[2], sizeof(texts[2]), "%s", next != NULL ? next : "");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        clean_line(texts[i]);
    append(findings, level_of(name), texts[0], texts[1],
           next != NULL ? texts[2] : NULL);
}

bool tool_findings_receive(struct findings *findings, int fd)
{
    json_t *object = json_loadfd(fd, 0, NULL);
    int unusable = 0, unavailable = 0;
    json_t *list = NULL, *finding;
    size_t i;
    bool received =
        json_unpack(object, "{s:b, s:b, s:o}", "unusable", &unusable,
                    "unavailable", &unavailable, "list", &list)
        == 0;

    if (received) {
        findings->unusable |= unusable != 0;
        findings->unavailable |= unavailable != 0;
        json_array_foreach(list, i, finding) receive_one(findings, finding);
    }
    json_decref(object);
    return received;
}

/* ---- printing ---- */

static int exit_status(const struct findings *findings, bool strict)
{
    if (findings->unusable || findings->incomplete
        || (strict && findings->counts[LEVEL_WARN] > 0))
        return TOOL_USAGE;
    return findings->unavailable ? TOOL_UNAVAILABLE : TOOL_DONE;
}

/* Separates a reason from what to do next; some reasons end with a question
 * mark. */
static const char *end_of(const char *detail)
{
    size_t len = strlen(detail);

    return len > 0 && detail[len - 1] == '?' ? " " : ". ";
}

static void print_line(json_t *finding, bool colour)
{
    const char *name = "", *what = "", *detail = "", *next = NULL;
    enum level level;

    json_unpack(finding, "{s:s, s:s, s:s, s?s}", "level", &name, "what", &what,
                "detail", &detail, "next", &next);
    level = level_of(name);
    printf("%s%-4s%s  %s: %s%s%s\n", colour ? levels[level].colour : "",
           levels[level].word,
           colour && levels[level].colour[0] != '\0' ? "\033[0m" : "", what,
           detail, next != NULL ? end_of(detail) : "",
           next != NULL ? next : "");
}

int tool_findings_print(const struct findings *findings,
                        const struct tool_options *options, bool strict)
{
    int status = exit_status(findings, strict);
    const bool colour = tool_term_has_colour(stdout);
    enum level worst = LEVEL_OK;
    json_t *finding;
    size_t i;
    int r;

    for (enum level level = LEVEL_WARN; level < LEVEL_COUNT; level++)
        if (findings->counts[level] > 0)
            worst = level;
    if (options->json) {
        r = tool_print_json(
            options, json_pack("{s:s, s:i, s:O}", "result", levels[worst].name,
                               "exit", status, "findings", findings->list));
        return r != TOOL_DONE ? r : status;
    }
    json_array_foreach(findings->list, i, finding) print_line(finding, colour);
    if (tool_finish_output(options) != TOOL_DONE)
        return TOOL_USAGE;
    if (findings->incomplete)
        fprintf(stderr, "attest check: out of memory, findings are missing\n");
    return status;
}
