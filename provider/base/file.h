/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_FILE_H
#define ATLS_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

/* Octets of the longest file that a policy may consist of or name. */
#define ATLS_FILE_MAX (1024u * 1024u)

/* Room for what a reason calls a file: leaves room for words, also beside
 * another file that it is named in. */
#define ATLS_FILE_LABEL_SIZE 48u

/*
 * A file as it was read, one of a list in the order of reading.
 *   text  len octets and a NUL after them; the reader may write into it
 *   st    from before the first octet was read, so that a change during the
 *         reading shows as one
 *   is_young  it had been written to so shortly before that another write could
 *             bear the same time
 *   label its path, or "..." and the end of a long one
 *   path  as it was opened
 */
struct atls_file {
    struct atls_file *next;
    char *text;
    size_t len;
    struct stat st;
    bool is_young;
    char label[ATLS_FILE_LABEL_SIZE];
    char path[];
};

/*
 * Read a whole file and append it to a list.
 *   list    *list is NULL for an empty one
 *   beside  a relative path is relative to the folder of this file; NULL: to
 *           the working directory
 * Only regular files: a FIFO or a device would block or never end.
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error atls_file_read(
    struct atls_file **list, const struct atls_file *beside, const char *path,
    struct atls_reason *why, const struct atls_file **ret_file) ATLS_MUST_CHECK;

/* Let go of the text where only path and st are still of interest. */
void atls_file_drop_text(struct atls_file *file);

void atls_file_free_list(struct atls_file *list); /* NULL is fine */

/* Are they of different files, or of one that was written to between, or got other
 * rights? By inode, size and time of change, which nobody can set back. */
bool atls_file_is_other(const struct stat *a, const struct stat *b);

/* Was it written to so shortly before now that another write could bear the same
 * time? */
bool atls_file_is_young(const struct stat *st);

/* Is there another file at its path now, or has it been written to, or its rights
 * been changed? Not when it cannot be asked. */
bool atls_file_differs(const struct atls_file *file);

enum atls_file_state {
    ATLS_FILE_SAME,
    ATLS_FILE_CHANGED, /* atls_file_differs(), or it may, as it was young */
    ATLS_FILE_GONE     /* not there, or out of reach: see errno */
};

enum atls_file_state atls_file_look(const struct atls_file *file);

/* Put "FILE:LINE: " in front of a reason. */
void atls_file_locate(struct atls_reason *why, const struct atls_file *file,
                      unsigned line);

#endif
