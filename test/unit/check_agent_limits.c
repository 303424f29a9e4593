/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/agentcase.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/* What clients can cost the agent, and each other. */

/* Users of no machine; all of them may ask. */
#define ALICE 3999999992
#define BOB 3999999993
#define CAROL 3999999994
#define ALLOW_THEM "allow = 3999999992 3999999993 3999999994\n"

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Until no more are open than there were. */
static void await_descriptors(unsigned expected)
{
    int64_t end_ms = atls_now_ms() + 5000;

    while (count_descriptors() > expected && atls_now_ms() < end_ms)
        usleep(5000);
    ck_assert_uint_le(count_descriptors(), expected);
}

/* As many requests as fit, each on a connection of its own; how many wait. */
static unsigned fill(long uid, int *fds, unsigned count)
{
    struct pollfd answered = {.events = POLLIN};
    unsigned waiting = 0;

    for (unsigned i = 0; i < count; i++) {
        fds[i] = agentcase_connect_as(uid);
        ck_assert(agentcase_ask(fds[i], i));
    }
    for (unsigned i = 0; i < count; i++) {
        answered.fd = fds[i];
        if (poll(&answered, 1, 300) == 0)
            waiting++;
        else
            agentcase_expect_refusal(fds[i], ATLS_E_QUEUE_FULL,
                                     "raise max_queue");
    }
    return waiting;
}

START_TEST(test_R1_one_user_leaves_room_for_others)
{
    int alice[8], bob[4], carol[2];

    agentcase_make_gate();
    agentcase_configure(ALLOW_THEM "max_queue = 8\n");
    agentcase_start();
    agentcase_close_gate();
    ck_assert_uint_eq(fill(ALICE, alice, 8), 4);
    ck_assert_uint_eq(fill(BOB, bob, 4), 2);
    ck_assert_uint_eq(fill(CAROL, carol, 2), 1);
    agentcase_open_gate();
    for (unsigned i = 0; i < 4; i++)
        agentcase_expect_evidence(alice[i], i);
    agentcase_expect_evidence(bob[0], 0);
    agentcase_expect_evidence(bob[1], 1);
    agentcase_expect_evidence(carol[0], 0);
    /* Places are free again, and refused connections are still good. */
    ck_assert(agentcase_ask(alice[7], 9));
    agentcase_expect_evidence(alice[7], 9);
}
END_TEST

START_TEST(test_R1_smallest_queue)
{
    int fds[3];

    agentcase_make_gate();
    agentcase_configure(ALLOW_THEM "max_queue = 1\n");
    agentcase_start();
    agentcase_close_gate();
    ck_assert_uint_eq(fill(ALICE, fds, 3), 1);
    agentcase_open_gate();
    agentcase_expect_evidence(fds[0], 0);
}
END_TEST

/* Two descriptors each: the server's is in this process, too. */
static unsigned raise_limit(unsigned wanted)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur / 2 > wanted + 100 ? wanted
                                             : (unsigned)limit.rlim_cur / 4;
}

START_TEST(test_R1_clients_vanish_in_mid_quote)
{
    static int fds[1000];
    unsigned count = raise_limit(1000), before;

    agentcase_make_gate();
    agentcase_configure("timeout = 30000\n");
    agentcase.connections_max = count + 10;
    agentcase_start();
    agentcase_expect_served(-1, 1);
    before = count_descriptors();
    for (unsigned round = 0; round < 2; round++) {
        agentcase_close_gate();
        for (unsigned i = 0; i < count; i++) {
            fds[i] = agentcase_connect();
            ck_assert(agentcase_ask(fds[i], i));
        }
        for (unsigned i = 0; i < count; i += 5)
            close(fds[i]);
        agentcase_open_gate();
        for (unsigned i = 0; i < count; i++) {
            if (i % 5 == 0)
                continue;
            agentcase_expect_evidence(fds[i], i);
            close(fds[i]);
        }
    }
    await_descriptors(before);
}
END_TEST

/* Half a connection is none. */
START_TEST(test_R1_half_open_clients)
{
    int fd, other;

    agentcase_make_gate();
    agentcase_start();
    agentcase_close_gate();
    fd = agentcase_connect();
    ck_assert(agentcase_ask(fd, 1));
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    agentcase_expect_end(fd);
    other = agentcase_connect();
    agentcase_open_gate();
    ck_assert(agentcase_ask(other, 2));
    agentcase_expect_evidence(other, 2);
    close(fd);
    close(other);
}
END_TEST

/* Answers pile up in the socket, then the connection is closed: nothing waits for
 * who does not read. */
START_TEST(test_R1_who_never_reads)
{
    const uint8_t request[] = {1, ATLS_AGENT_CONNECTION};
    unsigned before, sent = 0;
    int fd;

    agentcase_start();
    agentcase_expect_served(-1, 1);
    before = count_descriptors();
    fd = agentcase_connect();
    while (send(fd, request, sizeof(request), MSG_NOSIGNAL) > 0)
        ck_assert_uint_lt(sent++, 100000);
    agentcase_expect_served(-1, 2);
    close(fd);
    await_descriptors(before);
}
END_TEST

/* A TCP connection that has much to send to somebody who reads nothing, and that
 * whoever closes it last shall wait for. */
static int make_lingerer(int *ret_listener)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 30};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    static const char octets[65536];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(*ret_listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(*ret_listener, 1), 0);
    ck_assert_int_eq(
        getsockname(*ret_listener, (struct sockaddr *)&address, &len), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, len), 0);
    while (send(fd, octets, sizeof(octets), MSG_DONTWAIT) > 0) {
    }
    ck_assert_int_eq(
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    return fd;
}

static void send_descriptor(int fd, const char *text, int passed)
{
    union {
        struct cmsghdr head;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    char octets[8];
    struct iovec vector = {.iov_base = octets, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};

    memcpy(octets, text, strlen(text));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &passed, sizeof(int));
    ck_assert_int_ge(sendmsg(fd, &message, 0), 0);
}

/* What a stranger sends before it, and as it; and does he stay to read? */
static const struct {
    const char *before; /* NULL: nothing */
    const char *text;
    bool stays;
} lingerers[] = {
    {NULL, "octets", true}, {NULL, "octets", false}, {NULL, "", true},
    {NULL, "", false},      {"octets", "x", true},   {"octets", "", false},
    {"", "x", true},        {"", "", true},
};

START_TEST(test_R1_descriptors_that_linger)
{
    int listener, lingerer, fd;
    int64_t begin_ms;

    agentcase_configure("allow = 3999999992\n");
    agentcase_start();
    agentcase_expect_served(ALICE, 1);
    lingerer = make_lingerer(&listener);
    /* All that he does comes before the agent does anything. */
    agentcase_hold();
    fd = agentcase_connect_as(BOB);
    if (lingerers[_i].before != NULL)
        ck_assert_int_ge(send(fd, lingerers[_i].before,
                              strlen(lingerers[_i].before), MSG_NOSIGNAL),
                         0);
    send_descriptor(fd, lingerers[_i].text, lingerer);
    close(lingerer);
    if (!lingerers[_i].stays)
        close(fd);
    begin_ms = atls_now_ms();
    agentcase_release();
    for (unsigned i = 0; i < 10; i++)
        agentcase_expect_served(ALICE, i);
    agentcase_stop();
    ck_assert_int_lt(atls_now_ms() - begin_ms, 5000);
    if (lingerers[_i].stays)
        close(fd);
    close(listener);
}
END_TEST

START_TEST(test_R4_most_greedy_user_loses_idle_connections)
{
    int standing, fds[16];

    agentcase.connections_max = 8;
    agentcase_configure(ALLOW_THEM);
    agentcase_start();
    standing = agentcase_connect_as(BOB);
    for (unsigned i = 0; i < 16; i++)
        fds[i] = agentcase_connect_as(ALICE);
    /* Seven places are left for Alice: those that were idle longest went. */
    for (unsigned i = 0; i < 9; i++) {
        agentcase_expect_end(fds[i]);
        close(fds[i]);
    }
    ck_assert(agentcase_ask(standing, 1));
    agentcase_expect_evidence(standing, 1);
    for (unsigned i = 9; i < 16; i++) {
        ck_assert(agentcase_ask(fds[i], i));
        agentcase_expect_evidence(fds[i], i);
        close(fds[i]);
    }
    close(standing);
}
END_TEST

/* Ask on a connection for another one, which is given back at once. */
static void use_standing(int fd)
{
    const uint8_t request[] = {ATLS_AGENT_VERSION, ATLS_AGENT_CONNECTION};
    struct atls_agent_answer answer;

    agentcase_send(fd, request, sizeof(request));
    /* The descriptor is not taken: the kernel closes it. */
    ck_assert_int_eq(agentcase_receive(fd, &answer), ATLS_OK);
    ck_assert_int_eq(answer.type, ATLS_AGENT_CONNECTION);
}

static void expect_open(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};

    ck_assert_int_eq(poll(&end, 1, 100), 0);
}

/* A program in a chroot cannot open its standing connection again, so standing
 * connections go last: first what has its evidence, then the last that waits, then
 * standing connections nobody has used yet. */
START_TEST(test_R4_standing_connections_outlast_all_others)
{
    int used, unused, busy[2], idle, fds[4];

    agentcase_make_gate();
    agentcase.connections_max = 5;
    agentcase_start();
    used = agentcase_connect();
    use_standing(used);
    unused = agentcase_connect();
    idle = agentcase_connect();
    ck_assert(agentcase_ask(idle, 1));
    agentcase_expect_evidence(idle, 1);
    agentcase_close_gate();
    for (unsigned i = 0; i < 2; i++) {
        busy[i] = agentcase_connect();
        ck_assert(agentcase_ask(busy[i], 2 + i));
        usleep(50000); /* the agent begins to wait for it */
    }
    fds[0] = agentcase_connect();
    agentcase_expect_end(idle);
    fds[1] = agentcase_connect();
    agentcase_expect_end(busy[1]);
    expect_open(busy[0]);
    fds[2] = agentcase_connect();
    agentcase_expect_end(busy[0]);
    expect_open(unused);
    fds[3] = agentcase_connect();
    agentcase_expect_end(unused);
    agentcase_open_gate();
    use_standing(used);
    ck_assert(agentcase_ask(fds[3], 4));
    agentcase_expect_evidence(fds[3], 4);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    close(used);
    close(unused);
    close(busy[0]);
    close(busy[1]);
    close(idle);
}
END_TEST

START_TEST(test_R4_busy_connections_outlast_idle_ones)
{
    int busy, used, idle, fresh;

    agentcase_make_gate();
    agentcase.connections_max = 3;
    agentcase_start();
    idle = agentcase_connect();
    ck_assert(agentcase_ask(idle, 4));
    agentcase_expect_evidence(idle, 4);
    agentcase_close_gate();
    busy = agentcase_connect();
    ck_assert(agentcase_ask(busy, 1));
    used = agentcase_connect();
    ck_assert(agentcase_ask(used, 2));
    fresh = agentcase_connect();
    agentcase_expect_end(idle);
    agentcase_open_gate();
    agentcase_expect_evidence(busy, 1);
    agentcase_expect_evidence(used, 2);
    ck_assert(agentcase_ask(fresh, 3));
    agentcase_expect_evidence(fresh, 3);
    close(busy);
    close(used);
    close(idle);
    close(fresh);
}
END_TEST

/* What the whole process has used of the CPU. */
static int64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

START_TEST(test_R4_no_descriptors)
{
    struct rlimit limit, few;
    int64_t before_ms;
    int fds[8];

    agentcase_start();
    agentcase_expect_served(-1, 1);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* The client's sockets exist before there are none for the server. */
    for (unsigned i = 0; i < 8; i++)
        fds[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    few = limit;
    few.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (unsigned i = 0; i < 8; i++)
        ck_assert(agentcase_connect_socket(fds[i]));
    before_ms = cpu_ms();
    usleep(500000);
    ck_assert_int_lt(cpu_ms() - before_ms, 100);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert(agentcase_ask(fds[i], i));
        agentcase_expect_evidence(fds[i], i);
        close(fds[i]);
    }
}
END_TEST

/* Who has a connection open loses it to who comes. */
START_TEST(test_R4_no_descriptors_but_an_idle_connection)
{
    struct rlimit limit, few;
    int idle, fd;

    agentcase_start();
    idle = agentcase_connect();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    few = limit;
    /* The one descriptor that closing makes free is below the limit. */
    few.rlim_cur = (rlim_t)idle + 2;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    ck_assert(agentcase_connect_socket(fd));
    agentcase_expect_end(idle);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_evidence(fd, 1);
    close(idle);
    close(fd);
}
END_TEST

/* Each with connections of its own, and one for all to open. */
#define THREADS 64

static atomic_uint failures;

static void *be_a_client(void *arg)
{
    unsigned number = *(const unsigned *)arg;

    for (unsigned i = 0; i < 20; i++) {
        struct atls_agent_answer answer;
        int fd = agentcase_connect_quietly();
        bool is_asked = fd >= 0 && agentcase_ask(fd, number * 100 + i);

        if (i % 7 == 3) {
            close(fd); /* and asks no more */
            continue;
        }
        if (!is_asked || agentcase_receive(fd, &answer) != ATLS_OK
            || !agentcase_is_evidence(&answer, number * 100 + i))
            atomic_fetch_add(&failures, 1);
        close(fd);
    }
    return NULL;
}

START_TEST(test_T11_64_threads_of_clients)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    unsigned before;

    agentcase_start();
    agentcase_expect_served(-1, 1);
    before = count_descriptors();
    atomic_store(&failures, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, be_a_client, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&failures), 0);
    await_descriptors(before);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_R1_one_user_leaves_room_for_others),
    ONCE(test_R1_smallest_queue),
    ONCE(test_R1_clients_vanish_in_mid_quote),
    ONCE(test_R1_half_open_clients),
    ONCE(test_R1_who_never_reads),
    LOOP(test_R1_descriptors_that_linger, 0,
         sizeof(lingerers) / sizeof(lingerers[0])),
    ONCE(test_R4_most_greedy_user_loses_idle_connections),
    ONCE(test_R4_standing_connections_outlast_all_others),
    ONCE(test_R4_busy_connections_outlast_idle_ones),
    ONCE(test_R4_no_descriptors),
    ONCE(test_R4_no_descriptors_but_an_idle_connection),
    ONCE(test_T11_64_threads_of_clients),
};

SUITE(.name = "agent_limits", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 120, agentcase_set_up,
                     agentcase_tear_down)});
