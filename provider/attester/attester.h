/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_ATTESTER_H
#define ATLS_ATTESTER_ATTESTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/quoter.h"
#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "base/span.h"

/*
 * Where evidence comes from: the quoter in this process (quoter = tcti:...), or
 * the agent (quoter = unix:...). One of the two for its whole life: an agent that
 * is down is never replaced by a TPM that happens to be in reach.
 */
struct atls_attester;

struct atls_attester_config {
    const char *socket;               /* NULL: the quoter in this process */
    struct atls_quoter_config quoter; /* with socket, timeout_ms alone counts */
};

/*
 * As of atls_quoter_new() and atls_agent_client_new(). Stopping is for the end of
 * the program: who waits then stays for 2 s more.
 */
enum atls_error atls_attester_new(
    const struct atls_attester_config *config, atls_quoter_log *log,
    void *log_arg, struct atls_reason *why,
    struct atls_attester **ret_attester) ATLS_MUST_CHECK;
void atls_attester_stop(struct atls_attester *attester);
void atls_attester_free(struct atls_attester *attester); /* NULL is fine */

/* One handshake's evidence in the making. */
struct atls_pending;

/* As of atls_quoter_submit() and atls_agent_call_begin(). */
enum atls_error atls_attester_begin(
    struct atls_attester *attester, enum atls_role role,
    const uint8_t channel[ATLS_CHANNEL_LEN], struct atls_span cert_der,
    const struct atls_formats *formats, struct atls_reason *why,
    struct atls_pending **ret_pending) ATLS_MUST_CHECK;

/*
 * For a handshake that parks (ASYNC): add to an epoll(7) instance of the caller
 * what becomes readable when the evidence is there, has failed, or is late. The
 * descriptors are the pending one's own and leave the instance when it ends.
 * ATLS_OK, ATLS_E_INTERNAL, ATLS_E_IO (no descriptors).
 */
enum atls_error atls_pending_watch(struct atls_pending *pending, int epoll_fd,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Would atls_pending_wait() return at once? */
bool atls_pending_is_ready(struct atls_pending *pending);

/*
 * Wait for it, at most the configured timeout from its beginning.
 *   ret_cmw  set only on success; OPENSSL_free() it
 * Frees it in every case. Errors as of atls_ticket_wait(), atls_agent_call_wait().
 */
enum atls_error atls_pending_wait(struct atls_pending *pending,
                                  struct atls_reason *why, uint8_t **ret_cmw,
                                  size_t *ret_len) ATLS_MUST_CHECK;

void atls_pending_drop(struct atls_pending *pending); /* NULL is fine */

#endif
