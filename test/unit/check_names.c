/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/suite.h"
#include "verifier/names.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define LABEL_63 \
    "a23456789012345678901234567890123456789012345678901234567890123"
/* 253 characters: three labels of 63, one of 61. */
#define NAME_253                       \
    LABEL_63 "." LABEL_63 "." LABEL_63 \
             ".a234567890123456789012345678901234567890123456789012345678901"

/* RFC 9525 §6.3, and addresses as numbers. */
static const struct {
    const char *pattern;
    const char *name;
    bool matches;
} matches[] = {
    /* Names, case, the trailing dot. */
    {"api.example.com", "api.example.com", true},
    {"api.example.com", "API.Example.COM", true},
    {"API.EXAMPLE.COM", "api.example.com", true},
    {"api.example.com", "api.example.com.", true},
    {"api.example.com", "api.example.com..", false},
    {"api.example.com", "api.example.co", false},
    {"api.example.com", "xapi.example.com", false},
    {"api.example.com", "evil.com/api.example.com", false},
    {"api.example.com", "api.example.com ", false},
    {"api.example.com", "", false},
    {"api.example.com", ".", false},
    {"api.example.com", ".api.example.com", false},
    {"localhost", "LocalHost", true},
    {"my_service", "my_service", true},
    {"api[example", "api{example", false},
    {NAME_253, NAME_253, true},
    {NAME_253, NAME_253 ".", true},
    /* Wildcards: one whole leftmost label. */
    {"*.example.net", "a.example.net", true},
    {"*.example.net", "A.EXAMPLE.NET.", true},
    {"*.example.net", "a.b.example.net", false},
    {"*.example.net", "example.net", false},
    {"*.example.net", ".example.net", false},
    {"*.example.net", "a.example.org", false},
    {"*.example.net", "aexample.net", false},
    {"*.example.net", "*.example.net", false},
    {"*.b.example.net", "a.b.example.net", true},
    {"a*.example.net", "ab.example.net", false},
    {"*", "localhost", false},
    {"*.", "localhost", false},
    {"*.", "localhost.", false},
    /* A-labels are names like others, U-labels are none (RFC 9525 §6.3). */
    {"xn--bcher-kva.example", "XN--BCHER-KVA.example", true},
    {"*.example", "xn--bcher-kva.example", true},
    {"b\xc3\xbc"
     "cher.example",
     "b\xc3\xbc"
     "cher.example",
     false},
    {"\xc4\xb0.example", "i.example", false},
    /* IPv4. */
    {"10.0.0.1", "10.0.0.1", true},
    {"10.0.0.1", "10.0.0.1.", true},
    {"10.0.0.1", "10.0.0.2", false},
    {"8.0.0.1", "010.0.0.1", true},
    {"10.0.0.1", "10.1", true},
    {"10.0.0.1", "0x0a000001", true},
    {"10.0.0.1", "[10.0.0.1]", false},
    {"10.0.0.0/8", "10.255.255.255", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.0/8", "example.com", false},
    {"10.0.0.0/9", "10.127.0.1", true},
    {"10.0.0.0/9", "10.128.0.1", false},
    {"192.0.2.7/32", "192.0.2.7", true},
    {"192.0.2.7/32", "192.0.2.6", false},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    /* IPv6, and IPv4 inside of it. */
    {"2001:db8::/32", "2001:db8:1::5", true},
    {"2001:db8::/32", "2001:DB8:1::5", true},
    {"2001:db8::/32", "[2001:db8::5]", true},
    {"2001:db8::/32", "2001:db9::5", false},
    {"2001:db8::/32", "[2001:db8::5", false},
    {"2001:db8::/32", "2001:db8::5]", false},
    {"2001:db8::/32", "[]", false},
    {"2001:db8::5", "2001:0db8:0000::0005", true},
    {"::1/128", "::1", true},
    {"::/0", "2001:db8::1", true},
    {"::/0", "10.0.0.1", false},
    {"::/0", "::ffff:10.0.0.1", false},
    {"10.0.0.1", "::ffff:10.0.0.1", true},
    {"::ffff:10.0.0.1", "10.0.0.1", true},
    {"10.0.0.0/8", "::ffff:a01:203", true},
    {"::ffff:10.0.0.0/104", "10.9.8.7", true},
    {"::ffff:10.0.0.0/104", "11.9.8.7", false},
    {"fe80::1", "fe80::1%eth0", true},
    /* Patterns with names never match addresses, nor the reverse. */
    {"*.0.0.1", "10.0.0.1", false},
    {"*.2.3", "1.2.3", false},
    {"1.2.0.3", "1.2.3", true},
    {"10.0.0.1", "10.0.0.1 ", false},
    {"10.0.0.1", "10.0.0.256", false},
    {"10.0.0.1", "10.0.0.0.1", false},
    {"0.0.0.10", "0xA", true},
    {"0.0.0.10", "a", false},
    {"::1", "::1%", false},
    {"::1", "[::1%lo]", true},
    {"::1", "[127.0.0.1]", false},
    {"010.0.0.1", "010.0.0.1", false},
    {"host.0x7f", "host.0x7f", false},
    {"host.0X", "host.0X", false},
    {"host.0xg", "host.0xg", true},
    {"1.2.3.example", "1.2.3.example", true},
};

START_TEST(test_P7_name_matches)
{
    ck_assert_msg(atls_name_matches(matches[_i].pattern, matches[_i].name)
                      == matches[_i].matches,
                  "'%s' and '%s'", matches[_i].pattern, matches[_i].name);
}
END_TEST

static const struct {
    const char *pattern;
    bool is_legal;
} patterns[] = {
    {"api.example.com", true},
    {"*.example.com", true},
    {"*.com", true},
    {"localhost", true},
    {"my_service", true},
    {"xn--bcher-kva.example", true},
    {LABEL_63 ".example", true},
    {LABEL_63 "4.example", false},
    {NAME_253, true},
    {NAME_253 "x", false},
    {"", false},
    {".", false},
    {"*", false},
    {"*.", false},
    {"a.*", false},
    {"*a.b", false},
    {"a*.b", false},
    {"*.*.b", false},
    {"a.*.b", false},
    {"a..b", false},
    {".a", false},
    {"a.", false},
    {"a b", false},
    {"a/b", false},
    {"a:443", false},
    {"https://a", false},
    {"b\xc3\xbc"
     "cher.example",
     false},
    {"1.2.3", false},
    {"host.1", false},
    {"0x7f000001", false},
    {"10.0.0.1", true},
    {"010.0.0.1", false},
    {"10.0.0.256", false},
    {"10.0.0.0/8", true},
    {"10.0.0.0/0", false},
    {"0.0.0.0/0", true},
    {"10.0.0.0/32", true},
    {"10.0.0.0/33", false},
    {"10.0.0.0/128", false},
    {"10.0.0.0/", false},
    {"10.0.0.0/08", false},
    {"10.0.0.0/8/8", false},
    {"10.0.0.0/-1", false},
    {"10.0.0.0/ 8", false},
    {"10.0.0.0/0008", false},
    {"10.0.0.0/255.0.0.0", false},
    {"10.0.0.1/8", false},
    {"10.128.0.0/9", true},
    {"10.64.0.0/9", false},
    {"/8", false},
    {"example.com/8", false},
    {"2001:db8::", true},
    {"2001:db8::/32", true},
    {"2001:db8::1/32", false},
    {"2001:db8::1/128", true},
    {"2001:db8::1/129", false},
    {"2001:db8::1/999", false},
    {"[2001:db8::1]", false},
    {"fe80::1%eth0", false},
    {"::/0", true},
    {"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
};

START_TEST(test_P7_pattern_is_legal)
{
    ck_assert_msg(atls_name_pattern_is_legal(patterns[_i].pattern)
                      == patterns[_i].is_legal,
                  "'%s'", patterns[_i].pattern);
}
END_TEST

static const struct {
    const char *pattern;
    bool is_address;
    bool is_ascii;
} kinds[] = {{"10.0.0.1", true, true},
             {"10.0.0.0/8", true, true},
             {"2001:db8::/32", true, true},
             {"::ffff:10.0.0.1", true, true},
             {"[::1]", false, true},
             {"10.0.0.1/8", false, true},
             {"10.0.0.1.example", false, true},
             {"*.example", false, true},
             {"", false, true},
             {"xn--bcher-kva.example", false, true},
             {"b\xc3\xbc"
              "cher.example",
              false, false},
             {"a.example\x80", false, false},
             {"\xef\xbc\x91"
              "0.0.0.1",
              false, false}};

START_TEST(test_P7_kind_of_pattern)
{
    ck_assert_msg(atls_name_pattern_is_address(kinds[_i].pattern)
                      == kinds[_i].is_address,
                  "'%s'", kinds[_i].pattern);
    ck_assert_msg(atls_name_is_ascii(kinds[_i].pattern) == kinds[_i].is_ascii,
                  "'%s'", kinds[_i].pattern);
}
END_TEST

static const struct {
    const char *name;
    enum atls_name_kind kind;
} peers[] = {
    {"10.0.0.1", ATLS_NAME_ADDRESS},
    {"10.0.0.1.", ATLS_NAME_ADDRESS},
    {"::1", ATLS_NAME_ADDRESS},
    {"[::1]", ATLS_NAME_ADDRESS},
    {"[::1].", ATLS_NAME_ADDRESS},
    {"::ffff:1.2.3.4", ATLS_NAME_ADDRESS},
    {"::1%lo", ATLS_NAME_ADDRESS},
    {"010.0.0.1", ATLS_NAME_ADDRESS},
    {"1.2.3", ATLS_NAME_ADDRESS},
    {"127.1", ATLS_NAME_ADDRESS},
    {"0x7f000001", ATLS_NAME_ADDRESS},
    {"0X7F.1", ATLS_NAME_ADDRESS},
    {"2130706433", ATLS_NAME_ADDRESS},
    {"example.com", ATLS_NAME_HOST},
    {"localhost", ATLS_NAME_HOST},
    {"localhost.", ATLS_NAME_HOST},
    {"my_service", ATLS_NAME_HOST},
    {"xn--bcher-kva.example", ATLS_NAME_HOST},
    {"0x7f.example", ATLS_NAME_HOST},
    {NAME_253 ".", ATLS_NAME_HOST},
    {"[10.0.0.1]", ATLS_NAME_NONE},
    {"[::1", ATLS_NAME_NONE},
    {"[]", ATLS_NAME_NONE},
    {"[::1]:443", ATLS_NAME_NONE},
    {"10.0.0.0/8", ATLS_NAME_NONE},
    {"10.0.0.256", ATLS_NAME_NONE},
    {"10.0.0.0.1", ATLS_NAME_NONE},
    {"4294967296", ATLS_NAME_NONE},
    {"127.1 ", ATLS_NAME_NONE},
    {" 127.1", ATLS_NAME_NONE},
    {"+127.1", ATLS_NAME_NONE},
    {"127.0x", ATLS_NAME_NONE},
    {"1.2.3.4.example.0x1", ATLS_NAME_NONE},
    {"localhost..", ATLS_NAME_NONE},
    {".", ATLS_NAME_NONE},
    {"..", ATLS_NAME_NONE},
    {"", ATLS_NAME_NONE},
    {"*", ATLS_NAME_NONE},
    {"*.example.com", ATLS_NAME_NONE},
    {"a b", ATLS_NAME_NONE},
    {"localhost:443", ATLS_NAME_NONE},
    {"https://localhost", ATLS_NAME_NONE},
    {"b\xc3\xbc"
     "cher.example",
     ATLS_NAME_NONE},
    {NAME_253 "a", ATLS_NAME_NONE},
};

START_TEST(test_P7_P13_kind_of_name)
{
    ck_assert_msg(atls_name_kind(peers[_i].name) == peers[_i].kind, "'%s': %d",
                  peers[_i].name, atls_name_kind(peers[_i].name));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_P7_name_matches, 0, COUNT(matches)),
    LOOP(test_P7_pattern_is_legal, 0, COUNT(patterns)),
    LOOP(test_P7_kind_of_pattern, 0, COUNT(kinds)),
    LOOP(test_P7_P13_kind_of_name, 0, COUNT(peers)),
};

SUITE(.name = "names", .cases = {CASE("names", tests, 0, NULL, NULL)});
