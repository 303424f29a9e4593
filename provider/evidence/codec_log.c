/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec_log.h"

#include <openssl/crypto.h>
#include <string.h>

#include "evidence/eventlog.h"

/* Octets of a certificate's event on the wire: the head of an array, that of a byte
 * string, the digest. */
#define SHORT_LEN (1u + 2u + ATLS_SHA256_LEN)

bool atls_codec_is_short(unsigned format, struct atls_span content,
                         uint8_t ret_digest[ATLS_SHA256_LEN])
{
    return format == ATLS_FORMAT_TPM_SHORT
           && atls_event_is_certificate(content, ret_digest);
}

static size_t events_max(unsigned format)
{
    return format == ATLS_FORMAT_TPM_SHORT ? ATLS_LOG_EVENTS_MAX
                                           : ATLS_LOG_EVENTS_PLAIN_MAX;
}

/* --- decoding -------------------------------------------------------------- */

/* The log while it is being read. */
struct log_reader {
    struct atls_cbor_reader *rd;
    struct atls_evidence *evidence;
    size_t next;       /* of its events */
    char *free_octets; /* of log_octets */
};

/* Room for the contents of certificates' events from this one on: of all that are
 * left, or of as many as the rest of the input can hold. */
static enum atls_error make_room(struct log_reader *log)
{
    size_t count = log->evidence->log_count - log->next;
    size_t fit = 1 + (log->rd->end - log->rd->offset) / SHORT_LEN;

    if (log->evidence->log_octets != NULL)
        return ATLS_OK;
    if (count > fit)
        count = fit;
    log->evidence->log_octets =
        OPENSSL_malloc(count * ATLS_CERTIFICATE_CONTENT_LEN);
    if (log->evidence->log_octets == NULL)
        return atls_fail(log->rd->why, ATLS_E_NOMEM, NULL);
    log->free_octets = log->evidence->log_octets;
    return ATLS_OK;
}

/* [digest], of which the array's head is read. */
static enum atls_error read_short(struct log_reader *log,
                                  const struct atls_item *array)
{
    struct atls_item digest;
    enum atls_error r;

    if (array->value != 1)
        return atls_fail(log->rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: expected 1 element "
                         "in a certificate's event" ATLS_MORE ", found %llu",
                         array->offset, (unsigned long long)array->value);
    r = atls_cbor_reader_expect(log->rd, ATLS_ITEM_OCTETS,
                                "a certificate's digest", &digest);
    if (r != ATLS_OK)
        return r;
    if (digest.octets.len != ATLS_SHA256_LEN)
        return atls_fail(log->rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: a certificate's "
                         "digest has %zu octets" ATLS_MORE ", expected %u",
                         digest.offset, digest.octets.len, ATLS_SHA256_LEN);
    r = make_room(log);
    if (r != ATLS_OK)
        return r;
    atls_event_write_certificate(digest.octets.data, log->free_octets);
    log->evidence->log[log->next] = (struct atls_span){
        (const uint8_t *)log->free_octets, ATLS_CERTIFICATE_CONTENT_LEN};
    log->free_octets += ATLS_CERTIFICATE_CONTENT_LEN;
    return ATLS_OK;
}

/* A content as it was extended. It may be empty: an event that somebody extended
 * without any text. */
static enum atls_error read_content(struct log_reader *log)
{
    struct atls_span *content = &log->evidence->log[log->next];
    const size_t offset = log->rd->offset;
    uint8_t digest[ATLS_SHA256_LEN];
    enum atls_error r = atls_cbor_reader_content(log->rd, "an event's content",
                                                 ATLS_LOG_CONTENT_MAX, content);

    if (r != ATLS_OK)
        return r;
    if (atls_codec_is_short(log->evidence->format, *content, digest))
        return atls_fail(log->rd->why, ATLS_E_NOT_CANONICAL,
                         "evidence is not in deterministic encoding" ATLS_MORE
                         ": the certificate's event at offset %zu is sent in "
                         "full, expected its digest",
                         offset);
    return ATLS_OK;
}

static enum atls_error read_event(struct log_reader *log)
{
    struct atls_cbor_reader *rd = log->rd;
    const size_t offset = rd->offset;
    struct atls_item item;
    enum atls_error r;

    if (log->evidence->format != ATLS_FORMAT_TPM_SHORT)
        return read_content(log);
    r = atls_cbor_reader_next(rd, "an event's content", &item);
    if (r != ATLS_OK)
        return r;
    if (item.kind == ATLS_ITEM_ARRAY)
        return read_short(log, &item);
    rd->offset = offset;
    return read_content(log);
}

static enum atls_error read_events(struct atls_cbor_reader *rd,
                                   struct atls_evidence *evidence)
{
    struct log_reader log = {.rd = rd, .evidence = evidence};
    size_t count = 0;
    enum atls_error r = atls_cbor_reader_list(
        rd, "the list of events", events_max(evidence->format), &count);

    if (r != ATLS_OK || count == 0)
        return r;
    /* An event takes an octet at least: a count alone claims no memory. */
    if (count > rd->end - rd->offset)
        return atls_fail(rd->why, ATLS_E_TRUNCATED,
                         "evidence ends at octet %zu, within %zu events of "
                         "the measured log",
                         rd->end, count);
    evidence->log = OPENSSL_zalloc(count * sizeof(*evidence->log));
    if (evidence->log == NULL)
        return atls_fail(rd->why, ATLS_E_NOMEM, NULL);
    evidence->log_count = count;
    for (; log.next < count; log.next++) {
        r = read_event(&log);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

enum atls_error atls_codec_read_log(struct atls_cbor_reader *rd,
                                    struct atls_evidence *evidence)
{
    uint64_t pcr = 0;
    enum atls_error r = atls_cbor_reader_record(rd, "the measured log", 2);

    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_uint(rd, "the log's PCR", 0, ATLS_PCR_COUNT - 1, &pcr);
    if (r != ATLS_OK)
        return r;
    evidence->has_log = true;
    evidence->log_pcr = (unsigned)pcr;
    return read_events(rd, evidence);
}

/* --- encoding -------------------------------------------------------------- */

enum atls_error atls_codec_check_log(const struct atls_evidence *evidence,
                                     struct atls_reason *why)
{
    const size_t max = events_max(evidence->format);

    if (evidence->log_count > max)
        return atls_fail(
            why, ATLS_E_LIMIT,
            "cannot send evidence: the measured log has %zu "
            "events of PCR %u" ATLS_MORE ", %zu are allowed in format %u; "
            "restart the machine to begin a new one",
            evidence->log_count, evidence->log_pcr, max, evidence->format);
    for (size_t i = 0; i < evidence->log_count; i++) {
        if (evidence->log[i].len > ATLS_LOG_CONTENT_MAX)
            return atls_fail(why, ATLS_E_LIMIT,
                             "cannot send evidence: event %zu of the measured "
                             "log has %zu octets" ATLS_MORE ", %u are allowed",
                             i, evidence->log[i].len, ATLS_LOG_CONTENT_MAX);
    }
    return ATLS_OK;
}
