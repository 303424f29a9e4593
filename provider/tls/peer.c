/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <sys/socket.h>

static void add(struct atls_peer *peer, const char *name)
{
    if (name == NULL || name[0] == '\0')
        return;
    if (strlen(name) >= ATLS_PEER_NAME_MAX) {
        peer->is_cut = true;
        return;
    }
    for (size_t i = 0; i < peer->count; i++)
        if (strcmp(peer->names[i], name) == 0)
            return;
    if (peer->count == ATLS_PEER_NAMES_MAX) {
        peer->is_cut = true;
        return;
    }
    memcpy(peer->names[peer->count++], name, strlen(name) + 1);
}

static void add_verify_names(struct atls_peer *peer, const SSL *s)
{
    /* Not const in 3.0's prototype; only read. */
    X509_VERIFY_PARAM *param = SSL_get0_param((SSL *)(uintptr_t)s);
    char *address;

    /* One more than there is room for, to see that there are more. */
    for (int i = 0; i <= (int)ATLS_PEER_NAMES_MAX; i++)
        add(peer, X509_VERIFY_PARAM_get0_host(param, i));
    address = X509_VERIFY_PARAM_get1_ip_asc(param);
    add(peer, address);
    OPENSSL_free(address);
}

static void add_socket_address(struct atls_peer *peer, const SSL *s)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char text[INET6_ADDRSTRLEN];
    const void *octets;
    int fd = SSL_get_wfd(s);

    if (fd < 0 || getpeername(fd, (struct sockaddr *)&address, &len) != 0)
        return;
    if (address.ss_family == AF_INET)
        octets = &((const struct sockaddr_in *)&address)->sin_addr;
    else if (address.ss_family == AF_INET6)
        octets = &((const struct sockaddr_in6 *)&address)->sin6_addr;
    else
        return;
    add(peer, inet_ntop(address.ss_family, octets, text, sizeof(text)));
}

/* A connect BIO has no address before it has connected, which is after the
 * ClientHello was made. */
static void add_connect_host(struct atls_peer *peer, const SSL *s)
{
    BIO *bio = BIO_find_type(SSL_get_wbio(s), BIO_TYPE_CONNECT);

    if (bio != NULL)
        add(peer, BIO_get_conn_hostname(bio));
}

void atls_peer_collect(const SSL *s, struct atls_peer *ret_peer)
{
    int saved = errno;

    ret_peer->count = 0;
    ret_peer->is_cut = false;
    /* get1_ip_asc and get_wfd raise errors where there is nothing to get. */
    ERR_set_mark();
    add(ret_peer, SSL_get_servername(s, TLSEXT_NAMETYPE_host_name));
    add_verify_names(ret_peer, s);
    add_socket_address(ret_peer, s);
    add_connect_host(ret_peer, s);
    ERR_pop_to_mark();
    errno = saved;
}

const char *atls_peer_display(const struct atls_peer *peer)
{
    return peer->count > 0 ? peer->names[0] : "a server without a name";
}
