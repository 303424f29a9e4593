/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/merkle.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

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
 * The inner nodes that have a leaf below, level by level from the leaves up and
 * from left to right: each is kept as its two children, which are what proofs
 * are made of. Of a tree with one leaf these are ATLS_PATH_MAX, of one that is
 * full ATLS_BATCH_MAX - 1. RFC 9162 §2.1.1 makes no node depend on more than its
 * children's hashes: what is below a decoy need not exist.
 */
struct pair {
    uint16_t place; /* of the node, in its level */
    uint8_t children[2][ATLS_SHA256_LEN];
};

struct atls_merkle_tree {
    uint8_t root[ATLS_SHA256_LEN];
    /* Pair of each level; behind the last level's, their count. */
    size_t first[ATLS_PATH_MAX + 1];
    struct pair pairs[];
};

/* Nodes of the levels above the leaves that have one of these below. */
static size_t count_pairs(const struct atls_merkle_placed *leaves, size_t count)
{
    size_t pairs = 0;

    for (unsigned level = 1; level <= ATLS_PATH_MAX; level++) {
        pairs++;
        for (size_t i = 1; i < count; i++)
            pairs += leaves[i].place >> level != leaves[i - 1].place >> level;
    }
    return pairs;
}

/* Every node but the root is a child of a pair; those that are no pair and no
 * leaf are decoys. */
size_t atls_merkle_count_decoys(const struct atls_merkle_placed *leaves,
                                size_t count)
{
    return count_pairs(leaves, count) + 1 - count;
}

/* A level while it is hashed: its nodes with a leaf below, from left to right. */
struct row {
    size_t width;
    struct atls_merkle_placed *nodes;
    const uint8_t (*decoys)[ATLS_SHA256_LEN]; /* the next one */
};

/* Pair the row's nodes; the row is then that of the level above. */
static enum atls_error raise_row(struct row *row, struct pair *pairs)
{
    size_t above = 0;

    for (size_t i = 0; i < row->width; i++) {
        struct atls_merkle_placed *node = &row->nodes[i];
        struct pair *pair = &pairs[above];
        unsigned side = node->place & 1;
        enum atls_error r;

        pair->place = node->place >> 1;
        memcpy(pair->children[side], node->leaf, ATLS_SHA256_LEN);
        if (i + 1 < row->width && node[1].place >> 1 == pair->place)
            memcpy(pair->children[1], row->nodes[++i].leaf, ATLS_SHA256_LEN);
        else
            memcpy(pair->children[side ^ 1], *row->decoys++, ATLS_SHA256_LEN);
        r = node_hash(pair->children[0], pair->children[1],
                      row->nodes[above].leaf);
        if (r != ATLS_OK)
            return r;
        row->nodes[above++].place = pair->place;
    }
    row->width = above;
    return ATLS_OK;
}

static enum atls_error hash_rows(struct row *row, struct atls_merkle_tree *tree)
{
    for (size_t level = 0; level < ATLS_PATH_MAX; level++) {
        enum atls_error r = raise_row(row, &tree->pairs[tree->first[level]]);

        if (r != ATLS_OK)
            return r;
        tree->first[level + 1] = tree->first[level] + row->width;
    }
    memcpy(tree->root, row->nodes[0].leaf, ATLS_SHA256_LEN);
    return ATLS_OK;
}

static bool are_placed(const struct atls_merkle_placed *leaves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (leaves[i].place >= ATLS_BATCH_MAX
            || (i > 0 && leaves[i].place <= leaves[i - 1].place))
            return false;
    }
    return count > 0;
}

enum atls_error atls_merkle_tree_new(const struct atls_merkle_placed *leaves,
                                     size_t count,
                                     const uint8_t (*decoys)[ATLS_SHA256_LEN],
                                     struct atls_merkle_tree **ret_tree)
{
    struct row row = {.width = count, .decoys = decoys};
    struct atls_merkle_tree *tree;
    enum atls_error r;

    if (!are_placed(leaves, count))
        return ATLS_E_LIMIT;
    row.nodes = OPENSSL_memdup(leaves, count * sizeof(*leaves));
    tree = OPENSSL_zalloc(sizeof(*tree)
                          + count_pairs(leaves, count) * sizeof(struct pair));
    if (row.nodes == NULL || tree == NULL)
        r = ATLS_E_NOMEM;
    else
        r = hash_rows(&row, tree);
    OPENSSL_free(row.nodes);
    if (r != ATLS_OK) {
        OPENSSL_free(tree);
        return r;
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
    return tree->root;
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

static int compare_places(const void *place, const void *pair)
{
    return (int)*(const uint16_t *)place - ((const struct pair *)pair)->place;
}

/* The pair below the node at this place of a level (0: that above the leaves);
 * NULL where no leaf is below. */
static const struct pair *find_pair(const struct atls_merkle_tree *tree,
                                    size_t level, uint16_t place)
{
    return bsearch(&place, &tree->pairs[tree->first[level]],
                   tree->first[level + 1] - tree->first[level],
                   sizeof(struct pair), compare_places);
}

enum atls_error atls_merkle_tree_prove(const struct atls_merkle_tree *tree,
                                       uint16_t place,
                                       struct atls_merkle_proof *ret_proof)
{
    struct atls_merkle_proof proof = {
        .tree_size = smallest_size(place, ATLS_BATCH_MAX),
        .leaf_index = place,
        .path_count = ATLS_PATH_MAX,
    };

    for (size_t level = 0; level < ATLS_PATH_MAX; level++) {
        unsigned node = (unsigned)place >> level;
        const struct pair *pair = find_pair(tree, level, (uint16_t)(node >> 1));

        if (pair == NULL)
            return ATLS_E_LIMIT;
        memcpy(proof.path[level], pair->children[(node & 1) ^ 1],
               ATLS_SHA256_LEN);
    }
    *ret_proof = proof;
    return ATLS_OK;
}

/* Up to the first level where the node is not the last one without a sibling. */
static void skip_levels(uint64_t *fn, uint64_t *sn)
{
    while ((*fn & 1) == 0 && *fn != 0) {
        *fn >>= 1;
        *sn >>= 1;
    }
}

/* Nodes of the one path that a leaf has in a tree. */
static size_t path_len(uint64_t leaf_index, uint64_t tree_size)
{
    uint64_t fn = leaf_index, sn = tree_size - 1;
    size_t len = 0;

    for (; sn != 0; len++) {
        if ((fn & 1) != 0 || fn == sn)
            skip_levels(&fn, &sn);
        fn >>= 1;
        sn >>= 1;
    }
    return len;
}

static enum atls_error check_shape(const struct atls_merkle_proof *proof,
                                   struct atls_reason *why)
{
    uint64_t smallest;
    size_t len;

    if (proof->tree_size > ATLS_BATCH_MAX
        || proof->leaf_index >= proof->tree_size)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "the Merkle proof is of leaf %llu in a tree of %llu",
                         (unsigned long long)proof->leaf_index,
                         (unsigned long long)proof->tree_size);
    len = path_len(proof->leaf_index, proof->tree_size);
    if (proof->path_count != len)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "the Merkle path has %zu nodes, expected %zu" ATLS_MORE
                         " for leaf %llu in a tree of %llu",
                         proof->path_count, len,
                         (unsigned long long)proof->leaf_index,
                         (unsigned long long)proof->tree_size);
    /* No hash covers the size: of those that give the same root one is right. */
    smallest = smallest_size(proof->leaf_index, proof->tree_size);
    if (proof->tree_size != smallest)
        return atls_fail(
            why, ATLS_E_NOT_CANONICAL,
            "the Merkle tree has size %llu, expected %llu" ATLS_MORE
            ", the smallest in which leaf %llu has this path",
            (unsigned long long)proof->tree_size, (unsigned long long)smallest,
            (unsigned long long)proof->leaf_index);
    return ATLS_OK;
}

/* RFC 9162 §2.1.3.2, names (fn, sn, r) and steps as there. */
enum atls_error atls_merkle_fold(const uint8_t leaf[ATLS_SHA256_LEN],
                                 const struct atls_merkle_proof *proof,
                                 struct atls_reason *why,
                                 uint8_t ret_root[ATLS_SHA256_LEN])
{
    uint64_t fn = proof->leaf_index;
    uint64_t sn = proof->tree_size - 1;
    uint8_t r[ATLS_SHA256_LEN];
    enum atls_error error = check_shape(proof, why);

    if (error != ATLS_OK)
        return error;
    memcpy(r, leaf, sizeof(r));
    for (size_t i = 0; i < proof->path_count; i++) {
        const uint8_t *p = proof->path[i];

        if ((fn & 1) != 0 || fn == sn) {
            error = node_hash(p, r, r);
            skip_levels(&fn, &sn);
        } else {
            error = node_hash(r, p, r);
        }
        if (error != ATLS_OK)
            return atls_fail(why, error, NULL);
        fn >>= 1;
        sn >>= 1;
    }
    memcpy(ret_root, r, sizeof(r));
    return ATLS_OK;
}
