/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "evidence/codec.h"
#include "base/log.h"
#include "base/opening.h"

/* Firmware's logs are 10 to 100 KiB. */
#define READ_STEP (64u * 1024)

/* "0, 4, 14" of all 24. */
#define PCR_LIST_MAX 96

/* --- at the start ---------------------------------------------------------- */

/* Room for more; false when there is no memory. */
static bool grow(struct atls_octets *octets, size_t *size)
{
    size_t wanted = *size + READ_STEP;
    uint8_t *data = OPENSSL_realloc(octets->data, wanted);

    if (data == NULL)
        return false;
    octets->data = data;
    *size = wanted;
    return true;
}

/* Files of securityfs say that they have no octets: read until the end. */
static enum atls_error read_octets(int fd, const char *path,
                                   struct atls_octets *octets,
                                   struct atls_reason *why)
{
    size_t size = 0;

    for (;;) {
        ssize_t len;

        if (octets->len == size && !grow(octets, &size))
            return atls_fail(why, ATLS_E_NOMEM, NULL);
        len = read(fd, octets->data + octets->len, size - octets->len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return atls_fail(why, ATLS_E_IO, "boot_log: cannot read %s: %s",
                             path, strerror(errno));
        if (len == 0)
            return ATLS_OK;
        octets->len += (size_t)len;
        if (octets->len > ATLS_BOOT_LOG_MAX)
            return atls_fail(why, ATLS_E_LIMIT,
                             "boot_log: %s has more than %u octets", path,
                             ATLS_BOOT_LOG_MAX);
    }
}

static enum atls_error read_log(struct atls_quoter_setup *setup, int fd,
                                const char *path, struct atls_reason *why)
{
    struct atls_span octets;
    enum atls_error r = read_octets(fd, path, &setup->boot_octets, why);

    if (r != ATLS_OK)
        return r;
    octets =
        (struct atls_span){setup->boot_octets.data, setup->boot_octets.len};
    r = atls_boot_log_parse(octets, why, &setup->boot_log);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "boot_log: %.64s: ", path);
    return r;
}

void atls_boot_read(struct atls_quoter_setup *setup,
                    const struct atls_quoter_config *config)
{
    struct atls_reason *why = &setup->boot_log_reason;
    int fd;

    setup->sends_boot_log = config->boot_log != NULL;
    if (!setup->sends_boot_log)
        return;
    fd = atls_open_file(config->boot_log, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0) {
        (void)read_log(setup, fd, config->boot_log, why);
        close(fd);
    } else if (!config->is_boot_log_optional) {
        (void)atls_fail(why, ATLS_E_IO, "boot_log: cannot open %s: %s",
                        config->boot_log, strerror(errno));
    }
}

/* --- beside a quote -------------------------------------------------------- */

void atls_boot_events_unref(struct atls_boot_events *events)
{
    if (events == NULL || atomic_fetch_sub(&events->refs, 1) != 1)
        return;
    atls_boot_log_clear(&events->log);
    atls_measured_events_clear(&events->user);
    OPENSSL_free(events);
}

void atls_boot_cache_clear(struct atls_boot_cache *cache)
{
    atls_boot_events_unref(cache->events);
    memset(cache, 0, sizeof(*cache));
}

/* Does the log lead to the quoted value of a PCR, in every bank that is quoted?
 * A verifier looks at each of them. */
static bool replays(const struct atls_boot_log *log, unsigned pcr,
                    const struct atls_pcr_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        const uint16_t alg = values->banks[i].alg;
        const uint8_t *value = atls_pcr_value(values, alg, pcr);
        uint8_t replayed[ATLS_PCR_DIGEST_MAX];

        if (value == NULL
            || atls_boot_log_replay(log, alg, pcr, NULL, replayed, NULL)
                   != ATLS_OK
            || memcmp(value, replayed, atls_hash_by_alg(alg)->len) != 0)
            return false;
    }
    return true;
}

/* How many events of the log, from the first, lead to the quoted value of a PCR;
 * 0: none do. Only what user space measured can be more than was quoted. */
static size_t find_limit(const struct atls_boot_log *log, size_t firmware_count,
                         unsigned pcr, const struct atls_pcr_values *values)
{
    struct atls_boot_log part = *log;

    while (!replays(&part, pcr, values)) {
        if (part.count <= firmware_count)
            return 0;
        do
            part.count--;
        while (part.count > firmware_count
               && part.events[part.count].pcr != pcr);
    }
    return part.count;
}

static void take_event(struct atls_boot_log *log,
                       const struct atls_boot_event *event)
{
    struct atls_boot_event *taken = &log->events[log->count++];

    *taken = *event;
    if (taken->data.len > ATLS_BOOT_WIRE_DATA_MAX)
        taken->data.len = ATLS_BOOT_WIRE_DATA_MAX;
}

/* Leave in the log, for each PCR, the events before its limit. */
static void keep_events(struct atls_boot_log *log,
                        const size_t limits[ATLS_PCR_COUNT])
{
    const size_t count = log->count;
    bool has_pcr0 = false;

    log->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct atls_boot_event event = log->events[i];

        if (i >= limits[event.pcr])
            continue;
        take_event(log, &event);
        has_pcr0 |= event.pcr == 0;
    }
    /* It is in the value of PCR 0, and covered by nothing without it. */
    if (!has_pcr0)
        log->startup_locality = 0;
}

/* Leave in the log what leads to the quoted values. Returns the PCRs of which
 * nothing is left, bit i for PCR i. */
static uint32_t filter(struct atls_boot_log *log, size_t firmware_count,
                       const struct atls_pcr_values *values)
{
    size_t limits[ATLS_PCR_COUNT] = {0};
    uint32_t there = 0;
    uint32_t left_out = 0;

    for (size_t i = 0; i < log->count; i++)
        there |= UINT32_C(1) << log->events[i].pcr;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if ((there >> pcr & 1) == 0)
            continue;
        limits[pcr] = find_limit(log, firmware_count, pcr, values);
        if (limits[pcr] == 0)
            left_out |= UINT32_C(1) << pcr;
    }
    keep_events(log, limits);
    return left_out;
}

/* The firmware's events, then those of user space in other PCRs than that of the
 * measured log: without the latter, whose log may be busy or broken, PCRs that
 * they are of are left out. */
static enum atls_error gather(const struct atls_quoter_setup *setup,
                              struct atls_boot_events *events)
{
    const struct atls_boot_log *firmware = &setup->boot_log;
    const uint32_t pcrs = ~(UINT32_C(1) << setup->measure_pcr);
    enum atls_error r;

    events->log.startup_locality = firmware->startup_locality;
    events->log.is_crypto_agile = firmware->is_crypto_agile;
    r = atls_boot_log_append(&events->log, firmware->events, firmware->count,
                             NULL);
    if (r != ATLS_OK || setup->measured_log == NULL
        || atls_measured_events_read(setup->measured_log, pcrs, NULL,
                                     &events->user)
               != ATLS_OK)
        return r;
    return atls_boot_log_append(&events->log, events->user.events,
                                events->user.count, NULL);
}

/* Without memory there is no boot log this time. */
static void choose(struct atls_boot_cache *cache,
                   const struct atls_quoter_setup *setup,
                   const struct atls_pcr_values *values)
{
    struct atls_boot_events *events = OPENSSL_zalloc(sizeof(*events));

    atls_boot_events_unref(cache->events);
    cache->events = NULL;
    cache->is_known = false;
    if (events == NULL)
        return;
    atomic_init(&events->refs, 1);
    if (gather(setup, events) == ATLS_OK) {
        cache->left_out = filter(&events->log, setup->boot_log.count, values);
        cache->values = *values;
        cache->is_known = true;
        if (events->log.count > 0) {
            cache->events = events;
            return;
        }
    }
    atls_boot_events_unref(events);
}

static void list_pcrs(uint32_t mask, char ret[PCR_LIST_MAX])
{
    size_t len = 0;

    for (unsigned pcr = 0; mask != 0; pcr++, mask >>= 1) {
        if ((mask & 1) != 0)
            len += (size_t)snprintf(ret + len, PCR_LIST_MAX - len, "%s%u",
                                    len > 0 ? ", " : "", pcr);
    }
}

static void report(struct atls_boot_cache *cache, struct atls_quoter_core *core)
{
    const struct atls_reason *reason = &core->setup->boot_log_reason;
    char pcrs[PCR_LIST_MAX];

    if (cache->is_told)
        return;
    if (reason->code != ATLS_OK) {
        atls_quoter_note(core, ATLS_LOG_WARN,
                         "evidence goes out without the boot log: %s",
                         reason->text);
        cache->is_told = true;
    } else if (cache->left_out != 0) {
        list_pcrs(cache->left_out, pcrs);
        atls_quoter_note(core, ATLS_LOG_INFO,
                         "the boot log is sent without its events of PCR %s: "
                         "they do not replay to the quoted value, or it is not "
                         "quoted in every bank of pcrs",
                         pcrs);
        cache->is_told = true;
    }
}

struct atls_boot_events *atls_boot_events_for(
    struct atls_boot_cache *cache, struct atls_quoter_core *core,
    const struct atls_pcr_values *values)
{
    if (!core->setup->sends_boot_log)
        return NULL;
    /* What is left out may only not have been written down yet. */
    if (!cache->is_known || cache->left_out != 0
        || memcmp(&cache->values, values, sizeof(*values)) != 0)
        choose(cache, core->setup, values);
    report(cache, core);
    if (cache->events != NULL)
        atomic_fetch_add(&cache->events->refs, 1);
    return cache->events;
}
