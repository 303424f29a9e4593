/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec_boot.h"

#include <openssl/crypto.h>

#include "evidence/codec.h"

bool atls_codec_is_locality(uint64_t locality)
{
    return locality == 0 || locality == 3 || locality == 4;
}

static enum atls_error read_locality(struct atls_cbor_reader *rd, uint8_t *ret)
{
    static const char what[] = "the boot log's startup locality";
    const size_t offset = rd->offset;
    uint64_t locality = 0;
    enum atls_error r = atls_cbor_reader_uint(rd, what, 0, 4, &locality);

    if (r != ATLS_OK)
        return r;
    if (!atls_codec_is_locality(locality))
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: %s is %u, expected "
                         "0, 3 or 4",
                         offset, what, (unsigned)locality);
    *ret = (uint8_t)locality;
    return ATLS_OK;
}

static enum atls_error read_digest(struct atls_cbor_reader *rd,
                                   const struct atls_hash *hash,
                                   const uint8_t **ret)
{
    struct atls_item item;
    enum atls_error r = atls_cbor_reader_expect(
        rd, ATLS_ITEM_OCTETS, "a digest of the boot log", &item);

    if (r != ATLS_OK)
        return r;
    if (item.octets.len != hash->len)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: a digest of the "
                         "boot log has %zu octets" ATLS_MORE
                         ", expected %u of bank %s",
                         item.offset, item.octets.len, hash->len, hash->name);
    *ret = item.octets.data;
    return ATLS_OK;
}

static enum atls_error read_digests(struct atls_cbor_reader *rd,
                                    const struct atls_pcr_values *values,
                                    struct atls_boot_event *event)
{
    enum atls_error r = atls_cbor_reader_record(
        rd, "the digests of a boot event", values->count);

    if (r != ATLS_OK)
        return r;
    for (size_t i = 0; i < values->count; i++) {
        const uint16_t alg = values->banks[i].alg;

        r = read_digest(rd, atls_hash_by_alg(alg), &event->digests[i].octets);
        if (r != ATLS_OK)
            return r;
        event->digests[i].alg = alg;
    }
    event->digest_count = values->count;
    return ATLS_OK;
}

static enum atls_error read_event(struct atls_cbor_reader *rd,
                                  const struct atls_pcr_values *values,
                                  struct atls_boot_event *event)
{
    uint64_t pcr = 0;
    uint64_t type = 0;
    enum atls_error r =
        atls_cbor_reader_record(rd, "an event of the boot log", 4);

    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_uint(rd, "the PCR of a boot event", 0,
                              ATLS_PCR_COUNT - 1, &pcr);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_uint(rd, "the type of a boot event", 0, UINT32_MAX,
                              &type);
    if (r != ATLS_OK)
        return r;
    event->pcr = (unsigned)pcr;
    event->type = (uint32_t)type;
    r = read_digests(rd, values, event);
    if (r != ATLS_OK)
        return r;
    return atls_cbor_reader_content(rd, "the data of a boot event",
                                    ATLS_BOOT_WIRE_DATA_MAX, &event->data);
}

/* Octets of the shortest event: a head each of event, PCR, type, digests, data
 * and of every digest. */
static size_t event_len_min(const struct atls_pcr_values *values)
{
    size_t len = 5;

    for (size_t i = 0; i < values->count; i++)
        len += 1u + atls_hash_by_alg(values->banks[i].alg)->len;
    return len;
}

enum atls_error atls_codec_read_boot_log(struct atls_cbor_reader *rd,
                                         const struct atls_pcr_values *values,
                                         struct atls_boot_log *ret_log)
{
    size_t count = 0;
    enum atls_error r = atls_cbor_reader_record(rd, "the boot log", 2);

    if (r != ATLS_OK)
        return r;
    r = read_locality(rd, &ret_log->startup_locality);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_list(rd, "the list of boot events",
                              ATLS_BOOT_WIRE_EVENTS_MAX, &count);
    if (r != ATLS_OK)
        return r;
    ret_log->is_crypto_agile = true;
    if (count == 0)
        return ATLS_OK;
    if (count > (rd->end - rd->offset) / event_len_min(values))
        return atls_fail(rd->why, ATLS_E_TRUNCATED,
                         "evidence ends at octet %zu, within %zu events of "
                         "the boot log",
                         rd->end, count);
    ret_log->events = OPENSSL_zalloc(count * sizeof(*ret_log->events));
    if (ret_log->events == NULL)
        return atls_fail(rd->why, ATLS_E_NOMEM, NULL);
    ret_log->count = count;
    for (size_t i = 0; i < count; i++) {
        r = read_event(rd, values, &ret_log->events[i]);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}
