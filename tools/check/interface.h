/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_INTERFACE_H
#define ATTEST_TOOLS_CHECK_INTERFACE_H

/*
 * The number that attest.so and attest-inner.so carry (inner.h), read in the file:
 * nothing is loaded, whoever wrote it.
 */
#define INTERFACE_UNKNOWN \
    (-1) /* none in it, no regular file, or not readable */

int tool_interface_of_file(const char *path);

/* The same; it is closed. fd -1: unknown. */
int tool_interface_of_descriptor(int fd);

#endif
