/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/suite.h"

static char folder[] = "/tmp/attest-log-XXXXXX";
static char path[sizeof(folder) + 8];

static void setup(void)
{
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

static size_t read_log(char *ret, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t len;

    ck_assert_ptr_nonnull(file);
    len = fread(ret, 1, size - 1, file);
    fclose(file);
    ret[len] = '\0';
    return len;
}

START_TEST(test_level_and_one_line)
{
    struct atls_log *log = atls_log_open(path, ATLS_LOG_WARN);
    char text[512];

    ck_assert_ptr_nonnull(log);
    errno = ENOTTY;
    atls_log_write(log, ATLS_LOG_ERROR, "two\nlines of a %s", "peer\x1b[31m");
    ck_assert_int_eq(errno, ENOTTY);
    atls_log_write(log, ATLS_LOG_INFO, "not wanted");
    atls_log_close(log);
    read_log(text, sizeof(text));
    ck_assert_msg(strstr(text, "error: two?lines of a peer?[31m\n") != NULL,
                  "%s", text);
    ck_assert_ptr_null(strstr(text, "not wanted"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(test_name_of_a_daemon)
{
    struct atls_log *log = atls_log_open(path, ATLS_LOG_INFO);
    char text[512];

    atls_log_write(log, ATLS_LOG_INFO, "a guest");
    atls_log_set_name(log, "attestd");
    atls_log_write(log, ATLS_LOG_INFO, "a host");
    atls_log_set_name(NULL, "attestd");
    atls_log_close(log);
    read_log(text, sizeof(text));
    ck_assert_msg(strstr(text, " attest[") != NULL, "%s", text);
    ck_assert_msg(strstr(text, " attestd[") != NULL, "%s", text);
}
END_TEST

START_TEST(test_long_lines_are_cut)
{
    struct atls_log *log = atls_log_open(path, ATLS_LOG_DEBUG);
    char text[4096], letters[3000];

    memset(letters, 'a', sizeof(letters) - 1);
    letters[sizeof(letters) - 1] = '\0';
    atls_log_write(log, ATLS_LOG_DEBUG, "%s", letters);
    atls_log_close(log);
    ck_assert_uint_eq(read_log(text, sizeof(text)), 1023);
    ck_assert_int_eq(text[1022], '\n');
}
END_TEST

/* Nothing is written before it begins; then all of it, in order, and once. */
START_TEST(test_L6_held_lines)
{
    struct atls_log *log = atls_log_open_held(path, ATLS_LOG_WARN);
    char text[4096];

    atls_log_write(log, ATLS_LOG_ERROR, "%s", "first");
    atls_log_write(log, ATLS_LOG_INFO, "not wanted");
    atls_log_write(log, ATLS_LOG_WARN, "second");
    ck_assert_uint_eq(read_log(text, sizeof(text)), 0);
    atls_log_begin(log);
    atls_log_write(log, ATLS_LOG_WARN, "third");
    atls_log_begin(log);
    atls_log_begin(NULL);
    atls_log_close(log);
    read_log(text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "error: first\n"));
    ck_assert_ptr_nonnull(
        strstr(strstr(text, "error: first\n"), "warning: second\n"));
    ck_assert_ptr_nonnull(
        strstr(strstr(text, "warning: second\n"), "warning: third\n"));
    ck_assert_ptr_eq(strstr(text, "third\n") + 6, text + strlen(text));
    ck_assert_ptr_null(strstr(text, "not wanted"));
}
END_TEST

START_TEST(test_L6_held_lines_are_bounded)
{
    struct atls_log *log = atls_log_open_held(path, ATLS_LOG_WARN);
    char text[65536];
    unsigned lines = 0;

    for (unsigned i = 0; i < 100; i++)
        atls_log_write(log, ATLS_LOG_WARN, "line %u", i);
    atls_log_begin(log);
    atls_log_write(log, ATLS_LOG_WARN, "and on");
    atls_log_close(log);
    read_log(text, sizeof(text));
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    ck_assert_uint_eq(lines, 17);
    ck_assert_ptr_nonnull(strstr(text, "line 15\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "(84 lines before this one were lost) and on\n"));
}
END_TEST

START_TEST(test_L6_held_lines_of_a_program_that_never_needs_them)
{
    struct atls_log *log = atls_log_open_held(path, ATLS_LOG_WARN);
    char text[64];

    atls_log_write(log, ATLS_LOG_ERROR, "first");
    atls_log_close(log);
    ck_assert_uint_eq(read_log(text, sizeof(text)), 0);
}
END_TEST

START_TEST(test_L5_descriptor_is_closed_by_exec)
{
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct atls_log *log;

    close(before);
    log = atls_log_open(path, ATLS_LOG_INFO);
    ck_assert_int_ne(fcntl(before, F_GETFD) & FD_CLOEXEC, 0);
    atls_log_close(log);
    ck_assert_int_eq(fcntl(before, F_GETFD), -1);
}
END_TEST

START_TEST(test_no_log_and_no_file_are_no_crash)
{
    struct atls_log *log =
        atls_log_open("/nonexistent/folder/log", ATLS_LOG_INFO);

    ck_assert_ptr_nonnull(log);
    atls_log_write(log, ATLS_LOG_ERROR, "goes to syslog, if there is one");
    atls_log_close(log);
    atls_log_write(NULL, ATLS_LOG_ERROR, "goes nowhere");
    atls_log_close(NULL);
    log = atls_log_open(NULL, ATLS_LOG_INFO);
    ck_assert_ptr_nonnull(log);
    atls_log_write(log, ATLS_LOG_ERROR, "goes nowhere");
    atls_log_close(log);
}
END_TEST

/* A reader that reads nothing must not stop the program. */
START_TEST(test_L2_full_pipe_loses_lines)
{
    struct atls_log *log = atls_log_open("stderr", ATLS_LOG_INFO);
    int stderr_fd = dup(STDERR_FILENO), ends[2];
    static char octets[1 << 17];
    char expected[200];
    unsigned written = 0;
    ssize_t n;

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    alarm(20);
    for (unsigned i = 0; i < 5000; i++)
        atls_log_write(log, ATLS_LOG_INFO, "line %u of a flood", i);
    alarm(0);
    while ((n = read(ends[0], octets, sizeof(octets))) > 0)
        for (ssize_t i = 0; i < n; i++)
            written += octets[i] == '\n';
    ck_assert_uint_gt(written, 10);
    ck_assert_uint_lt(written, 5000);
    atls_log_write(log, ATLS_LOG_INFO, "the next one");
    atls_log_write(log, ATLS_LOG_INFO, "the last one");
    n = read(ends[0], octets, sizeof(octets) - 1);
    (void)dup2(stderr_fd, STDERR_FILENO);
    ck_assert_int_gt(n, 0);
    octets[n] = '\0';
    snprintf(expected, sizeof(expected),
             "attest: info: (%u lines before this one were lost) the next one\n"
             "attest: info: the last one\n",
             5000 - written);
    ck_assert_str_eq(octets, expected);
    atls_log_close(log);
    close(stderr_fd);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(test_L7_renamed_file)
{
    struct atls_log *log = atls_log_open(path, ATLS_LOG_INFO);
    char renamed[sizeof(path) + 2], text[512];

    snprintf(renamed, sizeof(renamed), "%s.1", path);
    atls_log_write(log, ATLS_LOG_INFO, "before");
    ck_assert_int_eq(rename(path, renamed), 0);
    atls_log_reopen(log);
    atls_log_write(log, ATLS_LOG_INFO, "after");
    read_log(text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "after"));
    ck_assert_ptr_null(strstr(text, "before"));
    /* What cannot be opened leaves the one that is. */
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    atls_log_reopen(log);
    ck_assert_int_eq(rmdir(path), 0);
    atls_log_close(log);
    ck_assert_int_eq(rename(renamed, path), 0);
    /* Others have none. */
    log = atls_log_open("stderr", ATLS_LOG_INFO);
    atls_log_reopen(log);
    atls_log_close(log);
    atls_log_reopen(NULL);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_level_and_one_line),
    ONCE(test_name_of_a_daemon),
    ONCE(test_long_lines_are_cut),
    ONCE(test_L6_held_lines),
    ONCE(test_L6_held_lines_are_bounded),
    ONCE(test_L6_held_lines_of_a_program_that_never_needs_them),
    ONCE(test_L5_descriptor_is_closed_by_exec),
    ONCE(test_no_log_and_no_file_are_no_crash),
    ONCE(test_L2_full_pipe_loses_lines),
    ONCE(test_L7_renamed_file),
};

SUITE(.name = "log", .cases = {CASE("log", tests, 0, setup, teardown)});
