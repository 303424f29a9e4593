/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_MEASURE_H
#define ATLS_ATTESTER_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/log_room.h"
#include "attester/tpm.h"
#include "base/digest.h"
#include "base/error.h"

/*
 * PCR and log together: the CEL-JSON log in RFC 7464 records that systemd also
 * keeps (pcr, digests, content_type, content), its lock, and a write-ahead
 * record that repairs a crash between extending and appending. Source: design
 * "Measuring"; doc/PROTOCOL.md, "Measured log".
 */

/* systemd's log, and ours where systemd keeps none. */
#define ATLS_SYSTEMD_LOG "/run/log/systemd/tpm2-measure.log"
#define ATLS_OWN_LOG "/run/attest/events.cel"

/* The log this machine uses when none is configured: systemd's where it
 * exists, else ours. Static string. */
const char *atls_measure_default_log(void);

enum atls_measured {
    ATLS_MEASURED_NEW,
    ATLS_MEASURED_ALREADY,
    /* An interrupted measurement, of this content or another, was completed
     * first; this content is measured now. */
    ATLS_MEASURED_REPAIRED
};

struct atls_measurement {
    enum atls_measured done;
    /* The log has this component with another digest, too: a policy must list
     * both (verifier/components.h), or the machine start with a clean log. */
    bool is_changed;
    struct atls_log_room room; /* of evidence, with the content */
};

/* Log and PCR of one machine while the log's lock is held. */
struct atls_measuring;

/*
 * Take the lock.
 *   tpm       open connection, of which atls_measuring_next() makes use
 *   path      of the log; its folder must exist. By the name of its file it is
 *             systemd's, with systemd's lock and sticky bit, or ours
 *             (log_lock.h). Borrowed, as tpm is, until the end
 *   wait_ms   how long to wait for the lock: ATLS_E_LOG_BUSY after that, with
 *             the holder's pid where it can be found
 *   outline   what evidence has beside the log (log_room.h); borrowed, too
 *   ret_measuring  set only on success; atls_measuring_end() it
 * Returns ATLS_OK, ATLS_E_LOG_BUSY, ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error atls_measuring_begin(
    struct atls_tpm *tpm, const char *path, unsigned pcr, unsigned wait_ms,
    const struct atls_evidence *outline, struct atls_reason *why,
    struct atls_measuring **ret_measuring) ATLS_MUST_CHECK;

/*
 * Measure one content line: extend, append; nothing when the log, which replays
 * to the PCR, already has that line.
 *   content  one line of printable ASCII, else ATLS_E_USAGE
 *   ret      set only on success
 * A crash between extend and append is repaired from the write-ahead record
 * (PATH.wal): PCR still the old value: extend and append; PCR already the new
 * value: append; any other value: ATLS_E_LOG_MISMATCH, reported and not mended.
 * The log must replay to the PCR before, else ATLS_E_LOG_MISMATCH.
 * Returns ATLS_OK, ATLS_E_LOG_MISMATCH, ATLS_E_LIMIT (evidence has no room for it:
 * nothing was extended), ATLS_E_MALFORMED, ATLS_E_USAGE, ATLS_E_IO,
 * ATLS_E_CRYPTO, ATLS_E_NOMEM, or the TPM's errors.
 */
enum atls_error atls_measuring_next(
    struct atls_measuring *measuring, const char *content,
    struct atls_reason *why, struct atls_measurement *ret) ATLS_MUST_CHECK;

/* Give the lock back. NULL is fine. */
void atls_measuring_end(struct atls_measuring *measuring);

/*
 * SHA-256 of a component: of a regular file its octets; of a folder the tree
 * hash of doc/PROTOCOL.md ("Tree hash": entries sorted by octets of the
 * relative path; type, mode's execute bit, path, content hash or link target;
 * other file types refused). Returns ATLS_OK, ATLS_E_IO (also for what changes
 * while it is read), ATLS_E_LIMIT (64 folders deep), ATLS_E_CRYPTO,
 * ATLS_E_NOMEM.
 */
enum atls_error atls_component_digest(const char *path, struct atls_reason *why,
                                      uint8_t ret_digest[ATLS_SHA256_LEN])
    ATLS_MUST_CHECK;

#endif
