/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_POLICY_REPLAY_H
#define ATTEST_TOOLS_POLICY_REPLAY_H

#include "attester/measured_log.h"
#include "base/error.h"
#include "evidence/codec.h"

/* The PCR values that a boot log leads to, without a TPM: what a machine that
 * boots like this will show. Nothing is signed. */
struct policy_replay {
    struct atls_evidence evidence; /* PCRs of one bank, boot log, measured log;
                                      no chain, no quote */
    uint8_t *octets;               /* what the boot log points into */
    struct atls_measured_log measured;
};

/*
 * Replay.
 *   boot_log      TCG format, as the kernel's binary_bios_measurements
 *   measured_log  CEL-JSON; NULL: none
 *   bank          sha256, sha384 or sha512
 *   ret           always initialised; tool_policy_replay_clear() it
 * Returns ATLS_OK, ATLS_E_USAGE (no such bank, or the log lacks it), ATLS_E_IO,
 * ATLS_E_NOMEM, or the errors of the parsers.
 */
enum atls_error tool_policy_replay_read(
    const char *boot_log, const char *measured_log, const char *bank,
    struct atls_reason *why, struct policy_replay *ret) ATLS_MUST_CHECK;

/* Free what it owns. */
void tool_policy_replay_clear(struct policy_replay *replay);

#endif
