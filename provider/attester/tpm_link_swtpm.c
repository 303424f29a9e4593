/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/tpm_link_kind.h"
#include "base/number.h"
#include "base/opening.h"

/*
 * swtpm is spoken to here although tpm2-tss has a TCTI for it. That TCTI ignores the
 * timeout of receive and has no poll handle, so a silent TPM blocks its caller without
 * end; its descriptors survive exec, its writes raise SIGPIPE, and a forked child keeps
 * its connection open (tpm2-tss 3.2.1).
 */

/* The defaults of tpm2-tss's swtpm TCTI. */
#define DEFAULT_HOST "localhost"
#define DEFAULT_PORT "2321"

/* There is no deadline yet when a link is opened. */
#define OPEN_LIMIT_MS 300

/* How long one attempt to connect may take: more each time, for hosts afar. */
#define FIRST_PATIENCE_MS 40
#define MOST_PATIENCE_MS 1000

struct target {
    char host[256];
    char port[8];
};

static enum atls_error bad_conf(const struct atls_link *link,
                                struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_CONFIG,
                     "tcti %s: expected swtpm:host=HOST,port=PORT", link->tcti);
}

/* getaddrinfo() would take 70000 for 4464. */
static bool is_port(const char *text)
{
    uint32_t port;

    return atls_number_parse(text, strlen(text), 1, UINT16_MAX, &port);
}

/* "host=HOST,port=PORT", both optional, in any order. */
static bool parse(const char *conf, struct target *ret)
{
    const char *p = conf;

    snprintf(ret->host, sizeof(ret->host), "%s", DEFAULT_HOST);
    snprintf(ret->port, sizeof(ret->port), "%s", DEFAULT_PORT);
    while (*p != '\0') {
        size_t len = strcspn(p, ",");
        char *value = ret->host;
        size_t size = sizeof(ret->host);

        if (strncmp(p, "port=", 5) == 0) {
            value = ret->port;
            size = sizeof(ret->port);
        } else if (strncmp(p, "host=", 5) != 0) {
            return false;
        }
        if (len == 5 || len - 5 >= size)
            return false;
        memcpy(value, p + 5, len - 5);
        value[len - 5] = '\0';
        p += len;
        p += *p == ',';
    }
    return is_port(ret->port);
}

/* No resolver is asked for an address. */
static bool swtpm_is_plain(const char *conf)
{
    struct target target;
    struct in6_addr address;

    return parse(conf, &target)
           && (inet_pton(AF_INET, target.host, &address) == 1
               || inet_pton(AF_INET6, target.host, &address) == 1);
}

static enum atls_error resolve(const struct atls_link *link,
                               const struct target *target,
                               struct atls_reason *why, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    struct atls_opening opening;
    int error;

    atls_opening_begin(&opening); /* it reads files and asks servers */
    error = getaddrinfo(target->host, target->port, &hints, ret);
    atls_opening_end(&opening);
    if (error != 0)
        return atls_fail(why, ATLS_E_TPM_UNAVAILABLE, "tcti %s: host %s: %s",
                         link->tcti, target->host, gai_strerror(error));
    return ATLS_OK;
}

static enum atls_error refused(const struct atls_link *link, int error,
                               struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_TPM_UNAVAILABLE,
                     "no TPM answers at %s: %s; start swtpm there, or name "
                     "another tcti",
                     link->tcti, strerror(error));
}

/* shutdown() ends the connection also where a forked child holds a copy of the
 * descriptor: swtpm serves one connection at a time and would wait for it. */
static void swtpm_close(struct atls_link *link)
{
    if (link->fd < 0)
        return;
    shutdown(link->fd, SHUT_RDWR);
    close(link->fd);
    link->fd = -1;
}

static enum atls_error start_connect(struct atls_link *link,
                                     struct atls_reason *why)
{
    const void *address = &link->address;

    link->fd =
        atls_open_socket(link->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK);
    if (link->fd < 0)
        return refused(link, errno, why);
    if (connect(link->fd, address, link->address_len) < 0
        && errno != EINPROGRESS && errno != EINTR)
        return refused(link, errno, why);
    return ATLS_OK;
}

static bool is_decided(int fd)
{
    struct pollfd writable = {fd, POLLOUT, 0};

    return poll(&writable, 1, 0) == 1;
}

static enum atls_error connect_result(struct atls_link *link,
                                      struct atls_reason *why)
{
    socklen_t len = sizeof(int);
    int error = 0;

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error != 0)
        return refused(link, error, why);
    return ATLS_OK;
}

/*
 * swtpm has one client at a time and room for one or two that wait; the kernel
 * drops what comes then, and would try again after a second, three, seven.
 * Try again ourselves, sooner.
 */
static enum atls_error swtpm_connect(struct atls_link *link,
                                     struct atls_reason *why)
{
    for (int patience_ms = FIRST_PATIENCE_MS;; patience_ms *= 2) {
        enum atls_error r = start_connect(link, why);

        if (r != ATLS_OK)
            return r;
        r = atls_link_wait(link, link->fd, POLLOUT, patience_ms, why);
        if (r != ATLS_OK)
            return r;
        if (is_decided(link->fd))
            return connect_result(link, why);
        swtpm_close(link);
        if (patience_ms > MOST_PATIENCE_MS)
            patience_ms = MOST_PATIENCE_MS;
    }
}

/*
 * The first address that does not refuse us is kept: later there may be no
 * resolver, as after a chroot. One that is slow to accept may be busy with other
 * programs, and the first command, which has a deadline, will tell.
 */
static enum atls_error choose_address(struct atls_link *link,
                                      const struct addrinfo *found,
                                      struct atls_reason *why)
{
    enum atls_error r = ATLS_OK;

    for (const struct addrinfo *ai = found; ai != NULL; ai = ai->ai_next) {
        memcpy(&link->address, ai->ai_addr, ai->ai_addrlen);
        link->address_len = ai->ai_addrlen;
        link->deadline_ms = atls_now_ms() + OPEN_LIMIT_MS;
        r = swtpm_connect(link, why);
        swtpm_close(link);
        if (r == ATLS_OK || r == ATLS_E_TIMEOUT)
            break;
    }
    link->deadline_ms = 0;
    return r == ATLS_E_TIMEOUT ? ATLS_OK : r;
}

static enum atls_error swtpm_open(struct atls_link *link,
                                  struct atls_reason *why)
{
    struct addrinfo *found = NULL;
    struct target target;
    enum atls_error r;

    if (!parse(link->conf, &target))
        return bad_conf(link, why);
    r = resolve(link, &target, why, &found);
    if (r != ATLS_OK)
        return r;
    r = choose_address(link, found, why);
    freeaddrinfo(found);
    return r;
}

/* A connection for each command, as tpm2-tss does: programs can share swtpm. */
static enum atls_error swtpm_exchange(struct atls_link *link,
                                      struct atls_span command,
                                      uint8_t *response, size_t *ret_len,
                                      struct atls_reason *why)
{
    enum atls_error r = swtpm_connect(link, why);

    if (r == ATLS_OK)
        r = atls_link_converse(link, command, response, ret_len, why);
    swtpm_close(link);
    return r;
}

const struct atls_link_kind atls_link_swtpm = {
    .name = "swtpm",
    .is_plain = swtpm_is_plain,
    .open = swtpm_open,
    .exchange = swtpm_exchange,
    .close = swtpm_close,
};
