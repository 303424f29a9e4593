/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/fakeagent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "attester/agent_wire.h"

#define FDS_MAX 2048
#define LISTENER 0
#define WAKER 1

struct fakeagent {
    pthread_t thread;
    uint8_t octets[ATLS_AGENT_REQUEST_MAX + 1]; /* any message */
    struct pollfd fds[FDS_MAX]; /* listener, waker, connections */
    size_t count;
    int late[FDS_MAX]; /* standing connections that wait for an answer */
    size_t late_count;
    atomic_int mood;
    atomic_int standing;
    atomic_uint delay_ms;
    atomic_uint asked;
    atomic_uint standing_asked;
    atomic_bool is_ending;
};

static void die(const char *what)
{
    perror(what);
    abort();
}

/* --- what it says ------------------------------------------------------------- */

static void say(int fd, const void *octets, size_t len)
{
    if (send(fd, octets, len, MSG_NOSIGNAL) < 0 && errno != EPIPE
        && errno != ECONNRESET)
        die("fakeagent: send");
}

static void say_with(int fd, const void *octets, size_t len, const int *fds,
                     size_t fd_count)
{
    union {
        struct cmsghdr head;
        unsigned char room[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)octets, .iov_len = len};
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(fd_count * sizeof(int)),
    };

    memset(&control, 0, sizeof(control));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE
        && errno != ECONNRESET)
        die("fakeagent: sendmsg");
}

static void say_refusal(struct fakeagent *agent, int fd)
{
    struct atls_agent_answer answer = {.type = ATLS_AGENT_REFUSAL};

    (void)atls_fail(&answer.reason, ATLS_E_NOT_ALLOWED, FAKEAGENT_REFUSAL);
    say(fd, agent->octets, atls_agent_answer_write(&answer, agent->octets));
}

static size_t write_evidence(const struct atls_agent_request *request,
                             uint8_t octets[ATLS_AGENT_ANSWER_MAX])
{
    uint8_t cmw[FAKEAGENT_CMW_LEN] = "fake";
    const struct atls_agent_answer answer = {
        .type = ATLS_AGENT_EVIDENCE,
        .cmw = {cmw, sizeof(cmw)},
    };

    cmw[4] = (uint8_t)request->role;
    memcpy(cmw + 5, request->channel, ATLS_CHANNEL_LEN);
    return atls_agent_answer_write(&answer, octets);
}

/* --- evidence ------------------------------------------------------------------ */

static const uint8_t connection_answer[] = {ATLS_AGENT_VERSION,
                                            ATLS_AGENT_CONNECTION};
static const uint8_t garbage[] = "garbage";

/* Returns whether the connection lives on. */
static bool answer_request(struct fakeagent *agent, int fd,
                           enum fakeagent_mood mood,
                           const struct atls_agent_request *request)
{
    uint8_t *octets = agent->octets;
    const int surplus[] = {0, 1, 2};
    size_t len = write_evidence(request, octets);

    switch (mood) {
    case FAKEAGENT_GOOD:
        say(fd, octets, len);
        return true;
    case FAKEAGENT_SILENT:
        return true;
    case FAKEAGENT_REFUSES:
        say_refusal(agent, fd);
        return true;
    case FAKEAGENT_GARBAGE:
        say(fd, garbage, sizeof(garbage));
        return true;
    case FAKEAGENT_TOO_LONG:
        say(fd, octets, ATLS_AGENT_ANSWER_MAX + 1);
        return true;
    case FAKEAGENT_HANDS_OVER:
        say_with(fd, connection_answer, sizeof(connection_answer), &fd, 1);
        return true;
    case FAKEAGENT_ADDS:
        say_with(fd, octets, len, surplus, 3);
        return true;
    case FAKEAGENT_REFUSES_FIRST:
    case FAKEAGENT_CLOSES:
    case FAKEAGENT_CLOSES_UNREAD:
        break;
    }
    return false;
}

/* --- connections ----------------------------------------------------------------- */

static void add(struct fakeagent *agent, int fd)
{
    if (agent->count == FDS_MAX)
        die("fakeagent: too many connections");
    agent->fds[agent->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void make_pair(int type, int pair[2])
{
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0)
        die("fakeagent: socketpair");
}

static void hand_over(struct fakeagent *agent, int standing_fd, int type,
                      size_t copies, bool is_small)
{
    const int size = 1; /* the kernel's least */
    int pair[2], fds[4];

    make_pair(type, pair);
    if (is_small)
        (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    for (size_t i = 0; i < copies; i++)
        fds[i] = pair[1];
    say_with(standing_fd, connection_answer, sizeof(connection_answer), fds,
             copies);
    close(pair[1]);
    add(agent, pair[0]);
}

static void hand_over_dead(int standing_fd)
{
    int pair[2];

    make_pair(SOCK_SEQPACKET, pair);
    close(pair[0]);
    say_with(standing_fd, connection_answer, sizeof(connection_answer),
             &pair[1], 1);
    close(pair[1]);
}

static void hand_over_pipe(int standing_fd)
{
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) != 0)
        die("fakeagent: pipe");
    say_with(standing_fd, connection_answer, sizeof(connection_answer), pipes,
             1);
    close(pipes[0]);
    close(pipes[1]);
}

/* Returns whether the standing connection stays open. */
static bool answer_standing(struct fakeagent *agent, int fd,
                            enum fakeagent_standing standing)
{
    uint8_t *octets = agent->octets;
    const struct atls_agent_request nobody = {.role = ATLS_ROLE_SERVER};

    switch (standing) {
    case FAKEAGENT_STANDING_GOOD:
        hand_over(agent, fd, SOCK_SEQPACKET, 1, false);
        break;
    case FAKEAGENT_STANDING_SILENT:
        break;
    case FAKEAGENT_STANDING_LATE:
        agent->late[agent->late_count++] = fd;
        break;
    case FAKEAGENT_STANDING_REFUSES:
        say_refusal(agent, fd);
        break;
    case FAKEAGENT_STANDING_CLOSES:
        return false;
    case FAKEAGENT_STANDING_GARBAGE:
        say(fd, garbage, sizeof(garbage));
        break;
    case FAKEAGENT_STANDING_TOO_LONG:
        say(fd, octets, 516);
        break;
    case FAKEAGENT_STANDING_EVIDENCE:
        say(fd, octets, write_evidence(&nobody, octets));
        break;
    case FAKEAGENT_STANDING_EMPTY:
        say(fd, connection_answer, sizeof(connection_answer));
        break;
    case FAKEAGENT_STANDING_FULL:
        hand_over(agent, fd, SOCK_SEQPACKET, 4, false);
        break;
    case FAKEAGENT_STANDING_PIPE:
        hand_over_pipe(fd);
        break;
    case FAKEAGENT_STANDING_DATAGRAM:
        hand_over(agent, fd, SOCK_DGRAM, 1, false);
        break;
    case FAKEAGENT_STANDING_DEAD:
        hand_over_dead(fd);
        hand_over(agent, fd, SOCK_SEQPACKET, 1, false);
        break;
    case FAKEAGENT_STANDING_SMALL:
        hand_over(agent, fd, SOCK_SEQPACKET, 1, true);
        break;
    }
    return true;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {.tv_sec = ms / 1000,
                                  .tv_nsec = (long)(ms % 1000) * 1000000L};

    nanosleep(&time, NULL);
}

/* Returns whether the connection lives on. */
static bool serve(struct fakeagent *agent, int fd)
{
    struct atls_agent_request request;
    ssize_t n = recv(fd, agent->octets, ATLS_AGENT_REQUEST_MAX, 0);

    if (n <= 0)
        return false;
    if (atls_agent_request_read(agent->octets, (size_t)n, NULL, &request)
        != ATLS_OK)
        die("fakeagent: a request that nobody can read");
    sleep_ms(atomic_load(&agent->delay_ms));
    if (request.type == ATLS_AGENT_CONNECTION) {
        atomic_fetch_add(&agent->standing_asked, 1);
        return answer_standing(
            agent, fd, (enum fakeagent_standing)atomic_load(&agent->standing));
    }
    atomic_fetch_add(&agent->asked, 1);
    return answer_request(
        agent, fd, (enum fakeagent_mood)atomic_load(&agent->mood), &request);
}

static void accept_one(struct fakeagent *agent)
{
    enum fakeagent_mood mood = (enum fakeagent_mood)atomic_load(&agent->mood);
    int fd = accept4(agent->fds[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (mood == FAKEAGENT_REFUSES_FIRST)
        say_refusal(agent, fd);
    if (mood == FAKEAGENT_REFUSES_FIRST || mood == FAKEAGENT_CLOSES_UNREAD)
        close(fd);
    else
        add(agent, fd);
}

static void answer_late(struct fakeagent *agent)
{
    if (atomic_load(&agent->standing) == FAKEAGENT_STANDING_LATE)
        return;
    for (size_t i = 0; i < agent->late_count; i++)
        (void)answer_standing(agent, agent->late[i], FAKEAGENT_STANDING_GOOD);
    agent->late_count = 0;
}

static void *run(void *arg)
{
    struct fakeagent *agent = arg;
    uint64_t woken;

    while (!atomic_load(&agent->is_ending)) {
        size_t count = agent->count;

        if (poll(agent->fds, count, -1) < 0)
            continue;
        if (agent->fds[WAKER].revents != 0
            && read(agent->fds[WAKER].fd, &woken, sizeof(woken)) > 0)
            answer_late(agent);
        for (size_t i = count; i-- > WAKER + 1;) {
            if (agent->fds[i].revents == 0 || serve(agent, agent->fds[i].fd))
                continue;
            close(agent->fds[i].fd);
            agent->fds[i] = agent->fds[--agent->count];
        }
        if (agent->fds[LISTENER].revents != 0)
            accept_one(agent);
    }
    return NULL;
}

/* --- its life ------------------------------------------------------------------ */

struct fakeagent *fakeagent_start(const char *path)
{
    struct fakeagent *agent = calloc(1, sizeof(*agent));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (agent == NULL || fd < 0 || strlen(path) >= sizeof(address.sun_path))
        die("fakeagent: socket");
    strcpy(address.sun_path, path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(fd, 128) != 0)
        die(path);
    add(agent, fd);
    add(agent, eventfd(0, EFD_CLOEXEC));
    if (pthread_create(&agent->thread, NULL, run, agent) != 0)
        die("fakeagent: thread");
    return agent;
}

static void wake(struct fakeagent *agent)
{
    const uint64_t one = 1;

    if (write(agent->fds[WAKER].fd, &one, sizeof(one)) != sizeof(one))
        die("fakeagent: eventfd");
}

void fakeagent_stop(struct fakeagent *agent)
{
    if (agent == NULL)
        return;
    atomic_store(&agent->is_ending, true);
    wake(agent);
    pthread_join(agent->thread, NULL);
    for (size_t i = 0; i < agent->count; i++)
        close(agent->fds[i].fd);
    free(agent);
}

void fakeagent_set(struct fakeagent *agent, enum fakeagent_mood mood,
                   enum fakeagent_standing standing)
{
    atomic_store(&agent->mood, (int)mood);
    atomic_store(&agent->standing, (int)standing);
    wake(agent);
}

void fakeagent_delay(struct fakeagent *agent, unsigned delay_ms)
{
    atomic_store(&agent->delay_ms, delay_ms);
}

unsigned fakeagent_asked(const struct fakeagent *agent)
{
    return atomic_load(&agent->asked);
}

unsigned fakeagent_standing_asked(const struct fakeagent *agent)
{
    return atomic_load(&agent->standing_asked);
}
