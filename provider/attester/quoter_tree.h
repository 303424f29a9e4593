/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_QUOTER_TREE_H
#define ATLS_ATTESTER_QUOTER_TREE_H

#include "attester/quoter_core.h"
#include "base/error.h"

/*
 * Make the tree of a batch's tickets and give each its place in it. The places
 * are random, and so is every node without a ticket below: what a peer is shown
 * of the tree tells it nothing of the load, of who came before whom, nor of the
 * other leaves (doc/PROTOCOL.md, "Merkle tree").
 *
 * The octets come from getrandom(2), not from OpenSSL: its generators have locks
 * and a state for each thread. A child that is forked while another thread holds one
 * of these locks would wait for it without end.
 *
 * For the quoter's thread, without the lock. Fills batch->tree, or batch->why.
 * Returns ATLS_OK, ATLS_E_NOMEM, ATLS_E_CRYPTO (no hash, no random octets).
 */
enum atls_error atls_quoter_build_tree(struct atls_batch *batch)
    ATLS_MUST_CHECK;

#endif
