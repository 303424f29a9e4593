/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/asynccase.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

/*
 * Handshakes that park while their evidence is made. Those that never come back
 * are in check_async_vanish.c.
 */

static struct asynclink one;

static void tear_down(void)
{
    asynclink_free(&one);
    asynccase_tear_down();
}

/* The first handshake of a process takes long. */
static void warm_up(void)
{
    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
    asynclink_free(&one);
}

/* --- parking ------------------------------------------------------------------ */

START_TEST(test_parks_while_the_quote_is_made)
{
    warm_up();
    quotercase_hold(true);
    asynclink_park(&one);
    ck_assert_int_eq(SSL_waiting_for_async(one.server), 1);
    quotercase_await();
    ck_assert(!asynclink_is_woken(&one, 100));
    quotercase_hold(false);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    ck_assert(asynclink_finish(&one));
    ck_assert_int_eq(asynccase.quotes, 2);
    /* Nobody is woken by what is over. */
    ck_assert(!asynclink_is_woken(&one, 0));
}
END_TEST

/* The evidence is there when the program comes: nobody has to wait for it. */
START_TEST(test_late_program)
{
    asynclink_park(&one);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* A program may come back for another reason, such as what its client sends. */
START_TEST(test_woken_too_early)
{
    quotercase_hold(true);
    asynclink_park(&one);
    for (int times = 0; times < 10; times++) {
        ck_assert(!asynclink_is_woken(&one, 5));
        ck_assert_int_eq(SSL_get_error(one.server, SSL_accept(one.server)),
                         SSL_ERROR_WANT_ASYNC);
    }
    quotercase_hold(false);
    ck_assert(asynclink_finish(&one));
}
END_TEST

START_TEST(test_R1_many_in_one_thread_share_quotes)
{
    struct asynclink links[64];

    quotercase_hold(true);
    for (int i = 0; i < 64; i++)
        asynclink_park(&links[i]);
    quotercase_hold(false);
    for (int i = 0; i < 64; i++)
        ck_assert(asynclink_finish(&links[i]));
    /* One each would be 64: the first one's, and one for who came meanwhile. */
    ck_assert_int_le(asynccase.quotes, 2);
    for (int i = 0; i < 64; i++)
        asynclink_free(&links[i]);
}
END_TEST

/* "no quote within 300 ms: the TPM is slow ...", or what the quoter says of its
 * command: whichever is first. */
static const char late[] = "the TPM ";

START_TEST(test_deadline)
{
    int64_t begin;

    warm_up();
    asynccase_configure("300", NULL);
    quotercase_hold(true);
    begin = atls_now_ms();
    asynclink_park(&one);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    ck_assert_int_ge(atls_now_ms() - begin, 300);
    asynclink_expect_refusal(&one, late);
    ck_assert(!asynclink_is_woken(&one, 0));
}
END_TEST

/* What can be told at once parks nobody. */
START_TEST(test_full_queue_is_told_at_once)
{
    struct asynclink others[2];

    asynccase_configure(NULL, "1");
    quotercase_hold(true);
    asynclink_park(&others[0]);
    quotercase_await(); /* in flight; the queue is empty */
    asynclink_park(&others[1]);
    asynclink_new(&one);
    ck_assert_int_eq(asynclink_begin(&one), SSL_ERROR_SSL);
    ck_assert_ptr_nonnull(strstr(ERR_reason_error_string(ERR_peek_error()),
                                 "1 handshakes wait for a quote already"));
    ERR_clear_error();
    quotercase_hold(false);
    for (int i = 0; i < 2; i++) {
        ck_assert(asynclink_finish(&others[i]));
        asynclink_free(&others[i]);
    }
}
END_TEST

/* --- error queue and errno ------------------------------------------------------ */

static void raise_own(int reason)
{
    ERR_raise(ERR_LIB_USER, reason);
}

/* How many entries there are; takes them. The last one is put into ret. */
static unsigned take_errors(unsigned long *ret)
{
    unsigned count = 0;
    unsigned long error;

    while ((error = ERR_get_error()) != 0) {
        *ret = error;
        count++;
    }
    return count;
}

/* The program's errors of meanwhile are still there after the next pause, and
 * nothing else. (A handshake that ends its own way keeps them as well.) */
START_TEST(test_error_queue_is_the_programs)
{
    unsigned long error = 0;

    quotercase_hold(true);
    asynclink_new(&one);
    errno = ENOTTY;
    ck_assert_int_eq(SSL_get_error(one.client, SSL_connect(one.client)),
                     SSL_ERROR_WANT_READ);
    ck_assert_int_eq(SSL_accept(one.server), -1);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    raise_own(17);
    raise_own(18);
    errno = ECHILD;
    ck_assert_int_eq(SSL_accept(one.server), -1); /* pauses again */
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_uint_eq(take_errors(&error), 2);
    ck_assert_int_eq(ERR_GET_REASON(error), 18);
    ERR_clear_error();
    quotercase_hold(false);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    raise_own(19);
    ck_assert_int_eq(SSL_accept(one.server), -1); /* goes on */
    ck_assert_int_eq(SSL_waiting_for_async(one.server), 0);
    ck_assert_uint_eq(take_errors(&error), 1);
    ck_assert_int_eq(ERR_GET_REASON(error), 19);
    ck_assert(asynclink_finish(&one));
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* A refusal after a pause is one reason, on top of what the program had. */
START_TEST(test_error_queue_of_a_refusal)
{
    asynccase_configure("200", NULL);
    quotercase_hold(true);
    asynclink_park(&one);
    raise_own(17);
    ck_assert(asynclink_is_woken(&one, QUOTERCASE_PATIENCE_MS));
    ck_assert_int_eq(SSL_accept(one.server), -1);
    ck_assert_int_eq(ERR_GET_REASON(ERR_get_error()), 17);
    ck_assert_ptr_nonnull(
        strstr(ERR_reason_error_string(ERR_get_error()), late));
    ERR_clear_error();
}
END_TEST

/* HAProxy ends itself when it finds a wait descriptor that no pause told it of. */
static bool has_wait_descriptor(void)
{
    size_t count = 0;

    return SSL_get_all_async_fds(one.server, NULL, &count) == 1 && count > 0;
}

/* --- the wait descriptor ---------------------------------------------------------- */

/* Each SSL has one, for all of its handshakes. */
START_TEST(test_one_descriptor_until_the_end)
{
    size_t added, deleted;
    int fd = -1;

    for (int handshake = 0; handshake < 3; handshake++) {
        if (handshake == 0) {
            asynclink_park(&one);
            fd = asynclink_fd(&one);
        } else {
            SSL *client = one.client;
            struct asynclink other;

            /* Another client for the same server object. */
            ck_assert_int_eq(SSL_clear(one.server), 1);
            asynclink_new(&other);
            one.client = other.client;
            SSL_set_bio(one.server, SSL_get_rbio(other.server),
                        SSL_get_wbio(other.server));
            SSL_set0_rbio(other.server, NULL);
            BIO_up_ref(SSL_get_rbio(one.server));
            SSL_set0_wbio(other.server, NULL);
            SSL_free(client);
            SSL_free(other.server);
            asynclink_begin_parked(&one);
        }
        ck_assert_int_eq(
            SSL_get_changed_async_fds(one.server, NULL, &added, NULL, &deleted),
            1);
        ck_assert_uint_eq(added, handshake == 0);
        ck_assert_uint_eq(deleted, 0);
        ck_assert_int_eq(asynclink_fd(&one), fd);
        ck_assert(asynclink_finish(&one));
        ck_assert_int_eq(asynclink_fd(&one), fd);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
    asynclink_free(&one);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* doc/attest.7 tells administrators these numbers. */
START_TEST(test_descriptors_of_a_handshake)
{
    asynclink_park(&one);
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 1);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 1);
    ck_assert(asynclink_finish(&one));
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 1);
    ck_assert_uint_eq(count_descriptors("[timerfd]"), 0);
    asynclink_free(&one);
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
}
END_TEST

/* --- R4: no descriptors ------------------------------------------------------------- */

/* So many more than there are. */
static void allow_descriptors(unsigned more)
{
    struct rlimit limit;
    int highest = fcntl(STDIN_FILENO, F_DUPFD, 0);

    ck_assert_int_ge(highest, 0); /* the lowest that is free */
    close(highest);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)highest + more;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void allow_all_descriptors(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(test_R4_no_descriptors)
{
    static const char *const reasons[] = {
        "attest::cannot park the handshake while evidence is made: Too many "
        "open files",
        "attest::cannot make a timer: Too many open files",
    };
    struct asynclink other;
    unsigned before;

    quotercase_hold(true);
    asynclink_park(&other);
    quotercase_await(); /* which needs no more descriptors now */
    before = count_descriptors("");
    for (unsigned more = 0; more < 2; more++) {
        allow_descriptors(more);
        asynclink_new(&one);
        asynclink_expect_refusal(&one, reasons[more]);
        ck_assert(!has_wait_descriptor());
        asynclink_free(&one);
        allow_all_descriptors();
        ck_assert_uint_eq(count_descriptors(""), before);
    }
    quotercase_hold(false);
    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
    ck_assert(asynclink_finish(&other));
    asynclink_free(&other);
}
END_TEST

/* --- where there is nowhere to park ----------------------------------------------------- */

START_TEST(test_without_the_mode_it_waits)
{
    atomic_store(&asynccase.quote_ms, 200);
    SSL_CTX_clear_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
    asynclink_new(&one);
    ck_assert(SSL_get_info_callback(one.server) == NULL);
    ck_assert_int_eq(asynclink_begin(&one), SSL_ERROR_WANT_READ);
    ck_assert(asynclink_finish(&one));
    ck_assert(!has_wait_descriptor());
}
END_TEST

static int block(SSL *s, int *al, void *arg)
{
    (void)s, (void)al, (void)arg;
    ASYNC_block_pause();
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void unblock(const SSL *s, int type, int value)
{
    (void)s, (void)value;
    if (type == SSL_CB_ACCEPT_EXIT)
        ASYNC_unblock_pause();
}

START_TEST(test_while_pauses_are_blocked_it_waits)
{
    atomic_store(&asynccase.quote_ms, 200);
    SSL_CTX_set_client_hello_cb(asynccase.server_ctx, block, NULL);
    asynclink_new(&one);
    SSL_set_info_callback(one.server, unblock);
    ck_assert_int_eq(asynclink_begin(&one), SSL_ERROR_WANT_READ);
    ck_assert(asynclink_finish(&one));
    ck_assert(!has_wait_descriptor());
    ck_assert_uint_eq(count_descriptors("[eventpoll]"), 0);
}
END_TEST

/* --- jobs of the program's own ------------------------------------------------------------ */

static int accept_in_job(void *arg)
{
    SSL *s = *(SSL **)arg;

    return SSL_get_error(s, SSL_accept(s));
}

static int start(ASYNC_JOB **job, ASYNC_WAIT_CTX *ctx, struct asynclink *l,
                 int *ret)
{
    return ASYNC_start_job(job, ctx, ret, accept_in_job, &l->server,
                           sizeof(l->server));
}

static void say_hello(struct asynclink *l)
{
    asynclink_new(l);
    ck_assert_int_eq(SSL_get_error(l->client, SSL_connect(l->client)),
                     SSL_ERROR_WANT_READ);
}

START_TEST(test_job_without_a_wait_context_waits)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    say_hello(&one);
    ck_assert_int_eq(start(&job, NULL, &one, &ret), ASYNC_FINISH);
    ck_assert_int_eq(ret, SSL_ERROR_WANT_READ);
    ck_assert(asynclink_finish(&one));
}
END_TEST

/* The wait context outlives the SSL; of two jobs that share it one parks. */
START_TEST(test_jobs_that_share_a_wait_context)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *first = NULL, *second = NULL;
    struct asynclink other;
    int ret = 0;

    quotercase_hold(true);
    say_hello(&one);
    say_hello(&other);
    ck_assert_int_eq(start(&first, ctx, &one, &ret), ASYNC_PAUSE);
    quotercase_hold(false);
    ck_assert_int_eq(start(&second, ctx, &other, &ret), ASYNC_FINISH);
    ck_assert_int_eq(ret, SSL_ERROR_WANT_READ);
    ck_assert_int_eq(start(&first, ctx, &one, &ret), ASYNC_FINISH);
    ck_assert_int_eq(ret, SSL_ERROR_WANT_READ);
    ck_assert(asynclink_finish(&one));
    ck_assert(asynclink_finish(&other));
    asynclink_free(&other);
    asynclink_free(&one);
    ASYNC_WAIT_CTX_free(ctx);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_parks_while_the_quote_is_made),
    ONCE(test_late_program),
    ONCE(test_woken_too_early),
    ONCE(test_R1_many_in_one_thread_share_quotes),
    ONCE(test_deadline),
    ONCE(test_full_queue_is_told_at_once),
    ONCE(test_error_queue_is_the_programs),
    ONCE(test_error_queue_of_a_refusal),
    ONCE(test_one_descriptor_until_the_end),
    ONCE(test_descriptors_of_a_handshake),
    ONCE(test_R4_no_descriptors),
    ONCE(test_without_the_mode_it_waits),
    ONCE(test_while_pauses_are_blocked_it_waits),
    ONCE(test_job_without_a_wait_context_waits),
    ONCE(test_jobs_that_share_a_wait_context),
};

SUITE(.name = "async", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 120, asynccase_set_up, tear_down)});
