/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/cache.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "evidence/codec.h"

/* Room for a fleet; an entry takes some 5 KiB. */
#define SLOTS 64u
/* Where to look: slots in a row. */
#define PROBES 8u

struct entry {
    struct atls_trust trust; /* key: a reference */
    struct atls_validity validity;
    size_t count;
    size_t lens[ATLS_CHAIN_MAX];
    uint8_t octets[]; /* of all certificates */
};

struct atls_trust_cache {
    _Atomic(struct entry *) slots[SLOTS];
};

struct atls_trust_cache *atls_trust_cache_new(void)
{
    return OPENSSL_zalloc(sizeof(struct atls_trust_cache));
}

static void entry_free(struct entry *entry)
{
    if (entry != NULL)
        EVP_PKEY_free(entry->trust.key);
    OPENSSL_free(entry);
}

void atls_trust_cache_free(struct atls_trust_cache *cache)
{
    for (size_t i = 0; cache != NULL && i < SLOTS; i++)
        entry_free(atomic_load(&cache->slots[i]));
    OPENSSL_free(cache);
}

/* The end of the AK certificate is its issuer's signature: as good as random. Who
 * could choose it holds a CA of the section, and gains a full row of slots. */
static size_t first_slot(const struct atls_span *ak)
{
    return ak->len > 0 ? ak->data[ak->len - 1] % SLOTS : 0;
}

static bool is_of_chain(const struct entry *entry,
                        const struct atls_span *chain, size_t count)
{
    const uint8_t *octets = entry->octets;

    if (entry->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entry->lens[i] != chain[i].len
            || memcmp(octets, chain[i].data, chain[i].len) != 0)
            return false;
        octets += chain[i].len;
    }
    return true;
}

bool atls_trust_cache_find(struct atls_trust_cache *cache,
                           const struct atls_span *chain, size_t count,
                           int64_t now, struct atls_trust *ret_trust)
{
    if (cache == NULL || count == 0)
        return false;
    for (size_t i = 0; i < PROBES; i++) {
        const struct entry *entry =
            atomic_load(&cache->slots[(first_slot(&chain[0]) + i) % SLOTS]);

        if (entry == NULL)
            return false;
        if (!is_of_chain(entry, chain, count))
            continue;
        if (now < entry->validity.from || now >= entry->validity.until
            || !EVP_PKEY_up_ref(entry->trust.key))
            return false;
        *ret_trust = entry->trust;
        return true;
    }
    return false;
}

static struct entry *entry_new(const struct atls_span *chain, size_t count,
                               const struct atls_validity *validity,
                               const struct atls_trust *trust)
{
    struct entry *entry;
    uint8_t *octets;
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += chain[i].len;
    entry = OPENSSL_zalloc(sizeof(*entry) + total);
    if (entry == NULL || !EVP_PKEY_up_ref(trust->key)) {
        OPENSSL_free(entry);
        return NULL;
    }
    entry->trust = *trust;
    entry->validity = *validity;
    entry->count = count;
    octets = entry->octets;
    for (size_t i = 0; i < count; i++) {
        memcpy(octets, chain[i].data, chain[i].len);
        entry->lens[i] = chain[i].len;
        octets += chain[i].len;
    }
    return entry;
}

/* Into the first free slot of the row, unless another thread brought the same
 * chain meanwhile. */
static bool entry_publish(struct atls_trust_cache *cache, struct entry *entry,
                          const struct atls_span *chain, size_t count)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct entry *found = NULL;

        if (atomic_compare_exchange_strong(
                &cache->slots[(first_slot(&chain[0]) + i) % SLOTS], &found,
                entry))
            return true;
        if (is_of_chain(found, chain, count))
            return false;
    }
    return false;
}

void atls_trust_cache_add(struct atls_trust_cache *cache,
                          const struct atls_span *chain, size_t count,
                          const struct atls_validity *validity,
                          const struct atls_trust *trust)
{
    struct entry *entry;

    if (cache == NULL || count == 0 || count > ATLS_CHAIN_MAX
        || trust->key == NULL)
        return;
    entry = entry_new(chain, count, validity, trust);
    if (entry != NULL && !entry_publish(cache, entry, chain, count))
        entry_free(entry);
}
