/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/connection.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>

#include "tls/async.h"
#include "tls/channel.h"

static atomic_int ssl_index = -1;

SSL *atls_connection_ssl(const SSL *s)
{
    return (SSL *)(uintptr_t)s;
}

/* Nothing is made yet (design, fact 3). */
static void connection_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
                           long argl, void *argp)
{
    (void)ptr, (void)ad, (void)idx, (void)argl, (void)argp;
    atls_async_prepare(parent);
}

static void connection_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                            int idx, long argl, void *argp)
{
    struct atls_connection *connection = ptr;

    (void)ad, (void)idx, (void)argl, (void)argp;
    if (connection == NULL)
        return;
    atls_async_release(connection, parent);
    atls_connection_reset(connection);
    atls_context_unref(connection->context);
    OPENSSL_free(connection);
}

/* SSL_dup must not make two objects share a state (design, fact 3). */
static int connection_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from,
                          void **from_d, int idx, long argl, void *argp)
{
    (void)to, (void)from, (void)idx, (void)argl, (void)argp;
    *from_d = NULL;
    return 1;
}

int atls_connection_init(void)
{
    int none = -1;
    int index;

    if (atomic_load(&ssl_index) >= 0)
        return 1;
    index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, connection_new,
                                connection_dup, connection_free);
    /* Several threads may make their first context at once: the first index
     * counts, another is left unused. */
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
    return connection;
}

void atls_connection_forget_evidence(struct atls_connection *connection)
{
    OPENSSL_free(connection->evidence);
    connection->evidence = NULL;
    connection->evidence_len = 0;
}

static void forget_channel(struct atls_connection *connection)
{
    OPENSSL_cleanse(connection->server_channel,
                    sizeof(connection->server_channel));
    connection->has_channel = false;
    atls_connection_forget_evidence(connection);
}

void atls_connection_reset(struct atls_connection *connection)
{
    forget_channel(connection);
    connection->is_raised = false;
    connection->is_reported = false;
    connection->is_requested = false;
}

void atls_connection_set_secret(struct atls_connection *connection,
                                const uint8_t *secret, size_t secret_len)
{
    forget_channel(connection);
    if (atls_channel_derive(secret, secret_len, ATLS_ROLE_SERVER,
                            connection->server_channel)
        == ATLS_OK)
        connection->has_channel = true;
}

static bool is_same_peer(const struct atls_peer *a, const struct atls_peer *b)
{
    if (a->count != b->count || a->is_cut != b->is_cut)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    return true;
}

/* The policy is the context's and never changes, so a match holds as long as
 * the names do. */
static void look_up(struct atls_connection *connection, const SSL *s)
{
    const struct atls_policy *policy = atls_context_policy(connection->context);
    const char *names[ATLS_PEER_NAMES_MAX];
    struct atls_peer peer;

    if (policy == NULL) /* match stays as it was made: ATLS_MODE_OFF */
        return;
    atls_peer_collect(s, &peer);
    if (connection->is_matched && is_same_peer(&peer, &connection->peer))
        return;
    connection->peer = peer;
    for (size_t i = 0; i < peer.count; i++)
        names[i] = connection->peer.names[i];
    atls_policy_match_server(policy, names, peer.count, &connection->match);
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
    atls_connection_reset(connection);
    look_up(connection, s);
    return &connection->match;
}
