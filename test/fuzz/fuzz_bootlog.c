/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot log of firmware: the input is one. */
#include <openssl/err.h>

#include "evidence/bootlog.h"
#include "fuzz/standalone.h"

/* Every octet of a digest can be read, and what is said of it fits a line. */
static void check_event(const struct atls_boot_event *event)
{
    char words[64];
    unsigned sum = 0;

    fuzz_check(event->pcr < ATLS_PCR_COUNT, "PCR");
    fuzz_check(event->digest_count <= ATLS_BANKS_MAX, "number of digests");
    for (size_t i = 0; i < event->digest_count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(event->digests[i].alg);

        fuzz_check(hash != NULL, "unknown bank");
        for (size_t j = 0; j < i; j++)
            fuzz_check(event->digests[i].alg != event->digests[j].alg,
                       "bank twice");
        for (size_t j = 0; j < hash->len; j++)
            sum += event->digests[i].octets[j];
    }
    for (size_t i = 0; i < event->data.len; i++)
        sum += event->data.data[i];
    fuzz_check(sum != UINT32_MAX, "impossible sum");
    atls_boot_event_type(event->type, words, sizeof(words));
    fuzz_check(words[0] != '\0', "no name of a type");
    atls_boot_event_describe(event, words, sizeof(words));
    for (const char *at = words; *at != '\0'; at++)
        fuzz_check(*at >= ' ' && *at <= '~', "words that are not printable");
}

static void check_replay(const struct atls_boot_log *log)
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        struct atls_reason why = {.code = ATLS_OK};
        uint8_t value[ATLS_PCR_DIGEST_MAX];
        size_t count = 0;
        enum atls_error r =
            atls_boot_log_replay(log, 0x000b, pcr, &why, value, &count);

        fuzz_check(r == ATLS_OK || r == ATLS_E_LOG_REPLAY, "replay");
        fuzz_check(count <= log->count, "events of a PCR");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_boot_log log;
    enum atls_error r =
        atls_boot_log_parse((struct atls_span){data, size}, &why, &log);

    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
    } else {
        const struct atls_boot_event *a = NULL;
        const struct atls_boot_event *b = NULL;

        for (size_t i = 0; i < log.count; i++)
            check_event(&log.events[i]);
        check_replay(&log);
        fuzz_check(!atls_boot_log_diverges(&log, &log, 0x000b, 4, &a, &b),
                   "differs from itself");
        atls_boot_log_clear(&log);
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"boot", "crypto-agile", 0, "logs.txt"},
    {"boot", "sha1", 0, "logs.txt"},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
