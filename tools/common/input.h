/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_INPUT_H
#define ATTEST_TOOLS_COMMON_INPUT_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Files that the user names. Only regular ones are read: a FIFO would block, a
 * device never end. */

/* Octets of a certificate file, and of one with trusted roots: a system's is a
 * quarter of a megabyte. */
#define INPUT_CERTIFICATE_MAX (64u * 1024u)
#define INPUT_ROOTS_MAX (4u * 1024u * 1024u)

/*
 * Read a whole file. Its size is not believed: files of the kernel show none.
 *   max       octets; more is ATLS_E_LIMIT
 *   ret_data  OPENSSL_free() it; never NULL on success, with a NUL behind its
 *             last octet
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_LIMIT, ATLS_E_NOMEM.
 */
enum atls_error tool_input_read(const char *path, size_t max,
                                struct atls_reason *why, uint8_t **ret_data,
                                size_t *ret_len) ATLS_MUST_CHECK;

/* Can a file be read like that? For code that opens it itself. Returns
 * ATLS_OK, ATLS_E_IO, ATLS_E_LIMIT. */
enum atls_error tool_input_check(const char *path, size_t max,
                                 struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * The first certificate of a PEM file, or a DER file.
 *   ret_cert  set only on success; X509_free() it
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_CONFIG (holds none, or is too large),
 * ATLS_E_NOMEM. Leaves entries in the OpenSSL error queue.
 */
enum atls_error tool_input_certificate(const char *path,
                                       struct atls_reason *why,
                                       X509 **ret_cert) ATLS_MUST_CHECK;

#endif
