/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_VECTORS_H
#define ATLS_TEST_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Test vectors: text files in test/vectors/ of sections, "key = value" lines
 * and '#' comments. Found through $srcdir, as Automake sets it. Whatever is
 * missing or is no hex ends the program with its name.
 */

/* Octets of the longest value. */
#define VECTOR_MAX 8192

struct vector {
    size_t len;
    uint8_t data[VECTOR_MAX];
};

/* The value as text, or NULL when the section has no such key. Good until 64
 * more were asked for. */
const char *vector_text(const char *file, const char *section, const char *key);

/* The value as octets. */
void vector_octets(const char *file, const char *section, const char *key,
                   struct vector *ret);

/* One of several octet strings with spaces between them: index from 0.
 * Returns 1, or 0 when there are no more. */
int vector_list(const char *file, const char *section, const char *key,
                size_t index, struct vector *ret);

/* The value as a decimal number. */
uint64_t vector_number(const char *file, const char *section, const char *key);

/*
 * A whole file, of any folder.
 *   ret_len  set on success
 * malloc()ed, or NULL when it cannot be read.
 */
uint8_t *vector_file(const char *path, size_t *ret_len);

#endif
