/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_MEASURED_H
#define ATLS_VERIFIER_MEASURED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "base/span.h"
#include "verifier/policy.h"

/*
 * The measured log: is it the PCR's, and what does it say about the TLS
 * certificate? The latter judges contents alone, so the log must have been
 * replayed before; components.h has what it says of components. Evidence without
 * a log is taken for evidence with an empty one. Pure, thread-safe; error queue
 * as found.
 */

/*
 * Does anything depend on the log, and so on its PCR? Under `components =
 * listed` it does, unless the policy names the PCR's value: who leaves the log
 * out claims that nothing was measured. Components of any reference do too, as
 * the choice between references depends on them.
 */
bool atls_measured_log_counts(const struct atls_section *section,
                              const struct atls_evidence *evidence);

/*
 * Does the log, where it counts, replay to the value of section->measure_pcr?
 * Returns ATLS_OK, ATLS_E_LOG_REPLAY, ATLS_E_INTERNAL (the section's bank is no
 * bank), ATLS_E_CRYPTO.
 */
enum atls_error atls_measured_log(const struct atls_section *section,
                                  const struct atls_evidence *evidence,
                                  struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Was the TLS certificate measured, as section->certificate demands? An
 * authority that travels in the evidence is always checked, needed or not: it
 * must be measured, be a CA, and have issued the certificate directly.
 *   cert_der  the sender's end-entity certificate
 *   now       seconds since 1970, for the validity of both
 * Returns ATLS_OK, ATLS_E_CERTIFICATE_UNMEASURED, ATLS_E_MALFORMED (authority
 * or certificate), ATLS_E_CRYPTO, ATLS_E_NOMEM.
 */
enum atls_error atls_measured_certificate(
    const struct atls_section *section, const struct atls_evidence *evidence,
    struct atls_span cert_der, int64_t now,
    struct atls_reason *why) ATLS_MUST_CHECK;

#endif
