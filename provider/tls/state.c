/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/state.h"

#include <openssl/crypto.h>
#include <string.h>

static atomic_int ctx_index = -1;
static atomic_int ssl_index = -1;

/* --- of an SSL_CTX -------------------------------------------------------- */

void atls_context_set_index(int index)
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

/* --- a handshake ---------------------------------------------------------- */

void atls_connection_forget_evidence(struct atls_connection *connection)
{
    OPENSSL_free(connection->evidence);
    connection->evidence = NULL;
    connection->evidence_len = 0;
}

void atls_connection_forget_channel(struct atls_connection *connection)
{
    OPENSSL_cleanse(connection->server_channel,
                    sizeof(connection->server_channel));
    connection->has_channel = false;
    connection->has_verdict = false;
    atls_connection_forget_evidence(connection);
}

static void forget_handshake(struct atls_connection *connection)
{
    atls_connection_forget_channel(connection);
    connection->refusal.code = ATLS_OK;
    connection->is_reported = false;
    connection->is_requested = false;
}

static void take_policy(struct atls_connection *connection)
{
    const struct atls_context *context = connection->context;
    struct atls_policy *policy = NULL;

    connection->broken.code = ATLS_OK;
    if (context->broken.code != ATLS_OK)
        connection->broken = context->broken;
    else
        connection->broken.code = atls_instance_policy(
            context->instance, &connection->broken, &policy);
    if (policy != connection->policy) {
        connection->is_matched = false;
        connection->match = (struct atls_match){.mode = ATLS_MODE_OFF};
    }
    atls_policy_unref(connection->policy);
    connection->policy = policy;
    connection->has_policy = true;
}

void atls_connection_begin(struct atls_connection *connection)
{
    forget_handshake(connection);
    take_policy(connection);
}

void atls_connection_set_verdict(struct atls_connection *connection)
{
    connection->has_verdict = true;
    connection->has_policy = false;
}

/* --- of an SSL ------------------------------------------------------------ */

/* SSL_dup must not make two objects share a state (design, fact 3). */
static int connection_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from,
                          void **from_d, int idx, long argl, void *argp)
{
    (void)to, (void)from, (void)idx, (void)argl, (void)argp;
    *from_d = NULL;
    return 1;
}

int atls_connection_init(CRYPTO_EX_new *is_made, CRYPTO_EX_free *is_freed)
{
    int none = -1;
    int index;

    if (atomic_load(&ssl_index) >= 0)
        return 1;
    index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, is_made,
                                    connection_dup, is_freed);
    /* Several threads may make their first context at once: the first index
     * counts, the others are left unused. */
    if (index >= 0)
        (void)atomic_compare_exchange_strong(&ssl_index, &none, index);
    return atomic_load(&ssl_index) >= 0;
}

struct atls_connection *atls_connection_find(const SSL *s)
{
    return SSL_get_ex_data(s, ssl_index);
}

struct atls_connection *atls_connection_of(const SSL *s)
{
    struct atls_connection *connection = atls_connection_find(s);
    struct atls_context *context;

    if (connection != NULL)
        return connection;
    context = atls_context_of(SSL_get_SSL_CTX(s));
    if (context == NULL)
        return NULL;
    connection = OPENSSL_zalloc(sizeof(*connection));
    if (connection == NULL)
        return NULL;
    connection->context = atls_context_ref(context);
    if (!SSL_set_ex_data(atls_connection_ssl(s), ssl_index, connection)) {
        atls_context_unref(context);
        OPENSSL_free(connection);
        return NULL;
    }
    take_policy(connection);
    return connection;
}

void atls_connection_free(struct atls_connection *connection)
{
    if (connection == NULL)
        return;
    atls_connection_forget_channel(connection);
    atls_policy_unref(connection->policy);
    atls_context_unref(connection->context);
    OPENSSL_free(connection);
}

/* --- the peer ------------------------------------------------------------- */

static bool is_same_peer(const struct atls_peer *a, const struct atls_peer *b)
{
    if (a->count != b->count || a->is_cut != b->is_cut)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    return true;
}

/* A policy never changes, so a match holds as long as it and the names do. */
static void look_up(struct atls_connection *connection, const SSL *s)
{
    const char *names[ATLS_PEER_NAMES_MAX];
    struct atls_peer peer;

    if (connection->policy == NULL) /* match stays as it was made: off */
        return;
    atls_peer_collect(s, &peer);
    if (connection->is_matched && is_same_peer(&peer, &connection->peer))
        return;
    connection->peer = peer;
    for (size_t i = 0; i < peer.count; i++)
        names[i] = connection->peer.names[i];
    atls_policy_match_server(connection->policy, names, peer.count,
                             &connection->match);
    if (peer.is_cut) {
        connection->match.mode = ATLS_MODE_REQUIRE;
        connection->match.refusal = ATLS_E_LIMIT;
    }
    connection->is_matched = true;
}

const struct atls_match *atls_connection_match(
    struct atls_connection *connection, const SSL *s)
{
    if (!connection->is_matched || SSL_get_state(s) == TLS_ST_BEFORE)
        look_up(connection, s);
    return &connection->match;
}

const struct atls_match *atls_connection_begin_hello(
    struct atls_connection *connection, const SSL *s)
{
    forget_handshake(connection);
    connection->is_asking = connection->is_logging_key =
        connection->is_informing = false;
    if (!connection->has_policy)
        take_policy(connection);
    look_up(connection, s);
    return &connection->match;
}

/* --- texts ---------------------------------------------------------------- */

const char *atls_connection_peer(const struct atls_connection *connection)
{
    return atls_peer_display(&connection->peer);
}

const char *atls_connection_found_by(const struct atls_connection *connection)
{
    const struct atls_match *match = &connection->match;

    if (match->count == 0 || match->found_by[0] == 0
        || match->found_by[0] == ATLS_MATCH_NAMELESS)
        return NULL;
    return connection->peer.names[match->found_by[0]];
}

const struct atls_section *atls_connection_section(
    const struct atls_connection *connection)
{
    return connection->match.count > 0 ? connection->match.sections[0] : NULL;
}

const char *atls_connection_section_name(
    const struct atls_connection *connection)
{
    const struct atls_section *section = atls_connection_section(connection);

    if (section != NULL)
        return section->name;
    return connection->match.refusal == ATLS_E_NAMELESS ? "policy (nameless)"
                                                        : "policy (otherwise)";
}

SSL *atls_connection_ssl(const SSL *s)
{
    return (SSL *)(uintptr_t)s;
}
