/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_HOOK_H
#define ATLS_TLS_HOOK_H

#include <openssl/ssl.h>

#include "instance.h"

/* Remember our ex_data index of SSL_CTX; always the same one. */
void atls_hook_init(int index);

/* attach and detach of core.h. */
void *atls_hook_attach(struct atls_instance *instance, SSL_CTX *ctx);
void atls_hook_detach(void *state);

#endif
