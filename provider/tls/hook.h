/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_HOOK_H
#define ATLS_TLS_HOOK_H

#include <openssl/ssl.h>

#include "instance.h"

/*
 * The one place that gives OpenSSL callbacks: the custom extension, the security,
 * keylog and info callbacks, and what is called when an SSL is made or freed. Each
 * is chained to the program's own, which may have been set before ours or after.
 * What they decide and read is in the other files of the room; none of them knows this
 * one. (lock.c puts its own callback on BIOs, refusal.c the info callback on an SSL that
 * is refused, async.c on one that may pause.)
 *
 *   callback   set on each SSL_CTX              put back, chained to the program's
 *   ---------  -------------------------------  --------------------------------------
 *   extension  always                           never: OpenSSL keeps it
 *   security   always                           ClientHello, keylog line
 *   info       with the verifier role           a client's ClientHello, a refusal
 *   keylog     never                            ClientHello, keylog line, and each
 *                                               security operation until the handshake
 *                                               that asked has its secret, as
 *                                               SSL_set_SSL_CTX brings another context's
 */

/* attach and detach of core.h, with its ctx_index. */
void atls_hook_init(int ctx_index);
void *atls_hook_attach(struct atls_instance *instance, SSL_CTX *ctx);
void atls_hook_detach(void *state);

/* deny of core.h. */
void atls_hook_deny(SSL_CTX *ctx);

#endif
