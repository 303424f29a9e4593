/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_SHOW_HTML_H
#define ATTEST_TOOLS_SHOW_HTML_H

#include <jansson.h>

#include "base/error.h"

/* Reports as one HTML file that needs nothing else: no script, no network, no
 * font but the reader's. It shows what --json prints (attest(1), "JSON");
 * every text is escaped, as a peer chose most of it. */

/*
 * Write it, over an existing file; whole or not at all.
 *   reports  an array of reports as `attest show --json` makes them: a peer that
 *            several policy sections name has several
 * Returns ATLS_OK, ATLS_E_USAGE (an empty array), ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error tool_html_report_write(const char *path, const json_t *reports,
                                       struct atls_reason *why) ATLS_MUST_CHECK;

#endif
