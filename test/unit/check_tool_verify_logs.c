/* SPDX-License-Identifier: BSD-2-Clause */
/* "attest verify" with logs: boot log, event log and IMA log must replay to the
 * PCRs that were quoted. */
#include <tss2/tss2_tpm2_types.h>

#include "evidence/bootlog.h"
#include "lib/record.h"
#include "lib/suite.h"
#include "lib/tcglog.h"
#include "unit/tool_verify.h"

static struct tcglog boot;

static const struct tcglog_algorithm banks[] = {{TPM2_ALG_SHA256, 32}};

/* Two events of PCR 4 and one of PCR 7, and the values that they make. */
static void make_boot_log(void)
{
    tcglog_begin(&boot, banks, 1);
    tcglog_text(&boot, 4, 0x80000007, "Calling EFI Application");
    tcglog_text(&boot, 7, 4, "separator");
    tcglog_text(&boot, 4, 13, "grub_cmd: boot");
}

/* PCR values of the plan become those of the log as it is now. */
static void boot_with_log(void)
{
    const struct atls_span octets = {boot.octets, boot.len};
    struct atls_boot_log log = {0};
    struct atls_reason why = {0};

    ck_assert_msg(atls_boot_log_parse(octets, &why, &log) == ATLS_OK, "%s",
                  why.text);
    for (unsigned pcr = 0; pcr < 8; pcr++) {
        size_t count = 0;
        uint8_t value[ATLS_PCR_DIGEST_MAX];

        ck_assert_int_eq(atls_boot_log_replay(&log, TPM2_ALG_SHA256, pcr, &why,
                                              value, &count),
                         ATLS_OK);
        if (count > 0)
            memcpy(factory_pcr(&factory, TPM2_ALG_SHA256, pcr), value,
                   sizeof(value));
    }
    atls_boot_log_clear(&log);
}

static void use_boot_log(void)
{
    static char path[512];

    scratch_write("boot.log", boot.octets, boot.len, 0644);
    snprintf(path, sizeof(path), "%s", scratch_path("boot.log"));
    words.boot_log = path;
}

START_TEST(test_boot_log_that_replays)
{
    json_t *object;

    make_boot_log();
    boot_with_log();
    write_parts();
    use_boot_log();
    assert_trusted();
    ck_assert_msg(
        strstr(result.out, "The logs replay to: bank sha256, PCRs 4 7\n")
            != NULL,
        "%s", result.out);
    run_verify(true);
    object = verb_json(&result);
    ck_assert_uint_eq(
        json_array_size(json_object_get(
            json_object_get(json_object_get(object, "logs"), "pcrs"),
            "sha256")),
        2);
    json_decref(object);
}
END_TEST

/* Firmware that logs what it did not extend: the first such event is named. */
START_TEST(test_E9_event_that_was_never_extended)
{
    make_boot_log();
    boot_with_log();
    tcglog_text(&boot, 4, 0x80000003, "evil");
    write_parts();
    use_boot_log();
    assert_fails(TOOL_NO_EVIDENCE, "event 3, EV_EFI_BOOT_SERVICES_APPLICATION");
    ck_assert_ptr_nonnull(strstr(result.err, "was never extended"));
    ck_assert_ptr_nonnull(strstr(result.err, "PCR 4 (sha256)"));
}
END_TEST

START_TEST(test_E9_log_of_another_boot)
{
    make_boot_log();
    write_parts();
    use_boot_log();
    assert_fails(TOOL_NO_EVIDENCE, "the log does not replay to PCR 4 (sha256)");
    ck_assert_ptr_nonnull(strstr(result.err, "is it of this boot"));
}
END_TEST

/* Clouds have such logs. */
START_TEST(test_empty_log_is_no_error)
{
    write_parts();
    boot.len = 0;
    use_boot_log();
    assert_trusted();
    ck_assert_ptr_null(strstr(result.out, "The logs replay to: bank sha256, "
                                          "PCRs 4"));
}
END_TEST

/* The measured log has its PCR, and what user space adds to the firmware's. */
START_TEST(test_event_log)
{
    static const char record[] =
        "\x1e{\"pcr\":15,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":\""
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"}],"
        "\"content_type\":\"text\",\"content\":\"a\"}\n";
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t digest[ATLS_SHA256_LEN];
    char path[512];

    ck_assert_int_eq(atls_sha256((const uint8_t *)"a", 1, digest), ATLS_OK);
    ck_assert_int_eq(atls_pcr_extend(TPM2_ALG_SHA256, value, digest), ATLS_OK);
    factory.replays = false;
    memcpy(factory_pcr(&factory, TPM2_ALG_SHA256, 15), value, sizeof(value));
    write_parts();
    scratch_write("events.cel", record, sizeof(record) - 1, 0644);
    snprintf(path, sizeof(path), "%s", scratch_path("events.cel"));
    words.event_log = path;
    assert_trusted();
    ck_assert_msg(strstr(result.out, "The logs replay to: bank sha256, PCRs 15")
                      != NULL,
                  "%s", result.out);
    factory_pcr(&factory, TPM2_ALG_SHA256, 15)[0] ^= 1;
    write_parts();
    words.event_log = path;
    assert_fails(TOOL_NO_EVIDENCE, "does not replay to PCR 15");
}
END_TEST

/* One violation, which is extended as ones. */
static void use_ima_log(void)
{
    static const char text[] =
        "10 0000000000000000000000000000000000000000 ima-ng "
        "sha1:0000000000000000000000000000000000000000 /etc/passwd\n";
    static char path[512];

    scratch_write("ima", text, sizeof(text) - 1, 0644);
    snprintf(path, sizeof(path), "%s", scratch_path("ima"));
    words.ima_log = path;
}

START_TEST(test_ima_log)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t ones[ATLS_SHA256_LEN];

    memset(ones, 0xff, sizeof(ones));
    ck_assert_int_eq(atls_pcr_extend(TPM2_ALG_SHA256, value, ones), ATLS_OK);
    ck_assert_int_eq(
        atls_pcr_selection_parse("sha256:0-15", NULL, &factory.selection),
        ATLS_OK);
    memcpy(factory_pcr(&factory, TPM2_ALG_SHA256, 10), value, sizeof(value));
    write_parts();
    use_ima_log();
    assert_trusted();
    ck_assert_msg(strstr(result.out, "The IMA log replays to PCR 10 with 1 of "
                                     "its 1 entries\n")
                      != NULL,
                  "%s", result.out);
    factory_pcr(&factory, TPM2_ALG_SHA256, 10)[0] ^= 1;
    write_parts();
    use_ima_log();
    assert_fails(TOOL_NO_EVIDENCE, "PCR 10");
}
END_TEST

START_TEST(test_ima_log_whose_pcr_is_not_quoted)
{
    write_parts();
    use_ima_log();
    assert_fails(TOOL_REFUSED,
                 "the quote does not cover PCR 10, and so nothing "
                 "vouches for the IMA log");
}
END_TEST

static const struct {
    const char *name;
    const char **word;
    const char *text;
} wrong[] = {
    {"--boot-log", &words.boot_log, "not the TCG's format"},
    {"--event-log", &words.event_log, "garbage"},
    {"--ima-log", &words.ima_log, "not an IMA log"},
};

START_TEST(test_what_is_no_log)
{
    static const char text[] = "this is no log, whoever reads it\n";
    char garbage[512], missing[512];

    write_parts();
    scratch_write("garbage", text, sizeof(text) - 1, 0644);
    snprintf(garbage, sizeof(garbage), "%s", scratch_path("garbage"));
    snprintf(missing, sizeof(missing), "%s", scratch_path("missing"));
    *wrong[_i].word = garbage;
    assert_fails(TOOL_NO_EVIDENCE, wrong[_i].text);
    *wrong[_i].word = missing;
    assert_fails(TOOL_USAGE, "missing: No such file or directory");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_boot_log_that_replays),
    ONCE(test_E9_event_that_was_never_extended),
    ONCE(test_E9_log_of_another_boot),
    ONCE(test_empty_log_is_no_error),
    ONCE(test_event_log),
    ONCE(test_ima_log),
    ONCE(test_ima_log_whose_pcr_is_not_quoted),
    LOOP(test_what_is_no_log, 0, sizeof(wrong) / sizeof(wrong[0])),
};

SUITE(.name = "tool_verify_logs",
      .cases = {CASE("tool_verify_logs", tests, 120, setup, teardown)});
