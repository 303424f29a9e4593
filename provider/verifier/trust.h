/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_TRUST_H
#define ATLS_VERIFIER_TRUST_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "base/span.h"
#include "verifier/cache.h"
#include "verifier/policy.h"

/*
 * The AK chain of evidence against a section: parse (each certificate DER with
 * no trailing octet, none twice, none self-signed, none unused), path to a
 * trusted root at time now (path.h; RFC 5280 to the letter: basic constraints,
 * key usage keyCertSign of issuers, unknown critical extensions refused; 112 bits
 * of security, no SHA-1; at most ATLS_CHAIN_MAX certificates), not revoked, the
 * AK certificate is no CA and has digitalSignature where key usage is present,
 * EKU, machines. What the section trusts is an anchor even if it is an
 * intermediate.
 *   chain   count certificates, DER, AK certificate first
 *   now     seconds since 1970
 *   ret_trust  always set
 * A chain that the section has accepted before is not checked again while it is
 * valid (cache.h).
 * Returns ATLS_OK, ATLS_E_CHAIN_*, ATLS_E_MACHINE, ATLS_E_MALFORMED,
 * ATLS_E_LIMIT, ATLS_E_NOMEM. Uses atls_libctx(); error queue as found.
 * Thread-safe.
 */
enum atls_error atls_trust_check(const struct atls_section *section,
                                 const struct atls_span *chain, size_t count,
                                 int64_t now, struct atls_reason *why,
                                 struct atls_trust *ret_trust) ATLS_MUST_CHECK;

/* The names of an AK certificate that `machines` can match, for reports: SAN
 * dNSNames, else CN; google:P/Z/I; sha256:<hex of SubjectPublicKeyInfo>. Comma
 * separated, cut to size, "" on error. */
void atls_trust_machine_names(struct atls_span ak_der, char *ret, size_t size);

#endif
