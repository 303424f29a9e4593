/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_DIFFERENCES_H
#define ATTEST_TOOLS_POLICY_DIFFERENCES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tools/common/peer.h"

/* `attest policy diff`: a difference is printed at once, a line each, or
 * gathered for --json. */
struct diff {
    size_t count;        /* of differences */
    json_t *differences; /* with --json, else NULL */
    json_t *same;
};

/*
 * Add a difference.
 *   what  the thing that differs
 *   a, b  its value on either side; NULL: that side lacks it
 */
void tool_diff_add(struct diff *diff, const char *what, const char *a,
                   const char *b);

/* Note what both sides share; printed in one line at the end. */
void tool_diff_same(struct diff *diff, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Compare two pieces of evidence by their own claims; nothing is verified.
 * Returns ATLS_OK, or the errors of atls_evidence_decode() with the file's
 * name. */
enum atls_error tool_diff_evidence(struct diff *diff,
                                   const char *const paths[2],
                                   const struct peer_evidence evidence[2],
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Compare two policies. Returns ATLS_OK, or the errors of atls_policy_load(). */
enum atls_error tool_diff_policies(struct diff *diff,
                                   const char *const paths[2],
                                   struct atls_reason *why) ATLS_MUST_CHECK;

#endif
