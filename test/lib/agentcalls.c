/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/agentcalls.h"

#include <check.h>
#include <dirent.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/scratch.h"

unsigned agentcalls_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

void agentcalls_reopen(struct agentcalls *calls, unsigned timeout_ms)
{
    const struct atls_agent_client_config config = {.socket = calls->path,
                                                    .timeout_ms = timeout_ms};

    atls_agent_client_free(calls->client);
    calls->client = NULL;
    ck_assert_int_eq(
        atls_agent_client_new(&config, NULL, NULL, NULL, &calls->client),
        ATLS_OK);
}

void agentcalls_open(struct agentcalls *calls, unsigned timeout_ms)
{
    static const uint8_t der[] = {0x30, 0x01, 0x00};

    memset(calls, 0, sizeof(*calls));
    scratch_make();
    calls->descriptors = agentcalls_descriptors();
    snprintf(calls->path, sizeof(calls->path), "%s",
             scratch_path("agent.sock"));
    calls->cert = (struct atls_span){der, sizeof(der)};
    calls->agent = fakeagent_start(calls->path);
    agentcalls_reopen(calls, timeout_ms);
}

void agentcalls_close(struct agentcalls *calls)
{
    atls_agent_client_free(calls->client);
    fakeagent_stop(calls->agent);
    ck_assert_uint_eq(agentcalls_descriptors(), calls->descriptors);
    scratch_remove();
}

enum atls_error agentcalls_begin_with(struct atls_agent_client *client,
                                      const struct agentcalls *calls,
                                      unsigned number, struct atls_reason *why,
                                      struct atls_agent_call **ret_call)
{
    const struct atls_formats formats = {1, {ATLS_FORMAT_TPM}};
    uint8_t channel[ATLS_CHANNEL_LEN] = {0};

    memcpy(channel, &number, sizeof(number));
    return atls_agent_call_begin(client, ATLS_ROLE_SERVER, channel, calls->cert,
                                 &formats, why, ret_call);
}

enum atls_error agentcalls_begin(struct agentcalls *calls, unsigned number,
                                 struct atls_reason *why,
                                 struct atls_agent_call **ret_call)
{
    return agentcalls_begin_with(calls->client, calls, number, why, ret_call);
}

bool agentcalls_becomes_readable(const struct atls_agent_call *call,
                                 int timeout_ms)
{
    struct pollfd pollfd = {.fd = atls_agent_call_fd(call), .events = POLLIN};

    return poll(&pollfd, 1, timeout_ms) == 1;
}

bool agentcalls_is_own(struct atls_agent_call *call, unsigned number)
{
    uint8_t expected[FAKEAGENT_CMW_LEN] = "fakes";
    uint8_t *cmw = NULL;
    size_t len = 0;
    enum atls_error r = atls_agent_call_wait(call, NULL, &cmw, &len);
    bool is_own;

    memcpy(expected + 5, &number, sizeof(number));
    is_own = r == ATLS_OK && len == sizeof(expected)
             && memcmp(cmw, expected, len) == 0;
    OPENSSL_free(cmw);
    return is_own;
}

void agentcalls_ck_own(struct atls_agent_call *call, unsigned number)
{
    ck_assert_msg(agentcalls_is_own(call, number), "evidence of call %u",
                  number);
}

bool agentcalls_is_served(struct agentcalls *calls, unsigned number)
{
    struct atls_agent_call *call = NULL;

    return agentcalls_begin(calls, number, NULL, &call) == ATLS_OK
           && agentcalls_is_own(call, number);
}

void agentcalls_ck_served(struct agentcalls *calls, unsigned number)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why = {.code = ATLS_OK};

    ck_assert_msg(agentcalls_begin(calls, number, &why, &call) == ATLS_OK,
                  "call %u: %s", number, why.text);
    agentcalls_ck_own(call, number);
}

void agentcalls_ck_refused(struct agentcalls *calls, enum atls_error expected,
                           const char *text)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t *cmw = NULL;
    size_t len = 0;
    enum atls_error r = agentcalls_begin(calls, 1, &why, &call);

    if (r == ATLS_OK)
        r = atls_agent_call_wait(call, &why, &cmw, &len);
    ck_assert_ptr_null(cmw);
    ck_assert_str_eq(why.text, text);
    ck_assert_int_eq(why.code, expected);
    ck_assert_int_eq(r, expected);
}
