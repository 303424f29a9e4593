/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_DENY_H
#define ATLS_DENY_H

#include "base/error.h"
#include "libssl.h"

/*
 * Make a context refuse every handshake, where memory or the inner object is missing to
 * guard it. Needs no memory, cannot fail. Both objects contain it.
 *   libssl, why  live as long as the process; those of the last call count for all
 *                contexts that this object has denied
 */
void atls_deny(const struct atls_libssl *libssl, const struct atls_reason *why,
               SSL_CTX *ctx);

#endif
