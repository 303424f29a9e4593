/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/hook.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "core.h"
#include "deny.h"
#include "openssl_compat.h"
#include "tls/async.h"
#include "tls/channel.h"
#include "tls/extension.h"
#include "tls/gate.h"
#include "tls/lock.h"
#include "tls/refusal.h"
#include "tls/state.h"

static void keylog(const SSL *s, const char *line);

/* See that our keylog callback is in force on a context, chained to the program's.
 * Contexts without a state of ours are left alone: the secret is not seen then, and
 * the handshake is refused. */
static void arm_keylog(SSL_CTX *ctx)
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

/* --- security ------------------------------------------------------------- */

/* Ask the program's callback on this object, or OpenSSL's own where there is none.
 * Within a program's callback that has wrapped ours it is OpenSSL's own. */
static int ask_others(struct atls_connection *connection, const SSL *s,
                      const SSL_CTX *ctx, int op, int bits, int nid,
                      void *other, void *ex)
{
    const struct atls_context *context =
        connection != NULL
            ? connection->context
            : atls_context_of(s != NULL ? SSL_get_SSL_CTX(s) : ctx);
    int ok;

    if (context == NULL)
        return 0;
    if (connection == NULL || connection->program_security == NULL
        || connection->is_asking)
        return context->base_security(s, ctx, op, bits, nid, other, ex);
    connection->is_asking = true;
    ok = connection->program_security(s, ctx, op, bits, nid, other, ex);
    connection->is_asking = false;
    return ok;
}

static int security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                    void *other, void *ex)
{
    struct atls_connection *connection =
        s != NULL ? atls_connection_find(s) : NULL;

    if (!ask_others(connection, s, ctx, op, bits, nid, other, ex))
        return 0;
    if (s == NULL)
        return 1;
    /* Another context's keylog callback may be in force by now (S26). */
    if (connection != NULL && connection->is_requested
        && !connection->has_channel)
        arm_keylog(SSL_get_SSL_CTX(s));
    return atls_gate(s, op, nid);
}

/* Put security and keylog callback back where the program has replaced them. */
static void arm(struct atls_connection *connection, SSL *s)
{
    atls_security_callback *found = SSL_get_security_callback(s);

    if (found != security) {
        connection->program_security = found;
        SSL_set_security_callback(s, security);
    }
    arm_keylog(SSL_get_SSL_CTX(s));
}

/* --- keylog --------------------------------------------------------------- */

static void take_secret(struct atls_connection *connection, const SSL *s,
                        const char *line)
{
    uint8_t client_random[SSL3_RANDOM_SIZE];
    const uint8_t *expected = client_random;
    uint8_t secret[48];
    size_t secret_len;

    if (SSL_get_client_random(s, client_random, sizeof(client_random))
        != sizeof(client_random))
        return;
    if (atls_ssl_has_ech(atls_connection_ssl(s)))
        expected = NULL; /* the line has that of the inner ClientHello */
    if (atls_channel_parse_keylog(line, expected, secret, &secret_len)
        == ATLS_OK) {
        atls_connection_forget_channel(connection);
        connection->has_channel =
            atls_channel_derive(secret, secret_len, ATLS_ROLE_SERVER,
                                connection->server_channel)
            == ATLS_OK;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    /* A program may have set a security callback since the ClientHello (S14):
     * this is our last callback before Certificate. */
    arm(connection, atls_connection_ssl(s));
    atls_lock_renew(connection, atls_connection_ssl(s));
}

/* A program's callback that has wrapped ours calls it back, and is not called once
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
    struct atls_connection *connection = atls_connection_find(s);
    SSL_CTX_keylog_cb_func program;

    ERR_set_mark();
    /* Only a connection that asked, or was asked, needs the secret. */
    if (connection != NULL && connection->is_requested)
        take_secret(connection, s, line);
    program = context != NULL ? atomic_load(&context->program_keylog) : NULL;
    ERR_pop_to_mark();
    if (program != NULL)
        call_program(s, line, program);
}

/* --- the extension -------------------------------------------------------- */

/* Every ClientHello passes here: the last moment before a handshake that asks or is
 * asked needs our callbacks. */
static void arm_at_hello(SSL *s, unsigned context)
{
    struct atls_connection *connection = atls_connection_find(s);

    if ((context & SSL_EXT_CLIENT_HELLO) == 0 || connection == NULL
        || !connection->is_requested)
        return;
    arm(connection, s);
    if (!SSL_is_server(s))
        atls_refusal_watch(connection, s);
}

static int add(SSL *s, unsigned type, unsigned context, const uint8_t **out,
               size_t *out_len, X509 *x, size_t chain_index, int *al, void *arg)
{
    int sent = atls_extension_add(s, context, x, chain_index, out, out_len, al);

    (void)type, (void)arg;
    arm_at_hello(s, context);
    return sent;
}

static void free_sent(SSL *s, unsigned type, unsigned context,
                      const uint8_t *out, void *arg)
{
    (void)s, (void)type, (void)context, (void)arg;
    OPENSSL_free((void *)(uintptr_t)out);
}

static int parse(SSL *s, unsigned type, unsigned context, const uint8_t *in,
                 size_t in_len, X509 *x, size_t chain_index, int *al, void *arg)
{
    int ok = atls_extension_parse(s, context, chain_index, in, in_len, al);

    (void)type, (void)x, (void)arg;
    arm_at_hello(s, context);
    return ok;
}

/* Without TLS1_3_ONLY, so that every ClientHello passes through our callback. */
static bool register_extension(SSL_CTX *ctx)
{
    return SSL_CTX_add_custom_ext(ctx, ATLS_EXTENSION_TYPE,
                                  SSL_EXT_CLIENT_HELLO
                                      | SSL_EXT_TLS1_3_CERTIFICATE
                                      | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST,
                                  add, free_sent, NULL, parse, NULL)
           == 1;
}

/* --- SSL and SSL_CTX ------------------------------------------------------ */

static void connection_is_made(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                               int idx, long argl, void *argp)
{
    (void)ptr, (void)ad, (void)idx, (void)argl, (void)argp;
    atls_async_prepare(parent);
}

static void connection_is_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                                int idx, long argl, void *argp)
{
    struct atls_connection *connection = ptr;

    (void)ad, (void)idx, (void)argl, (void)argp;
    if (connection == NULL)
        return;
    atls_async_release(connection, parent);
    atls_lock_forget(connection);
    atls_connection_free(connection);
}

/* Why the extension could not be registered. Another reason counts before this one. */
static void break_without_extension(struct atls_context *context,
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

    if (!atls_connection_init(connection_is_made, connection_is_freed)
        || !atls_lock_init())
        return NULL;
    context = OPENSSL_zalloc(sizeof(*context));
    if (context == NULL)
        return NULL;
    atomic_init(&context->refs, 1);
    context->instance = atls_instance_ref(instance);
    context->broken = *atls_instance_broken(instance);
    context->base_security = SSL_CTX_get_security_callback(ctx);
    SSL_CTX_set_security_callback(ctx, security);
    if (atls_instance_has_verifier(instance))
        SSL_CTX_set_info_callback(ctx, atls_refusal_info);
    if (!register_extension(ctx))
        break_without_extension(context, ctx);
    return context;
}

void atls_hook_init(int ctx_index)
{
    atls_context_set_index(ctx_index);
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

/* --- what attest-inner.so exports ------------------------------------------ */

static const struct atls_libssl libssl = {
    .set_security_callback = SSL_CTX_set_security_callback,
    .is_server = SSL_is_server,
    .get_state = SSL_get_state,
    .get_method = SSL_CTX_get_ssl_method,
    .get_options = SSL_CTX_get_options,
    .any_method = TLS_method,
};

void atls_hook_deny(SSL_CTX *ctx)
{
    static const struct atls_reason why = {
        .code = ATLS_E_NOMEM,
        .text = "attest had no memory to guard this TLS context; it refuses "
                "every handshake"};

    atls_deny(&libssl, &why, ctx);
}

__attribute__((used)) static const char interface_mark[] = ATLS_INTERFACE_MARK;

static struct atls_instance *instance_new(const struct atls_setting *settings,
                                          size_t count, int ctx_index)
{
    struct atls_instance *instance;

    atls_hook_init(ctx_index);
    ERR_set_mark();
    instance = atls_instance_new(settings, count);
    ERR_pop_to_mark();
    return instance;
}

/* A configuration that was read early has held its messages back until now. */
static void *attach(struct atls_instance *instance, SSL_CTX *ctx)
{
    atls_log_begin(atls_instance_log(instance));
    return atls_hook_attach(instance, ctx);
}

extern const struct atls_core atls_core;
__attribute__((visibility("default"))) const struct atls_core atls_core = {
    .interface = interface_mark,
    .version = ATLS_VERSION,
    .instance_new = instance_new,
    .instance_unref = atls_instance_unref,
    .instance_lacks = atls_instance_lacks,
    .attach = attach,
    .detach = atls_hook_detach,
    .deny = atls_hook_deny,
    .libssl = &libssl,
};
