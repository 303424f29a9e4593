/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_INNER_H
#define ATLS_INNER_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "settings.h"

/*
 * What attest.so, which needs libcrypto only, asks of attest-inner.so, which
 * brings libssl, tss2 and libcbor and is mapped at the first SSL_CTX.
 */

/* Symbol that the inner object exports: a const struct atls_inner. */
#define ATLS_INNER_SYMBOL "atls_inner"

/* One configured provider: configuration, policy, quoter, log. */
struct atls_engine;

struct atls_inner {
    /* PACKAGE_VERSION of the build; another one is refused. */
    const char *version;

    /*
     * Make an engine from the settings (copied as needed). Never fails because
     * of what the settings say: a bad configuration yields an engine that
     * refuses handshakes and says why. NULL only when out of memory.
     *   ctx_index  our ex_data index of SSL_CTX
     */
    struct atls_engine *(*engine_new)(const struct atls_setting *settings,
                                      size_t count, int ctx_index);
    void (*engine_unref)(struct atls_engine *engine); /* NULL is fine */

    /* Does it lack what another one, made of the same settings later, may have:
     * a chain that could not be read, a place among the attesters? */
    bool (*engine_lacks)(const struct atls_engine *engine);

    /*
     * Install gate and extension in a context that is being made.
     * Returns the state to keep as its ex_data, or NULL: the caller then calls
     * deny().
     */
    void *(*attach)(struct atls_engine *engine, SSL_CTX *ctx);
    void (*detach)(void *state); /* NULL is fine */

    /* Make a context refuse every handshake; needs no memory, cannot fail. */
    void (*deny)(SSL_CTX *ctx);
};

#endif
