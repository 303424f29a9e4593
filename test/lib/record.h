/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_RECORD_H
#define ATLS_TEST_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/codec.h"

/*
 * CMW records made octet by octet, without the encoder that is to be tested,
 * so that they can be wrong in every way.
 */

struct record {
    size_t len;
    uint8_t data[3 * ATLS_CMW_MAX];
};

/* What a record is like; every number may be made wrong. */
struct record_shape {
    uint64_t quote_len, signature_len, chain_count, cert_len;
    uint64_t alg, pcr, pcr_len;
    uint64_t tree_size, leaf_index, path_count, node_len;
    uint64_t is_epoch, epoch_time;
    uint64_t log_pcr, log_count, content_len;
    uint64_t authority_len;
    uint64_t certify_len, certify_signature_len, certify_public_len;
    uint64_t indicator;
};

/* Every part there, all of it legal. */
extern const struct record_shape record_plain;

/* Octets that parts are filled with. */
enum record_fill {
    RECORD_QUOTE = 0x11,
    RECORD_SIGNATURE = 0x22,
    RECORD_CERT = 0x33,
    RECORD_PCR = 0x44,
    RECORD_NODE = 0x55,
    RECORD_CONTENT = 0x77,
    RECORD_AUTHORITY = 0x88,
    RECORD_CERTIFY = 0x99,
    RECORD_CERTIFY_SIGNATURE = 0xaa,
    RECORD_CERTIFY_PUBLIC = 0xbb
};

void record_build(struct record *ret, const struct record_shape *shape);

/* The same with the head of one item, counted from 0, in more octets than it
 * needs. Returns the number of heads. */
int record_build_widened(struct record *ret, const struct record_shape *shape,
                         int head);

/* An evidence map of any octets, as the value of a CMW record. */
void record_wrap(struct record *ret, const uint8_t *map, size_t map_len);

/* The same in formats 2 and 3. */
void record_wrap_boot(struct record *ret, const uint8_t *map, size_t map_len);
void record_wrap_short(struct record *ret, const uint8_t *map, size_t map_len);

/*
 * Decode a copy that has no spare octet around it, so that sanitizers see every
 * read that goes too far. What is decoded must encode to the same octets again.
 */
enum atls_error record_decode(const uint8_t *data, size_t len,
                              struct atls_reason *why);

/* Decode with each allocation failing in turn, of which there must be that many,
 * and with none failing (allocation_install() comes first). */
void record_decode_without_memory(const uint8_t *data, size_t len,
                                  size_t allocations);

#endif
