/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_CBOR_READER_H
#define ATLS_EVIDENCE_CBOR_READER_H

#include <cbor.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * A pull parser over libcbor's streaming decoder, for the codec only: each call
 * takes one item's head and says what it must be. Nothing recurses, so nesting
 * cannot grow the stack; nothing is allocated for a count or a length, so they
 * cannot grow the heap. Source: RFC 8949 §3.
 *
 * In all calls `what` names the item in reasons. All return ATLS_OK, or
 * ATLS_E_TRUNCATED, ATLS_E_MALFORMED (not CBOR, or another kind of item, which
 * includes indefinite lengths), and what is said below.
 */

enum atls_item_kind {
    ATLS_ITEM_OTHER, /* anything that evidence never holds */
    ATLS_ITEM_UINT,
    ATLS_ITEM_OCTETS,
    ATLS_ITEM_TEXT,
    ATLS_ITEM_ARRAY,
    ATLS_ITEM_MAP
};

struct atls_item {
    enum atls_item_kind kind;
    size_t offset;           /* of the item's head in reader->data */
    uint64_t value;          /* of a UINT; elements of an ARRAY or MAP */
    struct atls_span octets; /* of OCTETS and TEXT; points into the data */
};

/* To read a part: copy the reader and set offset and end. */
struct atls_cbor_reader {
    const uint8_t *data; /* the whole record, so that offsets are the peer's */
    size_t offset;
    size_t end;
    struct cbor_callbacks callbacks;
    struct atls_reason *why;
};

/* data must outlive the reader and all that it returns. */
void atls_cbor_reader_init(struct atls_cbor_reader *rd, struct atls_span data,
                           struct atls_reason *why);

/* The next item, of any kind. */
enum atls_error atls_cbor_reader_next(
    struct atls_cbor_reader *rd, const char *what,
    struct atls_item *ret_item) ATLS_MUST_CHECK;

/* The next item, of one kind. */
enum atls_error atls_cbor_reader_expect(
    struct atls_cbor_reader *rd, enum atls_item_kind kind, const char *what,
    struct atls_item *ret_item) ATLS_MUST_CHECK;

/* A byte string of 1..max octets; ATLS_E_LIMIT when longer. */
enum atls_error atls_cbor_reader_octets(struct atls_cbor_reader *rd,
                                        const char *what, size_t max,
                                        struct atls_span *ret) ATLS_MUST_CHECK;

/* The same, but it may be empty. */
enum atls_error atls_cbor_reader_content(struct atls_cbor_reader *rd,
                                         const char *what, size_t max,
                                         struct atls_span *ret) ATLS_MUST_CHECK;

/* The head of an array with exactly count elements. */
enum atls_error atls_cbor_reader_record(struct atls_cbor_reader *rd,
                                        const char *what,
                                        uint64_t count) ATLS_MUST_CHECK;

/* The head of an array with at most max elements; ATLS_E_LIMIT. */
enum atls_error atls_cbor_reader_list(struct atls_cbor_reader *rd,
                                      const char *what, size_t max,
                                      size_t *ret_count) ATLS_MUST_CHECK;

/* An unsigned integer from min to max; ATLS_E_LIMIT. */
enum atls_error atls_cbor_reader_uint(struct atls_cbor_reader *rd,
                                      const char *what, uint64_t min,
                                      uint64_t max,
                                      uint64_t *ret) ATLS_MUST_CHECK;

/* The key of a map entry, which must be above the entry's before it, hence at
 * least min; ATLS_E_NOT_CANONICAL (RFC 8949 §4.2.1). */
enum atls_error atls_cbor_reader_key(struct atls_cbor_reader *rd,
                                     const char *what, uint64_t min,
                                     uint64_t *ret_key) ATLS_MUST_CHECK;

/* For reasons: what the initial octet of an item announces. */
const char *atls_cbor_reader_describe(uint8_t initial);

#endif
