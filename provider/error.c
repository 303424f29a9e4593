/* SPDX-License-Identifier: BSD-2-Clause */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct error_row {
    const char *name;
    const char *sentence;
    int alert;
};

static const struct error_row error_table[ATLS_E_COUNT] = {
    [ATLS_OK] = {"ok", "no error", 80},
#define ERROR_ROW(symbol, name, alert, sentence) \
    [ATLS_E_##symbol] = {name, sentence, alert},
    ATLS_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

/* For codes out of range: never an accepting name, always internal_error. */
static const struct error_row unknown_row = {"unknown", "unknown error", 80};

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

/* Texts quote what a peer sent. A line feed would forge a log line, an escape
 * sequence would reach the administrator's terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

enum atls_error atls_fail(struct atls_reason *why, enum atls_error code,
                          const char *fmt, ...)
{
    /* Not into why->text: the arguments may point there. */
    char text[ATLS_REASON_MAX];
    const char *sentence = atls_error_sentence(code);
    int saved_errno = errno;
    int written = -1;

    if (why == NULL)
        return code;
    if (fmt != NULL) {
        va_list args;

        va_start(args, fmt);
        written = vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
    }
    if (written < 0)
        (void)snprintf(text, sizeof(text), "%s", sentence);
    make_printable(text);
    why->code = code;
    memcpy(why->text, text, sizeof(text));
    errno = saved_errno;
    return code;
}

void atls_reason_prefix(struct atls_reason *why, const char *fmt, ...)
{
    char text[ATLS_REASON_MAX];
    int saved_errno = errno;
    va_list args;
    int written;

    if (why == NULL)
        return;
    va_start(args, fmt);
    written = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (written >= 0) {
        size_t used = strlen(text);

        (void)snprintf(text + used, sizeof(text) - used, "%s", why->text);
        make_printable(text);
        memcpy(why->text, text, sizeof(text));
    }
    errno = saved_errno;
}
