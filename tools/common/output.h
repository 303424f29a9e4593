/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_OUTPUT_H
#define ATTEST_TOOLS_COMMON_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* A file that appears under its name complete or not at all. */
struct tool_output {
    const char *name; /* wanted in the end; NULL: nowhere, a temporary file */
    char *path;       /* temporary; NULL: none yet */
};

/* Create the temporary file beside its name, else where temporary files are.
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_NOMEM. */
enum atls_error tool_output_open(struct tool_output *output,
                                 struct atls_reason *why,
                                 FILE **ret_file) ATLS_MUST_CHECK;

/* End writing; always closes file. Returns r if that is not ATLS_OK, else
 * ATLS_OK or ATLS_E_IO. */
enum atls_error tool_output_close(struct tool_output *output, FILE *file,
                                  enum atls_error r,
                                  struct atls_reason *why) ATLS_MUST_CHECK;

/* Move it to its name; without force only if there is no such file. Returns
 * ATLS_OK, ATLS_E_IO. */
enum atls_error tool_output_publish(struct tool_output *output, bool force,
                                    struct atls_reason *why) ATLS_MUST_CHECK;

/* Read it back; free() *ret_text. Returns ATLS_OK, ATLS_E_IO. */
enum atls_error tool_output_read(const struct tool_output *output,
                                 struct atls_reason *why,
                                 char **ret_text) ATLS_MUST_CHECK;

/* Remove the temporary file, if there is one. */
void tool_output_discard(struct tool_output *output);

#endif
