/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TOOLS_VERIFY_IMA_H
#define ATLS_TOOLS_VERIFY_IMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "tools/verify/ima_template.h"

/*
 * The kernel's IMA log, ascii_runtime_measurements or
 * binary_runtime_measurements, of any template. An entry holds its template's
 * SHA-1 digest; what other banks were extended with is the hash of the template
 * data, or, before Linux 5.8, the SHA-1 digest with zeros behind it. Source:
 * Linux security/integrity/ima/ima_fs.c, ima_template.c, ima_queue.c.
 */

#define ATLS_IMA_LOG_MAX (64u << 20)
#define ATLS_IMA_EVENTS_MAX (1u << 18)

struct atls_ima_log {
    bool is_binary;
    size_t count;
    struct atls_ima_event *events; /* owned */
};

/*
 * Parse a log of either form (which, its first octets tell).
 *   octets  borrowed; must outlive *ret_log
 * Returns ATLS_OK, ATLS_E_TRUNCATED, ATLS_E_MALFORMED, ATLS_E_LIMIT,
 * ATLS_E_NOMEM, with the entry's number and offset or line.
 */
enum atls_error atls_ima_log_parse(
    struct atls_span octets, struct atls_reason *why,
    struct atls_ima_log *ret_log) ATLS_MUST_CHECK;
void atls_ima_log_clear(struct atls_ima_log *log);

/*
 * Replay to a PCR's value, from its value zero.
 *   value  of the bank's length. Both ways of extending other banks than SHA-1
 *          are tried, the kernel's since 5.8 first
 *   ret_matched  how many entries of the log, of whatever PCR, it takes to reach
 *           `value`: the log may have grown since the quote; set only on success
 * The data of each of these entries hash to its SHA-1 digest. Text of templates
 * whose data cannot be rebuilt (evm-sig, unknown ones) is not checked so, and
 * goes only with the older way and the SHA-1 bank.
 * Returns ATLS_OK, ATLS_E_LOG_REPLAY when no beginning of the log replays to
 * value or an entry was changed, ATLS_E_INTERNAL (no such bank), ATLS_E_CRYPTO,
 * ATLS_E_NOMEM.
 */
enum atls_error atls_ima_log_match(const struct atls_ima_log *log, uint16_t alg,
                                   unsigned pcr, const uint8_t *value,
                                   struct atls_reason *why,
                                   size_t *ret_matched) ATLS_MUST_CHECK;

#endif
