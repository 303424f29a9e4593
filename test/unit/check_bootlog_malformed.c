/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/bootlog_parse.c: what it refuses. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/bootlog.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/tcglog.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define EV_NO_ACTION 0x00000003u
#define EV_EFI_ACTION 0x80000007u

static const struct tcglog_algorithm two_banks[] = {{TPM2_ALG_SHA1, 20},
                                                    {TPM2_ALG_SHA256, 32}};

static struct tcglog made;
static struct atls_span octets;
static struct atls_boot_log parsed;
static struct atls_reason why;

static void setup(void)
{
    tcglog_begin(&made, two_banks, COUNT(two_banks));
    octets = (struct atls_span){NULL, 0};
    parsed = (struct atls_boot_log){0};
}

static void forget(void)
{
    atls_boot_log_clear(&parsed);
    free((void *)(uintptr_t)octets.data);
    octets = (struct atls_span){NULL, 0};
}

/* The first len octets of what was made, with nothing behind them. */
static enum atls_error parse_cut(size_t len)
{
    forget();
    why = (struct atls_reason){.code = ATLS_OK};
    octets = tcglog_exact(&made, len);
    return atls_boot_log_parse(octets, &why, &parsed);
}

static enum atls_error parse(void)
{
    return parse_cut(made.len);
}

static void expect_parsed(size_t count)
{
    enum atls_error r = parse();

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(parsed.count, count);
}

static void pcr_24(void)
{
    tcglog_text(&made, 24, EV_EFI_ACTION, "one");
}

static void pcr_32(void)
{
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    tcglog_text(&made, 32, EV_EFI_ACTION, "one");
}

static void pcr_max(void)
{
    tcglog_text(&made, UINT32_MAX, EV_EFI_ACTION, "one");
}

static void pcr_24_in_sha1(void)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 24, EV_EFI_ACTION, "one");
}

/* An event up to its digests. */
static void begin_event(uint32_t digest_count)
{
    tcglog_u32(&made, 4);
    tcglog_u32(&made, EV_EFI_ACTION);
    tcglog_u32(&made, digest_count);
}

static void put_zeros(size_t len)
{
    static const uint8_t zeros[64];

    tcglog_put(&made, zeros, len);
}

static void digest_count_bomb(void)
{
    begin_event(UINT32_MAX);
    for (size_t i = 0; i < COUNT(two_banks); i++) {
        tcglog_u16(&made, two_banks[i].alg);
        put_zeros(two_banks[i].digest_len);
    }
    put_zeros(64);
    tcglog_put(&made, "x", 1);
}

static void digest_count_bomb_at_the_end(void)
{
    begin_event(UINT32_MAX);
}

static void digest_of_an_unlisted_algorithm(void)
{
    begin_event(1);
    tcglog_u16(&made, TPM2_ALG_SHA384);
    put_zeros(48);
    tcglog_u32(&made, 1);
    tcglog_put(&made, "x", 1);
}

static void digest_twice(void)
{
    begin_event(2);
    for (size_t i = 0; i < 2; i++) {
        tcglog_u16(&made, TPM2_ALG_SHA256);
        put_zeros(32);
    }
    tcglog_u32(&made, 1);
    tcglog_put(&made, "x", 1);
}

static void digest_cut(void)
{
    begin_event(1);
    tcglog_u16(&made, TPM2_ALG_SHA256);
    tcglog_put(&made, "0123456789abcdef0123456789abcde", 31);
}

static void data_bomb(void)
{
    begin_event(0);
    tcglog_u32(&made, UINT32_MAX);
    tcglog_put(&made, "abc", 3);
}

static void data_one_short(void)
{
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    made.len--;
}

static void data_bomb_in_sha1(void)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    memset(made.octets + 28, 0xff, 4);
}

static void cut_head(void)
{
    tcglog_put(&made, "\4\0\0\0\7\0\0", 7);
    made.octets[made.len - 1] = 1;
}

static void cut_length(void)
{
    begin_event(0);
    tcglog_put(&made, "\1\1\1", 3);
}

static void cut_sha1_digest(void)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    made.len = 27;
}

static void cut_sha1_length(void)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    memset(made.octets, 1, made.len);
    made.len = 31;
}

static void locality_5(void)
{
    tcglog_locality(&made, 5);
}

static void locality_missing(void)
{
    tcglog_event(&made, 0, EV_NO_ACTION, "StartupLocality", 16);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
}

/* A Spec ID event with that many octets of its data, or another count. */
static void spec_id(size_t len, uint32_t count)
{
    made.octets[28] = (uint8_t)len;
    memcpy(made.octets + 32 + 24, &count, sizeof(count));
    made.len = 32 + len;
    tcglog_put(&made, "x", 1);
}

/* Without the NUL it is no Spec ID event, so what follows is misread. */
static void spec_id_without_terminator(void)
{
    spec_id(15, 0);
    made.len--;
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
}

static void spec_id_alone(void)
{
    spec_id(16, 0);
}

static void spec_id_cut_before_count(void)
{
    spec_id(27, 2);
}

static void spec_id_of_nothing(void)
{
    spec_id(28, 0);
}

static void spec_id_count_bomb(void)
{
    spec_id(36, UINT32_MAX);
}

static void spec_id_17(void)
{
    struct tcglog_algorithm algorithms[17];

    for (size_t i = 0; i < COUNT(algorithms); i++)
        algorithms[i] = (struct tcglog_algorithm){(uint16_t)(0x1000 + i), 1};
    tcglog_begin(&made, algorithms, COUNT(algorithms));
}

static void spec_id_cut_in_algorithms(void)
{
    spec_id(35, 2);
}

static void spec_id_with_a_wrong_size(void)
{
    static const struct tcglog_algorithm wrong[] = {{TPM2_ALG_SHA256, 20}};

    tcglog_begin(&made, wrong, 1);
}

static void spec_id_with_one_twice(void)
{
    static const struct tcglog_algorithm twice[] = {{TPM2_ALG_SHA256, 32},
                                                    {TPM2_ALG_SHA256, 32}};

    tcglog_begin(&made, twice, 2);
}

static void too_long(void)
{
    static const uint8_t zeros[ATLS_BOOT_LOG_MAX];

    made.len = 0;
    tcglog_put(&made, zeros, sizeof(zeros));
    tcglog_put(&made, "x", 1);
}

static void too_many(void)
{
    for (unsigned i = 0; i <= ATLS_BOOT_EVENTS_MAX; i++)
        tcglog_text(&made, 4, EV_EFI_ACTION, "one");
}

static const struct {
    void (*make)(void);
    enum atls_error code;
    const char *text;
} bad_logs[] = {
    {pcr_24, ATLS_E_MALFORMED,
     "boot log: event 1 at octet 72: it is of PCR 24, expected 0 to 23"},
    {pcr_32, ATLS_E_MALFORMED,
     "boot log: event 2 at octet 147: it is of PCR 32, expected 0 to 23"},
    {pcr_max, ATLS_E_MALFORMED,
     "boot log: event 1 at octet 72: it is of PCR 4294967295, expected 0 to "
     "23"},
    {pcr_24_in_sha1, ATLS_E_MALFORMED,
     "boot log: event 0 at octet 0: it is of PCR 24, expected 0 to 23"},
    {digest_count_bomb, ATLS_E_MALFORMED,
     "a digest of algorithm 0x0000, which the Spec ID event does not list"},
    {digest_count_bomb_at_the_end, ATLS_E_TRUNCATED,
     "event 1 at octet 72: the log ends within its digests"},
    {digest_of_an_unlisted_algorithm, ATLS_E_MALFORMED,
     "a digest of algorithm 0x000c, which the Spec ID event does not list"},
    {digest_twice, ATLS_E_MALFORMED, "two digests of algorithm 0x000b"},
    {digest_cut, ATLS_E_TRUNCATED, "the log ends within its digests"},
    {data_bomb, ATLS_E_TRUNCATED,
     "its data have 4294967295 octets, the log has 3 more"},
    {data_one_short, ATLS_E_TRUNCATED,
     "its data have 3 octets, the log has 2 more"},
    {data_bomb_in_sha1, ATLS_E_TRUNCATED,
     "event 0 at octet 0: its data have 4294967295 octets, the log has 3 more"},
    {cut_head, ATLS_E_TRUNCATED, "the log ends within its PCR and type"},
    {cut_length, ATLS_E_TRUNCATED, "the log ends within its length"},
    {cut_sha1_digest, ATLS_E_TRUNCATED, "the log ends within its digest"},
    {cut_sha1_length, ATLS_E_TRUNCATED, "the log ends within its length"},
    {locality_5, ATLS_E_MALFORMED, "StartupLocality is 5, expected 0, 3 or 4"},
    {locality_missing, ATLS_E_TRUNCATED, "StartupLocality without a locality"},
    {spec_id_without_terminator, ATLS_E_TRUNCATED, "event 1 at octet 47: "},
    {spec_id_alone, ATLS_E_TRUNCATED,
     "the Spec ID event ends before its algorithms"},
    {spec_id_cut_before_count, ATLS_E_TRUNCATED,
     "the Spec ID event ends before its algorithms"},
    {spec_id_of_nothing, ATLS_E_LIMIT,
     "the Spec ID event lists 0 algorithms, expected 1 to 16"},
    {spec_id_count_bomb, ATLS_E_LIMIT,
     "the Spec ID event lists 4294967295 algorithms, expected 1 to 16"},
    {spec_id_17, ATLS_E_LIMIT, "the Spec ID event lists 17 algorithms"},
    {spec_id_cut_in_algorithms, ATLS_E_TRUNCATED,
     "the Spec ID event ends within its algorithms"},
    {spec_id_with_a_wrong_size, ATLS_E_MALFORMED,
     "the Spec ID event gives sha256 digests of 20 octets, expected 32"},
    {spec_id_with_one_twice, ATLS_E_MALFORMED,
     "the Spec ID event lists algorithm 0x000b twice"},
    {too_long, ATLS_E_LIMIT,
     "boot log: 1048577 octets, at most 1048576 are read"},
    {too_many, ATLS_E_LIMIT, "more than 2048 events were extended"},
};

START_TEST(test_E11_boundaries)
{
    bad_logs[_i].make();
    ck_assert_int_eq(parse(), bad_logs[_i].code);
    ck_assert_int_eq(why.code, bad_logs[_i].code);
    ck_assert_msg(strstr(why.text, bad_logs[_i].text) != NULL, "%s", why.text);
    ck_assert_ptr_null(parsed.events);
    ck_assert_uint_eq(parsed.count, 0);
}
END_TEST

START_TEST(test_E11_as_many_events_as_allowed)
{
    for (unsigned i = 0; i < ATLS_BOOT_EVENTS_MAX; i++)
        tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    expect_parsed(ATLS_BOOT_EVENTS_MAX);
}
END_TEST

/* Memory is taken for what the octets can hold, not for what they claim. */
START_TEST(test_E11_short_logs_take_little_memory)
{
    digest_count_bomb();
    allocation_fail_at(0);
    ck_assert_int_eq(parse(), ATLS_E_MALFORMED);
    ck_assert_uint_lt(allocation_peak(),
                      (2 + made.len / 16) * sizeof(struct atls_boot_event));
}
END_TEST

/* Cut anywhere it is an error, but between two events. */
START_TEST(test_E11_cut_anywhere)
{
    size_t whole[4];
    size_t complete = 0;

    whole[0] = made.len;
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    whole[1] = made.len;
    tcglog_text(&made, 5, EV_EFI_ACTION, "");
    whole[2] = made.len;
    tcglog_text(&made, 6, EV_EFI_ACTION, "three");
    whole[3] = made.len;
    for (size_t len = 1; len <= made.len; len++) {
        enum atls_error r = parse_cut(len);

        if (len == whole[complete]) {
            ck_assert_msg(r == ATLS_OK, "%zu: %s", len, why.text);
            ck_assert_uint_eq(parsed.count, complete);
            complete++;
        } else if (r == ATLS_OK) {
            /* zeros only behind the event before: no event, as documented */
            for (size_t i = complete > 0 ? whole[complete - 1] : 0; i < len;
                 i++)
                ck_assert_uint_eq(made.octets[i], 0);
        } else {
            ck_assert_int_eq(r, ATLS_E_TRUNCATED);
        }
    }
    ck_assert_uint_eq(complete, 4);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E11_boundaries, 0, COUNT(bad_logs)),
    ONCE(test_E11_as_many_events_as_allowed),
    ONCE(test_E11_short_logs_take_little_memory),
    ONCE(test_E11_cut_anywhere),
};

SUITE(.name = "bootlog_malformed", .begin = allocation_install,
      .cases = {CASE("bootlog_malformed", tests, 0, setup, forget)});
