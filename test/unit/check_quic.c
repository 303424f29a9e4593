/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S12: QUIC, which gives callbacks another object than the program's own
 * (openssl#25788). The client of lib/tlspair.h and its puppet server, over UDP
 * on this machine. OpenSSL has QUIC servers from 3.5.
 */
#include <openssl/opensslv.h>

#include "lib/suite.h"

#if OPENSSL_VERSION_NUMBER < 0x30500000L

static const char *skip(void)
{
    return "this OpenSSL has no QUIC server";
}

SUITE(.name = "quic", .skip = skip, .cases = {{0}});

#else

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/quic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/tlspair.h"

#define SECONDS_MAX 20
#define TURN_NS 200000

static const unsigned char alpn[] = {4, 't', 'e', 's', 't'};

static struct pair pair;
static SSL *listener;

static void teardown(void)
{
    SSL_free(listener);
    listener = NULL;
    pair_clear(&pair);
}

static int choose_alpn(SSL *s, const unsigned char **out, unsigned char *outlen,
                       const unsigned char *in, unsigned int inlen, void *arg)
{
    (void)s, (void)in, (void)inlen, (void)arg;
    *out = alpn + 1;
    *outlen = alpn[0];
    return SSL_TLSEXT_ERR_OK;
}

/* A socket on a port of its own. */
static int udp(struct sockaddr_in *ret_address)
{
    const struct sockaddr_in any = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(*ret_address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret_address, &len), 0);
    return fd;
}

static void set_socket(SSL *s, int fd)
{
    BIO *bio = BIO_new_dgram(fd, BIO_CLOSE);

    ck_assert_ptr_nonnull(bio);
    SSL_set_bio(s, bio, bio);
    ck_assert(SSL_set_blocking_mode(s, 0));
}

/* The pair with QUIC in place of TLS over memory. */
static void quic_init(void)
{
    pair_init(&pair, pair_policy);
    pair_use_client_method(&pair, OSSL_QUIC_client_method());
    pair_use_server_method(&pair, OSSL_QUIC_server_method());
    SSL_CTX_set_alpn_select_cb(pair.server_ctx, choose_alpn, NULL);
}

static void quic_new(const char *name)
{
    struct sockaddr_in server, client;
    BIO_ADDR *peer = BIO_ADDR_new();
    int fd;

    SSL_free(listener);
    pair_free(&pair);
    fd = udp(&server);
    listener = SSL_new_listener(pair.server_ctx, 0);
    ck_assert_ptr_nonnull(listener);
    set_socket(listener, fd);
    ck_assert(SSL_listen(listener));
    pair.client = SSL_new(pair.client_ctx);
    ck_assert_ptr_nonnull(pair.client);
    fd = udp(&client);
    ck_assert(BIO_ADDR_rawmake(peer, AF_INET, &server.sin_addr,
                               sizeof(server.sin_addr), server.sin_port));
    set_socket(pair.client, fd);
    ck_assert(SSL_set1_initial_peer_addr(pair.client, peer));
    BIO_ADDR_free(peer);
    ck_assert_int_eq(SSL_set_alpn_protos(pair.client, alpn, sizeof(alpn)), 0);
    ck_assert(SSL_set_tlsext_host_name(pair.client, name));
}

static void take_reason(SSL *s, int r)
{
    if (r != 1 && pair.client_reason[0] == '\0'
        && SSL_get_error(s, r) == SSL_ERROR_SSL)
        ERR_error_string_n(ERR_peek_error(), pair.client_reason,
                           sizeof(pair.client_reason));
}

/* Handshake and an octet to the server. */
static bool quic_shake(void)
{
    const struct timespec turn = {.tv_nsec = TURN_NS};
    time_t end = time(NULL) + SECONDS_MAX;
    bool is_written = false;
    int client = 0;

    pair.client_reason[0] = '\0';
    while (time(NULL) < end && pair.client_reason[0] == '\0') {
        char octet = 0;

        if (client != 1) {
            ERR_clear_error();
            client = SSL_connect(pair.client);
            take_reason(pair.client, client);
        } else if (!is_written) {
            is_written = SSL_write(pair.client, "x", 1) == 1;
        }
        SSL_handle_events(listener);
        SSL_handle_events(pair.client);
        if (pair.server == NULL)
            pair.server = SSL_accept_connection(listener, 0);
        if (pair.server != NULL && SSL_read(pair.server, &octet, 1) == 1)
            return octet == 'x';
        nanosleep(&turn, NULL);
    }
    ck_assert_str_ne(pair.client_reason, ""); /* it does not hang */
    return false;
}

static void accept_one(void)
{
    pair.mode = PUPPET_HONEST;
    quic_new("localhost");
    ck_assert_msg(quic_shake(), "positive control: %s", pair.client_reason);
    ck_assert_uint_eq(pair.asked, 1);
    pair.asked = 0;
}

static const struct {
    enum puppet_mode mode;
    const char *reason;
} refusals[] = {
    {PUPPET_SILENT, "localhost sent no attestation evidence, which policy "
                    "section lab requires"},
    {PUPPET_OTHER_CHANNEL, "another connection"},
    {PUPPET_OTHER_PCR, "PCR 4 does not match policy: expected"},
    {PUPPET_SECOND_ENTRY, "evidence in certificate entry 2"},
    {PUPPET_KEPT, "another connection"},
};

START_TEST(test_S12_quic_is_verified_or_refused)
{
    quic_init();
    accept_one();
    pair.mode = refusals[_i].mode;
    quic_new("localhost");
    ck_assert_msg(!quic_shake(), "accepted, though: %s", refusals[_i].reason);
    ck_assert_msg(strstr(pair.client_reason, refusals[_i].reason) != NULL,
                  "no \"%s\" in \"%s\"", refusals[_i].reason,
                  pair.client_reason);
    pair.asked = 0;
    accept_one();
}
END_TEST

START_TEST(test_S12_who_is_not_named_is_not_asked)
{
    quic_init();
    pair.mode = PUPPET_SILENT;
    quic_new("elsewhere.example");
    ck_assert_msg(quic_shake(), "%s", pair.client_reason);
    ck_assert_uint_eq(pair.asked, 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S12_quic_is_verified_or_refused, 0,
         sizeof(refusals) / sizeof(refusals[0])),
    ONCE(test_S12_who_is_not_named_is_not_asked),
};

SUITE(.name = "quic",
      .cases = {CASE("quic", tests, 6 * SECONDS_MAX, NULL, teardown)});

#endif
