/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_ARGUMENTS_H
#define ATTEST_TOOLS_POLICY_ARGUMENTS_H

#include "tools/policy/draft.h"
#include "tools/policy/local.h"
#include "tools/common/source.h"
#include "tools/common/tool.h"

/* The command line of `attest policy` when it writes a policy. Exactly one
 * source: source, from_local or boot_log. Strings are argv's. */
struct policy_arguments {
    const char *source; /* --from */
    bool from_local;
    const char *boot_log;
    struct source_options from;
    struct policy_local local;
    const char *measured_log;
    const char *bank;   /* NULL: sha256 */
    const char *host;   /* NULL: what the evidence says */
    const char *output; /* NULL: standard output */
    bool force;
    struct policy_draft draft; /* trust as given, then absolute */
};

/* Read it; ret holds the defaults. Returns TOOL_DONE, or the exit status after
 * a message. */
int tool_policy_arguments_parse(int argc, char **argv,
                                const struct tool_options *options,
                                struct policy_arguments *ret);

#endif
