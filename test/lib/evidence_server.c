/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/evidence_server.h"

#include <err.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/factory_internal.h"
#include "tls/channel.h"

struct evidence_server {
    enum evidence_server_kind kind;
    struct factory *f;
    SSL_CTX *ctx;
    int listener;
    unsigned port;
    pthread_t thread;
    atomic_bool stopping;
    uint8_t channel[ATLS_CHANNEL_LEN];
    uint8_t body[2 + ATLS_CMW_MAX];
};

void evidence_server_now(struct factory *f, int64_t days)
{
    int64_t end = (int64_t)time(NULL) + days * FACTORY_DAY;

    f->root.not_after = f->ak.not_after = end;
    f->authority.not_after = f->leaf.not_after = end;
    for (size_t i = 0; i < FACTORY_INTERMEDIATES_MAX; i++)
        f->intermediates[i].not_after = end;
}

static void on_keylog(const SSL *ssl, const char *line)
{
    struct evidence_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint8_t client_random[SSL3_RANDOM_SIZE];
    uint8_t secret[48];
    size_t len;

    SSL_get_client_random(ssl, client_random, sizeof(client_random));
    if (atls_channel_parse_keylog(line, client_random, secret, &len) == ATLS_OK)
        factory_need(
            atls_channel_derive(secret, len, ATLS_ROLE_SERVER, server->channel)
            == ATLS_OK);
}

/* Evidence for this connection as the body of the extension. */
static size_t make_body(struct evidence_server *server)
{
    struct factory *f = server->f;

    if (server->kind != SERVE_OTHER_CHANNEL)
        memcpy(f->channel, server->channel, sizeof(f->channel));
    factory_quote(f);
    factory_encode(f);
    if (server->kind == SERVE_EMPTY)
        f->cmw_len = 0;
    server->body[0] = (uint8_t)(f->cmw_len >> 8);
    server->body[1] = (uint8_t)(f->cmw_len & 0xff);
    if (server->kind == SERVE_BAD_LENGTH)
        server->body[1]++;
    memcpy(server->body + 2, f->cmw, f->cmw_len);
    return 2 + f->cmw_len;
}

static int on_add(SSL *ssl, unsigned type, unsigned context,
                  const unsigned char **out, size_t *out_len, X509 *x509,
                  size_t chain_index, int *alert, void *arg)
{
    struct evidence_server *server = arg;

    (void)ssl, (void)type, (void)x509;
    if (context != SSL_EXT_TLS1_3_CERTIFICATE
        || server->kind == SERVE_NO_EVIDENCE)
        return 0;
    if (chain_index > 0 && server->kind != SERVE_MISPLACED)
        return 0;
    if (server->kind == SERVE_INTERNAL_ERROR) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return -1;
    }
    *out_len = make_body(server);
    *out = server->body;
    return 1;
}

static int on_parse(SSL *ssl, unsigned type, unsigned context,
                    const unsigned char *in, size_t in_len, X509 *x509,
                    size_t chain_index, int *alert, void *arg)
{
    const struct atls_formats formats = atls_request_formats(true);
    uint8_t expected[ATLS_REQUEST_MAX];

    (void)ssl, (void)type, (void)context, (void)x509, (void)chain_index;
    (void)alert, (void)arg;
    return in_len == atls_request_write(&formats, expected)
           && memcmp(in, expected, in_len) == 0;
}

static SSL_CTX *new_context(struct evidence_server *server)
{
    struct factory *f = server->f;
    SSL_CTX *ctx = SSL_CTX_new_ex(atls_libctx(), NULL, TLS_server_method());

    factory_need(ctx != NULL && SSL_CTX_use_certificate(ctx, f->leaf_cert) == 1
                 && SSL_CTX_use_PrivateKey(ctx, f->leaf.key) == 1
                 && SSL_CTX_add1_chain_cert(ctx, f->authority_cert) == 1
                 && SSL_CTX_set_app_data(ctx, server) == 1
                 && SSL_CTX_add_custom_ext(ctx, ATLS_EXTENSION_TYPE,
                                           SSL_EXT_CLIENT_HELLO
                                               | SSL_EXT_TLS1_3_CERTIFICATE,
                                           on_add, NULL, server, on_parse, NULL)
                        == 1);
    SSL_CTX_set_keylog_callback(ctx, on_keylog);
    if (server->kind == SERVE_TLS12)
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    return ctx;
}

static void serve_tls(struct evidence_server *server, int fd)
{
    SSL *ssl = SSL_new(server->ctx);
    char octet;

    factory_need(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    if (SSL_accept(ssl) == 1)
        SSL_read(ssl, &octet, 1); /* until the client has gone */
    SSL_free(ssl);
}

static void serve(struct evidence_server *server, int fd)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    char buffer[4096];

    switch (server->kind) {
    case SERVE_TEXT:
        send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
        while (recv(fd, buffer, sizeof(buffer), 0) > 0)
            ;
        break;
    case SERVE_HANGUP:
        recv(fd, buffer, sizeof(buffer), 0);
        break;
    case SERVE_SILENCE:
        while (recv(fd, buffer, sizeof(buffer), 0) > 0)
            ;
        break;
    default:
        serve_tls(server, fd);
    }
}

static void *run(void *arg)
{
    struct evidence_server *server = arg;
    sigset_t pipe;

    /* A client that hangs up while we write does not end the program. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (!atomic_load(&server->stopping)) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0)
            break;
        serve(server, fd);
        close(fd);
    }
    return NULL;
}

struct evidence_server *evidence_server_start(enum evidence_server_kind kind,
                                              struct factory *f)
{
    struct evidence_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    factory_need(server != NULL);
    server->kind = kind;
    server->f = f;
    server->ctx = new_context(server);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0
        || bind(server->listener, (struct sockaddr *)&address, len) != 0
        || listen(server->listener, 8) != 0
        || getsockname(server->listener, (struct sockaddr *)&address, &len)
               != 0)
        err(1, "evidence server");
    server->port = ntohs(address.sin_port);
    factory_need(pthread_create(&server->thread, NULL, run, server) == 0);
    return server;
}

unsigned evidence_server_port(const struct evidence_server *server)
{
    return server->port;
}

const uint8_t *evidence_server_channel(const struct evidence_server *server)
{
    return server->channel;
}

void evidence_server_stop(struct evidence_server *server)
{
    atomic_store(&server->stopping, true);
    shutdown(server->listener, SHUT_RDWR); /* accept(2) returns */
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->ctx);
    free(server);
}
