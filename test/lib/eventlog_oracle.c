/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/eventlog_oracle.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "evidence/pcr.h"

const char *eventlog_oracle_missing(void)
{
    if (system("command -v tpm2_eventlog >/dev/null 2>&1") == 0)
        return NULL;
    return "no tpm2_eventlog";
}

/* "    7  : 0x65ca..." */
static bool parse_value(const char *line, unsigned *ret_pcr,
                        char ret_hex[2 * ATLS_PCR_DIGEST_MAX + 1])
{
    return sscanf(line, " %u : 0x%128[0-9a-fA-F]", ret_pcr, ret_hex) == 2;
}

static void expect_value(const struct atls_boot_log *log,
                         const struct atls_hash *hash, unsigned pcr,
                         const char *hex)
{
    uint8_t expected[ATLS_PCR_DIGEST_MAX];
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    struct atls_reason why;
    size_t len = 0;

    ck_assert(atls_unhex(hex, expected, sizeof(expected), &len));
    ck_assert_uint_eq(len, hash->len);
    ck_assert_msg(atls_boot_log_replay(log, hash->alg, pcr, &why, value, NULL)
                      == ATLS_OK,
                  "PCR %u, %s: %s", pcr, hash->name, why.text);
    ck_assert_msg(memcmp(value, expected, len) == 0,
                  "PCR %u, %s: tpm2_eventlog has %s", pcr, hash->name, hex);
}

/* A bank's PCRs are those with an event that has a digest of the bank. */
static uint32_t pcrs_of(const struct atls_boot_log *log, uint16_t alg)
{
    uint32_t pcrs = 0;

    for (size_t i = 0; i < log->count; i++) {
        if (atls_boot_event_digest(&log->events[i], alg) != NULL)
            pcrs |= UINT32_C(1) << log->events[i].pcr;
    }
    return pcrs;
}

/* How many values there are in the banks that both know. */
static size_t count_values(const struct atls_boot_log *log)
{
    static const char *const names[] = {"sha1", "sha256", "sha384", "sha512"};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t pcrs = pcrs_of(log, atls_hash_by_name(names[i])->alg);

        for (; pcrs != 0; pcrs &= pcrs - 1)
            count++;
    }
    return count;
}

/* The values behind "pcrs:"; those of PCRs without an event, which it prints
 * after EV_NO_ACTION, are not counted. */
static size_t compare(FILE *output, const struct atls_boot_log *log)
{
    static char line[1 << 20];
    const struct atls_hash *hash = NULL;
    bool is_values = false;
    size_t count = 0;

    while (fgets(line, sizeof(line), output) != NULL) {
        char hex[2 * ATLS_PCR_DIGEST_MAX + 1];
        char name[16];
        unsigned pcr;

        if (strcmp(line, "pcrs:\n") == 0) {
            is_values = true;
        } else if (is_values && hash != NULL && parse_value(line, &pcr, hex)) {
            expect_value(log, hash, pcr, hex);
            count += pcrs_of(log, hash->alg) >> pcr & 1;
        } else if (is_values && sscanf(line, " %15[a-z0-9_]:", name) == 1) {
            hash = atls_hash_by_name(name);
        }
    }
    return count;
}

size_t eventlog_oracle_agrees(const char *path, const struct atls_boot_log *log)
{
    char command[1200];
    size_t count;
    FILE *output;

    (void)snprintf(command, sizeof(command), "tpm2_eventlog '%s' 2>/dev/null",
                   path);
    output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    count = compare(output, log);
    ck_assert_msg(pclose(output) == 0, "tpm2_eventlog refuses %s", path);
    ck_assert_uint_eq(count, count_values(log));
    return count;
}
