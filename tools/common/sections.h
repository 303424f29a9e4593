/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_SECTIONS_H
#define ATTEST_TOOLS_COMMON_SECTIONS_H

#include "base/error.h"
#include "tools/common/peer.h"
#include "tools/common/tool.h"
#include "verifier/policy.h"

/*
 * Load a policy; its warnings go to stderr.
 *   ret_policy  set only on success; atls_policy_unref() it
 * Returns TOOL_DONE, or the exit status after a message.
 */
int tool_load_policy(const struct tool_options *options, const char *path,
                     struct atls_policy **ret_policy);

/*
 * Choose the sections of a policy that evidence is judged against: the one that the
 * user names, or those that a program would find for the peer's name and address.
 *   section  NULL: by name and address
 *   ret      sections borrowed from policy. None: the policy asks for no
 *            evidence here, *ret_because says why (static)
 * Returns ATLS_OK, ATLS_E_USAGE (no such section, or nothing to go by), or why the
 * peer is refused before its evidence is judged: ATLS_E_NAMELESS, ATLS_E_UNNAMED,
 * ATLS_E_LIMIT.
 */
enum atls_error tool_sections_choose(const struct atls_policy *policy,
                                     const char *section,
                                     const struct peer_evidence *evidence,
                                     struct atls_reason *why,
                                     struct atls_match *ret,
                                     const char **ret_because) ATLS_MUST_CHECK;

#endif
