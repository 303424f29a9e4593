/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_PATH_H
#define ATLS_VERIFIER_PATH_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "verifier/policy.h"
#include "verifier/validity.h"

/*
 * The path from an AK certificate to an anchor of a section, over every
 * certificate that came with it.
 *
 * We order the certificates and choose the anchor, OpenSSL judges that one path.
 * Left to itself it may go another way where CAs are cross-signed or where an
 * intermediate is an anchor, and which way depends on its version:
 *   - each certificate must have issued the one before it, the first the AK's; no
 *     two may be of the same name and key, as a path never meets a CA twice
 *     (RFC 4158 §2.4.2);
 *   - the last one equals an anchor, octet by octet, or was issued by one. Where
 *     both lead to a path that holds, either will do;
 *   - a certificate that is left over, or stands above an anchor, has nothing to
 *     vouch for it and is refused.
 *
 * RFC 5280 to the letter (X509_V_FLAG_X509_STRICT); an anchor may be an
 * intermediate. With CRLs in the section, the AK certificate must be under a
 * CRL of its issuer that is good at time now. Intermediates are checked against
 * their issuers' CRLs where the section has them; anchors are not, as the policy
 * itself vouches for them.
 *   certs   count of them, 1..ATLS_CHAIN_MAX, certs[0] the AK's; borrowed
 *   now     seconds since 1970
 *   ret_validity  set only on success: when the same certificates would be
 *                 accepted, too
 * Returns ATLS_OK, ATLS_E_CHAIN_UNTRUSTED, _EXPIRED, _NOT_YET, _USAGE, _UNUSED,
 * _REVOKED, _CRL, ATLS_E_NOMEM. Leaves entries in the OpenSSL error queue.
 * Thread-safe.
 */
enum atls_error atls_path_check(
    const struct atls_section *section, X509 *const *certs, size_t count,
    int64_t now, struct atls_reason *why,
    struct atls_validity *ret_validity) ATLS_MUST_CHECK;

#endif
