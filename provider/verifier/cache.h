/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_CACHE_H
#define ATLS_VERIFIER_CACHE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "verifier/validity.h"

/* Octets of a list of machine names with its terminator. */
#define ATLS_MACHINE_NAMES_MAX 256u

/* What an AK chain tells. */
struct atls_trust {
    /* NULL until the AK certificate was parsed; set then, also when the chain is
     * refused after that, so that tools can show more; EVP_PKEY_free() it. */
    EVP_PKEY *key;
    /* As of atls_trust_machine_names(); "" unless the chain was accepted. */
    char machine[ATLS_MACHINE_NAMES_MAX];
};

/*
 * AK chains that a section has accepted, so that the next handshake with the
 * same machine need not parse and verify its certificates again (performance
 * goal G4). One cache belongs to one section, whose anchors, CRLs, EKUs and
 * machines never change; so what was accepted stays so while every certificate
 * and CRL that was looked at is valid. Refusals are not kept.
 *
 * Entries are never removed or changed before the cache goes: no lock is needed,
 * which a forked child could find locked for ever. A cache that is full, and a
 * chain that is renewed once in its life, cost a slot each.
 */
struct atls_trust_cache;

/* NULL: out of memory. */
struct atls_trust_cache *atls_trust_cache_new(void);
void atls_trust_cache_free(struct atls_trust_cache *cache); /* NULL is fine */

/*
 * Was this chain, octet by octet, accepted, and does that hold at time now?
 *   cache      NULL: no
 *   ret_trust  set only when it was; EVP_PKEY_free(key)
 * Thread-safe.
 */
bool atls_trust_cache_find(struct atls_trust_cache *cache,
                           const struct atls_span *chain, size_t count,
                           int64_t now, struct atls_trust *ret_trust);

/* Keep one that was accepted just now; a NULL cache, one without room and want of
 * memory keep nothing. Copies everything. Thread-safe. */
void atls_trust_cache_add(struct atls_trust_cache *cache,
                          const struct atls_span *chain, size_t count,
                          const struct atls_validity *validity,
                          const struct atls_trust *trust);

#endif
