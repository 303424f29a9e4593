/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_NAMES_H
#define ATLS_VERIFIER_NAMES_H

#include <stdbool.h>

/*
 * Does a pattern of `names` or `machines` match a name a peer goes by?
 *   pattern  a DNS name, `*.` before one, an IPv4 or IPv6 address, or a network
 *            in CIDR notation
 *   name     a DNS name or the text of an address; brackets around IPv6 and
 *            one trailing dot are ignored
 * RFC 9525 §6.3: ASCII case-insensitive; `*` stands for exactly one whole
 * leftmost label and never for part of one; never matches an address. Addresses
 * are compared as numbers (::ffff:a.b.c.d equals a.b.c.d); names that merely
 * look like numbers (010.0.0.1, 1.2.3) are no addresses and match nothing.
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

/* Is a name a peer goes by the text of an address, read as in
 * atls_name_matches()? */
bool atls_name_is_address(const char *name);

#endif
