/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_LOCAL_H
#define ATTEST_TOOLS_POLICY_LOCAL_H

#include "base/error.h"
#include "tools/common/peer.h"

/* Evidence of this machine, as its provider would make it for a handshake. */
struct policy_local {
    const char *conf; /* openssl.cnf; NULL: OPENSSL_CONF, else the system's */
    const char *host; /* NULL: this machine's host name */
    const char *certificate; /* PEM or DER of the server; NULL: a stand-in that
                                nobody measured takes its place */
};

/*
 * Make it, for a random channel value.
 *   ret  set only on success; tool_peer_evidence_clear() it
 * Returns ATLS_OK, ATLS_E_IO or ATLS_E_CONFIG (a file, or no attester in
 * openssl.cnf), ATLS_E_CRYPTO, ATLS_E_NOMEM, or the errors of the quoter.
 */
enum atls_error tool_policy_local_make(
    const struct policy_local *local, struct atls_reason *why,
    struct peer_evidence *ret) ATLS_MUST_CHECK;

#endif
