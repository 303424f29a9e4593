/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct error_row {
    const char *name;
    const char *sentence;
    int alert;
    int status;
};

static const struct error_row error_table[ATLS_E_COUNT] = {
    [ATLS_OK] = {"ok", "no error", 80, ATLS_STATUS_DONE},
#define ERROR_ROW(symbol, name, alert, status, sentence) \
    [ATLS_E_##symbol] = {name, sentence, alert, ATLS_STATUS_##status},
    ATLS_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

/* For codes out of range: never an accepting name, always internal_error. */
static const struct error_row unknown_row = {"unknown", "unknown error", 80,
                                             ATLS_STATUS_USAGE};

static const struct error_row *error_row(enum atls_error code)
{
    size_t index = (size_t)code;

    return index < ATLS_E_COUNT ? &error_table[index] : &unknown_row;
}

const char *atls_error_name(enum atls_error code)
{
    return error_row(code)->name;
}

const char *atls_error_sentence(enum atls_error code)
{
    return error_row(code)->sentence;
}

int atls_error_alert(enum atls_error code)
{
    return error_row(code)->alert;
}

int atls_error_status(enum atls_error code)
{
    return error_row(code)->status;
}

enum atls_error atls_fail(struct atls_reason *why, enum atls_error code,
                          const char *fmt, ...)
{
    int saved_errno = errno;
    va_list args;

    if (why == NULL)
        return code;
    why->code = code;
    if (fmt == NULL)
        fmt = atls_error_sentence(code);
    va_start(args, fmt);
    atls_sentence_format(fmt, args, why->text, sizeof(why->text), why->brief,
                         sizeof(why->brief));
    va_end(args);
    errno = saved_errno;
    return code;
}

enum atls_error atls_fail_as(struct atls_reason *why,
                             const struct atls_reason *reason)
{
    if (why != NULL)
        *why = *reason;
    return reason->code;
}

/* Without the folders of a path that it begins with. */
static const char *without_folders(const char *prefix)
{
    const char *slash = NULL;

    for (const char *p = prefix; *p != '\0' && strncmp(p, ": ", 2) != 0; p++) {
        if (*p == '/')
            slash = p;
    }
    return slash != NULL ? slash + 1 : prefix;
}

/* In front of a sentence that has a buffer of this size. */
static void put_in_front(const char *prefix, char *sentence, size_t size)
{
    char both[2 * ATLS_REASON_MAX];

    (void)snprintf(both, sizeof(both), "%s%s", prefix, sentence);
    if (strlen(both) >= size)
        (void)snprintf(both, sizeof(both), "%s%s", without_folders(prefix),
                       sentence);
    atls_sentence_fit(both, size);
    memcpy(sentence, both, strlen(both) + 1);
}

void atls_reason_prefix(struct atls_reason *why, const char *fmt, ...)
{
    char prefix[ATLS_REASON_MAX], unused[ATLS_BRIEF_SIZE];
    int saved_errno = errno;
    va_list args;

    if (why == NULL)
        return;
    va_start(args, fmt);
    atls_sentence_format(fmt, args, prefix, sizeof(prefix), unused,
                         sizeof(unused));
    va_end(args);
    put_in_front(prefix, why->text, sizeof(why->text));
    put_in_front(prefix, why->brief, sizeof(why->brief));
    errno = saved_errno;
}
