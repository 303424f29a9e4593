/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_NAMES_H
#define ATLS_VERIFIER_NAMES_H

#include <stdbool.h>

/* What something that a program calls its peer by is. */
enum atls_name_kind {
    ATLS_NAME_NONE, /* no valid host name: nobody can say whom it means */
    ATLS_NAME_HOST,
    ATLS_NAME_ADDRESS
};

/*
 *   name  as of atls_name_matches()
 * Pure.
 */
enum atls_name_kind atls_name_kind(const char *name);

/*
 * Does a pattern of `names` or `machines` match a name a peer goes by?
 *   pattern  a DNS name, `*.` before one, an IPv4 or IPv6 address, or a network
 *            in CIDR notation
 *   name     a DNS name, or an address as getaddrinfo(3) takes it (127.1, 0x7f.1,
 *            2130706433, ::1%lo) or in brackets; one trailing dot is ignored
 * RFC 9525 §6.3: ASCII case-insensitive; `*` stands for exactly one whole
 * leftmost label and never for part of one; never matches an address. Addresses
 * are compared as numbers (::ffff:a.b.c.d equals a.b.c.d). Patterns have addresses
 * in their usual spelling only.
 * Pure.
 */
bool atls_name_matches(const char *pattern, const char *name);

/* Is it a pattern at all? What the policy parser checks. `*`, `a.*`, `*a.b`,
 * empty labels, non-ASCII octets (write IDNA A-labels) and prefixes longer than
 * the address are not. A network with host bits set is not. */
bool atls_name_pattern_is_legal(const char *pattern);

/* Is it a legal pattern for addresses, rather than for names? */
bool atls_name_pattern_is_address(const char *pattern);

/* Are all its octets ASCII? What is not may be an IDNA U-label. */
bool atls_name_is_ascii(const char *name);

#endif
