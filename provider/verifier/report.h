/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REPORT_H
#define ATLS_VERIFIER_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "verifier/report_words.h"
#include "verifier/result.h"

enum atls_report_style {
    ATLS_REPORT_PLAIN,
    ATLS_REPORT_COLOUR,
    ATLS_REPORT_JSON
};

/*
 * Print a report for people (a headline with the verdict and the peer, the
 * checks as a table with a mark each, PCR table with the usual name of each PCR
 * and, where the section names values, expected and found; the measured log; the
 * AK chain's subjects; what to do next on refusal), or as one JSON object on one
 * line, ended by LF.
 *   peer     what the user knows the peer by; may be NULL
 *   section  the one appraised against; may be NULL
 *   verbose  tables too, else headline and failed checks only
 * Octets of the peer that are not printable ASCII are escaped. Writes nothing
 * else; errors of out are the caller's to see (ferror).
 */
void atls_report_print(const struct atls_report *report, const char *peer,
                       const struct atls_section *section,
                       enum atls_report_style style, bool verbose, FILE *out);

/*
 * Print a report on evidence that was looked at without a policy: everything
 * that atls_report_print() prints when verbose, but no verdict, no reason and
 * no advice. A step that only a policy can decide must be ATLS_STEP_NOT_DONE.
 * In JSON "verdict" is "none" and "section" null.
 */
void atls_report_print_unjudged(const struct atls_report *report,
                                const char *peer, enum atls_report_style style,
                                FILE *out);

#endif
