/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/* Many handshakes, one thread that quotes. Under TSan as well. */

#define THREADS_MAX 128

static struct atls_reason why;

/* A slow TPM: each quote takes this long. */
static atomic_int quote_ms;

static enum tpmproxy_action delay_quote(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    struct timespec pause = {.tv_sec = 0};

    (void)quotercase_hold_quote(arg, code, response, ret_len);
    if (code != TPM2_CC_Quote)
        return TPMPROXY_FORWARD;
    pause.tv_nsec = atomic_load(&quote_ms) * 1000000L;
    nanosleep(&pause, NULL);
    return TPMPROXY_FORWARD;
}

static void start_slow(int ms)
{
    const struct tpmproxy_hooks hooks = {.before = delay_quote};

    atomic_store(&quote_ms, ms);
    quotercase_proxy(&hooks);
    quotercase_start();
}

struct client {
    pthread_t thread;
    unsigned first;
    unsigned count;
    unsigned failures;
    bool vanishes; /* every other handshake is dropped in the middle */
};

static void *handshakes(void *arg)
{
    struct client *client = arg;

    for (unsigned i = 0; i < client->count; i++) {
        unsigned number = client->first + i;
        struct atls_ticket *ticket = NULL;
        struct atls_reason reason;

        if (!client->vanishes || number % 2 == 0) {
            client->failures += !quotercase_serve(number, NULL);
            continue;
        }
        if (quotercase_submit(number, &reason, &ticket) == ATLS_OK)
            usleep(1000 * (number % 50));
        atls_ticket_drop(ticket);
    }
    return NULL;
}

static void start_clients(struct client *clients, unsigned count, unsigned each,
                          unsigned vanish)
{
    for (unsigned i = 0; i < count; i++) {
        clients[i] = (struct client){.first = i * each, .count = each};
        clients[i].vanishes = i < vanish;
        ck_assert_int_eq(
            pthread_create(&clients[i].thread, NULL, handshakes, &clients[i]),
            0);
    }
}

static void join_clients(struct client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_join(clients[i].thread, NULL), 0);
        ck_assert_uint_eq(clients[i].failures, 0);
    }
}

/* --- batches ---------------------------------------------------------------- */

START_TEST(test_waiting_handshakes_share_a_quote)
{
    struct client clients[64];
    uint64_t quotes, served;

    start_slow(100);
    start_clients(clients, 64, 5, 0);
    join_clients(clients, 64);
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(served, 64 * 5);
    ck_assert_uint_le(quotes, 64 * 5 / 8);
}
END_TEST

/* What waits while one is in flight is the next batch, whole; and no peer can
 * tell that from its own evidence. */
START_TEST(test_batch_is_what_waits)
{
    struct quotercase_evidence found[21];
    struct atls_ticket *tickets[21];
    uint64_t quotes, served;

    start_slow(0);
    quotercase_hold(true);
    for (unsigned i = 0; i < 21; i++) {
        quotercase_expect(&why, quotercase_submit(i, &why, &tickets[i]),
                          ATLS_OK, "");
        if (i == 0)
            quotercase_await();
    }
    quotercase_hold(false);
    for (unsigned i = 0; i < 21; i++) {
        uint8_t *cmw = NULL;
        size_t len = 0;

        quotercase_expect(&why, atls_ticket_wait(tickets[i], &why, &cmw, &len),
                          ATLS_OK, "");
        ck_assert(quotercase_is_valid(i, cmw, len, &found[i]));
        ck_assert_uint_eq(found[i].path_count, ATLS_PATH_MAX);
        if (i == 1)
            ck_assert_mem_ne(found[1].quote, found[0].quote, 32);
        if (i > 1)
            ck_assert_mem_eq(found[i].quote, found[1].quote, 32);
    }
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(quotes, 2);
    ck_assert_uint_eq(served, 21);
}
END_TEST

/* --- R1: floods and those who leave ------------------------------------------- */

START_TEST(test_R1_queue_is_bounded)
{
    struct atls_ticket *tickets[6] = {NULL};
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase.config.max_queue = 4;
    start_slow(0);
    quotercase_hold(true);
    for (unsigned i = 0; i < 5; i++) {
        quotercase_expect(&why, quotercase_submit(i, &why, &tickets[i]),
                          ATLS_OK, "");
        if (i == 0)
            quotercase_await(); /* in flight */
    }
    quotercase_expect(&why, quotercase_submit(5, &why, &tickets[5]),
                      ATLS_E_QUEUE_FULL,
                      "4 handshakes wait for a quote already: the TPM is too "
                      "slow for this load; raise max_queue");
    /* One that leaves makes room. */
    atls_ticket_drop(tickets[2]);
    quotercase_expect(&why, quotercase_submit(5, &why, &tickets[5]), ATLS_OK,
                      "");
    quotercase_hold(false);
    for (unsigned i = 0; i < 6; i++) {
        if (i == 2)
            continue;
        quotercase_expect(&why, atls_ticket_wait(tickets[i], &why, &cmw, &len),
                          ATLS_OK, "");
        ck_assert(quotercase_is_valid(i, cmw, len, NULL));
    }
}
END_TEST

START_TEST(test_R1_survivors_are_served)
{
    unsigned count = suite_scale() > 1 ? THREADS_MAX : 40;
    struct client clients[THREADS_MAX];
    uint64_t quotes, served;

    start_slow(20);
    start_clients(clients, count, 20, count / 5);
    join_clients(clients, count);
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_ge(served, (uint64_t)count * 20 - count / 5 * 10);
}
END_TEST

/* --- L12, L5: what the thread must not take or leave --------------------------- */

/* The value of a field of /proc/self/task/TID/status of our thread. */
static unsigned long long status_of_thread(const char *field)
{
    unsigned long long value = 0;
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    unsigned found = 0;

    ck_assert_ptr_nonnull(tasks);
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[256];
        bool is_ours = false;
        FILE *status;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
        status = fopen(path, "re");
        while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
            if (strcmp(line, "Name:\tattest-quoter\n") == 0)
                is_ours = true;
            if (is_ours && strncmp(line, field, strlen(field)) == 0) {
                value = strtoull(line + strlen(field) + 1, NULL, 16);
                found++;
            }
        }
        if (status != NULL)
            fclose(status);
    }
    closedir(tasks);
    ck_assert_uint_eq(found, 1);
    return value;
}

static pthread_t main_thread;
static atomic_int signals_here, signals_elsewhere;

static void count_signal(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), main_thread))
        atomic_fetch_add(&signals_here, 1);
    else
        atomic_fetch_add(&signals_elsewhere, 1);
}

START_TEST(test_L12_signals_are_the_programs)
{
    unsigned long long blocked;
    sigset_t before, after;

    main_thread = pthread_self();
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number < 32; number++)
        ck_assert_int_eq(sigismember(&before, number),
                         sigismember(&after, number));
    blocked = status_of_thread("SigBlk:");
    for (int number = 1; number < 32; number++) {
        if (number != SIGKILL && number != SIGSTOP)
            ck_assert_msg((blocked >> (number - 1) & 1) != 0, "signal %d",
                          number);
    }
    signal(SIGHUP, count_signal);
    for (int i = 0; i < 200; i++) {
        kill(getpid(), SIGHUP);
        if (i % 50 == 0)
            ck_assert(quotercase_serve((unsigned)i, NULL));
    }
    ck_assert_int_gt(signals_here, 0);
    ck_assert_int_eq(signals_elsewhere, 0);
}
END_TEST

static unsigned count_descriptors(bool without_cloexec)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);

        count += flags >= 0 && (!without_cloexec || (flags & FD_CLOEXEC) == 0);
    }
    return count;
}

/* One socket while the quoter lives, none after; nothing for exec. */
START_TEST(test_L5_descriptors)
{
    unsigned before = count_descriptors(false);
    unsigned inheritable = count_descriptors(true);

    quotercase_start();
    for (unsigned i = 0; i < 20; i++)
        ck_assert(quotercase_serve(i, NULL));
    ck_assert_uint_eq(count_descriptors(true), inheritable);
    ck_assert_uint_le(count_descriptors(false), before + 1);
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    ck_assert_uint_eq(count_descriptors(false), before);
}
END_TEST

/* --- L1: the end ------------------------------------------------------------------ */

static atomic_int hung;

static enum tpmproxy_action hang(void *arg, uint32_t code, uint8_t *response,
                                 size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    if (code != TPM2_CC_Quote)
        return TPMPROXY_FORWARD;
    atomic_fetch_add(&hung, 1);
    return TPMPROXY_HANG;
}

/* What a thread is given to end. */
#define STOP_MS 1900

/* A quote is in flight and will never end; others wait. */
START_TEST(test_L1_free_ends_what_waits)
{
    const struct tpmproxy_hooks hooks = {.before = hang};
    struct atls_ticket *tickets[3];
    int64_t begin;

    atomic_store(&hung, 0);
    quotercase_proxy(&hooks);
    quotercase_start();
    for (unsigned i = 0; i < 3; i++) {
        quotercase_expect(&why, quotercase_submit(i, &why, &tickets[i]),
                          ATLS_OK, "");
        while (atomic_load(&hung) == 0)
            usleep(1000);
    }
    begin = atls_now_ms();
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    ck_assert_int_lt(atls_now_ms() - begin, STOP_MS);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *cmw = NULL;
        size_t len = 0;

        quotercase_expect(
            &why, atls_ticket_wait(tickets[i], &why, &cmw, &len),
            i == 0 ? ATLS_E_TIMEOUT : ATLS_E_NO_ATTESTER,
            i == 0 ? "gave up a TPM command: the quoter is stopping"
                   : "the quoter was stopped while this handshake waited");
    }
    ck_assert_int_lt(atls_now_ms() - begin, STOP_MS);
}
END_TEST

START_TEST(test_L1_free_without_use)
{
    quotercase_start();
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    atls_quoter_free(NULL);
}
END_TEST

START_TEST(test_L1_stop_comes_before_free)
{
    struct atls_ticket *ticket = NULL;

    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    for (int times = 0; times < 2; times++) {
        atls_quoter_stop(quotercase.quoter);
        quotercase_expect(&why, quotercase_submit(2, &why, &ticket),
                          ATLS_E_NO_ATTESTER,
                          "the quoter was stopped: this program is ending");
    }
}
END_TEST

/* A TCTI that cannot be hurried: the quoter goes, its thread follows later. */
START_TEST(test_L1_free_does_not_wait_for_a_stubborn_tcti)
{
    int pid = swtpm_pid(quotercase.swtpm);
    uint8_t *cmw = NULL;
    char tcti[160];
    size_t len = 0;
    int64_t begin;

    snprintf(tcti, sizeof(tcti), "libtss2-tcti-swtpm.so.0%s",
             strchr(swtpm_tcti(quotercase.swtpm), ':'));
    quotercase.config.tcti = tcti;
    quotercase.config.timeout_ms = 300;
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    begin = atls_now_ms();
    quotercase_expect(&why, quotercase_obtain(2, &why, &cmw, &len),
                      ATLS_E_TIMEOUT,
                      "no quote within 300 ms: the TPM is slow");
    ck_assert_int_lt(atls_now_ms() - begin, STOP_MS);
    begin = atls_now_ms();
    atls_quoter_free(quotercase.quoter);
    quotercase.quoter = NULL;
    ck_assert_int_ge(atls_now_ms() - begin, STOP_MS);
    ck_assert_int_lt(atls_now_ms() - begin, QUOTERCASE_PATIENCE_MS);
    ck_assert_int_eq(kill(pid, SIGCONT), 0); /* lets go of the thread */
    usleep(200000);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_waiting_handshakes_share_a_quote),
    ONCE(test_batch_is_what_waits),
    ONCE(test_R1_queue_is_bounded),
    ONCE(test_R1_survivors_are_served),
    ONCE(test_L12_signals_are_the_programs),
    ONCE(test_L5_descriptors),
    ONCE(test_L1_free_ends_what_waits),
    ONCE(test_L1_free_without_use),
    ONCE(test_L1_stop_comes_before_free),
    ONCE(test_L1_free_does_not_wait_for_a_stubborn_tcti),
};

SUITE(.name = "quoter_threads", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
