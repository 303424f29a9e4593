/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/codec*.c: format 3, in which certificate events are digests. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"
#include "lib/allocation.h"
#include "lib/record.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct record record;

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

static void assert_events(const struct atls_evidence *evidence,
                          const char *section, size_t count)
{
    uint8_t replayed[ATLS_PCR_DIGEST_MAX];
    struct vector value;

    ck_assert_uint_eq(evidence->format, ATLS_FORMAT_TPM_SHORT);
    ck_assert(evidence->has_log);
    ck_assert_uint_eq(evidence->log_count, count);
    for (size_t i = 0; i < count; i++) {
        char key[32];
        const char *text;

        snprintf(key, sizeof(key), "event.%zu", i);
        text = vector_text("evidence.txt", section, key);
        ck_assert_uint_eq(evidence->log[i].len, strlen(text));
        ck_assert_mem_eq(evidence->log[i].data, text, strlen(text));
    }
    vector_octets("evidence.txt", section, "pcr.15", &value);
    ck_assert_int_eq(
        atls_eventlog_replay(TPM2_ALG_SHA256, evidence->log, count, replayed),
        ATLS_OK);
    ck_assert_mem_eq(replayed, value.data, value.len);
}

START_TEST(test_short_vector)
{
    struct vector cmw;
    struct atls_evidence *evidence;

    vector_octets("evidence.txt", "short", "cmw", &cmw);
    evidence = decode(cmw.data, cmw.len);
    assert_events(evidence, "short", 7);
    ck_assert(!atls_evidence_has_boot_log(evidence));
    atls_evidence_free(evidence);
}
END_TEST

START_TEST(test_short_vector_with_a_boot_log)
{
    struct vector cmw, of_format_2;
    struct atls_evidence *evidence, *other;

    vector_octets("evidence.txt", "short-boot", "cmw", &cmw);
    vector_octets("evidence.txt", "boot", "cmw", &of_format_2);
    evidence = decode(cmw.data, cmw.len);
    other = decode(of_format_2.data, of_format_2.len);
    assert_events(evidence, "common", 3);
    ck_assert(atls_evidence_has_boot_log(evidence));
    ck_assert_uint_eq(evidence->boot_log.startup_locality,
                      other->boot_log.startup_locality);
    ck_assert_uint_eq(evidence->boot_log.count, other->boot_log.count);
    for (size_t i = 0; i < other->boot_log.count; i++) {
        const struct atls_boot_event *event = &evidence->boot_log.events[i];
        const struct atls_boot_event *same = &other->boot_log.events[i];

        ck_assert_uint_eq(event->pcr, same->pcr);
        ck_assert_uint_eq(event->type, same->type);
        ck_assert_mem_eq(atls_boot_event_digest(event, TPM2_ALG_SHA256),
                         atls_boot_event_digest(same, TPM2_ALG_SHA256),
                         ATLS_SHA256_LEN);
    }
    atls_evidence_free(evidence);
    atls_evidence_free(other);
}
END_TEST

/* --- what is refused ------------------------------------------------------- */

START_TEST(test_E12_certificate_event_in_full)
{
    struct atls_reason why = {0};
    struct vector cmw;

    vector_octets("evidence.txt", "short-in-full", "cmw", &cmw);
    ck_assert_int_eq(record_decode(cmw.data, cmw.len, &why),
                     ATLS_E_NOT_CANONICAL);
    ck_assert_ptr_nonnull(strstr(why.text, "the certificate's event at offset "
                                           "2"));
    ck_assert_ptr_nonnull(
        strstr(why.text, " is sent in full, expected its digest"));
}
END_TEST

static const char *const short_sections[] = {"short", "short-boot"};

START_TEST(test_E12_cut_at_every_octet)
{
    struct vector cmw;

    vector_octets("evidence.txt", short_sections[_i], "cmw", &cmw);
    for (size_t cut = 0; cut < cmw.len; cut++)
        ck_assert_int_eq(record_decode(cmw.data, cut, NULL), ATLS_E_TRUNCATED);
}
END_TEST

/* Refused, or another log in the one encoding that this has. */
START_TEST(test_E12_every_bit_flipped)
{
    struct vector cmw;

    vector_octets("evidence.txt", short_sections[_i], "cmw", &cmw);
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
#define BARE "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define MAP "a60141aa0241bb038141cc04a10ba100" VALUE "0583010080"
#define LOG MAP "07820f"
#define EMPTY_BOOT \
    "a70141aa0241bb038141cc04a10ba100" VALUE "058301008007820f800a820080"
/* "certificate sha256:" and 64 digits */
#define FULL                                                               \
    "58536365727469666963617465207368613235363a"                           \
    "61616161616161616161616161616161616161616161616161616161616161616161" \
    "616161616161616161616161616161616161616161616161616161616161"

static const struct {
    const char *map;
    enum atls_error r; /* in format 3 */
    const char *text;
    const char *plain_text; /* in format 1; NULL: legal there */
} maps[] = {
    {LOG "80", ATLS_OK, "", NULL},
    {LOG "8140", ATLS_OK, "", NULL},
    {LOG "8181" VALUE, ATLS_OK, "",
     "expected an event's content (a byte string), found an array"},
    {LOG "82" VALUE "81" VALUE, ATLS_OK, "", "found an array"},
    {LOG "8381" VALUE "81" VALUE "81" VALUE, ATLS_OK, "", "found an array"},
    /* Any octets of that length are a content. */
    {LOG "81" VALUE, ATLS_OK, "", NULL},
    {LOG "81" FULL, ATLS_E_NOT_CANONICAL,
     "the certificate's event at offset 110 is sent in full", NULL},
    {LOG "8281" VALUE FULL, ATLS_E_NOT_CANONICAL,
     "the certificate's event at offset 145 is sent in full", "an array"},
    {LOG "8180", ATLS_E_MALFORMED,
     "expected 1 element in a certificate's event, found 0", "an array"},
    {LOG "8182" VALUE VALUE, ATLS_E_MALFORMED,
     "expected 1 element in a certificate's event, found 2", "an array"},
    {LOG "819bffffffffffffffff", ATLS_E_MALFORMED, "found 18446744073709551615",
     "an array"},
    {LOG "818181" VALUE, ATLS_E_MALFORMED,
     "expected a certificate's digest (a byte string), found an array",
     "an array"},
    {LOG "818100", ATLS_E_MALFORMED,
     "expected a certificate's digest (a byte string), found an unsigned",
     "an array"},
    {LOG "8181582000" BARE, ATLS_E_TRAILING, "", "an array"},
    {LOG "8181581f" BARE, ATLS_E_MALFORMED,
     "a certificate's digest has 31 octets, expected 32", "an array"},
    {LOG "81815821" BARE "00", ATLS_E_MALFORMED,
     "a certificate's digest has 33 octets, expected 32", "an array"},
    {LOG "818140", ATLS_E_MALFORMED,
     "a certificate's digest has 0 octets, expected 32", "an array"},
    {LOG "81815820", ATLS_E_TRUNCATED, "within a certificate's digest",
     "an array"},
    {LOG "8281" VALUE, ATLS_E_TRUNCATED, "within an event's content",
     "an array"},
    {LOG "81819f" BARE, ATLS_E_MALFORMED, "found an item of indefinite length",
     "an array"},
    {LOG "819f" BARE "ff", ATLS_E_MALFORMED,
     "found an item of indefinite length", "indefinite"},
    {LOG "819801" VALUE, ATLS_E_NOT_CANONICAL, "takes more octets than needed",
     "an array"},
    {LOG "8181590020" BARE, ATLS_E_NOT_CANONICAL,
     "takes more octets than needed", "an array"},
    {LOG "8160", ATLS_E_MALFORMED,
     "expected an event's content (a byte string), found a text string",
     "a text string"},
    {LOG "8100", ATLS_E_MALFORMED,
     "expected an event's content (a byte string), found an unsigned integer",
     "an unsigned integer"},
    {LOG "81a0", ATLS_E_MALFORMED, "found a map", "a map"},
    {LOG "81f6", ATLS_E_MALFORMED, "found a float or simple value", "a float"},
    {LOG "990601", ATLS_E_LIMIT, "has 1537 elements, 1536 are allowed",
     "has 1537 elements, 1024 are allowed"},
    {LOG "990600", ATLS_E_TRUNCATED, "within 1536 events",
     "has 1536 elements, 1024 are allowed"},
    {EMPTY_BOOT, ATLS_E_NOT_CANONICAL,
     "its boot log (key 10) is empty, which format 3 leaves out",
     "unknown key 10"},
};

static void expect(enum atls_error r, enum atls_error expected,
                   const struct atls_reason *why, const char *text)
{
    ck_assert_msg(r == expected, "%s: %s", atls_error_name(r), why->text);
    ck_assert_msg(strstr(why->text, text) != NULL, "%s", why->text);
}

START_TEST(test_R2_logs)
{
    struct atls_reason why = {0};
    uint8_t map[1024];
    size_t map_len;

    ck_assert(atls_unhex(maps[_i].map, map, sizeof(map), &map_len));
    record_wrap_short(&record, map, map_len);
    expect(record_decode(record.data, record.len, &why), maps[_i].r, &why,
           maps[_i].text);
    ck_assert_int_eq(record_decode(record.data, record.len, NULL), maps[_i].r);
    why.text[0] = '\0';
    record_wrap(&record, map, map_len);
    if (maps[_i].plain_text == NULL)
        ck_assert_int_eq(record_decode(record.data, record.len, &why), ATLS_OK);
    else
        ck_assert_int_ne(record_decode(record.data, record.len, &why), ATLS_OK);
    if (maps[_i].plain_text != NULL)
        ck_assert_msg(strstr(why.text, maps[_i].plain_text) != NULL, "%s",
                      why.text);
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    /* Evidence, measured log, certificates' contents. */
    struct vector cmw;

    vector_octets("evidence.txt", "short", "cmw", &cmw);
    record_decode_without_memory(cmw.data, cmw.len, 3);
}
END_TEST

/* --- many certificates ----------------------------------------------------- */

static uint8_t octets[ATLS_CERTIFICATE_MAX];
static struct atls_span logged[ATLS_LOG_EVENTS_MAX + 1];
static char contents[ATLS_LOG_EVENTS_MAX + 1][ATLS_CERTIFICATE_CONTENT_LEN];

/* What a machine of some size sends: three certificates of RSA-2048, two banks, a
 * path of twelve nodes. */
static void make_evidence(struct atls_evidence *ret, size_t certificates)
{
    memset(ret, 0, sizeof(*ret));
    ret->format = ATLS_FORMAT_TPM_SHORT;
    ret->quote = (struct atls_span){octets, 200};
    ret->signature = (struct atls_span){octets, 262};
    ret->chain_count = 3;
    for (size_t i = 0; i < 3; i++)
        ret->chain[i] = (struct atls_span){octets, 1400};
    ret->pcrs.count = 2;
    ret->pcrs.banks[0].alg = TPM2_ALG_SHA256;
    ret->pcrs.banks[1].alg = TPM2_ALG_SHA384;
    ret->pcrs.banks[0].mask = ret->pcrs.banks[1].mask = 0xffffff;
    ret->merkle.tree_size = ATLS_BATCH_MAX;
    ret->merkle.path_count = ATLS_PATH_MAX;
    ret->has_log = true;
    ret->log_pcr = 15;
    ret->log = logged;
    ret->log_count = certificates;
    for (size_t i = 0; i < certificates; i++) {
        uint8_t digest[ATLS_SHA256_LEN] = {(uint8_t)i, (uint8_t)(i >> 8)};

        atls_event_write_certificate(digest, contents[i]);
        logged[i] = (struct atls_span){(const uint8_t *)contents[i],
                                       sizeof(contents[i])};
    }
}

START_TEST(test_T17_a_thousand_certificates_fit)
{
    struct atls_evidence evidence, *decoded;
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_evidence(&evidence, 1000);
    ck_assert_msg(atls_evidence_encode(&evidence, &why, &cmw, &len) == ATLS_OK,
                  "%s", why.text);
    ck_assert_uint_eq(atls_evidence_len(&evidence), len);
    decoded = decode(cmw, len);
    ck_assert_uint_eq(decoded->log_count, 1000);
    for (size_t i = 0; i < 1000; i++) {
        ck_assert_uint_eq(decoded->log[i].len, logged[i].len);
        ck_assert_mem_eq(decoded->log[i].data, logged[i].data, logged[i].len);
    }
    atls_evidence_free(decoded);
    OPENSSL_free(cmw);
    /* For who knows format 1 alone there are too many. */
    evidence.format = ATLS_FORMAT_TPM;
    ck_assert_int_eq(atls_evidence_encode(&evidence, &why, &cmw, &len),
                     ATLS_E_TOO_LARGE);
    ck_assert_ptr_nonnull(
        strstr(why.text, "are the measured log (1000 events)"));
}
END_TEST

START_TEST(test_T17_events_at_their_limit)
{
    struct atls_evidence evidence;
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_evidence(&evidence, ATLS_LOG_EVENTS_MAX + 1);
    for (size_t i = 0; i < COUNT(logged); i++)
        logged[i].len = i % 3;
    evidence.log_count = ATLS_LOG_EVENTS_MAX;
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_int_eq(record_decode(cmw, len, NULL), ATLS_OK);
    OPENSSL_free(cmw);
    evidence.log_count++;
    ck_assert_int_eq(atls_evidence_encode(&evidence, &why, &cmw, &len),
                     ATLS_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(why.text,
                                 "the measured log has 1537 events of PCR 15, "
                                 "1536 are allowed in format 3"));
}
END_TEST

/* What the decoder holds, whatever the record claims: R2. */
static void expect_peak_below(size_t limit)
{
    size_t before = allocation_in_use();
    struct atls_evidence *evidence = NULL;

    allocation_fail_at(0);
    (void)!atls_evidence_decode((struct atls_span){record.data, record.len},
                                NULL, &evidence);
    ck_assert_uint_lt(allocation_peak(), limit);
    atls_evidence_free(evidence);
    ck_assert_uint_eq(allocation_in_use(), before);
}

START_TEST(test_R2_memory_of_the_longest_logs)
{
    static uint8_t map[ATLS_CMW_MAX];
    size_t len;

    /* As many certificates as there is room for. */
    ck_assert(atls_unhex(LOG "990600", map, sizeof(map), &len));
    while (len + 35 <= ATLS_CMW_MAX - 64) {
        memcpy(map + len, "\x81\x58\x20", 3);
        memset(map + len + 3, (int)len & 0xff, 32);
        len += 35;
    }
    record_wrap_short(&record, map, len);
    ck_assert_uint_le(record.len, ATLS_CMW_MAX);
    expect_peak_below(200u << 10);
    /* One at the head of many that are empty. */
    ck_assert(atls_unhex(LOG "99060081" VALUE, map, sizeof(map), &len));
    memset(map + len, 0x40, 1535);
    record_wrap_short(&record, map, len + 1535);
    expect_peak_below(64u << 10);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_short_vector),
    ONCE(test_short_vector_with_a_boot_log),
    ONCE(test_E12_certificate_event_in_full),
    LOOP(test_E12_cut_at_every_octet, 0, COUNT(short_sections)),
    LOOP(test_E12_every_bit_flipped, 0, COUNT(short_sections)),
    LOOP(test_R2_logs, 0, COUNT(maps)),
    ONCE(test_R3_every_allocation_fails),
    ONCE(test_T17_a_thousand_certificates_fit),
    ONCE(test_T17_events_at_their_limit),
    ONCE(test_R2_memory_of_the_longest_logs),
};

SUITE(.name = "codec_log", .begin = allocation_install,
      .cases = {CASE("codec_log", tests, 60, NULL, NULL)});
