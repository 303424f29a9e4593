/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_BOOTLOG_H
#define ATLS_EVIDENCE_BOOTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/pcr.h"
#include "base/span.h"

/*
 * The firmware's boot log, as kernels show it in binary_bios_measurements: the
 * SHA-1 format of old (TCG_PCR_EVENT) and the crypto-agile one (Spec ID Event03,
 * TCG_PCR_EVENT2). Only what was extended counts: types and data of events are
 * the log's word, digests are what a PCR replays (catalogue E9). Source: TCG PC
 * Client Platform Firmware Profile, "Event Logging"; PC Client Specific
 * Implementation Specification for Conventional BIOS, for SHA-1.
 */

/* Octets of a log that is read; firmware's are 10 to 100 KiB. */
#define ATLS_BOOT_LOG_MAX (1u << 20)
#define ATLS_BOOT_EVENTS_MAX 2048u

/* Type of an event that user space measured (systemd's log), where it stands
 * among those of the firmware: no TCG event type. */
#define ATLS_BOOT_USER_SPACE UINT32_C(0xffffffff)

struct atls_boot_event {
    unsigned pcr;  /* 0..23 */
    uint32_t type; /* EV_*, or ATLS_BOOT_USER_SPACE */
    size_t digest_count;
    struct {
        uint16_t alg; /* TPM_ALG_ID of a bank we know */
        const uint8_t *octets;
    } digests[ATLS_BANKS_MAX];
    struct atls_span data; /* for people; may be empty */
};

/*
 * What was extended, in order. Events that are not (EV_NO_ACTION: Spec ID,
 * StartupLocality ...) are left out. Spans point into the octets parsed.
 *   startup_locality  0, 3, or 4 (H-CRTM): last octet of PCR 0's first value
 */
struct atls_boot_log {
    uint8_t startup_locality;
    bool is_crypto_agile;
    size_t count;
    struct atls_boot_event *events; /* owned; NULL when count is 0 */
};

/*
 * Parse a log.
 *   octets   borrowed; must outlive *ret_log. Empty: a log without events (some
 *            clouds have none)
 *   ret_log  set only on success; atls_boot_log_clear() it
 * Every count and length is compared with what is left before it is believed.
 * Digests of algorithms that are no bank of ours are passed over by the sizes in
 * the Spec ID event. A PCR above 23 (but of events that are not extended), a
 * digest of an algorithm that the Spec ID event does not list, one twice, and an
 * event that ends after the octets are refused, with the number (from 0) and
 * offset of the event. Zeros to the end behind the last event are no event.
 * Returns ATLS_OK, ATLS_E_TRUNCATED, ATLS_E_MALFORMED, ATLS_E_LIMIT,
 * ATLS_E_NOMEM. Pure and thread-safe.
 */
enum atls_error atls_boot_log_parse(
    struct atls_span octets, struct atls_reason *why,
    struct atls_boot_log *ret_log) ATLS_MUST_CHECK;
void atls_boot_log_clear(struct atls_boot_log *log);

/*
 * Append what was extended after the firmware's log ended: user space's events
 * (struct atls_measured_events of attester/measured_log.h).
 *   events  copied; what they point to is borrowed and must outlive log
 * Returns ATLS_OK, ATLS_E_LIMIT (ATLS_BOOT_EVENTS_MAX), ATLS_E_NOMEM; log is as
 * it was unless ATLS_OK.
 */
enum atls_error atls_boot_log_append(struct atls_boot_log *log,
                                     const struct atls_boot_event *events,
                                     size_t count,
                                     struct atls_reason *why) ATLS_MUST_CHECK;

/* The event's digest of a bank, or NULL. */
const uint8_t *atls_boot_event_digest(const struct atls_boot_event *event,
                                      uint16_t alg);

/*
 * The value of a PCR after the log's events of it. Of a PCR without events that
 * is the value a reset leaves: zero, with the startup locality in PCR 0, all ones
 * in PCRs 17-22.
 *   ret_value  ATLS_PCR_DIGEST_MAX octets, the rest zero
 *   ret_count  events of that PCR; may be NULL
 * Returns ATLS_OK, ATLS_E_LOG_REPLAY (an event of that PCR has no digest of that
 * bank), ATLS_E_INTERNAL (no such bank), ATLS_E_CRYPTO.
 */
enum atls_error atls_boot_log_replay(const struct atls_boot_log *log,
                                     uint16_t alg, unsigned pcr,
                                     struct atls_reason *why,
                                     uint8_t ret_value[ATLS_PCR_DIGEST_MAX],
                                     size_t *ret_count) ATLS_MUST_CHECK;

/*
 * The first event of a PCR in which two logs differ, by its digest in that bank.
 *   ret_a, ret_b  that event of each; NULL where that log ends before it
 * Returns whether they differ.
 */
bool atls_boot_log_diverges(const struct atls_boot_log *a,
                            const struct atls_boot_log *b, uint16_t alg,
                            unsigned pcr, const struct atls_boot_event **ret_a,
                            const struct atls_boot_event **ret_b);

/* "EV_EFI_BOOT_SERVICES_APPLICATION", "user space", "0x80000123" of types that
 * nobody knows. Cut to size. */
void atls_boot_event_type(uint32_t type, char *ret, size_t size);

/*
 * What an event is about, for people, one line of printable ASCII: file of a boot
 * application, name of an EFI variable, GRUB's or systemd's command line text.
 * "" when its data tell nothing. Cut to size. It is the log's word: no digest
 * need cover it.
 */
void atls_boot_event_describe(const struct atls_boot_event *event, char *ret,
                              size_t size);

#endif
