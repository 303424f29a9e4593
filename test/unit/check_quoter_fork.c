/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "attester/quoter_core.h"
#include "lib/daemonfds.h"
#include "lib/quotercase.h"
#include "lib/sanitizer.h"
#include "lib/suite.h"

/*
 * L3, L4, T11: a quoter across forks. Children end with _exit() and a number that
 * says where it went wrong; a child that hangs is ended by its alarm.
 */

#define CHILD_LIMIT_S 200

static struct atls_reason why;

static pid_t fork_child(int (*run)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGALRM, SIG_DFL); /* Check's handler ends the group */
        alarm(CHILD_LIMIT_S * (unsigned)suite_scale());
        _exit(run());
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static void expect_success(pid_t pid)
{
    int status = 0;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "child: status 0x%x", status);
}

static int serve_in_child(void)
{
    return quotercase_serve((unsigned)getpid(), NULL) ? 0 : 1;
}

/* --- one at a time --------------------------------------------------------- */

/* Parent unused, or used before the fork. */
START_TEST(test_L3_child_has_its_own_quoter)
{
    uint64_t quotes, served;

    quotercase_start();
    if (_i == 1)
        ck_assert(quotercase_serve(1, NULL));
    expect_success(fork_child(serve_in_child));
    ck_assert(quotercase_serve(2, NULL));
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(served, _i == 1 ? 2 : 1);
}
END_TEST

static int serve_in_grandchild(void)
{
    pid_t pid;
    int status;

    if (!quotercase_serve(10, NULL))
        return 1;
    pid = fork();
    if (pid == 0) {
        alarm(CHILD_LIMIT_S * (unsigned)suite_scale());
        _exit(serve_in_child());
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 2;
    return quotercase_serve(11, NULL) ? 0 : 3;
}

START_TEST(test_L3_grandchild)
{
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    expect_success(fork_child(serve_in_grandchild));
    ck_assert(quotercase_serve(2, NULL));
}
END_TEST

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static unsigned descriptors_before;

/* The parent's socket stays behind, and nothing else. */
static int count_in_child(void)
{
    if (count_descriptors() > descriptors_before + 1)
        return 1;
    if (!quotercase_serve(1, NULL))
        return 2;
    return count_descriptors() <= descriptors_before + 2 ? 0 : 3;
}

START_TEST(test_L3_descriptors_of_a_child)
{
    descriptors_before = count_descriptors();
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    expect_success(fork_child(count_in_child));
}
END_TEST

static int free_in_child(void)
{
    int64_t begin = atls_now_ms();

    /* A thread that does not end is given 2000 ms; here none is waited for. */
    atls_quoter_free(quotercase.quoter);
    return atls_now_ms() - begin < 1900 ? 0 : 1;
}

static int use_and_free_in_child(void)
{
    if (!quotercase_serve(1, NULL))
        return 2;
    return free_in_child();
}

START_TEST(test_L3_child_frees)
{
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    expect_success(fork_child(free_in_child));
    expect_success(fork_child(use_and_free_in_child));
    ck_assert(quotercase_serve(2, NULL));
}
END_TEST

/* A handshake that was parked when its process forked: the parent goes on with
 * it, the child cannot. */
static struct atls_ticket *parked;

static int meet_parked(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct atls_reason reason;
    uint8_t *cmw = NULL;
    size_t len = 0;

    if (!atls_ticket_is_ready(parked))
        return 1;
    if (atls_ticket_notify(parked, fd, &reason) != ATLS_E_INTERNAL)
        return 2;
    if (atls_ticket_wait(parked, &reason, &cmw, &len) != ATLS_E_INTERNAL
        || cmw != NULL)
        return 3;
    return quotercase_serve(7, NULL) ? 0 : 4;
}

static int drop_parked(void)
{
    atls_ticket_drop(parked);
    return serve_in_child();
}

START_TEST(test_L3_parked_handshake)
{
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_start();
    ck_assert(quotercase_serve(0, NULL));
    quotercase_expect(&why, quotercase_submit(1, &why, &parked), ATLS_OK, "");
    expect_success(fork_child(meet_parked));
    expect_success(fork_child(drop_parked));
    quotercase_expect(&why, atls_ticket_wait(parked, &why, &cmw, &len), ATLS_OK,
                      "");
    ck_assert(quotercase_is_valid(1, cmw, len, NULL));
}
END_TEST

/* --- under load --------------------------------------------------------------- */

static atomic_bool is_over;
static atomic_int parent_failures;
static atomic_int parent_served;
static atomic_uint threads_ready;

/*
 * Evidence is obtained, not looked at: OpenSSL takes locks to verify, a child
 * that is forked meanwhile has them locked for ever (OpenSSL leaves that to the
 * program), and the child is to verify what it gets.
 */
static void *obtain_until_over(void *arg)
{
    unsigned first = *(unsigned *)arg;

    for (unsigned number = first; !atomic_load(&is_over); number++) {
        struct atls_reason reason;
        uint8_t *cmw = NULL;
        size_t len = 0;

        if (quotercase_obtain(number, &reason, &cmw, &len) == ATLS_OK) {
            atomic_fetch_add(&parent_served, 1);
        } else {
            atomic_fetch_add(&parent_failures, 1);
            fprintf(stderr, "parent: %s\n", reason.text);
        }
        OPENSSL_free(cmw);
        if (number == first)
            atomic_fetch_add(&threads_ready, 1);
    }
    return NULL;
}

#define LOAD_MAX 64

struct load {
    unsigned count;
    unsigned first[LOAD_MAX];
    pthread_t threads[LOAD_MAX];
};

static void start_load(struct load *load, unsigned count)
{
    atomic_store(&is_over, false);
    atomic_store(&threads_ready, 0);
    load->count = count;
    for (unsigned i = 0; i < count; i++) {
        load->first[i] = i * 1000000;
        ck_assert_int_eq(pthread_create(&load->threads[i], NULL,
                                        obtain_until_over, &load->first[i]),
                         0);
    }
    /* A thread that meets OpenSSL for the first time takes such a lock, too. */
    while (atomic_load(&threads_ready) < count)
        usleep(1000);
}

static void stop_load(struct load *load)
{
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < load->count; i++)
        ck_assert_int_eq(pthread_join(load->threads[i], NULL), 0);
    ck_assert_int_eq(parent_failures, 0);
    ck_assert_int_gt(parent_served, 0);
}

/* The parent's lock, queue and TPM are in every state there is. */
START_TEST(test_L3_forks_under_load)
{
    struct load load;

    quotercase_start();
    start_load(&load, 8);
    for (int i = 0; i < 60 * suite_scale(); i++)
        expect_success(fork_child(serve_in_child));
    stop_load(&load);
}
END_TEST

static void *serve_thrice(void *arg)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!quotercase_serve((unsigned)getpid() * 100 + i, NULL))
            return arg;
    }
    return NULL;
}

/* All threads of a fresh child want the quoter at once. */
static int serve_in_threads(void)
{
    pthread_t threads[4];
    void *failed = NULL;

    for (int i = 0; i < 4; i++) {
        if (pthread_create(&threads[i], NULL, serve_thrice, threads) != 0)
            return 1;
    }
    for (int i = 0; i < 4; i++) {
        if (pthread_join(threads[i], &failed) != 0 || failed != NULL)
            return 2;
    }
    return 0;
}

START_TEST(test_T11_threads_and_forks)
{
    struct load load;
    pid_t pids[16];

    quotercase.config.timeout_ms = 15000; /* 17 processes, one swtpm */
    quotercase_start();
    start_load(&load, LOAD_MAX);
    for (int i = 0; i < 16; i++)
        pids[i] = fork_child(serve_in_threads);
    for (int i = 0; i < 16; i++)
        expect_success(pids[i]);
    stop_load(&load);
}
END_TEST

/* --- L5: a daemon that closes what it does not know ------------------------------ */

/* What it opens then has numbers of ours. */
static int close_in_child(void)
{
    quotercase_start();
    if (!quotercase_serve(1, NULL))
        return 1;
    daemonfds_take_over();
    for (unsigned i = 2; i < 5; i++)
        if (!quotercase_serve(i, NULL))
            return (int)i;
    atls_quoter_free(quotercase.quoter);
    return daemonfds_are_open() ? 0 : 5;
}

START_TEST(test_L5_descriptors_that_the_program_closes)
{
    struct tpmproxy *device = NULL;

    if (_i == 1) {
        device = tpmproxy_start_device(swtpm_port(quotercase.swtpm), NULL);
        ck_assert_ptr_nonnull(device);
        quotercase.config.tcti = tpmproxy_tcti(device);
    }
    expect_success(fork_child(close_in_child));
    tpmproxy_stop(device);
}
END_TEST

/* --- L4: with the lock held ----------------------------------------------------- */

static struct {
    struct atls_ticket *ticket; /* knows the lock */
    atomic_bool is_held;
    atomic_bool is_over;
} holder;

static void *hold_lock(void *arg)
{
    pthread_mutex_t *lock = &holder.ticket->core->lock;

    pthread_mutex_lock(lock);
    atomic_store(&holder.is_held, true);
    while (!atomic_load(&holder.is_over))
        usleep(1000);
    pthread_mutex_unlock(lock);
    return arg;
}

static int serve_and_drop_in_child(void)
{
    if (!quotercase_serve(1, NULL))
        return 1;
    atls_ticket_drop(holder.ticket);
    atls_quoter_free(quotercase.quoter);
    return 0;
}

/* The parent's lock is held at the fork, and stays so in the child. */
START_TEST(test_L4_fork_with_the_lock_held)
{
    pid_t pids[4];
    pthread_t thread;

    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    quotercase_expect(&why, quotercase_submit(2, &why, &holder.ticket), ATLS_OK,
                      "");
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_lock, NULL), 0);
    while (!atomic_load(&holder.is_held))
        usleep(1000);
    for (int i = 0; i < 4; i++)
        pids[i] = fork_child(serve_and_drop_in_child);
    for (int i = 0; i < 4; i++)
        expect_success(pids[i]);
    atomic_store(&holder.is_over, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    atls_ticket_drop(holder.ticket);
    ck_assert(quotercase_serve(3, NULL));
}
END_TEST

#define FORKS 300
#define FORKS_AT_ONCE 8

/* One thread forks and forks, the others are in and out of the lock; children
 * shake hands at once. ATTEST_TEST_SCALE=4 makes more than 10^3. */
static void *fork_in_a_loop(void *arg)
{
    pid_t pids[FORKS_AT_ONCE];
    unsigned *failures = arg;

    for (int i = 0; i < FORKS * suite_scale(); i += FORKS_AT_ONCE) {
        for (int j = 0; j < FORKS_AT_ONCE; j++)
            pids[j] = fork_child(serve_in_child);
        for (int j = 0; j < FORKS_AT_ONCE; j++) {
            int status = 0;

            if (waitpid(pids[j], &status, 0) != pids[j] || status != 0)
                ++*failures;
        }
    }
    return NULL;
}

START_TEST(test_L4_thread_that_forks_in_a_loop)
{
    unsigned failures = 0;
    struct load load;
    pthread_t thread;

    quotercase.config.timeout_ms = 15000;
    quotercase_start();
    start_load(&load, 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_in_a_loop, &failures),
                     0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    stop_load(&load);
    ck_assert_uint_eq(failures, 0);
}
END_TEST

/* A child that has the parent's connection to the TPM and does not know of it
 * must not keep the TPM busy. */
static int sleep_in_child(void)
{
    sleep(5);
    return 0;
}

START_TEST(test_L3_sleeping_children_hold_nothing)
{
    pid_t pids[40];
    struct load load;
    int64_t begin;

    quotercase_start();
    start_load(&load, 4);
    for (int i = 0; i < 40; i++)
        pids[i] = fork_child(sleep_in_child);
    stop_load(&load);
    begin = atls_now_ms();
    for (unsigned i = 0; i < 20; i++)
        ck_assert(quotercase_serve(i, NULL));
    ck_assert_int_lt(atls_now_ms() - begin, 2000);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
        ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
    }
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_L3_child_has_its_own_quoter, 0, 2),
    ONCE(test_L3_grandchild),
    ONCE(test_L3_descriptors_of_a_child),
    ONCE(test_L3_child_frees),
    LOOP(test_L5_descriptors_that_the_program_closes, 0, 2),
    ONCE(test_L3_parked_handshake),
    LOOP(test_L3_forks_under_load, 0, !IS_SANITIZED),
    LOOP(test_T11_threads_and_forks, 0, !IS_SANITIZED),
    LOOP(test_L4_fork_with_the_lock_held, 0, !IS_SANITIZED),
    LOOP(test_L4_thread_that_forks_in_a_loop, 0, !IS_SANITIZED),
    LOOP(test_L3_sleeping_children_hold_nothing, 0, !IS_SANITIZED),
};

SUITE(.name = "quoter_fork", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
