/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_MAPPING_H
#define ATLS_MAPPING_H

#include <openssl/types.h>
#include <stdbool.h>

#include "inner.h"

/*
 * attest-inner.so, and what attest.so does without it. Needs libcrypto alone.
 */

/*
 * Called once, before all else, when the provider is loaded: where attest.so was found
 * by a relative path (`-provider-path .`), that leads there now and not once the program
 * has changed its directory. Where it is absolute nothing is done.
 */
void atls_mapping_begin(void);

/*
 * The inner object's table, mapped at the first call from the folder of
 * attest.so. NULL where that fails; it is tried again with the next call, as
 * descriptors or memory may be there by then. Thread-safe, also in the child of
 * a fork made at any moment.
 */
const struct atls_inner *atls_mapping_inner(void);

/* Is it mapped? Else its absence is raised in OpenSSL's error queue. */
bool atls_mapping_check(void);

/*
 * Make a context refuse every handshake after that: with the reason of the first
 * time that it failed. Ends the program where not even that is possible.
 */
void atls_mapping_deny(SSL_CTX *ctx);

#endif
