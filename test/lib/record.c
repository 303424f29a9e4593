/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/record.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/allocation.h"

enum atls_error record_decode(const uint8_t *data, size_t len,
                              struct atls_reason *why)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    struct atls_evidence *evidence = NULL;
    struct atls_span span = {copy, len};
    enum atls_error r;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    r = atls_evidence_decode(span, why, &evidence);
    if (r == ATLS_OK)
        ck_assert(atls_evidence_encodes_to(evidence, span));
    else
        ck_assert_ptr_null(evidence);
    atls_evidence_free(evidence);
    free(copy);
    return r;
}

void record_decode_without_memory(const uint8_t *data, size_t len,
                                  size_t allocations)
{
    for (size_t n = 1; n <= allocations + 1; n++) {
        const int fails = n <= allocations;
        struct atls_reason why = {0};
        enum atls_error r;

        allocation_fail_at(n);
        r = record_decode(data, len, &why);
        allocation_fail_at(0);
        ck_assert_int_eq(r, fails ? ATLS_E_NOMEM : ATLS_OK);
        ck_assert_str_eq(why.text, fails ? "out of memory" : "");
    }
}

/* Which head, counted from 0, gets more octets than it needs; -1: none. */
static int widened_head = -1;
static int head_count;

static void add_octets(struct record *b, const void *data, size_t len)
{
    ck_assert_uint_le(len, sizeof(b->data) - b->len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_head(struct record *b, unsigned major, uint64_t value)
{
    uint8_t head[9] = {(uint8_t)(major << 5)};
    size_t size = 8;

    if (head_count++ != widened_head) {
        size = value < 24 ? 0 : value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;
        if (value > 0xffffffff)
            size = 8;
    }
    if (size == 0)
        head[0] |= (uint8_t)value;
    else
        head[0] |= (uint8_t)(size == 1   ? 24
                             : size == 2 ? 25
                             : size == 4 ? 26
                                         : 27);
    for (size_t i = 0; i < size; i++)
        head[1 + i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    add_octets(b, head, 1 + size);
}

#define add_uint(b, value) add_head(b, 0, value)
#define add_array(b, count) add_head(b, 4, count)
#define add_map(b, count) add_head(b, 5, count)

/* A byte string of len equal octets. */
static void add_filled(struct record *b, uint8_t fill, size_t len)
{
    static uint8_t filled[ATLS_CMW_MAX];

    memset(filled, fill, sizeof(filled));
    add_head(b, 2, len);
    add_octets(b, filled, len);
}

const struct record_shape record_plain = {
    .quote_len = 100,
    .signature_len = 70,
    .chain_count = 2,
    .cert_len = 300,
    .alg = TPM2_ALG_SHA256,
    .pcr = 7,
    .pcr_len = 32,
    .tree_size = 5,
    .leaf_index = 3,
    .path_count = 3,
    .node_len = 32,
    .epoch_time = 1767225600,
    .log_pcr = 15,
    .log_count = 3,
    .content_len = 40,
    .authority_len = 400,
    .certify_len = 90,
    .certify_signature_len = 72,
    .certify_public_len = 88,
    .indicator = 4,
};

static void add_freshness(struct record *b, const struct record_shape *s)
{
    if (s->is_epoch) {
        add_uint(b, 6);
        add_uint(b, s->epoch_time);
        return;
    }
    add_uint(b, 5);
    add_array(b, 3);
    add_uint(b, s->tree_size);
    add_uint(b, s->leaf_index);
    add_array(b, s->path_count);
    for (uint64_t i = 0; i < s->path_count; i++)
        add_filled(b, RECORD_NODE, s->node_len);
}

static void add_map_of(struct record *b, const struct record_shape *s)
{
    add_map(b, 8);
    add_uint(b, 1);
    add_filled(b, RECORD_QUOTE, s->quote_len);
    add_uint(b, 2);
    add_filled(b, RECORD_SIGNATURE, s->signature_len);
    add_uint(b, 3);
    add_array(b, s->chain_count);
    for (uint64_t i = 0; i < s->chain_count; i++)
        add_filled(b, RECORD_CERT, s->cert_len);
    add_uint(b, 4);
    add_map(b, 1);
    add_uint(b, s->alg);
    add_map(b, 1);
    add_uint(b, s->pcr);
    add_filled(b, RECORD_PCR, s->pcr_len);
    add_freshness(b, s);
    add_uint(b, 7);
    add_array(b, 2);
    add_uint(b, s->log_pcr);
    add_array(b, s->log_count);
    for (uint64_t i = 0; i < s->log_count; i++)
        add_filled(b, RECORD_CONTENT, s->content_len);
    add_uint(b, 8);
    add_filled(b, RECORD_AUTHORITY, s->authority_len);
    add_uint(b, 9);
    add_array(b, 3);
    add_filled(b, RECORD_CERTIFY, s->certify_len);
    add_filled(b, RECORD_CERTIFY_SIGNATURE, s->certify_signature_len);
    add_filled(b, RECORD_CERTIFY_PUBLIC, s->certify_public_len);
}

static void wrap(struct record *b, const char *type, const uint8_t *map,
                 size_t map_len, uint64_t indicator)
{
    b->len = 0;
    add_array(b, 3);
    add_head(b, 3, strlen(type));
    add_octets(b, type, strlen(type));
    add_head(b, 2, map_len);
    add_octets(b, map, map_len);
    add_uint(b, indicator);
}

void record_wrap(struct record *ret, const uint8_t *map, size_t map_len)
{
    wrap(ret, ATLS_FORMAT_TPM_TYPE, map, map_len, ATLS_CMW_IND_EVIDENCE);
}

void record_wrap_boot(struct record *ret, const uint8_t *map, size_t map_len)
{
    wrap(ret, ATLS_FORMAT_TPM_BOOT_TYPE, map, map_len, ATLS_CMW_IND_EVIDENCE);
}

void record_wrap_short(struct record *ret, const uint8_t *map, size_t map_len)
{
    wrap(ret, ATLS_FORMAT_TPM_SHORT_TYPE, map, map_len, ATLS_CMW_IND_EVIDENCE);
}

int record_build_widened(struct record *ret, const struct record_shape *shape,
                         int head)
{
    static struct record map;

    head_count = 0;
    widened_head = head;
    map.len = 0;
    add_map_of(&map, shape);
    wrap(ret, ATLS_FORMAT_TPM_TYPE, map.data, map.len, shape->indicator);
    widened_head = -1;
    return head_count;
}

void record_build(struct record *ret, const struct record_shape *shape)
{
    (void)record_build_widened(ret, shape, -1);
}
