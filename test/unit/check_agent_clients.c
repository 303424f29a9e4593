/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/clients.h"
#include "agent/socket.h"
#include "lib/suite.h"

/* Whose connections go, and what is left of them. */

#define ALICE 3999999992u
#define BOB 3999999993u
#define CAROL 3999999994u

static struct agent_clients clients;
static struct atls_reason why;
static int epoll_fd;

static void set_up(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_ge(epoll_fd, 0);
    agent_clients_init(&clients, epoll_fd);
}

static void tear_down(void)
{
    struct agent_connection *victim;

    while ((victim = agent_clients_victim(&clients)) != NULL)
        agent_clients_remove(&clients, victim);
    ck_assert_uint_eq(clients.connection_count, 0);
    ck_assert(LIST_EMPTY(&clients.users));
    close(epoll_fd);
}

/* The other end is for the test. */
static struct agent_connection *add(uid_t uid, bool is_stranger, int *ret_end)
{
    const struct agent_peer peer = {.uid = uid, .gid = uid};
    struct agent_connection *connection = NULL;
    int ends[2];

    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert(agent_socket_prepare(ends[0]));
    ck_assert_int_eq(
        agent_clients_add(&clients, ends[0], &peer, is_stranger, &connection),
        ATLS_OK);
    if (ret_end != NULL)
        *ret_end = ends[1];
    else
        close(ends[1]);
    return connection;
}

static struct agent_connection *add_asked(uid_t uid)
{
    struct agent_connection *connection = add(uid, false, NULL);

    connection->has_asked = true;
    return connection;
}

/* What else has the file open (a thread that closes it, a child) keeps it in
 * epoll, and its events would be of a connection that is gone. */
START_TEST(test_B4_nothing_is_told_of_the_closed)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    struct agent_connection *connection;
    int end, held;

    connection = add(ALICE, false, &end);
    event.data.ptr = connection;
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event),
                     0);
    held = dup(connection->fd);
    agent_clients_remove(&clients, connection);
    (void)send(end, "x", 1, MSG_NOSIGNAL);
    close(end);
    ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, 50), 0);
    close(held);
}
END_TEST

/* Else somebody with many uids (subuid(5)) would have all who come last go. */
START_TEST(test_R4_among_equals_the_idlest_goes)
{
    struct agent_connection *alice = add_asked(ALICE);
    struct agent_connection *bob = add_asked(BOB);
    struct agent_connection *carol = add_asked(CAROL);

    ck_assert_ptr_eq(agent_clients_victim(&clients), alice);
    agent_clients_touch(&clients, alice);
    ck_assert_ptr_eq(agent_clients_victim(&clients), bob);
    bob->is_standing = true;
    ck_assert_ptr_eq(agent_clients_victim(&clients), carol);
    /* Who has more goes first, however busy. */
    (void)add_asked(ALICE);
    ck_assert_ptr_eq(agent_clients_victim(&clients), alice);
}
END_TEST

START_TEST(test_R4_strangers_share_a_few_places)
{
    struct agent_connection *strangers[AGENT_STRANGERS_MAX + 1];

    (void)add(ALICE, false, NULL);
    for (unsigned i = 0; i < AGENT_STRANGERS_MAX; i++)
        strangers[i] = add(1000000 + i, true, NULL);
    ck_assert_ptr_null(agent_clients_surplus(&clients));
    strangers[AGENT_STRANGERS_MAX] = add(ALICE, true, NULL);
    ck_assert_ptr_eq(agent_clients_surplus(&clients), strangers[0]);
    ck_assert_ptr_eq(agent_clients_victim(&clients), strangers[0]);
    /* Whom the configuration allows by now is none any more. */
    ck_assert_int_eq(agent_clients_admit(&clients, strangers[0]), ATLS_OK);
    ck_assert_ptr_null(agent_clients_surplus(&clients));
    ck_assert_ptr_eq(agent_clients_victim(&clients), strangers[1]);
    ck_assert_uint_eq(strangers[0]->user->uid, 1000000);
    ck_assert_uint_eq(strangers[0]->user->connection_count, 1);
    ck_assert_int_eq(agent_clients_admit(&clients, strangers[0]), ATLS_OK);
    ck_assert_uint_eq(strangers[0]->user->connection_count, 1);
}
END_TEST

static void send_unread(const struct agent_connection *standing)
{
    ck_assert_int_eq(send(standing->fd, "x", 1, 0), 1);
}

/* What is handed out and lies in a socket is open for the agent. */
START_TEST(test_R4_standing_connections_that_nobody_reads)
{
    int ends[3];
    char octet;
    struct agent_connection *standings[] = {add(ALICE, false, &ends[0]),
                                            add(ALICE, false, &ends[1]),
                                            add(BOB, false, &ends[2])};

    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(agent_clients_check_standing(standings[0], 2, &why),
                         ATLS_OK);
        send_unread(standings[0]);
        agent_clients_handed_out(standings[0]);
    }
    ck_assert_int_eq(agent_clients_check_standing(standings[0], 2, &why),
                     ATLS_E_QUEUE_FULL);
    ck_assert_str_eq(why.text, "2 connections were handed out to programs of "
                               "uid 3999999992 that do not take them");
    /* One at each standing connection is always good, and others are not concerned. */
    ck_assert_int_eq(agent_clients_check_standing(standings[1], 2, &why),
                     ATLS_OK);
    send_unread(standings[1]);
    ck_assert_int_eq(agent_clients_check_standing(standings[1], 2, &why),
                     ATLS_E_QUEUE_FULL);
    send_unread(standings[2]);
    ck_assert_int_eq(agent_clients_check_standing(standings[2], 2, &why),
                     ATLS_OK);
    /* Taken, or gone with the standing connection. */
    ck_assert_int_eq(recv(ends[0], &octet, 1, 0), 1);
    ck_assert_int_eq(agent_clients_check_standing(standings[0], 2, &why),
                     ATLS_E_QUEUE_FULL);
    ck_assert_int_eq(recv(ends[0], &octet, 1, 0), 1);
    ck_assert_int_eq(agent_clients_check_standing(standings[0], 2, &why),
                     ATLS_OK);
    ck_assert_uint_eq(standings[0]->user->untaken_count, 0);
    send_unread(standings[0]);
    agent_clients_handed_out(standings[0]);
    ck_assert_int_eq(agent_clients_check_standing(standings[1], 1, &why),
                     ATLS_E_QUEUE_FULL);
    agent_clients_remove(&clients, standings[0]);
    ck_assert_int_eq(agent_clients_check_standing(standings[1], 1, &why),
                     ATLS_OK);
    for (unsigned i = 0; i < 3; i++)
        close(ends[i]);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_B4_nothing_is_told_of_the_closed),
    ONCE(test_R4_among_equals_the_idlest_goes),
    ONCE(test_R4_strangers_share_a_few_places),
    ONCE(test_R4_standing_connections_that_nobody_reads),
};

SUITE(.name = "agent_clients",
      .cases = {CASE("connections", tests, 0, set_up, tear_down)});
