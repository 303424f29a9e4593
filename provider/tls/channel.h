/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_CHANNEL_H
#define ATLS_TLS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"

/*
 * channel = HKDF-Expand-Label(S, "attested tls", role, 32), RFC 8446 §7.1 with
 * the Hash of the cipher suite. Source: doc/PROTOCOL.md, "Binding".
 *   secret  SERVER_HANDSHAKE_TRAFFIC_SECRET, 32 (SHA-256) or 48 (SHA-384)
 *           octets: the length implies the Hash, as TLS 1.3 has no other
 * Returns ATLS_OK, ATLS_E_NO_CHANNEL for other lengths, ATLS_E_CRYPTO.
 */
enum atls_error atls_channel_derive(
    const uint8_t *secret, size_t secret_len, enum atls_role role,
    uint8_t ret_channel[ATLS_CHANNEL_LEN]) ATLS_MUST_CHECK;

/*
 * Read a line of the key log format (SSLKEYLOGFILE) as OpenSSL's keylog
 * callback hands it over.
 *   client_random  of the connection; the line must carry the same. NULL: any (ECH)
 *   ret_secret     room for 48 octets; cleanse it after use
 * Returns ATLS_OK when it is this connection's SERVER_HANDSHAKE_TRAFFIC_SECRET,
 * ATLS_E_NO_CHANNEL for any other line.
 */
enum atls_error atls_channel_parse_keylog(const char *line,
                                          const uint8_t client_random[32],
                                          uint8_t ret_secret[48],
                                          size_t *ret_len) ATLS_MUST_CHECK;

/* The AttestationRequest. Source: doc/PROTOCOL.md. */
#define ATLS_EXTENSION_TYPE 0xFFA7u
#define ATLS_REQUEST_VERSION 1u
/* Stands for the version in a request for nothing; receivers ignore versions that
 * they do not know. */
#define ATLS_REQUEST_NOTHING 0u
/* version, length of formats, formats, max_age */
#define ATLS_REQUEST_MAX (1u + 1u + 2u * ATLS_FORMATS_MAX + 4u)

/*
 * The formats to ask for: 3, and for peers that do not know it 1; with 2 between them
 * when a policy uses a boot log.
 */
struct atls_formats atls_request_formats(bool asks_boot_log);

/* Write the request for live evidence of these formats; without formats a request for
 * nothing. Returns its octets. */
size_t atls_request_write(const struct atls_formats *formats,
                          uint8_t ret[ATLS_REQUEST_MAX]);

/*
 * Parse a request.
 *   ret_formats  those that we can make, in the peer's order. None is no error (an
 *                unknown version, other formats): answer without the extension.
 * Returns ATLS_OK or ATLS_E_REQUEST (decode_error).
 */
enum atls_error atls_request_parse(
    const uint8_t *data, size_t len, struct atls_reason *why,
    struct atls_formats *ret_formats) ATLS_MUST_CHECK;

#endif
