/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_SOURCE_H
#define ATTEST_TOOLS_COMMON_SOURCE_H

#include "base/error.h"
#include "tools/common/peer.h"
#include "tools/common/tool.h"

/* Where evidence comes from, as the user writes it: HOST[:PORT] or FILE. */
struct source_options {
    const char *cafile; /* NULL: the system's roots */
    unsigned timeout_ms;
};

/* Does the text name a file? It has a slash, ends in .json, .cbor or .cmw, or
 * exists in the working directory. */
bool tool_source_is_file(const char *text);

/*
 * Get the evidence.
 *   ret  set only on success; tool_peer_evidence_clear() it
 * Returns the errors of tool_evidence_file_read(), or of tool_peer_address_parse()
 * and tool_peer_fetch().
 */
enum atls_error tool_source_read(const char *text,
                                 const struct source_options *options,
                                 struct atls_reason *why,
                                 struct peer_evidence *ret) ATLS_MUST_CHECK;

/* Take the value of --timeout, whole seconds, 1..600.
 *   ret  unsigned, in milliseconds
 * Returns TOOL_DONE, or TOOL_USAGE after a message. */
int tool_take_timeout(const struct tool_options *options, const char *value,
                      void *ret);

#endif
