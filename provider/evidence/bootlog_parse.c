/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/bootlog.h"
#include "evidence/le_reader.h"

/* Algorithms that a Spec ID event may list; a TPM has at most as many banks
 * (Part 2, TPML_DIGEST_VALUES). */
#define ALGORITHMS_MAX 16u

/* Event types that matter here (Platform Firmware Profile, "Event Types"). */
#define EV_NO_ACTION UINT32_C(0x00000003)
#define EV_EFI_HCRTM_EVENT UINT32_C(0x80000010)

/* First octets of an EV_NO_ACTION event's data, with their terminator. */
static const char spec_id_03[] = "Spec ID Event03";
static const char startup_locality[] = "StartupLocality";

/* Octets of the shortest event: a TCG_PCR_EVENT2 without digests and data. */
#define EVENT_LEN_MIN 16u

/* A log while it is being parsed. */
struct parser {
    struct atls_le_reader in;
    size_t end; /* where nothing but zeros is left */
    struct atls_reason *why;
    size_t algorithm_count;
    struct {
        uint16_t alg;
        uint16_t digest_len;
    } algorithms[ALGORITHMS_MAX];
    size_t room; /* for so many events */
    struct atls_boot_log log;
};

static bool begins_with(struct atls_span data, const char *signature,
                        size_t size)
{
    return data.len >= size && memcmp(data.data, signature, size) == 0;
}

static enum atls_error ends_within(const struct parser *p, const char *field)
{
    return atls_fail(p->why, ATLS_E_TRUNCATED, "the log ends within its %s",
                     field);
}

/* The index of a listed algorithm, or algorithm_count. */
static size_t find_algorithm(const struct parser *p, uint16_t alg)
{
    size_t i = 0;

    while (i < p->algorithm_count && p->algorithms[i].alg != alg)
        i++;
    return i;
}

/* --- Spec ID event --------------------------------------------------------- */

/* One entry of TCG_EfiSpecIdEvent.digestSizes. */
static enum atls_error add_algorithm(struct parser *p, uint16_t alg,
                                     uint16_t digest_len)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);

    if (find_algorithm(p, alg) != p->algorithm_count)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "the Spec ID event lists algorithm 0x%04x twice", alg);
    if (hash != NULL && digest_len != hash->len)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "the Spec ID event gives %s digests of %u octets, "
                         "expected %u",
                         hash->name, digest_len, hash->len);
    p->algorithms[p->algorithm_count].alg = alg;
    p->algorithms[p->algorithm_count].digest_len = digest_len;
    p->algorithm_count++;
    return ATLS_OK;
}

/* TCG_EfiSpecIdEvent: which digests the events that follow have. Its vendor
 * information and what may stand behind that mean nothing to us. */
static enum atls_error read_spec_id(struct parser *p, struct atls_span data)
{
    /* platformClass, version (minor, major, errata), uintnSize */
    const size_t before = sizeof(spec_id_03) + sizeof(uint32_t) + 4;
    struct atls_le_reader in = {data, 0};
    struct atls_span passed;
    uint32_t count;

    if (!atls_le_reader_take(&in, before, &passed)
        || !atls_le_reader_u32(&in, &count))
        return atls_fail(p->why, ATLS_E_TRUNCATED,
                         "the Spec ID event ends before its algorithms");
    if (count == 0 || count > ALGORITHMS_MAX)
        return atls_fail(p->why, ATLS_E_LIMIT,
                         "the Spec ID event lists %u algorithms, expected 1 to "
                         "%u",
                         count, ALGORITHMS_MAX);
    p->algorithm_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t digest_len;
        uint16_t alg;
        enum atls_error r;

        if (!atls_le_reader_u16(&in, &alg)
            || !atls_le_reader_u16(&in, &digest_len))
            return atls_fail(p->why, ATLS_E_TRUNCATED,
                             "the Spec ID event ends within its algorithms");
        r = add_algorithm(p, alg, digest_len);
        if (r != ATLS_OK)
            return r;
    }
    p->log.is_crypto_agile = true;
    return ATLS_OK;
}

/* --- events ---------------------------------------------------------------- */

/*
 * What is not extended. Its PCR means nothing either (that of reference
 * manifests is 0xffffffff); only StartupLocality matters: TPM2_Startup from
 * locality 3 and an H-CRTM leave their locality in PCR 0 (TPM 2.0 Library,
 * Part 1, "PCR initialization").
 */
static enum atls_error take_no_action(struct parser *p, struct atls_span data)
{
    uint8_t locality;

    if (!begins_with(data, startup_locality, sizeof(startup_locality)))
        return ATLS_OK;
    if (data.len == sizeof(startup_locality))
        return atls_fail(p->why, ATLS_E_TRUNCATED,
                         "StartupLocality without a locality");
    locality = data.data[sizeof(startup_locality)];
    if (locality != 0 && locality != 3 && locality != 4)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "StartupLocality is %u, expected 0, 3 or 4", locality);
    p->log.startup_locality = locality;
    return ATLS_OK;
}

static enum atls_error take_event(struct parser *p,
                                  const struct atls_boot_event *event)
{
    if (event->type == EV_NO_ACTION)
        return take_no_action(p, event->data);
    if (event->pcr >= ATLS_PCR_COUNT)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "it is of PCR %u, expected 0 to %u", event->pcr,
                         ATLS_PCR_COUNT - 1);
    if (p->log.count == p->room)
        return atls_fail(p->why, ATLS_E_LIMIT,
                         "more than %u events were extended",
                         ATLS_BOOT_EVENTS_MAX);
    /* The TPM itself measured the H-CRTM, before TPM2_Startup. */
    if (event->type == EV_EFI_HCRTM_EVENT && event->pcr == 0)
        p->log.startup_locality = 4;
    p->log.events[p->log.count++] = *event;
    return ATLS_OK;
}

/* pcrIndex and eventType, which both formats begin with. */
static enum atls_error read_head(struct parser *p,
                                 struct atls_boot_event *event)
{
    uint32_t pcr;

    if (!atls_le_reader_u32(&p->in, &pcr)
        || !atls_le_reader_u32(&p->in, &event->type))
        return ends_within(p, "PCR and type");
    event->pcr = pcr;
    return ATLS_OK;
}

/* eventSize and event, which both formats end with. */
static enum atls_error read_data(struct parser *p,
                                 struct atls_boot_event *event)
{
    uint32_t len;

    if (!atls_le_reader_u32(&p->in, &len))
        return ends_within(p, "length");
    if (!atls_le_reader_take(&p->in, len, &event->data))
        return atls_fail(p->why, ATLS_E_TRUNCATED,
                         "its data have %u octets, the log has %zu more", len,
                         atls_le_reader_left(&p->in));
    return ATLS_OK;
}

/* TCG_PCR_EVENT. */
static enum atls_error read_sha1_event(struct parser *p,
                                       struct atls_boot_event *event)
{
    struct atls_span digest;
    enum atls_error r = read_head(p, event);

    if (r != ATLS_OK)
        return r;
    if (!atls_le_reader_take(&p->in, TPM2_SHA1_DIGEST_SIZE, &digest))
        return ends_within(p, "digest");
    event->digests[0].alg = TPM2_ALG_SHA1;
    event->digests[0].octets = digest.data;
    event->digest_count = 1;
    return read_data(p, event);
}

/* One TPMT_HA of TCG_PCR_EVENT2. seen: bit i is the algorithm with index i. */
static enum atls_error read_digest(struct parser *p,
                                   struct atls_boot_event *event,
                                   uint32_t *seen)
{
    struct atls_span digest;
    uint16_t alg;
    size_t i;

    if (!atls_le_reader_u16(&p->in, &alg))
        return ends_within(p, "digests");
    i = find_algorithm(p, alg);
    if (i == p->algorithm_count)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "a digest of algorithm 0x%04x, which the Spec ID "
                         "event does not list",
                         alg);
    if (*seen >> i & 1)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "two digests of algorithm 0x%04x", alg);
    *seen |= UINT32_C(1) << i;
    if (!atls_le_reader_take(&p->in, p->algorithms[i].digest_len, &digest))
        return ends_within(p, "digests");
    if (atls_hash_by_alg(alg) == NULL)
        return ATLS_OK;
    event->digests[event->digest_count].alg = alg;
    event->digests[event->digest_count].octets = digest.data;
    event->digest_count++;
    return ATLS_OK;
}

/* TCG_PCR_EVENT2. A count that lies runs into an algorithm that was there or is
 * not listed, so at most ALGORITHMS_MAX digests are looked at. */
static enum atls_error read_agile_event(struct parser *p,
                                        struct atls_boot_event *event)
{
    uint32_t seen = 0;
    uint32_t count;
    enum atls_error r = read_head(p, event);

    if (r != ATLS_OK)
        return r;
    if (!atls_le_reader_u32(&p->in, &count))
        return ends_within(p, "number of digests");
    for (uint32_t i = 0; i < count; i++) {
        r = read_digest(p, event, &seen);
        if (r != ATLS_OK)
            return r;
    }
    return read_data(p, event);
}

static enum atls_error read_event(struct parser *p, bool is_first)
{
    struct atls_boot_event event = {0};
    enum atls_error r;

    if (!is_first && p->log.is_crypto_agile)
        r = read_agile_event(p, &event);
    else
        r = read_sha1_event(p, &event);
    if (r != ATLS_OK)
        return r;
    if (is_first && event.type == EV_NO_ACTION
        && begins_with(event.data, spec_id_03, sizeof(spec_id_03)))
        return read_spec_id(p, event.data);
    return take_event(p, &event);
}

static enum atls_error read_events(struct parser *p)
{
    for (unsigned number = 0; p->in.at < p->end; number++) {
        size_t start = p->in.at;
        enum atls_error r = read_event(p, number == 0);

        if (r != ATLS_OK) {
            atls_reason_prefix(
                p->why, "boot log: event %u at octet %zu: ", number, start);
            return r;
        }
    }
    return ATLS_OK;
}

enum atls_error atls_boot_log_parse(struct atls_span octets,
                                    struct atls_reason *why,
                                    struct atls_boot_log *ret_log)
{
    struct parser p = {.in = {octets, 0}, .end = octets.len, .why = why};
    enum atls_error r;

    if (octets.len > ATLS_BOOT_LOG_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "boot log: %zu octets, at most %u are read",
                         octets.len, ATLS_BOOT_LOG_MAX);
    while (p.end > 0 && octets.data[p.end - 1] == 0)
        p.end--;
    p.room = 1 + p.end / EVENT_LEN_MIN;
    if (p.room > ATLS_BOOT_EVENTS_MAX)
        p.room = ATLS_BOOT_EVENTS_MAX;
    p.log.events = OPENSSL_malloc(p.room * sizeof(*p.log.events));
    if (p.log.events == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = read_events(&p);
    if (r != ATLS_OK || p.log.count == 0) {
        OPENSSL_free(p.log.events);
        p.log.events = NULL;
    }
    if (r == ATLS_OK)
        *ret_log = p.log; /* transferred */
    return r;
}
