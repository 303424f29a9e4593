/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/differences.h"

#include <stdarg.h>
#include <stdio.h>

void tool_diff_add(struct diff *diff, const char *what, const char *a,
                   const char *b)
{
    diff->count++;
    if (diff->differences != NULL)
        (void)json_array_append_new(
            diff->differences,
            json_pack("{s:s, s:s*, s:s*}", "what", what, "a", a, "b", b));
    else if (a != NULL && b != NULL)
        printf("%s: %s -> %s\n", what, a, b);
    else
        printf("%s: only in %s: %s\n", what, a != NULL ? "A" : "B",
               a != NULL ? a : b);
}

void tool_diff_same(struct diff *diff, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)json_array_append_new(diff->same, json_string(text));
}
