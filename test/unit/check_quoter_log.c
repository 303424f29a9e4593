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
#include "log.h"

/* The measured log that travels with a quote belongs to it. */

static void set_up(void)
{
    quotercase_set_up();
    quotercase.config.event_log = quotercase.event_log;
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
        ck_assert(measure(quotercase.event_log, content));
        expect_log(i);
        expect_log(i);
    }
}
END_TEST

START_TEST(test_other_bank_first)
{
    quotercase.config.pcrs = "sha384:15+sha256:0-15";
    quotercase_start();
    ck_assert(measure(quotercase.event_log, "event"));
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
        measure(quotercase.event_log, "event after the quote");
    }
}

START_TEST(test_T7_log_is_ahead_of_the_quote)
{
    const struct tpmproxy_hooks hooks = {.after = measure_after_quote};

    quotercase_proxy(&hooks);
    quotercase_start();
    ck_assert(measure(quotercase.event_log, "event before the quote"));
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
    copy_file(arg, quotercase.event_log, 0);
    return NULL;
}

START_TEST(test_T7_log_is_behind_the_quote)
{
    char whole[620];
    pthread_t thread;
    struct stat st;

    snprintf(whole, sizeof(whole), "%s.whole", quotercase.event_log);
    ck_assert(measure(whole, "first event"));
    ck_assert_int_eq(stat(whole, &st), 0);
    ck_assert(measure(whole, "second event"));
    copy_file(whole, quotercase.event_log, (size_t)st.st_size);
    quotercase_start();
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_log, whole), 0);
    expect_log(2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* Said once; all that is there is sent, and the verifier decides. */
START_TEST(test_log_that_does_not_fit)
{
    static const char warning[] = "does not replay to PCR 15 (sha256): ";
    struct quotercase_evidence found;

    quotercase_start();
    ck_assert(measure(quotercase.event_log, "event"));
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "behind our back"));
    for (int i = 0; i < 3; i++) {
        found = serve();
        ck_assert(found.has_log);
        ck_assert(!found.replays);
        ck_assert_uint_eq(found.log_count, 1);
        ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, warning), 1);
    }
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, "reboot, then measure"),
                      1);
    /* The next move is said again. */
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "behind our back again"));
    found = serve();
    ck_assert(!found.replays);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, warning), 2);
    /* After a reboot with a new log all is well. */
    ck_assert(swtpm_reset(quotercase.swtpm));
    ck_assert_int_eq(unlink(quotercase.event_log), 0);
    found = serve();
    ck_assert(found.replays);
    ck_assert_uint_eq(found.log_count, 0);
}
END_TEST

/* In a chroot, say. What else would the PCR have been extended with? */
START_TEST(test_log_that_is_not_there)
{
    struct quotercase_evidence found;

    ck_assert(measure(quotercase.event_log, "event"));
    ck_assert_int_eq(unlink(quotercase.event_log), 0);
    quotercase_start();
    found = serve();
    ck_assert(!found.replays);
    ck_assert_uint_eq(found.log_count, 0);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN,
                                        "events.cel: not there, as this "
                                        "process sees files (in a chroot?), "
                                        "but PCR 15 (sha256) was extended"),
                      1);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, ""), 1);
}
END_TEST

START_TEST(test_log_that_cannot_be_read)
{
    static const char warning[] =
        "evidence goes out without the measured log: ";
    struct quotercase_evidence found;

    ck_assert_int_eq(mkdir(quotercase.event_log, 0700), 0);
    quotercase_start();
    for (int i = 0; i < 3; i++) {
        found = serve();
        ck_assert(!found.has_log);
    }
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_WARN, warning), 1);
    ck_assert_int_eq(rmdir(quotercase.event_log), 0);
    found = serve();
    ck_assert(found.has_log);
    ck_assert(found.replays);
}
END_TEST

/* Measuring and quoting at the same time: each log fits its quote. */
static void *measure_many(void *arg)
{
    const int *count = arg;

    for (int i = 0; i < *count; i++) {
        char content[32];

        snprintf(content, sizeof(content), "event %d", i);
        if (!measure(quotercase.event_log, content))
            return arg;
    }
    return NULL;
}

START_TEST(test_T7_extending_beside_quoting)
{
    int count = 50 * quotercase_scale();
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

int main(void)
{
    Suite *suite = suite_create("quoter_log");
    TCase *tcase = tcase_create("with a swtpm");
    SRunner *runner;
    int failed;

    if (!swtpm_is_installed())
        return 77;
    tcase_set_timeout(tcase, 60 * quotercase_scale());
    tcase_add_checked_fixture(tcase, set_up, quotercase_tear_down);
    tcase_add_test(tcase, test_log_grows_with_the_pcr);
    tcase_add_test(tcase, test_other_bank_first);
    tcase_add_test(tcase, test_T7_log_is_ahead_of_the_quote);
    tcase_add_test(tcase, test_T7_log_is_behind_the_quote);
    tcase_add_test(tcase, test_log_that_does_not_fit);
    tcase_add_test(tcase, test_log_that_is_not_there);
    tcase_add_test(tcase, test_log_that_cannot_be_read);
    tcase_add_test(tcase, test_T7_extending_beside_quoting);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
