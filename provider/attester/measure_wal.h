/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_MEASURE_WAL_H
#define ATLS_ATTESTER_MEASURE_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/pcr.h"

/*
 * The write-ahead record of one measurement, PATH.wal beside the log PATH: on
 * disk before the PCR is extended, removed when the log has the event. So its
 * presence under the lock means that a measurement was interrupted, and the PCR
 * tells where. One JSON object:
 *   {"pcr":15,"log_size":0,"content":"component x sha256:...",
 *    "banks":[{"hashAlg":"sha256","before":"<hex>","after":"<hex>"}]}
 * All functions but atls_wal_exists() are called with the lock held.
 */
struct atls_wal {
    unsigned pcr;
    uint64_t log_size; /* octets of the log before; the record goes there */
    char *content;     /* owned */
    /* The PCR in every active bank, before and after. */
    struct atls_pcr_values before;
    struct atls_pcr_values after;
};

/*
 * Make a record.
 *   before   values of that PCR in every active bank
 *   ret_wal  set only on success; atls_wal_free() it
 * Returns ATLS_OK, ATLS_E_CRYPTO, ATLS_E_NOMEM.
 */
enum atls_error atls_wal_new(unsigned pcr, uint64_t log_size,
                             const char *content,
                             const struct atls_pcr_values *before,
                             struct atls_reason *why,
                             struct atls_wal **ret_wal) ATLS_MUST_CHECK;
void atls_wal_free(struct atls_wal *wal); /* NULL is fine */

/* Put it on disk, whole or not at all: another name, fsync, rename. ATLS_OK,
 * ATLS_E_IO, ATLS_E_NOMEM. */
enum atls_error atls_wal_write(const char *log_path, const struct atls_wal *wal,
                               struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Read what an interrupted measurement left.
 *   ret_wal  set on success: NULL when there is none; atls_wal_free() it
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_LIMIT, ATLS_E_NOMEM, ATLS_E_CRYPTO, or
 * ATLS_E_MALFORMED for what we never write, as `after` that is not `before`
 * extended with the content.
 */
enum atls_error atls_wal_read(const char *log_path, struct atls_reason *why,
                              struct atls_wal **ret_wal) ATLS_MUST_CHECK;

/* Is there one? For those who hold no lock, too: somebody is measuring at this moment,
 * or was interrupted. */
bool atls_wal_exists(const char *log_path);

/* ATLS_OK, ATLS_E_IO, ATLS_E_NOMEM. */
enum atls_error atls_wal_remove(const char *log_path,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/* Are these the same values of one PCR in the same banks? */
bool atls_wal_values_equal(const struct atls_pcr_values *a,
                           const struct atls_pcr_values *b, unsigned pcr);

#endif
