/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/attester/log_room.c: how much of what evidence can carry a log takes. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "attester/log_room.h"
#include "evidence/eventlog.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

static const struct {
    struct atls_log_room room;
    unsigned percent;
    bool is_scarce;
    bool is_exceeded;
} rooms[] = {
    {{0, 1536, 3000, 49152}, 6, false, false},
    {{1151, 1536, 3000, 49152}, 74, false, false},
    {{1152, 1536, 3000, 49152}, 75, true, false},
    {{10, 1536, 36863, 49152}, 74, false, false},
    {{10, 1536, 36864, 49152}, 75, true, false},
    {{1536, 1536, 49152, 49152}, 100, true, false},
    {{1537, 1536, 3000, 49152}, 100, true, true},
    {{10, 1536, 49153, 49152}, 100, true, true},
};

START_TEST(test_T17_three_quarters)
{
    const struct atls_log_room *room = &rooms[_i].room;

    ck_assert_uint_eq(atls_log_room_percent(room), rooms[_i].percent);
    ck_assert(atls_log_room_is_scarce(room) == rooms[_i].is_scarce);
    ck_assert(atls_log_room_is_exceeded(room) == rooms[_i].is_exceeded);
}
END_TEST

/* A boot log is left out where there is no room for it. */
START_TEST(test_boot_log_takes_no_room)
{
    static struct atls_boot_event events[4];
    struct atls_evidence outline;
    struct atls_log_room without, with;

    atls_log_room_outline(NULL, &outline);
    atls_log_room_of(&outline, &without);
    outline.boot_log.events = events;
    outline.boot_log.count = 4;
    atls_log_room_of(&outline, &with);
    ck_assert_mem_eq(&with, &without, sizeof(with));
    ck_assert_uint_eq(without.events, 0);
    ck_assert_uint_eq(without.events_max, ATLS_LOG_EVENTS_MAX);
    ck_assert_uint_eq(without.octets_max, ATLS_CMW_MAX);
    outline.boot_log.count = 0;
    outline.format = ATLS_FORMAT_TPM_BOOT;
    atls_log_room_of(&outline, &with);
    ck_assert_uint_eq(with.events_max, ATLS_LOG_EVENTS_PLAIN_MAX);
}
END_TEST

/* Evidence as it is made: never larger than was foretold, and not much smaller. */
static void expect_foretold(const struct atls_quoter_config *config)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_evidence outline;
    struct atls_log_room room;
    uint8_t *cmw = NULL;
    size_t len = 0;

    atls_log_room_outline(config, &outline);
    atls_log_room_of(&outline, &room);
    quotercase.formats =
        (struct atls_formats){.count = 1, .list = {ATLS_FORMAT_TPM_SHORT}};
    quotercase_start();
    quotercase_expect(&why, quotercase_obtain(1, &why, &cmw, &len), ATLS_OK,
                      "");
    OPENSSL_free(cmw);
    ck_assert_uint_le(len, room.octets);
    ck_assert_uint_ge(len + 700, room.octets);
}

START_TEST(test_T17_outline_of_a_quoter)
{
    static const char *const pcrs[] = {NULL, "sha256:all",
                                       "sha1:0-15+sha256:all+sha384:0,15"};

    quotercase.config.measured_log = quotercase.measured_log;
    quotercase.config.pcrs = pcrs[_i];
    expect_foretold(&quotercase.config);
}
END_TEST

/* Nothing that is missing for a quote is missing here. */
START_TEST(test_outline_without_a_chain)
{
    struct atls_quoter_config config = {
        .tcti = "any", .ak = "any", .ak_chain = "/nonexistent"};
    struct atls_evidence outline, guessed;
    struct atls_log_room room, expected;

    atls_log_room_outline(NULL, &guessed);
    atls_log_room_of(&guessed, &expected);
    atls_log_room_outline(&config, &outline);
    atls_log_room_of(&outline, &room);
    ck_assert_uint_eq(room.octets, expected.octets);
    ck_assert_uint_gt(room.octets, 6000);
    ck_assert_uint_lt(room.octets, 9000);
}
END_TEST

static const struct suite_test pure_tests[] = {
    LOOP(test_T17_three_quarters, 0, sizeof(rooms) / sizeof(rooms[0])),
    ONCE(test_boot_log_takes_no_room),
    ONCE(test_outline_without_a_chain),
};

static const struct suite_test tcase_tests[] = {
    LOOP(test_T17_outline_of_a_quoter, 0, 3),
};

SUITE(.name = "log_room", .skip = swtpm_missing,
      .cases = {CASE("pure", pure_tests, 0, NULL, NULL),
                CASE("with a swtpm", tcase_tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
