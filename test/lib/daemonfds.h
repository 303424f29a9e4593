/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_DAEMONFDS_H
#define ATTEST_TEST_DAEMONFDS_H

#include <stdbool.h>

/*
 * What daemons do to descriptors that they know nothing of: close all but the
 * standard ones, and open their own, which get the same numbers: of the kinds that
 * share one inode (anon_inode), as ours are.
 */

/* In a forked child. */
void daemonfds_take_over(void);

/* Are all that were made still open? */
bool daemonfds_are_open(void);

#endif
