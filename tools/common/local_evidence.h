/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_LOCAL_EVIDENCE_H
#define ATTEST_TOOLS_COMMON_LOCAL_EVIDENCE_H

#include "attester/attester.h"
#include "base/error.h"
#include "tools/common/peer.h"
#include "base/span.h"

/*
 * Evidence of this machine, made as for a handshake, for a channel value out of
 * nowhere.
 *   cert_der  of the server; len 0: a stand-in that nobody measured takes its
 *             place (ATLS_STAND_IN_CERTIFICATE)
 *   ret       set only on success; tool_peer_evidence_clear() it. It has no name.
 * Returns ATLS_OK, ATLS_E_CRYPTO, ATLS_E_NOMEM, or what the attester returns.
 */
enum atls_error tool_local_evidence(struct atls_attester *attester,
                                    struct atls_span cert_der,
                                    struct atls_reason *why,
                                    struct peer_evidence *ret) ATLS_MUST_CHECK;

#endif
