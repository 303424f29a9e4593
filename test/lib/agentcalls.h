/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_AGENTCALLS_H
#define TEST_AGENTCALLS_H

#include <stdbool.h>

#include "attester/agent_client.h"
#include "lib/fakeagent.h"

/*
 * A client and a puppet of an agent in a folder of the test's own, for the tests
 * of agent_client.h. The number of a call is written into its channel, and comes
 * back with its evidence.
 */
struct agentcalls {
    char path[108];
    struct fakeagent *agent;
    struct atls_agent_client *client;
    struct atls_span cert;
    unsigned descriptors; /* open in the beginning */
};

void agentcalls_open(struct agentcalls *calls, unsigned timeout_ms);

/* Free all, and see that no descriptor was left behind. */
void agentcalls_close(struct agentcalls *calls);

/* Another client with another timeout. */
void agentcalls_reopen(struct agentcalls *calls, unsigned timeout_ms);

/* Descriptors of this process. */
unsigned agentcalls_descriptors(void);

/* As of atls_agent_call_begin(). */
enum atls_error agentcalls_begin(struct agentcalls *calls, unsigned number,
                                 struct atls_reason *why,
                                 struct atls_agent_call **ret_call);
enum atls_error agentcalls_begin_with(struct atls_agent_client *client,
                                      const struct agentcalls *calls,
                                      unsigned number, struct atls_reason *why,
                                      struct atls_agent_call **ret_call);

/* Does its descriptor become readable? */
bool agentcalls_becomes_readable(const struct atls_agent_call *call,
                                 int timeout_ms);

/* Wait for it: is what comes the evidence of that number? For forked children,
 * and as an assertion. */
bool agentcalls_is_own(struct atls_agent_call *call, unsigned number);
void agentcalls_ck_own(struct atls_agent_call *call, unsigned number);

/* A whole call. */
bool agentcalls_is_served(struct agentcalls *calls, unsigned number);
void agentcalls_ck_served(struct agentcalls *calls, unsigned number);

/* A whole call is refused, when it begins or when it is waited for. */
void agentcalls_ck_refused(struct agentcalls *calls, enum atls_error expected,
                           const char *text);

#endif
