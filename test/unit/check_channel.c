/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lib/suite.h"
#include "tls/channel.h"

/* Computed apart from our code, with Python's hmac module:
 *   info = 0020 12 "tls13 attested tls" 01 role; HMAC(S, info || 01)[:32] */
static const struct {
    size_t secret_len;
    enum atls_role role;
    const char *channel;
} vectors[] = {
    {32, ATLS_ROLE_SERVER,
     "87be49124bcbd4e7dd460906a61977af"
     "d9df0db0c960ff05208927065fcf3c8f"},
    {32, ATLS_ROLE_CLIENT,
     "6953668f18ac6b483e363c5d91d0ae38"
     "b681f47e6758e85797c85104813c0837"},
    {48, ATLS_ROLE_SERVER,
     "9b8167ca2743ee932d8871139cb42e08"
     "85492d07a418c88cd305b2b5d7192f6b"},
    {48, ATLS_ROLE_CLIENT,
     "20765201e122d7f6e010b8a3206a6937"
     "0066b873bb61949e6ac9f9c18b5a2d8e"},
};

static void fill_secret(uint8_t secret[64])
{
    for (unsigned i = 0; i < 64; i++)
        secret[i] = (uint8_t)i;
}

START_TEST(test_derive_gives_the_vectors)
{
    uint8_t secret[64], channel[ATLS_CHANNEL_LEN];
    char hex[2 * ATLS_CHANNEL_LEN + 1];

    fill_secret(secret);
    ck_assert_int_eq(atls_channel_derive(secret, vectors[_i].secret_len,
                                         vectors[_i].role, channel),
                     ATLS_OK);
    atls_hex(channel, sizeof(channel), hex);
    ck_assert_str_eq(hex, vectors[_i].channel);
}
END_TEST

START_TEST(test_derive_takes_no_other_length)
{
    static const size_t lengths[] = {0, 1, 31, 33, 47, 49, 64};
    uint8_t secret[64], channel[ATLS_CHANNEL_LEN];

    fill_secret(secret);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        ck_assert_int_eq(
            atls_channel_derive(secret, lengths[i], ATLS_ROLE_SERVER, channel),
            ATLS_E_NO_CHANNEL);
}
END_TEST

#define RANDOM \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define LABEL "SERVER_HANDSHAKE_TRAFFIC_SECRET "
#define OTHER_RANDOM \
    "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const struct {
    const char *line;
    enum atls_error expected;
    size_t len;
} lines[] = {
    {LABEL RANDOM " " RANDOM, ATLS_OK, 32},
    {LABEL RANDOM " " RANDOM "000102030405060708090a0b0c0d0e0f", ATLS_OK, 48},
    {LABEL RANDOM " 0g", ATLS_E_NO_CHANNEL, 0},
    {LABEL RANDOM " " RANDOM "0", ATLS_E_NO_CHANNEL, 0},
    {LABEL RANDOM " " RANDOM " ", ATLS_E_NO_CHANNEL, 0},
    {LABEL RANDOM " " RANDOM RANDOM, ATLS_E_NO_CHANNEL, 0},
    {LABEL RANDOM "_" RANDOM, ATLS_E_NO_CHANNEL, 0},
    {LABEL RANDOM, ATLS_E_NO_CHANNEL, 0},
    {LABEL OTHER_RANDOM " " RANDOM, ATLS_E_NO_CHANNEL, 0},
    {LABEL, ATLS_E_NO_CHANNEL, 0},
    {"SERVER_TRAFFIC_SECRET_0 " RANDOM " " RANDOM, ATLS_E_NO_CHANNEL, 0},
    {"CLIENT_HANDSHAKE_TRAFFIC_SECRET " RANDOM " " RANDOM, ATLS_E_NO_CHANNEL,
     0},
    {"EXPORTER_SECRET " RANDOM " " RANDOM, ATLS_E_NO_CHANNEL, 0},
    {"", ATLS_E_NO_CHANNEL, 0},
};

START_TEST(test_keylog_takes_only_this_connections_secret)
{
    uint8_t random[32], secret[48];
    size_t len = 0;

    for (unsigned i = 0; i < sizeof(random); i++)
        random[i] = (uint8_t)i;
    ck_assert_int_eq(
        atls_channel_parse_keylog(lines[_i].line, random, secret, &len),
        lines[_i].expected);
    if (lines[_i].expected == ATLS_OK) {
        ck_assert_uint_eq(len, lines[_i].len);
        ck_assert_uint_eq(secret[31], 31);
    }
}
END_TEST

static void expect_formats(const struct atls_formats *found,
                           const struct atls_formats *expected)
{
    ck_assert_uint_eq(found->count, expected->count);
    for (size_t i = 0; i < expected->count; i++)
        ck_assert_uint_eq(found->list[i], expected->list[i]);
}

START_TEST(test_request_is_what_we_parse)
{
    static const struct {
        bool asks_boot_log;
        size_t len;
        uint8_t octets[ATLS_REQUEST_MAX];
    } expected[] = {
        {false, 10, {1, 4, 0, 3, 0, 1, 0, 0, 0, 0}},
        {true, 12, {1, 6, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0}},
    };
    const struct atls_formats formats =
        atls_request_formats(expected[_i].asks_boot_log);
    uint8_t request[ATLS_REQUEST_MAX];
    struct atls_formats parsed;
    struct atls_reason why;

    ck_assert_uint_eq(atls_request_write(&formats, request), expected[_i].len);
    ck_assert_mem_eq(request, expected[_i].octets, expected[_i].len);
    ck_assert_int_eq(
        atls_request_parse(request, expected[_i].len, &why, &parsed), ATLS_OK);
    expect_formats(&parsed, &formats);
}
END_TEST

static const struct {
    const char *octets;
    size_t len;
    enum atls_error expected;
    struct atls_formats formats;
    const char *text;
} requests[] = {
    {"", 0, ATLS_E_REQUEST, {0, {0}}, "is empty"},
    {"\x01", 1, ATLS_E_REQUEST, {0, {0}}, "ends after its version"},
    /* A later version is not for us. */
    {"\x02", 1, ATLS_OK, {0, {0}}, NULL},
    {"\x02\xff\xff", 3, ATLS_OK, {0, {0}}, NULL},
    {"\x01\x00\0\0\0\0", 6, ATLS_E_REQUEST, {0, {0}}, "0 of formats"},
    {"\x01\x01\x01\0\0\0\0", 7, ATLS_E_REQUEST, {0, {0}}, "1 of formats"},
    {"\x01\x02\x00\x01\0\0\0", 7, ATLS_E_REQUEST, {0, {0}}, "has 7 octets"},
    {"\x01\x02\x00\x01\0\0\0\0\0", 9, ATLS_E_REQUEST, {0, {0}}, "has 9 octets"},
    {"\x01\x04\x00\x01\0\0\0\0", 8, ATLS_E_REQUEST, {0, {0}}, "4 of formats"},
    {"\x01\x02\x00\x01\0\0\0\0", 8, ATLS_OK, {1, {1}}, NULL},
    {"\x01\x02\x00\x02\0\0\0\0", 8, ATLS_OK, {1, {2}}, NULL},
    {"\x01\x02\x00\x01\xff\xff\xff\xff", 8, ATLS_OK, {1, {1}}, NULL},
    /* Formats we lack, and an order that is the peer's. */
    {"\x01\x02\x00\x04\0\0\0\0", 8, ATLS_OK, {0, {0}}, NULL},
    {"\x01\x02\x00\x00\0\0\0\0", 8, ATLS_OK, {0, {0}}, NULL},
    {"\x01\x02\x00\x03\0\0\0\0", 8, ATLS_OK, {1, {3}}, NULL},
    {"\x01\x02\x01\x00\0\0\0\0", 8, ATLS_OK, {0, {0}}, NULL},
    {"\x01\x02\x01\x01\0\0\0\0", 8, ATLS_OK, {0, {0}}, NULL},
    {"\x01\x04\x00\x02\x00\x01\0\0\0\0", 10, ATLS_OK, {2, {2, 1}}, NULL},
    {"\x01\x06\x00\x04\x00\x01\x00\x02\0\0\0\0",
     12,
     ATLS_OK,
     {2, {1, 2}},
     NULL},
    {"\x01\x0a\x00\x02\x00\x03\x00\x02\x00\x01\x00\x03\0\0\0\0",
     16,
     ATLS_OK,
     {3, {2, 3, 1}},
     NULL},
    {"\x01\x06\x00\x02\x00\x02\x00\x02\0\0\0\0", 12, ATLS_OK, {1, {2}}, NULL},
};

START_TEST(test_request_parse)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_formats formats = {7, {7, 7}};

    ck_assert_int_eq(atls_request_parse((const uint8_t *)requests[_i].octets,
                                        requests[_i].len, &why, &formats),
                     requests[_i].expected);
    expect_formats(&formats, &requests[_i].formats);
    if (requests[_i].text != NULL)
        ck_assert_msg(strstr(why.text, requests[_i].text) != NULL, "%s",
                      why.text);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static const struct suite_test tests[] = {
    LOOP(test_derive_gives_the_vectors, 0, COUNT(vectors)),
    ONCE(test_derive_takes_no_other_length),
    LOOP(test_keylog_takes_only_this_connections_secret, 0, COUNT(lines)),
    LOOP(test_request_is_what_we_parse, 0, 2),
    LOOP(test_request_parse, 0, COUNT(requests)),
};

SUITE(.name = "channel", .cases = {CASE("channel", tests, 0, NULL, NULL)});
