/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/quoter.h: stop, at every moment of what others do (L16). Under TSan as
 * well. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

#define THREADS 4
#define ENDS 150
#define END_LIMIT_S 10u
#define STATUS_OF_PROGRAM 42
#define STOPPED "the quoter was stopped: this program is ending"

static struct atls_reason why;

/* Threads of the quoter's in this process. */
static unsigned quoter_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    unsigned count = 0;

    ck_assert_ptr_nonnull(tasks);
    while ((task = readdir(tasks)) != NULL) {
        char path[300], name[32] = "";
        FILE *comm;

        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
        comm = fopen(path, "re");
        if (comm != NULL && fgets(name, sizeof(name), comm) != NULL)
            count += strcmp(name, "attest-quoter\n") == 0;
        if (comm != NULL)
            fclose(comm);
    }
    closedir(tasks);
    return count;
}

/* --- submits after it, and beside it -------------------------------------------- */

START_TEST(test_L16_submit_after_the_stop)
{
    struct atls_ticket *ticket = NULL;

    quotercase_start();
    if (_i == 1)
        ck_assert(quotercase_serve(1, NULL));
    ck_assert_uint_eq(quoter_threads(), (unsigned)_i);
    atls_quoter_stop(quotercase.quoter);
    for (int i = 0; i < 3; i++) {
        quotercase_expect(&why, quotercase_submit(2, &why, &ticket),
                          ATLS_E_NO_ATTESTER, STOPPED);
        ck_assert_uint_eq(quoter_threads(), 0);
    }
}
END_TEST

/* A child is part of the same end: it was forked by an atexit handler. */
static int submit_in_child(void)
{
    struct atls_ticket *ticket = NULL;

    return quotercase_submit(3, &why, &ticket) == ATLS_E_NO_ATTESTER
                   && quoter_threads() == 0
               ? 0
               : 1;
}

START_TEST(test_L16_submit_in_a_child_after_the_stop)
{
    int status = -1;
    pid_t pid;

    quotercase_start();
    if (_i == 1)
        ck_assert(quotercase_serve(1, NULL));
    atls_quoter_stop(quotercase.quoter);
    pid = fork();
    if (pid == 0)
        _exit(submit_in_child());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

static atomic_uint ready;
static atomic_bool go;

static void *submit_beside(void *failed)
{
    bool has_failed = false;

    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&go))
        continue;
    for (unsigned i = 0; i < 20; i++) {
        struct atls_reason reason = {.code = ATLS_OK};
        struct atls_ticket *ticket = NULL;
        enum atls_error r = quotercase_submit(i, &reason, &ticket);
        uint8_t *cmw = NULL;
        size_t len = 0;

        if (r == ATLS_OK && i % 2 == 0) {
            r = atls_ticket_wait(ticket, &reason, &cmw, &len);
            OPENSSL_free(cmw);
            /* In flight when it was stopped: given up. */
            has_failed |=
                r != ATLS_OK && r != ATLS_E_NO_ATTESTER && r != ATLS_E_TIMEOUT;
        } else if (r == ATLS_OK) {
            atls_ticket_drop(ticket);
        } else {
            has_failed |= r != ATLS_E_NO_ATTESTER;
        }
    }
    return has_failed ? failed : NULL;
}

/* The thread may not exist yet, be starting, wait or work. */
START_TEST(test_L16_stop_beside_submits)
{
    for (int turn = 0; turn < 40 * suite_scale(); turn++) {
        pthread_t threads[THREADS];
        void *failed = NULL;

        atls_quoter_free(quotercase.quoter);
        quotercase.quoter = NULL;
        quotercase_start();
        atomic_store(&ready, 0);
        atomic_store(&go, false);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(
                pthread_create(&threads[i], NULL, submit_beside, threads), 0);
        while (atomic_load(&ready) < THREADS)
            continue;
        atomic_store(&go, true);
        usleep((unsigned)turn * 97 % 3000);
        atls_quoter_stop(quotercase.quoter);
        for (int i = 0; i < THREADS; i++) {
            ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
            ck_assert_ptr_null(failed);
        }
        ck_assert_uint_eq(quoter_threads(), 0);
    }
}
END_TEST

/* --- a thread that does not end ---------------------------------------------------- */

static pthread_key_t at_its_end;
static atomic_bool may_end, is_at_its_end;

static void wait_at_the_end(void *end_us)
{
    usleep(*(const useconds_t *)end_us);
    while (!atomic_load(&may_end))
        usleep(1000);
    atomic_store(&is_at_its_end, true);
}

/* Called by the quoter's thread. */
static void keep_its_end(void *end_us, int level, const char *text)
{
    (void)level, (void)text;
    ck_assert_int_eq(pthread_setspecific(at_its_end, end_us), 0);
}

/* For its end a thread takes so long, and until it may end. */
static void stop_with_an_end_of(useconds_t *end_us)
{
    ck_assert_int_eq(pthread_key_create(&at_its_end, wait_at_the_end), 0);
    quotercase.config.tcti = "swtpm:host=127.0.0.1,port=1";
    ck_assert_int_eq(atls_quoter_new(&quotercase.config, keep_its_end, end_us,
                                     &why, &quotercase.quoter),
                     ATLS_OK);
    ck_assert(!quotercase_serve(1, NULL));
    atls_quoter_stop(quotercase.quoter);
}

/* Past its last line it waits for what is not ours: here for a program's destructor, as
 * well for the allocator's lock, where a handler that ends the program came in the
 * middle of malloc(). The program's end does not wait for that. */
START_TEST(test_L16_thread_that_waits_past_its_end)
{
    const int64_t began_ms = atls_now_ms();
    useconds_t end_us = 0;

    stop_with_an_end_of(&end_us);
    ck_assert_int_lt(atls_now_ms() - began_ms, END_LIMIT_S * 1000);
    ck_assert(!atomic_load(&is_at_its_end));
    atomic_store(&may_end, true);
    while (quoter_threads() > 0)
        usleep(1000);
}
END_TEST

/* It waits for one that ends, though: whoever unloads its code comes next. */
START_TEST(test_L16_thread_that_ends_late)
{
    useconds_t end_us = 300000;

    atomic_store(&may_end, true);
    stop_with_an_end_of(&end_us);
    ck_assert(atomic_load(&is_at_its_end));
}
END_TEST

/* --- a thread that cannot be ------------------------------------------------------ */

/* Those that relied on another's to start it have the same reason. Not root: the
 * kernel limits others. */
static int without_threads(void)
{
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    struct atls_ticket *ticket = NULL;

    if ((geteuid() == 0 && setuid(65534) != 0)
        || setrlimit(RLIMIT_NPROC, &none) != 0)
        return 1;
    for (unsigned i = 0; i < 20; i++) {
        if (quotercase_submit(i, &why, &ticket) != ATLS_E_INTERNAL
            || strstr(why.text, "cannot start the quoter's thread: Resource")
                   == NULL)
            return 2;
    }
    atls_quoter_free(quotercase.quoter);
    return 0;
}

START_TEST(test_R4_no_thread)
{
    int status = -1;
    pid_t pid;

    quotercase_start();
    pid = fork();
    if (pid == 0)
        _exit(without_threads());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* --- exit() in a signal handler ---------------------------------------------------- */

/* As instance.c has it with OPENSSL_atexit(); what comes after is the C library's. */
static void stop_at_exit(void)
{
    atls_quoter_stop(quotercase.quoter);
    _exit(STATUS_OF_PROGRAM);
}

static void end_program(int unused)
{
    (void)unused;
    exit(EXIT_FAILURE);
}

static void *submit_all_the_time(void *unused)
{
    for (unsigned i = 0;; i++) {
        struct atls_reason reason = {.code = ATLS_OK};
        struct atls_ticket *ticket = NULL;
        uint8_t *cmw = NULL;
        size_t len = 0;

        if (quotercase_submit(i, &reason, &ticket) != ATLS_OK)
            continue;
        if (i % 8 == 0) {
            if (atls_ticket_wait(ticket, &reason, &cmw, &len) == ATLS_OK)
                OPENSSL_free(cmw);
        } else {
            (void)atls_ticket_is_ready(ticket);
            atls_ticket_drop(ticket);
        }
    }
    return unused;
}

/* Of a process with one thread, or with others that do the same: a signal comes to
 * any of them. */
static void end_in_a_handler(int turn, bool has_threads)
{
    const struct itimerval when = {.it_value = {0, turn * 131 % 6000 + 50}};
    pthread_t thread;

    signal(SIGALRM, SIG_DFL);
    alarm(END_LIMIT_S);
    signal(SIGPROF, end_program);
    if (atexit(stop_at_exit) != 0)
        _exit(1);
    for (int i = 0; has_threads && i < THREADS; i++)
        if (pthread_create(&thread, NULL, submit_all_the_time, NULL) != 0)
            _exit(2);
    /* By the time that is used, so that it comes when something is done. */
    if (setitimer(ITIMER_PROF, &when, NULL) != 0)
        _exit(3);
    (void)submit_all_the_time(NULL);
}

START_TEST(test_L16_exit_in_a_signal_handler)
{
    quotercase_start();
    for (int turn = 0; turn < ENDS * suite_scale(); turn++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
            end_in_a_handler(turn, _i == 1);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFEXITED(status)
                          && WEXITSTATUS(status) == STATUS_OF_PROGRAM,
                      "turn %d: wait status 0x%x", turn, (unsigned)status);
    }
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_L16_submit_after_the_stop, 0, 2),
    LOOP(test_L16_submit_in_a_child_after_the_stop, 0, 2),
    ONCE(test_L16_stop_beside_submits),
    ONCE(test_L16_thread_that_waits_past_its_end),
    ONCE(test_L16_thread_that_ends_late),
    ONCE(test_R4_no_thread),
    LOOP(test_L16_exit_in_a_signal_handler, 0, 2),
};

SUITE(.name = "quoter_stop", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 120, quotercase_set_up,
                     quotercase_tear_down)});
