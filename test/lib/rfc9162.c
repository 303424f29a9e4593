/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/rfc9162.h"

#include <stdbool.h>
#include <string.h>

#include "lib/factory_internal.h"

/* The largest power of two below n. */
static size_t split(size_t n)
{
    size_t k = 1;

    while (k * 2 < n)
        k *= 2;
    return k;
}

void rfc9162_root(const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t count,
                  uint8_t ret_root[ATLS_SHA256_LEN])
{
    static const uint8_t prefix = 0x01;
    uint8_t left[ATLS_SHA256_LEN], right[ATLS_SHA256_LEN];
    const struct atls_span parts[] = {
        {&prefix, 1}, {left, sizeof(left)}, {right, sizeof(right)}};
    size_t k = split(count);

    if (count == 1) {
        memcpy(ret_root, leaves[0], ATLS_SHA256_LEN);
        return;
    }
    rfc9162_root(leaves, k, left);
    rfc9162_root(leaves + k, count - k, right);
    factory_need(atls_hash_parts("SHA2-256", parts, 3, ret_root, NULL)
                 == ATLS_OK);
}

static void add_path(const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t count,
                     size_t index, struct atls_merkle_proof *proof)
{
    size_t k = split(count);

    if (count == 1)
        return;
    if (index < k) {
        add_path(leaves, k, index, proof);
        rfc9162_root(leaves + k, count - k, proof->path[proof->path_count]);
    } else {
        add_path(leaves + k, count - k, index - k, proof);
        rfc9162_root(leaves, k, proof->path[proof->path_count]);
    }
    proof->path_count++;
}

/* On which side each node of the path stands, the highest one's first: what a
 * tree's size does to a proof. */
static size_t sides_of(size_t count, size_t index,
                       bool ret_is_left[ATLS_PATH_MAX])
{
    size_t n = 0;

    while (count > 1) {
        size_t k = split(count);

        ret_is_left[n++] = index >= k;
        count = index < k ? k : count - k;
        index = index < k ? index : index - k;
    }
    return n;
}

size_t rfc9162_smallest_size(size_t count, size_t index)
{
    bool sides[ATLS_PATH_MAX], other[ATLS_PATH_MAX];
    size_t n = sides_of(count, index, sides);
    size_t size = index + 1;

    while (sides_of(size, index, other) != n
           || memcmp(sides, other, n * sizeof(sides[0])) != 0)
        size++;
    return size;
}

void rfc9162_prove(const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t count,
                   size_t index, struct atls_merkle_proof *ret_proof)
{
    memset(ret_proof, 0, sizeof(*ret_proof));
    ret_proof->tree_size = rfc9162_smallest_size(count, index);
    ret_proof->leaf_index = index;
    add_path(leaves, count, index, ret_proof);
}
