/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "evidence/codec.h"
#include "tools/common/input.h"
#include "tls/channel.h"
#include "tools/common/tool.h"

/* What one connection collects; callbacks find it in the SSL's app data. */
struct fetch {
    const struct peer_address *address;
    int64_t deadline_ms;
    bool is_plain; /* asks for no evidence */
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    uint8_t secret[48];
    size_t secret_len;
    uint8_t *cmw;
    size_t cmw_len;
    enum atls_error error; /* of a callback, which cannot return it */
    enum peer_answer answer;
    char numeric[INET6_ADDRSTRLEN];
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- addresses ---- */

static bool is_literal(const char *host)
{
    struct in6_addr octets;

    return inet_pton(AF_INET, host, &octets) == 1
           || inet_pton(AF_INET6, host, &octets) == 1;
}

/* The end of the host: the bracket, the only colon, or the end. NULL for a
 * bracket that is not closed. */
static const char *host_end(const char *text, const char **ret_host)
{
    const char *colon = strchr(text, ':');

    *ret_host = text;
    if (text[0] == '[') {
        *ret_host = text + 1;
        return strchr(text, ']');
    }
    /* An IPv6 literal without brackets has no port. */
    if (colon == NULL || strchr(colon + 1, ':') != NULL)
        return text + strlen(text);
    return colon;
}

enum atls_error tool_peer_address_parse(const char *text,
                                        struct atls_reason *why,
                                        struct peer_address *ret_address)
{
    struct peer_address address = {.port = PEER_PORT_DEFAULT};
    const char *host;
    const char *end = host_end(text, &host);
    const char *rest;
    unsigned port;

    if (strstr(text, "://") != NULL)
        return atls_fail(why, ATLS_E_USAGE,
                         "%s: expected HOST[:PORT], found a URL: leave out "
                         "scheme and path",
                         text);
    if (end == NULL || end == host
        || (size_t)(end - host) >= sizeof(address.host))
        return atls_fail(why, ATLS_E_USAGE,
                         "%s: expected HOST, HOST:PORT or [IPV6]:PORT", text);
    memcpy(address.host, host, (size_t)(end - host));
    address.is_literal = is_literal(address.host);
    if ((text[0] == '[' || strchr(address.host, ':') != NULL)
        && (!address.is_literal || strchr(address.host, ':') == NULL))
        return atls_fail(why, ATLS_E_USAGE,
                         "%s: %s is no IPv6 address; with a port it is "
                         "written [ADDRESS]:PORT",
                         text, address.host);
    rest = *end == ']' ? end + 1 : end;
    if (*rest != '\0') {
        if (*rest != ':' || !tool_number(rest + 1, 1, 65535, &port))
            return atls_fail(why, ATLS_E_USAGE,
                             "%s: a port is a number from 1 to 65535", text);
        snprintf(address.port, sizeof(address.port), "%u", port);
    }
    *ret_address = address;
    return ATLS_OK;
}

/* ---- connection ---- */

/* Wait until fd is ready. Returns 1, 0 at the deadline, -1 with errno. */
static int wait_ready(const struct fetch *fetch, short events)
{
    struct pollfd pfd = {.fd = fetch->fd, .events = events};
    int64_t left;
    int n;

    do {
        left = fetch->deadline_ms - now_ms();
        if (left <= 0)
            return 0;
        n = poll(&pfd, 1, (int)left);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Connect fetch->fd to one address. Returns 0 or an errno. */
static int connect_one(struct fetch *fetch, const struct addrinfo *ai)
{
    int error = 0;
    socklen_t len = sizeof(error);
    int n;

    fetch->fd =
        socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
               ai->ai_protocol);
    if (fetch->fd < 0)
        return errno;
    if (connect(fetch->fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    n = wait_ready(fetch, POLLOUT);
    if (n == 0)
        return ETIMEDOUT;
    if (n < 0 || getsockopt(fetch->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    return error;
}

/* Connect to the first address that answers. */
static enum atls_error connect_peer(struct fetch *fetch,
                                    struct atls_reason *why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_ADDRCONFIG};
    const struct peer_address *address = fetch->address;
    struct addrinfo *list = NULL;
    int error = ECONNREFUSED;
    int r = getaddrinfo(address->host, address->port, &hints, &list);

    if (r != 0)
        return atls_fail(why, ATLS_E_NO_EVIDENCE, "cannot resolve %s: %s",
                         address->host,
                         r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        error = connect_one(fetch, ai);
        if (error == 0) {
            getnameinfo(ai->ai_addr, ai->ai_addrlen, fetch->numeric,
                        sizeof(fetch->numeric), NULL, 0, NI_NUMERICHOST);
            break;
        }
        if (fetch->fd >= 0)
            close(fetch->fd);
        fetch->fd = -1;
    }
    freeaddrinfo(list);
    if (fetch->fd < 0)
        return atls_fail(why, ATLS_E_NO_EVIDENCE,
                         "cannot connect to %s port %s: %s", address->host,
                         address->port, strerror(error));
    return ATLS_OK;
}

/* ---- TLS ---- */

static void on_keylog(const SSL *ssl, const char *line)
{
    struct fetch *fetch = SSL_get_app_data(ssl);
    uint8_t client_random[SSL3_RANDOM_SIZE];
    uint8_t secret[sizeof(fetch->secret)];
    size_t len;

    if (SSL_get_client_random(ssl, client_random, sizeof(client_random))
            == sizeof(client_random)
        && atls_channel_parse_keylog(line, client_random, secret, &len)
               == ATLS_OK) {
        memcpy(fetch->secret, secret, len);
        fetch->secret_len = len;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
}

static int on_add(SSL *ssl, unsigned ext_type, unsigned context,
                  const unsigned char **out, size_t *out_len, X509 *x509,
                  size_t chain_index, int *alert, void *arg)
{
    static _Thread_local uint8_t request[ATLS_REQUEST_MAX];
    const struct atls_formats formats = atls_request_formats(true);

    (void)ssl, (void)ext_type, (void)x509, (void)chain_index, (void)alert;
    (void)arg;
    if (context != SSL_EXT_CLIENT_HELLO)
        return 0; /* we prove nothing ourselves */
    *out_len = atls_request_write(&formats, request);
    *out = request;
    return 1;
}

/* struct { opaque cmw<1..49152>; } Attestation; only its frame is read here. */
static int on_parse(SSL *ssl, unsigned ext_type, unsigned context,
                    const unsigned char *in, size_t in_len, X509 *x509,
                    size_t chain_index, int *alert, void *arg)
{
    struct fetch *fetch = SSL_get_app_data(ssl);
    size_t len;

    (void)ext_type, (void)context, (void)x509, (void)arg;
    if (chain_index != 0) {
        fetch->error = ATLS_E_MISPLACED;
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return 0;
    }
    len = in_len < 2 ? 0 : ((size_t)in[0] << 8) | in[1];
    if (len == 0 || len > ATLS_CMW_MAX || len != in_len - 2) {
        fetch->error = ATLS_E_MALFORMED;
        *alert = SSL_AD_DECODE_ERROR;
        return 0;
    }
    OPENSSL_free(fetch->cmw);
    fetch->cmw_len = len;
    fetch->cmw = OPENSSL_memdup(in + 2, len);
    if (fetch->cmw == NULL) {
        fetch->error = ATLS_E_NOMEM;
        *alert = SSL_AD_INTERNAL_ERROR;
        return 0;
    }
    return 1;
}

/*
 * A context in our own library context. OPENSSL_INIT_NO_LOAD_CONFIG must come
 * before anything of libssl: SSL_CTX_new_ex() would read openssl.cnf into the
 * default library context, and the hook of an attest module named there acts
 * on every SSL_CTX of the process.
 */
static enum atls_error new_context(struct fetch *fetch, const char *cafile,
                                   struct atls_reason *why)
{
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1
        || (fetch->ctx =
                SSL_CTX_new_ex(atls_libctx(), NULL, TLS_client_method()))
               == NULL
        || SSL_CTX_set_min_proto_version(fetch->ctx, TLS1_3_VERSION) != 1
        || (!fetch->is_plain
            && SSL_CTX_add_custom_ext(fetch->ctx, ATLS_EXTENSION_TYPE,
                                      SSL_EXT_CLIENT_HELLO
                                          | SSL_EXT_TLS1_3_CERTIFICATE,
                                      on_add, NULL, NULL, on_parse, NULL)
                   != 1))
        return atls_fail(why, ATLS_E_NOMEM, "cannot set up a TLS context");
    SSL_CTX_set_keylog_callback(fetch->ctx, on_keylog);
    if (cafile == NULL) {
        SSL_CTX_set_default_verify_paths(fetch->ctx);
        return ATLS_OK;
    }
    if (tool_input_check(cafile, INPUT_ROOTS_MAX, why) != ATLS_OK) {
        atls_reason_prefix(why, "--cafile: ");
        return why->code = ATLS_E_CONFIG;
    }
    if (SSL_CTX_load_verify_file(fetch->ctx, cafile) != 1)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: no readable PEM certificates for --cafile",
                         cafile);
    return ATLS_OK;
}

static enum atls_error new_ssl(struct fetch *fetch, struct atls_reason *why)
{
    char host[sizeof(fetch->address->host)]; /* libssl's macro is not const */
    X509_VERIFY_PARAM *param;
    int named;

    memcpy(host, fetch->address->host, sizeof(host));
    fetch->ssl = SSL_new(fetch->ctx);
    if (fetch->ssl == NULL || SSL_set_fd(fetch->ssl, fetch->fd) != 1
        || SSL_set_app_data(fetch->ssl, fetch) != 1)
        return atls_fail(why, ATLS_E_NOMEM, "cannot set up a TLS connection");
    SSL_set_verify(fetch->ssl, SSL_VERIFY_NONE, NULL);
    param = SSL_get0_param(fetch->ssl);
    if (fetch->address->is_literal)
        named = X509_VERIFY_PARAM_set1_ip_asc(param, host);
    else
        named = X509_VERIFY_PARAM_set1_host(param, host, 0) == 1
                && SSL_set_tlsext_host_name(fetch->ssl, host) == 1;
    if (named != 1)
        return atls_fail(why, ATLS_E_USAGE, "%s: not a host name", host);
    return ATLS_OK;
}

/* Where the cause stands: an alert does not say it. */
static const char *advice_of(const struct fetch *fetch, unsigned long code)
{
    if (fetch->answer != PEER_ALERT)
        return "";
    if (ERR_GET_REASON(code) == SSL_R_TLSV1_ALERT_INTERNAL_ERROR)
        return "; see that server's own log: a server that cannot prove itself "
               "ends like this";
    return "; see that server's own log";
}

/* Why SSL_connect() failed, in words. */
static enum atls_error handshake_failed(struct fetch *fetch, int ssl_error,
                                        int error, struct atls_reason *why)
{
    const struct peer_address *address = fetch->address;
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_GET_LIB(code) == ERR_LIB_SSL
        && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET)
        fetch->answer = PEER_ALERT;
    if (fetch->error == ATLS_E_MISPLACED)
        return atls_fail(why, fetch->error,
                         "%s: evidence outside the first certificate entry",
                         address->host);
    if (fetch->error == ATLS_E_MALFORMED)
        return atls_fail(why, fetch->error,
                         "%s: what came in extension 0xFFA7 is no evidence "
                         "(length field or size wrong)",
                         address->host);
    if (fetch->error != ATLS_OK)
        return atls_fail(why, fetch->error, NULL);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        switch (ERR_GET_REASON(code)) {
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        case SSL_R_UNSUPPORTED_PROTOCOL:
            fetch->answer = PEER_OLD_TLS;
            return atls_fail(
                why, ATLS_E_VERSION,
                "%s port %s does not speak TLS 1.3, which evidence "
                "needs: enable it there",
                address->host, address->port);
        case SSL_R_WRONG_VERSION_NUMBER:
            return atls_fail(why, ATLS_E_NO_EVIDENCE,
                             "what answers at %s port %s does not speak TLS",
                             address->host, address->port);
        default:
            break;
        }
    }
    if (reason == NULL)
        reason = ssl_error == SSL_ERROR_SYSCALL && error != 0
                     ? strerror(error)
                     : "the peer closed the connection";
    return atls_fail(
        why, ATLS_E_NO_EVIDENCE, "TLS handshake with %s port %s failed: %s%s",
        address->host, address->port, reason, advice_of(fetch, code));
}

static enum atls_error handshake(struct fetch *fetch, struct atls_reason *why)
{
    for (;;) {
        int r, error, ssl_error;

        ERR_clear_error();
        errno = 0;
        r = SSL_connect(fetch->ssl);
        if (r == 1)
            return ATLS_OK;
        error = errno;
        ssl_error = SSL_get_error(fetch->ssl, r);
        if (ssl_error == SSL_ERROR_WANT_READ)
            r = wait_ready(fetch, POLLIN);
        else if (ssl_error == SSL_ERROR_WANT_WRITE)
            r = wait_ready(fetch, POLLOUT);
        else
            return handshake_failed(fetch, ssl_error, error, why);
        if (r <= 0)
            return atls_fail(
                why, ATLS_E_NO_EVIDENCE,
                "TLS handshake with %s port %s timed out: --timeout "
                "allows more",
                fetch->address->host, fetch->address->port);
    }
}

static void describe_connection(const struct fetch *fetch,
                                struct peer_evidence *evidence)
{
    SSL *ssl = fetch->ssl;
    const char *group =
        SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    long verified = SSL_get_verify_result(ssl);

    snprintf(evidence->tls, sizeof(evidence->tls), "%s, %s%s%s",
             SSL_get_version(ssl), SSL_get_cipher_name(ssl),
             group != NULL ? ", " : "", group != NULL ? group : "");
    evidence->pki_valid = verified == X509_V_OK;
    snprintf(evidence->pki, sizeof(evidence->pki), "%s",
             X509_verify_cert_error_string(verified));
}

/* Hand over what the connection brought. */
static enum atls_error collect(struct fetch *fetch, struct atls_reason *why,
                               struct peer_evidence *evidence)
{
    X509 *cert = SSL_get0_peer_certificate(fetch->ssl);
    int len;

    if (cert == NULL || (fetch->cmw == NULL && !fetch->is_plain))
        return atls_fail(
            why, ATLS_E_NO_EVIDENCE,
            "%s port %s sent no attestation evidence: attest is not "
            "active there, or has no attester (run 'attest check' "
            "on it)",
            fetch->address->host, fetch->address->port);
    if (atls_channel_derive(fetch->secret, fetch->secret_len, evidence->role,
                            evidence->channel)
        != ATLS_OK)
        return atls_fail(why, ATLS_E_CRYPTO, "cannot derive the channel value");
    evidence->has_channel = true;
    len = i2d_X509(cert, &evidence->cert_der);
    evidence->name = OPENSSL_strdup(fetch->address->host);
    evidence->address = OPENSSL_strdup(fetch->numeric);
    if (len <= 0 || evidence->name == NULL || evidence->address == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    evidence->cert_len = (size_t)len;
    evidence->cmw = fetch->cmw;
    evidence->cmw_len = fetch->cmw_len;
    fetch->cmw = NULL; /* transferred */
    evidence->is_live = true;
    evidence->time = (int64_t)time(NULL);
    describe_connection(fetch, evidence);
    return ATLS_OK;
}

static enum atls_error converse(struct fetch *fetch, const char *cafile,
                                unsigned timeout_ms, struct atls_reason *why,
                                struct peer_evidence *evidence)
{
    enum atls_error r = new_context(fetch, cafile, why);

    if (r == ATLS_OK) {
        fetch->deadline_ms = now_ms() + (int64_t)timeout_ms;
        r = connect_peer(fetch, why);
    }
    if (r == ATLS_OK)
        r = new_ssl(fetch, why);
    if (r == ATLS_OK)
        r = handshake(fetch, why);
    if (r != ATLS_OK)
        return r;
    r = collect(fetch, why, evidence);
    fetch->answer = evidence->cmw != NULL ? PEER_EVIDENCE : PEER_NO_EVIDENCE;
    SSL_shutdown(fetch->ssl); /* courtesy: close_notify, answer not awaited */
    return r;
}

static enum atls_error fetch_evidence(struct fetch *fetch, const char *cafile,
                                      unsigned timeout_ms,
                                      struct atls_reason *why,
                                      struct peer_evidence *ret)
{
    struct peer_evidence evidence = {.role = ATLS_ROLE_SERVER};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    enum atls_error r;

    /* A peer that closes the connection must not raise SIGPIPE. */
    sigaction(SIGPIPE, &ignore, &old);
    r = converse(fetch, cafile, timeout_ms, why, &evidence);
    if (r == ATLS_OK)
        *ret = evidence;
    else
        tool_peer_evidence_clear(&evidence);

    SSL_free(fetch->ssl);
    SSL_CTX_free(fetch->ctx);
    if (fetch->fd >= 0)
        close(fetch->fd);
    OPENSSL_free(fetch->cmw);
    OPENSSL_cleanse(fetch->secret, sizeof(fetch->secret));
    ERR_clear_error();
    sigaction(SIGPIPE, &old, NULL);
    return r;
}

enum atls_error tool_peer_fetch(const struct peer_address *address,
                                const char *cafile, unsigned timeout_ms,
                                struct atls_reason *why,
                                struct peer_evidence *ret)
{
    struct fetch fetch = {.address = address, .fd = -1};

    return fetch_evidence(&fetch, cafile, timeout_ms, why, ret);
}

enum peer_answer tool_peer_ask(const struct peer_address *address,
                               unsigned timeout_ms, struct atls_reason *why,
                               struct peer_evidence *ret)
{
    struct fetch fetch = {.address = address, .fd = -1, .answer = PEER_NO_TLS};
    enum atls_error r = fetch_evidence(&fetch, NULL, timeout_ms, why, ret);

    return r == ATLS_OK ? PEER_EVIDENCE : fetch.answer;
}

enum peer_answer tool_peer_ask_plainly(const struct peer_address *address,
                                       unsigned timeout_ms,
                                       struct atls_reason *why,
                                       struct peer_evidence *ret)
{
    struct fetch fetch = {
        .address = address, .is_plain = true, .fd = -1, .answer = PEER_NO_TLS};
    enum atls_error r = fetch_evidence(&fetch, NULL, timeout_ms, why, ret);

    /* Without a certificate there is nothing to report. */
    if (r != ATLS_OK && fetch.answer == PEER_NO_EVIDENCE)
        return PEER_NO_TLS;
    return fetch.answer;
}

void tool_peer_evidence_clear(struct peer_evidence *evidence)
{
    OPENSSL_free(evidence->name);
    OPENSSL_free(evidence->address);
    OPENSSL_free(evidence->cmw);
    OPENSSL_free(evidence->cert_der);
    *evidence = (struct peer_evidence){0};
}
