/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/log_lock.h"
#include "attester/measured_log.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"
#include "lib/measuring.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

#define SYSTEMD "tpm2-measure.log"

static mode_t mode_of(const char *name)
{
    struct stat st;

    ck_assert_int_eq(stat(scratch_path(name), &st), 0);
    return st.st_mode & 07777;
}

/* A process that holds a lock on a file for a while; waits until it does. */
static pid_t hold_lock(const char *name, unsigned ms)
{
    int fds[2];
    pid_t pid;
    char c;

    ck_assert_int_eq(pipe(fds), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int fd = open(scratch_path(name), O_RDWR);

        if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(fds[1], "x", 1) != 1)
            _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    close(fds[0]);
    return pid;
}

START_TEST(test_measure)
{
    umask(077); /* must not count */
    measuring_expect("log", "component a sha256:00", ATLS_MEASURED_NEW);
    measuring_expect_state("log", "component a sha256:00");
    ck_assert_uint_eq(mode_of("log"), 0644);
    ck_assert_uint_eq(mode_of("log.lock"), 0600);
    measuring_expect("log", "certificate sha256:11", ATLS_MEASURED_NEW);
    measuring_expect("log", "component a sha256:00", ATLS_MEASURED_ALREADY);
    measuring_expect("log", "certificate sha256:11", ATLS_MEASURED_ALREADY);
    /* A content that merely begins like one that is there. */
    measuring_expect("log", "component a", ATLS_MEASURED_NEW);
    measuring_expect_state(
        "log", "component a sha256:00|certificate sha256:11|component a");
}
END_TEST

/* Each PCR has its own events in the same log. */
START_TEST(test_measure_into_another_pcr)
{
    enum atls_measured done = ATLS_MEASURED_ALREADY;

    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    ck_assert_int_eq(measuring_once(measuring.tpm, scratch_path("log"), 8, "a",
                                    0, &measuring_why, &done),
                     ATLS_OK);
    ck_assert_int_eq(done, ATLS_MEASURED_NEW);
    measuring_expect("log", "b", ATLS_MEASURED_NEW);
    measuring_expect_state("log", "a|b");
}
END_TEST

static const char *const illegal[] = {"", "a\nb", "a\x1e", "\xc3\xa4"};

START_TEST(test_content_must_be_one_line)
{
    enum atls_measured done = ATLS_MEASURED_ALREADY;

    ck_assert_int_eq(measuring_try("log", illegal[_i], &done), ATLS_E_USAGE);
    ck_assert_str_eq(measuring_why.text,
                     "what is measured must be one line of 1 to 4096 printable "
                     "ASCII characters");
    measuring_expect_state("log", "");
}
END_TEST

static void begin(struct atls_measuring **ret_measuring)
{
    static struct atls_evidence outline; /* outlives it */

    atls_log_room_outline(NULL, &outline);
    ck_assert_int_eq(atls_measuring_begin(measuring.tpm, scratch_path("log"),
                                          MEASURING_PCR, 0, &outline,
                                          &measuring_why, ret_measuring),
                     ATLS_OK);
}

/* What a hold of the lock is for: several events, and nobody's between them. */
START_TEST(test_several_under_one_lock)
{
    static const char *const contents[] = {"a", "b", "a", "c"};
    struct atls_measuring *m = NULL;
    struct atls_measurement result;
    enum atls_measured done = ATLS_MEASURED_ALREADY;

    begin(&m);
    for (int i = 0; i < COUNT(contents); i++) {
        ck_assert_int_eq(
            atls_measuring_next(m, contents[i], &measuring_why, &result),
            ATLS_OK);
        ck_assert_int_eq(result.done,
                         i == 2 ? ATLS_MEASURED_ALREADY : ATLS_MEASURED_NEW);
        ck_assert(!result.is_changed);
        ck_assert_int_eq(measuring_try("log", "x", &done), ATLS_E_LOG_BUSY);
    }
    atls_measuring_end(m);
    atls_measuring_end(NULL);
    measuring_expect("log", "d", ATLS_MEASURED_NEW);
    measuring_expect_state("log", "a|b|c|d");
}
END_TEST

#define ZEROS                          \
    "00000000000000000000000000000000" \
    "00000000000000000000000000000000"
#define ONES                           \
    "11111111111111111111111111111111" \
    "11111111111111111111111111111111"

/* In order, into one log. */
static const struct {
    const char *content;
    enum atls_measured done;
    bool is_changed;
} changes[] = {
    {"component a sha256:" ZEROS, ATLS_MEASURED_NEW, false},
    {"component aa sha256:" ONES, ATLS_MEASURED_NEW, false},
    {"component a sha256:" ZEROS, ATLS_MEASURED_ALREADY, false},
    {"component a sha256:" ONES, ATLS_MEASURED_NEW, true},
    {"component a sha256:" ZEROS, ATLS_MEASURED_ALREADY, true},
    {"component aa sha256:" ONES, ATLS_MEASURED_ALREADY, false},
    {"certificate sha256:" ZEROS, ATLS_MEASURED_NEW, false},
    {"certificate sha256:" ONES, ATLS_MEASURED_NEW, false},
    {"a", ATLS_MEASURED_NEW, false},
};

START_TEST(test_component_that_has_changed)
{
    struct atls_measuring *m = NULL;

    begin(&m);
    for (int i = 0; i < COUNT(changes); i++) {
        struct atls_measurement result;

        ck_assert_int_eq(
            atls_measuring_next(m, changes[i].content, &measuring_why, &result),
            ATLS_OK);
        ck_assert_msg(result.done == changes[i].done
                          && result.is_changed == changes[i].is_changed,
                      "%d: %s", i, changes[i].content);
    }
    atls_measuring_end(m);
}
END_TEST

START_TEST(test_default_log)
{
    const char *expected =
        access(ATLS_SYSTEMD_LOG, F_OK) == 0 ? ATLS_SYSTEMD_LOG : ATLS_OWN_LOG;

    ck_assert_str_eq(atls_measure_default_log(), expected);
}
END_TEST

static const struct {
    const char *log;
    const char *locked; /* the file whose lock counts */
} logs[] = {{"log", "log.lock"}, {SYSTEMD, SYSTEMD}};

START_TEST(test_T15_lock_is_held)
{
    char expected[64];
    pid_t holder;
    int64_t before;
    int64_t waited;

    measuring_expect(logs[_i].log, "a", ATLS_MEASURED_NEW);
    holder = hold_lock(logs[_i].locked, 60000);
    snprintf(expected, sizeof(expected), "is locked by process %d, waited 0 ms",
             (int)holder);
    measuring_expect_refusal(logs[_i].log, "b", ATLS_E_LOG_BUSY, expected);

    before = atls_now_ms();
    ck_assert_int_eq(measuring_once(measuring.tpm, scratch_path(logs[_i].log),
                                    MEASURING_PCR, "b", 200, &measuring_why,
                                    &(enum atls_measured){0}),
                     ATLS_E_LOG_BUSY);
    waited = atls_now_ms() - before;
    ck_assert_int_ge(waited, 200);
    ck_assert_int_lt(waited, 5000);

    kill(holder, SIGKILL);
    ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
    measuring_expect(logs[_i].log, "b", ATLS_MEASURED_NEW);
    measuring_expect_state(logs[_i].log, "a|b");
}
END_TEST

START_TEST(test_T15_lock_is_released_in_time)
{
    pid_t holder;

    measuring_expect(logs[_i].log, "a", ATLS_MEASURED_NEW);
    holder = hold_lock(logs[_i].locked, 100);
    ck_assert_int_eq(measuring_once(measuring.tpm, scratch_path(logs[_i].log),
                                    MEASURING_PCR, "b", 20000, &measuring_why,
                                    &(enum atls_measured){0}),
                     ATLS_OK);
    ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
    measuring_expect_state(logs[_i].log, "a|b");
}
END_TEST

/* A child that a program forks at the wrong moment has the descriptor, too, and
 * keeps it for as long as it lives. */
START_TEST(test_L4_lock_is_not_left_to_a_child)
{
    struct atls_log_lock lock, again;
    struct atls_reason why = {0};
    pid_t child;

    ck_assert_int_eq(atls_log_lock(scratch_path(logs[_i].log), 0, &why, &lock),
                     ATLS_OK);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    atls_log_unlock(&lock);
    ck_assert_msg(atls_log_lock(scratch_path(logs[_i].log), 0, &why, &again)
                      == ATLS_OK,
                  "%s", why.text);
    atls_log_unlock(&again);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

/* A process that can open a file can hold a lock on it without end. */
START_TEST(test_T15_lock_file_of_others_is_refused)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    ck_assert_int_eq(chmod(scratch_path("log.lock"), 0644), 0);
    measuring_expect_refusal("log", "b", ATLS_E_IO,
                             "/log.lock must be ours with mode 0600");
    ck_assert_int_eq(chmod(scratch_path("log.lock"), 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(scratch_path("log.lock"), 65534, 65534), 0);
        measuring_expect_refusal("log", "b", ATLS_E_IO,
                                 "/log.lock must be ours with mode 0600");
    }
}
END_TEST

START_TEST(test_log_must_be_a_file_in_a_folder)
{
    enum atls_measured done = ATLS_MEASURED_ALREADY;

    ck_assert_int_eq(measuring_try("no/log", "a", &done), ATLS_E_IO);
    ck_assert_ptr_nonnull(
        strstr(measuring_why.text, "/no/log.lock for writing: No such file"));
    ck_assert_int_eq(mkdir(scratch_path("folder"), 0755), 0);
    ck_assert_int_eq(measuring_try("folder", "a", &done), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(measuring_why.text, "Is a directory"));
    ck_assert_int_eq(symlink("elsewhere", scratch_path("link")), 0);
    ck_assert_int_eq(measuring_try("link", "a", &done), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(measuring_why.text, "/link for writing: "));
    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    ck_assert_int_eq(measuring_try("fifo", "a", &done), ATLS_E_IO);
    ck_assert_ptr_nonnull(
        strstr(measuring_why.text, "/fifo is not a regular file"));
}
END_TEST

START_TEST(test_T15_extended_by_others)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    measuring_extend("intruder");
    measuring_expect_refusal(
        "log", "b", ATLS_E_LOG_MISMATCH,
        "PCR 15 was extended by others, or the log lost events: ");
    /* Not even what the log already has: it is not proven any more. */
    measuring_expect_refusal("log", "a", ATLS_E_LOG_MISMATCH,
                             "..; restore the log, reboot, or set "
                             "measure_pcr to another PCR");
}
END_TEST

/* One bank is enough to lie in. */
START_TEST(test_T15_one_bank_extended_by_others)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    ck_assert(swtpm_extend(measuring.swtpm, MEASURING_PCR, "b"));
    measuring_expect_refusal("log", "b", ATLS_E_LOG_MISMATCH,
                             "/log leads to sha256:");
}
END_TEST

START_TEST(test_T15_kexec_loses_the_log)
{
    measuring_extend("before kexec");
    scratch_write("log", "", 0, 0644);
    measuring_expect_refusal("log", "a", ATLS_E_LOG_MISMATCH,
                             "/log has no event of PCR 15, which is not zero: "
                             "extended by others, ");
    measuring_expect_refusal("log", "a", ATLS_E_LOG_MISMATCH,
                             "or log lost (kexec); restore it, reboot, or");
}
END_TEST

/* An empty one would look like the log of a machine that measured nothing. */
START_TEST(test_T15_a_refusal_makes_no_log)
{
    enum atls_measured done = ATLS_MEASURED_NEW;

    measuring_extend("logged once");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(measuring_try("log", "a", &done), ATLS_E_LOG_MISMATCH);
        ck_assert_int_ne(access(scratch_path("log"), F_OK), 0);
        ck_assert_int_ne(access(scratch_path("log.wal"), F_OK), 0);
    }
    /* One that was there is not ours to remove. */
    scratch_write("log", "", 0, 0644);
    ck_assert_int_eq(measuring_try("log", "a", &done), ATLS_E_LOG_MISMATCH);
    ck_assert_int_eq(access(scratch_path("log"), F_OK), 0);
}
END_TEST

START_TEST(test_T15_reset_loses_the_pcr)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    measuring_expect("log", "b", ATLS_MEASURED_NEW);
    ck_assert(swtpm_reset(measuring.swtpm));
    measuring_expect_refusal("log", "a", ATLS_E_LOG_MISMATCH,
                             "the TPM was reset since ");
    measuring_expect_refusal("log", "a", ATLS_E_LOG_MISMATCH,
                             "/log was written: PCR 15 is zero, the log has 2 "
                             "events (hibernation does that, too); remove the "
                             "log, then attest measure --all");
    ck_assert_int_eq(unlink(scratch_path("log")), 0);
    measuring_expect("log", "b", ATLS_MEASURED_NEW);
    measuring_expect_state("log", "b");
}
END_TEST

START_TEST(test_log_event_left_out)
{
    char *log;

    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    measuring_expect("log", "b", ATLS_MEASURED_NEW);
    log = scratch_read("log", NULL);
    *strchr(log + 1, '\x1e') = '\0';
    scratch_write("log", log, strlen(log), 0644);
    free(log);
    measuring_expect_refusal(
        "log", "c", ATLS_E_LOG_MISMATCH,
        "PCR 15 was extended by others, or the log lost events: ");
}
END_TEST

START_TEST(test_T15_torn_record_of_others)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    scratch_write("log", "\x1e{\"pcr\"", 7, 0644);
    measuring_expect_refusal("log", "b", ATLS_E_MALFORMED,
                             "/log: record 1 is cut off");
}
END_TEST

/* --- a log that evidence could not carry is not made -------------------------- */

/* "certificate sha256:", and a digest that is the number. */
static const char *certificate(size_t number)
{
    static char content[ATLS_EVENT_CONTENT_MAX];

    snprintf(content, sizeof(content), "certificate sha256:%064zx", number);
    return content;
}

/* A log of so many events, and the PCR that it leads to. */
static void fill_log(size_t count, const char *(*content_of)(size_t number))
{
    struct atls_pcr_selection banks;
    FILE *log = fopen(scratch_path("log"), "w");

    ck_assert_ptr_nonnull(log);
    ck_assert_int_eq(atls_tpm_banks(measuring.tpm, MEASURING_PCR, NULL, &banks),
                     ATLS_OK);
    for (size_t i = 0; i < count; i++) {
        char *record = NULL;
        size_t len = 0;

        measuring_extend(content_of(i));
        ck_assert_int_eq(atls_measured_record(MEASURING_PCR, &banks,
                                              content_of(i), NULL, &record,
                                              &len),
                         ATLS_OK);
        ck_assert_uint_eq(fwrite(record, 1, len, log), len);
        OPENSSL_free(record);
    }
    fclose(log);
}

static const char *letter(size_t number)
{
    (void)number;
    return "a";
}

START_TEST(test_R2_T17_events_of_a_pcr)
{
    fill_log(ATLS_LOG_EVENTS_MAX, letter);
    measuring_expect("log", "a", ATLS_MEASURED_ALREADY);
    measuring_expect_refusal("log", "b", ATLS_E_LIMIT,
                             "evidence has no room for another event of PCR "
                             "15: ");
    measuring_expect_refusal("log", "b", ATLS_E_LIMIT,
                             "/log would have 1537 of 1536, and evidence ");
}
END_TEST

/* With the outline that nothing is known of, as measuring_once() has it. */
static size_t room_for_certificates(void)
{
    static struct atls_span contents[ATLS_LOG_EVENTS_MAX];
    static char octets[ATLS_EVENT_CONTENT_MAX];
    struct atls_evidence outline;
    struct atls_log_room room;

    strcpy(octets, certificate(0));
    atls_log_room_outline(NULL, &outline);
    outline.log = contents;
    for (outline.log_count = 0; outline.log_count < ATLS_LOG_EVENTS_MAX;
         outline.log_count++) {
        atls_log_room_of(&outline, &room);
        if (atls_log_room_is_exceeded(&room))
            return outline.log_count - 1;
        contents[outline.log_count] =
            (struct atls_span){(const uint8_t *)octets, strlen(octets)};
    }
    return ATLS_LOG_EVENTS_MAX;
}

START_TEST(test_T17_certificates_until_evidence_is_full)
{
    const size_t most = room_for_certificates();
    struct atls_measuring *m = NULL;
    struct atls_measurement result;

    ck_assert_uint_gt(most, 1000);
    ck_assert_uint_lt(most, ATLS_LOG_EVENTS_MAX);
    fill_log(most - 1, certificate);
    begin(&m);
    ck_assert_int_eq(
        atls_measuring_next(m, certificate(most - 1), &measuring_why, &result),
        ATLS_OK);
    ck_assert_int_eq(result.done, ATLS_MEASURED_NEW);
    ck_assert_uint_eq(result.room.events, most);
    ck_assert(atls_log_room_is_scarce(&result.room));
    ck_assert_uint_eq(atls_log_room_percent(&result.room), 99);
    atls_measuring_end(m);
    measuring_expect_refusal("log", certificate(most), ATLS_E_LIMIT,
                             "evidence has no room for another event of PCR "
                             "15: ");
    /* What is there is measured. */
    measuring_expect("log", certificate(7), ATLS_MEASURED_ALREADY);
}
END_TEST

START_TEST(test_systemds_log)
{
    static const char phase[] =
        "\x1e{\"pcr\":11,\"digests\":[],\"content_type\":\"systemd\"}\n";
    char *log;

    scratch_write(SYSTEMD, phase, strlen(phase), 0600);
    measuring_expect(SYSTEMD, "a", ATLS_MEASURED_NEW);
    measuring_expect_state(SYSTEMD, "a");
    /* Its mode without the sticky bit again, no lock file, its record kept. */
    ck_assert_uint_eq(mode_of(SYSTEMD), 0600);
    ck_assert_int_ne(access(scratch_path(SYSTEMD ".lock"), F_OK), 0);
    log = scratch_read(SYSTEMD, NULL);
    ck_assert_int_eq(strncmp(log, phase, strlen(phase)), 0);
    free(log);
}
END_TEST

START_TEST(test_T15_systemd_was_interrupted)
{
    measuring_expect(SYSTEMD, "a", ATLS_MEASURED_NEW);
    ck_assert_int_eq(chmod(scratch_path(SYSTEMD), 0600 | S_ISVTX), 0);
    measuring_expect_refusal(SYSTEMD, "b", ATLS_E_LOG_MISMATCH,
                             SYSTEMD " lacks a record, its sticky bit says: "
                                     "systemd was interrupted; reboot");
    ck_assert_uint_eq(mode_of(SYSTEMD), 0600 | S_ISVTX);
}
END_TEST

#define WRITERS 4
#define EVENTS_EACH 5

/* swtpm lets one connection wait: a second one is refused after a second. */
static struct atls_tpm *open_tpm(void)
{
    struct atls_tpm *tpm = NULL;

    for (int i = 0; tpm == NULL && i < 20; i++)
        if (atls_tpm_open(swtpm_tcti(measuring.swtpm), &measuring_why, &tpm)
            != ATLS_OK)
            tpm = NULL;
    return tpm;
}

static int write_events(int writer)
{
    enum atls_measured done = ATLS_MEASURED_ALREADY;
    struct atls_tpm *tpm = open_tpm();
    bool good = tpm != NULL;
    char content[32];

    for (int i = 0; good && i < EVENTS_EACH; i++) {
        snprintf(content, sizeof(content), "writer %d event %d", writer, i);
        good = measuring_once(tpm, scratch_path("log"), MEASURING_PCR, content,
                              60000, &measuring_why, &done)
                   == ATLS_OK
               && done == ATLS_MEASURED_NEW;
    }
    atls_tpm_close(tpm);
    if (!good)
        fprintf(stderr, "%s\n", measuring_why.text);
    return good ? 0 : 1;
}

START_TEST(test_many_writers)
{
    struct atls_measured_log log;
    pid_t pids[WRITERS];
    int status;

    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0)
            _exit(write_events(i));
    }
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    measuring_expect("log", "writer 0 event 0", ATLS_MEASURED_ALREADY);
    ck_assert_int_eq(
        atls_measured_log_read(scratch_path("log"), MEASURING_PCR, NULL, &log),
        ATLS_OK);
    ck_assert_uint_eq(log.count, WRITERS * EVENTS_EACH);
    atls_measured_log_clear(&log);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_measure),
    ONCE(test_measure_into_another_pcr),
    LOOP(test_content_must_be_one_line, 0, COUNT(illegal)),
    ONCE(test_several_under_one_lock),
    ONCE(test_component_that_has_changed),
    ONCE(test_default_log),
    LOOP(test_T15_lock_is_held, 0, COUNT(logs)),
    LOOP(test_T15_lock_is_released_in_time, 0, COUNT(logs)),
    LOOP(test_L4_lock_is_not_left_to_a_child, 0, COUNT(logs)),
    ONCE(test_T15_lock_file_of_others_is_refused),
    ONCE(test_log_must_be_a_file_in_a_folder),
    ONCE(test_T15_extended_by_others),
    ONCE(test_T15_one_bank_extended_by_others),
    ONCE(test_T15_kexec_loses_the_log),
    ONCE(test_T15_a_refusal_makes_no_log),
    ONCE(test_T15_reset_loses_the_pcr),
    ONCE(test_log_event_left_out),
    ONCE(test_T15_torn_record_of_others),
    ONCE(test_R2_T17_events_of_a_pcr),
    ONCE(test_T17_certificates_until_evidence_is_full),
    ONCE(test_systemds_log),
    ONCE(test_T15_systemd_was_interrupted),
    ONCE(test_many_writers),
};

SUITE(.name = "measure", .skip = swtpm_missing,
      .cases = {CASE("measure", tests, 120, measuring_start, measuring_stop)});
