/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/codec*.c: the boot log of format 2. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "evidence/codec.h"
#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/record.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct record record;
static struct factory f;

static struct atls_evidence *decode(const uint8_t *cmw, size_t len)
{
    struct atls_evidence *evidence = NULL;
    struct atls_reason why = {0};

    ck_assert_msg(
        atls_evidence_decode((struct atls_span){cmw, len}, &why, &evidence)
            == ATLS_OK,
        "%s", why.text);
    return evidence;
}

/* --- what is decoded ------------------------------------------------------- */

static void assert_vector_event(const struct atls_boot_event *event,
                                const char *key)
{
    struct vector part;
    uint32_t type = 0;

    ck_assert(vector_list("evidence.txt", "boot", key, 0, &part));
    ck_assert_uint_eq(event->pcr, part.data[0]);
    ck_assert(vector_list("evidence.txt", "boot", key, 1, &part));
    for (size_t i = 0; i < part.len; i++)
        type = type << 8 | part.data[i];
    ck_assert_uint_eq(event->type, type);
    ck_assert(vector_list("evidence.txt", "boot", key, 2, &part));
    ck_assert_uint_eq(event->digest_count, 1);
    ck_assert_mem_eq(atls_boot_event_digest(event, TPM2_ALG_SHA256), part.data,
                     part.len);
    ck_assert(vector_list("evidence.txt", "boot", key, 3, &part));
    ck_assert_uint_eq(event->data.len, part.len);
    ck_assert_mem_eq(event->data.data, part.data, part.len);
}

START_TEST(test_boot_vector)
{
    static const char *const keys[] = {"event.0", "event.1", "event.2",
                                       "event.3", "event.4"};
    struct vector cmw;
    struct atls_evidence *evidence;

    vector_octets("evidence.txt", "boot", "cmw", &cmw);
    evidence = decode(cmw.data, cmw.len);
    ck_assert_uint_eq(evidence->format, ATLS_FORMAT_TPM_BOOT);
    ck_assert(evidence->has_log);
    ck_assert_uint_eq(evidence->boot_log.startup_locality,
                      vector_number("evidence.txt", "boot", "locality"));
    ck_assert_uint_eq(evidence->boot_log.count, COUNT(keys));
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_vector_event(&evidence->boot_log.events[i], keys[i]);
    atls_evidence_free(evidence);
}
END_TEST

/* Of another implementation: its log leads to its PCR values. */
START_TEST(test_boot_vector_replays)
{
    static const struct {
        unsigned pcr;
        const char *key;
    } pcrs[] = {{0, "pcr.0"}, {4, "pcr.4"}, {7, "pcr.7"}};
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    struct vector cmw, expected;
    struct atls_evidence *evidence;

    vector_octets("evidence.txt", "boot", "cmw", &cmw);
    evidence = decode(cmw.data, cmw.len);
    for (size_t i = 0; i < COUNT(pcrs); i++) {
        vector_octets("evidence.txt", "boot", pcrs[i].key, &expected);
        ck_assert_int_eq(atls_boot_log_replay(&evidence->boot_log,
                                              TPM2_ALG_SHA256, pcrs[i].pcr,
                                              NULL, value, NULL),
                         ATLS_OK);
        ck_assert_mem_eq(value, expected.data, ATLS_SHA256_LEN);
        ck_assert_mem_eq(
            atls_pcr_value(&evidence->pcrs, TPM2_ALG_SHA256, pcrs[i].pcr),
            expected.data, ATLS_SHA256_LEN);
    }
    atls_evidence_free(evidence);
}
END_TEST

/* Banks in another order than they travel, digests of one that does not. */
START_TEST(test_digests_follow_the_banks)
{
    struct atls_evidence *evidence;

    factory_init(&f, 0);
    ck_assert_int_eq(atls_pcr_selection_parse("sha512:0-7+sha1:0-7+sha256:0-15",
                                              NULL, &f.selection),
                     ATLS_OK);
    f.boot_locality = 4;
    factory_boot(&f, 0, 8, "firmware");
    factory_boot(&f, 4, 0x80000003, "");
    factory_make(&f);
    factory_encode(&f);
    evidence = decode(f.cmw, f.cmw_len);
    ck_assert_uint_eq(evidence->boot_log.startup_locality, 4);
    ck_assert_uint_eq(evidence->boot_log.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct atls_boot_event *event = &evidence->boot_log.events[i];
        static const uint16_t algs[] = {TPM2_ALG_SHA1, TPM2_ALG_SHA256,
                                        TPM2_ALG_SHA512};

        ck_assert_uint_eq(event->digest_count, COUNT(algs));
        for (size_t bank = 0; bank < COUNT(algs); bank++) {
            ck_assert_uint_eq(event->digests[bank].alg, algs[bank]);
            ck_assert_mem_eq(
                event->digests[bank].octets,
                atls_boot_event_digest(&f.boot_events[i], algs[bank]),
                atls_hash_by_alg(algs[bank])->len);
        }
    }
    ck_assert_uint_eq(evidence->boot_log.events[1].data.len, 0);
    atls_evidence_free(evidence);
    factory_clear(&f);
}
END_TEST

START_TEST(test_empty_boot_log_is_a_boot_log)
{
    struct atls_evidence *evidence;

    factory_init(&f, 0);
    f.has_boot_log = true;
    factory_make(&f);
    factory_encode(&f);
    evidence = decode(f.cmw, f.cmw_len);
    ck_assert_uint_eq(evidence->format, ATLS_FORMAT_TPM_BOOT);
    ck_assert_uint_eq(evidence->boot_log.count, 0);
    ck_assert_ptr_null(evidence->boot_log.events);
    atls_evidence_free(evidence);
    factory_clear(&f);
}
END_TEST

/* --- what is refused ------------------------------------------------------- */

START_TEST(test_E12_cut_at_every_octet)
{
    struct vector cmw;

    vector_octets("evidence.txt", "boot", "cmw", &cmw);
    for (size_t cut = 0; cut < cmw.len; cut++)
        ck_assert_int_eq(record_decode(cmw.data, cut, NULL), ATLS_E_TRUNCATED);
}
END_TEST

/* Refused, or another log in the one encoding that this has. */
START_TEST(test_E12_every_bit_flipped)
{
    struct vector cmw;

    vector_octets("evidence.txt", "boot", "cmw", &cmw);
    for (size_t bit = 0; bit < 8 * cmw.len; bit++) {
        struct atls_reason why = {0};

        cmw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (record_decode(cmw.data, cmw.len, &why) != ATLS_OK)
            ck_assert_uint_gt(strlen(why.text), 0);
        cmw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

/* Evidence maps in hex; each part the smallest that is legal. */
#define VALUE \
    "5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define VALUE1 "54000102030405060708090a0b0c0d0e0f10111213"
#define FIXED "0141aa0241bb038141cc"
#define MAP "a6" FIXED "04a10ba100" VALUE "0583010080"
#define EVENT "84000481" VALUE "40"
#define DATA_256 "590100" DATA_64 DATA_64 DATA_64 DATA_64
#define DATA_64                                                        \
    "0000000000000000000000000000000000000000000000000000000000000000" \
    "0000000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *map;
    enum atls_error r;
    const char *text;
} maps[] = {
    {MAP "0a820081" EVENT, ATLS_OK, ""},
    {MAP "0a820080", ATLS_OK, ""},
    {"a6" FIXED "04a204a100" VALUE1 "0ba100" VALUE
     "05830100800a82008184000482" VALUE1 VALUE "40",
     ATLS_OK, ""},
    {"a5" FIXED "04a10ba100" VALUE "0583010080", ATLS_E_MALFORMED,
     "no boot log (key 10), which format 2 always has"},
    {"a5" FIXED "05830100800a820080", ATLS_E_MALFORMED, "no PCR values"},
    {MAP "0b820080", ATLS_E_MALFORMED, "unknown key 11"},
    {MAP "0a00", ATLS_E_MALFORMED, "expected the boot log (an array)"},
    {MAP "0a8100", ATLS_E_MALFORMED,
     "expected 2 elements in the boot log, found 1"},
    /* Startup locality */
    {MAP "0a820380", ATLS_OK, ""},
    {MAP "0a820480", ATLS_OK, ""},
    {MAP "0a820180", ATLS_E_MALFORMED,
     "the boot log's startup locality is 1, expected 0, 3 or 4"},
    {MAP "0a820280", ATLS_E_MALFORMED, "is 2, expected 0, 3 or 4"},
    {MAP "0a820580", ATLS_E_LIMIT, "is 5, expected 0 to 4"},
    {MAP "0a824080", ATLS_E_MALFORMED, "startup locality (an unsigned"},
    /* Counts */
    {MAP "0a8200a0", ATLS_E_MALFORMED, "the list of boot events (an array)"},
    {MAP "0a8200990201", ATLS_E_LIMIT, "has 513 elements, 512 are allowed"},
    {MAP "0a82009b8000000000000000", ATLS_E_LIMIT, "512 are allowed"},
    {MAP "0a8200990200", ATLS_E_TRUNCATED, "within 512 events of the boot log"},
    {MAP "0a820082" EVENT, ATLS_E_TRUNCATED, "within 2 events of the boot log"},
    /* Events */
    {MAP "0a8200818300048140" VALUE, ATLS_E_MALFORMED,
     "expected 4 elements in an event of the boot log, found 3"},
    {MAP "0a82008184171b00000000ffffffff81" VALUE "40", ATLS_E_NOT_CANONICAL,
     "takes more octets than needed"},
    {MAP "0a82008184171affffffff81" VALUE "40", ATLS_OK, ""},
    {MAP "0a820081841818"
         "0481" VALUE "40",
     ATLS_E_LIMIT,
     "the PCR of a boot event at offset 110 is 24, expected 0 to 23"},
    {MAP "0a82008184001b000000010000000081" VALUE "40", ATLS_E_LIMIT,
     "is 4294967296, expected 0 to 4294967295"},
    {MAP "0a82008184000480" VALUE "40", ATLS_E_MALFORMED,
     "expected 1 elements in the digests of a boot event, found 0"},
    {MAP "0a82008184000482" VALUE VALUE "40", ATLS_E_MALFORMED,
     "expected 1 elements in the digests of a boot event, found 2"},
    {MAP "0a82008184000481" VALUE1 "4c0102030405060708090a0b0c",
     ATLS_E_MALFORMED, "has 20 octets, expected 32 of bank sha256"},
    {MAP "0a8200818400048100" VALUE, ATLS_E_MALFORMED,
     "expected a digest of the boot log (a byte string)"},
    {MAP "0a82008184000481" VALUE "f6", ATLS_E_MALFORMED,
     "expected the data of a boot event (a byte string)"},
    {MAP "0a82008184000481" VALUE DATA_256, ATLS_OK, ""},
    {MAP "0a82008184000481" VALUE "590101" DATA_64 DATA_64 DATA_64 DATA_64 "00",
     ATLS_E_LIMIT, "has 257 octets, 256 are allowed"},
    /* Banks in the order of key 4 and no other */
    {"a6" FIXED "04a204a100" VALUE1 "0ba100" VALUE
     "05830100800a82008184000482" VALUE VALUE1 "40",
     ATLS_E_MALFORMED, "has 32 octets, expected 20 of bank sha1"},
};

START_TEST(test_R2_malformed_boot_logs)
{
    struct atls_reason why = {0};
    uint8_t map[1024];
    size_t map_len;
    enum atls_error r;

    ck_assert(atls_unhex(maps[_i].map, map, sizeof(map), &map_len));
    record_wrap_boot(&record, map, map_len);
    r = record_decode(record.data, record.len, &why);
    ck_assert_msg(r == maps[_i].r, "%s: %s", atls_error_name(r), why.text);
    ck_assert_msg(strstr(why.text, maps[_i].text) != NULL, "%s", why.text);
    ck_assert_int_eq(record_decode(record.data, record.len, NULL), r);
}
END_TEST

START_TEST(test_boot_log_in_format_1)
{
    struct atls_reason why = {0};
    uint8_t map[1024];
    size_t map_len;

    ck_assert(atls_unhex(MAP "0a820081" EVENT, map, sizeof(map), &map_len));
    record_wrap(&record, map, map_len);
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_MALFORMED);
    ck_assert_str_eq(why.text, "malformed evidence: unknown key 10");
}
END_TEST

/* --- what is sent ---------------------------------------------------------- */

static void assert_not_sent(const char *text)
{
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 0;

    ck_assert_int_eq(atls_evidence_encode(&f.evidence, &why, &cmw, &len),
                     ATLS_E_LIMIT);
    ck_assert_str_eq(why.text, text);
    ck_assert_ptr_null(cmw);
}

START_TEST(test_what_cannot_be_sent)
{
    static const uint8_t octets[ATLS_BOOT_WIRE_DATA_MAX + 1];
    static struct atls_boot_event many[ATLS_BOOT_WIRE_EVENTS_MAX + 1];
    struct atls_boot_event *event = f.boot_events;

    factory_init(&f, 0);
    factory_boot(&f, 4, 4, "data");
    factory_make(&f);
    f.evidence.boot_log.startup_locality = 2;
    assert_not_sent("cannot send evidence: the boot log's startup locality is "
                    "2, expected 0, 3 or 4");
    f.evidence.boot_log.startup_locality = 0;
    event->pcr = 24;
    assert_not_sent("cannot send evidence: event 0 of the boot log is of PCR "
                    "24, expected 0 to 23");
    event->pcr = 4;
    event->digests[1].alg = TPM2_ALG_SM3_256;
    assert_not_sent("cannot send evidence: event 0 of the boot log has no "
                    "digest of bank sha256, whose PCRs are sent");
    event->digests[1].alg = TPM2_ALG_SHA256;
    event->data = (struct atls_span){octets, sizeof(octets)};
    assert_not_sent("cannot send evidence: event 0 of the boot log has 257 "
                    "octets of data, 256 are allowed");
    event->data.len--;
    factory_encode(&f);
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = *event;
    f.evidence.boot_log.events = many;
    f.evidence.boot_log.count = COUNT(many);
    assert_not_sent("cannot send evidence: the boot log has 513 events, 512 "
                    "are allowed");
    factory_clear(&f);
}
END_TEST

/* 512 events without data fit; it is the record that is too large with. */
START_TEST(test_S16_most_events)
{
    static struct atls_boot_event many[ATLS_BOOT_WIRE_EVENTS_MAX];
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 0;
    struct atls_evidence *evidence;

    factory_init(&f, 0);
    factory_boot(&f, 4, 4, "a text of some length: forty octets here");
    factory_make(&f);
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = f.boot_events[0];
        many[i].data.len = 0;
    }
    f.evidence.boot_log.events = many;
    f.evidence.boot_log.count = COUNT(many);
    factory_encode(&f);
    evidence = decode(f.cmw, f.cmw_len);
    ck_assert_uint_eq(evidence->boot_log.count, ATLS_BOOT_WIRE_EVENTS_MAX);
    atls_evidence_free(evidence);
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = f.boot_events[0];
    f.evidence.log_count = 11;
    f.evidence.log = (struct atls_span[11]){{NULL, 0}};
    for (size_t i = 0; i < 11; i++)
        f.evidence.log[i] = (struct atls_span){f.cmw, ATLS_LOG_CONTENT_MAX};
    ck_assert_int_eq(atls_evidence_encode(&f.evidence, &why, &cmw, &len),
                     ATLS_E_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(why.text, "octets, 49152 are allowed"));
    factory_clear(&f);
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    /* Evidence, measured log, boot log. */
    struct vector cmw;

    vector_octets("evidence.txt", "boot", "cmw", &cmw);
    record_decode_without_memory(cmw.data, cmw.len, 3);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_boot_vector),
    ONCE(test_boot_vector_replays),
    ONCE(test_digests_follow_the_banks),
    ONCE(test_empty_boot_log_is_a_boot_log),
    ONCE(test_E12_cut_at_every_octet),
    ONCE(test_E12_every_bit_flipped),
    LOOP(test_R2_malformed_boot_logs, 0, COUNT(maps)),
    ONCE(test_boot_log_in_format_1),
    ONCE(test_what_cannot_be_sent),
    ONCE(test_S16_most_events),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "codec_boot", .begin = allocation_install,
      .end = factory_free_keys,
      .cases = {CASE("codec_boot", tests, 60, NULL, NULL)});
