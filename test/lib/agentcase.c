/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/agentcase.h"

#include <check.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "agent/listen.h"
#include "base/clock.h"
#include "lib/quotercase.h"
#include "base/log.h"
#include "base/file.h"

/* Longer than anything takes that comes, on the slowest machine. */
#define ANSWER_MS 20000
#define AWAIT_MS 20000

struct agentcase agentcase;

static struct {
    struct agent_listener listener;
    struct atls_log *log;
    pthread_t thread;
    atomic_long uid;    /* of the next peer; -1: as the kernel says */
    atomic_long sender; /* the same of messages */
    atomic_uint accepted;
    atomic_bool is_holding;
} running = {.uid = -1, .sender = -1};

static struct {
    atomic_bool is_closed;
    atomic_uint commands;
} gate;

/* In the proxy's thread. */
static enum tpmproxy_action at_the_gate(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    (void)arg, (void)response, (void)ret_len;
    atomic_fetch_add(&gate.commands, 1);
    while (code == TPM2_CC_Quote && atomic_load(&gate.is_closed))
        usleep(1000);
    return TPMPROXY_FORWARD;
}

void agentcase_make_gate(void)
{
    static const struct tpmproxy_hooks hooks = {.before = at_the_gate};

    atomic_store(&gate.commands, 0);
    agentcase_open_gate();
    quotercase_proxy(&hooks);
    agentcase_configure("");
}

void agentcase_close_gate(void)
{
    atomic_store(&gate.is_closed, true);
}

void agentcase_open_gate(void)
{
    atomic_store(&gate.is_closed, false);
}

unsigned agentcase_commands(void)
{
    return atomic_load(&gate.commands);
}

void agentcase_set_up(void)
{
    struct agentcase *a = &agentcase;
    const char *folder;

    quotercase_set_up();
    folder = swtpm_folder(quotercase.swtpm);
    *a = (struct agentcase){.connections_max = 256};
    snprintf(a->path, sizeof(a->path), "%s/attestd.cnf", folder);
    snprintf(a->socket, sizeof(a->socket), "%s/agent.sock", folder);
    snprintf(a->log, sizeof(a->log), "%s/agent.log", folder);
    agentcase_configure("");
}

void agentcase_tear_down(void)
{
    agentcase_open_gate();
    agentcase_stop();
    quotercase_tear_down();
}

void agentcase_configure(const char *lines)
{
    const struct agentcase *a = &agentcase;
    char fresh[2048];
    FILE *out;

    snprintf(fresh, sizeof(fresh), "%s.fresh", a->path);
    out = fopen(fresh, "w");
    ck_assert_ptr_nonnull(out);
    fprintf(out,
            "[attestd]\nsocket = %s\nlog = %s\nquoter = tcti:%s\nak = %s\n"
            "ak_chain = %s\nboot_log = none\n",
            a->socket, a->log, quotercase.config.tcti, quotercase.config.ak,
            quotercase.config.ak_chain);
    if (strstr(lines, "measured_log") == NULL)
        fprintf(out, "measured_log = none\n");
    if (strstr(lines, "certificate") == NULL)
        fprintf(out, "certificate = any\n");
    fprintf(out, "%s", lines);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(rename(fresh, a->path), 0); /* never half of it */
}

/* What was read young is read once more, whenever that may be; and with it goes
 * what the agent knew. */
static void grow_old(const char *path)
{
    struct stat st;

    while (stat(path, &st) == 0 && atls_file_is_young(&st))
        usleep(1000);
}

/* In the server's thread. */
static enum atls_error make_up_peer(int fd, struct atls_reason *why,
                                    struct agent_peer *ret_peer)
{
    enum atls_error r = agent_peer_of(fd, why, ret_peer);
    long uid = atomic_load(&running.uid);

    atomic_fetch_add(&running.accepted, 1);
    while (atomic_load(&running.is_holding))
        usleep(1000);
    if (r == ATLS_OK && uid >= 0) {
        agent_peer_clear(ret_peer);
        ret_peer->uid = (uid_t)uid;
        ret_peer->gid = (gid_t)uid;
    }
    return r;
}

/* In the server's thread. */
static void rename_sender(struct ucred *sender)
{
    long uid = atomic_load(&running.sender);

    if (uid >= 0) {
        sender->uid = (uid_t)uid;
        sender->gid = (gid_t)uid;
    }
}

static void *run(void *arg)
{
    agent_server_run(arg);
    return NULL;
}

void agentcase_start(void)
{
    struct agent_server_config config = {
        .path = agentcase.path,
        .connections_max = agentcase.connections_max,
        .signals = -1,
        .peer_of = make_up_peer,
        .rename_sender = rename_sender,
    };
    struct atls_reason why;

    grow_old(agentcase.path);
    grow_old(quotercase.config.ak_chain);
    agentcase_send_as(-1);
    running.log = atls_log_open(agentcase.log, ATLS_LOG_DEBUG);
    ck_assert_ptr_nonnull(running.log);
    config.log = running.log;
    ck_assert_msg(agent_listen(agentcase.socket, &why, &running.listener)
                      == ATLS_OK,
                  "%s", why.text);
    config.listener = running.listener.fd;
    ck_assert_msg(agent_server_new(&config, &why, &agentcase.server) == ATLS_OK,
                  "%s", why.text);
    ck_assert_int_eq(
        pthread_create(&running.thread, NULL, run, agentcase.server), 0);
}

void agentcase_stop(void)
{
    if (agentcase.server == NULL)
        return;
    agent_server_stop(agentcase.server);
    pthread_join(running.thread, NULL);
    agent_server_free(agentcase.server);
    agentcase.server = NULL;
    agent_listener_close(&running.listener);
    atls_log_close(running.log);
}

bool agentcase_connect_socket(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(agentcase.socket) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, agentcase.socket, strlen(agentcase.socket));
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

int agentcase_connect_quietly(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !agentcase_connect_socket(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

int agentcase_connect_as(long uid)
{
    unsigned before = atomic_load(&running.accepted);
    int fd;

    atomic_store(&running.uid, uid);
    fd = agentcase_connect_quietly();
    ck_assert_int_ge(fd, 0);
    while (atomic_load(&running.accepted) == before)
        usleep(100);
    return fd;
}

int agentcase_connect(void)
{
    return agentcase_connect_as(-1);
}

void agentcase_send_as(long uid)
{
    atomic_store(&running.sender, uid);
}

void agentcase_hold(void)
{
    atomic_store(&running.is_holding, true);
}

void agentcase_release(void)
{
    atomic_store(&running.is_holding, false);
}

bool agentcase_ask(int fd, unsigned number)
{
    struct atls_agent_request request = {.type = ATLS_AGENT_EVIDENCE,
                                         .formats = quotercase.formats};
    struct quotercase_handshake handshake;
    struct atls_reason why;
    uint8_t *octets = NULL;
    size_t len = 0;
    ssize_t sent;

    quotercase_describe(number, &handshake);
    request.role = handshake.role;
    memcpy(request.channel, handshake.channel, sizeof(request.channel));
    request.certificate = handshake.certificate;
    if (atls_agent_request_write(&request, &why, &octets, &len) != ATLS_OK)
        return false;
    sent = send(fd, octets, len, MSG_NOSIGNAL);
    OPENSSL_free(octets);
    return sent == (ssize_t)len;
}

void agentcase_send(int fd, const void *octets, size_t len)
{
    ck_assert_int_eq(send(fd, octets, len, MSG_NOSIGNAL), (ssize_t)len);
}

static ssize_t receive(int fd, uint8_t *octets, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    if (poll(&ready, 1, ANSWER_MS) != 1)
        return -2;
    return recv(fd, octets, size, MSG_DONTWAIT);
}

enum atls_error agentcase_receive(int fd, struct atls_agent_answer *ret_answer)
{
    static _Thread_local uint8_t octets[ATLS_AGENT_ANSWER_MAX];
    struct atls_reason why;
    ssize_t len = receive(fd, octets, sizeof(octets));

    *ret_answer = (struct atls_agent_answer){.type = ATLS_AGENT_REFUSAL};
    if (len == -2)
        return atls_fail(&ret_answer->reason, ATLS_E_TIMEOUT, "no answer");
    if (len <= 0)
        return atls_fail(&ret_answer->reason, ATLS_E_AGENT_UNAVAILABLE,
                         "the connection is at its end");
    if (atls_agent_answer_read(octets, (size_t)len, &why, ret_answer)
        != ATLS_OK) {
        ret_answer->reason = why;
        return why.code;
    }
    return ret_answer->type == ATLS_AGENT_REFUSAL ? ret_answer->reason.code
                                                  : ATLS_OK;
}

bool agentcase_is_evidence(const struct atls_agent_answer *answer,
                           unsigned number)
{
    uint8_t *cmw;

    if (answer->type != ATLS_AGENT_EVIDENCE)
        return false;
    cmw = OPENSSL_memdup(answer->cmw.data, answer->cmw.len);
    return cmw != NULL
           && quotercase_is_valid(number, cmw, answer->cmw.len, NULL);
}

void agentcase_expect_evidence(int fd, unsigned number)
{
    struct atls_agent_answer answer;
    enum atls_error r = agentcase_receive(fd, &answer);

    ck_assert_msg(r == ATLS_OK, "%s: %s", atls_error_name(r),
                  answer.reason.text);
    ck_assert(agentcase_is_evidence(&answer, number));
}

void agentcase_expect_refusal(int fd, enum atls_error code, const char *text)
{
    struct atls_agent_answer answer;
    enum atls_error r = agentcase_receive(fd, &answer);

    quotercase_expect(&answer.reason, r, code, text);
}

void agentcase_expect_end(int fd)
{
    uint8_t octet;

    ck_assert_int_le(receive(fd, &octet, sizeof(octet)), 0);
}

void agentcase_expect_served(long uid, unsigned number)
{
    int fd = agentcase_connect_as(uid);

    ck_assert(agentcase_ask(fd, number));
    agentcase_expect_evidence(fd, number);
    close(fd);
}

void agentcase_expect_refused(long uid, unsigned number, enum atls_error code,
                              const char *text)
{
    int fd = agentcase_connect_as(uid);

    ck_assert(agentcase_ask(fd, number));
    agentcase_expect_refusal(fd, code, text);
    close(fd);
}

void agentcase_await_served(long uid, unsigned number)
{
    struct atls_agent_answer answer;
    int64_t end_ms = atls_now_ms() + AWAIT_MS;
    enum atls_error r;

    do {
        int fd = agentcase_connect_as(uid);

        ck_assert(agentcase_ask(fd, number));
        r = agentcase_receive(fd, &answer);
        close(fd);
    } while (r != ATLS_OK && atls_now_ms() < end_ms);
    ck_assert_msg(r == ATLS_OK, "%s", answer.reason.text);
    agentcase_expect_served(uid, number);
}

void agentcase_await_logged(const char *text, unsigned count)
{
    int64_t end_ms = atls_now_ms() + AWAIT_MS;

    while (agentcase_logged(text) < count && atls_now_ms() < end_ms)
        usleep(5000);
    ck_assert_uint_eq(agentcase_logged(text), count);
}

unsigned agentcase_logged(const char *text)
{
    FILE *in = fopen(agentcase.log, "r");
    unsigned count = 0;
    char line[1200];

    if (in == NULL)
        return 0;
    while (fgets(line, sizeof(line), in) != NULL)
        count += strstr(line, text) != NULL;
    fclose(in);
    return count;
}
