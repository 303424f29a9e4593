/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_BOOTCHECK_H
#define ATLS_VERIFIER_BOOTCHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/bootlog.h"
#include "evidence/codec.h"

/*
 * The boot log of evidence. It decides nothing that the PCR values do not: it says
 * what led to them. Types and data of events are the peer's word.
 * Both are pure and thread-safe.
 */

/*
 * Do the events lead to the quoted values? Each PCR that occurs in the log must
 * be quoted in each bank that travels, SHA-1's included, and replay to its value
 * there: no digest goes unchecked. A log that is empty or missing is fine.
 * After atls_pcrs_check_quoted(). Returns ATLS_OK, ATLS_E_LOG_REPLAY, ATLS_E_CRYPTO.
 */
enum atls_error atls_bootcheck(const struct atls_evidence *evidence,
                               struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * The end of a reason for a PCR that does not match: "; first different event:
 * 17 EV_EFI_BOOT_SERVICES_APPLICATION \EFI\...", with the number that the event
 * has in the evidence, from 0.
 *   expected  the policy's log; NULL: none
 *   ret       size octets; "" when there is nothing to compare
 */
void atls_bootcheck_explain(const struct atls_boot_log *expected,
                            const struct atls_evidence *evidence, uint16_t bank,
                            unsigned pcr, char *ret, size_t size);

#endif
