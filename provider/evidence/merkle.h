/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_MERKLE_H
#define ATLS_EVIDENCE_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"

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
 * All nodes of a batch's tree: hashed once, after which a proof is a copy of at
 * most ATLS_PATH_MAX nodes. Takes two leaves' room for each leaf. Immutable
 * once made, so any thread may take proofs.
 */
struct atls_merkle_tree;

/*
 *   leaves    leaf_count * ATLS_SHA256_LEN octets, leaf hashes as of
 *             atls_merkle_leaf(); copied
 *   ret_tree  set only on success; atls_merkle_tree_free() it
 * ATLS_OK, ATLS_E_LIMIT (0 or more than ATLS_BATCH_MAX leaves), ATLS_E_NOMEM,
 * ATLS_E_CRYPTO.
 */
enum atls_error atls_merkle_tree_new(
    const uint8_t (*leaves)[ATLS_SHA256_LEN], size_t leaf_count,
    struct atls_merkle_tree **ret_tree) ATLS_MUST_CHECK;
void atls_merkle_tree_free(struct atls_merkle_tree *tree); /* NULL is fine */

/* ATLS_SHA256_LEN octets that live as long as the tree. */
const uint8_t *atls_merkle_tree_root(const struct atls_merkle_tree *tree);

/* Inclusion proof of one leaf (RFC 9162 §2.1.3.1). ATLS_OK, or ATLS_E_LIMIT for
 * an index outside the tree. */
enum atls_error atls_merkle_tree_prove(
    const struct atls_merkle_tree *tree, size_t leaf_index,
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
    uint8_t ret_root[ATLS_SHA256_LEN]) ATLS_MUST_CHECK;

#endif
