/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_events.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/log_state.h"
#include "attester/measure_wal.h"
#include "evidence/eventlog.h"
#include "base/log.h"

/* How long an event may be extended but not yet written down; with a write-ahead
 * record, which says that somebody is at it. */
#define LAG_MAX_MS 100
#define MEASURING_MAX_MS 1000
#define READ_PAUSE_MS 20

void atls_events_unref(struct atls_events *events)
{
    if (events == NULL || atomic_fetch_sub(&events->refs, 1) != 1)
        return;
    atls_measured_log_clear(&events->log);
    OPENSSL_free(events->certificates);
    OPENSSL_free(events);
}

static void forget(struct atls_events_cache *cache)
{
    atls_events_unref(cache->events);
    cache->events = NULL;
}

void atls_events_clear(struct atls_events_cache *cache)
{
    forget(cache);
}

/* --- certificates ---------------------------------------------------------- */

static enum atls_error note_certificates(struct atls_events *events,
                                         struct atls_reason *why)
{
    events->certificates =
        OPENSSL_malloc((events->count + 1) * sizeof(*events->certificates));
    if (events->certificates == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < events->count; i++) {
        if (atls_event_is_certificate(
                events->log.contents[i],
                events->certificates[events->certificate_count]))
            events->certificate_count++;
    }
    return ATLS_OK;
}

enum atls_error atls_events_check_certificate(
    const struct atls_events *events, const uint8_t digest[ATLS_SHA256_LEN],
    struct atls_reason *why)
{
    char hex[2 * ATLS_SHA256_LEN + 1];

    for (size_t i = 0; events != NULL && i < events->certificate_count; i++)
        if (memcmp(events->certificates[i], digest, ATLS_SHA256_LEN) == 0)
            return ATLS_OK;
    atls_hex(digest, ATLS_SHA256_LEN, hex);
    return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                     "certificate sha256:%s was not measured: attest measure "
                     "--certificate FILE; or certificate = any in attestd.cnf",
                     hex);
}

/* --- the log --------------------------------------------------------------- */

/* One search for the events that belong to a quote. */
struct search {
    struct atls_quoter_core *core;
    struct atls_quoter_tpm *tpm;
    struct atls_batch *batch;
    struct atls_events *events; /* what was read last, or NULL */
};

static struct atls_log_state state_of(const struct search *search)
{
    const struct atls_quoter_setup *setup = search->core->setup;

    return (struct atls_log_state){
        .path = setup->measured_log,
        .pcr = setup->measure_pcr,
        .log = search->events != NULL ? &search->events->log : NULL,
        .values = &search->batch->values,
        .passes_over_sha1 = true,
    };
}

/* Has the PCR moved on since it was quoted? Then events may have come since. */
static enum atls_error check_has_moved(const struct search *search,
                                       const struct atls_log_state *state,
                                       struct atls_reason *why)
{
    const struct atls_pcr_selection banks = atls_log_state_selection(state);
    struct atls_pcr_values now;
    enum atls_error r = atls_quoter_tpm_read(
        search->tpm, &banks, search->batch->deadline_ms, why, &now);

    if (r != ATLS_OK)
        return r;
    for (size_t i = 0; i < now.count; i++) {
        const uint16_t alg = now.banks[i].alg;

        if (memcmp(atls_pcr_value(&now, alg, state->pcr),
                   atls_pcr_value(state->values, alg, state->pcr),
                   ATLS_PCR_DIGEST_MAX)
            != 0)
            return ATLS_OK;
    }
    return atls_log_state_fail_reset(state, search->events->count, why);
}

/* The log as it is now, and how much of it belongs to the quote. */
static enum atls_error read_once(struct search *search, struct atls_reason *why)
{
    const struct atls_quoter_setup *setup = search->core->setup;
    struct atls_log_state state;
    enum atls_error r;

    atls_events_unref(search->events);
    search->events = OPENSSL_zalloc(sizeof(*search->events));
    if (search->events == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    atomic_init(&search->events->refs, 1);
    r = atls_measured_log_read(setup->measured_log, setup->measure_pcr, why,
                               &search->events->log);
    if (r != ATLS_OK)
        return r;
    state = state_of(search);
    r = atls_log_state_count(&state, why, &search->events->count);
    if (r == ATLS_OK && search->events->count < search->events->log.count)
        r = check_has_moved(search, &state, why);
    if (r != ATLS_OK)
        return r;
    return note_certificates(search->events, why);
}

/* False when the quoter stops. */
static bool pause_a_little(const struct atls_quoter_core *core)
{
    struct pollfd stop = {.fd = atls_quoter_core_wake_fd(core),
                          .events = POLLIN};

    return poll(&stop, 1, READ_PAUSE_MS) == 0;
}

/* Whatever is wrong with the file, evidence is not: one code of its own. */
static enum atls_error name_failure(enum atls_error r, struct atls_reason *why)
{
    if (r != ATLS_E_IO && r != ATLS_E_MALFORMED && r != ATLS_E_LIMIT)
        return r;
    atls_reason_prefix(why, "the measured log cannot be read: ");
    why->code = ATLS_E_LOG_UNREADABLE;
    return why->code;
}

/* Read until it leads there, but only once for what is known to be wrong. A log is
 * wrong when it was so in a reading that began while nobody measured. */
static enum atls_error find_events(struct search *search, bool is_known_wrong,
                                   struct atls_reason *why)
{
    const char *path = search->core->setup->measured_log;
    const int64_t begin = atls_now_ms();

    for (;;) {
        const bool is_measuring = atls_wal_exists(path);
        const int64_t limit = is_known_wrong ? 0
                              : is_measuring ? MEASURING_MAX_MS
                                             : LAG_MAX_MS;
        enum atls_error r = read_once(search, why);

        if (r != ATLS_E_LOG_MISMATCH && r != ATLS_E_MALFORMED)
            return name_failure(r, why);
        if (atls_now_ms() - begin < limit && pause_a_little(search->core))
            continue;
        if (r == ATLS_E_LOG_MISMATCH && is_measuring) {
            const struct atls_log_state state = state_of(search);

            return atls_log_state_fail_interrupted(&state, why);
        }
        return name_failure(r, why);
    }
}

/* --- what is known --------------------------------------------------------- */

/* The values of the PCR, in all banks that decide; false when none has it, which the
 * setup does not let happen. */
static bool take_values(const struct search *search, uint8_t *ret, size_t size)
{
    const struct atls_log_state state = state_of(search);
    const struct atls_pcr_selection banks = atls_log_state_selection(&state);

    memset(ret, 0, size);
    for (size_t i = 0; i < banks.count; i++) {
        const uint16_t alg = banks.banks[i].alg;

        memcpy(ret + i * ATLS_PCR_DIGEST_MAX,
               atls_pcr_value(state.values, alg, state.pcr),
               atls_hash_by_alg(alg)->len);
    }
    return banks.count > 0;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev
           && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum atls_error refuse(struct atls_events_cache *cache,
                              struct atls_quoter_core *core,
                              const struct atls_reason *why)
{
    if (strcmp(cache->refusal.text, why->text) != 0)
        atls_quoter_note(core, ATLS_LOG_ERROR, "no evidence is given: %s",
                         why->text);
    cache->refusal = *why;
    return why->code;
}

static void note_success(struct atls_events_cache *cache,
                         struct atls_quoter_core *core)
{
    if (cache->refusal.code != ATLS_OK)
        atls_quoter_note(core, ATLS_LOG_INFO,
                         "evidence is given again: %s "
                         "leads to PCR %u",
                         core->setup->measured_log, core->setup->measure_pcr);
    memset(&cache->refusal, 0, sizeof(cache->refusal));
}

/* While PCR and file stay as they are, so do the events, and the file is not even
 * opened. What is not all of the log is not kept: after a reset its PCR could come
 * again. */
enum atls_error atls_events_for(struct atls_events_cache *cache,
                                struct atls_quoter_core *core,
                                struct atls_quoter_tpm *tpm,
                                struct atls_batch *batch)
{
    struct search search = {.core = core, .tpm = tpm, .batch = batch};
    uint8_t values[sizeof(cache->values)];
    struct stat st = {.st_ino = 0};
    bool is_same;
    enum atls_error r;

    if (core->setup->measured_log == NULL
        || !take_values(&search, values, sizeof(values)))
        return ATLS_OK;
    (void)stat(core->setup->measured_log, &st);
    is_same = memcmp(values, cache->values, sizeof(values)) == 0
              && is_same_file(&st, &cache->st);
    if (!is_same || cache->events == NULL) {
        forget(cache);
        r = find_events(&search, is_same && cache->refusal.code != ATLS_OK,
                        &batch->why);
        memcpy(cache->values, values, sizeof(values));
        cache->st = st;
        if (r != ATLS_OK) {
            atls_events_unref(search.events);
            return refuse(cache, core, &batch->why);
        }
        if (search.events->count == search.events->log.count)
            cache->events = search.events;
        else
            batch->events = search.events;
    }
    note_success(cache, core);
    if (cache->events != NULL) {
        atomic_fetch_add(&cache->events->refs, 1);
        batch->events = cache->events;
    }
    return ATLS_OK;
}
