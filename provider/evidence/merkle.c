/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/merkle.h"

#include <openssl/crypto.h>
#include <string.h>

#include "span.h"

/* The prefixes keep a leaf from being taken for a node: without them an inner
 * node, offered as a leaf, would have a proof too (RFC 9162 §2.1.1). */
static const uint8_t leaf_prefix = 0x00;
static const uint8_t node_prefix = 0x01;

enum atls_error atls_merkle_leaf(const uint8_t binding[ATLS_SHA256_LEN],
                                 uint8_t ret_leaf[ATLS_SHA256_LEN])
{
    const struct atls_span parts[] = {
        {&leaf_prefix, 1},
        {binding, ATLS_SHA256_LEN},
    };

    return atls_hash_parts("SHA2-256", parts, 2, ret_leaf, NULL);
}

/* ret may be left or right. */
static enum atls_error node_hash(const uint8_t left[ATLS_SHA256_LEN],
                                 const uint8_t right[ATLS_SHA256_LEN],
                                 uint8_t ret[ATLS_SHA256_LEN])
{
    const struct atls_span parts[] = {
        {&node_prefix, 1},
        {left, ATLS_SHA256_LEN},
        {right, ATLS_SHA256_LEN},
    };

    return atls_hash_parts("SHA2-256", parts, 3, ret, NULL);
}

/*
 * Level by level from the leaves up, in one array. A node without a sibling is
 * its own parent: that gives the tree of RFC 9162 §2.1.1, whose left subtrees
 * are the complete ones.
 */
struct atls_merkle_tree {
    size_t leaf_count;
    size_t node_count;
    uint8_t nodes[][ATLS_SHA256_LEN];
};

static size_t parent_count(size_t width)
{
    return width / 2 + width % 2;
}

static size_t count_nodes(size_t leaf_count)
{
    size_t count = leaf_count;

    for (size_t width = leaf_count; width > 1; width = parent_count(width))
        count += parent_count(width);
    return count;
}

/* Hash one level of width nodes into the one above, which follows it. */
static enum atls_error hash_level(uint8_t (*level)[ATLS_SHA256_LEN],
                                  size_t width)
{
    uint8_t(*above)[ATLS_SHA256_LEN] = level + width;

    for (size_t i = 0; i + 1 < width; i += 2) {
        enum atls_error r = node_hash(level[i], level[i + 1], above[i / 2]);

        if (r != ATLS_OK)
            return r;
    }
    if (width % 2 != 0)
        memcpy(above[width / 2], level[width - 1], ATLS_SHA256_LEN);
    return ATLS_OK;
}

enum atls_error atls_merkle_tree_new(const uint8_t (*leaves)[ATLS_SHA256_LEN],
                                     size_t leaf_count,
                                     struct atls_merkle_tree **ret_tree)
{
    struct atls_merkle_tree *tree;
    uint8_t(*level)[ATLS_SHA256_LEN];

    if (leaf_count == 0 || leaf_count > ATLS_BATCH_MAX)
        return ATLS_E_LIMIT;
    tree = OPENSSL_malloc(sizeof(*tree)
                          + count_nodes(leaf_count) * ATLS_SHA256_LEN);
    if (tree == NULL)
        return ATLS_E_NOMEM;
    tree->leaf_count = leaf_count;
    tree->node_count = count_nodes(leaf_count);
    level = tree->nodes;
    memcpy(level, leaves, leaf_count * ATLS_SHA256_LEN);
    for (size_t width = leaf_count; width > 1; width = parent_count(width)) {
        enum atls_error r = hash_level(level, width);

        if (r != ATLS_OK) {
            OPENSSL_free(tree);
            return r;
        }
        level += width;
    }
    *ret_tree = tree;
    return ATLS_OK;
}

void atls_merkle_tree_free(struct atls_merkle_tree *tree)
{
    OPENSSL_free(tree);
}

const uint8_t *atls_merkle_tree_root(const struct atls_merkle_tree *tree)
{
    return tree->nodes[tree->node_count - 1];
}

/*
 * Size of the smallest tree in which this leaf has the path that it has in the
 * tree of this size. With sn = size - 1 the path goes by the bits of the index
 * below the highest one in which index and sn differ, and by the index alone
 * from there on (RFC 9162 §2.1.3.2, where fn and sn meet): what sn has below
 * that bit tells nothing.
 */
static uint64_t smallest_size(uint64_t leaf_index, uint64_t size)
{
    uint64_t sn = size - 1;
    uint64_t below = 0;

    for (uint64_t differ = (leaf_index ^ sn) >> 1; differ != 0; differ >>= 1)
        below = below << 1 | 1;
    return (sn & ~below) + 1;
}

enum atls_error atls_merkle_tree_prove(const struct atls_merkle_tree *tree,
                                       size_t leaf_index,
                                       struct atls_merkle_proof *ret_proof)
{
    const uint8_t(*level)[ATLS_SHA256_LEN] = tree->nodes;
    size_t index = leaf_index;

    if (leaf_index >= tree->leaf_count)
        return ATLS_E_LIMIT;
    memset(ret_proof, 0, sizeof(*ret_proof));
    ret_proof->tree_size = smallest_size(leaf_index, tree->leaf_count);
    ret_proof->leaf_index = leaf_index;
    for (size_t width = tree->leaf_count; width > 1;
         width = parent_count(width)) {
        size_t sibling = index ^ 1;

        if (sibling < width)
            memcpy(ret_proof->path[ret_proof->path_count++], level[sibling],
                   ATLS_SHA256_LEN);
        index /= 2;
        level += width;
    }
    return ATLS_OK;
}

/* RFC 9162 §2.1.3.2, names (fn, sn, r) and steps as there. */
enum atls_error atls_merkle_fold(const uint8_t leaf[ATLS_SHA256_LEN],
                                 const struct atls_merkle_proof *proof,
                                 uint8_t ret_root[ATLS_SHA256_LEN])
{
    uint64_t fn = proof->leaf_index;
    uint64_t sn;
    uint8_t r[ATLS_SHA256_LEN];

    if (proof->leaf_index >= proof->tree_size
        || proof->tree_size > ATLS_BATCH_MAX
        || proof->path_count > ATLS_PATH_MAX)
        return ATLS_E_MALFORMED;
    /* No hash covers the size: of those that give the same root one is right. */
    if (proof->tree_size != smallest_size(proof->leaf_index, proof->tree_size))
        return ATLS_E_NOT_CANONICAL;
    sn = proof->tree_size - 1;
    memcpy(r, leaf, sizeof(r));
    for (size_t i = 0; i < proof->path_count; i++) {
        const uint8_t *p = proof->path[i];
        enum atls_error error;

        if (sn == 0)
            return ATLS_E_MALFORMED;
        if ((fn & 1) != 0 || fn == sn) {
            error = node_hash(p, r, r);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            error = node_hash(r, p, r);
        }
        if (error != ATLS_OK)
            return error;
        fn >>= 1;
        sn >>= 1;
    }
    if (sn != 0)
        return ATLS_E_MALFORMED;
    memcpy(ret_root, r, sizeof(r));
    return ATLS_OK;
}
