/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_LOADER_H
#define ATLS_LOADER_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core.h"

/*
 * attest-inner.so, and what attest.so does without it. Needs libcrypto alone.
 */

/*
 * Once, before all else, when the module is loaded. Notes the root folder and our own
 * file, as a program may change the one and an upgrade the other before we map
 * anything; and, where attest.so was found by a relative path (`-provider-path .`),
 * where that leads now, before the program changes its directory.
 */
void atls_loader_begin(void);

/*
 * The inner object's table, mapped at the first call from the folder of
 * attest.so. NULL where that fails; it is tried again with the next call, as
 * descriptors or memory may be there by then. Thread-safe, also in the child of
 * a fork made at any moment.
 */
const struct atls_core *atls_loader_core(void);

/* Why it is not mapped. Lives as long as the process. */
const struct atls_reason *atls_loader_reason(void);

/* The functions of libssl: the inner object's, or found by name in a program that
 * makes an SSL_CTX while there is none. NULL: not found. */
const struct atls_libssl *atls_loader_libssl(void);

/* Does that libssl's object hold this address, code or data? False where it is not
 * known. Takes no lock where the inner object is mapped. */
bool atls_loader_is_in_libssl(uintptr_t address);

/* Make a context refuse every handshake, with atls_loader_reason(). Ends the program
 * where not even that is possible. */
void atls_loader_deny(SSL_CTX *ctx);

#endif
