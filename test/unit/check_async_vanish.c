/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/allocation.h"
#include "lib/asynccase.h"
#include "lib/quotercase.h"
#include "lib/daemonfds.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

/*
 * Handshakes that are parked while their evidence is made and do not go on: the
 * program frees, clears or inherits them, or ends.
 */

static struct asynclink one;

static void tear_down(void)
{
    asynclink_free(&one);
    asynccase_tear_down();
}

/* OpenSSL gives no way to let go of a job in newer versions (async.h). */
static bool jobs_are_given_back(void)
{
    return OpenSSL_version_num() < 0x30200000;
}

/* --- SSL_free() --------------------------------------------------------------- */

/* Programs' callbacks that must not run any more once they call SSL_free(). */
static unsigned infos;

static void count_info(const SSL *s, int type, int value)
{
    (void)s, (void)type, (void)value;
    infos++;
}

static void count_message(int write_p, int version, int type, const void *buf,
                          size_t len, SSL *s, void *arg)
{
    (void)write_p, (void)version, (void)type, (void)buf, (void)len, (void)s,
        (void)arg;
    infos++;
}

static void nothing(void)
{
}

static void wait_until_ready(void)
{
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
}

static void wake_too_early(void)
{
    ck_assert_int_eq(SSL_get_error(one.server, SSL_accept(one.server)),
                     SSL_ERROR_WANT_ASYNC);
}

static void clear(void)
{
    ck_assert_int_eq(SSL_clear(one.server), 1);
}

static void shut_down(void)
{
    ck_assert_int_eq(SSL_shutdown(one.server), -1);
    ERR_clear_error();
}

static void vanish_client(void)
{
    SSL_free(one.client);
    one.client = NULL;
}

static void leave_mode(void)
{
    SSL_clear_mode(one.server, SSL_MODE_ASYNC);
}

static void finish(void)
{
    ck_assert(asynclink_finish(&one));
}

static void finish_refused(void)
{
    usleep(100000);
    vanish_client();
    wait_until_ready();
    ck_assert_int_ne(SSL_accept(one.server), 1);
    ERR_clear_error();
}

static const struct moment {
    const char *name;
    bool is_held;         /* the quote, until then */
    void (*before)(void); /* SSL_free() */
} moments[] = {
    {"parked", true, nothing},
    {"evidence is there", false, wait_until_ready},
    {"woken too early", true, wake_too_early},
    {"cleared", true, clear},
    {"SSL_shutdown() tried", true, shut_down},
    {"client is gone", true, vanish_client},
    {"SSL_MODE_ASYNC is off by now", true, leave_mode},
    {"done", false, finish},
    {"client is gone, evidence is not", false, finish_refused},
};

static void park_and_free(const struct moment *moment)
{
    quotercase_hold(moment->is_held);
    asynclink_new(&one);
    SSL_set_msg_callback(one.server, count_message);
    asynclink_begin_parked(&one);
    moment->before();
    infos = 0;
    errno = ENOTTY;
    ERR_raise(ERR_LIB_USER, 17);
    SSL_free(one.server);
    one.server = NULL;
    quotercase_hold(false);
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_int_eq(ERR_GET_REASON(ERR_get_error()), 17);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_uint_eq(infos, 0);
    asynclink_free(&one);
}

/* Once the quoter has let go of what it was about. Its caches may grow once. */
static bool is_flat(const struct moment *moment, unsigned descriptors)
{
    for (int times = 0; times < 4; times++) {
        size_t before = allocation_in_use();

        for (int i = 0; i < 10; i++)
            park_and_free(moment);
        for (int wait = 0; wait < 60; wait++) {
            if (allocation_in_use() == before
                && count_descriptors("") == descriptors)
                return true;
            usleep(50000);
        }
    }
    return false;
}

/* Whatever the moment: no descriptor, no memory, no callback, no error. */
START_TEST(test_R1_freed_while_parked)
{
    const struct moment *moment = &moments[_i];

    SSL_CTX_set_info_callback(asynccase.server_ctx, count_info);
    park_and_free(moment);
    usleep(500000);
    ck_assert_msg(is_flat(moment, count_descriptors(""))
                      || !jobs_are_given_back(),
                  "%s", moment->name);
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 0);
}
END_TEST

/* Those that are gone leave room in the queue. */
START_TEST(test_R1_queue_is_empty_afterwards)
{
    struct asynclink links[8];

    asynccase_configure(NULL, "8");
    quotercase_hold(true);
    asynclink_park(&one);
    quotercase_await();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            asynclink_park(&links[i]);
        for (int i = 0; i < 8; i++)
            asynclink_free(&links[i]);
    }
    quotercase_hold(false);
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* A fifth of them vanishes; the others are served. */
START_TEST(test_R1_survivors_are_served)
{
    struct asynclink links[40];

    atomic_store(&asynccase.quote_ms, 200);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++)
            asynclink_park(&links[i]);
        for (int i = round; i < 40; i += 5)
            asynclink_free(&links[i]);
        for (int i = 0; i < 40; i++) {
            if (i % 5 == round)
                continue;
            ck_assert(asynclink_finish(&links[i]));
            asynclink_free(&links[i]);
        }
    }
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 0);
}
END_TEST

static ASYNC_JOB *lost; /* reachable, for leak checkers */

static int remember_job(SSL *s, int *al, void *arg)
{
    (void)s, (void)al, (void)arg;
    if (lost == NULL)
        lost = ASYNC_get_current_job();
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void *free_elsewhere(void *arg)
{
    (void)arg;
    SSL_free(one.server);
    one.server = NULL;
    return NULL;
}

/* A job belongs to its thread; what is ours does not. */
START_TEST(test_freed_by_another_thread)
{
    pthread_t thread;

    SSL_CTX_set_client_hello_cb(asynccase.server_ctx, remember_job, NULL);
    atomic_store(&asynccase.quote_ms, 200);
    asynclink_park(&one);
    ck_assert_int_eq(pthread_create(&thread, NULL, free_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 0);
    asynclink_free(&one);
    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* --- the info callback in between ------------------------------------------------ */

static void count_own_info(const SSL *s, int type, int value)
{
    (void)s, (void)type, (void)value;
    infos += 1000;
}

/* Ours passes on what comes, to the context's; a program's own is left alone. */
START_TEST(test_info_callbacks_are_called)
{
    unsigned with_mode;

    for (int mode = 1; mode >= 0; mode--) {
        if (mode == 0)
            SSL_CTX_clear_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
        asynclink_new(&one);
        SSL_CTX_set_info_callback(asynccase.server_ctx, count_info);
        infos = 0;
        (void)asynclink_begin(&one);
        ck_assert(asynclink_finish(&one));
        asynclink_free(&one);
        if (mode == 1)
            with_mode = infos;
    }
    /* Who has waited inside returns once more than who was parked. */
    ck_assert_uint_gt(infos, 5);
    ck_assert_uint_eq(with_mode + 1, infos);
    SSL_CTX_set_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
    asynclink_new(&one);
    SSL_set_info_callback(one.server, count_own_info);
    infos = 0;
    asynclink_begin_parked(&one);
    ck_assert(asynclink_finish(&one));
    ck_assert_uint_eq(infos % 1000, 0);
    ck_assert_uint_gt(infos, 5000);
}
END_TEST

/* --- SSL_clear() -------------------------------------------------------------------- */

/* What libssl was about is gone, and it is told so; then all is well again. */
START_TEST(test_cleared_while_parked)
{
    SSL *server;

    atomic_store(&asynccase.quote_ms, 200);
    asynclink_park(&one);
    clear();
    asynclink_expect_refusal(&one, "attest::the program cleared the connection "
                                   "while its handshake waited for evidence");
    clear();
    server = one.server;
    SSL_free(one.client);
    asynclink_new(&one);
    SSL_up_ref(server);
    SSL_set_bio(server, SSL_get_rbio(one.server), SSL_get_wbio(one.server));
    BIO_up_ref(SSL_get_rbio(server));
    SSL_free(one.server);
    SSL_free(server);
    one.server = server;
    asynclink_begin_parked(&one);
    ck_assert(asynclink_finish(&one));
}
END_TEST

START_TEST(test_shut_down_while_parked)
{
    atomic_store(&asynccase.quote_ms, 200);
    asynclink_park(&one);
    shut_down();
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* --- processes ------------------------------------------------------------------------ */

/* Threads of the parent leave memory in a child that is nobody's: this end is
 * one that no leak checker sees. */
static void end_child(bool is_good)
{
    (void)kill(getpid(), is_good ? SIGKILL : SIGABRT);
}

static void expect_end(pid_t child, int expected)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, expected);
}

/* The child has the descriptors as well, and frees its own: the parent's
 * handshakes do not notice. */
START_TEST(test_L4_forked_while_parked)
{
    struct asynclink other;
    pid_t child;

    atomic_store(&asynccase.quote_ms, 400);
    asynclink_park(&one);
    asynclink_park(&other);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char reason[300];
        int error;

        SSL_free(other.server);
        error = SSL_get_error(one.server, SSL_accept(one.server));
        ERR_error_string_n(ERR_peek_error(), reason, sizeof(reason));
        SSL_free(one.server);
        usleep(1500000); /* keeps what it has open */
        end_child(error == SSL_ERROR_SSL
                  && strstr(reason, "was started by another process") != NULL);
    }
    usleep(100000);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    ck_assert(asynclink_is_woken(&other, QUOTERCASE_PATIENCE_MS));
    ck_assert(asynclink_finish(&one));
    ck_assert(asynclink_finish(&other));
    ck_assert(!asynclink_is_woken(&one, 0));
    ck_assert(!asynclink_is_woken(&other, 0));
    asynclink_free(&other);
    expect_end(child, SIGKILL);
}
END_TEST

/* The wait descriptor and the timer have numbers of its own now. */
START_TEST(test_L5_a_daemon_keeps_what_it_opened)
{
    pid_t child;

    asynclink_park(&one);
    wait_until_ready();
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        /* Nor are the connection's numbers the program's. */
        BIO_set_close(SSL_get_rbio(one.server), BIO_NOCLOSE);
        BIO_set_close(SSL_get_wbio(one.server), BIO_NOCLOSE);
        daemonfds_take_over();
        SSL_free(one.server);
        end_child(daemonfds_are_open());
    }
    expect_end(child, SIGKILL);
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* A child that inherits nothing but the module parks handshakes of its own. */
START_TEST(test_L4_forked_before)
{
    pid_t child;

    asynclink_park(&one);
    wait_until_ready();
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct asynclink own;

        asynclink_park(&own);
        end_child(asynclink_finish(&own));
    }
    expect_end(child, SIGKILL);
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* The program ends at once, whatever is parked: the TPM, which is the parent's,
 * never answers. */
START_TEST(test_L1_exit_while_parked)
{
    const int64_t begin = atls_now_ms();
    pid_t child;

    asynccase_configure("100000", NULL);
    quotercase_hold(true);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct asynclink links[5];

        for (int i = 0; i < 5; i++)
            asynclink_park(&links[i]);
        exit(0);
    }
    expect_end(child, 0);
    ck_assert_int_lt(atls_now_ms() - begin, 50000);
}
END_TEST

/* --- R3: memory runs out -------------------------------------------------------------- */

/* Of what is allocated until the handshake parks, the last are ours. */
#define LAST 40

START_TEST(test_R3_allocations_of_parking)
{
    size_t count, in_use;

    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
    asynclink_free(&one);
    asynclink_new(&one);
    ck_assert_int_eq(SSL_get_error(one.client, SSL_connect(one.client)),
                     SSL_ERROR_WANT_READ);
    allocation_fail_at(0);
    ck_assert_int_eq(SSL_accept(one.server), -1);
    count = allocation_count();
    ck_assert(asynclink_finish(&one));
    asynclink_free(&one);
    usleep(100000);
    in_use = allocation_in_use();
    for (size_t n = count > LAST ? count - LAST : 1; n <= count; n++) {
        asynclink_new(&one);
        ck_assert_int_eq(SSL_get_error(one.client, SSL_connect(one.client)),
                         SSL_ERROR_WANT_READ);
        allocation_fail_only(n);
        (void)SSL_accept(one.server);
        allocation_fail_at(0);
        ERR_clear_error();
        asynclink_free(&one);
    }
    /* The quoter still works for those that were dropped. */
    for (int i = 0; i < 100 && allocation_in_use() > in_use + 256 * 1024; i++)
        usleep(100000);
    ck_assert_uint_le(allocation_in_use(), in_use + 256 * 1024);
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 0);
    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_R1_freed_while_parked, 0, sizeof(moments) / sizeof(moments[0])),
    ONCE(test_R1_queue_is_empty_afterwards),
    ONCE(test_R1_survivors_are_served),
    ONCE(test_freed_by_another_thread),
    ONCE(test_info_callbacks_are_called),
    ONCE(test_cleared_while_parked),
    ONCE(test_shut_down_while_parked),
    ONCE(test_L4_forked_while_parked),
    ONCE(test_L4_forked_before),
    ONCE(test_L5_a_daemon_keeps_what_it_opened),
    ONCE(test_L1_exit_while_parked),
    ONCE(test_R3_allocations_of_parking),
};

SUITE(.name = "async_vanish", .skip = swtpm_missing,
      .begin = allocation_install,
      .cases = {CASE("with a swtpm", tests, 120, asynccase_set_up, tear_down)});
