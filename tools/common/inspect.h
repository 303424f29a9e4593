/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_INSPECT_H
#define ATTEST_TOOLS_COMMON_INSPECT_H

#include "base/error.h"
#include "tools/common/peer.h"
#include "verifier/appraise.h"

/*
 * Judge evidence against a section of a policy, as of now (seconds since 1970).
 *   check_all   go on after the first check that fails
 *   ret_report  always initialised; atls_report_clear() it
 * Returns as atls_appraise() does.
 */
enum atls_error tool_appraise(const struct peer_evidence *evidence,
                              const struct atls_section *section, int64_t now,
                              bool check_all,
                              struct atls_report *ret_report) ATLS_MUST_CHECK;

/*
 * Make all checks of evidence that need no policy: signature, binding, PCR digest,
 * logs. Steps that only a policy can decide, and those that lack something (the
 * connection, the certificate), are ATLS_STEP_NOT_DONE in the report.
 *   why         the first error that the evidence has by itself
 *   ret_report  always initialised; atls_report_clear() it
 * Returns ATLS_OK, ATLS_E_NOMEM, or that error's code.
 */
enum atls_error tool_inspect(const struct peer_evidence *evidence,
                             struct atls_reason *why,
                             struct atls_report *ret_report) ATLS_MUST_CHECK;

#endif
