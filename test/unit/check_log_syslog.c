/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/log.h, log = syslog: daemons that come and go (L15), and machines that
 * have none. Each test is a child in a mount namespace of its own. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/syslogd.h"
#include "base/log.h"

#define NOT_PERMITTED 77
#define THREADS 4
#define LINES 500

/* In a child: end it, with where. */
#define need(condition)                                      \
    do {                                                     \
        if (!(condition)) {                                  \
            printf("# line %d: %s\n", __LINE__, #condition); \
            fflush(stdout);                                  \
            _exit(1);                                        \
        }                                                    \
    } while (0)

static char folder[4200];
static struct atls_log *log_;

/* A line of a level, which never waits and keeps errno. */
static void say(enum atls_log_level level, const char *text)
{
    errno = ENOTTY;
    atls_log_write(log_, level, "%s", text);
    need(errno == ENOTTY);
}

static void run(void (*body)(void))
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(30);
        if (!syslogd_room())
            _exit(NOT_PERMITTED);
        body();
        _exit(0);
    }
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_PERMITTED) {
        printf("# no mount namespaces for this user\n");
        return;
    }
    ck_assert_msg(status == 0, "wait status 0x%x", (unsigned)status);
}

/* --- L15: daemons that come and go ----------------------------------------------- */

static void restarted(void)
{
    int fd = syslogd_start(SYSLOGD_PATH);
    char line[512], expected[64];

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    say(ATLS_LOG_ERROR, "one");
    need(syslogd_next(fd, line, sizeof(line)));
    snprintf(expected, sizeof(expected), "<27>attest[%ld]: one",
             (long)getpid());
    need(strcmp(line, expected) == 0);
    for (int i = 0; i < 3; i++) {
        syslogd_stop(fd, SYSLOGD_PATH);
        say(ATLS_LOG_INFO, "lost");
        say(ATLS_LOG_INFO, "lost");
        fd = syslogd_start(SYSLOGD_PATH);
        say(ATLS_LOG_INFO, "two");
        need(syslogd_says(fd, "]: (2 lines before this one were lost) two"));
        say(ATLS_LOG_INFO, "three");
        need(syslogd_says(fd, "]: three"));
    }
    atls_log_close(log_);
}

/* One that takes the place of another, without a line in between. */
static void replaced(void)
{
    int fd = syslogd_start(SYSLOGD_PATH);

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    say(ATLS_LOG_INFO, "one");
    need(syslogd_says(fd, "]: one"));
    syslogd_stop(fd, SYSLOGD_PATH);
    fd = syslogd_start(SYSLOGD_PATH);
    say(ATLS_LOG_INFO, "two");
    need(syslogd_says(fd, "]: two"));
    atls_log_close(log_);
}

static void started_later(void)
{
    int fd;

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    need(log_ != NULL);
    say(ATLS_LOG_INFO, "lost");
    fd = syslogd_start(SYSLOGD_PATH);
    say(ATLS_LOG_INFO, "one");
    need(syslogd_says(fd, "]: (1 lines before this one were lost) one"));
    atls_log_close(log_);
}

static void in_a_forked_child(void)
{
    int fd = syslogd_start(SYSLOGD_PATH), status = -1;
    pid_t pid;

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    syslogd_stop(fd, SYSLOGD_PATH);
    fd = syslogd_start(SYSLOGD_PATH);
    pid = fork();
    if (pid == 0) {
        say(ATLS_LOG_INFO, "child");
        _exit(syslogd_says(fd, "]: child") ? 0 : 1);
    }
    need(waitpid(pid, &status, 0) == pid && status == 0);
    say(ATLS_LOG_INFO, "parent");
    need(syslogd_says(fd, "]: parent"));
    atls_log_close(log_);
}

/* closefrom(3), as daemons call it; and what has the number then is not ours. */
static void closed_by_the_program(void)
{
    int fd = syslogd_start(SYSLOGD_PATH), other, copy;

    copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    close(fd);
    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    for (int i = 3; i < copy; i++)
        close(i);
    other = open("/dev/file", O_RDWR | O_CREAT, 0600);
    need(other == 3);
    say(ATLS_LOG_INFO, "one");
    need(syslogd_says(copy, "]: one"));
    atls_log_close(log_);
    need(lseek(other, 0, SEEK_END) == 0);
}

/* It has a connection as long as that works; in there is no way to another. */
static void in_a_chroot(void)
{
    int fd = syslogd_start(SYSLOGD_PATH);
    int root = open("/", O_PATH | O_CLOEXEC);

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    need(chroot(folder) == 0);
    say(ATLS_LOG_INFO, "one");
    need(syslogd_says(fd, "]: one"));
    /* As many as there is room for. */
    for (int i = 0; i < 1000; i++)
        say(ATLS_LOG_INFO, "flood");
    while (recv(fd, &(char){0}, 1, MSG_DONTWAIT) >= 0) {
    }
    say(ATLS_LOG_INFO, "two");
    need(syslogd_says(fd, " lines before this one were lost) two"));
    /* Outside, to start another. */
    need(fchdir(root) == 0 && chroot(".") == 0);
    syslogd_stop(fd, SYSLOGD_PATH);
    fd = syslogd_start(SYSLOGD_PATH);
    need(chroot(folder) == 0);
    say(ATLS_LOG_INFO, "lost");
    need(fchdir(root) == 0 && chroot(".") == 0);
    say(ATLS_LOG_INFO, "three");
    need(syslogd_says(fd, "]: (1 lines before this one were lost) three"));
    atls_log_close(log_);
}

static void *flood(void *unused)
{
    for (int i = 0; i < LINES; i++)
        atls_log_write(log_, ATLS_LOG_INFO, "%d", i);
    return unused;
}

/* Each line comes, or is counted. */
static unsigned take_lines(int fd)
{
    unsigned count = 0, lost;
    char line[512];

    while (syslogd_next(fd, line, sizeof(line))) {
        const char *text = strstr(line, "]: ");

        count++;
        if (text != NULL && sscanf(text, "]: (%u lines", &lost) == 1)
            count += lost;
    }
    return count;
}

static void threads_and_restarts(void)
{
    int fd = syslogd_start(SYSLOGD_PATH);
    pthread_t threads[THREADS];
    unsigned count = 0;

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    for (int i = 0; i < THREADS; i++)
        need(pthread_create(&threads[i], NULL, flood, NULL) == 0);
    for (int i = 0; i < 50; i++) {
        /* Nothing more can come when it has been read to its end. */
        shutdown(fd, SHUT_RD);
        count += take_lines(fd);
        syslogd_stop(fd, SYSLOGD_PATH);
        fd = syslogd_start(SYSLOGD_PATH);
    }
    for (int i = 0; i < THREADS; i++)
        need(pthread_join(threads[i], NULL) == 0);
    count += take_lines(fd);
    say(ATLS_LOG_INFO, "last");
    count += take_lines(fd);
    need(count == THREADS * LINES + 1);
    atls_log_close(log_);
}

static void (*const comings[])(void) = {
    restarted,
    replaced,
    started_later,
    in_a_forked_child,
    closed_by_the_program,
    in_a_chroot,
    threads_and_restarts,
};
#define COMINGS (int)(sizeof(comings) / sizeof(comings[0]))

START_TEST(test_L15_daemons_come_and_go)
{
    run(comings[_i]);
}
END_TEST

/* --- machines without one ----------------------------------------------------------- */

static void journal_alone(void)
{
    int fd = syslogd_start(SYSLOGD_JOURNAL), syslogd;
    char line[512];

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    say(ATLS_LOG_WARN, "two\nlines");
    need(syslogd_next(fd, line, sizeof(line)));
    need(strcmp(line, "PRIORITY=4\nSYSLOG_IDENTIFIER=attest\n"
                      "MESSAGE=two?lines\n")
         == 0);
    syslogd_stop(fd, SYSLOGD_JOURNAL);
    syslogd = syslogd_start(SYSLOGD_PATH);
    say(ATLS_LOG_WARN, "one");
    need(syslogd_says(syslogd, "]: one"));
    atls_log_close(log_);
}

/* stderr as a pipe, and what was written there. */
static int stderr_pipe(void)
{
    int ends[2];

    need(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    need(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static bool is_read(int fd, const char *expected)
{
    char text[2048];
    ssize_t len = read(fd, text, sizeof(text) - 1);

    text[len < 0 ? 0 : len] = '\0';
    if (strcmp(text, expected) == 0)
        return true;
    printf("# expected \"%s\", found \"%s\"\n", expected, text);
    fflush(stdout);
    return false;
}

static void refusals_go_to_stderr(void)
{
    int fd = stderr_pipe(), syslogd;

    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    say(ATLS_LOG_ERROR, "refused");
    need(is_read(fd, "attest: error: refused\n"));
    say(ATLS_LOG_WARN, "a warning");
    say(ATLS_LOG_INFO, "information");
    need(is_read(fd, ""));
    /* One a second. */
    say(ATLS_LOG_ERROR, "refused");
    say(ATLS_LOG_ERROR, "refused");
    need(is_read(fd, ""));
    usleep(1100000);
    say(ATLS_LOG_ERROR, "again");
    need(is_read(fd, "attest: error: (2 lines before this one were lost) again "
                     "(and 2 before that)\n"));
    /* Where there is one, stderr is left alone: also one that does not listen. */
    usleep(1100000);
    syslogd = syslogd_start(SYSLOGD_PATH);
    say(ATLS_LOG_ERROR, "one");
    need(is_read(fd, "") && syslogd_says(syslogd, "]: one"));
    close(syslogd);
    say(ATLS_LOG_ERROR, "lost");
    need(is_read(fd, ""));
    atls_log_close(log_);
}

/* What has number 2 is something else of the program's. */
static void no_stderr(void)
{
    int fd;

    close(STDERR_FILENO);
    log_ = atls_log_open("syslog", ATLS_LOG_INFO);
    say(ATLS_LOG_ERROR, "refused");
    fd = open("/dev/file", O_RDWR | O_CREAT, 0600);
    need(fd == STDERR_FILENO);
    say(ATLS_LOG_ERROR, "refused");
    usleep(1100000);
    say(ATLS_LOG_ERROR, "refused");
    need(lseek(fd, 0, SEEK_END) == 0);
    atls_log_close(log_);
}

static void (*const lacks[])(void) = {journal_alone, refusals_go_to_stderr,
                                      no_stderr};
#define LACKS (int)(sizeof(lacks) / sizeof(lacks[0]))

START_TEST(test_machines_without_syslog)
{
    run(lacks[_i]);
}
END_TEST

/* --- log = stderr --------------------------------------------------------------------- */

static void stderr_that_is_none(void)
{
    int fd;

    close(STDERR_FILENO);
    log_ = atls_log_open("stderr", ATLS_LOG_INFO);
    fd = open("/dev/file", O_RDWR | O_CREAT, 0600);
    need(fd == STDERR_FILENO);
    say(ATLS_LOG_ERROR, "one");
    need(lseek(fd, 0, SEEK_END) == 0);
    atls_log_close(log_);
}

/* A daemon's connection to a client, or to a database. */
static void stderr_that_is_a_peer(void)
{
    static const int domains[] = {AF_INET, AF_UNIX};
    int pair[2], fd;

    (void)stderr_pipe();
    log_ = atls_log_open("stderr", ATLS_LOG_INFO);
    for (int i = 0; i < 2; i++) {
        need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        if (domains[i] == AF_INET)
            need((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
        else
            fd = pair[0];
        need(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
        say(ATLS_LOG_ERROR, "one");
        need(is_read(pair[1], ""));
    }
    atls_log_close(log_);
    /* systemd's, which was there before. */
    log_ = atls_log_open("stderr", ATLS_LOG_INFO);
    say(ATLS_LOG_ERROR, "two");
    need(is_read(pair[1], "attest: error: two\n"));
    atls_log_close(log_);
}

/* What daemons do with their own log. */
static void stderr_that_was_redirected(void)
{
    int fd;

    (void)stderr_pipe();
    log_ = atls_log_open("stderr", ATLS_LOG_INFO);
    fd = open("/dev/file", O_RDWR | O_CREAT | O_APPEND, 0600);
    need(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    say(ATLS_LOG_ERROR, "one");
    need(lseek(fd, 0, SEEK_SET) == 0 && is_read(fd, "attest: error: one\n"));
    atls_log_close(log_);
}

static void (*const errors[])(void) = {
    stderr_that_is_none, stderr_that_is_a_peer, stderr_that_was_redirected};
#define ERRORS (int)(sizeof(errors) / sizeof(errors[0]))

START_TEST(test_L14_stderr)
{
    run(errors[_i]);
}
END_TEST

static void setup(void)
{
    snprintf(folder, sizeof(folder), "%s", scratch_make());
}

static const struct suite_test tests[] = {
    LOOP(test_L15_daemons_come_and_go, 0, COMINGS),
    LOOP(test_machines_without_syslog, 0, LACKS),
    LOOP(test_L14_stderr, 0, ERRORS),
};

SUITE(.name = "log_syslog",
      .cases = {CASE("log_syslog", tests, 0, setup, scratch_remove)});
