/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ATTEST_REPORT on what may have no reader: a FIFO, a pipe as stderr. It neither stops
 * the program nor ends it, and who comes later gets what is reported then. The module
 * itself, in a child; each handshake is one report.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

static char fifo[4200];

static OSSL_LIB_CTX *start(const char *target)
{
    OSSL_LIB_CTX *libctx;

    need(setenv("ATTEST_REPORT", target, 1) == 0);
    libctx = library("first.cnf");
    need(lifecase_shake(libctx));
    return libctx;
}

static int reader_of_fifo(void)
{
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    need(fd >= 0);
    return fd;
}

/* The number of whole reports that are there; they are taken. */
static unsigned reports(int fd)
{
    static char text[1 << 17];
    unsigned count = 0;
    ssize_t len = read(fd, text, sizeof(text) - 1);

    text[len < 0 ? 0 : len] = '\0';
    for (const char *p = text; (p = strstr(p, "peer.example")) != NULL; p++)
        count++;
    /* Each begins and ends with a line. */
    need(count == 0
         || (strncmp(text, "attest: peer.example", 20) == 0
             && text[len - 1] == '\n'));
    return count;
}

static void nobody_reads_yet(int unused)
{
    OSSL_LIB_CTX *libctx = start(fifo);
    int fd;

    (void)unused;
    need(lifecase_shake(libctx));
    fd = reader_of_fifo();
    need(reports(fd) == 0);
    need(lifecase_shake(libctx) && lifecase_shake(libctx));
    need(reports(fd) == 2);
    OSSL_LIB_CTX_free(libctx);
}

/* With SIGPIPE as a program begins with it. */
static void the_reader_goes(int unused)
{
    int fd = reader_of_fifo();
    OSSL_LIB_CTX *libctx = start(fifo);

    (void)unused;
    need(reports(fd) == 1);
    close(fd);
    need(lifecase_shake(libctx));
    fd = reader_of_fifo();
    need(reports(fd) == 0);
    need(lifecase_shake(libctx));
    need(reports(fd) == 1);
    OSSL_LIB_CTX_free(libctx);
}

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    need(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    while (write(fd, "x", 1) == 1)
        continue;
    need(errno == EAGAIN && fcntl(fd, F_SETFL, flags) == 0);
}

static void drain(int fd)
{
    char octets[4096];

    while (read(fd, octets, sizeof(octets)) > 0)
        continue;
}

static void the_reader_sleeps(int unused)
{
    int fd = reader_of_fifo(), writer = open(fifo, O_WRONLY | O_CLOEXEC);
    OSSL_LIB_CTX *libctx = start(fifo);

    (void)unused;
    need(reports(fd) == 1);
    fill(writer);
    need(lifecase_shake(libctx));
    drain(fd);
    need(lifecase_shake(libctx));
    need(reports(fd) == 1);
    OSSL_LIB_CTX_free(libctx);
}

/* The program's own, whose flags are not ours to set. */
static void the_reader_of_stderr_sleeps(int unused)
{
    OSSL_LIB_CTX *libctx;
    int ends[2];

    (void)unused;
    need(pipe2(ends, O_CLOEXEC) == 0);
    need(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    need(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    libctx = start("stderr");
    need(reports(ends[0]) == 1);
    fill(STDERR_FILENO);
    need(lifecase_shake(libctx));
    drain(ends[0]);
    need(lifecase_shake(libctx));
    need(reports(ends[0]) == 1);
    OSSL_LIB_CTX_free(libctx);
}

static void (*const moments[])(int) = {nobody_reads_yet, the_reader_goes,
                                       the_reader_sleeps,
                                       the_reader_of_stderr_sleeps};
#define MOMENTS (int)(sizeof(moments) / sizeof(moments[0]))

START_TEST(test_R4_reports_that_nobody_reads)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    snprintf(fifo, sizeof(fifo), "%s", scratch_path("fifo"));
    (void)unlink(fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    in_child(moments[_i], 0, 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_R4_reports_that_nobody_reads, 0, MOMENTS),
};

SUITE(.name = "life_report", .skip = swtpm_missing, .begin = lifecase_begin,
      .end = lifecase_end,
      .cases = {CASE("with a swtpm", tests, HOOKCASE_SECONDS, NULL, NULL)});
