/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_LE_READER_H
#define ATLS_EVIDENCE_LE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Reading little-endian structures, as firmware's and the kernel's logs hold
 * them. Each function answers whether what it was asked for is there; if not,
 * nothing is read and *ret stays as it was.
 *   in  borrowed; spans that are handed out point into it
 *   at  octets read, at most in.len
 */
struct atls_le_reader {
    struct atls_span in;
    size_t at;
};

bool atls_le_reader_u8(struct atls_le_reader *little, uint8_t *ret);
bool atls_le_reader_u16(struct atls_le_reader *little, uint16_t *ret);
bool atls_le_reader_u32(struct atls_le_reader *little, uint32_t *ret);
bool atls_le_reader_u64(struct atls_le_reader *little, uint64_t *ret);

/* The next len octets, whatever length somebody claims. */
bool atls_le_reader_take(struct atls_le_reader *little, uint64_t len,
                         struct atls_span *ret);

/* Octets that are left. */
size_t atls_le_reader_left(const struct atls_le_reader *little);

#endif
