/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_VERIFY_PRINT_H
#define ATTEST_TOOLS_VERIFY_PRINT_H

#include "tools/verify/quote_parts.h"
#include "tools/common/tool.h"

/* Print that a quote is trusted, and its content: as text, or as one JSON
 * object (attest(1), "verify"). Returns TOOL_DONE, or TOOL_USAGE after a
 * message when it cannot be written. */
int tool_quote_result_print(const struct tool_options *options,
                            const struct quote_result *result);

#endif
