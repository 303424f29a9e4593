/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_EVIDENCE_FILE_H
#define ATTEST_TOOLS_COMMON_EVIDENCE_FILE_H

#include "base/error.h"
#include "tools/common/peer.h"

/*
 * Saved evidence: one JSON object with what a connection brought, so that it
 * can be judged later and elsewhere. Source: attest(1), "Saved evidence".
 *
 *   version      1
 *   role         "s" (a server's evidence) or "c"
 *   cmw          the CMW record, base64
 *   channel      32 octets, hex; without it the binding cannot be checked
 *   certificate  the sender's TLS certificate, PEM
 *   peer         what the peer was asked for as
 *   address      numeric address it answered at
 *   time         of the connection, seconds since 1970
 *
 * All but version and cmw may be missing. The channel value is one-way from the
 * traffic secret and lets nobody read or join the connection.
 */

/* Largest file that is read: a CMW record in base64, a certificate, the rest. */
#define EVIDENCE_FILE_MAX (256u * 1024u)

/* Write evidence, over an existing file. Returns ATLS_OK, ATLS_E_IO,
 * ATLS_E_NOMEM. */
enum atls_error tool_evidence_file_write(
    const char *path, const struct peer_evidence *evidence,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* Does a file begin like saved evidence: a JSON object, or a CMW record? */
bool tool_evidence_file_begins(const uint8_t *data, size_t len);

/*
 * Read saved evidence, or a bare CMW record (binary).
 *   ret  set only on success; tool_peer_evidence_clear() it
 * Returns ATLS_OK, ATLS_E_IO (cannot be read), ATLS_E_MALFORMED (is neither),
 * ATLS_E_LIMIT (too large), ATLS_E_NOMEM.
 */
enum atls_error tool_evidence_file_read(
    const char *path, struct atls_reason *why,
    struct peer_evidence *ret) ATLS_MUST_CHECK;

#endif
