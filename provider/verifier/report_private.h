/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REPORT_PRIVATE_H
#define ATLS_VERIFIER_REPORT_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "span.h"
#include "verifier/appraise.h"

/* What report.c and report_json.c share. */

/* One JSON object on one line; see atls_report_print(), or when it is not
 * judged atls_report_print_unjudged(). */
void atls_report_print_json(const struct atls_report *report, const char *peer,
                            bool judged, bool verbose, FILE *out);

/* A person's next step after a refusal; never NULL. */
const char *atls_report_advice(enum atls_error code);

#endif
