/* SPDX-License-Identifier: BSD-2-Clause */
#include "deny.h"

#include <openssl/err.h>
#include <stdatomic.h>

#include "raise.h"

static _Atomic(const struct atls_libssl *) library;
static _Atomic(const struct atls_reason *) reason;

static int deny_all(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                    void *other, void *ex)
{
    const struct atls_libssl *libssl = atomic_load(&library);

    (void)ctx, (void)bits, (void)nid, (void)other, (void)ex;
    /* A program that sets up its context is not refused yet: it would see an error
     * that is not ours. */
    if (s == NULL)
        return 1;
    /* A server refuses at the ClientHello, so that the client gets an alert. */
    if (op == SSL_SECOP_VERSION && libssl->is_server(s)
        && libssl->get_state(s) == TLS_ST_BEFORE)
        return 1;
    /* OpenSSL asks about many versions: raised once, as it has cleared the queue. */
    if (op == SSL_SECOP_VERSION && ERR_peek_error() == 0)
        atls_raise(atomic_load(&reason));
    return 0;
}

void atls_deny(const struct atls_libssl *libssl, const struct atls_reason *why,
               SSL_CTX *ctx)
{
    atomic_store(&library, libssl);
    atomic_store(&reason, why);
    libssl->set_security_callback(ctx, deny_all);
}
