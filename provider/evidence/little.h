/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_LITTLE_H
#define ATLS_EVIDENCE_LITTLE_H

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
struct atls_little {
    struct atls_span in;
    size_t at;
};

bool atls_little_u8(struct atls_little *little, uint8_t *ret);
bool atls_little_u16(struct atls_little *little, uint16_t *ret);
bool atls_little_u32(struct atls_little *little, uint32_t *ret);
bool atls_little_u64(struct atls_little *little, uint64_t *ret);

/* The next len octets, whatever length somebody claims. */
bool atls_little_take(struct atls_little *little, uint64_t len,
                      struct atls_span *ret);

/* Octets that are left. */
size_t atls_little_left(const struct atls_little *little);

#endif
