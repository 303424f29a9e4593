/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <grp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/clients.h"
#include "lib/agentcase.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/* Who may ask, by whose connection; and what those who may not can spoil. */

/* Users of no machine. */
#define STRANGER 3999999991
#define FRIEND 3999999992
#define OTHER 3999999993
#define ALLOW_FRIEND "allow = 3999999992\n"
#define ALLOW_BOTH "allow = 3999999992 3999999993\n"

static const uint8_t connection_request[] = {ATLS_AGENT_VERSION,
                                             ATLS_AGENT_CONNECTION};

/* An answer of two octets with a descriptor, or -1. */
static int receive_connection(int fd)
{
    union {
        struct cmsghdr head;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    uint8_t octets[600];
    struct iovec vector = {.iov_base = octets, .iov_len = sizeof(octets)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    int passed = -1;

    if (recvmsg(fd, &message, 0) == 2
        && message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&passed, CMSG_DATA(&control.head), sizeof(int));
    return passed;
}

static int ask_connection(int fd)
{
    agentcase_send(fd, connection_request, sizeof(connection_request));
    return receive_connection(fd);
}

/* A worker has what its master opened as root. */
START_TEST(test_B4_workers_on_roots_standing_connection)
{
    int standing, fd;

    agentcase_configure(ALLOW_FRIEND);
    agentcase_start();
    standing = agentcase_connect();
    agentcase_send_as(FRIEND);
    fd = ask_connection(standing);
    ck_assert_int_ge(fd, 0);
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_evidence(fd, 1);
    /* Not the friend's: whoever it was passed on to. */
    agentcase_send_as(STRANGER);
    ck_assert(agentcase_ask(fd, 2));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED,
                             "user 3999999991 may not ask this agent");
    agentcase_expect_end(fd);
    agentcase_send(standing, connection_request, sizeof(connection_request));
    agentcase_expect_refusal(standing, ATLS_E_NOT_ALLOWED, "user 3999999991");
    agentcase_expect_end(standing);
    close(fd);
    close(standing);
}
END_TEST

/* Evidence, too, and on a connection that has served root before. */
START_TEST(test_B4_R6_workers_on_roots_connection)
{
    int fd;

    agentcase_start();
    fd = agentcase_connect();
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_evidence(fd, 1);
    agentcase_send_as(STRANGER);
    ck_assert(agentcase_ask(fd, 2));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED, "user 3999999991");
    agentcase_expect_end(fd);
    ck_assert_uint_eq(agentcase_logged("uid 3999999991: "), 1);
    close(fd);
}
END_TEST

/* A connection out of a standing connection is of who asked for it, not of the
 * standing connection's maker. */
START_TEST(test_B4_roots_rights_are_not_handed_out)
{
    int standing, fd;

    agentcase_configure(ALLOW_FRIEND);
    agentcase_start();
    standing = agentcase_connect();
    agentcase_send_as(FRIEND);
    fd = ask_connection(standing);
    agentcase_configure("allow = 3999999993\n");
    agent_server_reload(agentcase.server);
    agentcase_await_logged("taken up anew", 1);
    agentcase_send_as(-1);
    ck_assert(agentcase_ask(fd, 2));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED, "user 3999999992");
    close(fd);
    close(standing);
}
END_TEST

/* A program of root's can be made to write to what a stranger gave it, such as
 * its standard output. */
START_TEST(test_B4_strangers_connection_in_roots_hands)
{
    int fd;

    agentcase_configure(ALLOW_FRIEND);
    agentcase_start();
    fd = agentcase_connect_as(STRANGER);
    agentcase_send_as(FRIEND);
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED, "user 3999999991");
    agentcase_expect_end(fd);
    close(fd);
}
END_TEST

/* As a server's worker does, and the kernel sees it. */
static void ask_in_worker(int fd)
{
    int status = 0;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        bool is_sent = setgroups(0, NULL) == 0 && setgid(STRANGER) == 0
                       && setuid(STRANGER) == 0
                       && send(fd, connection_request,
                               sizeof(connection_request), MSG_NOSIGNAL)
                              > 0;

        _exit(is_sent ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

START_TEST(test_B4_worker_that_was_root)
{
    int standing, fd;

    if (geteuid() != 0)
        return; /* cannot become anybody */
    agentcase_start();
    standing = agentcase_connect();
    ask_in_worker(standing);
    agentcase_expect_refusal(standing, ATLS_E_NOT_ALLOWED, "user 3999999991");
    agentcase_expect_end(standing);
    close(standing);
    agentcase_configure("allow = @3999999991\n");
    agent_server_reload(agentcase.server);
    agentcase_await_logged("taken up anew", 1);
    standing = agentcase_connect();
    ask_in_worker(standing);
    fd = receive_connection(standing);
    ck_assert_int_ge(fd, 0);
    close(fd);
    close(standing);
}
END_TEST

/* One connection for each of as many uids as one likes. */
START_TEST(test_R4_many_uids_of_one_stranger)
{
    const unsigned count = 2 * AGENT_STRANGERS_MAX;
    int friend_fd, fds[2 * AGENT_STRANGERS_MAX];

    agentcase.connections_max = AGENT_STRANGERS_MAX + 4;
    agentcase_configure(ALLOW_FRIEND);
    agentcase_start();
    friend_fd = agentcase_connect_as(FRIEND);
    for (unsigned i = 0; i < count; i++)
        fds[i] = agentcase_connect_as(1000000 + (long)i);
    for (unsigned i = 0; i < count - AGENT_STRANGERS_MAX; i++)
        agentcase_expect_end(fds[i]);
    for (unsigned i = 0; i < 8; i++)
        agentcase_expect_served(FRIEND, i);
    ck_assert(agentcase_ask(friend_fd, 9));
    agentcase_expect_evidence(friend_fd, 9);
    /* Those who have a place are told what to do. */
    ck_assert(agentcase_ask(fds[count - 1], 1));
    agentcase_expect_refusal(fds[count - 1], ATLS_E_NOT_ALLOWED,
                             "add it to allow in");
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    close(friend_fd);
}
END_TEST

/* He came before he was allowed to ask, and keeps his place. */
START_TEST(test_R4_stranger_who_is_allowed_later)
{
    int early, fds[AGENT_STRANGERS_MAX + 1];

    agentcase_start();
    early = agentcase_connect_as(FRIEND);
    agentcase_configure(ALLOW_FRIEND);
    agent_server_reload(agentcase.server);
    agentcase_await_logged("taken up anew", 1);
    ck_assert(agentcase_ask(early, 1));
    agentcase_expect_evidence(early, 1);
    for (unsigned i = 0; i <= AGENT_STRANGERS_MAX; i++)
        fds[i] = agentcase_connect_as(STRANGER);
    agentcase_expect_end(fds[0]);
    ck_assert(agentcase_ask(early, 2));
    agentcase_expect_evidence(early, 2);
    for (unsigned i = 0; i <= AGENT_STRANGERS_MAX; i++)
        close(fds[i]);
    close(early);
}
END_TEST

#define STANDING_COUNT 4u
#define ASKED_EACH 20u

/* Whoever takes nothing of what he is handed keeps nobody else out. */
START_TEST(test_R4_hoarder_of_connections)
{
    int other, fd, standings[STANDING_COUNT];
    unsigned handed_out = 0;

    agentcase.connections_max = 64;
    agentcase_configure(ALLOW_BOTH);
    agentcase_start();
    other = agentcase_connect_as(OTHER);
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        standings[i] = agentcase_connect_as(FRIEND);
        for (unsigned n = 0; n < ASKED_EACH; n++)
            agentcase_send(standings[i], connection_request,
                           sizeof(connection_request));
    }
    fd = ask_connection(other);
    ck_assert_int_ge(fd, 0);
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_evidence(fd, 1);
    close(fd);
    for (unsigned i = 0; i < STANDING_COUNT; i++) {
        for (unsigned n = 0; n < ASKED_EACH; n++) {
            fd = receive_connection(standings[i]);
            if (fd < 0)
                continue;
            handed_out++;
            close(fd);
        }
        /* And is served again as soon as he takes it. */
        fd = ask_connection(standings[i]);
        ck_assert_int_ge(fd, 0);
        close(fd);
        close(standings[i]);
    }
    ck_assert_uint_ge(handed_out, agentcase.connections_max / 8);
    ck_assert_uint_lt(handed_out,
                      agentcase.connections_max / 8 + STANDING_COUNT);
    ck_assert_uint_ge(agentcase_logged("do not take them"), 1);
    close(other);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_B4_workers_on_roots_standing_connection),
    ONCE(test_B4_R6_workers_on_roots_connection),
    ONCE(test_B4_roots_rights_are_not_handed_out),
    ONCE(test_B4_strangers_connection_in_roots_hands),
    ONCE(test_B4_worker_that_was_root),
    ONCE(test_R4_many_uids_of_one_stranger),
    ONCE(test_R4_stranger_who_is_allowed_later),
    ONCE(test_R4_hoarder_of_connections),
};

SUITE(.name = "agent_rights", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 120, agentcase_set_up,
                     agentcase_tear_down)});
