/* SPDX-License-Identifier: BSD-2-Clause */
/* A CEL-JSON log, systemd's or ours: the input is one. */
#include <openssl/err.h>

#include "attester/measured_log.h"
#include "evidence/codec.h"
#include "fuzz/standalone.h"

#define PCR 15u
#define ALL_PCRS UINT32_C(0xffffff)

static void check_log(struct atls_span text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_measured_log log;
    enum atls_error r = atls_measured_log_parse(text, "LOG", PCR, &why, &log);
    size_t len = 0;

    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
        return;
    }
    fuzz_check(log.count <= ATLS_LOG_EVENTS_MAX, "number of events");
    for (size_t i = 0; i < log.count; i++) {
        fuzz_check(log.contents[i].len <= ATLS_LOG_CONTENT_MAX,
                   "length of a content");
        len += log.contents[i].len;
    }
    fuzz_check(len <= text.len, "more octets than there are");
    atls_measured_log_clear(&log);
}

static void check_events(struct atls_span text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_measured_events events;
    struct atls_boot_log log = {0};
    enum atls_error r =
        atls_measured_events_parse(text, "LOG", ALL_PCRS, &why, &events);

    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
        return;
    }
    fuzz_check(atls_boot_log_append(&log, events.events, events.count, &why)
                   == ATLS_OK,
               "cannot append events");
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        uint8_t value[ATLS_PCR_DIGEST_MAX];

        r = atls_boot_log_replay(&log, 0x000b, pcr, &why, value, NULL);
        fuzz_check(r == ATLS_OK || r == ATLS_E_LOG_REPLAY, "replay");
    }
    atls_boot_log_clear(&log);
    atls_measured_events_clear(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_span text = {data, size};

    check_log(text);
    check_events(text);
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"measured", "cel-json", 0, "logs.txt"},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
