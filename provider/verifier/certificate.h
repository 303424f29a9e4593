/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_CERTIFICATE_H
#define ATLS_VERIFIER_CERTIFICATE_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * X.509 certificates of a peer: strict parsing, and words for people.
 */

/* Room for what atls_certificate_subject() and _describe() write; longer
 * subjects are cut. */
#define ATLS_SUBJECT_MAX 96u

/* OpenSSL's security level of 112 bits for every path: RSA from 2048 bits, no
 * SHA-1 (NIST SP 800-131A). */
#define ATLS_AUTH_LEVEL 2

/*
 * Parse one certificate.
 *   der   exactly one certificate in DER: what its parsed form does not encode
 *         to again, trailing octets included, is refused, since no signature
 *         would cover it
 *   what  names it in the reason: "the AK certificate"
 *   ret_cert  set only on success; X509_free() it
 * Returns ATLS_OK, ATLS_E_MALFORMED, ATLS_E_NOMEM. Uses atls_libctx(); error
 * queue as found. Thread-safe.
 */
enum atls_error atls_certificate_parse(struct atls_span der, const char *what,
                                       struct atls_reason *why,
                                       X509 **ret_cert) ATLS_MUST_CHECK;

/* The subject as RFC 4514 writes it, or "serial <hex>" where it is empty (as
 * Google's AK certificates have it); "?" on error. Cut to size. The error queue
 * is left as found. */
void atls_certificate_subject(const X509 *cert, char *ret, size_t size);

/* A name of X.509 as RFC 4514 writes it, likewise. */
void atls_certificate_name(const X509_NAME *name, char *ret, size_t size);

/* notBefore or notAfter as "2027-06-30"; "?" on error. */
#define ATLS_DATE_MAX 16u
void atls_certificate_date(const ASN1_TIME *time, char ret[ATLS_DATE_MAX]);

/* Seconds since 1970 likewise, UTC. */
void atls_certificate_date_of(int64_t time, char ret[ATLS_DATE_MAX]);

/* "CN=..., until 2027-06-30" of one in DER; "unreadable certificate" when it
 * does not parse. Cut to size; error queue as found. For reports. */
void atls_certificate_describe(struct atls_span der, char *ret, size_t size);

#endif
