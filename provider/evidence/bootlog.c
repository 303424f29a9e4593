/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/bootlog.h"

#include <openssl/crypto.h>
#include <string.h>

/* PCRs of the dynamic launch: ones at power on, zero once it was made, which is
 * before anything is extended (PC Client Platform TPM Profile, "PCR"). */
#define LAUNCH_PCR_FIRST 17u
#define LAUNCH_PCR_LAST 22u

void atls_boot_log_clear(struct atls_boot_log *log)
{
    OPENSSL_free(log->events);
    *log = (struct atls_boot_log){0};
}

enum atls_error atls_boot_log_append(struct atls_boot_log *log,
                                     const struct atls_boot_event *events,
                                     size_t count, struct atls_reason *why)
{
    struct atls_boot_event *all;

    if (count == 0)
        return ATLS_OK;
    if (count > ATLS_BOOT_EVENTS_MAX - log->count)
        return atls_fail(why, ATLS_E_LIMIT,
                         "boot log: %zu events and %zu of user space, at most "
                         "%u together",
                         log->count, count, ATLS_BOOT_EVENTS_MAX);
    all = OPENSSL_realloc(log->events, (log->count + count) * sizeof(*all));
    if (all == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    memcpy(all + log->count, events, count * sizeof(*all));
    log->events = all;
    log->count += count;
    return ATLS_OK;
}

const uint8_t *atls_boot_event_digest(const struct atls_boot_event *event,
                                      uint16_t alg)
{
    for (size_t i = 0; i < event->digest_count; i++) {
        if (event->digests[i].alg == alg)
            return event->digests[i].octets;
    }
    return NULL;
}

/* Extend value with the log's events of a PCR. */
static enum atls_error extend_events(const struct atls_boot_log *log,
                                     const struct atls_hash *hash, unsigned pcr,
                                     struct atls_reason *why,
                                     uint8_t value[ATLS_PCR_DIGEST_MAX],
                                     size_t *ret_count)
{
    size_t count = 0;

    for (size_t i = 0; i < log->count; i++) {
        const uint8_t *digest;
        enum atls_error r;

        if (log->events[i].pcr != pcr)
            continue;
        count++;
        digest = atls_boot_event_digest(&log->events[i], hash->alg);
        if (digest == NULL)
            return atls_fail(
                why, ATLS_E_LOG_REPLAY,
                "boot log: event %zu of PCR %u has no %s digest" ATLS_MORE ", "
                "so it cannot be replayed in that bank",
                count, pcr, hash->name);
        r = atls_pcr_extend(hash->alg, value, digest);
        if (r != ATLS_OK)
            return atls_fail(why, r, NULL);
    }
    *ret_count = count;
    return ATLS_OK;
}

enum atls_error atls_boot_log_replay(const struct atls_boot_log *log,
                                     uint16_t alg, unsigned pcr,
                                     struct atls_reason *why,
                                     uint8_t ret_value[ATLS_PCR_DIGEST_MAX],
                                     size_t *ret_count)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    size_t count = 0;
    enum atls_error r;

    if (hash == NULL)
        return atls_fail(why, ATLS_E_INTERNAL, NULL);
    if (pcr == 0)
        value[hash->len - 1] = log->startup_locality;
    r = extend_events(log, hash, pcr, why, value, &count);
    if (r != ATLS_OK)
        return r;
    if (count == 0 && pcr >= LAUNCH_PCR_FIRST && pcr <= LAUNCH_PCR_LAST)
        memset(value, 0xff, hash->len);
    memcpy(ret_value, value, sizeof(value));
    if (ret_count != NULL)
        *ret_count = count;
    return ATLS_OK;
}

/* The next event of a PCR from *at on, or NULL; *at goes behind it. */
static const struct atls_boot_event *next_event(const struct atls_boot_log *log,
                                                unsigned pcr, size_t *at)
{
    while (*at < log->count) {
        const struct atls_boot_event *event = &log->events[(*at)++];

        if (event->pcr == pcr)
            return event;
    }
    return NULL;
}

/* Neither has a digest of that bank: nothing tells them apart. */
static bool is_same(const struct atls_boot_event *a,
                    const struct atls_boot_event *b,
                    const struct atls_hash *hash)
{
    const uint8_t *digest_a = atls_boot_event_digest(a, hash->alg);
    const uint8_t *digest_b = atls_boot_event_digest(b, hash->alg);

    if (digest_a == NULL || digest_b == NULL)
        return digest_a == digest_b;
    return memcmp(digest_a, digest_b, hash->len) == 0;
}

bool atls_boot_log_diverges(const struct atls_boot_log *a,
                            const struct atls_boot_log *b, uint16_t alg,
                            unsigned pcr, const struct atls_boot_event **ret_a,
                            const struct atls_boot_event **ret_b)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    size_t at_a = 0;
    size_t at_b = 0;

    if (hash == NULL)
        return false;
    for (;;) {
        const struct atls_boot_event *event_a = next_event(a, pcr, &at_a);
        const struct atls_boot_event *event_b = next_event(b, pcr, &at_b);

        if (event_a == NULL && event_b == NULL)
            return false;
        if (event_a == NULL || event_b == NULL
            || !is_same(event_a, event_b, hash)) {
            *ret_a = event_a;
            *ret_b = event_b;
            return true;
        }
    }
}
