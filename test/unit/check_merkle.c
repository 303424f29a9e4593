/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/merkle.c against test/vectors/merkle.txt (the reference
 * inputs of Certificate Transparency) and against RFC 9162's own recursion. */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/merkle.h"
#include "lib/allocation.h"
#include "lib/rfc9162.h"
#include "lib/suite.h"
#include "lib/vectors.h"

static const char file[] = "merkle.txt";

#define REFERENCE_COUNT 8

static uint8_t leaves[ATLS_BATCH_MAX][ATLS_SHA256_LEN];

/* The reference inputs are of any length, a binding is not: their leaves are
 * hashed here as RFC 9162 §2.1.1 says. */
static void reference_leaves(void)
{
    for (int i = 0; i < REFERENCE_COUNT; i++) {
        static const uint8_t prefix = 0x00;
        char section[32];
        struct vector data;
        struct vector leaf;

        snprintf(section, sizeof(section), "input-%d", i);
        vector_octets(file, section, "data", &data);
        vector_octets(file, section, "leaf", &leaf);
        ck_assert_int_eq(
            atls_hash_parts(
                "SHA2-256",
                (const struct atls_span[]){{&prefix, 1}, {data.data, data.len}},
                2, leaves[i], NULL),
            ATLS_OK);
        ck_assert_mem_eq(leaves[i], leaf.data, ATLS_SHA256_LEN);
    }
}

/* Leaves that differ, without hashing thousands of them. */
static void numbered_leaves(size_t count)
{
    memset(leaves, 0, sizeof(leaves));
    for (size_t i = 0; i < count; i++)
        memcpy(leaves[i], &i, sizeof(i));
}

#define LEAVES ((const uint8_t(*)[ATLS_SHA256_LEN])leaves)

/* --- trees of other implementations ------------------------------------------ */

START_TEST(test_roots_and_proofs_of_the_reference_inputs)
{
    const size_t size = (size_t)_i;
    uint8_t root[ATLS_SHA256_LEN];
    struct vector expected;
    char section[32];

    reference_leaves();
    rfc9162_root(LEAVES, size, root);
    snprintf(section, sizeof(section), "size-%zu", size);
    vector_octets(file, section, "root", &expected);
    ck_assert_mem_eq(root, expected.data, ATLS_SHA256_LEN);
    for (size_t i = 0; i < size; i++) {
        struct atls_merkle_proof proof;
        char key[32];
        size_t n = 0;

        rfc9162_prove(LEAVES, size, i, &proof);
        ck_assert(vector_list(file, section, "told-sizes", i, &expected));
        ck_assert_uint_eq(proof.tree_size, expected.data[0]);
        snprintf(key, sizeof(key), "proof.%zu", i);
        while (vector_list(file, section, key, n, &expected)) {
            ck_assert_uint_lt(n, proof.path_count);
            ck_assert_mem_eq(proof.path[n], expected.data, ATLS_SHA256_LEN);
            n++;
        }
        ck_assert_uint_eq(n, proof.path_count);
        ck_assert_int_eq(atls_merkle_fold(leaves[i], &proof, NULL, root),
                         ATLS_OK);
        vector_octets(file, section, "root", &expected);
        ck_assert_mem_eq(root, expected.data, ATLS_SHA256_LEN);
    }
}
END_TEST

/* Around the powers of two, where trees are lopsided. */
static const size_t sizes[] = {1,   2,   3,   4,   5,   6,   7,    8,    9,
                               15,  16,  17,  31,  33,  63,  64,   65,   100,
                               127, 129, 255, 257, 511, 513, 1023, 1025, 4096};

START_TEST(test_every_proof_leads_to_the_root)
{
    size_t size = sizes[_i];
    uint8_t root[ATLS_SHA256_LEN], found[ATLS_SHA256_LEN];

    numbered_leaves(size);
    rfc9162_root(LEAVES, size, root);
    for (size_t i = 0; i < size; i += 1 + i / 8) {
        struct atls_merkle_proof proof;

        rfc9162_prove(LEAVES, size, i, &proof);
        ck_assert_int_eq(atls_merkle_fold(leaves[i], &proof, NULL, found),
                         ATLS_OK);
        ck_assert_mem_eq(root, found, sizeof(root));
    }
}
END_TEST

/* --- trees of ours ------------------------------------------------------------- */

static struct atls_merkle_placed placed[ATLS_BATCH_MAX];
static uint8_t decoys[ATLS_BATCH_MAX][ATLS_SHA256_LEN];

/* Octets that differ, and from those of every leaf. */
static void number_decoys(void)
{
    memset(decoys, 0xdc, sizeof(decoys));
    for (size_t i = 0; i < ATLS_BATCH_MAX; i++)
        memcpy(decoys[i], &i, sizeof(i));
}

/* Leaf i at place[i]; both are kept in `placed`. */
static struct atls_merkle_tree *tree_at(const uint16_t *places, size_t count)
{
    struct atls_merkle_tree *tree = NULL;

    numbered_leaves(count);
    number_decoys();
    for (size_t i = 0; i < count; i++) {
        placed[i].place = places[i];
        memcpy(placed[i].leaf, leaves[i], ATLS_SHA256_LEN);
    }
    ck_assert_uint_le(atls_merkle_count_decoys(placed, count),
                      ATLS_PATH_MAX * count);
    ck_assert_int_eq(
        atls_merkle_tree_new(placed, count,
                             (const uint8_t(*)[ATLS_SHA256_LEN])decoys, &tree),
        ATLS_OK);
    return tree;
}

/* Every so many places, from the first one on. */
static struct atls_merkle_tree *tree_of(size_t count, size_t first,
                                        size_t distance)
{
    static uint16_t places[ATLS_BATCH_MAX];

    for (size_t i = 0; i < count; i++)
        places[i] = (uint16_t)(first + i * distance);
    return tree_at(places, count);
}

static const struct {
    size_t count, first, distance, decoys;
} shapes[] = {
    {1, 0, 1, 12},   {1, 4095, 1, 12},     {1, 2048, 1, 12},
    {2, 0, 1, 11},   {2, 2047, 1, 22},     {2, 0, 4095, 22},
    {3, 5, 1, 11},   {64, 0, 64, 384},     {64, 63, 64, 384},
    {64, 64, 1, 6},  {2048, 0, 2, 2048},   {2048, 1, 2, 2048},
    {2048, 0, 1, 1}, {4095, 0, 1, 1},      {4095, 1, 1, 1},
    {4096, 0, 1, 0}, {100, 1234, 17, 413},
};

/* As the size of the tree says the path has 12 nodes, and leads to its root. */
START_TEST(test_proofs_tell_nothing_of_the_number_of_leaves)
{
    struct atls_merkle_tree *tree =
        tree_of(shapes[_i].count, shapes[_i].first, shapes[_i].distance);

    ck_assert_uint_eq(atls_merkle_count_decoys(placed, shapes[_i].count),
                      shapes[_i].decoys);
    for (size_t i = 0; i < shapes[_i].count; i++) {
        struct atls_merkle_proof proof;
        uint8_t root[ATLS_SHA256_LEN];

        ck_assert_int_eq(atls_merkle_tree_prove(tree, placed[i].place, &proof),
                         ATLS_OK);
        ck_assert_uint_eq(proof.leaf_index, placed[i].place);
        ck_assert_uint_eq(proof.path_count, ATLS_PATH_MAX);
        ck_assert_int_eq(atls_merkle_fold(placed[i].leaf, &proof, NULL, root),
                         ATLS_OK);
        ck_assert_mem_eq(root, atls_merkle_tree_root(tree), sizeof(root));
        ck_assert_int_eq(atls_merkle_fold(decoys[i], &proof, NULL, root),
                         ATLS_OK);
        ck_assert_mem_ne(root, atls_merkle_tree_root(tree), sizeof(root));
    }
    atls_merkle_tree_free(tree);
}
END_TEST

/* The size that is told follows from the place alone. */
START_TEST(test_told_size_follows_from_the_place)
{
    for (size_t place = 0; place < ATLS_BATCH_MAX; place += 1 + place % 37) {
        struct atls_merkle_tree *tree = tree_of(1, place, 1);
        struct atls_merkle_proof proof;

        ck_assert_int_eq(atls_merkle_tree_prove(tree, (uint16_t)place, &proof),
                         ATLS_OK);
        ck_assert_uint_eq(proof.tree_size,
                          rfc9162_smallest_size(ATLS_BATCH_MAX, place));
        atls_merkle_tree_free(tree);
    }
}
END_TEST

/* A batch that is full has no decoys: it is RFC 9162's tree. */
START_TEST(test_G9_full_batch_is_the_tree_of_the_rfc)
{
    struct atls_merkle_tree *tree = tree_of(ATLS_BATCH_MAX, 0, 1);
    struct atls_merkle_proof proof, expected;
    uint8_t root[ATLS_SHA256_LEN];

    rfc9162_root(LEAVES, ATLS_BATCH_MAX, root);
    ck_assert_mem_eq(root, atls_merkle_tree_root(tree), sizeof(root));
    for (size_t i = 0; i < ATLS_BATCH_MAX; i += 455) {
        ck_assert_int_eq(atls_merkle_tree_prove(tree, (uint16_t)i, &proof),
                         ATLS_OK);
        rfc9162_prove(LEAVES, ATLS_BATCH_MAX, i, &expected);
        ck_assert_uint_eq(proof.tree_size, expected.tree_size);
        ck_assert_uint_eq(proof.path_count, expected.path_count);
        ck_assert_mem_eq(proof.path, expected.path, sizeof(proof.path));
    }
    atls_merkle_tree_free(tree);
}
END_TEST

/* Every decoy is used once: none stands in two places. */
START_TEST(test_decoys_are_used_once)
{
    static bool is_used[ATLS_BATCH_MAX];
    struct atls_merkle_tree *tree = tree_of(100, 1234, 17);
    size_t used = 0;

    for (size_t i = 0; i < 100; i++) {
        struct atls_merkle_proof proof;

        ck_assert_int_eq(atls_merkle_tree_prove(tree, placed[i].place, &proof),
                         ATLS_OK);
        for (size_t level = 0; level < ATLS_PATH_MAX; level++) {
            size_t number;

            memcpy(&number, proof.path[level], sizeof(number));
            if (number >= ATLS_BATCH_MAX
                || memcmp(proof.path[level], decoys[number], ATLS_SHA256_LEN)
                       != 0)
                continue;
            used += !is_used[number];
            is_used[number] = true;
        }
    }
    ck_assert_uint_eq(used, atls_merkle_count_decoys(placed, 100));
    atls_merkle_tree_free(tree);
}
END_TEST

START_TEST(test_places_out_of_range_are_refused)
{
    static const struct {
        size_t count;
        uint16_t places[3];
    } cases[] = {
        {0, {0}},    {1, {4096}}, {1, {65535}},   {2, {4095, 4096}},
        {2, {7, 7}}, {2, {8, 7}}, {3, {1, 3, 2}}, {3, {0, 1, 1}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct atls_merkle_tree *tree = NULL;

        for (size_t n = 0; n < 3; n++)
            placed[n].place = cases[i].places[n];
        ck_assert_int_eq(atls_merkle_tree_new(
                             placed, cases[i].count,
                             (const uint8_t(*)[ATLS_SHA256_LEN])decoys, &tree),
                         ATLS_E_LIMIT);
        ck_assert_ptr_null(tree);
    }
}
END_TEST

START_TEST(test_no_proof_where_no_leaf_is)
{
    struct atls_merkle_tree *tree = tree_of(1, 100, 1);
    struct atls_merkle_proof proof = {.tree_size = 77};

    ck_assert_int_eq(atls_merkle_tree_prove(tree, 102, &proof), ATLS_E_LIMIT);
    ck_assert_int_eq(atls_merkle_tree_prove(tree, 4095, &proof), ATLS_E_LIMIT);
    ck_assert_int_eq(atls_merkle_tree_prove(tree, 4196, &proof), ATLS_E_LIMIT);
    ck_assert_int_eq(atls_merkle_tree_prove(tree, 65535, &proof), ATLS_E_LIMIT);
    ck_assert_uint_eq(proof.tree_size, 77);
    atls_merkle_tree_free(tree);
    atls_merkle_tree_free(NULL);
}
END_TEST

/* --- proofs -------------------------------------------------------------------- */

/* The smallest tree with paths as long as the largest one's. */
#define LARGEST (ATLS_BATCH_MAX / 2 + 1)

/* Size, index and path length that do not belong together (RFC 9162
 * §2.1.3.2, steps 1, 4.1 and 5). */
START_TEST(test_fold_refuses_proofs_of_the_wrong_shape)
{
    static const struct {
        uint64_t size;
        uint64_t index;
        size_t path_count;
        enum atls_error r;
        const char *text;
    } cases[] = {
        {0, 0, 0, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 0 in a tree of 0"},
        {1, 1, 0, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 1 in a tree of 1"},
        {3, 3, 2, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 3 in a tree of 3"},
        {3, UINT64_MAX, 2, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 18446744073709551615 in a tree of 3"},
        {ATLS_BATCH_MAX + 1, 0, 12, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 0 in a tree of 4097"},
        {UINT64_MAX, 0, 12, ATLS_E_MALFORMED,
         "the Merkle proof is of leaf 0 in a tree of 18446744073709551615"},
        {1, 0, 1, ATLS_E_MALFORMED,
         "the Merkle path has 1 nodes, expected 0 for leaf 0 in a tree of 1"},
        {2, 0, 0, ATLS_E_MALFORMED,
         "the Merkle path has 0 nodes, expected 1 for leaf 0 in a tree of 2"},
        {2, 0, 2, ATLS_E_MALFORMED,
         "the Merkle path has 2 nodes, expected 1 for leaf 0 in a tree of 2"},
        /* the odd leaf has a path of one */
        {3, 2, 2, ATLS_E_MALFORMED,
         "the Merkle path has 2 nodes, expected 1 for leaf 2 in a tree of 3"},
        {3, 2, 1, ATLS_OK, ""},
        {3, 1, 1, ATLS_E_MALFORMED,
         "the Merkle path has 1 nodes, expected 2 for leaf 1 in a tree of 3"},
        {5, 4, 3, ATLS_E_MALFORMED,
         "the Merkle path has 3 nodes, expected 1 for leaf 4 in a tree of 5"},
        {LARGEST, 0, ATLS_PATH_MAX - 1, ATLS_E_MALFORMED,
         "the Merkle path has 11 nodes, expected 12 for leaf 0 in a tree of "
         "2049"},
        {LARGEST, 0, ATLS_PATH_MAX + 1, ATLS_E_MALFORMED,
         "the Merkle path has 13 nodes, expected 12 for leaf 0 in a tree of "
         "2049"},
        {LARGEST, 0, SIZE_MAX, ATLS_E_MALFORMED,
         "the Merkle path has 18446744073709551615 nodes, expected 12 for leaf "
         "0 in a tree of 2049"},
        {LARGEST, 0, ATLS_PATH_MAX, ATLS_OK, ""},
        {ATLS_BATCH_MAX, ATLS_BATCH_MAX - 1, ATLS_PATH_MAX, ATLS_OK, ""},
        {ATLS_BATCH_MAX, 0, ATLS_PATH_MAX, ATLS_E_NOT_CANONICAL,
         "the Merkle tree has size 4096, expected 2049, the smallest in which "
         "leaf 0 has this path"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const uint8_t leaf[ATLS_SHA256_LEN] = {0};
        struct atls_merkle_proof proof = {.tree_size = cases[i].size,
                                          .leaf_index = cases[i].index,
                                          .path_count = cases[i].path_count};
        struct atls_reason why = {.text = ""};
        uint8_t root[ATLS_SHA256_LEN];

        ck_assert_msg(atls_merkle_fold(leaf, &proof, &why, root) == cases[i].r,
                      "size %llu index %llu path %zu",
                      (unsigned long long)cases[i].size,
                      (unsigned long long)cases[i].index, cases[i].path_count);
        ck_assert_str_eq(why.text, cases[i].text);
    }
}
END_TEST

/* All sizes that lead from a leaf to its root by the same path: the smallest
 * passes, so that a size cannot be changed into another unnoticed. */
START_TEST(test_E12_one_size_for_a_path)
{
    static const struct {
        uint64_t size;
        uint64_t index;
        size_t path_count;
        uint64_t others; /* bit n: size n gives the same path */
    } cases[] = {
        {2, 0, 1, 0},
        {3, 0, 2, 1u << 4},
        {5, 0, 3, 1u << 6 | 1u << 7 | 1u << 8},
        {5, 3, 3, 1u << 6 | 1u << 7 | 1u << 8},
        {5, 4, 1, 0},
        {6, 4, 2, 0},
        {7, 4, 3, 1u << 8},
        {7, 5, 3, 1u << 8},
        {7, 6, 2, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (uint64_t size = cases[i].index + 1; size <= 16; size++) {
            static const uint8_t leaf[ATLS_SHA256_LEN] = {0};
            struct atls_merkle_proof proof = {.tree_size = size,
                                              .leaf_index = cases[i].index,
                                              .path_count =
                                                  cases[i].path_count};
            uint8_t root[ATLS_SHA256_LEN];
            enum atls_error r = atls_merkle_fold(leaf, &proof, NULL, root);

            ck_assert_msg((r == ATLS_OK) == (size == cases[i].size),
                          "size %d index %d", (int)size, (int)cases[i].index);
            if (cases[i].others >> size & 1)
                ck_assert_int_eq(r, ATLS_E_NOT_CANONICAL);
        }
    }
}
END_TEST

/* Another leaf, index, size or node leads to another root. */
START_TEST(test_changed_proofs_lead_elsewhere)
{
    struct atls_merkle_proof proof;
    struct atls_merkle_proof changed;
    uint8_t root[ATLS_SHA256_LEN], found[ATLS_SHA256_LEN];

    numbered_leaves(7);
    rfc9162_root(LEAVES, 7, root);
    rfc9162_prove(LEAVES, 7, 2, &proof);
    ck_assert_int_eq(atls_merkle_fold(leaves[3], &proof, NULL, found), ATLS_OK);
    ck_assert_mem_ne(root, found, sizeof(root));
    changed = proof;
    changed.leaf_index = 3;
    ck_assert_int_eq(atls_merkle_fold(leaves[2], &changed, NULL, found),
                     ATLS_OK);
    ck_assert_mem_ne(root, found, sizeof(root));
    for (size_t bit = 0; bit < proof.path_count * ATLS_SHA256_LEN * 8; bit++) {
        changed = proof;
        changed.path[bit / 256][bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(atls_merkle_fold(leaves[2], &changed, NULL, found),
                         ATLS_OK);
        ck_assert_mem_ne(root, found, sizeof(root));
    }
}
END_TEST

/* An inner node, offered as the leaf of a smaller tree, is no leaf: leaves are
 * hashed with another prefix. */
START_TEST(test_inner_node_is_no_leaf)
{
    uint8_t binding[ATLS_SHA256_LEN] = {0};
    uint8_t leaf[ATLS_SHA256_LEN];
    uint8_t plain[ATLS_SHA256_LEN];

    ck_assert_int_eq(atls_merkle_leaf(binding, leaf), ATLS_OK);
    ck_assert_int_eq(atls_sha256(binding, sizeof(binding), plain), ATLS_OK);
    ck_assert_mem_ne(leaf, plain, sizeof(leaf));
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    struct atls_merkle_tree *tree = NULL;
    enum atls_error r;
    size_t n = 0;

    atls_merkle_tree_free(tree_of(7, 3, 5));
    do {
        allocation_fail_at(++n);
        r = atls_merkle_tree_new(
            placed, 7, (const uint8_t(*)[ATLS_SHA256_LEN])decoys, &tree);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == (n <= 2 ? ATLS_E_NOMEM : ATLS_E_CRYPTO));
        ck_assert(r == ATLS_OK || tree == NULL);
        ck_assert_uint_lt(n, 200);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 3);
    atls_merkle_tree_free(tree);
}
END_TEST

START_TEST(test_R3_fold_without_memory)
{
    struct atls_merkle_proof proof = {.tree_size = 2, .path_count = 1};
    uint8_t root[ATLS_SHA256_LEN];

    ck_assert_int_eq(atls_merkle_fold(leaves[0], &proof, NULL, root), ATLS_OK);
    allocation_fail_at(1);
    ck_assert_int_eq(atls_merkle_fold(leaves[0], &proof, NULL, root),
                     ATLS_E_CRYPTO);
    allocation_fail_at(0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_roots_and_proofs_of_the_reference_inputs, 1, REFERENCE_COUNT + 1),
    LOOP(test_every_proof_leads_to_the_root, 0,
         sizeof(sizes) / sizeof(sizes[0])),
    LOOP(test_proofs_tell_nothing_of_the_number_of_leaves, 0,
         sizeof(shapes) / sizeof(shapes[0])),
    ONCE(test_told_size_follows_from_the_place),
    ONCE(test_G9_full_batch_is_the_tree_of_the_rfc),
    ONCE(test_decoys_are_used_once),
    ONCE(test_places_out_of_range_are_refused),
    ONCE(test_no_proof_where_no_leaf_is),
    ONCE(test_fold_refuses_proofs_of_the_wrong_shape),
    ONCE(test_E12_one_size_for_a_path),
    ONCE(test_changed_proofs_lead_elsewhere),
    ONCE(test_inner_node_is_no_leaf),
    ONCE(test_R3_every_allocation_fails),
    ONCE(test_R3_fold_without_memory),
};

SUITE(.name = "merkle", .begin = allocation_install,
      .cases = {CASE("merkle", tests, 0, NULL, NULL)});
