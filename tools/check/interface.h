/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_INTERFACE_H
#define ATTEST_TOOLS_CHECK_INTERFACE_H

/* The interface number that attest.so and attest-inner.so carry (core.h), read
 * from the file; nothing is loaded. INTERFACE_UNKNOWN: see above. */
#define INTERFACE_UNKNOWN \
    (-1) /* none in it, no regular file, or not readable */

int tool_interface_of_file(const char *path);

/* The same of a descriptor, which is closed. fd -1: INTERFACE_UNKNOWN. */
int tool_interface_of_descriptor(int fd);

#endif
