/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_RAISE_H
#define ATLS_RAISE_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Put a refusal on OpenSSL's error queue, so that programs show its brief form word
 * for word: `curl: (35) ... attest::PCR 7 does not match policy: expected ...`.
 * Most programs print the reason string only and not the error's data, so the
 * brief form becomes a reason string, and the whole sentence the data. Each
 * different reason string takes one of ATLS_RAISE_TEXTS slots for the life of the
 * process; when they are used up, the code's generic sentence is the reason string.
 * Thread-safe, and lock-free, so that a fork at any moment leaves nothing locked.
 *   reason  code not ATLS_OK; an empty text means the generic sentence
 */
#define ATLS_RAISE_TEXTS 256u
void atls_raise(const struct atls_reason *reason);

/* Is it the last error of the queue? */
bool atls_raise_is_last(const struct atls_reason *reason);

#endif
