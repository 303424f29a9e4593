/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/bootlog.c and bootlog_parse.c. check_bootlog_malformed.c has
 * what is refused, check_real_bootlog.c and check_bootlog_oracle.c what others
 * say about logs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "evidence/bootlog.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/tcglog.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define EV_POST_CODE 0x00000001u
#define EV_NO_ACTION 0x00000003u
#define EV_SEPARATOR 0x00000004u
#define EV_EFI_ACTION 0x80000007u
#define EV_EFI_HCRTM_EVENT 0x80000010u

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

/* value = Hash(value || Hash(data)), without the provider's own replay. */
static void extend(const char *ossl, size_t len, uint8_t *value,
                   const void *data, size_t data_len)
{
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    const struct atls_span span = {data, data_len};
    const struct atls_span parts[2] = {{value, len}, {digest, len}};

    ck_assert_int_eq(atls_hash_parts(ossl, &span, 1, digest, NULL), ATLS_OK);
    ck_assert_int_eq(atls_hash_parts(ossl, parts, 2, value, NULL), ATLS_OK);
}

static void expect_value(uint16_t alg, unsigned pcr, const uint8_t *expected,
                         size_t expected_count)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    size_t count = 99;
    enum atls_error r =
        atls_boot_log_replay(&parsed, alg, pcr, &why, value, &count);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_mem_eq(value, expected, sizeof(value));
    ck_assert_uint_eq(count, expected_count);
}

/* --- what is right ----------------------------------------------------------- */

START_TEST(test_E11_empty_log)
{
    static const uint8_t zeros[ATLS_PCR_DIGEST_MAX];

    made.len = 0;
    expect_parsed(0);
    ck_assert_ptr_null(parsed.events);
    ck_assert(!parsed.is_crypto_agile);
    expect_value(TPM2_ALG_SHA256, 7, zeros, 0);
    ck_assert_int_eq(
        atls_boot_log_parse((struct atls_span){NULL, 0}, &why, &parsed),
        ATLS_OK);
}
END_TEST

START_TEST(test_crypto_agile_log)
{
    uint8_t sha256[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t sha1[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    tcglog_text(&made, 5, EV_EFI_ACTION, "other");
    tcglog_event(&made, 4, EV_SEPARATOR, "\0\0\0", 4);
    expect_parsed(3);
    ck_assert(parsed.is_crypto_agile);
    ck_assert_uint_eq(parsed.startup_locality, 0);
    ck_assert_uint_eq(parsed.events[0].pcr, 4);
    ck_assert_uint_eq(parsed.events[0].type, EV_EFI_ACTION);
    ck_assert_uint_eq(parsed.events[0].digest_count, 2);
    ck_assert_uint_eq(parsed.events[0].data.len, 3);
    ck_assert_mem_eq(parsed.events[0].data.data, "one", 3);
    extend("SHA2-256", 32, sha256, "one", 3);
    extend("SHA2-256", 32, sha256, "\0\0\0", 4);
    expect_value(TPM2_ALG_SHA256, 4, sha256, 2);
    extend("SHA1", 20, sha1, "one", 3);
    extend("SHA1", 20, sha1, "\0\0\0", 4);
    expect_value(TPM2_ALG_SHA1, 4, sha1, 2);
}
END_TEST

/* Replayed by another implementation; StartupLocality is 3. */
START_TEST(test_vectors)
{
    static const unsigned pcrs[] = {0, 1, 4, 5, 7, 8, 9};
    struct vector vector;

    vector_octets("logs.txt", "boot", "crypto-agile", &vector);
    made.len = 0;
    tcglog_put(&made, vector.data, vector.len);
    expect_parsed(12);
    ck_assert_uint_eq(parsed.startup_locality, 3);
    for (size_t i = 0; i < COUNT(pcrs); i++) {
        uint8_t value[ATLS_PCR_DIGEST_MAX];
        char key[16];

        (void)snprintf(key, sizeof(key), "pcr.%u", pcrs[i]);
        vector_octets("logs.txt", "boot", key, &vector);
        ck_assert_int_eq(atls_boot_log_replay(&parsed, TPM2_ALG_SHA256, pcrs[i],
                                              &why, value, NULL),
                         ATLS_OK);
        ck_assert_uint_eq(vector.len, 32);
        ck_assert_mem_eq(value, vector.data, 32);
    }
}
END_TEST

START_TEST(test_sha1_log)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_begin_sha1(&made);
    tcglog_event(&made, 0, EV_NO_ACTION, "Spec ID Event02", 16);
    tcglog_text(&made, 0, EV_POST_CODE, "POST CODE");
    tcglog_event(&made, 0, EV_SEPARATOR, "\0\0\0", 4);
    expect_parsed(2);
    ck_assert(!parsed.is_crypto_agile);
    extend("SHA1", 20, value, "POST CODE", 9);
    extend("SHA1", 20, value, "\0\0\0", 4);
    expect_value(TPM2_ALG_SHA1, 0, value, 2);
    ck_assert_ptr_null(
        atls_boot_event_digest(&parsed.events[0], TPM2_ALG_SHA256));
}
END_TEST

/* A log need not begin with an event that says which format it has. */
START_TEST(test_sha1_log_without_a_head)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 0, EV_POST_CODE, "POST CODE");
    expect_parsed(1);
    ck_assert(!parsed.is_crypto_agile);
}
END_TEST

/* Of other algorithms the Spec ID event gives the sizes. */
START_TEST(test_algorithms_that_are_no_bank)
{
    static const struct tcglog_algorithm algorithms[] = {
        {TPM2_ALG_SM3_256, 32}, {TPM2_ALG_SHA512, 64}, {0x7777, 3}, {0x8888, 0},
        {TPM2_ALG_SHA384, 48},
    };
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_begin(&made, algorithms, COUNT(algorithms));
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    expect_parsed(1);
    ck_assert_uint_eq(parsed.events[0].digest_count, 2);
    extend("SHA2-512", 64, value, "one", 3);
    expect_value(TPM2_ALG_SHA512, 4, value, 1);
    memset(value, 0, sizeof(value));
    extend("SHA2-384", 48, value, "one", 3);
    expect_value(TPM2_ALG_SHA384, 4, value, 1);
}
END_TEST

/* The PCR of what is not extended means nothing. */
START_TEST(test_no_action_is_not_extended)
{
    static const uint8_t zeros[ATLS_PCR_DIGEST_MAX];

    tcglog_event(&made, UINT32_MAX, EV_NO_ACTION, "SP800-155 Event", 16);
    tcglog_event(&made, 7, EV_NO_ACTION, "", 0);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    expect_parsed(1);
    expect_value(TPM2_ALG_SHA256, 7, zeros, 0);
}
END_TEST

/* What fills the memory behind the log is none of it. */
START_TEST(test_zeros_behind_the_last_event)
{
    static const uint8_t zeros[4096];

    tcglog_event(&made, 4, EV_SEPARATOR, "\0\0\0", 4);
    tcglog_put(&made, zeros, sizeof(zeros));
    expect_parsed(1);
    made.len -= sizeof(zeros) - 3;
    expect_parsed(1);
    made.len = 0;
    tcglog_put(&made, zeros, sizeof(zeros));
    expect_parsed(0);
}
END_TEST

static const uint8_t localities[] = {0, 3, 4};

START_TEST(test_startup_locality)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_locality(&made, localities[_i]);
    expect_parsed(0);
    ck_assert_uint_eq(parsed.startup_locality, localities[_i]);
    value[31] = localities[_i];
    expect_value(TPM2_ALG_SHA256, 0, value, 0);
    tcglog_text(&made, 0, EV_POST_CODE, "POST CODE");
    expect_parsed(1);
    extend("SHA2-256", 32, value, "POST CODE", 9);
    expect_value(TPM2_ALG_SHA256, 0, value, 1);
}
END_TEST

/* The TPM measures the H-CRTM from locality 4, whether that is logged or not. */
START_TEST(test_hcrtm)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_locality(&made, 3);
    tcglog_text(&made, 0, EV_EFI_HCRTM_EVENT, "HCRTM");
    tcglog_text(&made, 1, EV_EFI_HCRTM_EVENT, "HCRTM");
    expect_parsed(2);
    ck_assert_uint_eq(parsed.startup_locality, 4);
    value[19] = 4;
    extend("SHA1", 20, value, "HCRTM", 5);
    expect_value(TPM2_ALG_SHA1, 0, value, 1);
    memset(value, 0, sizeof(value));
    extend("SHA1", 20, value, "HCRTM", 5);
    expect_value(TPM2_ALG_SHA1, 1, value, 1);
}
END_TEST

/* Ones until a dynamic launch, which begins with zero. */
START_TEST(test_pcrs_of_the_dynamic_launch)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};

    tcglog_text(&made, 17, EV_EFI_ACTION, "launch");
    expect_parsed(1);
    extend("SHA2-256", 32, value, "launch", 6);
    expect_value(TPM2_ALG_SHA256, 17, value, 1);
    memset(value, 0, sizeof(value));
    expect_value(TPM2_ALG_SHA256, 16, value, 0);
    expect_value(TPM2_ALG_SHA256, 23, value, 0);
    memset(value, 0xff, 32);
    expect_value(TPM2_ALG_SHA256, 18, value, 0);
    expect_value(TPM2_ALG_SHA256, 22, value, 0);
}
END_TEST

/* --- replay ------------------------------------------------------------------ */

START_TEST(test_event_without_a_digest_of_the_bank)
{
    static const uint8_t zeros[20];
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    size_t count;

    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    /* the second has a digest of SHA-1 alone, which is zero */
    tcglog_put(&made, "\4\0\0\0\7\0\0\x80\1\0\0\0\4\0", 14);
    tcglog_put(&made, zeros, 20);
    tcglog_u32(&made, 0);
    tcglog_text(&made, 5, EV_EFI_ACTION, "one");
    expect_parsed(3);
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SHA256, 4, &why, value, &count),
        ATLS_E_LOG_REPLAY);
    ck_assert_str_eq(why.text, "boot log: event 2 of PCR 4 has no sha256 "
                               "digest, so it cannot be replayed in that bank");
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SHA256, 5, &why, value, NULL),
        ATLS_OK);
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SHA1, 4, &why, value, &count),
        ATLS_OK);
    ck_assert_uint_eq(count, 2);
}
END_TEST

START_TEST(test_replay_in_a_bank_that_is_none)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];

    expect_parsed(0);
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SM3_256, 4, &why, value, NULL),
        ATLS_E_INTERNAL);
}
END_TEST

/* Two logs of PCR 4, an event for each letter. */
static const struct {
    const char *a;
    const char *b;
    const char *expected_a; /* the first that differs; "": the log has ended */
    const char *expected_b;
} pairs[] = {
    {"", "", NULL, NULL},   {"xyz", "xyz", NULL, NULL}, {"xyz", "xz", "y", "z"},
    {"xyz", "xy", "z", ""}, {"", "x", "", "x"},         {"yx", "xy", "y", "x"},
};

/* With an event of another PCR before each. */
static void make_log(const char *events, char other,
                     struct atls_boot_log *ret_log,
                     struct atls_span *ret_octets)
{
    tcglog_begin(&made, two_banks, COUNT(two_banks));
    for (; *events != '\0'; events++) {
        tcglog_event(&made, 5, EV_EFI_ACTION, &other, 1);
        tcglog_event(&made, 4, EV_EFI_ACTION, events, 1);
    }
    *ret_octets = tcglog_exact(&made, made.len);
    ck_assert_int_eq(atls_boot_log_parse(*ret_octets, &why, ret_log), ATLS_OK);
}

static void expect_event(const struct atls_boot_event *event,
                         const char *expected)
{
    if (*expected == '\0') {
        ck_assert_ptr_null(event);
        return;
    }
    ck_assert_ptr_nonnull(event);
    ck_assert_uint_eq(event->pcr, 4);
    ck_assert_int_eq(event->data.data[0], *expected);
}

START_TEST(test_diverging_logs)
{
    const struct atls_boot_event *event_a = NULL;
    const struct atls_boot_event *event_b = NULL;
    struct atls_span octets_a;
    struct atls_span octets_b;
    struct atls_boot_log a;
    struct atls_boot_log b;
    bool diverges;

    make_log(pairs[_i].a, '1', &a, &octets_a);
    make_log(pairs[_i].b, '2', &b, &octets_b);
    diverges =
        atls_boot_log_diverges(&a, &b, TPM2_ALG_SHA256, 4, &event_a, &event_b);
    ck_assert_int_eq(diverges, pairs[_i].expected_a != NULL);
    if (diverges) {
        expect_event(event_a, pairs[_i].expected_a);
        expect_event(event_b, pairs[_i].expected_b);
    }
    /* neither has that bank's digests, or there is no such bank */
    if (strlen(pairs[_i].a) == strlen(pairs[_i].b))
        ck_assert(!atls_boot_log_diverges(&a, &b, TPM2_ALG_SHA384, 4, &event_a,
                                          &event_b));
    ck_assert(!atls_boot_log_diverges(&a, &b, TPM2_ALG_SM3_256, 4, &event_a,
                                      &event_b));
    atls_boot_log_clear(&a);
    atls_boot_log_clear(&b);
    free((void *)(uintptr_t)octets_a.data);
    free((void *)(uintptr_t)octets_b.data);
}
END_TEST

/* --- events of user space ---------------------------------------------------- */

static struct atls_boot_event user_event(const uint8_t digest[32])
{
    struct atls_boot_event event = {.pcr = 4, .type = ATLS_BOOT_USER_SPACE};

    event.digest_count = 1;
    event.digests[0].alg = TPM2_ALG_SHA256;
    event.digests[0].octets = digest;
    return event;
}

START_TEST(test_appended_events_are_replayed)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    struct atls_boot_event event;
    uint8_t digest[32];

    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    expect_parsed(1);
    ck_assert_int_eq(atls_sha256("os-separator", 12, digest), ATLS_OK);
    event = user_event(digest);
    ck_assert_int_eq(atls_boot_log_append(&parsed, &event, 1, &why), ATLS_OK);
    ck_assert_int_eq(atls_boot_log_append(&parsed, NULL, 0, &why), ATLS_OK);
    ck_assert_uint_eq(parsed.count, 2);
    extend("SHA2-256", 32, value, "one", 3);
    extend("SHA2-256", 32, value, "os-separator", 12);
    expect_value(TPM2_ALG_SHA256, 4, value, 2);
}
END_TEST

START_TEST(test_E11_appended_events_are_limited)
{
    static struct atls_boot_event many[ATLS_BOOT_EVENTS_MAX];
    static const uint8_t digest[32];

    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = user_event(digest);
    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    expect_parsed(1);
    ck_assert_int_eq(atls_boot_log_append(&parsed, many, COUNT(many), &why),
                     ATLS_E_LIMIT);
    ck_assert_str_eq(why.text, "boot log: 1 events and 2048 of user space, at "
                               "most 2048 together");
    ck_assert_uint_eq(parsed.count, 1);
    ck_assert_int_eq(atls_boot_log_append(&parsed, many, COUNT(many) - 1, &why),
                     ATLS_OK);
    ck_assert_uint_eq(parsed.count, ATLS_BOOT_EVENTS_MAX);
}
END_TEST

/* --- memory ------------------------------------------------------------------ */

START_TEST(test_R3_no_memory)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    struct atls_boot_event event;

    tcglog_text(&made, 4, EV_EFI_ACTION, "one");
    allocation_fail_at(1);
    ck_assert_int_eq(parse(), ATLS_E_NOMEM);
    ck_assert_str_eq(why.text, "out of memory");
    allocation_fail_at(0);
    expect_parsed(1);
    event = parsed.events[0];
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SHA256, 4, &why, value, NULL),
        ATLS_OK);
    allocation_fail_at(1);
    ck_assert_int_eq(atls_boot_log_append(&parsed, &event, 1, &why),
                     ATLS_E_NOMEM);
    ck_assert_uint_eq(parsed.count, 1);
    ck_assert_int_eq(
        atls_boot_log_replay(&parsed, TPM2_ALG_SHA256, 4, &why, value, NULL),
        ATLS_E_CRYPTO);
    allocation_fail_at(0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_E11_empty_log),
    ONCE(test_vectors),
    ONCE(test_crypto_agile_log),
    ONCE(test_sha1_log),
    ONCE(test_sha1_log_without_a_head),
    ONCE(test_algorithms_that_are_no_bank),
    ONCE(test_no_action_is_not_extended),
    ONCE(test_zeros_behind_the_last_event),
    LOOP(test_startup_locality, 0, COUNT(localities)),
    ONCE(test_hcrtm),
    ONCE(test_pcrs_of_the_dynamic_launch),
    LOOP(test_diverging_logs, 0, COUNT(pairs)),
    ONCE(test_appended_events_are_replayed),
    ONCE(test_event_without_a_digest_of_the_bank),
    ONCE(test_replay_in_a_bank_that_is_none),
    ONCE(test_E11_appended_events_are_limited),
    ONCE(test_R3_no_memory),
};

SUITE(.name = "bootlog", .begin = allocation_install,
      .cases = {CASE("bootlog", tests, 0, setup, forget)});
