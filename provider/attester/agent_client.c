/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/agent_client.h"

enum atls_error atls_agent_client_new(
    const struct atls_agent_client_config *config, atls_quoter_log *log,
    void *log_arg, struct atls_reason *why,
    struct atls_agent_client **ret_client)
{
    (void)config, (void)log, (void)log_arg, (void)ret_client;
    return atls_fail(why, ATLS_E_CONFIG, NULL);
}

void atls_agent_client_free(struct atls_agent_client *client)
{
    (void)client;
}

enum atls_error atls_agent_call_begin(struct atls_agent_client *client,
                                      enum atls_role role,
                                      const uint8_t channel[ATLS_CHANNEL_LEN],
                                      struct atls_span cert_der,
                                      const struct atls_formats *formats,
                                      struct atls_reason *why,
                                      struct atls_agent_call **ret_call)
{
    (void)client, (void)role, (void)channel, (void)cert_der, (void)formats;
    (void)ret_call;
    return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE, NULL);
}

int atls_agent_call_fd(const struct atls_agent_call *call)
{
    (void)call;
    return -1;
}

int64_t atls_agent_call_deadline_ms(const struct atls_agent_call *call)
{
    (void)call;
    return 0;
}

bool atls_agent_call_is_ready(const struct atls_agent_call *call)
{
    (void)call;
    return true;
}

enum atls_error atls_agent_call_wait(struct atls_agent_call *call,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len)
{
    (void)call, (void)ret_cmw, (void)ret_len;
    return atls_fail(why, ATLS_E_AGENT_UNAVAILABLE, NULL);
}

void atls_agent_call_drop(struct atls_agent_call *call)
{
    (void)call;
}
