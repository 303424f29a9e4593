/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/context.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <string.h>

#include "deny.h"
#include "openssl_compat.h"
#include "tls/channel.h"
#include "tls/connection.h"
#include "tls/extension.h"
#include "tls/gate.h"
#include "tls/hook.h"
#include "tls/lock.h"
#include "tls/refusal.h"

struct atls_context {
    atomic_uint refs;
    struct atls_instance *instance;
    struct atls_reason broken;
    atls_security_callback *base_security;
    _Atomic(SSL_CTX_keylog_cb_func) program_keylog;
};

static atomic_int ctx_index = -1;

void atls_hook_init(int index)
{
    ctx_index = index;
}

struct atls_context *atls_context_of(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, ctx_index);
}

struct atls_context *atls_context_ref(struct atls_context *context)
{
    atomic_fetch_add(&context->refs, 1);
    return context;
}

void atls_context_unref(struct atls_context *context)
{
    if (context == NULL || atomic_fetch_sub(&context->refs, 1) != 1)
        return;
    atls_instance_unref(context->instance);
    OPENSSL_free(context);
}

struct atls_instance *atls_context_instance(const struct atls_context *context)
{
    return context->instance;
}

const struct atls_reason *atls_context_broken(
    const struct atls_context *context)
{
    return &context->broken;
}

atls_security_callback *atls_context_base_security(
    const struct atls_context *context)
{
    return context->base_security;
}

static void take_secret(const SSL *s, const char *line)
{
    struct atls_connection *connection = atls_connection_find(s);
    uint8_t client_random[SSL3_RANDOM_SIZE];
    const uint8_t *expected = client_random;
    uint8_t secret[48];
    size_t secret_len;

    /* Only a connection that asked, or was asked, has a use for it. */
    if (connection == NULL || !connection->is_requested)
        return;
    if (SSL_get_client_random(s, client_random, sizeof(client_random))
        != sizeof(client_random))
        return;
    if (atls_ssl_has_ech(atls_connection_ssl(s)))
        expected = NULL; /* the line has that of the inner ClientHello */
    if (atls_channel_parse_keylog(line, expected, secret, &secret_len)
        == ATLS_OK)
        atls_connection_set_secret(connection, secret, secret_len);
    /* A program may have set a security callback since the ClientHello (S14):
     * this is the last moment before Certificate that is ours. */
    atls_gate_arm(connection, atls_connection_ssl(s));
    atls_lock_renew(connection, atls_connection_ssl(s));
    OPENSSL_cleanse(secret, sizeof(secret));
}

/* A program's callback may have wrapped ours, and call it back: it is not called once
 * more for that line. Without memory to know that, it is not called at all. */
static void call_program(const SSL *s, const char *line,
                         SSL_CTX_keylog_cb_func program)
{
    struct atls_connection *connection = atls_connection_of(s);

    if (connection == NULL || connection->is_logging_key)
        return;
    connection->is_logging_key = true;
    program(s, line);
    connection->is_logging_key = false;
}

static void keylog(const SSL *s, const char *line)
{
    struct atls_context *context = atls_context_of(SSL_get_SSL_CTX(s));
    SSL_CTX_keylog_cb_func program;

    ERR_set_mark();
    take_secret(s, line);
    program = context != NULL ? atomic_load(&context->program_keylog) : NULL;
    ERR_pop_to_mark();
    if (program != NULL)
        call_program(s, line, program);
}

void atls_context_arm_keylog(SSL_CTX *ctx)
{
    struct atls_context *context = atls_context_of(ctx);
    SSL_CTX_keylog_cb_func found;

    if (context == NULL)
        return;
    found = SSL_CTX_get_keylog_callback(ctx);
    if (found == keylog)
        return;
    atomic_store(&context->program_keylog, found);
    SSL_CTX_set_keylog_callback(ctx, keylog);
}

const struct atls_libssl atls_context_libssl = {
    .set_security_callback = SSL_CTX_set_security_callback,
    .is_server = SSL_is_server,
    .get_state = SSL_get_state,
    .get_method = SSL_CTX_get_ssl_method,
    .get_options = SSL_CTX_get_options,
    .any_method = TLS_method,
};

void atls_context_deny(SSL_CTX *ctx)
{
    static const struct atls_reason why = {
        .code = ATLS_E_NOMEM,
        .text = "attest had no memory to guard this TLS context; it refuses "
                "every handshake"};

    atls_deny(&atls_context_libssl, &why, ctx);
}

/* Another reason counts before this one. */
static void tell_of_no_extension(struct atls_context *context,
                                 const SSL_CTX *ctx)
{
    if (context->broken.code != ATLS_OK)
        return;
    if (SSL_CTX_has_client_custom_ext(ctx, ATLS_EXTENSION_TYPE))
        (void)atls_fail(
            &context->broken, ATLS_E_CONFIG,
            "TLS extension 0xffa7 is taken: attest is loaded from two "
            "files; keep one section for it in openssl.cnf");
    else
        (void)atls_fail(&context->broken, ATLS_E_NOMEM, NULL);
}

static struct atls_context *make_context(struct atls_instance *instance,
                                         SSL_CTX *ctx)
{
    struct atls_context *context;

    if (!atls_connection_init() || !atls_lock_init())
        return NULL;
    context = OPENSSL_zalloc(sizeof(*context));
    if (context == NULL)
        return NULL;
    atomic_init(&context->refs, 1);
    context->instance = atls_instance_ref(instance);
    context->broken = *atls_instance_broken(instance);
    context->base_security = SSL_CTX_get_security_callback(ctx);
    SSL_CTX_set_security_callback(ctx, atls_gate);
    if (atls_instance_has_verifier(instance))
        SSL_CTX_set_info_callback(ctx, atls_refusal_info);
    if (!atls_extension_add(ctx))
        tell_of_no_extension(context, ctx);
    return context;
}

/* From OpenSSL 3.2 an allocation that fails leaves an error too. */
void *atls_hook_attach(struct atls_instance *instance, SSL_CTX *ctx)
{
    struct atls_context *context;

    ERR_set_mark();
    context = make_context(instance, ctx);
    ERR_pop_to_mark();
    return context;
}

void atls_hook_detach(void *state)
{
    atls_context_unref(state);
}
