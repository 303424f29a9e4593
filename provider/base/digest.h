/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_DIGEST_H
#define ATLS_BASE_DIGEST_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define ATLS_SHA256_LEN 32u

/*
 * Our own library context with the default provider only. Everything the
 * module itself hashes, derives or verifies uses it, so that no TPM provider,
 * no property query and no FIPS setting of the program can recurse into us or
 * change a verdict. Made on first use, never in provider init; lives as long as
 * the process. NULL when out of memory. Thread-safe.
 */
OSSL_LIB_CTX *atls_libctx(void);

/*
 * Hash of several parts, one after the other.
 *   name     "SHA1", "SHA2-256", "SHA2-384" or "SHA2-512", as OpenSSL fetches
 *            them; anything else is ATLS_E_CRYPTO
 *   ret      room for the digest of that hash; ret_len may be NULL
 * Returns ATLS_OK or ATLS_E_CRYPTO. Leaves the OpenSSL error queue as found.
 */
enum atls_error atls_hash_parts(const char *name, const struct atls_span *parts,
                                size_t count, uint8_t *ret,
                                size_t *ret_len) ATLS_MUST_CHECK;

/* SHA-256 of one part; same errors. */
enum atls_error atls_sha256(const void *data, size_t len,
                            uint8_t ret[ATLS_SHA256_LEN]) ATLS_MUST_CHECK;

/* Lower-case hex with terminator: ret needs 2 * len + 1 octets. */
void atls_hex(const uint8_t *data, size_t len, char *ret);

/*
 * A few octets of two digests for a brief sentence: the first four, or four that
 * begin with the first that differs, so that two digests never look equal where they
 * are not: "3a765fab...", "...0ac4". Same length, at least four octets.
 */
#define ATLS_HEX_BRIEF_SIZE (3u + 8u + 3u + 1u)
void atls_hex_brief(const uint8_t *a, const uint8_t *b, size_t len,
                    char ret_a[ATLS_HEX_BRIEF_SIZE],
                    char ret_b[ATLS_HEX_BRIEF_SIZE]);

/*
 * Hex of either case, no separators.
 *   ret_len  set to strlen(text) / 2 on success
 * Returns 1, or 0 when odd, too long for max octets, or not hex.
 */
int atls_unhex(const char *text, uint8_t *ret, size_t max, size_t *ret_len);

#endif
