/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that has nothing left (R4): the module refuses with that reason, and
 * serves when there is something again. And one with signals of its own (L12).
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

/* --- R4: descriptors --------------------------------------------------------------- */

static struct rlimit allowed;

static void take_descriptors(void)
{
    struct rlimit none;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    need(lowest >= 0 && close(lowest) == 0);
    need(getrlimit(RLIMIT_NOFILE, &allowed) == 0);
    none = allowed;
    none.rlim_cur = (rlim_t)lowest;
    need(setrlimit(RLIMIT_NOFILE, &none) == 0);
    need(open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EMFILE);
}

static void give_descriptors(void)
{
    need(setrlimit(RLIMIT_NOFILE, &allowed) == 0);
}

/* The first context of the process, whose second object cannot be opened. */
static void at_first_context(int unused)
{
    OSSL_LIB_CTX *libctx = library("first.cnf");

    (void)unused;
    take_descriptors();
    need(has_no_context(libctx, TLS_method()));
    need_reason("cannot load attest's second part");
    need_reason("Too many open files");
    give_descriptors();
    need(lifecase_shake(libctx));
    OSSL_LIB_CTX_free(libctx);
}

/* Policy, roots, chain: a client that cannot read them refuses. */
static void at_first_context_of_a_policy(int unused)
{
    OSSL_LIB_CTX *other = library("open.cnf"), *libctx = library("no-key.cnf");
    OSSL_LIB_CTX *proving = library("first.cnf");
    SSL_CTX *server = server_of(proving), *client;

    (void)unused;
    need(lifecase_shake(other));
    take_descriptors();
    client = client_of(libctx);
    need(!shake(server, client));
    need_reason("Too many open files");
    SSL_CTX_free(client);
    give_descriptors();
    client = client_of(libctx);
    need(shake(server, client));
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(proving);
    OSSL_LIB_CTX_free(libctx);
    OSSL_LIB_CTX_free(other);
}

/* The AK's chain cannot be read; what was made meanwhile stays as it is. */
static void at_first_context_that_proves(int unused)
{
    OSSL_LIB_CTX *other = library("open.cnf"), *proving = library("first.cnf");
    OSSL_LIB_CTX *libctx = library("no-key.cnf");
    SSL_CTX *client = client_of(libctx), *early, *later;

    (void)unused;
    take_descriptors();
    early = server_of(proving);
    need(!shake(early, client));
    need_reason("Too many open files");
    give_descriptors();
    later = server_of(proving);
    need(shake(later, client));
    need(!shake(early, client));
    SSL_CTX_free(early);
    need(shake(later, client));
    SSL_CTX_free(later);
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);
    OSSL_LIB_CTX_free(proving);
    OSSL_LIB_CTX_free(other);
}

/* The TPM cannot be opened. */
static void at_handshake(int unused)
{
    OSSL_LIB_CTX *libctx = library("first.cnf");
    SSL_CTX *server = server_of(libctx), *client = client_of(libctx);

    (void)unused;
    take_descriptors();
    need(!shake(server, client));
    need_reason("Too many open files");
    give_descriptors();
    need(shake(server, client));
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(libctx);
}

static void (*const moments[])(int) = {
    at_first_context, at_first_context_of_a_policy,
    at_first_context_that_proves, at_handshake};

START_TEST(test_R4_no_descriptors)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    lifecase_configure("no-key", LIFECASE_NO_KEY, LIFECASE_FIRST);
    in_child(moments[_i], 0, 0);
}
END_TEST

/* --- R4: threads, the disk ---------------------------------------------------------- */

/* The kernel limits others than root. */
static void without_threads(int unused)
{
    OSSL_LIB_CTX *libctx = library("first.cnf");
    SSL_CTX *server = server_of(libctx), *client = client_of(libctx);
    struct rlimit none;

    (void)unused;
    need(getrlimit(RLIMIT_NPROC, &allowed) == 0);
    none = allowed;
    none.rlim_cur = 0;
    need(geteuid() != 0 || setuid(65534) == 0);
    need(setrlimit(RLIMIT_NPROC, &none) == 0);
    need(!shake(server, client));
    need_reason("cannot start the quoter's thread: Resource");
    need(setrlimit(RLIMIT_NPROC, &allowed) == 0);
    need(shake(server, client));
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_R4_no_threads)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(without_threads, 0, 0);
}
END_TEST

/* A log that takes nothing stands in no handshake's way. */
static void on_a_full_disk(int unused)
{
    OSSL_LIB_CTX *libctx = library("first.cnf"), *refusing;

    (void)unused;
    need(lifecase_shake(libctx));
    OSSL_LIB_CTX_free(libctx);
    refusing = library("other-key.cnf");
    need(!lifecase_shake(refusing));
    need_reason("machine");
    OSSL_LIB_CTX_free(refusing);
}

START_TEST(test_R4_disk_full)
{
    static const char *const names[] = {"first.log", "other-key.log"};

    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    lifecase_configure("other-key", LIFECASE_SECOND, LIFECASE_FIRST);
    for (int i = 0; i < 2; i++) {
        (void)unlink(scratch_path(names[i]));
        ck_assert_int_eq(symlink("/dev/full", scratch_path(names[i])), 0);
    }
    in_child(on_a_full_disk, 0, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(unlink(scratch_path(names[i])), 0);
}
END_TEST

/* --- L12: signals -------------------------------------------------------------------- */

#define SIGNALS 200

static pthread_t program;
static atomic_int taken, taken_elsewhere;

static void take(int number)
{
    (void)number;
    atomic_fetch_add(
        pthread_equal(pthread_self(), program) ? &taken : &taken_elsewhere, 1);
}

/* Real-time signals are queued, so that each can be counted; as a child they come
 * from outside. */
static void send_signals(int number)
{
    for (int i = 0; i < SIGNALS; i++) {
        while (sigqueue(getppid(), number, (union sigval){0}) != 0)
            usleep(100);
        usleep(500);
    }
    _exit(0);
}

static pid_t start_sender(int number)
{
    pid_t child = fork();

    need(child >= 0);
    if (child == 0)
        send_signals(number);
    return child;
}

/* By handlers that interrupt what waits: no SA_RESTART. Alarms go on beside. */
static void by_handlers(int unused)
{
    const struct itimerval often = {{0, 700}, {0, 700}},
                           never = {{0, 0}, {0, 0}};
    const struct sigaction action = {.sa_handler = take};
    OSSL_LIB_CTX *libctx = library("first.cnf");
    int alarms;
    pid_t child;

    (void)unused;
    program = pthread_self();
    need(lifecase_shake(libctx)); /* the thread is there */
    need(sigaction(SIGRTMIN, &action, NULL) == 0);
    need(sigaction(SIGALRM, &action, NULL) == 0);
    need(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 20; i++)
        need(lifecase_shake(libctx));
    need(setitimer(ITIMER_REAL, &never, NULL) == 0);
    alarms = taken;
    need(alarms > 0);
    child = start_sender(SIGRTMIN);
    while (taken < alarms + SIGNALS)
        need(lifecase_shake(libctx));
    while (waitpid(child, NULL, 0) < 0)
        need(errno == EINTR);
    need(taken == alarms + SIGNALS);
    need(taken_elsewhere == 0);
    OSSL_LIB_CTX_free(libctx);
}

/* A thread that waits for them with sigwait(), as the rest has them blocked. */
static void *wait_for_signals(void *arg)
{
    const sigset_t *set = arg;
    int number;

    while (taken < SIGNALS) {
        need(sigwait(set, &number) == 0);
        taken++;
    }
    return NULL;
}

static void *read_signals(void *arg)
{
    int fd = signalfd(-1, arg, SFD_CLOEXEC);
    struct signalfd_siginfo info;

    need(fd >= 0);
    while (taken < SIGNALS) {
        need(read(fd, &info, sizeof(info)) == sizeof(info));
        taken++;
    }
    close(fd);
    return NULL;
}

static void *(*const readers[])(void *) = {wait_for_signals, read_signals};

static void by_a_reader(int which)
{
    OSSL_LIB_CTX *libctx = library("first.cnf");
    pthread_t reader;
    sigset_t set;
    pid_t child;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    /* The quoter's thread is older than the mask: it must not matter. */
    need(lifecase_shake(libctx));
    need(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    need(pthread_create(&reader, NULL, readers[which], &set) == 0);
    child = start_sender(SIGRTMIN);
    while (taken < SIGNALS)
        need(lifecase_shake(libctx));
    need(pthread_join(reader, NULL) == 0);
    need(waitpid(child, NULL, 0) == child);
    need(taken == SIGNALS);
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_L12_signals_reach_the_program)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    if (_i == 0)
        in_child(by_handlers, 0, 0);
    else
        in_child(by_a_reader, _i - 1, 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_R4_no_descriptors, 0, 4),
    ONCE(test_R4_no_threads),
    ONCE(test_R4_disk_full),
    LOOP(test_L12_signals_reach_the_program, 0, 3),
};

SUITE(.name = "life_limits", .skip = swtpm_missing, .begin = lifecase_begin,
      .end = lifecase_end,
      .cases = {CASE("with a swtpm", tests, HOOKCASE_SECONDS, NULL, NULL)});
