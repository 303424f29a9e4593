/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/replay.h"

#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "tools/common/input.h"

static enum atls_error replay_pcrs(struct policy_replay *replay,
                                   const struct atls_hash *bank,
                                   struct atls_reason *why)
{
    struct atls_pcr_values *pcrs = &replay->evidence.pcrs;
    size_t count = 0;
    enum atls_error r;

    pcrs->count = 1;
    pcrs->banks[0].alg = bank->alg;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        r = atls_boot_log_replay(&replay->evidence.boot_log, bank->alg, pcr,
                                 why, pcrs->banks[0].value[pcr], &count);
        if (r != ATLS_OK)
            return r;
        if (count > 0)
            pcrs->banks[0].mask |= UINT32_C(1) << pcr;
    }
    return ATLS_OK;
}

static enum atls_error read_boot_log(struct policy_replay *replay,
                                     const char *path,
                                     const struct atls_hash *bank,
                                     struct atls_reason *why)
{
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, ATLS_BOOT_LOG_MAX, why, &replay->octets, &len);

    if (r != ATLS_OK)
        return r;
    r = atls_boot_log_parse((struct atls_span){replay->octets, len}, why,
                            &replay->evidence.boot_log);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "not the TCG's format: ");
    else if (replay->evidence.boot_log.count == 0)
        r = atls_fail(why, ATLS_E_MALFORMED, "no event was extended in it");
    if (r == ATLS_OK)
        r = replay_pcrs(replay, bank, why);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "%s: ", path);
    return r;
}

/* Its reader takes a missing log as empty; a log that the user named must
 * exist. */
static enum atls_error read_measured_log(struct policy_replay *replay,
                                         const char *path,
                                         struct atls_reason *why)
{
    struct atls_evidence *evidence = &replay->evidence;
    enum atls_error r = tool_input_check(path, ATLS_MEASURED_LOG_MAX, why);

    if (r != ATLS_OK)
        return r;
    r = atls_measured_log_read(path, ATLS_MEASURE_PCR_DEFAULT, why,
                               &replay->measured);
    if (r != ATLS_OK)
        return r;
    evidence->has_log = true;
    evidence->log_pcr = ATLS_MEASURE_PCR_DEFAULT;
    evidence->log_count = replay->measured.count;
    evidence->log = replay->measured.contents;
    return ATLS_OK;
}

enum atls_error tool_policy_replay_read(const char *boot_log,
                                        const char *measured_log,
                                        const char *bank,
                                        struct atls_reason *why,
                                        struct policy_replay *ret)
{
    const struct atls_hash *hash = atls_hash_by_name(bank);
    enum atls_error r;

    memset(ret, 0, sizeof(*ret));
    if (hash == NULL || hash->alg == TPM2_ALG_SHA1)
        return atls_fail(why, ATLS_E_USAGE,
                         "--bank %.20s: expected sha256, sha384 or sha512",
                         bank);
    r = read_boot_log(ret, boot_log, hash, why);
    if (r == ATLS_OK && measured_log != NULL)
        r = read_measured_log(ret, measured_log, why);
    return r;
}

void tool_policy_replay_clear(struct policy_replay *replay)
{
    atls_boot_log_clear(&replay->evidence.boot_log);
    atls_measured_log_clear(&replay->measured);
    OPENSSL_free(replay->octets);
    memset(replay, 0, sizeof(*replay));
}
