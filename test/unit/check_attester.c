/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/attester.h over both of what it stands for: the quoter in this process,
 * with a swtpm, and an agent that is a puppet. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attester/attester.h"
#include "base/clock.h"
#include "lib/agentcalls.h"
#include "lib/allocation.h"
#include "lib/daemonfds.h"
#include "lib/fakeagent.h"
#include "lib/quotercase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

/* What a test is about; the number is the loop's. */
enum { QUOTER, AGENT, KINDS };

static struct fakeagent *agent;
static struct atls_attester *attester;
static int epoll_fd;
static atomic_bool is_silent;

static enum tpmproxy_action hang_or_not(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    (void)arg, (void)code, (void)response, (void)ret_len;
    return atomic_load(&is_silent) ? TPMPROXY_HANG : TPMPROXY_FORWARD;
}

/* The attester of one kind, with this timeout. */
static void start(int kind, unsigned timeout_ms)
{
    static const struct tpmproxy_hooks hooks = {.before = hang_or_not};
    struct atls_attester_config config = {.socket = NULL};
    struct atls_reason why = {.code = ATLS_OK};

    if (kind == AGENT) {
        agent = fakeagent_start(scratch_path("agent.sock"));
        config.socket = scratch_path("agent.sock");
    } else {
        quotercase_proxy(&hooks);
        config.quoter = quotercase.config;
    }
    config.quoter.timeout_ms = timeout_ms;
    ck_assert_msg(atls_attester_new(&config, NULL, NULL, &why, &attester)
                      == ATLS_OK,
                  "%s", why.text);
}

static void fall_silent(int kind)
{
    if (kind == AGENT)
        fakeagent_set(agent, FAKEAGENT_SILENT, FAKEAGENT_STANDING_GOOD);
    else
        atomic_store(&is_silent, true);
}

static void set_up(void)
{
    quotercase_set_up();
    scratch_make();
    atomic_store(&is_silent, false);
    agent = NULL;
    attester = NULL;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_ge(epoll_fd, 0);
}

static void tear_down(void)
{
    atls_attester_free(attester);
    atls_attester_free(NULL);
    fakeagent_stop(agent);
    close(epoll_fd);
    scratch_remove();
    quotercase_tear_down();
}

static enum atls_error begin(unsigned number, struct atls_reason *why,
                             struct atls_pending **ret_pending)
{
    struct quotercase_handshake handshake;

    quotercase_describe(number, &handshake);
    return atls_attester_begin(attester, handshake.role, handshake.channel,
                               handshake.certificate, &quotercase.formats, why,
                               ret_pending);
}

static struct atls_pending *begun(unsigned number)
{
    struct atls_pending *pending = NULL;
    struct atls_reason why = {.code = ATLS_OK};

    ck_assert_msg(begin(number, &why, &pending) == ATLS_OK, "%s", why.text);
    return pending;
}

static struct atls_pending *watched(unsigned number)
{
    struct atls_pending *pending = begun(number);

    ck_assert_int_eq(atls_pending_watch(pending, epoll_fd, NULL), ATLS_OK);
    return pending;
}

/* Is something readable, or will it be? */
static bool calls_within(int timeout_ms)
{
    struct epoll_event event;

    return epoll_wait(epoll_fd, &event, 1, timeout_ms) == 1;
}

/* Wait for it: its own evidence. */
static void ck_own(int kind, struct atls_pending *pending, unsigned number)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct quotercase_handshake handshake;
    uint8_t *cmw = NULL;
    size_t len = 0;

    ck_assert_msg(atls_pending_wait(pending, &why, &cmw, &len) == ATLS_OK, "%s",
                  why.text);
    if (kind == QUOTER) {
        ck_assert(quotercase_is_valid(number, cmw, len, NULL));
        return;
    }
    quotercase_describe(number, &handshake);
    ck_assert_uint_eq(len, FAKEAGENT_CMW_LEN);
    ck_assert_uint_eq(cmw[4], (unsigned)handshake.role);
    ck_assert_mem_eq(cmw + 5, handshake.channel, ATLS_CHANNEL_LEN);
    OPENSSL_free(cmw);
}

/* Both the quoter and the puppet close descriptors in threads of their own. */
static unsigned settled(void)
{
    unsigned count = agentcalls_descriptors();

    for (int calm = 0; calm < 20; calm++) {
        const unsigned now = agentcalls_descriptors();

        if (now != count) /* not yet */
            calm = 0;
        count = now;
        usleep(10000);
    }
    return count;
}

static void ck_settles(unsigned descriptors)
{
    for (int i = 0; i < 2000 && agentcalls_descriptors() != descriptors; i++)
        usleep(10000);
    ck_assert_uint_eq(agentcalls_descriptors(), descriptors);
}

START_TEST(test_evidence_without_and_with_watching)
{
    unsigned descriptors;

    start(_i, 5000);
    ck_own(_i, begun(1), 1);
    descriptors = settled();
    for (unsigned number = 2; number < 6; number++) {
        struct atls_pending *pending = watched(number);
        int64_t ready_at;

        ck_assert(calls_within(5000));
        ck_assert(atls_pending_is_ready(pending));
        ready_at = atls_now_ms();
        ck_own(_i, pending, number);
        ck_assert_int_lt(atls_now_ms() - ready_at, 1000);
        ck_assert(!calls_within(0));
    }
    ck_settles(descriptors);
}
END_TEST

START_TEST(test_many_are_watched_at_once)
{
    struct atls_pending *pending[16];

    start(_i, 5000);
    for (unsigned i = 0; i < 16; i++)
        pending[i] = watched(i);
    for (unsigned i = 0; i < 16; i++)
        ck_own(_i, pending[i], i);
    ck_assert(!calls_within(0));
}
END_TEST

START_TEST(test_the_deadline_wakes_who_watches)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_pending *pending;
    uint8_t *cmw = NULL;
    size_t len = 0;
    int64_t began;

    start(_i, 400);
    fall_silent(_i);
    began = atls_now_ms();
    pending = watched(1);
    ck_assert(!atls_pending_is_ready(pending));
    ck_assert(calls_within(5000));
    ck_assert_int_ge(atls_now_ms() - began, 390);
    ck_assert(atls_pending_is_ready(pending));
    ck_assert_int_eq(atls_pending_wait(pending, &why, &cmw, &len),
                     ATLS_E_TIMEOUT);
    ck_assert_int_eq(why.code, ATLS_E_TIMEOUT);
    if (_i == AGENT)
        ck_assert_str_eq(why.text, "the agent gave no evidence within 400 ms: "
                                   "see journalctl -u attestd");
    ck_assert_ptr_null(cmw);
    ck_assert_int_lt(atls_now_ms() - began, 2000);
    ck_assert(!calls_within(0));
}
END_TEST

START_TEST(test_dropped_in_every_state)
{
    struct atls_pending *pending;
    unsigned descriptors;

    start(_i, 5000);
    ck_own(_i, begun(1), 1);
    descriptors = settled();
    atls_pending_drop(NULL);
    atls_pending_drop(begun(2));
    atls_pending_drop(watched(3));
    pending = watched(4);
    ck_assert(calls_within(5000));
    atls_pending_drop(pending);
    ck_assert(!calls_within(0));
    ck_own(_i, begun(5), 5);
    ck_settles(descriptors);
}
END_TEST

/* A child keeps copies of all descriptors; and it lets go of its copy of the
 * handshake without touching the parent's. */
START_TEST(test_a_fork_leaves_the_watch_alone)
{
    struct atls_pending *dropped, *waited;
    int hold[2], status = -1;
    pid_t pid;
    char octet;

    start(_i, 5000);
    ck_assert_int_eq(pipe(hold), 0);
    dropped = watched(1);
    waited = watched(2);
    /* Before: connections of the proxy do not end while the child has copies. */
    while (!atls_pending_is_ready(dropped) || !atls_pending_is_ready(waited))
        usleep(1000);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(hold[1]);
        atls_pending_drop(waited);
        _exit(read(hold[0], &octet, 1) == 0 ? 0 : 1);
    }
    usleep(100000);
    ck_assert(calls_within(5000));
    atls_pending_drop(dropped);
    ck_assert(calls_within(5000));
    ck_own(_i, waited, 2);
    ck_assert(!calls_within(0));
    close(hold[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(hold[0]);
}
END_TEST

/* Descriptors of ours have numbers of its own now. */
START_TEST(test_L5_a_daemon_keeps_what_it_opened)
{
    struct atls_pending *pending;
    int status = -1;
    pid_t pid;

    start(_i, 5000);
    pending = watched(1);
    while (!atls_pending_is_ready(pending))
        usleep(1000);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        daemonfds_take_over();
        atls_pending_drop(pending);
        _exit(daemonfds_are_open() ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_own(_i, pending, 1);
}
END_TEST

START_TEST(test_a_watch_that_cannot_be)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_pending *pending;
    struct rlimit limit, none;
    enum atls_error r;

    start(_i, 5000);
    pending = begun(1);
    ck_assert_int_eq(atls_pending_watch(pending, -1, &why), ATLS_E_IO);
    ck_assert_str_eq(why.text, "cannot wait for evidence: Bad file descriptor");
    atls_pending_drop(pending);
    /* R4 */
    pending = begun(2);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    r = atls_pending_watch(pending, epoll_fd, &why);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(r, ATLS_E_IO);
    ck_assert_str_eq(why.text, "cannot make a timer: Too many open files; "
                               "raise the limit of descriptors");
    /* It can still be waited for without. */
    ck_own(_i, pending, 2);
}
END_TEST

/* What is configured, and nothing else: a TPM in reach is no way out. */
START_TEST(test_nothing_falls_back_to_a_tpm)
{
    struct atls_attester_config config = {
        .socket = "/nowhere/agent.sock",
        .quoter = quotercase.config,
    };
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_pending *pending = NULL;

    ck_assert_int_eq(atls_attester_new(&config, NULL, NULL, &why, &attester),
                     ATLS_OK);
    ck_assert_int_eq(begin(1, &why, &pending), ATLS_E_AGENT_UNAVAILABLE);
    ck_assert_ptr_null(pending);
    ck_assert_ptr_nonnull(strstr(why.text, "no agent at /nowhere/agent.sock"));
}
END_TEST

/* L9: each asks whom it was configured with. */
START_TEST(test_L9_two_agents)
{
    struct atls_attester_config config = {.quoter = {.timeout_ms = 2000}};
    struct atls_attester *other = NULL, *first;
    struct fakeagent *other_agent;

    start(AGENT, 2000);
    other_agent = fakeagent_start(scratch_path("other.sock"));
    config.socket = scratch_path("other.sock");
    ck_assert_int_eq(atls_attester_new(&config, NULL, NULL, NULL, &other),
                     ATLS_OK);
    for (unsigned i = 0; i < 3; i++)
        ck_own(AGENT, begun(i), i);
    first = attester;
    attester = other;
    ck_own(AGENT, begun(3), 3);
    attester = first;
    ck_assert_uint_eq(fakeagent_asked(agent), 3);
    ck_assert_uint_eq(fakeagent_asked(other_agent), 1);
    atls_attester_free(other);
    fakeagent_stop(other_agent);
}
END_TEST

static void ck_not_made(const struct atls_attester_config *config,
                        enum atls_error expected, const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};

    ck_assert_int_eq(atls_attester_new(config, NULL, NULL, &why, &attester),
                     expected);
    ck_assert_ptr_nonnull(strstr(why.text, text));
    ck_assert_ptr_null(attester);
}

START_TEST(test_a_configuration_that_cannot_be_used)
{
    struct atls_attester_config config = {.socket = "agent.sock"};

    ck_not_made(&config, ATLS_E_CONFIG, "expected an absolute path");
    config = (struct atls_attester_config){.quoter = quotercase.config};
    config.quoter.ak_chain = "/nowhere/chain.pem";
    ck_not_made(&config, ATLS_E_IO, "/nowhere/chain.pem");
}
END_TEST

START_TEST(test_allocation_failures)
{
    struct atls_attester_config config = {.quoter = {.timeout_ms = 2000}};
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_pending *pending = NULL;
    enum atls_error r = ATLS_E_NOMEM;

    start(AGENT, 2000);
    for (size_t n = 1; n < 4; n++) {
        allocation_fail_at(n);
        r = begin(1, &why, &pending);
        allocation_fail_at(0);
        ck_assert_int_eq(r, ATLS_E_NOMEM);
        ck_assert_str_eq(why.text, "out of memory");
        ck_assert_ptr_null(pending);
    }
    atls_attester_free(attester);
    attester = NULL;
    config.socket = scratch_path("agent.sock");
    for (size_t n = 1; n < 4; n++) {
        allocation_fail_at(n);
        r = atls_attester_new(&config, NULL, NULL, &why, &attester);
        allocation_fail_at(0);
        ck_assert_int_eq(r, ATLS_E_NOMEM);
        ck_assert_str_eq(why.text, "out of memory");
        ck_assert_ptr_null(attester);
    }
}
END_TEST

static const struct suite_test both_tests[] = {
    LOOP(test_evidence_without_and_with_watching, 0, KINDS),
    LOOP(test_many_are_watched_at_once, 0, KINDS),
    LOOP(test_the_deadline_wakes_who_watches, 0, KINDS),
    LOOP(test_dropped_in_every_state, 0, KINDS),
    LOOP(test_a_fork_leaves_the_watch_alone, 0, KINDS),
    LOOP(test_L5_a_daemon_keeps_what_it_opened, 0, KINDS),
    LOOP(test_a_watch_that_cannot_be, 0, KINDS),
};

static const struct suite_test rest_tests[] = {
    ONCE(test_nothing_falls_back_to_a_tpm),
    ONCE(test_L9_two_agents),
    ONCE(test_a_configuration_that_cannot_be_used),
    ONCE(test_allocation_failures),
};

SUITE(.name = "attester", .begin = allocation_install,
      .cases = {CASE("quoter and agent", both_tests, 0, set_up, tear_down),
                CASE("which of them", rest_tests, 0, set_up, tear_down)});
