/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_PEER_H
#define ATLS_TLS_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* SNI, verify host, verify address, peer address; further verify hosts. */
#define ATLS_PEER_NAMES_MAX 16u
/* Octets of a name with terminator: a DNS name has 253. */
#define ATLS_PEER_NAME_MAX 256u

/* The names and addresses of a server; none: nameless. */
struct atls_peer {
    size_t count;
    bool is_cut; /* more, or longer ones, than fit: no policy can cover it */
    char names[ATLS_PEER_NAMES_MAX][ATLS_PEER_NAME_MAX];
};

/*
 * Collect, before the ClientHello, what the program has set about the server that it
 * connects to: SNI, hosts and address of the verify parameters, and the peer's
 * address, or the host of a connect BIO, where the connection shows it. OpenSSL 4.0
 * shows only one of several verify addresses.
 * Leaves the error queue and errno as found.
 */
void atls_peer_collect(const SSL *s, struct atls_peer *ret_peer);

/* Its name in texts: the first one, or "a server without a name". Borrowed. */
const char *atls_peer_display(const struct atls_peer *peer);

#endif
