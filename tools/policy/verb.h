/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_VERB_H
#define ATTEST_TOOLS_POLICY_VERB_H

#include "tools/common/tool.h"

/* The forms of `attest policy`: each like the run of a verb, argv[0] being the
 * word that chose it. */

/* Write a policy. */
int tool_policy_write(int argc, char **argv,
                      const struct tool_options *options);

/* Is a policy in order, and what does evidence lack of it? */
int tool_policy_check(int argc, char **argv,
                      const struct tool_options *options);

/* In what do two policies, or two pieces of evidence, differ? */
int tool_policy_diff(int argc, char **argv, const struct tool_options *options);

#endif
