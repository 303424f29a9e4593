/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/number.c: decimal numbers and their bounds. */
#include <check.h>
#include <string.h>

#include "base/number.h"
#include "lib/suite.h"

#define UNSET 4711u

static const struct {
    const char *text;
    uint32_t min, max;
    bool is_number;
    uint32_t number;
} numbers[] = {
    {"0", 0, 9, true, 0},
    {"8", 8, 15, true, 8},
    {"15", 8, 15, true, 15},
    {"010", 0, 15, true, 10},
    {"4294967295", 0, UINT32_MAX, true, UINT32_MAX},
    {"7", 8, 15, false, UNSET},
    {"16", 8, 15, false, UNSET},
    {"4294967296", 0, UINT32_MAX, false, UNSET},
    {"4294967304", 8, 15, false, UNSET},           /* 8 in 32 bits */
    {"18446744073709551624", 8, 15, false, UNSET}, /* 8 in 64 bits */
    {"", 0, 9, false, UNSET},
    {" 8", 0, 9, false, UNSET},
    {"8 ", 0, 9, false, UNSET},
    {"+8", 0, 9, false, UNSET},
    {"-0", 0, 9, false, UNSET},
    {"0x8", 0, 9, false, UNSET},
    {"8:", 0, 9, false, UNSET},
    {"/", 0, 9, false, UNSET},
};

START_TEST(test_number)
{
    const char *text = numbers[_i].text;
    uint32_t number = UNSET;
    bool ok = atls_number_parse(text, strlen(text), numbers[_i].min,
                                numbers[_i].max, &number);

    ck_assert_msg(ok == numbers[_i].is_number, "'%s'", text);
    ck_assert_uint_eq(number, numbers[_i].number);
}
END_TEST

START_TEST(test_only_len_octets_count)
{
    uint32_t number = UNSET;

    ck_assert(atls_number_parse("12/3", 2, 0, 99, &number));
    ck_assert_uint_eq(number, 12);
}
END_TEST

START_TEST(test_padded)
{
    ck_assert(atls_number_is_padded("010", 3));
    ck_assert(atls_number_is_padded("00", 2));
    ck_assert(!atls_number_is_padded("0", 1));
    ck_assert(!atls_number_is_padded("10", 2));
    ck_assert(!atls_number_is_padded("", 0));
}
END_TEST
static const struct suite_test tests[] = {
    LOOP(test_number, 0, (int)(sizeof(numbers) / sizeof(numbers[0]))),
    ONCE(test_only_len_octets_count),
    ONCE(test_padded),
};

SUITE(.name = "number", .cases = {CASE("number", tests, 0, NULL, NULL)});
