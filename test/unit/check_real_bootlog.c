/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot log of a machine of Google's, published in another project's test
 * suite, in ../shared/vectors; skipped where that folder is missing. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/digest.h"
#include "evidence/bootlog.h"
#include "lib/eventlog_oracle.h"
#include "lib/suite.h"
#include "lib/vectors.h"

static char *real_path(const char *file)
{
    static char path[1024];
    const char *srcdir = getenv("srcdir");

    (void)snprintf(path, sizeof(path),
                   "%s/../shared/vectors/gce-cos85-nonce9009-sha256/%s",
                   srcdir != NULL ? srcdir : ".", file);
    return path;
}

static uint8_t *octets;
static size_t octets_len;
static struct atls_boot_log real;
static struct atls_reason why;

static void setup(void)
{
    octets = vector_file(real_path("eventlog"), &octets_len);
    ck_assert_ptr_nonnull(octets);
    ck_assert_int_eq(atls_boot_log_parse((struct atls_span){octets, octets_len},
                                         &why, &real),
                     ATLS_OK);
}

static void teardown(void)
{
    atls_boot_log_clear(&real);
    free(octets);
}

/* "7": "<hex>" of pcrs.json. */
static void quoted_pcr(const char *json, unsigned pcr,
                       uint8_t ret[ATLS_SHA256_LEN])
{
    char hex[2 * ATLS_SHA256_LEN + 1] = "";
    const char *found;
    char key[16];
    size_t len;

    (void)snprintf(key, sizeof(key), "\"%u\": \"", pcr);
    found = strstr(json, key);
    ck_assert_ptr_nonnull(found);
    memcpy(hex, found + strlen(key), sizeof(hex) - 1);
    ck_assert(atls_unhex(hex, ret, ATLS_SHA256_LEN, &len));
}

/* IMA's are not in it. */
START_TEST(test_replays_to_the_quoted_pcrs)
{
    size_t len;
    char *json = (char *)vector_file(real_path("pcrs.json"), &len);

    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(real.count, 44);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        uint8_t value[ATLS_PCR_DIGEST_MAX];
        uint8_t quoted[ATLS_SHA256_LEN];
        size_t count;

        quoted_pcr(json, pcr, quoted);
        ck_assert_int_eq(atls_boot_log_replay(&real, TPM2_ALG_SHA256, pcr, &why,
                                              value, &count),
                         ATLS_OK);
        ck_assert_int_eq(count > 0, pcr < 10);
        ck_assert_int_eq(memcmp(value, quoted, sizeof(quoted)) == 0, pcr != 10);
    }
    free(json);
}
END_TEST

START_TEST(test_replays_as_tpm2_eventlog_says)
{
    /* ten PCRs in three banks */
    ck_assert_uint_eq(eventlog_oracle_agrees(real_path("eventlog"), &real), 30);
}
END_TEST

static const struct {
    size_t index;
    const char *type;
    const char *words;
} expected[] = {
    {0, "EV_S_CRTM_VERSION", "GCE Virtual Firmware v1"},
    {2, "EV_EFI_VARIABLE_DRIVER_CONFIG", "SecureBoot = 1"},
    {10, "EV_EFI_VARIABLE_BOOT", "Boot0001: UEFI nvme_card-pd"},
    {11, "EV_EFI_ACTION", "Calling EFI Application from Boot Option"},
    {12, "EV_SEPARATOR", "separator"},
    {20, "EV_EFI_GPT_EVENT",
     "disk 2a90a0e9-6ae6-2f4d-9938-d422cd837136, STATE, KERN-A"},
    {21, "EV_EFI_BOOT_SERVICES_APPLICATION", "\\EFI\\BOOT\\BOOTX64.EFI"},
    {38, "EV_IPL", "/syslinux/vmlinuz.A"},
    {41, "EV_IPL", "kernel_cmdline: /syslinux/vmlinuz.A init=/usr/lib/systemd"},
};

START_TEST(test_in_words)
{
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct atls_boot_event *event = &real.events[expected[i].index];
        char words[200];
        char type[64];

        atls_boot_event_type(event->type, type, sizeof(type));
        ck_assert_str_eq(type, expected[i].type);
        atls_boot_event_describe(event, words, sizeof(words));
        words[strlen(expected[i].words)] = '\0';
        ck_assert_str_eq(words, expected[i].words);
    }
}
END_TEST

static bool is_printable(const struct atls_boot_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        char words[100];

        atls_boot_event_describe(&log->events[i], words, sizeof(words));
        for (const char *at = words; *at != '\0'; at++) {
            if (*at < ' ' || *at > '~')
                return false;
        }
    }
    return true;
}

/* Parses, and does with the result what others would. */
static enum atls_error try_octets(struct atls_span span, size_t *ret_count)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    struct atls_boot_log log;
    enum atls_error r = atls_boot_log_parse(span, &why, &log);

    if (r != ATLS_OK)
        return r;
    ck_assert(is_printable(&log));
    r = atls_boot_log_replay(&log, TPM2_ALG_SHA256, 0, &why, value, NULL);
    *ret_count = log.count;
    atls_boot_log_clear(&log);
    return r;
}

START_TEST(test_E11_cut_at_every_octet)
{
    size_t before = 0;

    for (size_t len = 0; len < octets_len; len++) {
        uint8_t *exact = malloc(len + 1);
        size_t count = 0;
        enum atls_error r;

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, octets, len);
        r = try_octets((struct atls_span){exact, len}, &count);
        ck_assert_msg(r == ATLS_OK || r == ATLS_E_TRUNCATED, "%zu: %s", len,
                      why.text);
        if (r == ATLS_OK) {
            ck_assert_uint_ge(count, before);
            before = count;
        }
        free(exact);
    }
    ck_assert_uint_eq(before, real.count - 1);
}
END_TEST

START_TEST(test_E11_every_octet_changed)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};

    for (size_t i = 0; i < octets_len; i++) {
        size_t count;

        octets[i] ^= changes[_i];
        if (try_octets((struct atls_span){octets, octets_len}, &count)
            != ATLS_OK)
            ck_assert_ptr_nonnull(strstr(why.text, "boot log: event "));
        octets[i] ^= changes[_i];
    }
}
END_TEST

static const char *skip(void)
{
    if (access(real_path("eventlog"), R_OK) != 0)
        return "no ../shared/vectors";
    return eventlog_oracle_missing();
}

static const struct suite_test tests[] = {
    ONCE(test_replays_to_the_quoted_pcrs),
    ONCE(test_replays_as_tpm2_eventlog_says),
    ONCE(test_in_words),
    ONCE(test_E11_cut_at_every_octet),
    LOOP(test_E11_every_octet_changed, 0, 3),
};

SUITE(.name = "real_bootlog", .skip = skip,
      .cases = {CASE("real_bootlog", tests, 300, setup, teardown)});
