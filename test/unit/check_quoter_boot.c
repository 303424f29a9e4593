/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/attester/quoter_boot.c: the boot log that travels with a quote. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/measured_log.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "lib/tcglog.h"
#include "base/log.h"
#include "verifier/bootcheck.h"

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

#define EV_SEPARATOR 4u
#define EV_EFI_ACTION 0x80000007u

static const struct tcglog_algorithm bank[] = {{TPM2_ALG_SHA256, 32}};
static const struct atls_formats plain = {1, {ATLS_FORMAT_TPM}};
static const struct atls_formats boot_first = {
    2, {ATLS_FORMAT_TPM_BOOT, ATLS_FORMAT_TPM}};
static const struct atls_formats plain_first = {
    2, {ATLS_FORMAT_TPM, ATLS_FORMAT_TPM_BOOT}};
static const struct atls_formats boot_only = {1, {ATLS_FORMAT_TPM_BOOT}};
static const struct atls_formats of_today = {
    2, {ATLS_FORMAT_TPM_SHORT, ATLS_FORMAT_TPM}};
static const struct atls_formats of_today_boot = {
    3, {ATLS_FORMAT_TPM_SHORT, ATLS_FORMAT_TPM_BOOT, ATLS_FORMAT_TPM}};
static const struct atls_formats short_only = {1, {ATLS_FORMAT_TPM_SHORT}};
static const struct atls_formats boot_before_short = {
    2, {ATLS_FORMAT_TPM_BOOT, ATLS_FORMAT_TPM_SHORT}};

static struct tcglog made;
static char path[600];

static void set_up(void)
{
    quotercase_set_up();
    quotercase.formats = boot_first;
    snprintf(path, sizeof(path), "%s/boot.bin", swtpm_folder(quotercase.swtpm));
    quotercase.config.boot_log = path;
    tcglog_begin(&made, bank, 1);
}

/* Into the log; into the TPM as well. */
static void log_only(unsigned pcr, const char *text)
{
    tcglog_text(&made, pcr, EV_EFI_ACTION, text);
}

static void boot(unsigned pcr, const char *text)
{
    log_only(pcr, text);
    ck_assert(swtpm_extend(quotercase.swtpm, pcr, text));
}

static void start(void)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(made.octets, 1, made.len, file), made.len);
    ck_assert_int_eq(fclose(file), 0);
    quotercase_start();
}

/* A handshake's evidence, which a verifier would accept; atls_evidence_free() it
 * and then free the octets. */
static struct atls_evidence *obtain(uint8_t **ret_cmw)
{
    static unsigned number;
    struct atls_evidence *evidence = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_expect(&why, quotercase_obtain(number, &why, &cmw, &len),
                      ATLS_OK, "");
    ck_assert(quotercase_is_valid(number, OPENSSL_memdup(cmw, len), len, NULL));
    number++;
    quotercase_expect(
        &why,
        atls_evidence_decode((struct atls_span){cmw, len}, &why, &evidence),
        ATLS_OK, "");
    quotercase_expect(&why, atls_bootcheck(evidence, &why), ATLS_OK, "");
    *ret_cmw = cmw;
    return evidence;
}

static void expect(unsigned format, size_t count)
{
    uint8_t *cmw;
    struct atls_evidence *evidence = obtain(&cmw);

    ck_assert_uint_eq(evidence->format, format);
    ck_assert_uint_eq(evidence->boot_log.count, count);
    atls_evidence_free(evidence);
    OPENSSL_free(cmw);
}

/* --- which format ---------------------------------------------------------- */

static const struct {
    const struct atls_formats *formats;
    unsigned format;        /* with a boot log ... */
    size_t count;           /* ... of which so many events travel */
    unsigned without_a_log; /* with none */
} asked[] = {
    {&plain, ATLS_FORMAT_TPM, 0, ATLS_FORMAT_TPM},
    {&plain_first, ATLS_FORMAT_TPM, 0, ATLS_FORMAT_TPM},
    {&boot_first, ATLS_FORMAT_TPM_BOOT, 2, ATLS_FORMAT_TPM},
    {&boot_only, ATLS_FORMAT_TPM_BOOT, 2, ATLS_FORMAT_TPM_BOOT},
    {&of_today, ATLS_FORMAT_TPM_SHORT, 0, ATLS_FORMAT_TPM_SHORT},
    {&of_today_boot, ATLS_FORMAT_TPM_SHORT, 2, ATLS_FORMAT_TPM_SHORT},
    {&short_only, ATLS_FORMAT_TPM_SHORT, 0, ATLS_FORMAT_TPM_SHORT},
    {&boot_before_short, ATLS_FORMAT_TPM_BOOT, 2, ATLS_FORMAT_TPM_SHORT},
};

START_TEST(test_format_as_the_peer_prefers)
{
    boot(4, "Calling EFI Application");
    boot(7, "separator");
    start();
    quotercase.formats = *asked[_i].formats;
    expect(asked[_i].format, asked[_i].count);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, ""), 0);
}
END_TEST

START_TEST(test_empty_log)
{
    made.len = 0;
    start();
    quotercase.formats = *asked[_i].formats;
    expect(asked[_i].without_a_log, 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 0);
}
END_TEST

START_TEST(test_boot_log_is_none)
{
    boot(4, "Calling EFI Application");
    quotercase.config.boot_log = NULL;
    start();
    expect(ATLS_FORMAT_TPM, 0);
}
END_TEST

/* Tickets of one batch, each with what its peer takes. */
START_TEST(test_format_is_per_ticket)
{
    struct atls_ticket *tickets[8];
    struct atls_reason why = {.code = ATLS_OK};

    boot(4, "Calling EFI Application");
    start();
    for (unsigned i = 0; i < 8; i++) {
        quotercase.formats = i % 2 == 0 ? plain : boot_first;
        quotercase_expect(&why, quotercase_submit(i, &why, &tickets[i]),
                          ATLS_OK, "");
    }
    for (unsigned i = 0; i < 8; i++) {
        struct atls_evidence *evidence = NULL;
        uint8_t *cmw = NULL;
        size_t len = 0;

        quotercase_expect(&why, atls_ticket_wait(tickets[i], &why, &cmw, &len),
                          ATLS_OK, "");
        ck_assert_int_eq(
            atls_evidence_decode((struct atls_span){cmw, len}, NULL, &evidence),
            ATLS_OK);
        ck_assert_uint_eq(evidence->format,
                          i % 2 == 0 ? ATLS_FORMAT_TPM : ATLS_FORMAT_TPM_BOOT);
        atls_evidence_free(evidence);
        ck_assert(quotercase_is_valid(i, cmw, len, NULL));
    }
}
END_TEST

/* --- which events ---------------------------------------------------------- */

START_TEST(test_events_as_logged_and_data_cut)
{
    static char text[ATLS_BOOT_WIRE_DATA_MAX + 45];
    uint8_t *cmw;
    struct atls_evidence *evidence;

    memset(text, 'x', sizeof(text) - 1);
    boot(4, "Calling EFI Application");
    boot(4, text);
    start();
    evidence = obtain(&cmw);
    ck_assert_uint_eq(evidence->boot_log.count, 2);
    ck_assert_uint_eq(evidence->boot_log.events[0].pcr, 4);
    ck_assert_uint_eq(evidence->boot_log.events[0].type, EV_EFI_ACTION);
    ck_assert_uint_eq(evidence->boot_log.events[0].data.len, 23);
    ck_assert_uint_eq(evidence->boot_log.events[1].data.len,
                      ATLS_BOOT_WIRE_DATA_MAX);
    atls_evidence_free(evidence);
    OPENSSL_free(cmw);
}
END_TEST

static void extended_by_others(void)
{
    boot(7, "separator");
    ck_assert(swtpm_extend(quotercase.swtpm, 7, "somebody"));
}

static void not_extended(void)
{
    log_only(7, "separator");
}

static void not_quoted(void)
{
    boot(10, "boot_aggregate");
}

/* The locality of PCR 0 goes with its events. */
static void another_locality(void)
{
    tcglog_locality(&made, 3);
    boot(0, "firmware");
}

static const struct {
    void (*boot)(void);
    const char *text;
} left_out[] = {
    {extended_by_others, "without its events of PCR 7: they do not replay"},
    {not_extended, "without its events of PCR 7: they do not replay"},
    {not_quoted, "without its events of PCR 10: they do not replay"},
    {another_locality, "without its events of PCR 0: they do not replay"},
};

START_TEST(test_what_does_not_replay_is_left_out)
{
    uint8_t *cmw;
    struct atls_evidence *evidence;

    boot(4, "Calling EFI Application");
    left_out[_i].boot();
    start();
    evidence = obtain(&cmw);
    ck_assert_uint_eq(evidence->boot_log.count, 1);
    ck_assert_uint_eq(evidence->boot_log.events[0].pcr, 4);
    ck_assert_uint_eq(evidence->boot_log.startup_locality, 0);
    atls_evidence_free(evidence);
    OPENSSL_free(cmw);
    expect(ATLS_FORMAT_TPM_BOOT, 1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, left_out[_i].text), 1);
}
END_TEST

/* Quoted, but with no digest of that bank in the log; nothing is left. */
START_TEST(test_bank_that_the_log_lacks)
{
    quotercase.config.pcrs = "sha256:0-9,11-15+sha384:0-7";
    boot(4, "Calling EFI Application");
    boot(8, "grub");
    start();
    expect(ATLS_FORMAT_TPM, 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "of PCR 4, 8: they"), 1);
}
END_TEST

START_TEST(test_pcr_moves_away_from_its_log)
{
    boot(4, "Calling EFI Application");
    boot(7, "separator");
    start();
    expect(ATLS_FORMAT_TPM_BOOT, 2);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, ""), 0);
    ck_assert(swtpm_extend(quotercase.swtpm, 7, "somebody"));
    expect(ATLS_FORMAT_TPM_BOOT, 1);
    expect(ATLS_FORMAT_TPM_BOOT, 1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "of PCR 7: they"), 1);
}
END_TEST

/* --- user space ------------------------------------------------------------ */

/* Like systemd, which does not ask what else is in the PCR. For any thread. */
static void measure(unsigned pcr, const char *content)
{
    const struct atls_pcr_selection banks = {
        1, {{TPM2_ALG_SHA256, UINT32_C(1) << pcr}}};
    FILE *file = fopen(quotercase.measured_log, "ae");
    char *record = NULL;
    size_t len = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(
        atls_measured_record(pcr, &banks, content, NULL, &record, &len),
        ATLS_OK);
    ck_assert_uint_eq(fwrite(record, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
    OPENSSL_free(record);
    ck_assert(swtpm_extend(quotercase.swtpm, pcr, content));
}

/* PCR 11: the stub's events in the firmware's log, systemd's in the other; what
 * the measured log travels for, PCR 15, stays there. */
START_TEST(test_user_space_events)
{
    uint8_t *cmw;
    struct atls_evidence *evidence;

    quotercase.config.measured_log = quotercase.measured_log;
    boot(11, "kernel");
    measure(11, "enter-initrd");
    measure(15, "component x sha256:00");
    start();
    evidence = obtain(&cmw);
    ck_assert_uint_eq(evidence->boot_log.count, 2);
    ck_assert_uint_eq(evidence->boot_log.events[1].pcr, 11);
    ck_assert_uint_eq(evidence->boot_log.events[1].type, ATLS_BOOT_USER_SPACE);
    ck_assert_uint_eq(evidence->boot_log.events[1].data.len,
                      strlen("enter-initrd"));
    ck_assert_uint_eq(evidence->log_count, 1);
    atls_evidence_free(evidence);
    OPENSSL_free(cmw);
    measure(11, "leave-initrd");
    expect(ATLS_FORMAT_TPM_BOOT, 3);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, ""), 0);
}
END_TEST

/* Between the quote and the reading of the log, events are added. */
static int measures_left;

static void measure_after_quote(void *arg, uint32_t code, uint8_t *response,
                                size_t *len)
{
    (void)arg, (void)response, (void)len;
    if (code == TPM2_CC_Quote && measures_left > 0) {
        measures_left--;
        measure(11, "leave-initrd");
        measure(12, "kernel command line");
    }
}

START_TEST(test_T7_log_is_ahead_of_the_quote)
{
    const struct tpmproxy_hooks hooks = {.after = measure_after_quote};

    quotercase.config.measured_log = quotercase.measured_log;
    quotercase_proxy(&hooks);
    boot(11, "kernel");
    measure(11, "enter-initrd");
    start();
    measures_left = 1;
    expect(ATLS_FORMAT_TPM_BOOT, 2);
    expect(ATLS_FORMAT_TPM_BOOT, 4);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, ""), 0);
}
END_TEST

/* --- logs that cannot be sent ---------------------------------------------- */

static void expect_told_once(const char *text)
{
    expect(ATLS_FORMAT_TPM, 0);
    expect(ATLS_FORMAT_TPM, 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN,
                                        "evidence goes out without the boot "
                                        "log: "),
                      1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, text), 1);
}

static const struct {
    size_t count;
    size_t data_len;
    const char *text;
} too_much[] = {
    {180, 256, "octets, 49152 are allowed: 5"},
    {513, 1, "the boot log has 513 events, 512 are allowed"},
};

START_TEST(test_S16_boot_log_that_does_not_fit)
{
    char text[257] = "";

    memset(text, 'x', too_much[_i].data_len);
    for (size_t i = 0; i < too_much[_i].count; i++)
        boot(4, text);
    start();
    expect_told_once(too_much[_i].text);
    quotercase.formats = boot_only;
    expect(ATLS_FORMAT_TPM_BOOT, 0);
}
END_TEST

/* A log that was cut; something else, of a file that claims to be empty as those
 * of securityfs do; what cannot be read. */
static void log_that_is_cut(void)
{
    made.len--;
}

static void log_of_a_file_system(void)
{
    quotercase.config.boot_log = "/proc/version";
}

static void log_that_is_a_folder(void)
{
    quotercase.config.boot_log = "/";
}

static void log_that_is_endless(void)
{
    quotercase.config.boot_log = "/dev/zero";
}

static void log_that_is_missing(void)
{
    quotercase.config.boot_log = "/nowhere/boot.bin";
}

static const struct {
    void (*change)(void);
    const char *text;
} bad[] = {
    {log_that_is_cut, "boot.bin: boot log: event 1 at octet"},
    {log_of_a_file_system, "boot_log: /proc/version: boot log: event 0"},
    {log_that_is_a_folder, "boot_log: cannot read /: Is a directory"},
    {log_that_is_endless, "boot_log: /dev/zero has more than 1048576 octets"},
    {log_that_is_missing, "boot_log: cannot open /nowhere/boot.bin: No such"},
};

START_TEST(test_bad_log_is_no_error)
{
    boot(4, "Calling EFI Application");
    bad[_i].change();
    start();
    expect_told_once(bad[_i].text);
}
END_TEST

START_TEST(test_missing_log_that_nobody_named)
{
    quotercase.config.boot_log = "/nowhere/boot.bin";
    quotercase.config.is_boot_log_optional = true;
    start();
    expect(ATLS_FORMAT_TPM, 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_format_as_the_peer_prefers, 0, COUNT(asked)),
    LOOP(test_empty_log, 0, COUNT(asked)),
    ONCE(test_boot_log_is_none),
    ONCE(test_format_is_per_ticket),
    ONCE(test_events_as_logged_and_data_cut),
    LOOP(test_what_does_not_replay_is_left_out, 0, COUNT(left_out)),
    ONCE(test_bank_that_the_log_lacks),
    ONCE(test_pcr_moves_away_from_its_log),
    ONCE(test_user_space_events),
    ONCE(test_T7_log_is_ahead_of_the_quote),
    LOOP(test_S16_boot_log_that_does_not_fit, 0, COUNT(too_much)),
    LOOP(test_bad_log_is_no_error, 0, COUNT(bad)),
    ONCE(test_missing_log_that_nobody_named),
};

SUITE(.name = "quoter_boot",
      .cases = {CASE("quoter_boot", tests, 120, set_up, quotercase_tear_down)});
