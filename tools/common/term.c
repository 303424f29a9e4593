/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/term.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tool_term_has_colour(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return (no_color == NULL || no_color[0] == '\0') && term != NULL
           && strcmp(term, "dumb") != 0 && isatty(fileno(out));
}
