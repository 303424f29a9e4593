/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that makes attested handshakes, both ends its own, and then ends, by
 * one of the ways in which programs do (catalogue L1). Knows nothing of attest:
 * plain OpenSSL with what OPENSSL_CONF says.
 *
 *   exits ROUTE CERTIFICATE KEY
 *
 * Its status is EXIT_OF_PROGRAM unless the route is a signal's; 1, and why on
 * stderr, where a handshake fails.
 */
#include <openssl/async.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OF_PROGRAM 42
#define WORKERS 3
#define PARKED 3
#define PIPE_OCTETS 100000
#define STEPS_MAX 1000

static const char *certificate_file, *key_file;
static SSL_CTX *server_ctx, *client_ctx;
static pthread_t workers[WORKERS];
static atomic_bool is_over;
static atomic_int handshakes_done;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "exits: %s\n", what);
    ERR_print_errors_fp(stderr);
    _exit(1);
}

/* --- handshakes ----------------------------------------------------------- */

static void make_contexts(OSSL_LIB_CTX *libctx)
{
    server_ctx = SSL_CTX_new_ex(libctx, NULL, TLS_server_method());
    client_ctx = SSL_CTX_new_ex(libctx, NULL, TLS_client_method());
    if (server_ctx == NULL || client_ctx == NULL)
        fail("no SSL_CTX");
    if (SSL_CTX_use_certificate_file(server_ctx, certificate_file,
                                     SSL_FILETYPE_PEM)
            != 1
        || SSL_CTX_use_PrivateKey_file(server_ctx, key_file, SSL_FILETYPE_PEM)
               != 1)
        fail("no certificate");
}

static void free_contexts(void)
{
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

struct pair {
    SSL *server, *client;
};

static void connect_pair(struct pair *pair)
{
    BIO *a = NULL, *b = NULL;

    pair->server = SSL_new(server_ctx);
    pair->client = SSL_new(client_ctx);
    if (pair->server == NULL || pair->client == NULL
        || BIO_new_bio_pair(&a, PIPE_OCTETS, &b, PIPE_OCTETS) != 1
        || SSL_set_tlsext_host_name(pair->client, "localhost") != 1)
        fail("no SSL");
    SSL_set_bio(pair->server, a, a);
    SSL_set_bio(pair->client, b, b);
    SSL_set_accept_state(pair->server);
    SSL_set_connect_state(pair->client);
}

static void free_pair(const struct pair *pair)
{
    SSL_free(pair->server);
    SSL_free(pair->client);
}

/* One step; its SSL_ERROR. */
static int step(SSL *s)
{
    int r, error;

    ERR_clear_error();
    r = SSL_do_handshake(s);
    error = SSL_get_error(s, r);
    if (error == SSL_ERROR_SSL && !is_over)
        fail("handshake refused");
    return error;
}

static void handshake(void)
{
    struct pair pair;
    int client = -1, server = -1;

    connect_pair(&pair);
    for (int i = 0; i < STEPS_MAX && !(client == 0 && server == 0); i++) {
        client = step(pair.client);
        server = step(pair.server);
    }
    if ((client != SSL_ERROR_NONE || server != SSL_ERROR_NONE) && !is_over)
        fail("handshake does not end");
    free_pair(&pair);
    handshakes_done++;
}

/* --- threads -------------------------------------------------------------- */

static void *work(void *unused)
{
    while (!is_over)
        handshake();
    return unused;
}

static void start(pthread_t *thread, void *(*body)(void *))
{
    if (pthread_create(thread, NULL, body, NULL) != 0)
        fail("no thread");
}

static void start_workers(void)
{
    for (int i = 0; i < WORKERS; i++)
        start(&workers[i], work);
    while (handshakes_done < 2 * WORKERS)
        usleep(1000);
}

static void join_workers(void)
{
    is_over = true;
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
}

/* One that asks for evidence, and is still waiting when the program ends. */
static void *work_once(void *unused)
{
    handshake();
    return unused;
}

/* --- the ways ------------------------------------------------------------- */

static int by_return(void)
{
    start_workers();
    join_workers();
    free_contexts();
    return EXIT_OF_PROGRAM;
}

/* Nothing is freed: what most programs do. */
static int by_exit(void)
{
    start_workers();
    join_workers();
    exit(EXIT_OF_PROGRAM);
}

static int at_once(void)
{
    start_workers();
    _exit(EXIT_OF_PROGRAM);
}

static int by_quick_exit(void)
{
    start_workers();
    quick_exit(EXIT_OF_PROGRAM);
}

/* Threads of the program go on, as a server's do. OpenSSL crashes at that by
 * itself unless it is asked not to clean up. */
static int while_running(void)
{
    start_workers();
    exit(EXIT_OF_PROGRAM);
}

static void on_abort(int number)
{
    (void)number;
    _exit(EXIT_OF_PROGRAM);
}

static int by_caught_abort(void)
{
    signal(SIGABRT, on_abort);
    start_workers();
    abort();
}

static int by_abort(void)
{
    start_workers();
    abort();
}

/* Until another thread ends the program. */
static _Noreturn void look_on(void)
{
    for (;;)
        pause();
}

static int by_signal(void)
{
    start_workers();
    kill(getpid(), SIGTERM);
    look_on();
}

static void *end_later(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        handshake();
    exit(EXIT_OF_PROGRAM);
}

/* The first thread goes, another makes handshakes and ends the program. */
static int by_pthread_exit(void)
{
    pthread_t thread;

    handshake();
    start(&thread, end_later);
    pthread_exit(NULL);
}

/* The first thread looks on. */
static int by_other_thread(void)
{
    pthread_t thread;

    start(&thread, end_later);
    look_on();
}

static int end_in_callback(SSL *s, void *unused)
{
    (void)s, (void)unused;
    exit(EXIT_OF_PROGRAM);
}

/* The server's certificate callback: in the middle of a handshake. */
static int by_callback(void)
{
    handshake();
    SSL_CTX_set_cert_cb(server_ctx, end_in_callback, NULL);
    handshake();
    return 1;
}

static void end_when_verifying(const SSL *s, int where, int unused)
{
    (void)unused;
    if ((where & SSL_CB_LOOP) != 0 && SSL_get_state(s) == TLS_ST_CR_CERT)
        exit(EXIT_OF_PROGRAM);
}

/* The evidence has come and is not appraised. */
static int by_late_callback(void)
{
    handshake();
    SSL_CTX_set_info_callback(client_ctx, end_when_verifying);
    handshake();
    return 1;
}

static int after_cleanup(void)
{
    start_workers();
    join_workers();
    free_contexts();
    OPENSSL_cleanup();
    exit(EXIT_OF_PROGRAM);
}

static int after_cleanup_with_contexts(void)
{
    start_workers();
    join_workers();
    OPENSSL_cleanup();
    exit(EXIT_OF_PROGRAM);
}

/* Library context and provider go before what they made. */
static int after_unload(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    if (OSSL_LIB_CTX_load_config(libctx, getenv("OPENSSL_CONF")) != 1)
        fail("no configuration");
    make_contexts(libctx);
    handshake();
    OSSL_LIB_CTX_free(libctx);
    free_contexts();
    exit(EXIT_OF_PROGRAM);
}

/* What a plugin does, which is not the one to end the program. */
static int in_library(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    if (OSSL_LIB_CTX_load_config(libctx, getenv("OPENSSL_CONF")) != 1)
        fail("no configuration");
    make_contexts(libctx);
    handshake();
    free_contexts();
    OSSL_LIB_CTX_free(libctx);
    return EXIT_OF_PROGRAM;
}

/* A thread waits for evidence that does not come. */
static int in_flight(void)
{
    pthread_t thread;

    start(&thread, work_once);
    usleep(100000);
    exit(EXIT_OF_PROGRAM);
}

static int in_flight_return(void)
{
    pthread_t thread;

    start(&thread, work_once);
    usleep(100000);
    return EXIT_OF_PROGRAM;
}

/* Jobs stay parked: nothing resumes them. */
static struct pair parked[PARKED];

static void park(void)
{
    SSL_CTX_set_mode(server_ctx, SSL_MODE_ASYNC);
    for (int i = 0; i < PARKED; i++) {
        int server = -1;

        connect_pair(&parked[i]);
        for (int n = 0; n < 4 && server != SSL_ERROR_WANT_ASYNC; n++) {
            (void)step(parked[i].client);
            server = step(parked[i].server);
        }
        if (server != SSL_ERROR_WANT_ASYNC)
            fail("the handshake does not park");
    }
}

static int with_parked_jobs(void)
{
    park();
    exit(EXIT_OF_PROGRAM);
}

static int with_dropped_jobs(void)
{
    park();
    for (int i = 0; i < PARKED; i++)
        free_pair(&parked[i]);
    free_contexts();
    exit(EXIT_OF_PROGRAM);
}

/* Before OpenSSL's own, which was registered earlier: all still works. */
static void handshake_at_exit(void)
{
    handshake();
}

static int atexit_before_openssl(void)
{
    handshake();
    atexit(handshake_at_exit);
    exit(EXIT_OF_PROGRAM);
}

/* Registered by main() before the first call of OpenSSL, so it runs after
 * OPENSSL_cleanup(). */
static bool is_freed_last;

static void free_after_openssl(void)
{
    if (is_freed_last)
        free_contexts();
}

static int atexit_after_openssl(void)
{
    handshake();
    is_freed_last = true;
    exit(EXIT_OF_PROGRAM);
}

/* The child of a program that has made handshakes makes its own. */
static int in_child(void)
{
    start_workers();
    join_workers();
    is_over = false;
    if (fork() == 0)
        handshake();
    exit(EXIT_OF_PROGRAM);
}

static const struct route {
    const char *name;
    int (*take)(void);
} routes[] = {
    {"return", by_return},
    {"exit", by_exit},
    {"running", while_running},
    {"_exit", at_once},
    {"quick_exit", by_quick_exit},
    {"caught-abort", by_caught_abort},
    {"abort", by_abort},
    {"signal", by_signal},
    {"pthread_exit", by_pthread_exit},
    {"other-thread", by_other_thread},
    {"callback", by_callback},
    {"late-callback", by_late_callback},
    {"cleanup", after_cleanup},
    {"cleanup-contexts", after_cleanup_with_contexts},
    {"unload", after_unload},
    {"library", in_library},
    {"in-flight", in_flight},
    {"in-flight-return", in_flight_return},
    {"parked", with_parked_jobs},
    {"dropped", with_dropped_jobs},
    {"atexit-before", atexit_before_openssl},
    {"atexit-after", atexit_after_openssl},
    {"fork", in_child},
};

/* Also for test/lib/plugins.c. */
int exits_take(const char *route, const char *certificate, const char *key);
__attribute__((visibility("default"))) int exits_take(const char *route,
                                                      const char *certificate,
                                                      const char *key)
{
    certificate_file = certificate;
    key_file = key;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].name, route) != 0)
            continue;
        if (routes[i].take == while_running)
            OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
        if (routes[i].take != after_unload && routes[i].take != in_library)
            make_contexts(NULL);
        return routes[i].take();
    }
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    atexit(free_after_openssl);
    return exits_take(argv[1], argv[2], argv[3]);
}
