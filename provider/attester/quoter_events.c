/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_events.h"

#include <openssl/crypto.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* How long an event may be extended but not yet written down. */
#define READS_MAX 5
#define READ_PAUSE_MS 20

void atls_events_unref(struct atls_events *events)
{
    if (events == NULL || atomic_fetch_sub(&events->refs, 1) != 1)
        return;
    atls_measured_log_clear(&events->log);
    OPENSSL_free(events);
}

void atls_events_clear(struct atls_events_cache *cache)
{
    atls_events_unref(cache->events);
    *cache = (struct atls_events_cache){.events = NULL};
}

/* The quoted value to replay to, in the first bank that has the PCR; the setup
 * made sure that one does. */
static const struct atls_hash *find_value(const struct atls_pcr_values *values,
                                          unsigned pcr, const uint8_t **ret)
{
    for (size_t i = 0; i < values->count; i++) {
        uint16_t alg = values->banks[i].alg;

        *ret = atls_pcr_value(values, alg, pcr);
        if (*ret != NULL)
            return atls_hash_by_alg(alg);
    }
    return NULL;
}

/* How many events, from the first, replay to value; all if none do. */
static enum atls_error count_events(const struct atls_measured_log *log,
                                    const struct atls_hash *hash,
                                    const uint8_t *value, size_t *ret_count,
                                    bool *ret_fits)
{
    uint8_t replayed[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t digest[ATLS_PCR_DIGEST_MAX];

    *ret_fits = false;
    for (size_t i = 0; i <= log->count; i++) {
        enum atls_error r;

        *ret_count = i;
        if (memcmp(replayed, value, hash->len) == 0) {
            *ret_fits = true;
            return ATLS_OK;
        }
        if (i == log->count)
            break;
        r = atls_hash_parts(hash->ossl, &log->contents[i], 1, digest, NULL);
        if (r != ATLS_OK)
            return r;
        r = atls_pcr_extend(hash->alg, replayed, digest);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* Read the log as it is now into the cache. */
static enum atls_error read_once(struct atls_events_cache *cache,
                                 const struct atls_quoter_setup *setup,
                                 const struct atls_hash *hash,
                                 struct atls_reason *why)
{
    struct atls_events *events = OPENSSL_zalloc(sizeof(*events));
    enum atls_error r;

    atls_events_unref(cache->events);
    cache->events = NULL;
    cache->fits = false;
    if (events == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    atomic_init(&events->refs, 1);
    r = atls_measured_log_read(setup->event_log, setup->measure_pcr, why,
                               &events->log);
    if (r == ATLS_OK)
        r = count_events(&events->log, hash, cache->value, &events->count,
                         &cache->fits);
    if (r != ATLS_OK) {
        atls_events_unref(events);
        return r;
    }
    cache->events = events;
    return ATLS_OK;
}

/* Until it fits, so often. */
static enum atls_error read_events(struct atls_events_cache *cache,
                                   const struct atls_quoter_setup *setup,
                                   const struct atls_hash *hash, int reads,
                                   struct atls_reason *why)
{
    const struct timespec pause = {.tv_nsec = READ_PAUSE_MS * 1000000L};
    enum atls_error r = read_once(cache, setup, hash, why);

    while (--reads > 0 && r == ATLS_OK && !cache->fits) {
        nanosleep(&pause, NULL);
        r = read_once(cache, setup, hash, why);
    }
    return r;
}

/* Missing where something was measured: not so rare, for a server that changes
 * its root after it was tried without. */
static bool is_missing(const char *path)
{
    return access(path, F_OK) != 0;
}

static void report(struct atls_quoter_core *core, const struct atls_hash *hash,
                   enum atls_error r, const struct atls_reason *reason)
{
    const struct atls_quoter_setup *setup = core->setup;

    if (r != ATLS_OK)
        atls_quoter_note(core, ATLS_LOG_WARN,
                         "evidence goes out without the measured log: %s",
                         reason->text);
    else if (is_missing(setup->event_log))
        atls_quoter_note(core, ATLS_LOG_WARN,
                         "%s: not there, as this process sees files (in a "
                         "chroot?), but PCR %u (%s) was extended; verifiers "
                         "will refuse it; make the log readable here",
                         setup->event_log, setup->measure_pcr, hash->name);
    else
        atls_quoter_note(core, ATLS_LOG_WARN,
                         "the log %s does not replay to PCR %u (%s): something "
                         "else extended the PCR; verifiers will refuse it; "
                         "reboot, then measure with 'attest measure' only",
                         setup->event_log, setup->measure_pcr, hash->name);
}

/* While the PCR stays as it is, so do the events that lead to it, and the file
 * is not even opened. A value that does not fit is waited for only once. */
struct atls_events *atls_events_for(struct atls_events_cache *cache,
                                    struct atls_quoter_core *core,
                                    const struct atls_pcr_values *values)
{
    const struct atls_hash *hash;
    struct atls_reason reason;
    const uint8_t *value;
    enum atls_error r;
    bool is_same;

    if (core->setup->event_log == NULL)
        return NULL;
    hash = find_value(values, core->setup->measure_pcr, &value);
    if (hash == NULL)
        return NULL;
    is_same = cache->is_known && memcmp(cache->value, value, hash->len) == 0;
    if (!is_same || !cache->fits) {
        memcpy(cache->value, value, hash->len);
        cache->is_known = true;
        r = read_events(cache, core->setup, hash, is_same ? 1 : READS_MAX,
                        &reason);
        if (!is_same && !cache->fits)
            report(core, hash, r, &reason);
    }
    if (cache->events != NULL)
        atomic_fetch_add(&cache->events->refs, 1);
    return cache->events;
}
