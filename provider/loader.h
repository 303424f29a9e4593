/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_LOADER_H
#define ATLS_LOADER_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core.h"

/*
 * How attest.so maps attest-inner.so, and what it does without it. Needs libcrypto
 * alone.
 */

/*
 * Called once, first of all, when the module is loaded. Notes the root folder and our own
 * file, as a program may change the former and an upgrade the latter before anything is
 * mapped. Where attest.so was found by a relative path (`-provider-path .`), also makes
 * it absolute, before the program changes its directory.
 */
void atls_loader_begin(void);

/*
 * The inner object's table. The first call maps the object from the folder of attest.so.
 * NULL where that fails; the next call tries again, as descriptors or memory may be
 * there then. Thread-safe, also in the child of a fork made at any moment.
 */
const struct atls_core *atls_loader_core(void);

/* Why it is not mapped. Lives as long as the process. */
const struct atls_reason *atls_loader_reason(void);

/* The functions of libssl: the inner object's, or, while that is not mapped, found by
 * name in a program that makes an SSL_CTX. NULL: not found. */
const struct atls_libssl *atls_loader_libssl(void);

/* Does this address, of code or data, lie in that libssl? False where it is not known.
 * Takes no lock where the inner object is mapped. */
bool atls_loader_is_in_libssl(uintptr_t address);

/* Make a context refuse every handshake, with atls_loader_reason(). Ends the program
 * where that is not possible. */
void atls_loader_deny(SSL_CTX *ctx);

#endif
