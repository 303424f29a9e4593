/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_DIFF_H
#define ATTEST_TOOLS_POLICY_DIFF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tools/common/peer.h"

/*
 * `attest policy diff`: what is found is printed as it comes, a line each, or
 * gathered for --json.
 */
struct diff {
    size_t count;        /* of differences */
    json_t *differences; /* with --json, else NULL */
    json_t *same;
};

/* One difference.
 *   what  what it is in
 *   a, b  as they are in either; NULL: that one does not have it */
void tool_diff_add(struct diff *diff, const char *what, const char *a,
                   const char *b);

/* What both have alike: told in a line at the end. */
void tool_diff_same(struct diff *diff, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Two pieces of evidence, as they say: nothing is verified. Returns ATLS_OK, the
 * errors of atls_evidence_decode() with the file's name. */
enum atls_error tool_diff_evidence(struct diff *diff,
                                   const char *const paths[2],
                                   const struct peer_evidence evidence[2],
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Two policies. Returns ATLS_OK, the errors of atls_policy_load(). */
enum atls_error tool_diff_policies(struct diff *diff,
                                   const char *const paths[2],
                                   struct atls_reason *why) ATLS_MUST_CHECK;

#endif
