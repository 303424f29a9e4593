/* SPDX-License-Identifier: BSD-2-Clause */
/* One descriptor for many tickets: atls_done_list of attester/quoter.h. */
#include <check.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

#define COUNT 40

static struct atls_reason why;
static struct atls_done_list *list;

/* What a client of the agent would be. */
static struct peer {
    unsigned number;
    struct atls_ticket *ticket; /* NULL: none, or no more */
    unsigned popped;
} peers[COUNT];

static void set_up(void)
{
    const struct tpmproxy_hooks hooks = {.before = quotercase_hold_quote};

    quotercase_set_up();
    quotercase_proxy(&hooks);
    quotercase_start();
    memset(peers, 0, sizeof(peers));
    quotercase_expect(&why, atls_done_list_new(&why, &list), ATLS_OK, "");
}

static void tear_down(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        atls_ticket_drop(peers[i].ticket);
    atls_done_list_free(list);
    quotercase_tear_down();
}

static void submit(unsigned i)
{
    peers[i].number = i;
    quotercase_expect(&why, quotercase_submit(i, &why, &peers[i].ticket),
                      ATLS_OK, "");
}

static void gather(unsigned i)
{
    quotercase_expect(
        &why, atls_ticket_gather(peers[i].ticket, list, &peers[i], &why),
        ATLS_OK, "");
}

static bool is_readable(int timeout_ms)
{
    struct pollfd readable = {atls_done_list_fd(list), POLLIN, 0};

    return poll(&readable, 1, timeout_ms) == 1;
}

/* Pop one and take its evidence, which is there. */
static struct peer *serve_one(void)
{
    struct peer *peer = atls_done_list_pop(list);
    struct atls_ticket *ticket;
    uint8_t *cmw = NULL;
    size_t len = 0;

    ck_assert_ptr_nonnull(peer);
    ck_assert(atls_ticket_is_ready(peer->ticket));
    ticket = peer->ticket;
    peer->ticket = NULL;
    peer->popped++;
    quotercase_expect(&why, atls_ticket_wait(ticket, &why, &cmw, &len), ATLS_OK,
                      "");
    ck_assert(quotercase_is_valid(peer->number, cmw, len, NULL));
    return peer;
}

/* Gather so many; the first one is in flight alone, and held. */
static void gather_held(unsigned count)
{
    quotercase_hold(true);
    for (unsigned i = 0; i < count; i++) {
        submit(i);
        gather(i);
        if (i == 0)
            quotercase_await();
    }
}

/* First the one that was in flight alone, then its batch, in order. */
START_TEST(test_done_tickets_gather)
{
    gather_held(COUNT);
    ck_assert(!is_readable(0));
    ck_assert_ptr_null(atls_done_list_pop(list));
    quotercase_hold(false);
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert(is_readable(QUOTERCASE_PATIENCE_MS));
        ck_assert_ptr_eq(serve_one(), &peers[i]);
    }
    ck_assert(!is_readable(0));
    ck_assert_ptr_null(atls_done_list_pop(list));
}
END_TEST

/* A ticket that was done before it was gathered appears at once. */
START_TEST(test_done_before_it_is_gathered)
{
    submit(1);
    while (!atls_ticket_is_ready(peers[1].ticket))
        usleep(1000);
    ck_assert(!is_readable(0));
    gather(1);
    ck_assert(is_readable(0));
    ck_assert_ptr_eq(serve_one(), &peers[1]);
    ck_assert(!is_readable(0));
}
END_TEST

/* R1: those who vanish, at any moment, leave nothing in the list. */
START_TEST(test_R1_dropped_tickets_leave_the_list)
{
    gather_held(3);
    atls_ticket_drop(peers[0].ticket); /* in flight */
    atls_ticket_drop(peers[1].ticket); /* waiting */
    peers[0].ticket = peers[1].ticket = NULL;
    quotercase_hold(false);
    ck_assert(is_readable(QUOTERCASE_PATIENCE_MS));
    atls_ticket_drop(peers[2].ticket); /* done, not popped */
    peers[2].ticket = NULL;
    ck_assert(!is_readable(0));
    ck_assert_ptr_null(atls_done_list_pop(list));
}
END_TEST

/* Waited for without having been popped. */
START_TEST(test_waited_tickets_leave_the_list)
{
    struct atls_ticket *ticket;
    uint8_t *cmw = NULL;
    size_t len = 0;

    submit(1);
    gather(1);
    ticket = peers[1].ticket;
    peers[1].ticket = NULL;
    quotercase_expect(&why, atls_ticket_wait(ticket, &why, &cmw, &len), ATLS_OK,
                      "");
    OPENSSL_free(cmw);
    ck_assert(!is_readable(0));
    ck_assert_ptr_null(atls_done_list_pop(list));
}
END_TEST

/* One that is late does not appear as long as others of its batch may still be
 * served: its owner has a timer. */
START_TEST(test_T4_late_tickets_are_the_owners)
{
    struct atls_ticket *late;
    int64_t begin = atls_now_ms();
    uint8_t *cmw = NULL;
    size_t len = 0;
    bool is_there;

    atls_quoter_free(quotercase.quoter);
    quotercase.config.timeout_ms = 1000;
    quotercase_start();
    gather_held(1);
    usleep(30000);
    submit(1); /* one batch with the next one, which is in time for longer */
    gather(1);
    usleep(900000);
    submit(2);
    gather(2);
    late = peers[1].ticket;
    ck_assert_int_ge(atls_ticket_deadline_ms(late), begin + 1030);
    ck_assert(is_readable(QUOTERCASE_PATIENCE_MS));
    ck_assert_ptr_eq(atls_done_list_pop(list), &peers[0]);
    while (!atls_ticket_is_ready(late))
        usleep(1000);
    is_there = is_readable(0);
    /* Unless this thread was kept from looking for so long. */
    if (atls_now_ms() < atls_ticket_deadline_ms(peers[2].ticket))
        ck_assert(!is_there);
    peers[1].ticket = NULL;
    quotercase_expect(&why, atls_ticket_wait(late, &why, &cmw, &len),
                      ATLS_E_TIMEOUT, "no quote within 1000 ms");
    ck_assert(is_readable(QUOTERCASE_PATIENCE_MS));
    ck_assert_ptr_eq(atls_done_list_pop(list), &peers[2]);
}
END_TEST

/* The quoter ends: what waits is done, with that reason. */
START_TEST(test_L1_stopped_quoter_completes)
{
    uint8_t *cmw = NULL;
    size_t len = 0;

    gather_held(2);
    atls_quoter_stop(quotercase.quoter);
    for (unsigned i = 0; i < 2; i++) {
        struct peer *peer = atls_done_list_pop(list);
        struct atls_ticket *ticket;

        ck_assert_ptr_nonnull(peer);
        ticket = peer->ticket;
        peer->ticket = NULL;
        ck_assert_int_ne(atls_ticket_wait(ticket, &why, &cmw, &len), ATLS_OK);
        ck_assert_ptr_null(cmw);
    }
    ck_assert(!is_readable(0));
}
END_TEST

static int gather_in_child(void)
{
    struct atls_done_list *own = NULL;
    struct atls_reason reason;

    if (atls_done_list_new(&reason, &own) != ATLS_OK)
        return 1;
    if (atls_ticket_gather(peers[1].ticket, own, &peers[1], &reason)
            != ATLS_E_INTERNAL
        || strstr(reason.text, "started by another process") == NULL)
        return 2;
    atls_ticket_drop(peers[1].ticket);
    atls_done_list_free(own);
    return 0;
}

START_TEST(test_L3_inherited_tickets_are_refused)
{
    int status = 0;
    pid_t pid;

    quotercase_hold(true);
    submit(1);
    gather(1);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(gather_in_child());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    quotercase_hold(false);
    ck_assert(is_readable(QUOTERCASE_PATIENCE_MS));
    ck_assert_ptr_eq(serve_one(), &peers[1]);
}
END_TEST

START_TEST(test_R4_no_descriptors)
{
    struct atls_done_list *other = NULL;
    struct rlimit limit, none;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    quotercase_expect(&why, atls_done_list_new(&why, &other), ATLS_E_IO,
                      "cannot wait for quotes: Too many open files; raise");
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_ptr_null(other);
    atls_done_list_free(NULL);
}
END_TEST

/* Threads submit and vanish while another serves what comes. */
static void *submit_and_vanish(void *arg)
{
    unsigned *failures = arg;

    for (unsigned i = 0; i < 200; i++) {
        struct atls_ticket *ticket = NULL;
        struct atls_reason reason;

        if (quotercase_submit(i, &reason, &ticket) != ATLS_OK
            || atls_ticket_gather(ticket, list, arg, &reason) != ATLS_OK)
            ++*failures;
        if (i % 16 == 0)
            usleep(10000);
        atls_ticket_drop(ticket);
    }
    return NULL;
}

START_TEST(test_R1_threads_that_vanish)
{
    unsigned failures[4] = {0};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, submit_and_vanish, &failures[i]),
            0);
    for (int i = 0; i < 1000; i++) {
        (void)atls_done_list_pop(list); /* the owner may be gone: not touched */
        usleep(100);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(failures[i], 0);
    }
    ck_assert(!is_readable(0));
    ck_assert_ptr_null(atls_done_list_pop(list));
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_done_tickets_gather),
    ONCE(test_done_before_it_is_gathered),
    ONCE(test_R1_dropped_tickets_leave_the_list),
    ONCE(test_waited_tickets_leave_the_list),
    ONCE(test_T4_late_tickets_are_the_owners),
    ONCE(test_L1_stopped_quoter_completes),
    ONCE(test_L3_inherited_tickets_are_refused),
    ONCE(test_R4_no_descriptors),
    ONCE(test_R1_threads_that_vanish),
};

SUITE(.name = "quoter_done", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, set_up, tear_down)});
