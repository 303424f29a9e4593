/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_PIDSPACE_H
#define TEST_PIDSPACE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Processes of one number: each has the number 1, in a PID namespace of its own
 * within that of its parent (pid_namespaces(7)).
 */

/* As fork(2); the child has number 1. -1 also where that is not permitted. */
pid_t pidspace_fork(void);

/* Is it permitted? Else says so. */
bool pidspace_is_there(void);

/* Run it in a child of number 1. True: it returned 0. */
bool pidspace_run(int (*body)(void));

#endif
