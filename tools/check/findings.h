/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_FINDINGS_H
#define ATTEST_TOOLS_CHECK_FINDINGS_H

#include <stdbool.h>

#include "tools/common/tool.h"

/*
 * What `attest check` finds, one line each, in the order of the checks.
 *   ok    as it should be
 *   note  neither good nor bad, but easily overlooked
 *   warn  works now; changes the exit status only with --strict
 *   FAIL  does not work, or not safely
 */
struct findings;

/* An empty list. NULL when out of memory; tool_findings_free() it. */
struct findings *tool_findings_new(void);
void tool_findings_free(struct findings *findings); /* NULL is fine */

/*
 * Add one.
 *   what    a few words: the thing looked at
 *   fmt     what was found, without full stop; octets that would break the line
 *           or the terminal become '?'
 *   next    what to do about it, without full stop
 *   status  exit status it leads to: TOOL_USAGE (configuration) or
 *           TOOL_UNAVAILABLE (TPM)
 */
void tool_finding_ok(struct findings *findings, const char *what,
                     const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void tool_finding_note(struct findings *findings, const char *what,
                       const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void tool_finding_warn(struct findings *findings, const char *what,
                       const char *next, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void tool_finding_fail(struct findings *findings, int status, const char *what,
                       const char *next, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Is there a FAIL among the findings? */
bool tool_findings_failed(const struct findings *findings);

/* Send all findings to another process; fd is a pipe or socket. Returns false if
 * that failed. */
bool tool_findings_send(const struct findings *findings, int fd);

/* Add what tool_findings_send() sent; text is made printable again, as the sender
 * is not trusted. Returns false, with nothing added, if that failed. */
bool tool_findings_receive(struct findings *findings, int fd);

/*
 * Print all of them and return the exit status: TOOL_USAGE when configuration
 * failed (or, with strict, warns), else TOOL_UNAVAILABLE when the TPM failed,
 * else TOOL_DONE.
 *   under --json one object {"result":..., "exit":..., "findings":[...]}
 */
int tool_findings_print(const struct findings *findings,
                        const struct tool_options *options, bool strict);

#endif
