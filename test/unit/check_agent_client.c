/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/agent_client.h against an agent that is a puppet: by its path. What
 * concerns the standing connection is in check_agent_standing.c, who is not there in
 * check_agent_reach.c. */
#include <check.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/agentcalls.h"
#include "lib/allocation.h"
#include "lib/fakeagent.h"
#include "lib/suite.h"

static struct agentcalls calls;

static void setup(void)
{
    agentcalls_open(&calls, 2000);
}

static void teardown(void)
{
    agentcalls_close(&calls);
}

/* --- answers ------------------------------------------------------------------- */

START_TEST(test_evidence_of_each_request_is_its_own)
{
    struct atls_agent_call *call[8];
    struct atls_reason why;

    for (unsigned i = 0; i < 8; i++)
        ck_assert_int_eq(agentcalls_begin(&calls, i, &why, &call[i]), ATLS_OK);
    for (unsigned i = 8; i-- > 0;)
        agentcalls_ck_own(call[i], i);
}
END_TEST

static const struct {
    enum fakeagent_mood mood;
    enum atls_error expected;
    const char *text;
} answers[] = {
    {FAKEAGENT_REFUSES, ATLS_E_NOT_ALLOWED, FAKEAGENT_REFUSAL},
    {FAKEAGENT_REFUSES_FIRST, ATLS_E_NOT_ALLOWED, FAKEAGENT_REFUSAL},
    {FAKEAGENT_CLOSES, ATLS_E_AGENT_UNAVAILABLE,
     "the agent ended the connection without an answer: see journalctl -u "
     "attestd"},
    {FAKEAGENT_CLOSES_UNREAD, ATLS_E_AGENT_UNAVAILABLE,
     "the agent ended the connection without an answer: see journalctl -u "
     "attestd"},
    {FAKEAGENT_GARBAGE, ATLS_E_AGENT_PROTOCOL,
     "an answer of the agent has version 103, expected 1; are attest and "
     "attestd of one release?"},
    {FAKEAGENT_TOO_LONG, ATLS_E_AGENT_PROTOCOL,
     "the agent answered with 49157 octets, 49156 are allowed"},
    {FAKEAGENT_HANDS_OVER, ATLS_E_AGENT_PROTOCOL,
     "the agent answered with a connection where evidence was asked for"},
};
#define ANSWERS (int)(sizeof(answers) / sizeof(answers[0]))

/* T5 */
START_TEST(test_T5_what_is_no_evidence_is_refused)
{
    fakeagent_set(calls.agent, answers[_i].mood, FAKEAGENT_STANDING_GOOD);
    agentcalls_ck_refused(&calls, answers[_i].expected, answers[_i].text);
    /* Nothing of it lasts. */
    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_GOOD);
    agentcalls_ck_served(&calls, 1);
}
END_TEST

START_TEST(test_descriptors_beside_evidence_are_let_go)
{
    fakeagent_set(calls.agent, FAKEAGENT_ADDS, FAKEAGENT_STANDING_GOOD);
    for (unsigned i = 0; i < 20; i++)
        agentcalls_ck_served(&calls, i);
}
END_TEST

START_TEST(test_a_large_certificate_travels)
{
    static const uint8_t cert[65535] = {0x30};
    struct atls_reason why;
    struct atls_agent_call *call = NULL;

    calls.cert = (struct atls_span){cert, sizeof(cert)};
    ck_assert_int_eq(agentcalls_begin(&calls, 3, &why, &call), ATLS_OK);
    agentcalls_ck_own(call, 3);
}
END_TEST

START_TEST(test_a_certificate_too_large_is_refused)
{
    static const uint8_t cert[65536] = {0x30};

    calls.cert = (struct atls_span){cert, sizeof(cert)};
    agentcalls_ck_refused(
        &calls, ATLS_E_TOO_LARGE,
        "the certificate has 65536 octets, the agent takes 65535");
}
END_TEST

/* --- time ------------------------------------------------------------------------ */

/* Hung, not down. */
START_TEST(test_an_agent_that_says_nothing_is_given_up_at_the_deadline)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;
    int64_t start;
    uint8_t *cmw = NULL;
    size_t len = 0;

    agentcalls_reopen(&calls, 300);
    start = atls_now_ms();
    fakeagent_set(calls.agent, FAKEAGENT_SILENT, FAKEAGENT_STANDING_GOOD);
    ck_assert_int_eq(agentcalls_begin(&calls, 1, &why, &call), ATLS_OK);
    ck_assert(!atls_agent_call_is_ready(call));
    ck_assert_int_ge(atls_agent_call_deadline_ms(call), start + 300);
    ck_assert_int_eq(atls_agent_call_wait(call, &why, &cmw, &len),
                     ATLS_E_TIMEOUT);
    ck_assert_str_eq(
        why.text,
        "the agent gave no evidence within 300 ms: see journalctl -u attestd");
    ck_assert_ptr_null(cmw);
    ck_assert_int_ge(atls_now_ms() - start, 300);
    ck_assert_int_lt(atls_now_ms() - start, 1500);
}
END_TEST

START_TEST(test_is_ready_once_there_is_an_answer_or_the_time_is_over)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    agentcalls_reopen(&calls, 100);
    fakeagent_set(calls.agent, FAKEAGENT_SILENT, FAKEAGENT_STANDING_GOOD);
    ck_assert_int_eq(agentcalls_begin(&calls, 1, &why, &call), ATLS_OK);
    ck_assert(!atls_agent_call_is_ready(call));
    usleep(120000);
    ck_assert(atls_agent_call_is_ready(call));
    atls_agent_call_drop(call);

    fakeagent_set(calls.agent, FAKEAGENT_GOOD, FAKEAGENT_STANDING_GOOD);
    ck_assert_int_eq(agentcalls_begin(&calls, 1, &why, &call), ATLS_OK);
    ck_assert(agentcalls_becomes_readable(call, 90));
    ck_assert(atls_agent_call_is_ready(call));
    agentcalls_ck_own(call, 1);
}
END_TEST

static void ignore_alarm(int number)
{
    (void)number;
}

/* Signals without SA_RESTART, each millisecond: they end no wait and move no
 * deadline. */
START_TEST(test_signals_end_no_wait)
{
    const struct sigaction action = {.sa_handler = ignore_alarm};
    const struct itimerval often = {{0, 1000}, {0, 1000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    struct atls_agent_call *call = NULL;
    struct sigaction before;
    struct atls_reason why;
    enum atls_error r;
    uint8_t *cmw = NULL;
    size_t len = 0;
    int64_t start;

    agentcalls_reopen(&calls, 400);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    fakeagent_delay(calls.agent, 100);
    for (unsigned i = 0; i < 3; i++)
        agentcalls_ck_served(&calls, i);
    fakeagent_set(calls.agent, FAKEAGENT_SILENT, FAKEAGENT_STANDING_GOOD);
    start = atls_now_ms();
    r = agentcalls_begin(&calls, 1, &why, &call);
    if (r == ATLS_OK)
        r = atls_agent_call_wait(call, &why, &cmw, &len);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    ck_assert_int_eq(r, ATLS_E_TIMEOUT);
    ck_assert_int_ge(atls_now_ms() - start, 400);
    ck_assert_int_lt(atls_now_ms() - start, 1500);
}
END_TEST

START_TEST(test_dropped_calls_leave_nothing)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    for (unsigned i = 0; i < 50; i++) {
        ck_assert_int_eq(agentcalls_begin(&calls, i, &why, &call), ATLS_OK);
        if (i % 2 == 0)
            ck_assert(agentcalls_becomes_readable(call, 1000));
        atls_agent_call_drop(call);
    }
    atls_agent_call_drop(NULL);
    agentcalls_ck_served(&calls, 7);
}
END_TEST

/* --- forks ------------------------------------------------------------------------ */

/* The child has a copy of the handshake; the answer is its parent's. */
START_TEST(test_a_call_that_crossed_a_fork_is_the_parents)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;
    uint8_t *cmw = NULL;
    size_t len = 0;
    int status;
    pid_t pid;

    ck_assert_int_eq(agentcalls_begin(&calls, 4, &why, &call), ATLS_OK);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        bool is_ready = atls_agent_call_is_ready(call);
        enum atls_error r = atls_agent_call_wait(call, &why, &cmw, &len);

        if (!is_ready || r != ATLS_E_INTERNAL)
            _exit(1);
        if (strcmp(why.text, "this handshake was started by another process")
            != 0)
            _exit(2);
        /* One of its own is served. */
        _exit(agentcalls_is_served(&calls, 5) ? 0 : 3);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    agentcalls_ck_own(call, 4);
}
END_TEST

/* A daemon that closes what it does not know, and then opens files of its own. */
START_TEST(test_a_descriptor_that_was_closed_is_not_used)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;
    char text[128];
    uint8_t *cmw = NULL;
    size_t len = 0;
    int fd, pair[2];

    ck_assert_int_eq(agentcalls_begin(&calls, 4, &why, &call), ATLS_OK);
    fd = atls_agent_call_fd(call);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    ck_assert_int_eq(dup2(pair[0], fd), fd);
    ck_assert_int_eq(write(pair[1], "for the program", 15), 15);
    ck_assert(atls_agent_call_is_ready(call));
    ck_assert_int_eq(atls_agent_call_wait(call, &why, &cmw, &len),
                     ATLS_E_INTERNAL);
    snprintf(text, sizeof(text),
             "the program closed descriptor %d, this handshake's connection to "
             "the agent",
             fd);
    ck_assert_str_eq(why.text, text);
    ck_assert_int_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 15);
    close(fd);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_evidence_of_each_request_is_its_own),
    LOOP(test_T5_what_is_no_evidence_is_refused, 0, ANSWERS),
    ONCE(test_descriptors_beside_evidence_are_let_go),
    ONCE(test_a_large_certificate_travels),
    ONCE(test_a_certificate_too_large_is_refused),
    ONCE(test_an_agent_that_says_nothing_is_given_up_at_the_deadline),
    ONCE(test_is_ready_once_there_is_an_answer_or_the_time_is_over),
    ONCE(test_signals_end_no_wait),
    ONCE(test_dropped_calls_leave_nothing),
    ONCE(test_a_call_that_crossed_a_fork_is_the_parents),
    ONCE(test_a_descriptor_that_was_closed_is_not_used),
};

SUITE(.name = "agent_client", .begin = allocation_install,
      .cases = {CASE("answers", tests, 0, setup, teardown)});
