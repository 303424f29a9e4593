/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/codec_decode.c and cbor_reader.c: records that are malformed, and
 * what they cost. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/digest.h"
#include "evidence/codec.h"
#include "lib/allocation.h"
#include "lib/record.h"
#include "lib/suite.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct record record;

/* Evidence maps in hex; each part the smallest that is legal. */
#define QUOTE "0141aa"
#define SIGNATURE "0241bb"
#define CHAIN "038141cc"
#define VALUE \
    "5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define VALUE1 "54000102030405060708090a0b0c0d0e0f10111213"
#define PCRS "04a10ba100" VALUE
#define MERKLE "0583010080"
#define EPOCH "0601"
#define LOG "07820f80"
#define UNSORTED "out of order or there twice"

static const struct {
    const char *map;
    enum atls_error r;
    const char *text;
} maps[] = {
    {"a5" QUOTE SIGNATURE CHAIN PCRS MERKLE, ATLS_OK, ""},
    {"a5" QUOTE SIGNATURE CHAIN PCRS EPOCH, ATLS_OK, ""},
    {"a6" QUOTE SIGNATURE CHAIN PCRS MERKLE LOG, ATLS_OK, ""},
    /* Completeness */
    {"a0", ATLS_E_MALFORMED, "no quote (key 1)"},
    {"a4" SIGNATURE CHAIN PCRS MERKLE, ATLS_E_MALFORMED, "no quote (key 1)"},
    {"a4" QUOTE CHAIN PCRS MERKLE, ATLS_E_MALFORMED, "no signature (key 2)"},
    {"a4" QUOTE SIGNATURE PCRS MERKLE, ATLS_E_MALFORMED, "no AK chain (key 3)"},
    {"a4" QUOTE SIGNATURE CHAIN MERKLE, ATLS_E_MALFORMED,
     "no PCR values (key 4)"},
    {"a4" QUOTE SIGNATURE CHAIN PCRS, ATLS_E_MALFORMED,
     "either a Merkle proof or an epoch time, found none"},
    {"a6" QUOTE SIGNATURE CHAIN PCRS MERKLE EPOCH, ATLS_E_MALFORMED,
     "either a Merkle proof or an epoch time, found both"},
    /* Keys */
    {"a6" QUOTE QUOTE SIGNATURE CHAIN PCRS MERKLE, ATLS_E_NOT_CANONICAL,
     "key 1 at offset 49 is " UNSORTED},
    {"a5" SIGNATURE QUOTE CHAIN PCRS MERKLE, ATLS_E_NOT_CANONICAL,
     "key 1 at offset 49 is " UNSORTED},
    {"a6" QUOTE SIGNATURE CHAIN PCRS MERKLE "0a00", ATLS_E_MALFORMED,
     "unknown key 10"},
    {"a6"
     "0000" QUOTE SIGNATURE CHAIN PCRS MERKLE,
     ATLS_E_MALFORMED, "unknown key 0"},
    {"a11bffffffffffffffff00", ATLS_E_MALFORMED,
     "unknown key 18446744073709551615"},
    {"a12000", ATLS_E_MALFORMED,
     "expected key (an unsigned integer), found a negative integer"},
    {"a1613100", ATLS_E_MALFORMED, "found a text string"},
    /* Banks and PCRs */
    {"a5" QUOTE SIGNATURE CHAIN "04a204a100" VALUE1 "0ba100" VALUE MERKLE,
     ATLS_OK, ""},
    {"a5" QUOTE SIGNATURE CHAIN "04a20ba100" VALUE "04a100" VALUE1 MERKLE,
     ATLS_E_NOT_CANONICAL, "bank 4 at offset"},
    {"a5" QUOTE SIGNATURE CHAIN "04a20ba100" VALUE "0ba100" VALUE MERKLE,
     ATLS_E_NOT_CANONICAL, "bank 11 at offset"},
    {"a5" QUOTE SIGNATURE CHAIN "04a10ba200" VALUE "00" VALUE MERKLE,
     ATLS_E_NOT_CANONICAL, "PCR 0 at offset"},
    {"a5" QUOTE SIGNATURE CHAIN "04a10ba202" VALUE "01" VALUE MERKLE,
     ATLS_E_NOT_CANONICAL, "PCR 1 at offset"},
    {"a5" QUOTE SIGNATURE CHAIN "04a0" MERKLE, ATLS_E_MALFORMED,
     "no PCR values"},
    {"a5" QUOTE SIGNATURE CHAIN "04a10ba0" MERKLE, ATLS_E_MALFORMED,
     "bank sha256 is empty"},
    /* Records with another number of elements */
    {"a5" QUOTE SIGNATURE CHAIN PCRS "05820100", ATLS_E_MALFORMED,
     "expected 3 elements in the Merkle proof, found 2"},
    {"a5" QUOTE SIGNATURE CHAIN PCRS "058401008000", ATLS_E_MALFORMED,
     "expected 3 elements in the Merkle proof, found 4"},
    {"a6" QUOTE SIGNATURE CHAIN PCRS MERKLE "07830f8000", ATLS_E_MALFORMED,
     "expected 2 elements in the measured log, found 3"},
    {"a6" QUOTE SIGNATURE CHAIN PCRS MERKLE "098241aa41bb", ATLS_E_MALFORMED,
     "expected 3 elements in the key's certification, found 2"},
    /* Kinds of items */
    {"00", ATLS_E_MALFORMED, "expected the evidence (a map)"},
    {"80", ATLS_E_MALFORMED, "expected the evidence (a map), found an array"},
    {"a101f6", ATLS_E_MALFORMED, "found a float or simple value"},
    {"a101f4", ATLS_E_MALFORMED, "found a float or simple value"},
    {"a101fb3ff0000000000000", ATLS_E_MALFORMED,
     "found a float or simple value"},
    {"a101c041aa", ATLS_E_MALFORMED, "found a tag"},
    {"a10161aa", ATLS_E_MALFORMED, "found a text string"},
    {"a101ff", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"a1015f41aaff", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"a1017f61aaff", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"a1039f41aaff", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"bf01ff", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"a1011c", ATLS_E_MALFORMED, "is not CBOR: reserved octet 0x1c"},
    {"a101fc", ATLS_E_MALFORMED, "is not CBOR: reserved octet 0xfc"},
    {"a10400", ATLS_E_MALFORMED, "expected the PCR values (a map)"},
    {"a104a10b00", ATLS_E_MALFORMED, "expected the values of a bank (a map)"},
    {"a104a10ba10000", ATLS_E_MALFORMED,
     "expected a PCR value (a byte string)"},
    {"a10583410100", ATLS_E_MALFORMED, "the Merkle tree size (an unsigned"},
    {"a105830141aa80", ATLS_E_MALFORMED, "the Merkle leaf index (an unsigned"},
    {"a1058301004100", ATLS_E_MALFORMED, "the Merkle path (an array)"},
    {"a10641aa", ATLS_E_MALFORMED, "the epoch time (an unsigned integer)"},
    {"a1078261", ATLS_E_TRUNCATED, "within the log's PCR"},
    {"a107824080", ATLS_E_MALFORMED, "the log's PCR (an unsigned integer)"},
    {"a107820fa0", ATLS_E_MALFORMED, "the list of events (an array)"},
    {"a107820f8100", ATLS_E_MALFORMED, "an event's content (a byte string)"},
    {"a10841", ATLS_E_TRUNCATED, "within the authority"},
    {"a10900", ATLS_E_MALFORMED, "the key's certification (an array)"},
    {"a1098341aa41bb00", ATLS_E_MALFORMED, "the certified key (a byte string)"},
    /* Octets after the map, within the CMW's value */
    {"a5" QUOTE SIGNATURE CHAIN PCRS MERKLE "00", ATLS_E_TRAILING,
     "1 octets after the end of the evidence"},
    /* Lengths and counts that are not there */
    {"a1015affffffff", ATLS_E_TRUNCATED, "within the quote"},
    {"a1015a80000000aa", ATLS_E_TRUNCATED, "within the quote"},
    {"a1015bffffffffffffffff", ATLS_E_TRUNCATED, "within the quote"},
    {"a1015bfffffffffffffff6aa", ATLS_E_TRUNCATED, "within the quote"},
    {"a1015b0000000100000001aa", ATLS_E_TRUNCATED, "within the quote"},
    {"a1039a10000000", ATLS_E_LIMIT, "has 268435456 elements, 8 are allowed"},
    {"a1039bffffffffffffffff", ATLS_E_LIMIT, "8 are allowed"},
    {"a104ba10000000", ATLS_E_TRUNCATED, "within bank"},
    {"a104a10bbbffffffffffffffff", ATLS_E_TRUNCATED, "within PCR"},
    {"a105830a009a10000000", ATLS_E_LIMIT, "12 are allowed"},
    {"a107820f9a10000000", ATLS_E_LIMIT, "1024 are allowed"},
    {"a107820f9b8000000000000000", ATLS_E_LIMIT, "1024 are allowed"},
    {"a107820f990400", ATLS_E_TRUNCATED, "within 1024 events"},
    {"a107820f8240", ATLS_E_TRUNCATED, "within 2 events"},
    {"a107820f8141", ATLS_E_TRUNCATED, "within an event's content"},
    {"ba10000000", ATLS_E_TRUNCATED, "within key"},
    {"bbffffffffffffffff", ATLS_E_TRUNCATED, "within key"},
};

START_TEST(test_R2_malformed_maps)
{
    struct atls_reason why = {0};
    uint8_t map[512];
    size_t map_len;
    enum atls_error r;

    ck_assert(atls_unhex(maps[_i].map, map, sizeof(map), &map_len));
    record_wrap(&record, map, map_len);
    r = record_decode(record.data, record.len, &why);
    ck_assert_msg(r == maps[_i].r, "%s: %s", atls_error_name(r), why.text);
    ck_assert_msg(strstr(why.text, maps[_i].text) != NULL, "%s", why.text);
    ck_assert_int_eq(record_decode(record.data, record.len, NULL), r);
}
END_TEST

static const struct {
    const char *hex;
    enum atls_error r;
    const char *text;
} records[] = {
    {"", ATLS_E_TRUNCATED, "the evidence is empty"},
    {"82", ATLS_E_MALFORMED, "expected 3 elements in the CMW record, found 2"},
    {"84", ATLS_E_MALFORMED, "expected 3 elements in the CMW record, found 4"},
    {"a3", ATLS_E_MALFORMED, "the CMW record (an array), found a map"},
    {"d9d9f783", ATLS_E_MALFORMED, "found a tag"},
    {"9f", ATLS_E_MALFORMED, "found an item of indefinite length"},
    {"9a10000000", ATLS_E_MALFORMED, "found 268435456"},
    {"9bffffffffffffffff", ATLS_E_MALFORMED, "found 18446744073709551615"},
    {"83190100", ATLS_E_FORMAT, "unknown evidence format 256, expected 'app"},
    {"836161", ATLS_E_FORMAT, "unknown evidence format 'a', expected 'app"},
    {"83630a1b61", ATLS_E_FORMAT, "unknown evidence format '??a'"},
    {"8341aa", ATLS_E_MALFORMED, "expected the CMW type (text), found a byte"},
    {"837bffffffffffffffff", ATLS_E_TRUNCATED, "within the CMW type"},
    {"1e", ATLS_E_MALFORMED, "reserved octet 0x1e at offset 0"},
};

START_TEST(test_R2_malformed_records)
{
    struct atls_reason why = {0};
    uint8_t cmw[64];
    size_t len;
    enum atls_error r;

    ck_assert(atls_unhex(records[_i].hex, cmw, sizeof(cmw), &len));
    r = record_decode(cmw, len, &why);
    ck_assert_msg(r == records[_i].r, "%s: %s", atls_error_name(r), why.text);
    ck_assert_msg(strstr(why.text, records[_i].text) != NULL, "%s", why.text);
}
END_TEST

/* The type differs in its last octet, or is longer: not only a prefix counts. */
START_TEST(test_types_that_are_nearly_ours)
{
    static const char longer[] = "\x83\x78\x29" ATLS_FORMAT_TPM_TYPE "s";
    struct atls_reason why = {0};

    record_build(&record, &record_plain);
    record.data[3 + strlen(ATLS_FORMAT_TPM_TYPE) - 1] ^= 1;
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_FORMAT);
    ck_assert_int_eq(
        record_decode((const uint8_t *)longer, sizeof(longer) - 1, &why),
        ATLS_E_FORMAT);
}
END_TEST

/* An indicator that is no integer, a value that is no byte string. */
START_TEST(test_cmw_elements_of_another_kind)
{
    struct atls_reason why = {0};

    record_build(&record, &record_plain);
    record.data[record.len - 1] = 0xf6;
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_MALFORMED);
    ck_assert_ptr_nonnull(
        strstr(why.text, "expected the CMW indicator (an unsigned integer), "
                         "found a float or simple value"));
    record.data[3 + strlen(ATLS_FORMAT_TPM_TYPE)] ^= 0x40 ^ 0x60;
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(
        why.text, "expected the CMW value (a byte string), found a text"));
}
END_TEST

/* 48 KiB that only open arrays, maps or tags, at each place of a record. */
START_TEST(test_R2_deep_nesting)
{
    static const uint8_t openers[] = {0x81, 0xa1, 0xc1, 0x9f, 0xbf, 0x5f, 0x82};
    static uint8_t deep[ATLS_CMW_MAX];

    for (size_t i = 0; i < COUNT(openers); i++) {
        struct atls_reason why = {0};

        memset(deep, openers[i], sizeof(deep));
        ck_assert_int_eq(record_decode(deep, sizeof(deep), &why),
                         ATLS_E_MALFORMED);
        record_wrap(&record, deep, sizeof(deep) - 100);
        ck_assert_int_eq(record_decode(record.data, record.len, &why),
                         ATLS_E_MALFORMED);
    }
}
END_TEST

static long peak_kib(void)
{
    struct rusage usage;

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Ours by the allocator, libcbor's by what the process ever took. */
START_TEST(test_R2_peak_memory_of_all_bombs)
{
    long before;

    record_build(&record, &record_plain);
    ck_assert_int_eq(record_decode(record.data, record.len, NULL), ATLS_OK);
    before = peak_kib();
    allocation_fail_at(0);
    for (size_t i = 0; i < COUNT(maps); i++) {
        uint8_t map[512];
        size_t map_len;

        ck_assert(atls_unhex(maps[i].map, map, sizeof(map), &map_len));
        record_wrap(&record, map, map_len);
        ck_assert_int_eq(record_decode(record.data, record.len, NULL),
                         maps[i].r);
    }
    ck_assert_uint_lt(allocation_peak(), 64 * 1024);
    ck_assert_int_le(peak_kib() - before, 1024);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_R2_malformed_maps, 0, COUNT(maps)),
    LOOP(test_R2_malformed_records, 0, COUNT(records)),
    ONCE(test_types_that_are_nearly_ours),
    ONCE(test_cmw_elements_of_another_kind),
    ONCE(test_R2_deep_nesting),
    ONCE(test_R2_peak_memory_of_all_bombs),
};

SUITE(.name = "codec_malformed", .begin = allocation_install,
      .cases = {CASE("codec_malformed", tests, 0, NULL, NULL)});
