/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_HOOKCASE_H
#define ATLS_TEST_HOOKCASE_H

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The module as a program sees it: attest.so as it was built, found by its path,
 * in library contexts with configurations of their own. Nothing of ours is
 * linked. For tests of the provider's life in a process.
 */

#define HOOKCASE_SECONDS 600

/* In a child: end it, with where and why. */
#define need(condition)                                                       \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                         \
        }                                                                     \
    } while (0)

/* The same of a shake() that must succeed, and what its sides said. */
#define need_shake(passed)                                                \
    do {                                                                  \
        if (!(passed)) {                                                  \
            fprintf(stderr, "# %s:%d: %s: \"%s\" and \"%s\"\n", __FILE__, \
                    __LINE__, #passed, client_reason, server_reason);     \
            _exit(1);                                                     \
        }                                                                 \
    } while (0)

/* Is that part of what either side of the last shake() said? */
#define need_reason(part)                                                    \
    do {                                                                     \
        if (!reason_has(part)) {                                             \
            fprintf(stderr, "# %s:%d: no \"%s\" in \"%s\" or \"%s\"\n",      \
                    __FILE__, __LINE__, part, client_reason, server_reason); \
            _exit(1);                                                        \
        }                                                                    \
    } while (0)

/* In a child of in_child(): its leaks are not looked for when it ends. They are
 * OpenSSL's own (which loses a provider that it has no memory for, or that another one
 * has loaded), or cannot be looked for (/proc is not there in another root). */
void leave_leaks(void);

/*
 * Run a case in a process of its own, because what the first load leaves behind
 * cannot be undone. It must end with status `expected`; one that hangs is ended by
 * SIGALRM.
 */
void in_child(void (*body)(int), int argument, int expected);

/*
 * The begin and end of a suite: a scratch folder with open.cnf, which lets every
 * peer pass, shut.cnf, which lets none pass, and plain.cnf, which is without us;
 * and the server's certificate.
 */
void hookcase_begin(void);
void hookcase_end(void);

/* In a child that exits and leaves the folder to its parent. */
void drop_certificate(void);

/* ---- configurations, in the scratch folder ---- */

void write_text(const char *name, const char *text);
const char *module_of_build(void); /* path of attest.so */

/* A copy of attest.so or attest-inner.so. */
void copy_object(const char *object, const char *name);

/* An openssl.cnf with the default provider and one that verifies by a policy;
 * more: lines for the list of providers, and sections. */
void write_configuration(const char *name, const char *module,
                         const char *policy, const char *more);

/* The same with lines for the provider's section, and the other providers. */
void write_section(const char *name, const char *module, const char *policy,
                   const char *keys, const char *providers);

OSSL_LIB_CTX *library(const char *configuration);

/* ---- TLS over memory ---- */

extern _Thread_local char client_reason[256];
extern _Thread_local char server_reason[256];
bool reason_has(const char *part);

/* There is no making a context in it; both reasons are the one for that. */
bool has_no_context(OSSL_LIB_CTX *libctx, const SSL_METHOD *method);

SSL_CTX *client_of(OSSL_LIB_CTX *libctx);
SSL_CTX *server_of(OSSL_LIB_CTX *libctx);
SSL_CTX *server_with(OSSL_LIB_CTX *libctx, const SSL_METHOD *method);

/* Handshake and an octet each way; the client's SNI is peer.example. */
bool shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx);

#endif
