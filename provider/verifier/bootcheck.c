/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/bootcheck.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"

/* Two of them fit into a reason. */
#define VALUE_LEN_MAX 16u
#define VALUE_TEXT (2 * VALUE_LEN_MAX + 1)

#define TYPE_TEXT 48
#define SUBJECT_TEXT 64

static bool has_event(const struct atls_boot_log *log, unsigned pcr)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->events[i].pcr == pcr)
            return true;
    }
    return false;
}

/* The startup locality is part of PCR 0's value, and of nothing else. */
static bool occurs(const struct atls_boot_log *log, unsigned pcr)
{
    return has_event(log, pcr) || (pcr == 0 && log->startup_locality != 0);
}

static enum atls_error check_bank(const struct atls_evidence *evidence,
                                  const struct atls_hash *hash, unsigned pcr,
                                  struct atls_reason *why)
{
    const uint8_t *value = atls_pcr_value(&evidence->pcrs, hash->alg, pcr);
    uint8_t replayed[ATLS_PCR_DIGEST_MAX];
    char expected[VALUE_TEXT];
    char found[VALUE_TEXT];
    enum atls_error r;

    if (value == NULL)
        return atls_fail(why, ATLS_E_LOG_REPLAY,
                         "the boot log has events of PCR %u" ATLS_MORE
                         ", but the quote does "
                         "not cover it in bank %s; add it to pcrs on the "
                         "attester, in each bank",
                         pcr, hash->name);
    r = atls_boot_log_replay(&evidence->boot_log, hash->alg, pcr, why, replayed,
                             NULL);
    if (r != ATLS_OK)
        return r;
    atls_hex(value, VALUE_LEN_MAX, expected);
    atls_hex(replayed, VALUE_LEN_MAX, found);
    if (memcmp(value, replayed, hash->len) != 0)
        return atls_fail(
            why, ATLS_E_LOG_REPLAY,
            "the boot log does not replay to PCR %u (%s): expected "
            "%s..., got %s...; set boot_log = none there, and "
            "find out what changed its log",
            pcr, hash->name, expected, found);
    return ATLS_OK;
}

enum atls_error atls_bootcheck(const struct atls_evidence *evidence,
                               struct atls_reason *why)
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (!occurs(&evidence->boot_log, pcr))
            continue;
        for (size_t i = 0; i < evidence->pcrs.count; i++) {
            enum atls_error r = check_bank(
                evidence, atls_hash_by_alg(evidence->pcrs.banks[i].alg), pcr,
                why);

            if (r != ATLS_OK)
                return r;
        }
    }
    return ATLS_OK;
}

void atls_bootcheck_explain(const struct atls_boot_log *expected,
                            const struct atls_evidence *evidence, uint16_t bank,
                            unsigned pcr, char *ret, size_t size)
{
    const struct atls_boot_log *got = &evidence->boot_log;
    const struct atls_boot_event *good = NULL;
    const struct atls_boot_event *other = NULL;
    char type[TYPE_TEXT];
    char subject[SUBJECT_TEXT];

    ret[0] = '\0';
    /* An attester leaves out what does not replay: that is no difference. */
    if (expected == NULL || !has_event(got, pcr)
        || !atls_boot_log_diverges(expected, got, bank, pcr, &good, &other))
        return;
    atls_boot_event_type(other != NULL ? other->type : good->type, type,
                         sizeof(type));
    atls_boot_event_describe(other != NULL ? other : good, subject,
                             sizeof(subject));
    if (other != NULL)
        (void)snprintf(ret, size, "; first different event: %zu %s %s",
                       (size_t)(other - got->events), type, subject);
    else
        (void)snprintf(ret, size, "; its log ends before event %s %s", type,
                       subject);
}
