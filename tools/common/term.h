/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_TERM_H
#define ATTEST_TOOLS_COMMON_TERM_H

#include <stdbool.h>
#include <stdio.h>

/* May output carry colour: a terminal that knows it, and no NO_COLOR in the
 * environment (no-color.org: set and not empty)? */
bool tool_term_has_colour(FILE *out);

#endif
