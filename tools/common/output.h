/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_OUTPUT_H
#define ATTEST_TOOLS_COMMON_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* A file on its way to its name, where it appears complete or not at all. */
struct tool_output {
    const char *name; /* wanted in the end; NULL: nowhere, a temporary file */
    char *path;       /* temporary; NULL: none yet */
};

/* Begin: beside its name, else where temporary files are. ATLS_OK, ATLS_E_IO,
 * ATLS_E_NOMEM. */
enum atls_error tool_output_open(struct tool_output *output,
                                 struct atls_reason *why,
                                 FILE **ret_file) ATLS_MUST_CHECK;

/* All is written: closes file in every case. With r that is not ATLS_OK returns
 * that; else ATLS_OK or ATLS_E_IO. */
enum atls_error tool_output_close(struct tool_output *output, FILE *file,
                                  enum atls_error r,
                                  struct atls_reason *why) ATLS_MUST_CHECK;

/* Give it its name; without force only where nothing is. ATLS_OK, ATLS_E_IO. */
enum atls_error tool_output_publish(struct tool_output *output, bool force,
                                    struct atls_reason *why) ATLS_MUST_CHECK;

/* All of it: free() *ret_text. ATLS_OK, ATLS_E_IO. */
enum atls_error tool_output_read(const struct tool_output *output,
                                 struct atls_reason *why,
                                 char **ret_text) ATLS_MUST_CHECK;

/* Remove the temporary file, if it is still there. */
void tool_output_discard(struct tool_output *output);

#endif
