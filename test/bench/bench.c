/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Full TLS 1.3 handshakes, one after another, with a server on loopback, and
 * what each costs. Plain OpenSSL: whether it verifies evidence is for its
 * OPENSSL_CONF to say, as with any program.
 *
 * A handshake is a TCP connection, SSL_connect(), close_notify, and reading on
 * until the server has closed. Nothing is asked for, so that a server has nothing
 * to do but the handshake; the tickets it sends are read, because programs that
 * stay connected read them too. Waiting for the server's end keeps the rest of
 * its work out of the next handshake's time.
 *
 * Prints a line "KEY VALUE" for each, in microseconds per handshake:
 *   wall_us                 all of it, mean
 *   p50_us p95_us p99_us    SSL_connect() alone: the wait that a user feels
 *   client_cpu_us           CPU time of this process, mean
 *   KEY                     the same of the process that --watch KEY=PID names
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define WATCHED_MAX 4u
#define COUNT_MAX 1000000u
/* Nobody waits for a server for ever. */
#define SOCKET_TIMEOUT_S 60

/*
 * A process whose CPU time is taken: user and system, of all its threads, in
 * nanoseconds. /proc/PID/stat has the same in ticks of 10 ms, which is as long
 * as ten handshakes.
 */
struct watched {
    const char *key;
    clockid_t clock;
    int64_t began;
};

struct bench {
    struct sockaddr_in server;
    char *name; /* SNI, and what the certificate must be for */
    const char *cafile;
    unsigned count;
    unsigned warm_up; /* handshakes before any clock is read */
    size_t watched_count;
    struct watched watched[WATCHED_MAX];
};

static int64_t now(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool complain(const char *what)
{
    fprintf(stderr, "bench: %s", what);
    if (errno != 0)
        fprintf(stderr, ": %s", strerror(errno));
    fputc('\n', stderr);
    ERR_print_errors_fp(stderr);
    return false;
}

/*
 * One handshake
 */

static int open_socket(const struct sockaddr_in *server)
{
    const struct timeval timeout = {.tv_sec = SOCKET_TIMEOUT_S};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    /* Finished and close_notify are two small segments in a row: Nagle would
     * hold the second until the server's delayed acknowledgement. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0
        && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))
               == 0
        && connect(fd, (const struct sockaddr *)server, sizeof(*server)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Say goodbye and read what the server still has to say, until it closes. */
static bool part(SSL *ssl)
{
    unsigned char buf[4096];
    int r;

    if (SSL_shutdown(ssl) < 0)
        return false;
    do {
        r = SSL_read(ssl, buf, sizeof(buf));
    } while (r > 0);
    return SSL_get_error(ssl, r) == SSL_ERROR_ZERO_RETURN;
}

/* Anything but a full TLS 1.3 handshake would be another measurement. */
static bool shake_hands(SSL *ssl, int64_t *ret_latency)
{
    int64_t began = now(CLOCK_MONOTONIC);

    if (SSL_connect(ssl) != 1)
        return complain("handshake failed");
    *ret_latency = now(CLOCK_MONOTONIC) - began;
    if (SSL_version(ssl) != TLS1_3_VERSION || SSL_session_reused(ssl))
        return complain("no full handshake of TLS 1.3");
    if (!part(ssl))
        return complain("the server did not close the connection in order");
    return true;
}

static bool run_one(const struct bench *bench, SSL_CTX *ctx,
                    int64_t *ret_latency)
{
    bool ok = false;
    SSL *ssl = NULL;
    int fd = open_socket(&bench->server);

    if (fd < 0)
        return complain("cannot connect");
    ssl = SSL_new(ctx);
    if (ssl == NULL || !SSL_set_tlsext_host_name(ssl, bench->name)
        || !SSL_set1_host(ssl, bench->name) || !SSL_set_fd(ssl, fd)) {
        complain("cannot set up a connection");
        goto out;
    }
    ok = shake_hands(ssl, ret_latency);
out:
    SSL_free(ssl);
    close(fd);
    return ok;
}

/*
 * Many
 */

static int compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* Nearest rank, of sorted values. */
static int64_t percentile(const int64_t *values, unsigned count,
                          unsigned percent)
{
    return values[((uint64_t)count * percent + 99) / 100 - 1];
}

static void print_time(const char *key, int64_t nanoseconds, unsigned count)
{
    printf("%s %.1f\n", key, (double)nanoseconds / 1000 / count);
}

static bool run_many(struct bench *bench, SSL_CTX *ctx, int64_t *latencies)
{
    int64_t began, ignored;

    for (unsigned i = 0; i < bench->warm_up; i++) {
        if (!run_one(bench, ctx, &ignored))
            return false;
    }
    for (size_t i = 0; i < bench->watched_count; i++)
        bench->watched[i].began = now(bench->watched[i].clock);
    began = now(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < bench->count; i++) {
        if (!run_one(bench, ctx, &latencies[i]))
            return false;
    }
    print_time("wall_us", now(CLOCK_MONOTONIC) - began, bench->count);
    for (size_t i = 0; i < bench->watched_count; i++)
        print_time(bench->watched[i].key,
                   now(bench->watched[i].clock) - bench->watched[i].began,
                   bench->count);
    qsort(latencies, bench->count, sizeof(*latencies), compare);
    print_time("p50_us", percentile(latencies, bench->count, 50), 1);
    print_time("p95_us", percentile(latencies, bench->count, 95), 1);
    print_time("p99_us", percentile(latencies, bench->count, 99), 1);
    return true;
}

static SSL_CTX *make_context(const struct bench *bench)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(ctx, bench->cafile) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static bool run(struct bench *bench)
{
    bool ok = false;
    SSL_CTX *ctx = make_context(bench);
    int64_t *latencies = calloc(bench->count, sizeof(*latencies));

    if (ctx == NULL || latencies == NULL)
        complain("cannot make a context");
    else
        ok = run_many(bench, ctx, latencies);
    free(latencies);
    SSL_CTX_free(ctx);
    return ok;
}

/*
 * Command line
 */

static int usage(FILE *out)
{
    fputs("Usage: bench --port N --cafile PEM [OPTION]...\n"
          "  --name HOST       name of the server (localhost)\n"
          "  --count N         handshakes to measure (100)\n"
          "  --warm-up N       handshakes before those (5)\n"
          "  --watch KEY=PID   CPU time of that process too\n",
          out);
    return out == stdout ? EXIT_SUCCESS : 2;
}

static bool read_number(const char *text, unsigned long max,
                        unsigned long *ret_number)
{
    char *end = NULL;

    errno = 0;
    *ret_number = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-'
           && *ret_number <= max;
}

static bool watch(struct bench *bench, const char *key, clockid_t clock)
{
    if (bench->watched_count == WATCHED_MAX)
        return false;
    bench->watched[bench->watched_count++] =
        (struct watched){.key = key, .clock = clock};
    return true;
}

/* KEY=PID */
static bool watch_process(struct bench *bench, char *text)
{
    char *equals = strchr(text, '=');
    unsigned long pid;
    clockid_t clock;

    if (equals == NULL || !read_number(equals + 1, INT32_MAX, &pid)
        || clock_getcpuclockid((pid_t)pid, &clock) != 0)
        return false;
    *equals = '\0';
    return watch(bench, text, clock);
}

static bool set_option(struct bench *bench, int option, char *value)
{
    unsigned long number = 0;

    switch (option) {
    case 'a':
        bench->cafile = value;
        return true;
    case 'n':
        bench->name = value;
        return true;
    case 'w':
        return watch_process(bench, value);
    case 'p':
        if (!read_number(value, UINT16_MAX, &number) || number == 0)
            return false;
        bench->server.sin_port = htons((uint16_t)number);
        return true;
    case 'c':
        if (!read_number(value, COUNT_MAX, &number) || number == 0)
            return false;
        bench->count = (unsigned)number;
        return true;
    case 'u':
        if (!read_number(value, COUNT_MAX, &number))
            return false;
        bench->warm_up = (unsigned)number;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"cafile", required_argument, NULL, 'a'},
        {"count", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {"name", required_argument, NULL, 'n'},
        {"port", required_argument, NULL, 'p'},
        {"warm-up", required_argument, NULL, 'u'},
        {"watch", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    static char localhost[] = "localhost";
    struct bench bench = {
        .server = {.sin_family = AF_INET,
                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .name = localhost,
        .count = 100,
        .warm_up = 5,
    };
    int option;

    watch(&bench, "client_cpu_us", CLOCK_PROCESS_CPUTIME_ID);
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h')
            return usage(stdout);
        if (!set_option(&bench, option, optarg))
            return usage(stderr);
    }
    if (optind != argc || bench.server.sin_port == 0 || bench.cafile == NULL)
        return usage(stderr);
    /* A server that hangs up is an error to report, not to die of. */
    signal(SIGPIPE, SIG_IGN);
    errno = 0;
    return run(&bench) ? EXIT_SUCCESS : EXIT_FAILURE;
}
