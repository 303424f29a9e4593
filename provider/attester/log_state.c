/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/log_state.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/digest.h"
#include "evidence/eventlog.h"

/* Hex digits of a PCR in a message: enough to compare by eye. */
#define SHOWN_OCTETS 8u

/* What there is to do when a reboot is not: no log of ours is wanted, or another PCR
 * is free. */
#define ANOTHER_PCR "reboot, or set measure_pcr to another PCR"

struct atls_pcr_selection atls_log_state_selection(
    const struct atls_log_state *state)
{
    const struct atls_pcr_values *values = state->values;
    struct atls_pcr_selection banks = {.count = 0};

    for (unsigned pass = 0; pass < 2 && banks.count == 0; pass++) {
        for (size_t i = 0; i < values->count; i++) {
            uint16_t alg = values->banks[i].alg;

            if (atls_pcr_value(values, alg, state->pcr) == NULL
                || (pass == 0 && state->passes_over_sha1
                    && alg == TPM2_ALG_SHA1))
                continue;
            banks.banks[banks.count].alg = alg;
            banks.banks[banks.count].mask = UINT32_C(1) << state->pcr;
            banks.count++;
        }
    }
    return banks;
}

/* --- words ----------------------------------------------------------------- */

static enum atls_error fail_lost(const struct atls_log_state *state,
                                 struct atls_reason *why)
{
    if (access(state->path, F_OK) != 0)
        return atls_fail(why, ATLS_E_LOG_MISMATCH,
                         "%s is not there, yet PCR %u is not zero" ATLS_MORE
                         ": lost (kexec), out of sight (chroot), or the PCR "
                         "extended by others; restore it, " ANOTHER_PCR,
                         state->path, state->pcr);
    return atls_fail(
        why, ATLS_E_LOG_MISMATCH,
        "%s has no event of PCR %u, which is not zero" ATLS_MORE
        ": extended by others, or log lost (kexec); restore it, " ANOTHER_PCR,
        state->path, state->pcr);
}

static enum atls_error fail_others(const struct atls_log_state *state,
                                   const struct atls_hash *hash,
                                   const uint8_t *logged, const uint8_t *found,
                                   struct atls_reason *why)
{
    char logged_hex[2 * SHOWN_OCTETS + 1];
    char found_hex[2 * SHOWN_OCTETS + 1];

    atls_hex(logged, SHOWN_OCTETS, logged_hex);
    atls_hex(found, SHOWN_OCTETS, found_hex);
    return atls_fail(
        why, ATLS_E_LOG_MISMATCH,
        "PCR %u was extended by others, or the log lost "
        "events" ATLS_MORE
        ": %s leads to %s:%s.., found %s..; restore the log, " ANOTHER_PCR,
        state->pcr, state->path, hash->name, logged_hex, found_hex);
}

enum atls_error atls_log_state_fail_reset(const struct atls_log_state *state,
                                          size_t count, struct atls_reason *why)
{
    if (count == 0)
        return atls_fail(
            why, ATLS_E_LOG_MISMATCH,
            "the TPM was reset since %s was written: PCR %u is zero" ATLS_MORE
            ", the log has %zu events (hibernation does that, too); remove "
            "the log, then attest measure --all, or reboot",
            state->path, state->pcr, state->log->count);
    return atls_fail(
        why, ATLS_E_LOG_MISMATCH,
        "the TPM was reset since %s was written" ATLS_MORE ": PCR %u holds the "
        "first %zu of its %zu events, as after hibernation; reboot",
        state->path, state->pcr, count, state->log->count);
}

enum atls_error atls_log_state_fail_interrupted(
    const struct atls_log_state *state, struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_LOG_MISMATCH,
                     "a measurement was interrupted: %s lacks an event of PCR "
                     "%u; the next attest measure, as root, completes it",
                     state->path, state->pcr);
}

/* --- replay ---------------------------------------------------------------- */

/* How many events, from the first, lead to a value; NO_COUNT where none do, or not the
 * number that others found.
 *   ret_end  what all of them lead to */
#define NO_COUNT SIZE_MAX
static enum atls_error find_count(const struct atls_measured_log *log,
                                  const struct atls_hash *hash,
                                  const uint8_t *value, size_t expected,
                                  size_t *ret_count,
                                  uint8_t ret_end[ATLS_PCR_DIGEST_MAX])
{
    *ret_count = NO_COUNT;
    memset(ret_end, 0, ATLS_PCR_DIGEST_MAX);
    for (size_t i = 0; i <= log->count; i++) {
        enum atls_error r;

        if ((expected == NO_COUNT || expected == i)
            && memcmp(ret_end, value, hash->len) == 0) {
            *ret_count = i;
            return ATLS_OK;
        }
        if (i == log->count)
            break;
        r = atls_eventlog_extend(hash->alg, log->contents[i], ret_end);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* Banks in which another number of events was extended contradict each other. */
static enum atls_error count_in_bank(const struct atls_log_state *state,
                                     uint16_t alg, struct atls_reason *why,
                                     size_t *count)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    const uint8_t *value = atls_pcr_value(state->values, alg, state->pcr);
    uint8_t end[ATLS_PCR_DIGEST_MAX];
    size_t found = NO_COUNT;
    enum atls_error r;

    if (hash == NULL)
        return atls_fail(why, ATLS_E_INTERNAL, NULL);
    r = find_count(state->log, hash, value, *count, &found, end);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    if (found != NO_COUNT) {
        *count = found;
        return ATLS_OK;
    }
    if (state->log->count == 0)
        return fail_lost(state, why);
    return fail_others(state, hash, end, value, why);
}

enum atls_error atls_log_state_count(const struct atls_log_state *state,
                                     struct atls_reason *why, size_t *ret_count)
{
    const struct atls_pcr_selection banks = atls_log_state_selection(state);
    size_t count = NO_COUNT;

    for (size_t i = 0; i < banks.count; i++) {
        enum atls_error r =
            count_in_bank(state, banks.banks[i].alg, why, &count);

        if (r != ATLS_OK)
            return r;
    }
    if (count == NO_COUNT)
        return atls_fail(why, ATLS_E_INTERNAL, NULL);
    *ret_count = count;
    return ATLS_OK;
}
