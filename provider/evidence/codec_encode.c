/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec.h"

#include <cbor.h>
#include <openssl/crypto.h>
#include <string.h>

#include "evidence/codec_boot.h"
#include "evidence/codec_log.h"

/*
 * Where encoded octets go. One traversal counts, writes or compares, so that
 * the length that was allocated, what is written there and what a received
 * record is held against cannot differ.
 */
struct writer {
    uint8_t *out;          /* NULL: do not write */
    const uint8_t *expect; /* NULL: do not compare */
    size_t expect_len;
    bool differs;
    size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (w->out != NULL)
        memcpy(w->out + w->len, data, len);
    if (w->expect != NULL && !w->differs)
        w->differs = len > w->expect_len - w->len
                     || memcmp(w->expect + w->len, data, len) != 0;
    w->len += len;
}

/* The longest head of a CBOR item: initial octet and a 64-bit argument. */
#define HEAD_MAX 9

static void put_uint(struct writer *w, uint64_t value)
{
    uint8_t head[HEAD_MAX];

    put(w, head, cbor_encode_uint(value, head, sizeof(head)));
}

static void put_array(struct writer *w, size_t count)
{
    uint8_t head[HEAD_MAX];

    put(w, head, cbor_encode_array_start(count, head, sizeof(head)));
}

static void put_map(struct writer *w, size_t count)
{
    uint8_t head[HEAD_MAX];

    put(w, head, cbor_encode_map_start(count, head, sizeof(head)));
}

static void put_octets_head(struct writer *w, size_t len)
{
    uint8_t head[HEAD_MAX];

    put(w, head, cbor_encode_bytestring_start(len, head, sizeof(head)));
}

static void put_octets(struct writer *w, const uint8_t *data, size_t len)
{
    put_octets_head(w, len);
    put(w, data, len);
}

static void put_span(struct writer *w, struct atls_span span)
{
    put_octets(w, span.data, span.len);
}

static void put_text(struct writer *w, const char *text)
{
    uint8_t head[HEAD_MAX];
    const size_t len = strlen(text);

    put(w, head, cbor_encode_string_start(len, head, sizeof(head)));
    put(w, text, len);
}

static size_t count_bits(uint32_t mask)
{
    size_t count = 0;

    for (; mask != 0; mask &= mask - 1)
        count++;
    return count;
}

static void put_chain(struct writer *w, const struct atls_evidence *evidence)
{
    put_uint(w, ATLS_KEY_AK_CHAIN);
    put_array(w, evidence->chain_count);
    for (size_t i = 0; i < evidence->chain_count; i++)
        put_span(w, evidence->chain[i]);
}

/* The index of the bank with the lowest algorithm above alg, or values->count:
 * a caller may hold its banks in the order of its selection. */
static size_t next_bank(const struct atls_pcr_values *values, unsigned alg)
{
    size_t next = values->count;

    for (size_t i = 0; i < values->count; i++) {
        if (values->banks[i].alg > alg
            && (next == values->count
                || values->banks[i].alg < values->banks[next].alg))
            next = i;
    }
    return next;
}

static void put_pcrs(struct writer *w, const struct atls_pcr_values *values)
{
    unsigned alg = 0;

    put_uint(w, ATLS_KEY_PCRS);
    put_map(w, values->count);
    for (size_t i = next_bank(values, alg); i < values->count;
         i = next_bank(values, alg)) {
        const uint32_t mask = values->banks[i].mask;

        alg = values->banks[i].alg;
        put_uint(w, alg);
        put_map(w, count_bits(mask));
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if ((mask >> pcr & 1) == 0)
                continue;
            put_uint(w, pcr);
            put_octets(w, values->banks[i].value[pcr],
                       atls_hash_by_alg(values->banks[i].alg)->len);
        }
    }
}

static void put_merkle(struct writer *w, const struct atls_merkle_proof *proof)
{
    put_uint(w, ATLS_KEY_MERKLE);
    put_array(w, 3);
    put_uint(w, proof->tree_size);
    put_uint(w, proof->leaf_index);
    put_array(w, proof->path_count);
    for (size_t i = 0; i < proof->path_count; i++)
        put_octets(w, proof->path[i], ATLS_SHA256_LEN);
}

static void put_log(struct writer *w, const struct atls_evidence *evidence)
{
    put_uint(w, ATLS_KEY_LOG);
    put_array(w, 2);
    put_uint(w, evidence->log_pcr);
    put_array(w, evidence->log_count);
    for (size_t i = 0; i < evidence->log_count; i++) {
        const struct atls_span content = evidence->log[i];
        uint8_t digest[ATLS_SHA256_LEN];

        if (atls_codec_is_short(evidence->format, content, digest)) {
            put_array(w, 1);
            put_octets(w, digest, sizeof(digest));
        } else {
            put_span(w, content);
        }
    }
}

/* Digests in the order of the banks in key 4. */
static void put_boot_event(struct writer *w,
                           const struct atls_boot_event *event,
                           const struct atls_pcr_values *values)
{
    put_array(w, 4);
    put_uint(w, event->pcr);
    put_uint(w, event->type);
    put_array(w, values->count);
    for (size_t i = next_bank(values, 0); i < values->count;
         i = next_bank(values, values->banks[i].alg)) {
        const uint16_t alg = values->banks[i].alg;

        put_octets(w, atls_boot_event_digest(event, alg),
                   atls_hash_by_alg(alg)->len);
    }
    put_span(w, event->data);
}

static void put_boot_log(struct writer *w, const struct atls_evidence *evidence)
{
    const struct atls_boot_log *log = &evidence->boot_log;

    put_uint(w, ATLS_KEY_BOOT_LOG);
    put_array(w, 2);
    put_uint(w, log->startup_locality);
    put_array(w, log->count);
    for (size_t i = 0; i < log->count; i++)
        put_boot_event(w, &log->events[i], &evidence->pcrs);
}

static void put_evidence(struct writer *w, const struct atls_evidence *evidence)
{
    const bool has_authority = evidence->authority.len != 0;
    const bool has_certify = evidence->certify.len != 0;

    /* Quote, signature, chain, PCRs and one of Merkle proof and epoch. */
    put_map(w, 5u + evidence->has_log + has_authority + has_certify
                   + atls_evidence_has_boot_log(evidence));
    put_uint(w, ATLS_KEY_QUOTE);
    put_span(w, evidence->quote);
    put_uint(w, ATLS_KEY_SIGNATURE);
    put_span(w, evidence->signature);
    put_chain(w, evidence);
    put_pcrs(w, &evidence->pcrs);
    if (evidence->is_epoch) {
        put_uint(w, ATLS_KEY_EPOCH);
        put_uint(w, evidence->epoch_time);
    } else {
        put_merkle(w, &evidence->merkle);
    }
    if (evidence->has_log)
        put_log(w, evidence);
    if (has_authority) {
        put_uint(w, ATLS_KEY_AUTHORITY);
        put_span(w, evidence->authority);
    }
    if (has_certify) {
        put_uint(w, ATLS_KEY_CERTIFY);
        put_array(w, 3);
        put_span(w, evidence->certify);
        put_span(w, evidence->certify_signature);
        put_span(w, evidence->certify_public);
    }
    if (atls_evidence_has_boot_log(evidence))
        put_boot_log(w, evidence);
}

static void put_cmw(struct writer *w, const struct atls_evidence *evidence)
{
    struct writer counter = {0};

    put_evidence(&counter, evidence);
    put_array(w, 3);
    put_text(w, atls_format_type(evidence->format));
    put_octets_head(w, counter.len);
    put_evidence(w, evidence);
    put_uint(w, ATLS_CMW_IND_EVIDENCE);
}

size_t atls_evidence_len(const struct atls_evidence *evidence)
{
    struct writer counter = {0};

    put_cmw(&counter, evidence);
    return counter.len;
}

bool atls_evidence_encodes_to(const struct atls_evidence *evidence,
                              struct atls_span cmw)
{
    struct writer w = {.expect = cmw.data, .expect_len = cmw.len};

    put_cmw(&w, evidence);
    return !w.differs && w.len == cmw.len;
}

static enum atls_error check_part(const char *what, struct atls_span part,
                                  size_t max, struct atls_reason *why)
{
    if (part.len == 0 || part.len > max)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: expected 1 to %zu octets of "
                         "%s, got %zu",
                         max, what, part.len);
    return ATLS_OK;
}

static enum atls_error check_chain(const struct atls_evidence *evidence,
                                   struct atls_reason *why)
{
    if (evidence->chain_count == 0 || evidence->chain_count > ATLS_CHAIN_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: expected 1 to %u AK "
                         "certificates without the root, got %zu; look at "
                         "ak_chain",
                         ATLS_CHAIN_MAX, evidence->chain_count);
    for (size_t i = 0; i < evidence->chain_count; i++) {
        enum atls_error r = check_part("an AK certificate", evidence->chain[i],
                                       ATLS_CERTIFICATE_MAX, why);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error check_pcrs(const struct atls_pcr_values *values,
                                  struct atls_reason *why)
{
    bool is_legal = values->count >= 1 && values->count <= ATLS_BANKS_MAX;

    for (size_t i = 0; is_legal && i < values->count; i++) {
        is_legal = atls_hash_by_alg(values->banks[i].alg) != NULL
                   && values->banks[i].mask != 0
                   && values->banks[i].mask >> ATLS_PCR_COUNT == 0;
        for (size_t j = 0; j < i; j++)
            is_legal = is_legal && values->banks[j].alg != values->banks[i].alg;
    }
    if (!is_legal)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: expected PCR values of 1 to %u "
                         "different banks" ATLS_MORE
                         ", none of them empty; look at pcrs",
                         ATLS_BANKS_MAX);
    return ATLS_OK;
}

static enum atls_error check_boot_event(const struct atls_evidence *evidence,
                                        size_t i, struct atls_reason *why)
{
    const struct atls_boot_event *event = &evidence->boot_log.events[i];
    const struct atls_pcr_values *values = &evidence->pcrs;

    if (event->pcr >= ATLS_PCR_COUNT)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: event %zu of the boot log is "
                         "of PCR %u, expected 0 to %u",
                         i, event->pcr, ATLS_PCR_COUNT - 1);
    if (event->data.len > ATLS_BOOT_WIRE_DATA_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: event %zu of the boot log has "
                         "%zu octets of data" ATLS_MORE ", %u are allowed",
                         i, event->data.len, ATLS_BOOT_WIRE_DATA_MAX);
    for (size_t bank = 0; bank < values->count; bank++) {
        const uint16_t alg = values->banks[bank].alg;

        if (atls_boot_event_digest(event, alg) == NULL)
            return atls_fail(why, ATLS_E_LIMIT,
                             "cannot send evidence: event %zu of the boot log "
                             "has no digest of bank %s" ATLS_MORE
                             ", whose PCRs are sent",
                             i, atls_hash_by_alg(alg)->name);
    }
    return ATLS_OK;
}

/* After check_pcrs(): its banks are those of the digests. */
static enum atls_error check_boot_log(const struct atls_evidence *evidence,
                                      struct atls_reason *why)
{
    const struct atls_boot_log *log = &evidence->boot_log;

    if (!atls_evidence_has_boot_log(evidence))
        return ATLS_OK;
    if (!atls_codec_is_locality(log->startup_locality))
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: the boot log's startup "
                         "locality is %u, expected 0, 3 or 4",
                         log->startup_locality);
    if (log->count > ATLS_BOOT_WIRE_EVENTS_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "cannot send evidence: the boot log has %zu events, "
                         "%u are allowed",
                         log->count, ATLS_BOOT_WIRE_EVENTS_MAX);
    for (size_t i = 0; i < log->count; i++) {
        enum atls_error r = check_boot_event(evidence, i, why);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error check_optional(const struct atls_evidence *evidence,
                                      struct atls_reason *why)
{
    const struct {
        const char *what;
        struct atls_span part;
        size_t max;
        bool is_sent;
    } parts[] = {
        {"the authority", evidence->authority, ATLS_CERTIFICATE_MAX,
         evidence->authority.len != 0},
        {"the key's certification", evidence->certify, ATLS_QUOTE_MAX,
         evidence->certify.len != 0},
        {"the certification's signature", evidence->certify_signature,
         ATLS_SIGNATURE_MAX, evidence->certify.len != 0},
        {"the certified key", evidence->certify_public, ATLS_TPMT_PUBLIC_MAX,
         evidence->certify.len != 0},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        enum atls_error r = ATLS_OK;

        if (parts[i].is_sent)
            r = check_part(parts[i].what, parts[i].part, parts[i].max, why);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* What the receiver would refuse is not sent: the sender's log is where the
 * reason is of use. */
static enum atls_error check_limits(const struct atls_evidence *evidence,
                                    struct atls_reason *why)
{
    enum atls_error r =
        check_part("the quote", evidence->quote, ATLS_QUOTE_MAX, why);

    if (r != ATLS_OK)
        return r;
    r = check_part("the signature", evidence->signature, ATLS_SIGNATURE_MAX,
                   why);
    if (r != ATLS_OK)
        return r;
    r = check_chain(evidence, why);
    if (r != ATLS_OK)
        return r;
    r = check_pcrs(&evidence->pcrs, why);
    if (r != ATLS_OK)
        return r;
    r = atls_codec_check_log(evidence, why);
    if (r != ATLS_OK)
        return r;
    r = check_boot_log(evidence, why);
    if (r != ATLS_OK)
        return r;
    return check_optional(evidence, why);
}

static enum atls_error refuse_size(const struct atls_evidence *evidence,
                                   size_t len, struct atls_reason *why)
{
    struct writer boot_log = {0};
    struct writer log = {0};
    size_t chain_len = 0;

    if (atls_evidence_has_boot_log(evidence)) {
        put_boot_log(&boot_log, evidence);
        return atls_fail(
            why, ATLS_E_TOO_LARGE,
            "the evidence has %zu octets, %u are allowed" ATLS_MORE ": %zu are "
            "the boot log (%zu events)",
            len, ATLS_CMW_MAX, boot_log.len, evidence->boot_log.count);
    }
    for (size_t i = 0; i < evidence->chain_count; i++)
        chain_len += evidence->chain[i].len;
    put_log(&log, evidence);
    return atls_fail(
        why, ATLS_E_TOO_LARGE,
        "the evidence has %zu octets, %u are allowed" ATLS_MORE ": %zu are the "
        "measured log (%zu events), %zu the AK chain",
        len, ATLS_CMW_MAX, log.len, evidence->log_count, chain_len);
}

enum atls_error atls_evidence_encode(const struct atls_evidence *evidence,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len)
{
    struct writer w = {0};
    enum atls_error r = check_limits(evidence, why);
    uint8_t *cmw;

    if (r != ATLS_OK)
        return r;
    put_cmw(&w, evidence);
    if (w.len > ATLS_CMW_MAX)
        return refuse_size(evidence, w.len, why);
    cmw = OPENSSL_malloc(w.len);
    if (cmw == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_len = w.len;
    w = (struct writer){.out = cmw};
    put_cmw(&w, evidence);
    *ret_cmw = cmw;
    return ATLS_OK;
}
