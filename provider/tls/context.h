/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_CONTEXT_H
#define ATLS_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "instance.h"
#include "base/error.h"
#include "libssl.h"
#include "verifier/policy.h"

/* The type of OpenSSL's info callback. */
typedef void atls_info_callback(const SSL *s, int type, int value);

/*
 * What we keep for one SSL_CTX, made by the hook (hook.c) while SSL_CTX_new
 * runs and immutable after that but for program_keylog. Reference counted: a
 * connection keeps the one it began with, whatever SSL_set_SSL_CTX does.
 */
struct atls_context;

/* The state of a context, or NULL when it is older than the provider or not of
 * this instance's. Borrowed; ctx_index as of core.h. */
struct atls_context *atls_context_of(const SSL_CTX *ctx);

struct atls_context *atls_context_ref(struct atls_context *context);
void atls_context_unref(struct atls_context *context); /* NULL is fine */

struct atls_instance *atls_context_instance(const struct atls_context *context);

/* Refuse everything with this reason, whatever the policy says; code ATLS_OK: go by
 * the policy. */
const struct atls_reason *atls_context_broken(
    const struct atls_context *context);

/* The security callback found when the context was made: OpenSSL's default. */
atls_security_callback *atls_context_base_security(
    const struct atls_context *context);

/*
 * See that our keylog callback is the one in force on ctx, chained to the
 * program's. Called at the first need and again in every security operation of
 * a handshake that waits for its secret, as programs set theirs at any time and
 * SSL_set_SSL_CTX brings another context's. Does nothing for contexts without
 * our state: the secret is then not seen and the handshake refused.
 */
void atls_context_arm_keylog(SSL_CTX *ctx);

/* The libssl that this object is linked with (core.h). */
extern const struct atls_libssl atls_context_libssl;

/* Make a context refuse every handshake (core.h). */
void atls_context_deny(SSL_CTX *ctx);

#endif
