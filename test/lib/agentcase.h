/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_AGENTCASE_H
#define ATTEST_TEST_AGENTCASE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/server.h"
#include "attester/agent_wire.h"
#include "base/error.h"

/*
 * attestd's server in a thread of the test, on a swtpm (lib/quotercase.h, whose
 * handshakes are numbers), and clients of it that send what they like. The
 * connections' users may be made up.
 */
struct agentcase {
    char path[600]; /* of the configuration */
    char socket[600];
    char log[600];
    struct agent_server *server; /* NULL: not started */
    size_t connections_max;
    bool is_of_user; /* the next connections are of user, else of ourselves */
    uid_t user;
};

extern struct agentcase agentcase;

/* The set_up and tear_down of a case: swtpm, AK, chain; no server yet. */
void agentcase_set_up(void);
void agentcase_tear_down(void);

/* Write the configuration: what the swtpm needs, then these lines. Unless they
 * say otherwise, certificate = any. */
void agentcase_configure(const char *lines);

/* Put a gate before the TPM, before the server starts: while it is closed, quotes
 * wait. How many commands have come there so far? */
void agentcase_make_gate(void);
void agentcase_close_gate(void);
void agentcase_open_gate(void);
unsigned agentcase_commands(void);

void agentcase_start(void);
void agentcase_stop(void);

/* Connect as a user, and wait until the server has seen that; -1: as ourselves. */
int agentcase_connect_as(long uid);
int agentcase_connect(void);

/* The user whom the server's next messages come from; -1: as the kernel says. */
void agentcase_send_as(long uid);

/* Connect a socket, and wait for nothing; the same with a new one, for any thread:
 * nothing is asserted. */
bool agentcase_connect_socket(int fd);
int agentcase_connect_quietly(void);

/* Between the two calls the server waits in the middle of letting a peer in. */
void agentcase_hold(void);
void agentcase_release(void);

/* A request for evidence for a handshake; false when it cannot be sent. */
bool agentcase_ask(int fd, unsigned number);
void agentcase_send(int fd, const void *octets, size_t len);

/* Receive an answer, for at most ten seconds. A refusal's code, ATLS_OK for
 * another; what it is stays valid in this thread until the next one. */
enum atls_error agentcase_receive(int fd, struct atls_agent_answer *ret_answer);

/* Is it evidence for that handshake? For any thread. */
bool agentcase_is_evidence(const struct atls_agent_answer *answer,
                           unsigned number);

/* Evidence for that handshake; a refusal; a closed connection. */
void agentcase_expect_evidence(int fd, unsigned number);
void agentcase_expect_refusal(int fd, enum atls_error code, const char *text);
void agentcase_expect_end(int fd);

/* One request on a connection of its own, by a user. */
void agentcase_expect_served(long uid, unsigned number);
void agentcase_expect_refused(long uid, unsigned number, enum atls_error code,
                              const char *text);

/* The same, again and again for five seconds: until it is so. */
void agentcase_await_served(long uid, unsigned number);

/* Wait until a text stands in the log that many times. */
void agentcase_await_logged(const char *text, unsigned count);

/* How often a text stands in the agent's log. */
unsigned agentcase_logged(const char *text);

#endif
