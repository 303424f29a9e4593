/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <stddef.h>
#include <sys/types.h>

/*
 * A folder of its own for one test, under TMPDIR. The functions end the program
 * with a message when they fail: a test cannot go on without its files.
 */

/* Make it and remember it; the path lives until scratch_remove(). */
const char *scratch_make(void);

/* Remove it with all that is in it. Nothing happens when there is none. */
void scratch_remove(void);

/* The path of a name in it. One of eight buffers, used in turn. */
const char *scratch_path(const char *name);

/* Make a file with these octets and this mode, whatever the umask. */
void scratch_write(const char *name, const void *data, size_t len, mode_t mode);

/* The octets of a file with a NUL behind them: free() them. ret_len may be
 * NULL. */
char *scratch_read(const char *name, size_t *ret_len);

#endif
