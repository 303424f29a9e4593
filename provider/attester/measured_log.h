/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_MEASURED_LOG_H
#define ATLS_ATTESTER_MEASURED_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "attester/measure.h"
#include "error.h"
#include "evidence/pcr.h"
#include "span.h"

/*
 * The octets of a measured log: RFC 7464 records (RS, a JSON object, LF) with
 * the members of TCG's Canonical Event Log in JSON (CEL-JSON) that systemd
 * writes: pcr, digests, content_type, content. Source: doc/PROTOCOL.md,
 * "Measured log"; systemd-pcrextend(1).
 */

/* Octets of a log; systemd's log of a boot has some ten kilobytes. */
#define ATLS_MEASURED_LOG_MAX (4u << 20)

/*
 * Is this a content that can be measured: 1..ATLS_LOG_CONTENT_MAX octets of
 * printable ASCII, which is one line in every log and on every terminal?
 */
bool atls_measured_content_is_legal(const char *content);

/*
 * Parse a log; the rules are those of atls_measured_log_read().
 *   text  borrowed
 *   path  for messages
 * A log that does not end with LF has a record that was being written:
 * ATLS_E_MALFORMED.
 */
enum atls_error atls_measured_log_parse(
    struct atls_span text, const char *path, unsigned pcr,
    struct atls_reason *why, struct atls_measured_log *ret_log) ATLS_MUST_CHECK;

/*
 * Encode one record, always to the same octets.
 *   banks       those of this PCR; their masks do not matter
 *   ret_record  OPENSSL_free() it
 * Returns ATLS_OK, ATLS_E_CRYPTO, ATLS_E_NOMEM.
 */
enum atls_error atls_measured_record(unsigned pcr,
                                     const struct atls_pcr_selection *banks,
                                     const char *content,
                                     struct atls_reason *why, char **ret_record,
                                     size_t *ret_len) ATLS_MUST_CHECK;

#endif
