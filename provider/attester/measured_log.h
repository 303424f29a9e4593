/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_MEASURED_LOG_H
#define ATLS_ATTESTER_MEASURED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "evidence/bootlog.h"
#include "evidence/pcr.h"

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

/* The events of one PCR, contents owned. */
struct atls_measured_log {
    size_t count;
    struct atls_span *contents;
    uint8_t *octets; /* what the contents point into */
};

/*
 * Read the events of one PCR out of a log.
 *   path     may be missing: an empty log
 *   ret_log  set only on success; atls_measured_log_clear() it
 * Every record's digests must be H(content) for the banks it names, else
 * ATLS_E_MALFORMED with the record's number. Foreign records of other PCRs are
 * passed over; a foreign record of this PCR keeps its content (systemd: the
 * string of "content"). A shared lock is taken on systemd's log, for at most a
 * second. Returns ATLS_OK, ATLS_E_IO, ATLS_E_LOG_BUSY, ATLS_E_MALFORMED,
 * ATLS_E_LIMIT, ATLS_E_CRYPTO, ATLS_E_NOMEM.
 */
enum atls_error atls_measured_log_read(
    const char *path, unsigned pcr, struct atls_reason *why,
    struct atls_measured_log *ret_log) ATLS_MUST_CHECK;
void atls_measured_log_clear(struct atls_measured_log *log);

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
 * Events of a log as a boot log has them, for atls_boot_log_append(): systemd 261
 * and later measures separators into PCRs 0-7, 9 and 12-14 from user space, so
 * the firmware's log alone does not replay to these any more. Their type is
 * ATLS_BOOT_USER_SPACE; digests are those logged, of banks we know; data is the
 * content, which no digest need be of (systemd logs an HMAC for a key).
 */
struct atls_measured_events {
    size_t count;
    struct atls_boot_event *events; /* owned, in the order of the log */
    uint8_t *octets;                /* owned; what the events point to */
};

/*
 * Parse or read the events of some PCRs.
 *   text  borrowed; path: for messages, or the file, shared-locked if systemd's
 *   pcrs  bit i: those of PCR i; records of others are passed over
 *   ret_events  set only on success: atls_measured_events_clear(), when no log
 *         that they were appended to is used any more. No file: no events
 * Returns ATLS_OK, ATLS_E_MALFORMED (not a log, a digest of a wrong length or a
 * bank twice), ATLS_E_LIMIT, ATLS_E_NOMEM; reading also ATLS_E_IO,
 * ATLS_E_LOG_BUSY.
 */
enum atls_error atls_measured_events_parse(
    struct atls_span text, const char *path, uint32_t pcrs,
    struct atls_reason *why,
    struct atls_measured_events *ret_events) ATLS_MUST_CHECK;
enum atls_error atls_measured_events_read(
    const char *path, uint32_t pcrs, struct atls_reason *why,
    struct atls_measured_events *ret_events) ATLS_MUST_CHECK;
void atls_measured_events_clear(struct atls_measured_events *events);

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
