/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_PROCESS_H
#define ATLS_BASE_PROCESS_H

#include <stdbool.h>

/*
 * Which process this is. Locks, threads, queues and connections of a parent are
 * not its child's, and only a comparison tells: whoever makes such a thing notes
 * the generation, and it is another process's where that is another one later.
 */

/*
 * How many forks lie between this process and the one in which this was first
 * called. A process id would not do: a child in a PID namespace of its own can
 * have that of its parent, and numbers are used again. Counted by a handler of
 * fork(3) (pthread_atfork(3)): _Fork(3) and a bare clone(2) go by unseen, and
 * POSIX lets their children do next to nothing.
 * Thread-safe, also in the child of a fork made at any moment.
 */
unsigned atls_process_generation(void);

/* Are forks counted? They are not when memory was short at the first call. */
bool atls_process_counts_forks(void);

#endif
