/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_TERM_H
#define ATTEST_TOOLS_COMMON_TERM_H

#include <stdbool.h>
#include <stdio.h>

/* May output have colour? The terminal knows it, and NO_COLOR is unset or
 * empty (no-color.org). */
bool tool_term_has_colour(FILE *out);

#endif
