/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_NUMBER_H
#define ATLS_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read a whole number in decimal digits: no sign, no blank.
 *   text        len octets; need not end in a NUL
 *   min, max    bounds, both included
 *   ret_number  set only on success
 * Leading zeros count as digits; a caller for whom "010" is a mistake asks
 * atls_number_is_padded(). Returns false for no octets, another octet than a digit,
 * or a number out of bounds, however long.
 * Pure and thread-safe.
 */
bool atls_number_parse(const char *text, size_t len, uint32_t min, uint32_t max,
                       uint32_t *ret_number);

/* Does it begin with a zero that is not all of it? Of "010" nobody knows whether it
 * is meant as octal. */
bool atls_number_is_padded(const char *text, size_t len);

#endif
