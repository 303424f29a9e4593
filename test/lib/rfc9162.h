/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_RFC9162_H
#define ATTEST_TEST_RFC9162_H

#include <stddef.h>
#include <stdint.h>

#include "evidence/merkle.h"

/*
 * Trees of any size as RFC 9162 §2.1 defines them, by its own recursion: what
 * another implementation's Attester sends, and what provider/evidence/merkle.c is
 * held against. Slow. Assertions are the factory's.
 */

/* MTH, of leaves that are hashed already; count >= 1. */
void rfc9162_root(const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t count,
                  uint8_t ret_root[ATLS_SHA256_LEN]);

/* The smallest size of a tree in which the leaf at this index has a path of the
 * same form as in one of count leaves (doc/PROTOCOL.md, "Merkle tree"). */
size_t rfc9162_smallest_size(size_t count, size_t index);

/* PATH for a tree of that size. */
void rfc9162_prove(const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t count,
                   size_t index, struct atls_merkle_proof *ret_proof);

#endif
