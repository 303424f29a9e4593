/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_tree.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The thread has all signals blocked, but more than 256 octets can still come in
 * parts. */
static enum atls_error random_octets(void *ret, size_t len,
                                     struct atls_reason *why)
{
    uint8_t *octets = ret;
    size_t have = 0;

    while (have < len) {
        ssize_t n = getrandom(octets + have, len - have, 0);

        if (n < 0 && errno != EINTR)
            return atls_fail(why, ATLS_E_CRYPTO,
                             "no random octets for a batch: getrandom: %s",
                             strerror(errno));
        if (n > 0)
            have += (size_t)n;
    }
    return ATLS_OK;
}

/*
 * The first places of a random permutation (Fisher and Yates). 32 bits for a
 * number below 4096 favour some by less than 2^-20, which no number of
 * handshakes will show.
 */
static enum atls_error random_places(size_t count, struct atls_reason *why,
                                     uint16_t places[ATLS_BATCH_MAX])
{
    uint32_t random[ATLS_BATCH_MAX];
    enum atls_error r = random_octets(random, count * sizeof(random[0]), why);

    if (r != ATLS_OK)
        return r;
    for (uint16_t i = 0; i < ATLS_BATCH_MAX; i++)
        places[i] = i;
    for (size_t i = 0; i < count; i++) {
        size_t j = i + ((uint64_t)random[i] * (ATLS_BATCH_MAX - i) >> 32);
        uint16_t place = places[j];

        places[j] = places[i];
        places[i] = place;
    }
    return ATLS_OK;
}

static int compare_places(const void *left, const void *right)
{
    const struct atls_merkle_placed *a = left, *b = right;

    return (int)a->place - b->place;
}

/* The tickets are in flight: their leaves change no more, their places are the
 * thread's, and nobody else frees them. */
static enum atls_error place_tickets(struct atls_batch *batch,
                                     struct atls_merkle_placed *ret_leaves)
{
    uint16_t places[ATLS_BATCH_MAX];
    struct atls_ticket *ticket;
    enum atls_error r = random_places(batch->count, &batch->why, places);
    size_t i = 0;

    if (r != ATLS_OK)
        return r;
    TAILQ_FOREACH(ticket, &batch->tickets, entry)
    {
        ticket->place = places[i];
        ret_leaves[i].place = places[i];
        memcpy(ret_leaves[i++].leaf, ticket->leaf, ATLS_SHA256_LEN);
    }
    qsort(ret_leaves, batch->count, sizeof(*ret_leaves), compare_places);
    return ATLS_OK;
}

/*
 * A decoy is 256 random bits that are made here and forgotten. Nobody knows a leaf or
 * children of such a node, so nobody can claim later that a connection stood below it
 * (that would be a preimage of SHA-256). Decoys look like the hashes of other
 * connections' leaves.
 */
static enum atls_error add_decoys(struct atls_batch *batch,
                                  const struct atls_merkle_placed *leaves)
{
    size_t count = atls_merkle_count_decoys(leaves, batch->count);
    uint8_t(*decoys)[ATLS_SHA256_LEN];
    enum atls_error r;

    /* One more, because a full tree needs none. */
    decoys = OPENSSL_malloc((count + 1) * sizeof(*decoys));
    if (decoys == NULL)
        return atls_fail(&batch->why, ATLS_E_NOMEM, NULL);
    r = random_octets(decoys, count * sizeof(*decoys), &batch->why);
    if (r == ATLS_OK) {
        r = atls_merkle_tree_new(leaves, batch->count,
                                 (const uint8_t(*)[ATLS_SHA256_LEN])decoys,
                                 &batch->tree);
        if (r != ATLS_OK)
            (void)atls_fail(&batch->why, r, NULL);
    }
    OPENSSL_free(decoys);
    return r;
}

enum atls_error atls_quoter_build_tree(struct atls_batch *batch)
{
    struct atls_merkle_placed *leaves;
    enum atls_error r;

    leaves = OPENSSL_malloc(batch->count * sizeof(*leaves));
    if (leaves == NULL)
        return atls_fail(&batch->why, ATLS_E_NOMEM, NULL);
    r = place_tickets(batch, leaves);
    if (r == ATLS_OK)
        r = add_decoys(batch, leaves);
    OPENSSL_free(leaves);
    return r;
}
