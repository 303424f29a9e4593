/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock of tls/lock.c. This program is linked so that our security callback can
 * be taken away from under it: then the gate decides nothing, and the lock is alone.
 */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/suite.h"
#include "lib/tlspair.h"
#include "tls/state.h"

#define SECRET "what no other machine may see"
#define ANSWER "what no other machine may say"

/* --- a gate that can be taken away ----------------------------------------- */

typedef int security_callback(const SSL *s, const SSL_CTX *ctx, int op,
                              int bits, int nid, void *other, void *ex);

static atomic_bool gate_is_away;

void __real_SSL_CTX_set_security_callback(SSL_CTX *ctx, security_callback *cb);
void __wrap_SSL_CTX_set_security_callback(SSL_CTX *ctx, security_callback *cb);
void __real_SSL_set_security_callback(SSL *s, security_callback *cb);
void __wrap_SSL_set_security_callback(SSL *s, security_callback *cb);

void __wrap_SSL_CTX_set_security_callback(SSL_CTX *ctx, security_callback *cb)
{
    if (!atomic_load(&gate_is_away))
        __real_SSL_CTX_set_security_callback(ctx, cb);
}

void __wrap_SSL_set_security_callback(SSL *s, security_callback *cb)
{
    if (!atomic_load(&gate_is_away))
        __real_SSL_set_security_callback(s, cb);
}

/* --- the server, in a thread ------------------------------------------------- */

static struct pair pair;

struct peer {
    pthread_t thread;
    SSL *s;
    int fd;
    bool speaks_first; /* data with its Finished: 0.5-RTT */
    char got[64];      /* application data; "": none */
};

static void *serve(void *arg)
{
    struct peer *peer = arg;
    size_t done = 0;
    int got;

    /* OpenSSL lets a server write early only after it has asked for early data. */
    if (peer->speaks_first
        && SSL_read_early_data(peer->s, peer->got, sizeof(peer->got) - 1, &done)
               == SSL_READ_EARLY_DATA_FINISH)
        (void)SSL_write_early_data(peer->s, ANSWER, sizeof(ANSWER), &done);
    if (SSL_accept(peer->s) == 1) {
        got = SSL_read(peer->s, peer->got, sizeof(peer->got) - 1);
        if (got > 0)
            (void)SSL_write(peer->s, ANSWER, sizeof(ANSWER));
    }
    ERR_clear_error();
    shutdown(peer->fd, SHUT_RDWR);
    return NULL;
}

static void start_peer(struct peer *peer, SSL_CTX *ctx, int fd,
                       bool speaks_first)
{
    memset(peer, 0, sizeof(*peer));
    peer->fd = fd;
    peer->speaks_first = speaks_first;
    peer->s = SSL_new(ctx);
    ck_assert_ptr_nonnull(peer->s);
    ck_assert(SSL_set_fd(peer->s, fd));
    SSL_set_accept_state(peer->s);
    ck_assert_int_eq(pthread_create(&peer->thread, NULL, serve, peer), 0);
}

static void end_peer(struct peer *peer)
{
    ck_assert_int_eq(pthread_join(peer->thread, NULL), 0);
    SSL_free(peer->s);
    close(peer->fd);
}

/* Two ends of a TCP connection: kTLS takes no other. */
static void make_sockets(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len),
                     0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&address, len), 0);
    fds[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[1], 0);
    close(listener);
}

/* --- how a program connects ---------------------------------------------------- */

struct client {
    SSL *s;
    BIO *chain; /* a BIO_f_ssl and what is below; NULL: none */
    int fd;
};

static void by_fd(struct client *client)
{
    ck_assert(SSL_set_fd(client->s, client->fd));
}

static void by_two_fds(struct client *client)
{
    ck_assert(SSL_set_wfd(client->s, client->fd));
    SSL_set0_rbio(client->s, BIO_new_socket(dup(client->fd), BIO_CLOSE));
}

/* Writes an octet at a time, and wants to be called again between two. */
static int one_octet_write(BIO *bio, const char *data, int len)
{
    bool is_turn = BIO_get_data(bio) != NULL;
    int written = -1;

    BIO_clear_retry_flags(bio);
    BIO_set_data(bio, is_turn ? NULL : bio);
    if (len > 0 && is_turn)
        written = BIO_write(BIO_next(bio), data, 1);
    if (written != 1)
        BIO_set_retry_write(bio);
    return written;
}

static int one_octet_read(BIO *bio, char *data, int len)
{
    int got = BIO_read(BIO_next(bio), data, len > 0 ? 1 : 0);

    BIO_clear_retry_flags(bio);
    BIO_copy_next_retry(bio);
    return got;
}

static long pass_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return BIO_ctrl(BIO_next(bio), command, number, pointer);
}

static BIO_METHOD *one_octet_method;

static void by_one_octet(struct client *client)
{
    BIO *slow = BIO_new(one_octet_method);

    ck_assert_ptr_nonnull(slow);
    BIO_set_init(slow, 1);
    BIO_push(slow, BIO_new_socket(client->fd, BIO_NOCLOSE));
    SSL_set_bio(client->s, slow, slow);
}

/* As Python does: the program carries the octets itself. */
static void by_memory(struct client *client)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(client->s, in, out);
}

static void by_ssl_bio(struct client *client)
{
    client->chain = BIO_new(BIO_f_ssl());
    ck_assert(BIO_set_ssl(client->chain, client->s, BIO_NOCLOSE) == 1);
    BIO_push(client->chain, BIO_new_socket(client->fd, BIO_NOCLOSE));
}

/* Where the kernel has it; elsewhere this is one descriptor once more. */
static void by_ktls(struct client *client)
{
    SSL_set_options(client->s, SSL_OP_ENABLE_KTLS);
    ck_assert(SSL_set_fd(client->s, client->fd));
}

static const struct {
    const char *name;
    void (*connect)(struct client *client);
} transports[] = {
    {"one descriptor", by_fd},
    {"two descriptors", by_two_fds},
    {"an octet at a time", by_one_octet},
    {"memory", by_memory},
    {"BIO_f_ssl", by_ssl_bio},
    {"kTLS", by_ktls},
};
#define TRANSPORTS (sizeof(transports) / sizeof(transports[0]))

/* Carry what lies in the memory BIOs. */
static bool carry(const struct client *client)
{
    BIO *out = SSL_get_wbio(client->s);
    struct pollfd pollfd = {.fd = client->fd, .events = POLLIN};
    char octets[4096];
    int len;

    if (BIO_find_type(out, BIO_TYPE_MEM) == NULL)
        return true;
    while ((len = BIO_read(out, octets, sizeof(octets))) > 0)
        if (send(client->fd, octets, (size_t)len, MSG_NOSIGNAL) != len)
            return false;
    if (poll(&pollfd, 1, 2000) != 1)
        return false;
    len = (int)recv(client->fd, octets, sizeof(octets), 0);
    return len > 0 && BIO_write(SSL_get_rbio(client->s), octets, len) == len;
}

/* --- what a program calls first -------------------------------------------------- */

static int call_connect(SSL *s, char *got, size_t size)
{
    (void)got, (void)size;
    return SSL_connect(s);
}

static int call_do_handshake(SSL *s, char *got, size_t size)
{
    (void)got, (void)size;
    return SSL_do_handshake(s);
}

static int call_write(SSL *s, char *got, size_t size)
{
    (void)got, (void)size;
    return SSL_write(s, SECRET, sizeof(SECRET));
}

static int call_read(SSL *s, char *got, size_t size)
{
    return SSL_read(s, got, (int)size);
}

static int call_peek(SSL *s, char *got, size_t size)
{
    return SSL_peek(s, got, (int)size);
}

static const struct {
    const char *name;
    int (*call)(SSL *s, char *got, size_t size);
    bool reads;
} routes[] = {
    {"SSL_connect", call_connect, false},
    {"SSL_do_handshake", call_do_handshake, false},
    {"SSL_write", call_write, false},
    {"SSL_read", call_read, true},
    {"SSL_peek", call_peek, true},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

/* The call until it succeeds or fails for good. */
static int insist(const struct client *client,
                  int (*call)(SSL *s, char *got, size_t size), char *got,
                  size_t size)
{
    for (int tries = 0; tries < 100000; tries++) {
        int r = call(client->s, got, size);
        int error;

        if (r > 0) {
            if (BIO_find_type(SSL_get_wbio(client->s), BIO_TYPE_MEM) != NULL
                && call != call_read && call != call_peek)
                (void)BIO_flush(SSL_get_wbio(client->s));
            return r;
        }
        error = SSL_get_error(client->s, r);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return r;
        if (!carry(client))
            return r;
    }
    return -1;
}

/* Hand out what is left in a memory BIO. */
static void send_rest(const struct client *client)
{
    BIO *out = SSL_get_wbio(client->s);
    char octets[4096];
    int len;

    if (out == NULL || BIO_find_type(out, BIO_TYPE_MEM) == NULL)
        return;
    while ((len = BIO_read(out, octets, sizeof(octets))) > 0)
        (void)send(client->fd, octets, (size_t)len, MSG_NOSIGNAL);
}

struct outcome {
    bool passed; /* data went both ways, or the way that was asked for */
    char client_got[64]; /* application data */
    char server_got[64];
    char reason[256]; /* the first error */
};

/* Whatever the first call said, a careless program goes on. */
static void talk(const struct client *client, size_t route,
                 struct outcome *outcome)
{
    char got[64] = "";
    int r = insist(client, routes[route].call, got, sizeof(got) - 1);

    if (ERR_peek_error() != 0)
        ERR_error_string_n(ERR_peek_error(), outcome->reason,
                           sizeof(outcome->reason));
    if (routes[route].call != call_write)
        r = insist(client, call_write, NULL, 0);
    send_rest(client);
    outcome->passed = r > 0;
    if (got[0] == '\0' && r > 0)
        (void)insist(client, call_read, got, sizeof(got) - 1);
    else if (got[0] == '\0')
        (void)SSL_read(client->s, got, sizeof(got) - 1);
    memcpy(outcome->client_got, got, sizeof(got));
    ERR_clear_error();
}

static void run(SSL_CTX *ctx, size_t transport, size_t route,
                void (*prepare)(SSL *s), struct outcome *outcome)
{
    struct client client = {0};
    struct peer peer;
    int fds[2];

    memset(outcome, 0, sizeof(*outcome));
    make_sockets(fds);
    start_peer(&peer, pair.server_ctx, fds[1], routes[route].reads);
    client.fd = fds[0];
    client.s = SSL_new(ctx);
    ck_assert_ptr_nonnull(client.s);
    transports[transport].connect(&client);
    SSL_set_connect_state(client.s);
    ck_assert(SSL_set_tlsext_host_name(client.s, "localhost"));
    if (prepare != NULL)
        prepare(client.s);
    talk(&client, route, outcome);
    shutdown(client.fd, SHUT_RDWR);
    end_peer(&peer);
    memcpy(outcome->server_got, peer.got, sizeof(peer.got));
    SSL_set_shutdown(client.s, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    BIO_free_all(client.chain);
    SSL_free(client.s);
    close(client.fd);
}

static void assert_nothing_passed(const struct outcome *outcome,
                                  const char *what, size_t transport,
                                  size_t route)
{
    const char *by = transports[transport].name, *call = routes[route].name;

    ck_assert_msg(!outcome->passed, "%s, %s, %s: SSL_write succeeded", what, by,
                  call);
    ck_assert_msg(outcome->server_got[0] == '\0', "%s, %s, %s: server got %s",
                  what, by, call, outcome->server_got);
    ck_assert_msg(outcome->client_got[0] == '\0', "%s, %s, %s: client got %s",
                  what, by, call, outcome->client_got);
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (one_octet_method != NULL)
        return;
    one_octet_method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER, "one octet");
    ck_assert_ptr_nonnull(one_octet_method);
    BIO_meth_set_write(one_octet_method, one_octet_write);
    BIO_meth_set_read(one_octet_method, one_octet_read);
    BIO_meth_set_ctrl(one_octet_method, pass_ctrl);
}

static void begin(bool with_gate, enum puppet_mode mode)
{
    atomic_store(&gate_is_away, !with_gate);
    pair_init(&pair, pair_policy);
    pair.mode = mode;
}

/* --- tests ------------------------------------------------------------------------ */

/* The gate decides; with the verdict the lock goes, and nothing is left of it. */
START_TEST(test_accepted_by_every_way)
{
    begin(true, PUPPET_HONEST);
    for (size_t route = 0; route < ROUTES; route++) {
        struct outcome outcome;

        run(pair.client_ctx, (size_t)_i, route, NULL, &outcome);
        ck_assert_msg(outcome.passed, "%s, %s: %s", transports[_i].name,
                      routes[route].name, outcome.reason);
        ck_assert_str_eq(outcome.server_got, SECRET);
        ck_assert_str_eq(outcome.client_got, ANSWER);
    }
    pair_clear(&pair);
}
END_TEST

START_TEST(test_S14_without_gate_nothing_passes_by_any_way)
{
    static const enum puppet_mode modes[] = {PUPPET_SILENT, PUPPET_HONEST,
                                             PUPPET_OTHER_PCR};

    for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
        begin(false, modes[m]);
        for (size_t route = 0; route < ROUTES; route++) {
            struct outcome outcome;

            run(pair.client_ctx, (size_t)_i, route, NULL, &outcome);
            assert_nothing_passed(&outcome, "gate away", (size_t)_i, route);
            ck_assert_msg(strstr(outcome.reason,
                                 "localhost was not appraised, so nothing is "
                                 "sent to it")
                              != NULL,
                          "%s, %s: %s", transports[_i].name, routes[route].name,
                          outcome.reason);
        }
        pair_clear(&pair);
    }
}
END_TEST

/* Sessions of an ordinary client of the same server. */
static SSL_SESSION *kept;

static int keep_session(SSL *s, SSL_SESSION *session)
{
    (void)s;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void get_session(uint32_t early)
{
    SSL_CTX *plain = SSL_CTX_new(TLS_client_method());
    struct outcome outcome;

    SSL_CTX_set_max_early_data(pair.server_ctx, early);
    SSL_CTX_set_session_cache_mode(plain, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(plain, keep_session);
    run(plain, 0, 0, NULL, &outcome);
    ck_assert_msg(outcome.passed && kept != NULL, "%s", outcome.reason);
    SSL_CTX_free(plain);
}

static void use_session(SSL *s)
{
    ck_assert(SSL_set_session(s, kept));
}

/* On a resumption nothing calls the gate after EncryptedExtensions. */
START_TEST(test_S3_without_gate_no_resumption_passes)
{
    begin(false, PUPPET_HONEST);
    get_session(0);
    for (size_t route = 0; route < ROUTES; route++) {
        struct outcome outcome;

        run(pair.client_ctx, (size_t)_i, route, use_session, &outcome);
        assert_nothing_passed(&outcome, "resumption", (size_t)_i, route);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    pair_clear(&pair);
}
END_TEST

static void send_early(SSL *s)
{
    size_t written = 0;

    use_session(s);
    (void)SSL_write_early_data(s, SECRET, sizeof(SECRET), &written);
    ERR_clear_error();
}

/* The server reads what comes early. */
static void *take_early(void *arg)
{
    struct peer *peer = arg;
    size_t got = 0;

    (void)SSL_read_early_data(peer->s, peer->got, sizeof(peer->got) - 1, &got);
    (void)SSL_accept(peer->s);
    if (got == 0)
        (void)SSL_read(peer->s, peer->got, sizeof(peer->got) - 1);
    ERR_clear_error();
    shutdown(peer->fd, SHUT_RDWR);
    return NULL;
}

START_TEST(test_S5_S22_without_gate_no_early_data)
{
    struct peer peer = {0};
    int fds[2];
    SSL *s;

    begin(false, PUPPET_HONEST);
    get_session(1000);
    make_sockets(fds);
    peer.fd = fds[1];
    peer.s = SSL_new(pair.server_ctx);
    SSL_set_fd(peer.s, peer.fd);
    SSL_set_accept_state(peer.s);
    ck_assert_int_eq(pthread_create(&peer.thread, NULL, take_early, &peer), 0);
    s = SSL_new(pair.client_ctx);
    SSL_set_fd(s, fds[0]);
    SSL_set_connect_state(s);
    SSL_set_tlsext_host_name(s, "localhost");
    send_early(s);
    (void)SSL_write(s, SECRET, sizeof(SECRET));
    ERR_clear_error();
    shutdown(fds[0], SHUT_RDWR);
    end_peer(&peer);
    ck_assert_str_eq(peer.got, "");
    SSL_free(s);
    close(fds[0]);
    SSL_SESSION_free(kept);
    kept = NULL;
    pair_clear(&pair);
}
END_TEST

START_TEST(test_S2_without_gate_no_tls12)
{
    struct outcome outcome;

    begin(false, PUPPET_HONEST);
    SSL_CTX_set_max_proto_version(pair.server_ctx, TLS1_2_VERSION);
    for (size_t route = 0; route < ROUTES; route++) {
        if (routes[route].reads)
            continue; /* 0.5-RTT is of TLS 1.3 */
        run(pair.client_ctx, (size_t)_i, route, NULL, &outcome);
        assert_nothing_passed(&outcome, "TLS 1.2", (size_t)_i, route);
    }
    pair_clear(&pair);
}
END_TEST

/* --- a program that looks at its BIOs ----------------------------------------------- */

static int seen_fd, wrong_fds, looks;

static void look(const SSL *s, int type, int value)
{
    (void)type, (void)value;
    looks++;
    wrong_fds += SSL_get_fd(s) != seen_fd || SSL_get_wfd(s) != seen_fd
                 || SSL_get_rfd(s) != seen_fd;
}

START_TEST(test_descriptors_show_throughout)
{
    struct peer peer;
    int fds[2];
    SSL *s;
    BIO *bio;

    begin(true, PUPPET_HONEST);
    make_sockets(fds);
    start_peer(&peer, pair.server_ctx, fds[1], false);
    s = SSL_new(pair.client_ctx);
    seen_fd = fds[0];
    wrong_fds = looks = 0;
    SSL_set_info_callback(s, look);
    bio = BIO_new_socket(fds[0], BIO_NOCLOSE);
    SSL_set_bio(s, bio, bio);
    SSL_set_tlsext_host_name(s, "localhost");
    ck_assert_int_eq(SSL_connect(s), 1);
    ck_assert_int_gt(looks, 5);
    ck_assert_int_eq(wrong_fds, 0);
    /* The very BIO that the program gave, on both sides. */
    ck_assert_ptr_eq(SSL_get_wbio(s), bio);
    ck_assert_ptr_eq(SSL_get_rbio(s), bio);
    ck_assert_ptr_null(BIO_next(bio));
    ck_assert_int_eq(SSL_write(s, SECRET, sizeof(SECRET)), sizeof(SECRET));
    SSL_free(s);
    shutdown(fds[0], SHUT_RDWR);
    close(fds[0]);
    end_peer(&peer);
    pair_clear(&pair);
}
END_TEST

/* --- objects that live on --------------------------------------------------------------- */

/* Refused once, cleared, and used for another peer; then for one that the policy
 * does not cover, where no lock is. */
START_TEST(test_S13_clear_and_reuse)
{
    static const char *const names[] = {"localhost", "localhost",
                                        "other.example"};

    begin(true, PUPPET_SILENT);
    pair_new(&pair, "localhost");
    for (int i = 0; i < 6; i++) {
        BIO *a, *b;

        pair.mode = i % 3 == 0 ? PUPPET_SILENT : PUPPET_HONEST;
        SSL_clear(pair.client);
        SSL_clear(pair.server);
        if (i % 2 == 0) { /* else the old ones stay */
            ck_assert(BIO_new_bio_pair(&a, 1 << 17, &b, 1 << 17));
            SSL_set_bio(pair.client, a, a);
            SSL_set_bio(pair.server, b, b);
        } else {
            BIO_reset(SSL_get_rbio(pair.client));
            BIO_reset(SSL_get_rbio(pair.server));
        }
        SSL_set_connect_state(pair.client);
        SSL_set_accept_state(pair.server);
        ck_assert(SSL_set_tlsext_host_name(pair.client, names[i % 3]));
        ck_assert_msg(pair_shake(&pair) == (i % 3 != 0), "%d: %s", i,
                      pair.client_reason);
        if (i % 3 != 0)
            ck_assert_ptr_eq(SSL_get_rbio(pair.client),
                             SSL_get_wbio(pair.client));
    }
    pair_clear(&pair);
}
END_TEST

/* Two objects of one kind, each with its lock; freed in mid-handshake. */
START_TEST(test_S13_dup_and_free)
{
    begin(true, PUPPET_HONEST);
    for (int i = 0; i < 4; i++) {
        SSL *copy;

        pair_new(&pair, "localhost");
        if (i % 2 == 1)
            ck_assert_int_lt(SSL_connect(pair.client), 1);
        copy = SSL_dup(pair.client);
        ck_assert_ptr_nonnull(copy);
        if (i < 2)
            ck_assert_msg(pair_shake(&pair), "%d: %s", i, pair.client_reason);
        SSL_free(copy);
    }
    pair_clear(&pair);
}
END_TEST

/* A program keeps the BIO that it gave, longer than the SSL object, or gives it to
 * another one. */
START_TEST(test_the_BIO_is_the_programs)
{
    SSL *next;
    BIO *bio;

    begin(true, PUPPET_SILENT);
    for (int i = 0; i < 2; i++) {
        pair_new(&pair, "localhost");
        bio = BIO_new(BIO_s_mem());
        SSL_set_bio(pair.client, bio, bio);
        ck_assert_int_lt(SSL_connect(pair.client), 1);
        ck_assert_ptr_eq(SSL_get_wbio(pair.client), bio);
        ck_assert_ptr_null(BIO_next(bio));
        ck_assert(BIO_get_callback_ex(bio) != NULL);
        ck_assert(BIO_up_ref(bio));
        if (i == 0) {
            pair_free(&pair);
            ck_assert(BIO_get_callback_ex(bio) == NULL);
        } else { /* both have it for a while */
            next = SSL_new(pair.client_ctx);
            SSL_set_tlsext_host_name(next, "localhost");
            ck_assert(BIO_up_ref(bio));
            SSL_set_bio(next, bio, bio);
            ck_assert_int_lt(SSL_connect(next), 1);
            pair_free(&pair);
            ck_assert(BIO_get_callback_ex(bio) != NULL);
            SSL_free(next);
            ck_assert(BIO_get_callback_ex(bio) == NULL);
        }
        ck_assert_int_eq(BIO_write(bio, SECRET, sizeof(SECRET)),
                         sizeof(SECRET));
        BIO_free_all(bio);
    }
    pair_clear(&pair);
}
END_TEST

/* SSL_set_bio(3) counts references by what SSL_get_wbio() shows: a program that sets
 * what is set already, or replaces one of the two. */
START_TEST(test_SSL_set_bio_in_mid_handshake)
{
    for (int way = 0; way < 2; way++) {
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        BIO *server_in = BIO_new(BIO_s_mem()),
            *server_out = BIO_new(BIO_s_mem());
        char octets[1 << 15];
        bool is_done = false;

        begin(true, PUPPET_HONEST);
        pair_new(&pair, "localhost");
        SSL_set_bio(pair.client, in, out);
        SSL_set_bio(pair.server, server_in, server_out);
        for (int round = 0; round < 20 && !is_done; round++) {
            int len;

            is_done = SSL_connect(pair.client) == 1;
            while ((len = BIO_read(out, octets, sizeof(octets))) > 0)
                BIO_write(server_in, octets, len);
            (void)SSL_accept(pair.server);
            if (way == 0) {
                SSL_set_bio(pair.client, in, out);
            } else {
                in = BIO_new(BIO_s_mem());
                BIO_set_mem_eof_return(in, -1);
                SSL_set_bio(pair.client, in, out);
            }
            while ((len = BIO_read(server_out, octets, sizeof(octets))) > 0)
                BIO_write(in, octets, len);
        }
        ck_assert_msg(is_done, "way %d", way);
        ck_assert_int_eq(SSL_write(pair.client, SECRET, sizeof(SECRET)),
                         sizeof(SECRET));
        pair_clear(&pair);
    }
}
END_TEST

static BIO *another;

static void swap_bio(const SSL *s, int type, int value)
{
    (void)type, (void)value;
    if (another == NULL || SSL_get_state(s) != TLS_ST_CR_CERT)
        return;
    SSL_set0_wbio((SSL *)(uintptr_t)s, another);
    another = NULL;
}

/* The lock comes again with the server's Finished. */
START_TEST(test_S14_without_gate_and_with_another_BIO)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem()), *late;
    BIO *server_in = BIO_new(BIO_s_mem()), *server_out = BIO_new(BIO_s_mem());
    char octets[1 << 15];

    begin(false, PUPPET_SILENT);
    pair_new(&pair, "localhost");
    SSL_set_bio(pair.client, in, out);
    SSL_set_bio(pair.server, server_in, server_out);
    late = another = BIO_new(BIO_s_mem());
    ck_assert(BIO_up_ref(late));
    SSL_set_info_callback(pair.client, swap_bio);
    for (int round = 0; round < 20; round++) {
        int len;

        ck_assert_int_lt(SSL_connect(pair.client), 1);
        while (
            (len = BIO_read(SSL_get_wbio(pair.client), octets, sizeof(octets)))
            > 0)
            BIO_write(server_in, octets, len);
        ck_assert_int_lt(SSL_accept(pair.server), 1);
        while ((len = BIO_read(server_out, octets, sizeof(octets))) > 0)
            BIO_write(in, octets, len);
    }
    ck_assert_ptr_null(another);
    ck_assert_ptr_eq(SSL_get_wbio(pair.client), late);
    ck_assert_int_lt(SSL_write(pair.client, SECRET, sizeof(SECRET)), 1);
    BIO_free(late);
    pair_clear(&pair);
}
END_TEST

/* --- callbacks of the program's own ---------------------------------------------------- */

static int operations, legacy_operations;

static long count_operations(BIO *bio, int operation, const char *data,
                             size_t len, int number, long more, int result,
                             size_t *processed)
{
    (void)bio, (void)data, (void)len, (void)number, (void)more, (void)processed;
    operations += operation == BIO_CB_WRITE;
    return result;
}

static long count_legacy(BIO *bio, int operation, const char *data, int number,
                         long more, long result)
{
    (void)bio, (void)data, (void)number, (void)more;
    legacy_operations += operation == BIO_CB_WRITE;
    return result;
}

static BIO_callback_fn_ex wrapped;
static bool is_to_wrap;

static long wrap(BIO *bio, int operation, const char *data, size_t len,
                 int number, long more, int result, size_t *processed)
{
    operations++;
    return wrapped(bio, operation, data, len, number, more, result, processed);
}

static void wrap_callback(const SSL *s, int type, int value)
{
    (void)type, (void)value;
    if (!is_to_wrap || SSL_get_state(s) != TLS_ST_CR_CERT)
        return;
    is_to_wrap = false;
    wrapped = BIO_get_callback_ex(SSL_get_wbio(s));
    BIO_set_callback_ex(SSL_get_wbio(s), wrap);
}

/* In mid-handshake: then ours is put before it once more, where the gate was taken away,
 * and each knows the other. */
START_TEST(test_S24_a_program_wraps_the_callback_of_its_BIO)
{
    static const struct {
        bool with_gate;
        enum puppet_mode mode;
    } rounds[] = {
        {true, PUPPET_HONEST}, {true, PUPPET_SILENT}, {false, PUPPET_SILENT}};

    for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
        begin(rounds[i].with_gate, rounds[i].mode);
        pair_new(&pair, "localhost");
        is_to_wrap = true;
        operations = 0;
        SSL_set_info_callback(pair.client, wrap_callback);
        ck_assert_msg(pair_shake(&pair) == (i == 0), "%s", pair.client_reason);
        ck_assert(!is_to_wrap && wrapped != NULL && operations > 0);
        pair_clear(&pair);
    }
}
END_TEST

static int sent_inside;
static bool is_to_send;

static long send_inside(BIO *bio, int operation, const char *data, size_t len,
                        int number, long more, int result, size_t *processed)
{
    (void)data, (void)len, (void)number, (void)more, (void)processed;
    if (is_to_send && operation == BIO_CB_CTRL)
        sent_inside = BIO_write(bio, SECRET, (int)strlen(SECRET));
    return result;
}

/* Ours is called while it asks the program's, which is asked no second time: it looks at
 * what is written all the same. */
START_TEST(test_S14_nothing_passes_from_inside_the_programs_callback)
{
    BIO *bio;

    begin(false, PUPPET_SILENT);
    pair_new(&pair, "localhost");
    bio = SSL_get_wbio(pair.client);
    BIO_set_callback_ex(bio, send_inside);
    ck_assert(!pair_shake(&pair));
    is_to_send = true;
    (void)BIO_flush(bio);
    is_to_send = false;
    ck_assert_int_eq(sent_inside, -1);
    pair_clear(&pair);
}
END_TEST

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

START_TEST(test_callbacks_of_the_programs_BIO_are_called)
{
    for (int i = 0; i < 2; i++) {
        BIO *bio;

        begin(true, PUPPET_HONEST);
        pair_new(&pair, "localhost");
        bio = SSL_get_wbio(pair.client);
        operations = legacy_operations = 0;
        if (i == 0)
            BIO_set_callback_ex(bio, count_operations);
        else
            BIO_set_callback(bio, count_legacy);
        ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
        /* ClientHello, and Finished with what is before it. */
        ck_assert_int_ge(i == 0 ? operations : legacy_operations, 2);
        ck_assert(BIO_get_callback_ex(bio)
                  == (i == 0 ? count_operations : NULL));
        pair_clear(&pair);
    }
}
END_TEST

#pragma GCC diagnostic pop

/* The child goes on with a handshake whose ClientHello its parent has sent. */
START_TEST(test_L3_without_gate_a_forked_child_sends_nothing)
{
    struct peer peer;
    int fds[2], status = 0;
    pid_t child;
    SSL *s;

    begin(false, PUPPET_HONEST);
    make_sockets(fds);
    s = SSL_new(pair.client_ctx);
    SSL_set_fd(s, fds[0]);
    SSL_set_tlsext_host_name(s, "localhost");
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_lt(SSL_connect(s), 1);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, 0), 0);
    child = fork();
    if (child == 0)
        _exit(SSL_connect(s) == 1 || SSL_write(s, SECRET, sizeof(SECRET)) > 0);
    start_peer(&peer, pair.server_ctx, fds[1], false);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    shutdown(fds[0], SHUT_RDWR);
    end_peer(&peer);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(peer.got, "");
    SSL_free(s);
    close(fds[0]);
    pair_clear(&pair);
}
END_TEST

/* --- threads ---------------------------------------------------------------------------- */

#define THREADS 6
#define ROUNDS 12

static atomic_uint wrong_count;

/* Threads do not assert. */
static void *connect_often(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct outcome outcome;

        run(pair.client_ctx, (size_t)i % TRANSPORTS, (size_t)i % ROUTES, NULL,
            &outcome);
        if (outcome.passed || outcome.server_got[0] != '\0'
            || outcome.client_got[0] != '\0')
            atomic_fetch_add(&wrong_count, 1);
    }
    return unused;
}

START_TEST(test_threads_without_gate_and_without_evidence)
{
    pthread_t threads[THREADS];

    begin(_i == 0, PUPPET_SILENT);
    atomic_store(&wrong_count, 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, connect_often, NULL),
                         0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(wrong_count, 0);
    pair_clear(&pair);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_accepted_by_every_way, 0, TRANSPORTS),
    LOOP(test_S14_without_gate_nothing_passes_by_any_way, 0, TRANSPORTS),
    LOOP(test_S3_without_gate_no_resumption_passes, 0, TRANSPORTS),
    ONCE(test_S5_S22_without_gate_no_early_data),
    LOOP(test_S2_without_gate_no_tls12, 0, TRANSPORTS),
    ONCE(test_descriptors_show_throughout),
    ONCE(test_S13_clear_and_reuse),
    ONCE(test_S13_dup_and_free),
    ONCE(test_the_BIO_is_the_programs),
    ONCE(test_SSL_set_bio_in_mid_handshake),
    ONCE(test_S14_without_gate_and_with_another_BIO),
    ONCE(test_callbacks_of_the_programs_BIO_are_called),
    ONCE(test_S24_a_program_wraps_the_callback_of_its_BIO),
    ONCE(test_S14_nothing_passes_from_inside_the_programs_callback),
    ONCE(test_L3_without_gate_a_forked_child_sends_nothing),
    LOOP(test_threads_without_gate_and_without_evidence, 0, 2),
};

SUITE(.name = "lock", .cases = {CASE("lock", tests, 120, set_up, NULL)});
