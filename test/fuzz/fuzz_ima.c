/* SPDX-License-Identifier: BSD-2-Clause */
/* IMA's log in either form: the input is one. */
#include <openssl/err.h>

#include "tools/verify/ima.h"
#include "fuzz/standalone.h"

static void check_span(struct atls_span span, const uint8_t *data, size_t size)
{
    fuzz_check(span.len == 0
                   || (span.data >= data && span.len <= size
                       && span.data + span.len <= data + size),
               "a span outside of the input");
}

static void check_match(const struct atls_ima_log *log)
{
    static const uint8_t zeros[ATLS_PCR_DIGEST_MAX];
    static const uint8_t value[ATLS_PCR_DIGEST_MAX] = {1};
    struct atls_reason why = {.code = ATLS_OK};
    size_t matched = 1;

    fuzz_check(atls_ima_log_match(log, 0x000b, 10, zeros, &why, &matched)
                       == ATLS_OK
                   && matched == 0,
               "the beginning");
    fuzz_check(atls_ima_log_match(log, 0x000b, 10, value, &why, &matched)
                       == ATLS_E_LOG_REPLAY
                   && why.text[0] != '\0',
               "a value that no log replays to");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_ima_log log;
    enum atls_error r =
        atls_ima_log_parse((struct atls_span){data, size}, &why, &log);

    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
    } else {
        for (size_t i = 0; i < log.count; i++) {
            fuzz_check(log.events[i].pcr < ATLS_PCR_COUNT, "PCR");
            check_span(log.events[i].template, data, size);
            check_span(log.events[i].data, data, size);
            check_span(log.events[i].path, data, size);
        }
        check_match(&log);
        atls_ima_log_clear(&log);
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"ima", "binary", 0, "logs.txt"},
    {"ima", "ascii", 0, "logs.txt"},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
