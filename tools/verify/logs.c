/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>

#include "attester/measured_log.h"
#include "base/digest.h"
#include "evidence/bootlog.h"
#include "tools/verify/ima.h"
#include "tools/common/input.h"
#include "tools/verify/quote_parts.h"

/* The PCR that Linux extends by default (CONFIG_IMA_MEASURE_PCR_IDX). */
#define IMA_PCR 10u

/* Octets of a digest in a reason: enough to tell two apart. */
#define SHORT_LEN 8u
#define SHORT_HEX (2 * SHORT_LEN + 1)
#define TYPE_TEXT 40

/* One replay: a PCR of a bank. */
struct replay {
    const struct atls_boot_log *log;
    const struct atls_hash *hash;
    unsigned pcr;
    const uint8_t *quoted;
};

/* The first event that the PCR was not extended with, if the events before it
 * replay to the quoted value; NULL if no beginning of the log does. */
static const struct atls_boot_event *first_beyond(const struct replay *replay)
{
    struct atls_boot_log before = *replay->log;
    uint8_t value[ATLS_PCR_DIGEST_MAX];

    for (before.count = 0; before.count < replay->log->count; before.count++) {
        const struct atls_boot_event *next = &replay->log->events[before.count];

        if (next->pcr == replay->pcr
            && atls_boot_log_replay(&before, replay->hash->alg, replay->pcr,
                                    NULL, value, NULL)
                   == ATLS_OK
            && memcmp(value, replay->quoted, replay->hash->len) == 0)
            return next;
    }
    return NULL;
}

static enum atls_error diverges(const struct replay *replay,
                                const uint8_t *replayed,
                                struct atls_reason *why)
{
    const struct atls_boot_event *beyond = first_beyond(replay);
    char expected[SHORT_HEX], got[SHORT_HEX], type[TYPE_TEXT], what[TYPE_TEXT];

    atls_hex(replay->quoted, SHORT_LEN, expected);
    atls_hex(replayed, SHORT_LEN, got);
    if (beyond == NULL)
        return atls_fail(why, ATLS_E_LOG_REPLAY,
                         "the log does not replay to PCR %u (%s): expected "
                         "%s..., got %s...; is it of this boot, and is "
                         "--event-log missing?",
                         replay->pcr, replay->hash->name, expected, got);
    atls_boot_event_type(beyond->type, type, sizeof(type));
    atls_boot_event_describe(beyond, what, sizeof(what));
    return atls_fail(why, ATLS_E_LOG_REPLAY,
                     "the log does not replay to PCR %u (%s): expected %s..., "
                     "got %s...; event %zu, %s %s, was never extended",
                     replay->pcr, replay->hash->name, expected, got,
                     (size_t)(beyond - replay->log->events), type, what);
}

/* One PCR in all banks that were quoted. */
static enum atls_error check_bank(const struct atls_boot_log *log,
                                  const struct atls_pcr_values *values,
                                  size_t bank, unsigned pcr,
                                  struct atls_reason *why,
                                  struct quote_accounted *accounted)
{
    const struct replay replay = {.log = log,
                                  .hash =
                                      atls_hash_by_alg(values->banks[bank].alg),
                                  .pcr = pcr,
                                  .quoted = values->banks[bank].value[pcr]};
    uint8_t replayed[ATLS_PCR_DIGEST_MAX];
    size_t count = 0;
    enum atls_error r =
        atls_boot_log_replay(log, replay.hash->alg, pcr, why, replayed, &count);

    if (r != ATLS_OK || count == 0)
        return r;
    if (memcmp(replayed, replay.quoted, replay.hash->len) != 0)
        return diverges(&replay, replayed, why);
    accounted->pcrs.banks[bank].mask |= UINT32_C(1) << pcr;
    return ATLS_OK;
}

static enum atls_error check_pcrs(const struct atls_boot_log *log,
                                  const struct atls_pcr_values *values,
                                  struct atls_reason *why,
                                  struct quote_accounted *accounted)
{
    accounted->pcrs.count = values->count;
    for (size_t i = 0; i < values->count; i++) {
        accounted->pcrs.banks[i].alg = values->banks[i].alg;
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            enum atls_error r = ATLS_OK;

            if ((values->banks[i].mask >> pcr & 1) != 0)
                r = check_bank(log, values, i, pcr, why, accounted);
            if (r != ATLS_OK)
                return r;
        }
    }
    return ATLS_OK;
}

/* The events of all logs together: user space also measures into PCRs of the
 * boot log. */
static enum atls_error append_events(const char *path,
                                     struct atls_boot_log *log,
                                     struct atls_reason *why,
                                     struct atls_measured_events *events)
{
    enum atls_error r = tool_input_check(path, ATLS_MEASURED_LOG_MAX, why);

    if (r != ATLS_OK)
        return r;
    r = atls_measured_events_read(path, UINT32_MAX, why, events);
    if (r != ATLS_OK)
        return r;
    return atls_boot_log_append(log, events->events, events->count, why);
}

static enum atls_error read_boot_log(const char *path, uint8_t **ret_octets,
                                     struct atls_reason *why,
                                     struct atls_boot_log *ret_log)
{
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, ATLS_BOOT_LOG_MAX, why, ret_octets, &len);

    if (r != ATLS_OK)
        return r;
    r = atls_boot_log_parse((struct atls_span){*ret_octets, len}, why, ret_log);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "%.80s: not the TCG's format: ", path);
    return r;
}

static enum atls_error check_events(const struct quote_logs *logs,
                                    const struct atls_pcr_values *values,
                                    struct atls_reason *why,
                                    struct quote_accounted *accounted)
{
    struct atls_measured_events events = {0};
    struct atls_boot_log log = {0};
    uint8_t *octets = NULL;
    enum atls_error r = ATLS_OK;

    if (logs->boot != NULL)
        r = read_boot_log(logs->boot, &octets, why, &log);
    if (r == ATLS_OK && logs->event != NULL)
        r = append_events(logs->event, &log, why, &events);
    if (r == ATLS_OK)
        r = check_pcrs(&log, values, why, accounted);
    atls_boot_log_clear(&log);
    atls_measured_events_clear(&events);
    OPENSSL_free(octets);
    return r;
}

static enum atls_error match_ima(const struct atls_ima_log *log,
                                 const struct atls_pcr_values *values,
                                 struct atls_reason *why,
                                 struct quote_accounted *accounted)
{
    bool is_quoted = false;

    for (size_t i = 0; i < values->count; i++) {
        uint16_t alg = values->banks[i].alg;
        const uint8_t *value = atls_pcr_value(values, alg, IMA_PCR);
        enum atls_error r = ATLS_OK;

        if (value == NULL)
            continue;
        is_quoted = true;
        r = atls_ima_log_match(log, alg, IMA_PCR, value, why,
                               &accounted->ima_matched);
        if (r != ATLS_OK)
            return r;
    }
    if (!is_quoted)
        return atls_fail(why, ATLS_E_SELECTION,
                         "the quote does not cover PCR %u, and so nothing "
                         "vouches for the IMA log; quote it as well",
                         IMA_PCR);
    accounted->has_ima = true;
    accounted->ima_count = log->count;
    return ATLS_OK;
}

static enum atls_error check_ima(const char *path,
                                 const struct atls_pcr_values *values,
                                 struct atls_reason *why,
                                 struct quote_accounted *accounted)
{
    struct atls_ima_log log = {0};
    uint8_t *octets = NULL;
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, ATLS_IMA_LOG_MAX, why, &octets, &len);

    if (r != ATLS_OK)
        return r;
    r = atls_ima_log_parse((struct atls_span){octets, len}, why, &log);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "%.80s: not an IMA log: ", path);
    else
        r = match_ima(&log, values, why, accounted);
    atls_ima_log_clear(&log);
    OPENSSL_free(octets);
    return r;
}

enum atls_error tool_quote_logs_check(const struct quote_logs *logs,
                                      const struct atls_pcr_values *values,
                                      struct atls_reason *why,
                                      struct quote_accounted *ret_accounted)
{
    struct quote_accounted accounted = {0};
    enum atls_error r = ATLS_OK;

    if (logs->boot != NULL || logs->event != NULL)
        r = check_events(logs, values, why, &accounted);
    if (r == ATLS_OK && logs->ima != NULL)
        r = check_ima(logs->ima, values, why, &accounted);
    if (r == ATLS_OK)
        *ret_accounted = accounted;
    return r;
}
