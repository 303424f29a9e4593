/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_MERKLE_H
#define ATLS_EVIDENCE_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

/*
 * Merkle trees of RFC 9162 §2.1 over SHA-256: leaf = H(0x00 || data),
 * node = H(0x01 || left || right), split at the largest power of two below n.
 */

/* A batch has at most this many leaves (handshakes), so that paths are short.
 */
#define ATLS_BATCH_MAX 4096u
/* ceil(log2(ATLS_BATCH_MAX)) */
#define ATLS_PATH_MAX 12u

/*
 * An inclusion proof. Trees of several sizes give one leaf the same path; the
 * size that is told is that of the smallest of them, since no hash tells them
 * apart and evidence has no octet that nothing covers (doc/PROTOCOL.md).
 */
struct atls_merkle_proof {
    uint64_t tree_size;  /* 1..ATLS_BATCH_MAX */
    uint64_t leaf_index; /* < tree_size */
    size_t path_count;   /* exactly what RFC 9162 §2.1.3.1 gives for the two */
    uint8_t path[ATLS_PATH_MAX][ATLS_SHA256_LEN];
};

/* leaf = SHA-256(0x00 || binding). ATLS_OK or ATLS_E_CRYPTO. */
enum atls_error atls_merkle_leaf(const uint8_t binding[ATLS_SHA256_LEN],
                                 uint8_t ret_leaf[ATLS_SHA256_LEN])
    ATLS_MUST_CHECK;

/*
 * The tree of a batch. It always has ATLS_BATCH_MAX places, each leaf stands at
 * one of its own, and where no leaf is below, the topmost node there is a decoy:
 * octets that nobody knows a preimage of. So every proof has an index out of
 * ATLS_BATCH_MAX and a path of ATLS_PATH_MAX nodes, however many leaves there
 * are; if places and decoys are random, proofs tell nothing else of the batch
 * than that the leaves they are for are in it.
 */
struct atls_merkle_tree;

struct atls_merkle_placed {
    uint16_t place; /* < ATLS_BATCH_MAX */
    uint8_t leaf[ATLS_SHA256_LEN];
};

/* How many decoys a tree of these leaves needs: 0 to ATLS_PATH_MAX * count.
 * leaves as for atls_merkle_tree_new(). */
size_t atls_merkle_count_decoys(const struct atls_merkle_placed *leaves,
                                size_t count);

/*
 * Hash the tree, once; a proof is then a copy of its nodes. Takes room for each
 * leaf and its way to the root: at most ATLS_PATH_MAX * 66 octets a leaf, 264 KiB
 * in all. Immutable once made, so any thread may take proofs.
 *   leaves    1..ATLS_BATCH_MAX leaf hashes as of atls_merkle_leaf(), no two at
 *             one place, in the order of their places; copied
 *   decoys    as many as atls_merkle_count_decoys() says, random, of which none
 *             is used twice; copied
 *   ret_tree  set only on success; atls_merkle_tree_free() it
 * ATLS_OK, ATLS_E_LIMIT (none, out of range or out of order), ATLS_E_NOMEM,
 * ATLS_E_CRYPTO.
 */
enum atls_error atls_merkle_tree_new(
    const struct atls_merkle_placed *leaves, size_t count,
    const uint8_t (*decoys)[ATLS_SHA256_LEN],
    struct atls_merkle_tree **ret_tree) ATLS_MUST_CHECK;
void atls_merkle_tree_free(struct atls_merkle_tree *tree); /* NULL is fine */

/* ATLS_SHA256_LEN octets that live as long as the tree. */
const uint8_t *atls_merkle_tree_root(const struct atls_merkle_tree *tree);

/*
 * Inclusion proof of the leaf at a place (RFC 9162 §2.1.3.1), of ATLS_PATH_MAX
 * nodes. Its tree_size is not ATLS_BATCH_MAX but the smallest that gives the
 * place this path, as of every proof: it follows from the place alone.
 * ATLS_OK, or ATLS_E_LIMIT for a place where the tree has no node.
 */
enum atls_error atls_merkle_tree_prove(
    const struct atls_merkle_tree *tree, uint16_t place,
    struct atls_merkle_proof *ret_proof) ATLS_MUST_CHECK;

/*
 * Root that a leaf and its proof lead to (RFC 9162 §2.1.3.2). The caller
 * compares it, in constant time, with what was signed.
 * ATLS_OK; ATLS_E_MALFORMED when size, index and path length do not belong
 * together; ATLS_E_NOT_CANONICAL when a smaller tree has the same proof;
 * ATLS_E_CRYPTO.
 */
enum atls_error atls_merkle_fold(
    const uint8_t leaf[ATLS_SHA256_LEN], const struct atls_merkle_proof *proof,
    struct atls_reason *why, uint8_t ret_root[ATLS_SHA256_LEN]) ATLS_MUST_CHECK;

#endif
