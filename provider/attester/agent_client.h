/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_AGENT_CLIENT_H
#define ATLS_ATTESTER_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/quoter.h"
#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "base/span.h"

/*
 * The program's end of attestd: no thread, no lock, no state but one descriptor.
 *
 * Each handshake has a connection of its own to the agent, so no thread and no forked
 * child reads what belongs to another. The connection is made by the socket's path.
 * Where the path cannot be reached any more (chroot, sandbox, rights given up), it
 * comes out of the *standing connection*, over which the agent hands out others. The
 * standing connection is opened when the client is made, before programs give up
 * anything. Forked processes share it: a message is one message, and each connection
 * that comes out of it is as good as another.
 *
 *   path    | standing connection | a request
 *   works   | open                | goes over a connection by path
 *   works   | closed              | the same; the standing connection is reopened
 *   fails   | answers             | goes over a connection that was handed out
 *   fails   | silent              | is refused: the agent does not answer
 *   fails   | closed              | is refused with what the path says
 */
struct atls_agent_client;

struct atls_agent_client_config {
    const char *socket;  /* absolute path; copied */
    unsigned timeout_ms; /* 1..600000: what a handshake waits */
};

/* Open the standing connection, if the agent is there: that it is not is no error,
 * since it may come later, and told to log at debug only, since most programs of a
 * machine have a client and never prove anything. ATLS_OK, ATLS_E_CONFIG (a path that
 * is relative or too long for sockaddr_un), ATLS_E_NOMEM. */
enum atls_error atls_agent_client_new(
    const struct atls_agent_client_config *config, atls_quoter_log *log,
    void *log_arg, struct atls_reason *why,
    struct atls_agent_client **ret_client) ATLS_MUST_CHECK;
void atls_agent_client_free(
    struct atls_agent_client *client); /* NULL is fine */

/* One handshake's request: belongs to one thread at a time. */
struct atls_agent_call;

/* Send a request. Does not wait for evidence; but within the deadline for a place in
 * the agent's backlog, in an ASYNC job 5 ms, and for the standing connection's answer
 * 1 s, once that was late 5 ms. ATLS_OK, ATLS_E_AGENT_UNAVAILABLE (what was tried,
 * errno, what to do), ATLS_E_QUEUE_FULL (it is there and overloaded),
 * ATLS_E_AGENT_PROTOCOL or the agent's refusal (of the standing connection),
 * ATLS_E_TOO_LARGE, ATLS_E_NOMEM, ATLS_E_IO (no descriptors). */
enum atls_error atls_agent_call_begin(
    struct atls_agent_client *client, enum atls_role role,
    const uint8_t channel[ATLS_CHANNEL_LEN], struct atls_span cert_der,
    const struct atls_formats *formats, struct atls_reason *why,
    struct atls_agent_call **ret_call) ATLS_MUST_CHECK;

/* Readable (or at its end) once there is an answer; lives as long as the call. */
int atls_agent_call_fd(const struct atls_agent_call *call);

/* CLOCK_MONOTONIC, ms: the call fails then. */
int64_t atls_agent_call_deadline_ms(const struct atls_agent_call *call);

/* Would atls_agent_call_wait() return at once? */
bool atls_agent_call_is_ready(const struct atls_agent_call *call);

/*
 * Wait for the answer until the deadline (poll(2); EINTR does not end it).
 *   ret_cmw  set only on success; OPENSSL_free() it
 * Frees the call in every case. ATLS_OK, ATLS_E_TIMEOUT,
 * ATLS_E_AGENT_UNAVAILABLE (it died meanwhile), ATLS_E_AGENT_PROTOCOL,
 * ATLS_E_INTERNAL (a call of the parent process, or the program closed its
 * descriptor), ATLS_E_NOMEM, or the agent's refusal as it gave it.
 */
enum atls_error atls_agent_call_wait(struct atls_agent_call *call,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len) ATLS_MUST_CHECK;

void atls_agent_call_drop(struct atls_agent_call *call); /* NULL is fine */

#endif
