/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/tlspair.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "instance.h"
#include "lib/scratch.h"
#include "tls/channel.h"
#include "tls/hook.h"

const char *const pair_policy = "[policy]\n"
                                "servers = lab\n"
                                "otherwise = off\n"
                                "nameless = refuse\n"
                                "[lab]\n"
                                "names = localhost\n"
                                "mode = require\n"
                                "trust = @TRUST@\n"
                                "machines = machine0.example\n"
                                "@PCRS@"
                                "@COMPONENTS@";

static int ctx_index = -1;
static int pair_index = -1;

#define REQUIRE(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            ERR_print_errors_fp(stderr);                                    \
            abort();                                                        \
        }                                                                   \
    } while (0)

static void detach(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
                   long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    if (ptr != NULL)
        atls_hook_detach(ptr);
}

/* --- the puppet server ----------------------------------------------------- */

static struct pair *pair_of(const SSL *s)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(s), pair_index);
}

static void puppet_keylog(const SSL *s, const char *line)
{
    struct pair *pair = pair_of(s);
    uint8_t random[32], secret[48];
    size_t len;

    REQUIRE(SSL_get_client_random(s, random, sizeof(random)) == 32);
    if (atls_channel_parse_keylog(line, random, secret, &len) != ATLS_OK)
        return;
    REQUIRE(atls_channel_derive(secret, len, ATLS_ROLE_SERVER,
                                pair->factory.channel)
            == ATLS_OK);
    pair->has_secret = true;
}

static void keep(struct pair *pair, size_t len)
{
    OPENSSL_free(pair->kept);
    pair->kept = OPENSSL_malloc(len + 3);
    REQUIRE(pair->kept != NULL);
    pair->kept[0] = (unsigned char)(len >> 8);
    pair->kept[1] = (unsigned char)(len & 0xff);
    memcpy(pair->kept + 2, pair->factory.cmw, len);
    pair->kept_len = len + 2;
}

static void make_evidence(struct pair *pair)
{
    struct factory *f = &pair->factory;

    if (pair->mode == PUPPET_OTHER_CHANNEL)
        f->channel[0] ^= 1;
    if (pair->mode == PUPPET_OTHER_PCR)
        factory_pcr(f, TPM2_ALG_SHA256, 4)[0] ^= 1;
    factory_quote(f);
    if (pair->mode == PUPPET_OTHER_PCR)
        factory_pcr(f, TPM2_ALG_SHA256, 4)[0] ^= 1;
    factory_encode(f);
    keep(pair, f->cmw_len);
    if (pair->mode == PUPPET_SHORT)
        pair->kept[1]++;
}

static int puppet_add(SSL *s, unsigned int type, unsigned int context,
                      const unsigned char **out, size_t *out_len, X509 *x,
                      size_t chain_index, int *al, void *arg)
{
    static const unsigned char nothing[1] = {0};
    struct pair *pair = pair_of(s);

    (void)type, (void)x, (void)al, (void)arg;
    if ((context & SSL_EXT_TLS1_3_CERTIFICATE) == 0)
        return 0;
    switch (pair->mode) {
    case PUPPET_SILENT:
        return 0;
    case PUPPET_EMPTY:
        *out = nothing;
        *out_len = 0;
        return chain_index == 0;
    case PUPPET_KEPT:
        break;
    default:
        if (chain_index == 0)
            make_evidence(pair);
    }
    *out = pair->kept;
    *out_len = pair->kept_len;
    if (pair->mode == PUPPET_SECOND_ENTRY)
        return chain_index == 1;
    if (pair->mode == PUPPET_BOTH_ENTRIES)
        return chain_index <= 1;
    return chain_index == 0;
}

static int puppet_parse(SSL *s, unsigned int type, unsigned int context,
                        const unsigned char *in, size_t in_len, X509 *x,
                        size_t chain_index, int *al, void *arg)
{
    struct atls_formats formats;

    (void)type, (void)x, (void)chain_index, (void)al, (void)arg;
    if ((context & SSL_EXT_CLIENT_HELLO) != 0) {
        REQUIRE(atls_request_parse(in, in_len, NULL, &formats) == ATLS_OK);
        pair_of(s)->asked += formats.count > 0;
        pair_of(s)->asked_formats = formats;
    }
    return 1;
}

static int puppet_hello(SSL *s, int *al, void *arg)
{
    (void)al, (void)arg;
    pair_of(s)->hellos++;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static SSL_CTX *make_server(struct pair *pair, const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    REQUIRE(ctx != NULL);
    REQUIRE(SSL_CTX_set_ex_data(ctx, pair_index, pair));
    REQUIRE(SSL_CTX_use_certificate(ctx, pair->factory.leaf_cert));
    REQUIRE(SSL_CTX_use_PrivateKey(ctx, pair->factory.leaf.key));
    REQUIRE(SSL_CTX_add1_chain_cert(ctx, pair->factory.authority_cert));
    REQUIRE(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1));
    SSL_CTX_set_keylog_callback(ctx, puppet_keylog);
    SSL_CTX_set_client_hello_cb(ctx, puppet_hello, NULL);
    REQUIRE(SSL_CTX_add_custom_ext(ctx, ATLS_EXTENSION_TYPE,
                                   SSL_EXT_CLIENT_HELLO
                                       | SSL_EXT_TLS1_3_CERTIFICATE,
                                   puppet_add, NULL, NULL, puppet_parse, NULL));
    return ctx;
}

/* --- the client's policy --------------------------------------------------- */

static void append(char *policy, size_t size, const char *text, size_t len)
{
    size_t used = strlen(policy);

    REQUIRE(used + len < size);
    memcpy(policy + used, text, len);
    policy[used + len] = '\0';
}

static void append_pcrs(const struct pair *pair, char *policy, size_t size)
{
    char hex[65], line[128];

    for (unsigned pcr = 0; pcr < 8; pcr++) {
        atls_hex(atls_pcr_value(&pair->factory.values, TPM2_ALG_SHA256, pcr),
                 32, hex);
        snprintf(line, sizeof(line), "pcr.%u = %s\n", pcr, hex);
        append(policy, size, line, strlen(line));
    }
}

static void append_components(const struct pair *pair, char *policy,
                              size_t size)
{
    char line[256], hex[65];
    struct atls_event event;

    for (size_t i = 0; i < pair->factory.log_count; i++) {
        const char *content = pair->factory.log[i];

        atls_event_parse(
            (struct atls_span){(const uint8_t *)content, strlen(content)},
            &event);
        if (event.kind != ATLS_EVENT_COMPONENT)
            continue;
        atls_hex(event.digest, 32, hex);
        snprintf(line, sizeof(line), "component.%s = sha256:%s\n", event.name,
                 hex);
        append(policy, size, line, strlen(line));
    }
}

static void write_policy(const struct pair *pair, const char *text)
{
    static char policy[16384];
    const char *trust = scratch_path("trust.pem");

    policy[0] = '\0';
    factory_write_certificate(trust, pair->factory.root_cert);
    while (*text != '\0') {
        size_t plain = strcspn(text, "@");

        append(policy, sizeof(policy), text, plain);
        text += plain;
        if (strncmp(text, "@TRUST@", 7) == 0) {
            append(policy, sizeof(policy), trust, strlen(trust));
            text += 7;
        } else if (strncmp(text, "@PCRS@", 6) == 0) {
            append_pcrs(pair, policy, sizeof(policy));
            text += 6;
        } else if (strncmp(text, "@COMPONENTS@", 12) == 0) {
            append_components(pair, policy, sizeof(policy));
            text += 12;
        }
    }
    scratch_write("policy.cnf", policy, strlen(policy), 0600);
}

void pair_attach(struct pair *pair, SSL_CTX *ctx)
{
    void *state = atls_hook_attach(pair->instance, ctx);

    if (state == NULL || !SSL_CTX_set_ex_data(ctx, ctx_index, state)) {
        atls_hook_detach(state);
        atls_hook_deny(ctx);
    }
}

static void make_instance(struct pair *pair, const char *policy)
{
    struct atls_setting settings[] = {{"log", scratch_path("log")},
                                      {"log_level", "debug"},
                                      {"verifier.policy", NULL}};

    if (policy != NULL) {
        write_policy(pair, policy);
        settings[2].value = scratch_path("policy.cnf");
    }
    pair->instance = atls_instance_new(settings, policy != NULL ? 3 : 2);
    REQUIRE(pair->instance != NULL);
}

/* Certificates that are valid now: the factory's own time stands still. */
static void make_factory(struct factory *f)
{
    const int64_t from = (int64_t)time(NULL) - FACTORY_DAY;
    const int64_t to = from + 30 * FACTORY_DAY;
    struct factory_cert *certs[] = {&f->root, &f->intermediates[0], &f->ak,
                                    &f->authority, &f->leaf};

    factory_init(f, 0);
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
        certs[i]->not_before = from;
        certs[i]->not_after = to;
    }
    factory_make(f);
}

void pair_init(struct pair *pair, const char *policy)
{
    memset(pair, 0, sizeof(*pair));
    if (ctx_index < 0) {
        ctx_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                            NULL, NULL, detach);
        pair_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                             NULL, NULL, NULL);
        atls_hook_init(ctx_index);
    }
    scratch_make();
    make_factory(&pair->factory);
    make_instance(pair, policy);
    pair->server_ctx = make_server(pair, TLS_server_method());
    pair_use_client_method(pair, TLS_client_method());
}

void pair_use_client_method(struct pair *pair, const SSL_METHOD *method)
{
    SSL_CTX_free(pair->client_ctx);
    pair->client_ctx = SSL_CTX_new(method);
    REQUIRE(pair->client_ctx != NULL);
    pair_attach(pair, pair->client_ctx);
}

void pair_use_server_method(struct pair *pair, const SSL_METHOD *method)
{
    SSL_CTX_free(pair->server_ctx);
    pair->server_ctx = make_server(pair, method);
}

void pair_clear(struct pair *pair)
{
    pair_free(pair);
    SSL_CTX_free(pair->client_ctx);
    SSL_CTX_free(pair->server_ctx);
    atls_instance_unref(pair->instance);
    factory_clear(&pair->factory);
    OPENSSL_free(pair->kept);
    scratch_remove();
    memset(pair, 0, sizeof(*pair));
}

/* --- connections ----------------------------------------------------------- */

void pair_new(struct pair *pair, const char *name)
{
    BIO *client_bio, *server_bio;

    pair_free(pair);
    pair->client = SSL_new(pair->client_ctx);
    pair->server = SSL_new(pair->server_ctx);
    REQUIRE(pair->client != NULL && pair->server != NULL);
    REQUIRE(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
    SSL_set_bio(pair->client, client_bio, client_bio);
    SSL_set_bio(pair->server, server_bio, server_bio);
    if (name != NULL)
        REQUIRE(SSL_set_tlsext_host_name(pair->client, name));
}

void pair_free(struct pair *pair)
{
    /* Sessions of connections that were not shut down do not resume. */
    if (pair->client != NULL)
        SSL_set_shutdown(pair->client,
                         SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(pair->client);
    SSL_free(pair->server);
    pair->client = pair->server = NULL;
}

static bool exchange(SSL *from, SSL *to)
{
    char octet = 0;

    return SSL_write(from, "x", 1) == 1 && SSL_read(to, &octet, 1) == 1
           && octet == 'x';
}

/* The oldest and the newest entry of the queue, which OpenSSL empties at the next
 * call. */
static void take_reason(SSL *s, int r, char reason[PAIR_REASON_MAX],
                        char last[PAIR_REASON_MAX])
{
    if (r != 1 && reason[0] == '\0'
        && SSL_get_error(s, r) != SSL_ERROR_WANT_READ
        && ERR_peek_error() != 0) {
        ERR_error_string_n(ERR_peek_error(), reason, PAIR_REASON_MAX);
        ERR_error_string_n(ERR_peek_last_error(), last, PAIR_REASON_MAX);
    }
}

bool pair_shake(struct pair *pair)
{
    int client = 0, server = 0;

    pair->client_reason[0] = pair->server_reason[0] = '\0';
    pair->client_last[0] = pair->server_last[0] = '\0';
    /* A TLS 1.3 handshake takes three turns, HelloRetryRequest one more. */
    for (int turn = 0; turn < 8; turn++) {
        if (client != 1 && pair->client_reason[0] == '\0') {
            client = SSL_connect(pair->client);
            take_reason(pair->client, client, pair->client_reason,
                        pair->client_last);
        }
        if (server != 1 && pair->server_reason[0] == '\0') {
            server = SSL_accept(pair->server);
            take_reason(pair->server, server, pair->server_reason,
                        pair->server_last);
        }
    }
    if (client != 1 || server != 1) {
        ERR_clear_error();
        return false;
    }
    return exchange(pair->client, pair->server)
           && exchange(pair->server, pair->client);
}
