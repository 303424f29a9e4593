/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REPORT_PRIVATE_H
#define ATLS_VERIFIER_REPORT_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/span.h"
#include "verifier/result.h"

/* What report.c and report_json.c share. */

/* One JSON object on one line; see atls_report_print(), or when it is not
 * judged atls_report_print_unjudged(). */
void atls_report_print_json(const struct atls_report *report, const char *peer,
                            const struct atls_section *section, bool judged,
                            bool verbose, FILE *out);

/* Have all steps up to this one passed, or not been asked for? Until the digest
 * in the signed quote was compared, anybody may have written the values; until
 * the replay, the log. */
bool atls_report_is_proven(const struct atls_report *report,
                           enum atls_step last);

/* Octets of what is said of one event of a boot log. */
#define ATLS_BOOT_TEXT_MAX 160u

/* What the policy, or a log, says of a PCR or an event. */
enum atls_mark {
    ATLS_MARK_NONE, /* nothing */
    ATLS_MARK_OK,
    ATLS_MARK_LOG, /* the policy nothing; but a log replays to it */
    ATLS_MARK_MISMATCH,
    ATLS_MARK_NOT_LISTED
};

/* "-", "ok", "log", "mismatch", "not-listed". */
const char *atls_mark_word(enum atls_mark mark);

struct atls_report_marks {
    enum atls_mark pcrs[ATLS_PCR_COUNT]; /* in the section's bank */
    uint8_t events[ATLS_LOG_EVENTS_MAX]; /* enum atls_mark, as in the log */
    /* Of a component that does not match: what would. */
    const struct atls_component_rule *rules[ATLS_LOG_EVENTS_MAX];
};

/*
 * Mark PCRs and log of a report that has evidence.
 *   section  the one appraised against; NULL: none, nothing is judged
 */
void atls_report_mark(const struct atls_report *report,
                      const struct atls_section *section,
                      struct atls_report_marks *ret_marks);

/* What is acceptable in a PCR: the section's list, its reference's. Returns how
 * many there are, 0 to 2; all of them must hold. */
size_t atls_report_expected(const struct atls_report *report,
                            const struct atls_section *section, unsigned pcr,
                            const struct atls_pcr_rule *ret_rules[2]);

#endif
