/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_ASYNCCASE_H
#define ATTEST_TEST_ASYNCCASE_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "instance.h"

/*
 * What the tests of tls/async.h share: a server with SSL_MODE_ASYNC that proves
 * itself by a swtpm whose quotes take long, or are held (lib/quotercase.h), and
 * clients that verify it by its real chain; both in this process, over memory.
 */
struct asynccase {
    atomic_int quote_ms; /* what each TPM2_Quote takes */
    atomic_int quotes;   /* that went through so far */
    struct atls_instance *instance;
    SSL_CTX *server_ctx;
};

extern struct asynccase asynccase;

/* The set_up and tear_down of a case: a TPM without delay. */
void asynccase_set_up(void);
void asynccase_tear_down(void);

/* Replace the server's instance and context, with settings of [attester_sect]; NULL:
 * 15000 and 1024. */
void asynccase_configure(const char *timeout, const char *max_queue);

/* Put text behind the client's policy, which the next handshake reads again. */
void asynccase_extend_policy(const char *text);

/* One connection. */
struct asynclink {
    SSL *client;
    SSL *server;
};

void asynclink_new(struct asynclink *link);
void asynclink_free(struct asynclink *link);

/* The client's ClientHello, and what SSL_get_error() says of the server's first
 * SSL_accept(). */
int asynclink_begin(struct asynclink *link);

/* The same, and it must be SSL_ERROR_WANT_ASYNC: its quote is not there before,
 * however fast the TPM is. */
void asynclink_begin_parked(struct asynclink *link);

/* A new connection, begun like that. */
void asynclink_park(struct asynclink *link);

/* The one wait descriptor. */
int asynclink_fd(const struct asynclink *link);

/* Does it become readable? False after that many ms. */
bool asynclink_is_woken(const struct asynclink *link, int ms);

/* Run both sides to their ends, waiting on the descriptor meanwhile: are both
 * handshakes done, evidence verified, and did an octet go each way? */
bool asynclink_finish(struct asynclink *link);

/* As asynclink_finish(), but it must be refused, with that in the server's
 * reason. Takes the error queue. */
void asynclink_expect_refusal(struct asynclink *link, const char *text);

/* Descriptors whose link in /proc/self/fd holds that text. */
unsigned count_descriptors(const char *text);

#endif
