/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>

#include "evidence/codec_boot.h"
#include "evidence/codec_log.h"
#include "evidence/cbor_reader.h"

static enum atls_error read_quote(struct atls_cbor_reader *rd,
                                  struct atls_evidence *ev)
{
    return atls_cbor_reader_octets(rd, "the quote", ATLS_QUOTE_MAX, &ev->quote);
}

static enum atls_error read_signature(struct atls_cbor_reader *rd,
                                      struct atls_evidence *ev)
{
    return atls_cbor_reader_octets(rd, "the signature", ATLS_SIGNATURE_MAX,
                                   &ev->signature);
}

static enum atls_error read_chain(struct atls_cbor_reader *rd,
                                  struct atls_evidence *ev)
{
    enum atls_error r = atls_cbor_reader_list(rd, "the AK chain",
                                              ATLS_CHAIN_MAX, &ev->chain_count);

    if (r != ATLS_OK)
        return r;
    if (ev->chain_count == 0)
        return atls_fail(rd->why, ATLS_E_LIMIT,
                         "the AK chain is empty, expected 1 to %u "
                         "certificates: look at ak_chain of the peer",
                         ATLS_CHAIN_MAX);
    for (size_t i = 0; i < ev->chain_count; i++) {
        r = atls_cbor_reader_octets(rd, "an AK certificate",
                                    ATLS_CERTIFICATE_MAX, &ev->chain[i]);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error read_pcr_value(struct atls_cbor_reader *rd, unsigned pcr,
                                      const struct atls_hash *hash,
                                      uint8_t ret[ATLS_PCR_DIGEST_MAX])
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_OCTETS, "a PCR value", &item);

    if (r != ATLS_OK)
        return r;
    if (item.octets.len != hash->len)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: PCR %u of bank %s "
                         "has %zu octets, expected %u",
                         item.offset, pcr, hash->name, item.octets.len,
                         hash->len);
    memcpy(ret, item.octets.data, item.octets.len);
    return ATLS_OK;
}

/* Bank i; its hash is known to be one, and no other bank has it. */
static enum atls_error read_bank(struct atls_cbor_reader *rd, size_t i,
                                 struct atls_pcr_values *values)
{
    const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);
    uint64_t next = 0;
    struct atls_item map;
    enum atls_error r = atls_cbor_reader_expect(rd, ATLS_ITEM_MAP,
                                                "the values of a bank", &map);

    if (r != ATLS_OK)
        return r;
    if (map.value == 0)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: bank %s is empty",
                         map.offset, hash->name);
    for (uint64_t entry = 0; entry < map.value; entry++) {
        uint64_t pcr = 0;

        r = atls_cbor_reader_key(rd, "PCR", next, &pcr);
        if (r != ATLS_OK)
            return r;
        if (pcr >= ATLS_PCR_COUNT)
            return atls_fail(rd->why, ATLS_E_LIMIT,
                             "evidence holds PCR %llu, expected 0 to %u",
                             (unsigned long long)pcr, ATLS_PCR_COUNT - 1);
        r = read_pcr_value(rd, (unsigned)pcr, hash,
                           values->banks[i].value[pcr]);
        if (r != ATLS_OK)
            return r;
        values->banks[i].mask |= UINT32_C(1) << pcr;
        next = pcr + 1;
    }
    return ATLS_OK;
}

static enum atls_error read_pcrs(struct atls_cbor_reader *rd,
                                 struct atls_evidence *ev)
{
    struct atls_pcr_values *values = &ev->pcrs;
    uint64_t next = 0;
    struct atls_item map;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_MAP, "the PCR values", &map);

    if (r != ATLS_OK)
        return r;
    if (map.value == 0)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: no PCR values",
                         map.offset);
    for (uint64_t entry = 0; entry < map.value; entry++) {
        uint64_t alg = 0;

        r = atls_cbor_reader_key(rd, "bank", next, &alg);
        if (r != ATLS_OK)
            return r;
        /* Known algorithms rise: no more of them than there is room for. */
        if (alg > UINT16_MAX || atls_hash_by_alg((uint16_t)alg) == NULL)
            return atls_fail(rd->why, ATLS_E_MALFORMED,
                             "malformed evidence: TPM_ALG_ID 0x%llx is no PCR "
                             "bank; expected sha1, sha256, sha384 or sha512",
                             (unsigned long long)alg);
        values->banks[values->count].alg = (uint16_t)alg;
        r = read_bank(rd, values->count, values);
        if (r != ATLS_OK)
            return r;
        values->count++;
        next = alg + 1;
    }
    return ATLS_OK;
}

static enum atls_error read_merkle(struct atls_cbor_reader *rd,
                                   struct atls_evidence *ev)
{
    struct atls_merkle_proof *proof = &ev->merkle;
    enum atls_error r = atls_cbor_reader_record(rd, "the Merkle proof", 3);

    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_uint(rd, "the Merkle tree size", 1, ATLS_BATCH_MAX,
                              &proof->tree_size);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_uint(rd, "the Merkle leaf index", 0,
                              proof->tree_size - 1, &proof->leaf_index);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_list(rd, "the Merkle path", ATLS_PATH_MAX,
                              &proof->path_count);
    if (r != ATLS_OK)
        return r;
    for (size_t i = 0; i < proof->path_count; i++) {
        struct atls_span node;

        r = atls_cbor_reader_octets(rd, "a Merkle node", ATLS_SHA256_LEN,
                                    &node);
        if (r != ATLS_OK)
            return r;
        if (node.len != ATLS_SHA256_LEN)
            return atls_fail(rd->why, ATLS_E_MALFORMED,
                             "malformed evidence: a Merkle node has %zu "
                             "octets, expected %u",
                             node.len, ATLS_SHA256_LEN);
        memcpy(proof->path[i], node.data, node.len);
    }
    return ATLS_OK;
}

static enum atls_error read_epoch(struct atls_cbor_reader *rd,
                                  struct atls_evidence *ev)
{
    ev->is_epoch = true;
    /* Whoever computes an age from it may do so with signed numbers. */
    return atls_cbor_reader_uint(rd, "the epoch time", 0, INT64_MAX,
                                 &ev->epoch_time);
}

static enum atls_error read_authority(struct atls_cbor_reader *rd,
                                      struct atls_evidence *ev)
{
    return atls_cbor_reader_octets(rd, "the authority", ATLS_CERTIFICATE_MAX,
                                   &ev->authority);
}

static enum atls_error read_certify(struct atls_cbor_reader *rd,
                                    struct atls_evidence *ev)
{
    enum atls_error r =
        atls_cbor_reader_record(rd, "the key's certification", 3);

    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_octets(rd, "the key's certification", ATLS_QUOTE_MAX,
                                &ev->certify);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_octets(rd, "the certification's signature",
                                ATLS_SIGNATURE_MAX, &ev->certify_signature);
    if (r != ATLS_OK)
        return r;
    return atls_cbor_reader_octets(rd, "the certified key",
                                   ATLS_TPMT_PUBLIC_MAX, &ev->certify_public);
}

static enum atls_error read_boot_log(struct atls_cbor_reader *rd,
                                     struct atls_evidence *ev)
{
    return atls_codec_read_boot_log(rd, &ev->pcrs, &ev->boot_log);
}

static const struct {
    const char *name;
    bool is_required;
    enum atls_error (*read)(struct atls_cbor_reader *rd,
                            struct atls_evidence *ev);
} entries[] = {
    [ATLS_KEY_QUOTE] = {"quote", true, read_quote},
    [ATLS_KEY_SIGNATURE] = {"signature", true, read_signature},
    [ATLS_KEY_AK_CHAIN] = {"AK chain", true, read_chain},
    [ATLS_KEY_PCRS] = {"PCR values", true, read_pcrs},
    [ATLS_KEY_MERKLE] = {"Merkle proof", false, read_merkle},
    [ATLS_KEY_EPOCH] = {"epoch time", false, read_epoch},
    [ATLS_KEY_LOG] = {"measured log", false, atls_codec_read_log},
    [ATLS_KEY_AUTHORITY] = {"authority", false, read_authority},
    [ATLS_KEY_CERTIFY] = {"certification", false, read_certify},
    [ATLS_KEY_BOOT_LOG] = {"boot log", false, read_boot_log},
};

#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

/* seen: bit i for key i */
static enum atls_error check_complete(struct atls_cbor_reader *rd,
                                      const struct atls_evidence *ev,
                                      uint32_t seen)
{
    const bool has_merkle = (seen >> ATLS_KEY_MERKLE & 1) != 0;
    const bool has_epoch = (seen >> ATLS_KEY_EPOCH & 1) != 0;
    const bool has_boot_log = (seen >> ATLS_KEY_BOOT_LOG & 1) != 0;

    for (size_t key = ATLS_KEY_QUOTE; key < ENTRY_COUNT; key++) {
        if (entries[key].is_required && (seen >> key & 1) == 0)
            return atls_fail(rd->why, ATLS_E_MALFORMED,
                             "malformed evidence: no %s (key %zu)",
                             entries[key].name, key);
    }
    if (has_merkle == has_epoch)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence: expected either a Merkle proof "
                         "or an epoch time, found %s",
                         has_merkle ? "both" : "none");
    if (ev->format == ATLS_FORMAT_TPM_BOOT && !has_boot_log)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence: no boot log (key %u), which "
                         "format %u always has",
                         ATLS_KEY_BOOT_LOG, ATLS_FORMAT_TPM_BOOT);
    if (ev->format == ATLS_FORMAT_TPM_SHORT && has_boot_log
        && ev->boot_log.count == 0)
        return atls_fail(rd->why, ATLS_E_NOT_CANONICAL,
                         "evidence is not in deterministic encoding" ATLS_MORE
                         ": its boot log (key %u) is empty, which format %u "
                         "leaves out",
                         ATLS_KEY_BOOT_LOG, ATLS_FORMAT_TPM_SHORT);
    return ATLS_OK;
}

static enum atls_error read_evidence(struct atls_cbor_reader *rd,
                                     struct atls_evidence *ev)
{
    const uint64_t last =
        ev->format == ATLS_FORMAT_TPM ? ATLS_KEY_CERTIFY : ATLS_KEY_BOOT_LOG;
    uint32_t seen = 0;
    uint64_t next = 0;
    struct atls_item map;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_MAP, "the evidence", &map);

    if (r != ATLS_OK)
        return r;
    for (uint64_t entry = 0; entry < map.value; entry++) {
        uint64_t key = 0;

        r = atls_cbor_reader_key(rd, "key", next, &key);
        if (r != ATLS_OK)
            return r;
        if (key < ATLS_KEY_QUOTE || key > last)
            return atls_fail(rd->why, ATLS_E_MALFORMED,
                             "malformed evidence: unknown key %llu",
                             (unsigned long long)key);
        r = entries[key].read(rd, ev);
        if (r != ATLS_OK)
            return r;
        seen |= UINT32_C(1) << key;
        next = key + 1;
    }
    if (rd->offset != rd->end)
        return atls_fail(rd->why, ATLS_E_TRAILING,
                         "%zu octets after the end of the evidence",
                         rd->end - rd->offset);
    return check_complete(rd, ev, seen);
}

/* The format of a type; 0: none that we know. */
static unsigned format_of(struct atls_span type)
{
    for (unsigned format = 1; format <= ATLS_FORMATS_MAX; format++) {
        const char *known = atls_format_type(format);

        if (type.len == strlen(known)
            && memcmp(type.data, known, type.len) == 0)
            return format;
    }
    return 0;
}

#define EXPECTED_TYPES \
    "'" ATLS_FORMAT_TPM_TYPE "', or the same with tpm-boot- or tpm-short-"

/* A CMW type is a media type or a content-format number (RFC 9999). */
static enum atls_error read_type(struct atls_cbor_reader *rd,
                                 unsigned *ret_format)
{
    struct atls_item item;
    enum atls_error r = atls_cbor_reader_next(rd, "the CMW type", &item);

    if (r != ATLS_OK)
        return r;
    if (item.kind == ATLS_ITEM_UINT)
        return atls_fail(
            rd->why, ATLS_E_FORMAT,
            "unknown evidence format %llu, expected " EXPECTED_TYPES,
            (unsigned long long)item.value);
    if (item.kind != ATLS_ITEM_TEXT)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: expected the CMW "
                         "type (text)" ATLS_MORE ", found %s",
                         item.offset,
                         atls_cbor_reader_describe(rd->data[item.offset]));
    *ret_format = format_of(item.octets);
    if (*ret_format == 0)
        return atls_fail(
            rd->why, ATLS_E_FORMAT,
            "unknown evidence format '%.*s', expected " EXPECTED_TYPES,
            item.octets.len < 60 ? (int)item.octets.len : 60,
            (const char *)item.octets.data);
    return ATLS_OK;
}

static enum atls_error read_indicator(struct atls_cbor_reader *rd)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_UINT, "the CMW indicator", &item);

    if (r != ATLS_OK)
        return r;
    if (item.value != ATLS_CMW_IND_EVIDENCE)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence: the CMW indicator is %llu, "
                         "expected %u (evidence)",
                         (unsigned long long)item.value, ATLS_CMW_IND_EVIDENCE);
    return ATLS_OK;
}

static enum atls_error read_cmw(struct atls_cbor_reader *rd,
                                struct atls_evidence *ev)
{
    struct atls_cbor_reader inner;
    struct atls_item value;
    enum atls_error r = atls_cbor_reader_record(rd, "the CMW record", 3);

    if (r != ATLS_OK)
        return r;
    r = read_type(rd, &ev->format);
    if (r != ATLS_OK)
        return r;
    r = atls_cbor_reader_expect(rd, ATLS_ITEM_OCTETS, "the CMW value", &value);
    if (r != ATLS_OK)
        return r;
    inner = *rd;
    inner.offset = rd->offset - value.octets.len;
    inner.end = rd->offset;
    r = read_evidence(&inner, ev);
    if (r != ATLS_OK)
        return r;
    r = read_indicator(rd);
    if (r != ATLS_OK)
        return r;
    if (rd->offset != rd->end)
        return atls_fail(rd->why, ATLS_E_TRAILING,
                         "%zu octets after the end of the CMW record",
                         rd->end - rd->offset);
    return ATLS_OK;
}

static enum atls_error decode(struct atls_span cmw, struct atls_reason *why,
                              struct atls_evidence *ev)
{
    struct atls_cbor_reader rd;
    enum atls_error r;

    atls_cbor_reader_init(&rd, cmw, why);
    r = read_cmw(&rd, ev);
    if (r != ATLS_OK)
        return r;
    /* Lengths in more octets than they need are all that is left to differ. */
    if (!atls_evidence_encodes_to(ev, cmw))
        return atls_fail(why, ATLS_E_NOT_CANONICAL,
                         "evidence is not in deterministic encoding: an "
                         "integer or a length takes more octets than needed");
    return ATLS_OK;
}

enum atls_error atls_evidence_decode(struct atls_span cmw,
                                     struct atls_reason *why,
                                     struct atls_evidence **ret_evidence)
{
    struct atls_evidence *ev;
    enum atls_error r;

    if (cmw.len == 0)
        return atls_fail(why, ATLS_E_TRUNCATED, "the evidence is empty");
    if (cmw.len > ATLS_CMW_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "the evidence has %zu octets, %u are allowed", cmw.len,
                         ATLS_CMW_MAX);
    ev = OPENSSL_zalloc(sizeof(*ev));
    if (ev == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = decode(cmw, why, ev);
    if (r != ATLS_OK) {
        atls_evidence_free(ev);
        return r;
    }
    *ret_evidence = ev;
    return ATLS_OK;
}

void atls_evidence_free(struct atls_evidence *evidence)
{
    if (evidence == NULL)
        return;
    OPENSSL_free(evidence->log);
    OPENSSL_free(evidence->log_octets);
    atls_boot_log_clear(&evidence->boot_log);
    OPENSSL_free(evidence);
}
