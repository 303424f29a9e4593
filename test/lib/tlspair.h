/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_TLSPAIR_H
#define ATLS_TEST_TLSPAIR_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/factory.h"

/*
 * A client with our gate and a server that is a puppet: plain OpenSSL that puts
 * into its Certificate message what a test tells it to, made by the factory for
 * the very connection. Both in this process, over memory. For the gate's tests:
 * no TPM, no files but the policy.
 */

/* What the puppet server does with the extension. */
enum puppet_mode {
    PUPPET_HONEST,        /* evidence for this connection */
    PUPPET_SILENT,        /* no evidence */
    PUPPET_OTHER_CHANNEL, /* evidence for another connection */
    PUPPET_OTHER_PCR,     /* PCR 4 has another value */
    PUPPET_SECOND_ENTRY,  /* evidence in the second certificate entry */
    PUPPET_BOTH_ENTRIES,  /* in both */
    PUPPET_EMPTY,         /* an extension without content */
    PUPPET_SHORT,         /* a length that is one too large */
    PUPPET_KEPT           /* what it sent last time */
};

#define PAIR_REASON_MAX 512

struct pair {
    struct factory factory;
    enum puppet_mode mode;
    unsigned asked;                    /* ClientHellos with our request */
    struct atls_formats asked_formats; /* by the last of them */
    unsigned hellos;                   /* ClientHellos, second ones too */
    bool has_secret;
    unsigned char *kept; /* last extension sent */
    size_t kept_len;

    SSL_CTX *server_ctx;
    SSL_CTX *client_ctx;
    struct atls_instance *instance;
    SSL *server;
    SSL *client;
    /* Of the last pair_shake(): what each side's queue began with, and what it
     * ended with; "": none. */
    char client_reason[PAIR_REASON_MAX];
    char server_reason[PAIR_REASON_MAX];
    char client_last[PAIR_REASON_MAX];
    char server_last[PAIR_REASON_MAX];
};

/*
 * Contexts and an instance for a policy.
 *   policy  text of the policy file; "@TRUST@" becomes the path of the factory's
 *           root, "@PCRS@" its pcr.* lines, "@COMPONENTS@" its component.* lines
 *           NULL: an instance that is not configured at all
 * Ends the test program on failure.
 */
void pair_init(struct pair *pair, const char *policy);
void pair_clear(struct pair *pair);

/* The policy most tests use: localhost must prove itself. */
extern const char *const pair_policy;

/* A client context of another method in place of the one there is. */
void pair_use_client_method(struct pair *pair, const SSL_METHOD *method);
/* The puppet's. */
void pair_use_server_method(struct pair *pair, const SSL_METHOD *method);

/* Put our gate into a context, as SSL_CTX_new's hook does. */
void pair_attach(struct pair *pair, SSL_CTX *ctx);

/* New SSL objects, connected to each other; the client's SNI is name, or none
 * for NULL. */
void pair_new(struct pair *pair, const char *name);
void pair_free(struct pair *pair);

/*
 * Run both until neither can go on. Returns true when both handshakes are done
 * and an octet went each way.
 */
bool pair_shake(struct pair *pair);

#endif
