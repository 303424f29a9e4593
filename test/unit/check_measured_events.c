/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/attester/measured_log.c: events of all PCRs, and a boot log that goes
 * on with them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/measured_log.h"
#include "base/digest.h"
#include "lib/allocation.h"
#include "lib/measuring.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"
#include "lib/tcglog.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RS "\x1e"
#define ALL_PCRS UINT32_C(0xffffff)
#define EV_EFI_ACTION 0x80000007u

#define ZEROS_32 "00000000000000000000000000000000"
#define SHA1_ZERO ZEROS_32 "00000000"
#define SHA256_ZERO ZEROS_32 ZEROS_32

#define DIGEST(alg, hex) "{\"hashAlg\":\"" alg "\",\"digest\":\"" hex "\"}"
#define RECORD(pcr, digests)                                         \
    RS "{\"pcr\":" pcr ",\"digests\":[" digests "],\"content_type\"" \
       ":\"systemd\",\"content\":{\"string\":\"word\"}}\n"

static struct atls_measured_events events;
static struct atls_reason why;

static void forget(void)
{
    atls_measured_events_clear(&events);
}

static enum atls_error parse(const char *text, uint32_t pcrs)
{
    why = (struct atls_reason){.code = ATLS_OK};
    forget();
    return atls_measured_events_parse(
        (struct atls_span){(const uint8_t *)text, strlen(text)}, "LOG", pcrs,
        &why, &events);
}

static void expect_parsed(const char *text, uint32_t pcrs, size_t count)
{
    ck_assert_msg(parse(text, pcrs) == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(events.count, count);
}

/* --- what is read ------------------------------------------------------------ */

START_TEST(test_events_of_all_pcrs)
{
    static const uint8_t zeros[32];
    static const char text[] =
        RECORD("7", DIGEST("sha1", SHA1_ZERO) "," DIGEST("sha256", SHA256_ZERO))
            RECORD("15", DIGEST("sm3_256", "00")) RS
        "{\"nv_index\":29950208,\"digests\":[],\"content\":{}}\n" RECORD(
            "24", DIGEST("sha256", SHA256_ZERO))
            RECORD("-1", DIGEST("sha256", SHA256_ZERO));
    const struct atls_boot_event *event;

    expect_parsed(text, ALL_PCRS, 2);
    event = &events.events[0];
    ck_assert_uint_eq(event->pcr, 7);
    ck_assert_uint_eq(event->type, ATLS_BOOT_USER_SPACE);
    ck_assert_uint_eq(event->digest_count, 2);
    ck_assert_uint_eq(event->data.len, 4);
    ck_assert_mem_eq(event->data.data, "word", 4);
    ck_assert_mem_eq(atls_boot_event_digest(event, TPM2_ALG_SHA256), zeros, 32);
    ck_assert_mem_eq(atls_boot_event_digest(event, TPM2_ALG_SHA1), zeros, 20);
    ck_assert_uint_eq(events.events[1].pcr, 15);
    ck_assert_uint_eq(events.events[1].digest_count, 0);
    expect_parsed(text, UINT32_C(1) << 15, 1);
    ck_assert_uint_eq(events.events[0].pcr, 15);
    expect_parsed(text, 0, 0);
    expect_parsed("", ALL_PCRS, 0);
}
END_TEST

/* Of an event without words the digests count all the same. */
START_TEST(test_event_without_content)
{
    expect_parsed(RS "{\"pcr\":7,\"digests\":[" DIGEST(
                      "sha256", SHA256_ZERO) "],\"content\":{}}\n",
                  ALL_PCRS, 1);
    ck_assert_uint_eq(events.events[0].data.len, 0);
    ck_assert_uint_eq(events.events[0].digest_count, 1);
    expect_parsed(RS "{\"pcr\":7}\n", ALL_PCRS, 1);
    ck_assert_uint_eq(events.events[0].digest_count, 0);
}
END_TEST

static const struct {
    const char *text;
    const char *expected;
} malformed[] = {
    {RECORD("7", DIGEST("sha256", SHA1_ZERO)),
     "LOG: record 1: expected one sha256 digest of 64 hex digits"},
    {RECORD("7", DIGEST("sha256", SHA256_ZERO "00")),
     "LOG: record 1: expected one sha256 digest of 64 hex digits"},
    {RECORD("7", DIGEST("sha1", "0000000000000000000000000000000000000x00")),
     "LOG: record 1: expected one sha1 digest of 40 hex digits"},
    {RECORD("7", DIGEST("sha256", SHA256_ZERO))
         RECORD("7", DIGEST("sha1", SHA1_ZERO) "," DIGEST("sha1", SHA1_ZERO)),
     "LOG: record 2: expected one sha1 digest of 40 hex digits"},
    {RECORD("7", "{\"hashAlg\":\"sha256\"}"),
     "LOG: record 1: a digest without hashAlg or digest"},
    {RECORD("\"7\"", ""), "LOG: record 1: pcr is not a number"},
    {RS "{\"pcr\":7", "LOG: record 1 is cut off"},
};

START_TEST(test_E11_malformed)
{
    ck_assert_int_eq(parse(malformed[_i].text, ALL_PCRS), ATLS_E_MALFORMED);
    ck_assert_msg(strstr(why.text, malformed[_i].expected) != NULL, "%s",
                  why.text);
    ck_assert_ptr_null(events.events);
}
END_TEST

START_TEST(test_E11_too_many_events)
{
    static const char record[] = RECORD("7", DIGEST("sha1", SHA1_ZERO));
    const size_t len = strlen(record);
    char *text = malloc(len * (ATLS_BOOT_EVENTS_MAX + 1) + 1);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i <= ATLS_BOOT_EVENTS_MAX; i++)
        strcpy(text + i * len, record);
    ck_assert_int_eq(parse(text, ALL_PCRS), ATLS_E_LIMIT);
    ck_assert_str_eq(why.text, "LOG: more than 2048 events: reboot");
    text[len * ATLS_BOOT_EVENTS_MAX] = '\0';
    expect_parsed(text, ALL_PCRS, ATLS_BOOT_EVENTS_MAX);
    free(text);
}
END_TEST

START_TEST(test_read)
{
    static const char text[] = RECORD("7", DIGEST("sha1", SHA1_ZERO));

    scratch_make();
    ck_assert_int_eq(atls_measured_events_read(scratch_path("missing"),
                                               ALL_PCRS, &why, &events),
                     ATLS_OK);
    ck_assert_uint_eq(events.count, 0);
    scratch_write("log", text, strlen(text), 0644);
    ck_assert_int_eq(
        atls_measured_events_read(scratch_path("log"), ALL_PCRS, &why, &events),
        ATLS_OK);
    ck_assert_uint_eq(events.count, 1);
    forget();
    ck_assert_int_eq(
        atls_measured_events_read(scratch_path("."), ALL_PCRS, &why, &events),
        ATLS_E_IO);
    scratch_remove();
}
END_TEST

/* jansson's allocations are not OpenSSL's, so there are two. */
START_TEST(test_R3_allocations_fail)
{
    static const char text[] = RECORD("7", DIGEST("sha1", SHA1_ZERO));

    for (size_t n = 1; n <= 2; n++) {
        allocation_fail_at(n);
        ck_assert_int_eq(parse(text, ALL_PCRS), ATLS_E_NOMEM);
    }
    allocation_fail_at(3);
    expect_parsed(text, ALL_PCRS, 1);
    allocation_fail_at(0);
}
END_TEST

/* --- a boot log that goes on with them --------------------------------------- */

/* Those that systemd 261 closes for the firmware (systemd-pcrosseparator). */
static const unsigned separated[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14};

/* What firmware does: extend PCRs, into the log as well. */
static void boot(struct tcglog *log)
{
    static const struct tcglog_algorithm bank = {TPM2_ALG_SHA256, 32};

    tcglog_begin(log, &bank, 1);
    for (unsigned pcr = 0; pcr < 8; pcr++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "firmware of PCR %u", pcr);
        tcglog_text(log, pcr, EV_EFI_ACTION, text);
        ck_assert(swtpm_extend(measuring.swtpm, pcr, text));
    }
}

/* What systemd does, with its records. */
static void separate(FILE *log)
{
    static const char word[] = "os-separator";
    uint8_t digest[ATLS_SHA256_LEN];
    char hex[2 * ATLS_SHA256_LEN + 1];

    ck_assert_int_eq(atls_sha256(word, strlen(word), digest), ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    for (size_t i = 0; i < COUNT(separated); i++) {
        fprintf(log,
                RS "{\"pcr\":%u,\"digests\":[{\"hashAlg\":\"sha256\","
                   "\"digest\":\"%s\"}],\"content_type\":\"systemd\","
                   "\"content\":{\"string\":\"%s\",\"bootId\":"
                   "\"7c6a2a3ab9f14e9fa2b8a1dd2f0c4d8e\",\"timestamp\":%zu,"
                   "\"eventType\":\"os-separator\"}}\n",
                separated[i], hex, word, 1000 + i);
        ck_assert(swtpm_extend(measuring.swtpm, separated[i], word));
    }
}

static void expect_pcrs(const struct atls_boot_log *log, bool matches)
{
    for (size_t i = 0; i < COUNT(separated); i++) {
        struct atls_pcr_values values;
        uint8_t value[ATLS_PCR_DIGEST_MAX];
        const uint8_t *held;

        measuring_read_pcr(separated[i], &values);
        held = atls_pcr_value(&values, TPM2_ALG_SHA256, separated[i]);
        ck_assert_ptr_nonnull(held);
        ck_assert_int_eq(atls_boot_log_replay(log, TPM2_ALG_SHA256,
                                              separated[i], &why, value, NULL),
                         ATLS_OK);
        ck_assert_int_eq(memcmp(value, held, ATLS_SHA256_LEN) == 0, matches);
    }
}

START_TEST(test_boot_log_with_systemds_separators)
{
    static struct tcglog firmware;
    struct atls_boot_log log;
    char words[32];
    char *text = NULL;
    size_t len = 0;
    FILE *file;

    boot(&firmware);
    file = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(file);
    separate(file);
    ck_assert_int_eq(fclose(file), 0);

    ck_assert_int_eq(
        atls_boot_log_parse((struct atls_span){firmware.octets, firmware.len},
                            &why, &log),
        ATLS_OK);
    expect_pcrs(&log, false);
    expect_parsed(text, ALL_PCRS, COUNT(separated));
    ck_assert_int_eq(
        atls_boot_log_append(&log, events.events, events.count, &why), ATLS_OK);
    expect_pcrs(&log, true);
    atls_boot_event_describe(&log.events[log.count - 1], words, sizeof(words));
    ck_assert_str_eq(words, "os-separator");
    atls_boot_log_clear(&log);
    free(text);
}
END_TEST

static void stop_and_forget(void)
{
    measuring_stop();
    forget();
}

static const struct suite_test records_tests[] = {
    ONCE(test_events_of_all_pcrs),
    ONCE(test_event_without_content),
    LOOP(test_E11_malformed, 0, COUNT(malformed)),
    ONCE(test_E11_too_many_events),
    ONCE(test_read),
    ONCE(test_R3_allocations_fail),
};

static const struct suite_test boots_tests[] = {
    ONCE(test_boot_log_with_systemds_separators),
};

SUITE(.name = "measured_events", .skip = swtpm_missing,
      .begin = allocation_install,
      .cases = {
          CASE("records", records_tests, 0, NULL, forget),
          CASE("boots", boots_tests, 60, measuring_start, stop_and_forget)});
