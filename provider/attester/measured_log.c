/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/measured_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attester/file.h"
#include "attester/log_lock.h"
#include "base/digest.h"
#include "evidence/codec.h"
#include "base/opening.h"

#define RS '\x1e' /* RFC 7464 §2.1 */

/* How long a reader waits for systemd to finish a record. */
#define READ_WAIT_MS 1000u

/* A log while it is being parsed. */
struct parser {
    const char *path;
    uint32_t pcrs;   /* bit i: records of PCR i are taken ... */
    unsigned number; /* of the record, from 1, for messages */
    enum atls_error (*take)(struct parser *p, unsigned pcr,
                            const json_t *record, struct atls_reason *why);
    uint8_t *octets; /* ... and what is kept of them is copied here */
    size_t used;
    struct atls_measured_log log;
    struct atls_measured_events events;
};

bool atls_measured_content_is_legal(const char *content)
{
    size_t len = strlen(content);

    for (size_t i = 0; i < len; i++)
        if (content[i] < ' ' || content[i] > '~')
            return false;
    return len >= 1 && len <= ATLS_LOG_CONTENT_MAX;
}

void atls_measured_log_clear(struct atls_measured_log *log)
{
    OPENSSL_free(log->contents);
    OPENSSL_free(log->octets);
    *log = (struct atls_measured_log){0};
}

/* One entry of "digests". *ret_hash is NULL for an algorithm that is no bank
 * here: CEL allows more of them. */
static enum atls_error read_digest(const struct parser *p, const json_t *entry,
                                   struct atls_reason *why,
                                   const struct atls_hash **ret_hash,
                                   const char **ret_hex)
{
    const char *alg = json_string_value(json_object_get(entry, "hashAlg"));
    const char *hex = json_string_value(json_object_get(entry, "digest"));

    if (alg == NULL || hex == NULL)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: record %u: a digest without hashAlg or digest",
                         p->path, p->number);
    *ret_hash = atls_hash_by_name(alg);
    *ret_hex = hex;
    return ATLS_OK;
}

/* It must be the hash of the content. */
static enum atls_error check_digest(const struct parser *p, unsigned pcr,
                                    const json_t *entry,
                                    struct atls_span content,
                                    struct atls_reason *why)
{
    uint8_t expected[ATLS_PCR_DIGEST_MAX];
    uint8_t found[ATLS_PCR_DIGEST_MAX];
    const struct atls_hash *hash;
    const char *hex;
    size_t len = 0;
    enum atls_error r;

    r = read_digest(p, entry, why, &hash, &hex);
    if (r != ATLS_OK || hash == NULL)
        return r;
    r = atls_hash_parts(hash->ossl, &content, 1, expected, NULL);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    /* systemd logs the root volume's key as an HMAC under a name of its own:
     * such an event cannot be replayed by anybody who lacks the key. */
    if (!atls_unhex(hex, found, sizeof(found), &len) || len != hash->len
        || memcmp(found, expected, len) != 0)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: record %u: its %s digest is not that of its "
                         "content" ATLS_MORE
                         ", nobody can check it: set measure_pcr to "
                         "another PCR than %u",
                         p->path, p->number, hash->name, pcr);
    return ATLS_OK;
}

static enum atls_error check_digests(const struct parser *p, unsigned pcr,
                                     const json_t *record,
                                     struct atls_span content,
                                     struct atls_reason *why)
{
    const json_t *digests = json_object_get(record, "digests");

    if (json_array_size(digests) == 0)
        return atls_fail(why, ATLS_E_MALFORMED, "%s: record %u has no digests",
                         p->path, p->number);
    for (size_t i = 0; i < json_array_size(digests); i++) {
        enum atls_error r =
            check_digest(p, pcr, json_array_get(digests, i), content, why);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* Copies octets. There is room for all: a string is never longer than its JSON
 * form, nor a digest than its hex. */
static struct atls_span keep(struct parser *p, const void *octets, size_t len)
{
    struct atls_span kept = {p->octets + p->used, len};

    memcpy(p->octets + p->used, octets, len);
    p->used += len;
    return kept;
}

static enum atls_error keep_content(struct parser *p, unsigned pcr,
                                    struct atls_span content,
                                    struct atls_reason *why)
{
    if (content.len > ATLS_LOG_CONTENT_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "%s: record %u: content of %zu octets, at most %u",
                         p->path, p->number, content.len, ATLS_LOG_CONTENT_MAX);
    if (p->log.count == ATLS_LOG_EVENTS_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "%s: more than %u events in PCR %u: reboot", p->path,
                         ATLS_LOG_EVENTS_MAX, pcr);
    p->log.contents[p->log.count++] = keep(p, content.data, content.len);
    return ATLS_OK;
}

/* For a log that travels alone: contents, which say all. */
static enum atls_error take_content(struct parser *p, unsigned pcr,
                                    const json_t *record,
                                    struct atls_reason *why)
{
    struct atls_span content;
    const json_t *string;
    enum atls_error r;

    string = json_object_get(json_object_get(record, "content"), "string");
    if (!json_is_string(string))
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: record %u has no content.string" ATLS_MORE
                         ", nobody can "
                         "check it: set measure_pcr to another PCR than %u",
                         p->path, p->number, pcr);
    content.data = (const uint8_t *)json_string_value(string);
    content.len = json_string_length(string);
    r = check_digests(p, pcr, record, content, why);
    if (r != ATLS_OK)
        return r;
    return keep_content(p, pcr, content, why);
}

/* Keeps a digest of an event; none of a bank that is not one here. */
static enum atls_error keep_digest(struct parser *p, const json_t *entry,
                                   struct atls_boot_event *event,
                                   struct atls_reason *why)
{
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    const struct atls_hash *hash;
    const char *hex;
    size_t len = 0;
    enum atls_error r;

    r = read_digest(p, entry, why, &hash, &hex);
    if (r != ATLS_OK || hash == NULL)
        return r;
    if (!atls_unhex(hex, digest, sizeof(digest), &len) || len != hash->len
        || atls_boot_event_digest(event, hash->alg) != NULL)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: record %u: expected one %s digest" ATLS_MORE
                         " of %u hex "
                         "digits",
                         p->path, p->number, hash->name, 2u * hash->len);
    event->digests[event->digest_count].alg = hash->alg;
    event->digests[event->digest_count].octets = keep(p, digest, len).data;
    event->digest_count++;
    return ATLS_OK;
}

/* For a boot log: digests, which a PCR replays. Their content, where there is
 * any, is for people, and need not be what was hashed. */
static enum atls_error take_event(struct parser *p, unsigned pcr,
                                  const json_t *record, struct atls_reason *why)
{
    const json_t *string =
        json_object_get(json_object_get(record, "content"), "string");
    const json_t *digests = json_object_get(record, "digests");
    struct atls_boot_event event = {.pcr = pcr, .type = ATLS_BOOT_USER_SPACE};

    if (p->events.count == ATLS_BOOT_EVENTS_MAX)
        return atls_fail(why, ATLS_E_LIMIT, "%s: more than %u events: reboot",
                         p->path, ATLS_BOOT_EVENTS_MAX);
    for (size_t i = 0; i < json_array_size(digests); i++) {
        enum atls_error r =
            keep_digest(p, json_array_get(digests, i), &event, why);

        if (r != ATLS_OK)
            return r;
    }
    if (json_is_string(string))
        event.data =
            keep(p, json_string_value(string), json_string_length(string));
    p->events.events[p->events.count++] = event;
    return ATLS_OK;
}

static enum atls_error take_record(struct parser *p, const json_t *record,
                                   struct atls_reason *why)
{
    const json_t *pcr = json_object_get(record, "pcr");
    json_int_t index;

    /* An event of something else, such as systemd's PCRs in NV memory. */
    if (pcr == NULL)
        return ATLS_OK;
    if (!json_is_integer(pcr))
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: record %u: pcr is not a number", p->path,
                         p->number);
    index = json_integer_value(pcr);
    if (index < 0 || index >= ATLS_PCR_COUNT || (p->pcrs >> index & 1) == 0)
        return ATLS_OK;
    return p->take(p, (unsigned)index, record, why);
}

static enum atls_error parse_record(struct parser *p, struct atls_span text,
                                    struct atls_reason *why)
{
    json_error_t error = {0};
    enum atls_error r;
    json_t *record;

    if (text.len == 0 || text.data[text.len - 1] != '\n')
        return atls_fail(
            why, ATLS_E_MALFORMED,
            "%s: record %u is cut off: a measurement was "
            "interrupted; 'attest measure' as root repairs its own",
            p->path, p->number);
    record = json_loadb((const char *)text.data, text.len,
                        JSON_REJECT_DUPLICATES, &error);
    /* jansson has words for every mistake in a text, and mostly none here. */
    if (record == NULL && error.text[0] == '\0')
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (record == NULL)
        return atls_fail(why, ATLS_E_MALFORMED, "%s: record %u: %s", p->path,
                         p->number, error.text);
    if (json_is_object(record))
        r = take_record(p, record, why);
    else
        r = atls_fail(why, ATLS_E_MALFORMED,
                      "%s: record %u is not a JSON object", p->path, p->number);
    json_decref(record);
    return r;
}

static enum atls_error parse_records(struct parser *p, struct atls_span text,
                                     struct atls_reason *why)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;

    while (at < end) {
        const uint8_t *next;
        enum atls_error r;

        p->number++;
        if (*at != RS)
            return atls_fail(
                why, ATLS_E_MALFORMED,
                "%s: record %u does not begin with RS (0x1e)" ATLS_MORE ": not "
                "a JSON text sequence (RFC 7464)",
                p->path, p->number);
        at++;
        next = memchr(at, RS, (size_t)(end - at));
        if (next == NULL)
            next = end;
        r = parse_record(p, (struct atls_span){at, (size_t)(next - at)}, why);
        if (r != ATLS_OK)
            return r;
        at = next;
    }
    return ATLS_OK;
}

enum atls_error atls_measured_log_parse(struct atls_span text, const char *path,
                                        unsigned pcr, struct atls_reason *why,
                                        struct atls_measured_log *ret_log)
{
    struct parser p = {
        .path = path, .pcrs = UINT32_C(1) << pcr, .take = take_content};
    enum atls_error r;

    p.octets = p.log.octets = OPENSSL_malloc(text.len + 1);
    p.log.contents =
        OPENSSL_zalloc(ATLS_LOG_EVENTS_MAX * sizeof(*p.log.contents));
    if (p.log.octets == NULL || p.log.contents == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    else
        r = parse_records(&p, text, why);
    if (r != ATLS_OK) {
        atls_measured_log_clear(&p.log);
        return r;
    }
    *ret_log = p.log; /* transferred */
    return ATLS_OK;
}

void atls_measured_events_clear(struct atls_measured_events *events)
{
    OPENSSL_free(events->events);
    OPENSSL_free(events->octets);
    *events = (struct atls_measured_events){0};
}

enum atls_error atls_measured_events_parse(
    struct atls_span text, const char *path, uint32_t pcrs,
    struct atls_reason *why, struct atls_measured_events *ret_events)
{
    struct parser p = {.path = path, .pcrs = pcrs, .take = take_event};
    enum atls_error r;

    p.octets = p.events.octets = OPENSSL_malloc(text.len + 1);
    p.events.events =
        OPENSSL_malloc(ATLS_BOOT_EVENTS_MAX * sizeof(*p.events.events));
    if (p.events.octets == NULL || p.events.events == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    else
        r = parse_records(&p, text, why);
    if (r != ATLS_OK) {
        atls_measured_events_clear(&p.events);
        return r;
    }
    *ret_events = p.events; /* transferred */
    return ATLS_OK;
}

/* The octets of a log; none, and NULL, when there is no file. */
static enum atls_error read_text(const char *path, struct atls_reason *why,
                                 uint8_t **ret_text, size_t *ret_len)
{
    enum atls_error r = ATLS_OK;
    int fd;

    /* O_NONBLOCK: a FIFO in its place must not stop us. */
    fd = atls_open_file(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0 && errno == ENOENT) {
        *ret_text = NULL;
        *ret_len = 0;
        return ATLS_OK;
    }
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open %s: %s", path,
                         strerror(errno));
    if (atls_log_is_systemds(path))
        r = atls_log_flock(fd, path, false, READ_WAIT_MS, why);
    if (r == ATLS_OK)
        r = atls_fd_read(fd, path, ATLS_MEASURED_LOG_MAX, why, ret_text,
                         ret_len);
    atls_log_release(fd);
    return r;
}

enum atls_error atls_measured_log_read(const char *path, unsigned pcr,
                                       struct atls_reason *why,
                                       struct atls_measured_log *ret_log)
{
    uint8_t *text = NULL;
    size_t len = 0;
    enum atls_error r = read_text(path, why, &text, &len);

    if (r == ATLS_OK && text == NULL)
        *ret_log = (struct atls_measured_log){0};
    else if (r == ATLS_OK)
        r = atls_measured_log_parse((struct atls_span){text, len}, path, pcr,
                                    why, ret_log);
    OPENSSL_free(text);
    return r;
}

enum atls_error atls_measured_events_read(
    const char *path, uint32_t pcrs, struct atls_reason *why,
    struct atls_measured_events *ret_events)
{
    uint8_t *text = NULL;
    size_t len = 0;
    enum atls_error r = read_text(path, why, &text, &len);

    if (r == ATLS_OK && text == NULL)
        *ret_events = (struct atls_measured_events){0};
    else if (r == ATLS_OK)
        r = atls_measured_events_parse((struct atls_span){text, len}, path,
                                       pcrs, why, ret_events);
    OPENSSL_free(text);
    return r;
}

static enum atls_error add_digest(json_t *digests, const struct atls_hash *hash,
                                  struct atls_span content)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    enum atls_error r;
    json_t *entry;

    r = atls_hash_parts(hash->ossl, &content, 1, digest, NULL);
    if (r != ATLS_OK)
        return r;
    atls_hex(digest, hash->len, hex);
    entry = json_pack("{s:s, s:s}", "hashAlg", hash->name, "digest", hex);
    if (json_array_append_new(digests, entry) != 0)
        return ATLS_E_NOMEM;
    return ATLS_OK;
}

/* RS, the object, LF. */
static enum atls_error frame(const json_t *object, char **ret_record,
                             size_t *ret_len)
{
    size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
    char *record = OPENSSL_malloc(len + 2);

    if (record == NULL)
        return ATLS_E_NOMEM;
    if (len == 0 || json_dumpb(object, record + 1, len, JSON_COMPACT) != len) {
        OPENSSL_free(record);
        return ATLS_E_NOMEM;
    }
    record[0] = RS;
    record[len + 1] = '\n';
    *ret_record = record;
    *ret_len = len + 2;
    return ATLS_OK;
}

enum atls_error atls_measured_record(unsigned pcr,
                                     const struct atls_pcr_selection *banks,
                                     const char *content,
                                     struct atls_reason *why, char **ret_record,
                                     size_t *ret_len)
{
    const struct atls_span span = {(const uint8_t *)content, strlen(content)};
    enum atls_error r = ATLS_E_NOMEM;
    json_t *digests = json_array();
    json_t *object;

    object = json_pack("{s:i, s:O, s:s, s:{s:s}}", "pcr", (int)pcr, "digests",
                       digests, "content_type", "attest", "content", "string",
                       content);
    if (object != NULL)
        r = ATLS_OK;
    for (size_t i = 0; r == ATLS_OK && i < banks->count; i++)
        r = add_digest(digests, atls_hash_by_alg(banks->banks[i].alg), span);
    if (r == ATLS_OK)
        r = frame(object, ret_record, ret_len);
    json_decref(object);
    json_decref(digests);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}
