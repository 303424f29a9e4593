/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/agent_client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/agent_standing.h"
#include "attester/agent_socket.h"
#include "attester/agent_wire.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/process.h"
#include "base/root.h"

/* How long a program that serves others meanwhile is kept by a full backlog. */
#define PATIENCE_IN_JOB_MS 5
/* How long a program is kept when it starts. */
#define PATIENCE_AT_START_MS 100

struct atls_agent_client {
    char *socket;
    unsigned timeout_ms;
    struct atls_agent_standing standing;
    struct atls_root root; /* when it was made */
};

struct atls_agent_call {
    struct atls_descriptor connection;
    int64_t deadline_ms;
    unsigned timeout_ms;
    unsigned generation; /* of the process whose handshake it is */
};

enum atls_error atls_agent_client_new(
    const struct atls_agent_client_config *config, atls_quoter_log *log,
    void *log_arg, struct atls_reason *why,
    struct atls_agent_client **ret_client)
{
    struct atls_agent_client *client;
    struct atls_reason absent;
    enum atls_error r = atls_agent_path_check(config->socket, why);
    int fd = -1;

    if (r != ATLS_OK)
        return r;
    client = OPENSSL_zalloc(sizeof(*client));
    if (client == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    client->timeout_ms = config->timeout_ms;
    client->socket = OPENSSL_strdup(config->socket);
    if (client->socket == NULL) {
        OPENSSL_free(client);
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    atls_root_note(&client->root);
    if (atls_agent_connect(client->socket, atls_now_ms() + PATIENCE_AT_START_MS,
                           &absent, &fd)
        == ATLS_OK)
        atls_agent_standing_set(&client->standing, fd);
    else if (log != NULL)
        log(log_arg, ATLS_LOG_DEBUG, absent.text);
    *ret_client = client;
    return ATLS_OK;
}

void atls_agent_client_free(struct atls_agent_client *client)
{
    if (client == NULL)
        return;
    atls_agent_standing_close(&client->standing);
    OPENSSL_free(client->socket);
    OPENSSL_free(client);
}

/* The agent came back, and the program may be on its way into a chroot. */
static void reopen_standing(struct atls_agent_client *client)
{
    int fd = -1;

    if (!atls_agent_standing_is_open(&client->standing)
        && atls_agent_connect(client->socket, atls_now_ms(), NULL, &fd)
               == ATLS_OK)
        atls_agent_standing_set(&client->standing, fd);
}

/* Has the program another root than when it began? Or the root of no mount
 * (statx(2), Linux 5.8), which somebody else made its root? */
static bool is_in_chroot(const struct atls_agent_client *client)
{
    struct statx mount;

    if (atls_root_has_changed(&client->root))
        return true;
    return statx(AT_FDCWD, "/", 0, 0, &mount) == 0
           && (mount.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0
           && (mount.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0;
}

/* Neither path nor standing connection: there, the agent may well be up. */
static enum atls_error fail_without_standing(
    const struct atls_agent_client *client, const struct atls_reason *path_why,
    struct atls_reason *why)
{
    if (access(client->socket, F_OK) != 0 && errno == ENOENT
        && is_in_chroot(client))
        return atls_fail(why, path_why->code,
                         "no agent at %s (No such file or directory) in this "
                         "chroot" ATLS_MORE
                         ": bind its folder there (BindReadOnlyPaths=), "
                         "or restart this program",
                         client->socket);
    return atls_fail_as(why, path_why);
}

/* By the path, else by the standing connection. What the path says is told where the
 * standing connection is closed; what else the standing connection says, such as a
 * refusal, or nothing at all, is the agent's. */
static enum atls_error reach(struct atls_agent_client *client,
                             int64_t deadline_ms, struct atls_reason *why,
                             int *ret_fd)
{
    int64_t patience_ms = ASYNC_get_current_job() != NULL
                              ? atls_now_ms() + PATIENCE_IN_JOB_MS
                              : deadline_ms;
    struct atls_reason path_why, standing_why;
    enum atls_error r =
        atls_agent_connect(client->socket, patience_ms, &path_why, ret_fd);

    if (r == ATLS_OK) {
        reopen_standing(client);
        return ATLS_OK;
    }
    if (r != ATLS_E_AGENT_UNAVAILABLE)
        return atls_fail_as(why, &path_why);
    r = atls_agent_standing_ask(&client->standing, deadline_ms, &standing_why,
                                ret_fd);
    if (r == ATLS_OK)
        return ATLS_OK;
    if (r == ATLS_E_AGENT_UNAVAILABLE
        && !atls_agent_standing_is_open(&client->standing))
        return fail_without_standing(client, &path_why, why);
    return atls_fail_as(why, &standing_why);
}

static enum atls_error send_request(int fd,
                                    const struct atls_agent_request *request,
                                    struct atls_reason *why)
{
    uint8_t *octets = NULL;
    size_t len = 0;
    enum atls_error r = atls_agent_request_write(request, why, &octets, &len);

    if (r != ATLS_OK)
        return r;
    r = atls_agent_send(fd, octets, len, why);
    OPENSSL_free(octets);
    return r;
}

enum atls_error atls_agent_call_begin(struct atls_agent_client *client,
                                      enum atls_role role,
                                      const uint8_t channel[ATLS_CHANNEL_LEN],
                                      struct atls_span cert_der,
                                      const struct atls_formats *formats,
                                      struct atls_reason *why,
                                      struct atls_agent_call **ret_call)
{
    struct atls_agent_request request = {
        .type = ATLS_AGENT_EVIDENCE,
        .role = role,
        .formats = *formats,
        .certificate = cert_der,
    };
    struct atls_agent_call *call = OPENSSL_zalloc(sizeof(*call));
    enum atls_error r;
    int fd = -1;

    if (call == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    memcpy(request.channel, channel, sizeof(request.channel));
    call->generation = atls_process_generation();
    call->timeout_ms = client->timeout_ms;
    call->deadline_ms = atls_now_ms() + client->timeout_ms;
    r = reach(client, call->deadline_ms, why, &fd);
    atls_descriptor_set(&call->connection, fd);
    if (r == ATLS_OK)
        r = send_request(fd, &request, why);
    if (r != ATLS_OK) {
        atls_agent_call_drop(call);
        return r;
    }
    *ret_call = call;
    return ATLS_OK;
}

int atls_agent_call_fd(const struct atls_agent_call *call)
{
    return call->connection.fd;
}

int64_t atls_agent_call_deadline_ms(const struct atls_agent_call *call)
{
    return call->deadline_ms;
}

/* May it be waited for at all, and with this descriptor? */
static enum atls_error check_usable(const struct atls_agent_call *call,
                                    struct atls_reason *why)
{
    if (call->generation != atls_process_generation())
        return atls_fail(why, ATLS_E_INTERNAL,
                         "this handshake was started by another process");
    if (!atls_descriptor_is_ours(&call->connection))
        return atls_fail(why, ATLS_E_INTERNAL,
                         "the program closed descriptor %d, this handshake's "
                         "connection to the agent",
                         call->connection.fd);
    return ATLS_OK;
}

bool atls_agent_call_is_ready(const struct atls_agent_call *call)
{
    return check_usable(call, NULL) != ATLS_OK
           || atls_agent_poll(call->connection.fd, POLLIN, 0)
           || atls_now_ms() >= call->deadline_ms;
}

static enum atls_error take_evidence(const uint8_t *octets, size_t len,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len)
{
    struct atls_agent_answer answer;
    enum atls_error r = atls_agent_answer_read(octets, len, why, &answer);

    if (r != ATLS_OK)
        return r;
    if (answer.type == ATLS_AGENT_REFUSAL)
        return atls_fail_as(why, &answer.reason);
    if (answer.type != ATLS_AGENT_EVIDENCE)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the agent answered with a connection where evidence "
                         "was asked for");
    *ret_cmw = OPENSSL_memdup(answer.cmw.data, answer.cmw.len);
    if (*ret_cmw == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    *ret_len = answer.cmw.len;
    return ATLS_OK;
}

static enum atls_error receive(int fd, struct atls_reason *why,
                               uint8_t **ret_cmw, size_t *ret_len)
{
    uint8_t *octets = OPENSSL_malloc(ATLS_AGENT_ANSWER_MAX);
    enum atls_error r;
    ssize_t n;

    if (octets == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    n = atls_agent_receive(fd, octets, ATLS_AGENT_ANSWER_MAX, NULL);
    if (n <= 0)
        r = atls_fail(why, ATLS_E_AGENT_UNAVAILABLE,
                      "the agent ended the connection without an answer: see "
                      "journalctl -u attestd");
    else if ((size_t)n > ATLS_AGENT_ANSWER_MAX)
        r = atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                      "the agent answered with %zd octets, %u are allowed", n,
                      ATLS_AGENT_ANSWER_MAX);
    else
        r = take_evidence(octets, (size_t)n, why, ret_cmw, ret_len);
    OPENSSL_free(octets);
    return r;
}

enum atls_error atls_agent_call_wait(struct atls_agent_call *call,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len)
{
    int fd = call->connection.fd;
    enum atls_error r = check_usable(call, why);

    if (r == ATLS_OK && !atls_agent_poll(fd, POLLIN, call->deadline_ms))
        r = atls_fail(why, ATLS_E_TIMEOUT,
                      "the agent gave no evidence within %u ms: see journalctl "
                      "-u attestd",
                      call->timeout_ms);
    if (r == ATLS_OK)
        r = receive(fd, why, ret_cmw, ret_len);
    atls_agent_call_drop(call);
    return r;
}

void atls_agent_call_drop(struct atls_agent_call *call)
{
    if (call == NULL)
        return;
    atls_descriptor_close(&call->connection);
    OPENSSL_free(call);
}
