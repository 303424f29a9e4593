/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "attester/measure.h"
#include "attester/quoter.h"
#include "attester/tpm.h"
#include "lib/measuring.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "base/log.h"

/* The measured log that travels with a quote belongs to it. */

static void set_up(void)
{
    quotercase_set_up();
    quotercase.config.measured_log = quotercase.measured_log;
}

/* Like `attest measure`: for any thread, with a connection of its own. */
static bool measure(const char *log, const char *content)
{
    struct atls_reason why = {.text = ""};
    struct atls_tpm *tpm = NULL;
    enum atls_measured done = ATLS_MEASURED_ALREADY;
    enum atls_error r;

    r = atls_tpm_open(swtpm_tcti(quotercase.swtpm), &why, &tpm);
    if (r == ATLS_OK)
        r = measuring_once(tpm, log, 15, content, 1000, &why, &done);
    atls_tpm_close(tpm);
    if (r != ATLS_OK)
        fprintf(stderr, "cannot measure: %s\n", why.text);
    return r == ATLS_OK;
}

static void copy_file(const char *from, const char *to, size_t len)
{
    char octets[8192];
    FILE *file = fopen(from, "re");

    ck_assert_ptr_nonnull(file);
    if (len == 0)
        len = sizeof(octets);
    len = fread(octets, 1, len, file);
    fclose(file);
    file = fopen(to, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(octets, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

static struct quotercase_evidence serve(void)
{
    static unsigned number;
    struct quotercase_evidence found;

    ck_assert(quotercase_serve(number++, &found));
    return found;
}

static void expect_log(size_t count)
{
    struct quotercase_evidence found = serve();

    ck_assert(found.has_log);
    ck_assert(found.replays);
    ck_assert_uint_eq(found.log_count, count);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 0);
}

START_TEST(test_log_grows_with_the_pcr)
{
    quotercase_start();
    expect_log(0); /* there is no file yet */
    for (size_t i = 1; i <= 5; i++) {
        char content[32];

        snprintf(content, sizeof(content), "event %zu", i);
        ck_assert(measure(quotercase.measured_log, content));
        expect_log(i);
        expect_log(i);
    }
}
END_TEST

START_TEST(test_other_bank_first)
{
    quotercase.config.pcrs = "sha384:15+sha256:0-15";
    quotercase_start();
    ck_assert(measure(quotercase.measured_log, "event"));
    expect_log(1);
}
END_TEST

/* Between the quote and the reading of the log, an event is added. */
static atomic_int measures_left;

static void measure_after_quote(void *arg, uint32_t code, uint8_t *response,
                                size_t *len)
{
    (void)arg;
    (void)response;
    (void)len;
    if (code == TPM2_CC_Quote && atomic_load(&measures_left) > 0) {
        atomic_fetch_sub(&measures_left, 1);
        measure(quotercase.measured_log, "event after the quote");
    }
}

START_TEST(test_T7_log_is_ahead_of_the_quote)
{
    const struct tpmproxy_hooks hooks = {.after = measure_after_quote};

    quotercase_proxy(&hooks);
    quotercase_start();
    ck_assert(measure(quotercase.measured_log, "event before the quote"));
    atomic_store(&measures_left, 1);
    expect_log(1);
    ck_assert_int_eq(measures_left, 0);
    expect_log(2);
}
END_TEST

/* Extended already, and written down in a moment. */
static void *complete_log(void *arg)
{
    usleep(30000);
    copy_file(arg, quotercase.measured_log, 0);
    return NULL;
}

START_TEST(test_T7_log_is_behind_the_quote)
{
    char whole[620];
    pthread_t thread;
    struct stat st;

    snprintf(whole, sizeof(whole), "%s.whole", quotercase.measured_log);
    ck_assert(measure(whole, "first event"));
    ck_assert_int_eq(stat(whole, &st), 0);
    ck_assert(measure(whole, "second event"));
    copy_file(whole, quotercase.measured_log, (size_t)st.st_size);
    quotercase_start();
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_log, whole), 0);
    expect_log(2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* --- a log that does not lead to its PCR -------------------------------------- */

static unsigned handshake;

static void expect_refused(enum atls_error code, const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_expect(&why, quotercase_obtain(handshake++, &why, &cmw, &len),
                      code, text);
}

/* Refused each time, and said once; served again once `mend` has mended it. */
static void expect_refused_until(enum atls_error code, const char *text,
                                 void (*mend)(void), size_t count)
{
    for (int i = 0; i < 3; i++) {
        expect_refused(code, text);
        ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, text), 1);
    }
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, "no evidence is "
                                                        "given: "),
                      1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "evidence is given "
                                                       "again: "),
                      0);
    mend();
    expect_log(count);
    expect_log(count);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "evidence is given "
                                                       "again: "),
                      1);
}

static void measure_two(void)
{
    ck_assert(measure(quotercase.measured_log, "first event"));
    ck_assert(measure(quotercase.measured_log, "second event"));
}

static void boot_and_measure(void)
{
    ck_assert(swtpm_reset(quotercase.swtpm));
    (void)unlink(quotercase.measured_log);
    measure_two();
}

static void remove_and_measure(void)
{
    ck_assert_int_eq(unlink(quotercase.measured_log), 0);
    measure_two();
}

/* Known before, or looked at afterwards for the first time. */
static void start_with_two_events(bool is_known)
{
    quotercase_start();
    if (is_known)
        expect_log(0);
    measure_two();
    if (is_known)
        expect_log(2);
}

static const char reset[] = "events.cel was written: PCR 15 is zero, the log "
                            "has 2 events (hibernation does that, too); remove "
                            "the log, then attest measure --all";

START_TEST(test_T16_reset_with_the_log_still_there)
{
    start_with_two_events(_i == 1);
    ck_assert(swtpm_reset(quotercase.swtpm));
    expect_refused_until(ATLS_E_LOG_MISMATCH, reset, remove_and_measure, 2);
    ck_assert_uint_eq(
        quotercase_logged(ATLS_LOG_ERROR, "the TPM was reset since "), 1);
}
END_TEST

/* What was known of a PCR that is zero is not what it is after a reset. */
START_TEST(test_T6_reset_to_a_value_that_was_known)
{
    quotercase_start();
    expect_log(0);
    measure_two();
    ck_assert(swtpm_reset(quotercase.swtpm));
    expect_refused_until(ATLS_E_LOG_MISMATCH, reset, remove_and_measure, 2);
}
END_TEST

START_TEST(test_T16_reset_and_measured_again_in_part)
{
    start_with_two_events(_i == 1);
    ck_assert(swtpm_reset(quotercase.swtpm));
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "first event"));
    expect_refused_until(ATLS_E_LOG_MISMATCH,
                         "events.cel was written: PCR 15 holds the first 1 of "
                         "its 2 events, as after hibernation; reboot",
                         boot_and_measure, 2);
}
END_TEST

static char kept[700];

static void keep_log(void)
{
    snprintf(kept, sizeof(kept), "%s.kept", quotercase.measured_log);
    ck_assert_int_eq(rename(quotercase.measured_log, kept), 0);
}

static void restore_log(void)
{
    copy_file(kept, quotercase.measured_log, 0);
}

START_TEST(test_T16_log_that_is_not_there)
{
    start_with_two_events(_i == 1);
    keep_log();
    expect_refused_until(ATLS_E_LOG_MISMATCH,
                         "events.cel is not there, yet PCR 15 is not zero: "
                         "lost (kexec), out of sight (chroot), or the PCR "
                         "extended by others; restore it, reboot, or",
                         restore_log, 2);
}
END_TEST

START_TEST(test_T16_log_that_is_empty)
{
    start_with_two_events(_i == 1);
    keep_log();
    copy_file("/dev/null", quotercase.measured_log, 1);
    expect_refused_until(ATLS_E_LOG_MISMATCH,
                         "events.cel has no event of PCR 15, which is not "
                         "zero: extended by others, or log lost (kexec); "
                         "restore it, reboot, or set measure_pcr",
                         restore_log, 2);
}
END_TEST

START_TEST(test_T15_extended_by_others)
{
    start_with_two_events(_i == 1);
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "behind our back"));
    expect_refused_until(
        ATLS_E_LOG_MISMATCH,
        "PCR 15 was extended by others, or the log lost events: ",
        boot_and_measure, 2);
    /* The next move is said again. */
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "once more"));
    expect_refused(ATLS_E_LOG_MISMATCH,
                   "PCR 15 was extended by others, or the log lost events: ");
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, "extended by others"),
                      2);
}
END_TEST

/* swtpm_extend() extends the SHA-256 bank alone. */
START_TEST(test_T15_one_of_two_banks)
{
    quotercase.config.pcrs = "sha384:15+sha256:0-15";
    start_with_two_events(false);
    expect_log(2);
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "behind our back"));
    expect_refused(ATLS_E_LOG_MISMATCH, "events.cel leads to sha256:");
}
END_TEST

/* Nobody counts it, unless it is all there is. */
START_TEST(test_E20_sha1_bank_that_others_extended)
{
    const bool is_alone = _i == 1;

    quotercase.config.pcrs = is_alone ? "sha1:15" : "sha1:15+sha256:0-15";
    start_with_two_events(false);
    ck_assert(swtpm_extend_sha1(quotercase.swtpm, 15, "behind our back"));
    if (is_alone)
        expect_refused(ATLS_E_LOG_MISMATCH, "events.cel leads to sha1:");
    else
        expect_log(2);
}
END_TEST

/* Written down, or about to be: nobody can tell but by waiting. */
START_TEST(test_T15_interrupted_measurement)
{
    char wal[700];
    FILE *out;

    start_with_two_events(true);
    snprintf(wal, sizeof(wal), "%s.wal", quotercase.measured_log);
    out = fopen(wal, "we");
    ck_assert_ptr_nonnull(out);
    fclose(out);
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "third event"));
    expect_refused(ATLS_E_LOG_MISMATCH, "a measurement was interrupted: ");
    expect_refused(ATLS_E_LOG_MISMATCH,
                   "events.cel lacks an event of PCR 15; the next attest "
                   "measure, as root, completes it");
    ck_assert_int_eq(unlink(wal), 0);
    expect_refused(ATLS_E_LOG_MISMATCH,
                   "PCR 15 was extended by others, or the log lost events: ");
}
END_TEST

static void append(const char *octets)
{
    FILE *out = fopen(quotercase.measured_log, "ae");

    ck_assert_ptr_nonnull(out);
    fputs(octets, out);
    ck_assert_int_eq(fclose(out), 0);
}

static void restore_over(void)
{
    ck_assert(unlink(quotercase.measured_log) == 0
              || rmdir(quotercase.measured_log) == 0);
    restore_log();
}

static const struct {
    const char *octets; /* NULL: a folder is in its place */
    const char *text;
} damages[] = {
    {"garbage", "cannot be read: "},
    {"\x1e{\"pcr\":15,", "record 3 is cut off"},
    {"\x1e{\"pcr\":15}\n", "record 3 has no content.string"},
    {NULL, "events.cel is not a regular file"},
};

START_TEST(test_log_that_cannot_be_read)
{
    start_with_two_events(true);
    keep_log();
    if (damages[_i].octets != NULL) {
        restore_log();
        append(damages[_i].octets);
    } else {
        ck_assert_int_eq(mkdir(quotercase.measured_log, 0700), 0);
    }
    expect_refused(ATLS_E_LOG_UNREADABLE, "the measured log cannot be read: ");
    expect_refused_until(ATLS_E_LOG_UNREADABLE, damages[_i].text, restore_over,
                         2);
}
END_TEST

/* Half a record may be there for a moment, and nothing is wrong. */
static void *complete_record(void *arg)
{
    usleep(30000);
    copy_file(arg, quotercase.measured_log, 0);
    return NULL;
}

START_TEST(test_T7_record_that_is_being_written)
{
    pthread_t thread;
    struct stat st;

    start_with_two_events(false);
    keep_log();
    ck_assert_int_eq(stat(kept, &st), 0);
    copy_file(kept, quotercase.measured_log, (size_t)st.st_size - 20);
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_record, kept), 0);
    expect_log(2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* Where a log was never wanted, nothing is looked at. */
START_TEST(test_no_log_is_wanted)
{
    struct quotercase_evidence found;

    quotercase.config.measured_log = NULL;
    quotercase_start();
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "an event"));
    found = serve();
    ck_assert(!found.has_log);
}
END_TEST

/* Measuring and quoting at the same time: each log fits its quote. */
static void *measure_many(void *arg)
{
    const int *count = arg;

    for (int i = 0; i < *count; i++) {
        char content[32];

        snprintf(content, sizeof(content), "event %d", i);
        if (!measure(quotercase.measured_log, content))
            return arg;
    }
    return NULL;
}

START_TEST(test_T7_extending_beside_quoting)
{
    int count = 50 * suite_scale();
    pthread_t thread;
    void *failed = NULL;
    size_t seen = 0;

    quotercase_start();
    ck_assert_int_eq(pthread_create(&thread, NULL, measure_many, &count), 0);
    while (seen < (size_t)count) {
        struct quotercase_evidence found = serve();

        ck_assert(found.has_log);
        ck_assert(found.replays);
        ck_assert_uint_ge(found.log_count, seen);
        seen = found.log_count;
    }
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_log_grows_with_the_pcr),
    ONCE(test_other_bank_first),
    ONCE(test_T7_log_is_ahead_of_the_quote),
    ONCE(test_T7_log_is_behind_the_quote),
    LOOP(test_T16_reset_with_the_log_still_there, 0, 2),
    ONCE(test_T6_reset_to_a_value_that_was_known),
    LOOP(test_T16_reset_and_measured_again_in_part, 0, 2),
    LOOP(test_T16_log_that_is_not_there, 0, 2),
    LOOP(test_T16_log_that_is_empty, 0, 2),
    LOOP(test_T15_extended_by_others, 0, 2),
    ONCE(test_T15_one_of_two_banks),
    LOOP(test_E20_sha1_bank_that_others_extended, 0, 2),
    ONCE(test_T15_interrupted_measurement),
    LOOP(test_log_that_cannot_be_read, 0, sizeof(damages) / sizeof(damages[0])),
    ONCE(test_T7_record_that_is_being_written),
    ONCE(test_no_log_is_wanted),
    ONCE(test_T7_extending_beside_quoting),
};

SUITE(.name = "quoter_log", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, set_up, quotercase_tear_down)});
