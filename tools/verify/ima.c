/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/verify/ima.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/digest.h"
#include "base/number.h"
#include "evidence/le_reader.h"
#include "tools/verify/ima_template.h"

#define SHA1_LEN 20u

/* Octets of the shortest entry: PCR, digest, two lengths. A line is longer. */
#define ENTRY_LEN_MIN 32u

/* Longest name of a file in the original template. */
#define ORIGINAL_NAME_MAX 255u

/* Digests in reasons are cut to this many octets. */
#define SHORT_LEN 8u

/* A log while it is being parsed. */
struct parser {
    struct atls_le_reader in;
    struct atls_reason *why;
    size_t room; /* for so many entries */
    struct atls_ima_log log;
};

/* --- binary ---------------------------------------------------------------- */

static enum atls_error ends_within(const struct parser *p, const char *field)
{
    return atls_fail(p->why, ATLS_E_TRUNCATED, "the log ends within its %s",
                     field);
}

/* "ima" of old: a digest, the length of the name, the name. */
static enum atls_error read_original_data(struct parser *p,
                                          struct atls_ima_event *event)
{
    struct atls_span octets;
    uint32_t name_len;

    event->data.data = p->in.in.data + p->in.at;
    if (!atls_le_reader_take(&p->in, SHA1_LEN, &octets)
        || !atls_le_reader_u32(&p->in, &name_len))
        return ends_within(p, "template data");
    if (name_len > ORIGINAL_NAME_MAX)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "the name of its file has %u octets, at most %u are "
                         "possible in this template",
                         name_len, ORIGINAL_NAME_MAX);
    if (!atls_le_reader_take(&p->in, name_len, &octets))
        return ends_within(p, "template data");
    event->data.len = SHA1_LEN + sizeof(name_len) + name_len;
    return ATLS_OK;
}

static enum atls_error read_data(struct parser *p, struct atls_ima_event *event)
{
    uint32_t len;

    if (atls_ima_template_is_original(event->template))
        return read_original_data(p, event);
    if (!atls_le_reader_u32(&p->in, &len)
        || !atls_le_reader_take(&p->in, len, &event->data))
        return ends_within(p, "template data");
    return ATLS_OK;
}

static enum atls_error read_binary_entry(struct parser *p,
                                         struct atls_ima_event *event)
{
    struct atls_span digest;
    uint32_t name_len;
    uint32_t pcr;

    if (!atls_le_reader_u32(&p->in, &pcr))
        return ends_within(p, "PCR");
    if (pcr >= ATLS_PCR_COUNT)
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "it is of PCR %u, expected 0 to %u", pcr,
                         ATLS_PCR_COUNT - 1);
    if (!atls_le_reader_take(&p->in, SHA1_LEN, &digest))
        return ends_within(p, "digest");
    if (!atls_le_reader_u32(&p->in, &name_len)
        || !atls_le_reader_take(&p->in, name_len, &event->template))
        return ends_within(p, "template name");
    event->pcr = pcr;
    memcpy(event->sha1, digest.data, SHA1_LEN);
    return read_data(p, event);
}

/* --- text ------------------------------------------------------------------ */

/* The part of a line before a space, with nothing of it left over when there is
 * none. */
static bool take_word(struct atls_span *line, struct atls_span *ret)
{
    const uint8_t *space =
        line->len > 0 ? memchr(line->data, ' ', line->len) : NULL;

    if (space == NULL)
        return false;
    *ret = (struct atls_span){line->data, (size_t)(space - line->data)};
    line->data += ret->len + 1;
    line->len -= ret->len + 1;
    return true;
}

/* One or two digits. */
static bool parse_pcr(struct atls_span text, unsigned *ret)
{
    return text.len <= 2
           && atls_number_parse((const char *)text.data, text.len, 0,
                                ATLS_PCR_COUNT - 1, ret);
}

static bool parse_sha1(struct atls_span text, uint8_t ret[SHA1_LEN])
{
    char hex[2 * SHA1_LEN + 1] = {0};
    size_t len;

    if (text.len != 2 * (size_t)SHA1_LEN)
        return false;
    memcpy(hex, text.data, text.len);
    return atls_unhex(hex, ret, SHA1_LEN, &len) && len == SHA1_LEN;
}

/* "10 <hex of SHA-1> ima-ng <fields>", PCRs of one digit behind a space. */
static enum atls_error parse_line(struct parser *p, struct atls_span line,
                                  struct atls_ima_event *event)
{
    struct atls_span word;

    if (line.len > 0 && line.data[0] == ' ') {
        line.data++;
        line.len--;
    }
    if (!take_word(&line, &word) || !parse_pcr(word, &event->pcr))
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "expected a PCR from 0 to %u at its beginning",
                         ATLS_PCR_COUNT - 1);
    if (!take_word(&line, &word) || !parse_sha1(word, event->sha1))
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "expected a SHA-1 digest of 40 hex digits behind the "
                         "PCR, as in ascii_runtime_measurements");
    if (!take_word(&line, &event->template))
        return atls_fail(p->why, ATLS_E_MALFORMED,
                         "expected a template and its fields behind the "
                         "digest");
    event->data = line;
    return ATLS_OK;
}

static enum atls_error read_line(struct parser *p, struct atls_ima_event *event)
{
    size_t left = atls_le_reader_left(&p->in);
    const uint8_t *start = p->in.in.data + p->in.at;
    const uint8_t *end = memchr(start, '\n', left);
    struct atls_span line;

    if (end == NULL)
        return ends_within(p, "line");
    line = (struct atls_span){start, (size_t)(end - start)};
    p->in.at += line.len + 1;
    return parse_line(p, line, event);
}

/* --- both ------------------------------------------------------------------ */

static enum atls_error read_entry(struct parser *p)
{
    struct atls_ima_event event = {0};
    enum atls_error r;

    if (p->log.count == p->room)
        return atls_fail(p->why, ATLS_E_LIMIT, "more than %u entries",
                         ATLS_IMA_EVENTS_MAX);
    r = p->log.is_binary ? read_binary_entry(p, &event) : read_line(p, &event);
    if (r != ATLS_OK)
        return r;
    event.path = atls_ima_template_path(&event, p->log.is_binary);
    p->log.events[p->log.count++] = event;
    return ATLS_OK;
}

static enum atls_error read_entries(struct parser *p)
{
    while (atls_le_reader_left(&p->in) > 0) {
        size_t start = p->in.at;
        enum atls_error r = read_entry(p);

        if (r != ATLS_OK) {
            atls_reason_prefix(p->why, "IMA log: entry %zu at octet %zu: ",
                               p->log.count + 1, start);
            return r;
        }
    }
    return ATLS_OK;
}

/* A text begins with the digits of a PCR, a binary entry with four octets of it,
 * of which three are zero. */
static bool looks_binary(struct atls_span octets)
{
    const size_t len =
        octets.len < sizeof(uint32_t) ? octets.len : sizeof(uint32_t);

    if (len == 0)
        return false;
    return (octets.data[0] != ' '
            && (octets.data[0] < '0' || octets.data[0] > '9'))
           || memchr(octets.data, 0, len) != NULL;
}

enum atls_error atls_ima_log_parse(struct atls_span octets,
                                   struct atls_reason *why,
                                   struct atls_ima_log *ret_log)
{
    struct parser p = {.in = {octets, 0}, .why = why};
    enum atls_error r;

    if (octets.len > ATLS_IMA_LOG_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "IMA log: %zu octets, at most %u are read", octets.len,
                         ATLS_IMA_LOG_MAX);
    p.log.is_binary = looks_binary(octets);
    p.room = 1 + octets.len / ENTRY_LEN_MIN;
    if (p.room > ATLS_IMA_EVENTS_MAX)
        p.room = ATLS_IMA_EVENTS_MAX;
    p.log.events = OPENSSL_malloc(p.room * sizeof(*p.log.events));
    if (p.log.events == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = read_entries(&p);
    if (r != ATLS_OK) {
        atls_ima_log_clear(&p.log);
        return r;
    }
    *ret_log = p.log; /* transferred */
    return ATLS_OK;
}

void atls_ima_log_clear(struct atls_ima_log *log)
{
    OPENSSL_free(log->events);
    *log = (struct atls_ima_log){0};
}

/* --- replay ---------------------------------------------------------------- */

/* A replay of the log in one of the two ways. */
struct replay {
    const struct atls_ima_log *log;
    const struct atls_hash *hash;
    unsigned pcr;
    bool is_padded; /* SHA-1 with zeros behind it, as before Linux 5.8 */
    uint8_t value[ATLS_PCR_DIGEST_MAX];
};

static bool is_violation(const struct atls_ima_event *event)
{
    static const uint8_t zeros[SHA1_LEN];

    return memcmp(event->sha1, zeros, SHA1_LEN) == 0;
}

/*
 * The kernel shows SHA-1 of the data, whatever it extends; where it extends that
 * alone, only this stops somebody from writing another file's name there. Text
 * that cannot be turned back into data is taken as it is: nobody can tell.
 */
static enum atls_error check_sha1(const struct replay *replay, size_t index,
                                  struct atls_reason *why)
{
    const struct atls_ima_event *event = &replay->log->events[index];
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    enum atls_error r = atls_ima_template_digest(
        event, replay->log->is_binary, atls_hash_by_name("sha1"), digest);

    if (r == ATLS_E_FORMAT)
        return ATLS_OK;
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    if (memcmp(digest, event->sha1, SHA1_LEN) != 0)
        return atls_fail(why, ATLS_E_LOG_REPLAY,
                         "IMA log: entry %zu (%.*s): its digest is not that of "
                         "its data; the log was changed",
                         index + 1,
                         event->path.len < 80 ? (int)event->path.len : 80,
                         (const char *)event->path.data);
    return ATLS_OK;
}

/* What an entry extends. */
static enum atls_error entry_digest(const struct replay *replay, size_t index,
                                    struct atls_reason *why,
                                    uint8_t ret[ATLS_PCR_DIGEST_MAX])
{
    const struct atls_ima_event *event = &replay->log->events[index];
    enum atls_error r;

    memset(ret, 0, ATLS_PCR_DIGEST_MAX);
    if (is_violation(event)) {
        memset(ret, 0xff, replay->is_padded ? SHA1_LEN : replay->hash->len);
        return ATLS_OK;
    }
    r = check_sha1(replay, index, why);
    if (r != ATLS_OK)
        return r;
    if (replay->is_padded) {
        memcpy(ret, event->sha1, SHA1_LEN);
        return ATLS_OK;
    }
    r = atls_ima_template_digest(event, replay->log->is_binary, replay->hash,
                                 ret);
    if (r == ATLS_E_FORMAT)
        return atls_fail(
            why, ATLS_E_LOG_REPLAY,
            "IMA log: entry %zu: the text of template %.*s does "
            "not tell its data; read binary_runtime_measurements "
            "instead",
            index + 1, event->template.len < 80 ? (int)event->template.len : 80,
            (const char *)event->template.data);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}

static bool has_reached(const struct replay *replay, const uint8_t *value)
{
    return memcmp(replay->value, value, replay->hash->len) == 0;
}

static enum atls_error no_match(const struct replay *replay, size_t count,
                                const uint8_t *value, struct atls_reason *why)
{
    char expected[2 * SHORT_LEN + 1];
    char replayed[2 * SHORT_LEN + 1];

    atls_hex(value, SHORT_LEN, expected);
    atls_hex(replay->value, SHORT_LEN, replayed);
    return atls_fail(
        why, ATLS_E_LOG_REPLAY,
        "IMA log: no beginning of its %zu entries of PCR %u "
        "replays to it" ATLS_MORE " (%s): expected %s..., all give %s...; is "
        "the log complete and of this machine?",
        count, replay->pcr, replay->hash->name, expected, replayed);
}

/* Replay until the PCR has the value. */
static enum atls_error match(struct replay *replay, const uint8_t *value,
                             struct atls_reason *why, size_t *ret_matched)
{
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    size_t matched = 0;
    size_t count = 0;

    for (size_t i = 0; !has_reached(replay, value); i++) {
        enum atls_error r;

        if (i == replay->log->count)
            return no_match(replay, count, value, why);
        matched = i + 1;
        if (replay->log->events[i].pcr != replay->pcr)
            continue;
        count++;
        r = entry_digest(replay, i, why, digest);
        if (r != ATLS_OK)
            return r;
        r = atls_pcr_extend(replay->hash->alg, replay->value, digest);
        if (r != ATLS_OK)
            return atls_fail(why, r, NULL);
    }
    *ret_matched = matched;
    return ATLS_OK;
}

enum atls_error atls_ima_log_match(const struct atls_ima_log *log, uint16_t alg,
                                   unsigned pcr, const uint8_t *value,
                                   struct atls_reason *why, size_t *ret_matched)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    struct replay own = {.log = log, .hash = hash, .pcr = pcr};
    struct replay padded = own;
    enum atls_error r;

    if (hash == NULL)
        return atls_fail(why, ATLS_E_INTERNAL, NULL);
    padded.is_padded = true;
    /* In the SHA-1 bank both are one, and only this needs no data. */
    if (hash->len == SHA1_LEN)
        return match(&padded, value, why, ret_matched);
    r = match(&own, value, why, ret_matched);
    if (r == ATLS_E_LOG_REPLAY
        && match(&padded, value, NULL, ret_matched) == ATLS_OK)
        return ATLS_OK;
    return r;
}
