/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_MACHINE_H
#define ATLS_VERIFIER_MACHINE_H

#include <openssl/types.h>
#include <stdbool.h>

/*
 * The names of a machine that its AK certificate vouches for.
 */

/* Kinds are kept apart, so that no DNS name can pass for another kind. */
enum atls_machine_kind {
    ATLS_MACHINE_DNS, /* SAN dNSNames; common names only where there are none */
    ATLS_MACHINE_GOOGLE, /* google:PROJECT/ZONE/INSTANCE */
    ATLS_MACHINE_KEY     /* sha256:<64 hex> of the SubjectPublicKeyInfo */
};

/* Called for each name until it returns true. name lives for the call. */
typedef bool atls_machine_visitor(void *arg, enum atls_machine_kind kind,
                                  const char *name);

/*
 * Visit the names of an AK certificate, in the order of the kinds.
 * Returns whether a visitor returned true. Names that cannot be read, for want
 * of memory or because they hold octets that no such name has, are passed over:
 * they name nothing. Error queue as found. Thread-safe.
 */
bool atls_machine_visit(const X509 *ak, atls_machine_visitor *visitor,
                        void *arg);

/* Does a pattern of `machines` match a name of that kind? */
bool atls_machine_matches(const char *pattern, enum atls_machine_kind kind,
                          const char *name);

#endif
