/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_FORMS_H
#define ATTEST_TOOLS_POLICY_FORMS_H

#include "tools/common/tool.h"

/* The forms of `attest policy`. Each is like the run of a verb, with argv[0]
 * the word that chose it, and returns the exit status. */

/* Write a policy. */
int tool_policy_write(int argc, char **argv,
                      const struct tool_options *options);

/* Check a policy, and what evidence lacks of it. */
int tool_policy_check(int argc, char **argv,
                      const struct tool_options *options);

/* Compare two policies, or two pieces of evidence. */
int tool_policy_diff(int argc, char **argv, const struct tool_options *options);

#endif
