/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/agent_client.h where the socket's path is out of reach: connections
 * come out of the standing connection. */
#include <check.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/agentcalls.h"
#include "lib/allocation.h"
#include "lib/fakeagent.h"
#include "lib/scratch.h"
#include "lib/suite.h"

static struct agentcalls calls;

/* The path is gone, as in a chroot; the standing connection was opened before. */
static void setup(void)
{
    agentcalls_open(&calls, 3000);
    ck_assert_int_eq(unlink(calls.path), 0);
}

static void teardown(void)
{
    agentcalls_close(&calls);
}

#define SILENT                                                             \
    "the agent does not answer on its standing connection: see systemctl " \
    "status attestd"

/* What is said of the path where the standing connection is closed, too. */
static const char *no_agent(void)
{
    static char text[ATLS_REASON_MAX];

    snprintf(text, sizeof(text),
             "no agent at %s (No such file or directory): systemctl start "
             "attestd.socket",
             calls.path);
    return text;
}

/* --- connections ----------------------------------------------------------------- */

START_TEST(test_connections_come_out_of_the_standing_connection)
{
    struct atls_agent_call *call[8];
    struct atls_reason why;

    for (unsigned i = 0; i < 8; i++)
        ck_assert_int_eq(agentcalls_begin(&calls, i, &why, &call[i]), ATLS_OK);
    for (unsigned i = 8; i-- > 0;)
        agentcalls_ck_own(call[i], i);
    ck_assert_uint_eq(fakeagent_standing_asked(calls.agent), 8);
}
END_TEST

START_TEST(test_the_path_is_preferred)
{
    fakeagent_stop(calls.agent);
    calls.agent = fakeagent_start(calls.path);
    agentcalls_ck_served(&calls, 1);
    ck_assert_uint_eq(fakeagent_standing_asked(calls.agent), 0);
}
END_TEST

#define CHILDREN 32u
#define CALLS_EACH 20u

static void serve_child(unsigned child)
{
    for (unsigned i = 0; i < CALLS_EACH; i++) {
        if (!agentcalls_is_served(&calls, child * CALLS_EACH + i))
            _exit(1);
    }
    _exit(0);
}

/* Prefork servers. Everybody gets evidence, and nobody another's. */
START_TEST(test_forked_children_share_the_standing_connection)
{
    pid_t pids[CHILDREN];

    for (unsigned i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0)
            serve_child(i);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status = -1;

        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
    ck_assert_uint_eq(fakeagent_asked(calls.agent), CHILDREN * CALLS_EACH);
    ck_assert_uint_eq(fakeagent_standing_asked(calls.agent),
                      CHILDREN * CALLS_EACH);
}
END_TEST

#define THREADS 16u

static void *serve_thread(void *arg)
{
    unsigned thread = *(const unsigned *)arg;
    static const char failed[] = "not served";

    for (unsigned i = 0; i < CALLS_EACH; i++) {
        if (!agentcalls_is_served(&calls, thread * CALLS_EACH + i))
            return (void *)(uintptr_t)failed;
    }
    return NULL;
}

START_TEST(test_threads_share_the_standing_connection)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, serve_thread, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

/* --- the agent ends and comes back ------------------------------------------------- */

START_TEST(test_a_closed_standing_connection_says_what_to_do)
{
    fakeagent_stop(calls.agent);
    calls.agent = NULL;
    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, no_agent());
}
END_TEST

/* While the path works, the standing connection is opened anew beside it. */
START_TEST(test_the_standing_connection_is_reopened_while_the_path_works)
{
    for (unsigned i = 0; i < 3; i++) {
        unsigned asked;

        fakeagent_stop(calls.agent);
        calls.agent = fakeagent_start(calls.path);
        agentcalls_ck_served(&calls, i);
        ck_assert_int_eq(unlink(calls.path), 0);
        asked = fakeagent_standing_asked(calls.agent);
        agentcalls_ck_served(&calls, i);
        ck_assert_uint_eq(fakeagent_standing_asked(calls.agent), asked + 1);
    }
}
END_TEST

START_TEST(test_a_child_reopens_its_own_standing_connection)
{
    int status = -1;
    pid_t pid;

    fakeagent_stop(calls.agent);
    calls.agent = fakeagent_start(calls.path);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (!agentcalls_is_served(&calls, 1) || unlink(calls.path) != 0)
            _exit(1);
        _exit(agentcalls_is_served(&calls, 2) ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    /* The parent's is the old one still. */
    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, no_agent());
}
END_TEST

/* --- wrong answers ------------------------------------------------------------------ */

static const struct {
    enum fakeagent_standing standing;
    enum atls_error expected;
    const char *text;
} answers[] = {
    {FAKEAGENT_STANDING_REFUSES, ATLS_E_NOT_ALLOWED, FAKEAGENT_REFUSAL},
    {FAKEAGENT_STANDING_GARBAGE, ATLS_E_AGENT_PROTOCOL,
     "an answer of the agent has version 103, expected 1; are attest and "
     "attestd of one release?"},
    {FAKEAGENT_STANDING_TOO_LONG, ATLS_E_AGENT_PROTOCOL,
     "the agent's standing connection answered with 516 octets"},
    {FAKEAGENT_STANDING_EVIDENCE, ATLS_E_AGENT_PROTOCOL,
     "the agent answered with evidence where a connection was asked for"},
    {FAKEAGENT_STANDING_EMPTY, ATLS_E_IO,
     "the agent's connection did not arrive: raise the limit of descriptors "
     "(LimitNOFILE=)"},
    {FAKEAGENT_STANDING_PIPE, ATLS_E_AGENT_PROTOCOL,
     "the agent handed over something else than a connection to it"},
    {FAKEAGENT_STANDING_DATAGRAM, ATLS_E_AGENT_PROTOCOL,
     "the agent handed over something else than a connection to it"},
};
#define ANSWERS (int)(sizeof(answers) / sizeof(answers[0]))

START_TEST(test_what_is_no_connection_is_refused)
{
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, answers[_i].standing);
    agentcalls_ck_refused(&calls, answers[_i].expected, answers[_i].text);
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_GOOD);
    agentcalls_ck_served(&calls, 1);
}
END_TEST

START_TEST(test_a_standing_connection_that_closes_instead_of_answering)
{
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_CLOSES);
    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, no_agent());
}
END_TEST

/* The teardown counts what is left open. */
START_TEST(test_surplus_descriptors_are_closed)
{
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_FULL);
    for (unsigned i = 0; i < 20; i++)
        agentcalls_ck_served(&calls, i);
}
END_TEST

START_TEST(test_a_dead_connection_is_passed_over)
{
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_DEAD);
    for (unsigned i = 0; i < 5; i++)
        agentcalls_ck_served(&calls, i);
}
END_TEST

/* net.core.wmem_default may be small: room is made for a large certificate. */
START_TEST(test_room_is_made_for_a_large_certificate)
{
    static const uint8_t cert[65535] = {0x30};

    calls.cert = (struct atls_span){cert, sizeof(cert)};
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_SMALL);
    agentcalls_ck_served(&calls, 1);
}
END_TEST

/* --- time --------------------------------------------------------------------------- */

static int64_t refused_when_silent(void)
{
    int64_t start = atls_now_ms();

    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, SILENT);
    return atls_now_ms() - start;
}

/* The first waits a second, those after it do not; and once the agent goes on,
 * what it answers late serves whoever comes. */
START_TEST(test_a_silent_standing_connection_is_waited_for_once)
{
    int64_t first, second;

    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_LATE);
    first = refused_when_silent();
    second = refused_when_silent();
    ck_assert_int_ge(first, 1000);
    ck_assert_int_lt(first, 2500);
    ck_assert_int_lt(second, 500);
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_GOOD);
    /* Nobody waits long for it until it answers; on a busy machine that takes
     * its thread a while. */
    for (unsigned i = 0; i < 100 && !agentcalls_is_served(&calls, i); i++)
        usleep(50000);
    for (unsigned i = 0; i < 5; i++)
        agentcalls_ck_served(&calls, i);
}
END_TEST

START_TEST(test_the_deadline_is_the_standing_connections_too)
{
    int64_t start;

    fakeagent_stop(calls.agent);
    calls.agent = fakeagent_start(calls.path);
    agentcalls_reopen(&calls, 100);
    ck_assert_int_eq(unlink(calls.path), 0);
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_SILENT);
    start = atls_now_ms();
    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, SILENT);
    ck_assert_int_lt(atls_now_ms() - start, 700);
}
END_TEST

/* An agent that hangs for long is not asked without end: its queue is bounded. */
START_TEST(test_a_standing_connection_that_nobody_reads_is_given_up)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_call *call = NULL;
    enum atls_error r = ATLS_OK;

    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_SILENT);
    (void)refused_when_silent();
    fakeagent_delay(calls.agent, 3000);
    for (unsigned i = 0; i < 1000 && r != ATLS_E_QUEUE_FULL; i++)
        r = agentcalls_begin(&calls, i, &why, &call);
    ck_assert_int_eq(r, ATLS_E_QUEUE_FULL);
    ck_assert_str_eq(why.text,
                     "the agent is overloaded: it reads no more requests; see "
                     "systemctl status attestd");
    fakeagent_delay(calls.agent, 0);
}
END_TEST

/* --- descriptors
 * --------------------------------------------------------------------- */

/* The lowest number that is free: where the next descriptor is made. */
static int next_descriptor(void)
{
    int fd = dup(STDIN_FILENO);

    ck_assert_int_ge(fd, 0);
    close(fd);
    return fd;
}

/* A daemon that closed the standing connection and opened a connection of its own:
 * nothing is sent there, and it is not closed. */
START_TEST(test_a_standing_connection_that_was_closed_is_not_used)
{
    int pair[2], standing_fd;
    char octet;

    fakeagent_stop(calls.agent);
    calls.agent = fakeagent_start(calls.path);
    atls_agent_client_free(calls.client);
    calls.client = NULL;
    standing_fd = next_descriptor();
    agentcalls_reopen(&calls, 1000);
    ck_assert_int_eq(unlink(calls.path), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    ck_assert_int_eq(dup2(pair[0], standing_fd), standing_fd);
    agentcalls_ck_refused(&calls, ATLS_E_AGENT_UNAVAILABLE, no_agent());
    ck_assert_int_eq(recv(pair[1], &octet, 1, MSG_DONTWAIT), -1);
    atls_agent_client_free(calls.client);
    calls.client = NULL;
    close(pair[0]);
    ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
    ck_assert_int_eq(recv(standing_fd, &octet, 1, MSG_DONTWAIT), 1);
    close(standing_fd);
    close(pair[1]);
}
END_TEST

/* In a child, since the puppet needs descriptors of its own in this process: with
 * room for so many more, a call is refused with this text. */
static int refuse_with_room(int room, const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_call *call = NULL;
    struct rlimit limit;
    int status = -1;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        limit.rlim_cur = limit.rlim_max = (rlim_t)(next_descriptor() + room);
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(1);
        if (agentcalls_begin(&calls, 1, &why, &call) != ATLS_E_IO)
            _exit(2);
        _exit(strcmp(why.text, text) == 0 ? 0 : 3);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_R4_no_descriptor_for_the_connection)
{
    ck_assert_int_eq(
        refuse_with_room(0, "cannot make a socket for the agent: Too many open "
                            "files; raise the limit of descriptors "
                            "(LimitNOFILE=)"),
        0);
    ck_assert_int_eq(
        refuse_with_room(1, "the agent's connection did not arrive: raise the "
                            "limit of descriptors (LimitNOFILE=)"),
        0);
    agentcalls_ck_served(&calls, 1);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_connections_come_out_of_the_standing_connection),
    ONCE(test_the_path_is_preferred),
    ONCE(test_forked_children_share_the_standing_connection),
    ONCE(test_threads_share_the_standing_connection),
    ONCE(test_a_closed_standing_connection_says_what_to_do),
    ONCE(test_the_standing_connection_is_reopened_while_the_path_works),
    ONCE(test_a_child_reopens_its_own_standing_connection),
    LOOP(test_what_is_no_connection_is_refused, 0, ANSWERS),
    ONCE(test_a_standing_connection_that_closes_instead_of_answering),
    ONCE(test_surplus_descriptors_are_closed),
    ONCE(test_a_dead_connection_is_passed_over),
    ONCE(test_room_is_made_for_a_large_certificate),
    ONCE(test_a_silent_standing_connection_is_waited_for_once),
    ONCE(test_the_deadline_is_the_standing_connections_too),
    ONCE(test_a_standing_connection_that_nobody_reads_is_given_up),
    ONCE(test_a_standing_connection_that_was_closed_is_not_used),
    ONCE(test_R4_no_descriptor_for_the_connection),
};

/* 30 s: an agent may be slow for seconds. */
SUITE(.name = "agent_standing", .begin = allocation_install,
      .cases = {CASE("standing", tests, 30, setup, teardown)});
