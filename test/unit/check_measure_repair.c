/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T15: measurements that were interrupted. A crash is made by hand: the
 * write-ahead record that stands on disk, then as many of the following steps
 * (measure.c) as were done before it.
 */
#include <check.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/measure_wal.h"
#include "attester/measured_log.h"
#include "lib/allocation.h"
#include "lib/measuring.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tpmproxy.h"

#define SYSTEMD "tpm2-measure.log"

static size_t size_of(const char *name)
{
    struct stat st;

    return stat(scratch_path(name), &st) == 0 ? (size_t)st.st_size : 0;
}

static void append(const char *name, const char *data, size_t len)
{
    FILE *file = fopen(scratch_path(name), "a");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, len, file), len);
    fclose(file);
}

/* Step 1: the record of an event that is to follow now. */
static void write_wal(const char *log, const char *content)
{
    struct atls_pcr_values before;
    struct atls_wal *wal = NULL;

    measuring_read_pcr(MEASURING_PCR, &before);
    ck_assert_int_eq(
        atls_wal_new(MEASURING_PCR, size_of(log), content, &before, NULL, &wal),
        ATLS_OK);
    ck_assert_int_eq(atls_wal_write(scratch_path(log), wal, NULL), ATLS_OK);
    atls_wal_free(wal);
}

static char *make_record(const char *content, size_t *ret_len)
{
    struct atls_pcr_selection banks;
    char *record = NULL;

    ck_assert_int_eq(atls_tpm_banks(measuring.tpm, MEASURING_PCR, NULL, &banks),
                     ATLS_OK);
    ck_assert_int_eq(atls_measured_record(MEASURING_PCR, &banks, content, NULL,
                                          &record, ret_len),
                     ATLS_OK);
    return record;
}

/* How far the interrupted measurement of "b" had come. */
enum crash { BEFORE_EXTEND, AFTER_EXTEND, HALF_RECORD, WHOLE_RECORD };

static void crash_at(const char *log, enum crash crash)
{
    size_t len = 0;
    char *record = make_record("b", &len);

    write_wal(log, "b");
    if (crash >= AFTER_EXTEND)
        measuring_extend("b");
    if (crash == HALF_RECORD)
        append(log, record, len / 2);
    if (crash == WHOLE_RECORD)
        append(log, record, len);
    OPENSSL_free(record);
}

static const struct {
    const char *log;
    enum crash crash;
    mode_t mode;
    const char *before; /* events that were there, one each octet */
    const char *next;   /* what is measured next */
    const char *after;
} crashes[] = {
    {"log", BEFORE_EXTEND, 0644, "", "b", "b"},
    {"log", AFTER_EXTEND, 0644, "", "b", "b"},
    {"log", HALF_RECORD, 0644, "", "b", "b"},
    {"log", WHOLE_RECORD, 0644, "", "b", "b"},
    {"log", BEFORE_EXTEND, 0644, "a", "b", "a|b"},
    {"log", AFTER_EXTEND, 0644, "a", "b", "a|b"},
    {"log", HALF_RECORD, 0644, "a", "b", "a|b"},
    {"log", WHOLE_RECORD, 0644, "a", "b", "a|b"},
    {"log", BEFORE_EXTEND, 0644, "a", "c", "a|b|c"},
    {"log", AFTER_EXTEND, 0644, "a", "c", "a|b|c"},
    {"log", HALF_RECORD, 0644, "a", "c", "a|b|c"},
    {"log", WHOLE_RECORD, 0644, "a", "c", "a|b|c"},
    {"log", HALF_RECORD, 0644, "a", "a", "a|b"},
    {SYSTEMD, BEFORE_EXTEND, 0600, "a", "b", "a|b"},
    {SYSTEMD, BEFORE_EXTEND, 0600 | S_ISVTX, "a", "b", "a|b"},
    {SYSTEMD, AFTER_EXTEND, 0600 | S_ISVTX, "a", "b", "a|b"},
    {SYSTEMD, HALF_RECORD, 0600 | S_ISVTX, "a", "b", "a|b"},
    {SYSTEMD, WHOLE_RECORD, 0600 | S_ISVTX, "a", "c", "a|b|c"},
    {SYSTEMD, WHOLE_RECORD, 0600, "a", "c", "a|b|c"},
};

START_TEST(test_T15_interrupted)
{
    const char *log = crashes[_i].log;
    char content[2] = "";
    struct stat st;

    scratch_write(log, "", 0, crashes[_i].mode);
    for (const char *p = crashes[_i].before; *p != '\0'; p++) {
        content[0] = *p;
        ck_assert_int_eq(chmod(scratch_path(log), 0600), 0);
        measuring_expect(log, content, ATLS_MEASURED_NEW);
    }
    crash_at(log, crashes[_i].crash);
    ck_assert_int_eq(chmod(scratch_path(log), crashes[_i].mode), 0);
    measuring_expect(log, crashes[_i].next, ATLS_MEASURED_REPAIRED);
    measuring_expect_state(log, crashes[_i].after);
    ck_assert_int_eq(stat(scratch_path(log), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777U, crashes[_i].mode & ~(mode_t)S_ISVTX);
    measuring_expect(log, crashes[_i].next, ATLS_MEASURED_ALREADY);
}
END_TEST

/* The crash came between clearing the sticky bit and removing the record; then
 * systemd measured something of its own. */
START_TEST(test_T15_systemd_went_on)
{
    size_t len = 0;
    char *record;

    measuring_expect(SYSTEMD, "a", ATLS_MEASURED_NEW);
    crash_at(SYSTEMD, WHOLE_RECORD);
    measuring_extend("systemd");
    record = make_record("systemd", &len);
    append(SYSTEMD, record, len);
    OPENSSL_free(record);
    measuring_expect(SYSTEMD, "b", ATLS_MEASURED_REPAIRED);
    measuring_expect_state(SYSTEMD, "a|b|systemd");
}
END_TEST

/* Into which PCR does not matter: what was begun is completed first. */
START_TEST(test_T15_interrupted_in_another_pcr)
{
    enum atls_measured done = ATLS_MEASURED_NEW;

    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    crash_at("log", AFTER_EXTEND);
    ck_assert_int_eq(measuring_once(measuring.tpm, scratch_path("log"), 8, "x",
                                    0, &measuring_why, &done),
                     ATLS_OK);
    ck_assert_int_eq(done, ATLS_MEASURED_REPAIRED);
    measuring_expect_state("log", "a|b");
}
END_TEST

/* The third case of the repair: said, not mended, also at the next try. */
START_TEST(test_T15_interrupted_and_extended_by_others)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    crash_at("log", AFTER_EXTEND);
    measuring_extend("intruder");
    for (int i = 0; i < 2; i++)
        measuring_expect_refusal("log", "b", ATLS_E_LOG_MISMATCH,
                                 "PCR 15 was extended by others after an "
                                 "interrupted measurement (");
    ck_assert_int_eq(access(scratch_path("log.wal"), F_OK), 0);
}
END_TEST

START_TEST(test_T15_interrupted_and_one_bank_extended)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    crash_at("log", BEFORE_EXTEND);
    ck_assert(swtpm_extend(measuring.swtpm, MEASURING_PCR, "b"));
    measuring_expect_refusal("log", "b", ATLS_E_LOG_MISMATCH,
                             "PCR 15 was extended by others after an "
                             "interrupted measurement (");
}
END_TEST

START_TEST(test_T15_interrupted_and_log_changed)
{
    static const char *const reason =
        "/log was changed after an interrupted measurement: others write it "
        "without the lock";

    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    crash_at("log", AFTER_EXTEND);
    append("log", "\x1e{}", 3);
    measuring_expect_refusal("log", "b", ATLS_E_LOG_MISMATCH, reason);
    ck_assert_int_eq(truncate(scratch_path("log"), 10), 0);
    measuring_expect_refusal("log", "b", ATLS_E_LOG_MISMATCH, reason);
}
END_TEST

/* What stands in doc/PROTOCOL.md is what is written and read. */
START_TEST(test_wal_format)
{
    static const char expected[] =
        "{\"pcr\":15,\"log_size\":7,\"content\":\"x\",\"banks\":[{\"hashAlg\":"
        "\"sha256\",\"before\":"
        "\"000000000000000000000000000000000000000000000000000000000000"
        "0000\",\"after\":"
        "\"7f85193790de75e46b70bfec3614098f47332a6993dabac6e38ad35f47df"
        "5da4\"}]}";
    struct atls_pcr_values before = {
        1, {{0x000b, UINT32_C(1) << MEASURING_PCR, {{0}}}}};
    struct atls_wal *wal = NULL;
    char *text;

    ck_assert_int_eq(atls_wal_new(MEASURING_PCR, 7, "x", &before, NULL, &wal),
                     ATLS_OK);
    ck_assert_int_eq(atls_wal_write(scratch_path("log"), wal, NULL), ATLS_OK);
    atls_wal_free(wal);
    text = scratch_read("log.wal", NULL);
    ck_assert_str_eq(text, expected);
    free(text);
    ck_assert_int_ne(access(scratch_path("log.wal.new"), F_OK), 0);
    ck_assert_int_eq(atls_wal_read(scratch_path("log"), NULL, &wal), ATLS_OK);
    ck_assert_uint_eq(wal->pcr, MEASURING_PCR);
    ck_assert_uint_eq(wal->log_size, 7);
    ck_assert_str_eq(wal->content, "x");
    ck_assert(atls_wal_values_equal(&wal->before, &before, MEASURING_PCR));
    atls_wal_free(wal);
}
END_TEST

/* Changes to a good record, as jansson's json_object_set_new() does them. */
static const struct {
    const char *key;   /* NULL: the text takes the place of all */
    const char *value; /* NULL: the member is removed */
} damages[] = {
    {NULL, ""},
    {NULL, "{\"pcr\":15"},
    {NULL, "[]"},
    {"pcr", "24"},
    {"pcr", "-1"},
    {"log_size", "-1"},
    {"content", NULL},
    {"content", "\"\""},
    {"content", "\"y\""},
    {"content", "\"x\\ny\""},
    {"banks", NULL},
    {"banks", "[]"},
    {"banks", "[{}]"},
    {"banks", "[{\"hashAlg\":\"md5\",\"before\":\"\",\"after\":\"\"}]"},
    {"banks", "[{\"hashAlg\":\"sha1\",\"before\":\"\",\"after\":\"\"}]"},
    {"banks", "[{\"hashAlg\":\"sha1\",\"before\":"
              "\"0000000000000000000000000000000000000000\",\"after\":"
              "\"0000000000000000000000000000000000000000\"}]"},
};

START_TEST(test_T15_damaged_wal)
{
    char *text;
    json_t *object;

    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    write_wal("log", "x");
    text = scratch_read("log.wal", NULL);
    object = json_loads(text, 0, NULL);
    free(text);
    if (damages[_i].key != NULL && damages[_i].value != NULL)
        json_object_set_new(
            object, damages[_i].key,
            json_loads(damages[_i].value, JSON_DECODE_ANY, NULL));
    else if (damages[_i].key != NULL)
        json_object_del(object, damages[_i].key);
    text = damages[_i].key != NULL ? json_dumps(object, JSON_COMPACT)
                                   : strdup(damages[_i].value);
    scratch_write("log.wal", text, strlen(text), 0600);
    free(text);
    json_decref(object);
    measuring_expect_refusal("log", "x", ATLS_E_MALFORMED,
                             "/log.wal is damaged: nobody can tell whether its "
                             "event was measured: reboot");
}
END_TEST

START_TEST(test_wal_must_be_a_file)
{
    measuring_expect("log", "a", ATLS_MEASURED_NEW);
    ck_assert_int_eq(mkdir(scratch_path("log.wal"), 0700), 0);
    measuring_expect_refusal("log", "b", ATLS_E_IO,
                             "/log.wal is not a regular file");
    ck_assert_int_eq(rmdir(scratch_path("log.wal")), 0);
    ck_assert_int_eq(symlink("log", scratch_path("log.wal")), 0);
    measuring_expect_refusal("log", "b", ATLS_E_IO, "cannot open ");
}
END_TEST

/* What a proxy does to TPM2_PCR_Extend. */
static enum tpmproxy_action refuse_extend(void *arg, uint32_t code,
                                          uint8_t *response, size_t *ret_len)
{
    (void)arg;
    if (code != TPM2_CC_PCR_Extend)
        return TPMPROXY_FORWARD;
    tpmproxy_answer_code(TPM2_RC_LOCALITY, response, ret_len);
    return TPMPROXY_ANSWER;
}

static enum tpmproxy_action hang_extend(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    return code == TPM2_CC_PCR_Extend ? TPMPROXY_HANG : TPMPROXY_FORWARD;
}

static enum tpmproxy_action close_extend(void *arg, uint32_t code,
                                         uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    return code == TPM2_CC_PCR_Extend ? TPMPROXY_CLOSE : TPMPROXY_FORWARD;
}

/* The TPM has done it, and nobody hears of it. */
static void lose_response(void *arg, uint32_t code, uint8_t *response,
                          size_t *len)
{
    (void)arg;
    (void)response;
    if (code == TPM2_CC_PCR_Extend)
        *len = 0;
}

static const struct {
    const char *log;
    struct tpmproxy_hooks hooks;
    enum atls_error code;
    enum atls_measured next; /* REPAIRED: nobody could tell what happened */
} faults[] = {
    {"log", {.before = refuse_extend}, ATLS_E_TPM, ATLS_MEASURED_NEW},
    {SYSTEMD, {.before = refuse_extend}, ATLS_E_TPM, ATLS_MEASURED_NEW},
    {"log", {.before = hang_extend}, ATLS_E_TIMEOUT, ATLS_MEASURED_REPAIRED},
    {SYSTEMD, {.before = hang_extend}, ATLS_E_TIMEOUT, ATLS_MEASURED_REPAIRED},
    {"log",
     {.before = close_extend},
     ATLS_E_TPM_UNAVAILABLE,
     ATLS_MEASURED_REPAIRED},
    {"log", {.after = lose_response}, ATLS_E_TIMEOUT, ATLS_MEASURED_REPAIRED},
};

START_TEST(test_T15_tpm_fails_in_extend)
{
    const char *log = faults[_i].log;
    struct atls_tpm *direct = measuring.tpm;
    struct tpmproxy *proxy =
        tpmproxy_start(swtpm_port(measuring.swtpm), &faults[_i].hooks);
    enum atls_measured done;
    enum atls_error r;

    ck_assert_ptr_nonnull(proxy);
    measuring_expect(log, "a", ATLS_MEASURED_NEW);
    ck_assert_int_eq(atls_tpm_open(tpmproxy_tcti(proxy), NULL, &measuring.tpm),
                     ATLS_OK);
    atls_tpm_set_deadline(measuring.tpm, atls_now_ms() + 2000, -1);
    r = measuring_try(log, "b", &done);
    atls_tpm_close(measuring.tpm);
    tpmproxy_stop(proxy);
    measuring.tpm = direct;
    ck_assert_msg(r == faults[_i].code, "%s", measuring_why.text);
    ck_assert_ptr_nonnull(strstr(measuring_why.text, "TPM2_PCR_Extend"));
    measuring_expect(log, "b", faults[_i].next);
    measuring_expect_state(log, "a|b");
}
END_TEST

static void limit_file_size(rlim_t octets)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = octets;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* R4: no room for the write-ahead record: nothing happened; room for that but
 * not for all of the event's record: repaired when there is room again. */
START_TEST(test_R4_disk_full)
{
    enum atls_measured done;
    enum atls_error r;

    signal(SIGXFSZ, SIG_IGN);
    for (char content[2] = "a"; content[0] <= 'd'; content[0]++)
        measuring_expect("log", content, ATLS_MEASURED_NEW);

    limit_file_size(100);
    r = measuring_try("log", "x", &done);
    limit_file_size(RLIM_INFINITY);
    ck_assert_int_eq(r, ATLS_E_IO);
    ck_assert_ptr_nonnull(
        strstr(measuring_why.text, "/log.wal.new: File too large"));
    measuring_expect_state("log", "a|b|c|d");

    ck_assert_uint_gt(size_of("log"), 2000); /* more than a .wal */
    limit_file_size(size_of("log") + 100);
    r = measuring_try("log", "x", &done);
    limit_file_size(RLIM_INFINITY);
    ck_assert_int_eq(r, ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(measuring_why.text, "cannot write "));
    ck_assert_int_eq(access(scratch_path("log.wal"), F_OK), 0);
    measuring_expect("log", "x", ATLS_MEASURED_REPAIRED);
    measuring_expect_state("log", "a|b|c|d|x");
}
END_TEST

/* R3: whatever allocation fails, the next run puts it right. */
START_TEST(test_R3_allocations_fail)
{
    enum atls_measured done;
    char content[32];
    size_t total;

    measuring_expect("log", "first", ATLS_MEASURED_NEW);
    allocation_fail_at(0);
    measuring_expect("log", "second", ATLS_MEASURED_NEW);
    total = allocation_count();
    for (size_t n = 1; n <= total; n++) {
        enum atls_error r;

        snprintf(content, sizeof(content), "event %zu", n);
        allocation_fail_at(n);
        r = measuring_try("log", content, &done);
        allocation_fail_at(0);
        ck_assert_int_ne(r, ATLS_E_LOG_MISMATCH);
        r = measuring_try("log", content, &done);
        ck_assert_msg(r == ATLS_OK, "allocation %zu: %s", n,
                      measuring_why.text);
    }
    ck_assert_int_ne(access(scratch_path("log.wal"), F_OK), 0);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static const struct suite_test tests[] = {
    LOOP(test_T15_interrupted, 0, COUNT(crashes)),
    ONCE(test_T15_systemd_went_on),
    ONCE(test_T15_interrupted_in_another_pcr),
    ONCE(test_T15_interrupted_and_extended_by_others),
    ONCE(test_T15_interrupted_and_one_bank_extended),
    ONCE(test_T15_interrupted_and_log_changed),
    ONCE(test_wal_format),
    LOOP(test_T15_damaged_wal, 0, COUNT(damages)),
    ONCE(test_wal_must_be_a_file),
    LOOP(test_T15_tpm_fails_in_extend, 0, COUNT(faults)),
    ONCE(test_R4_disk_full),
    ONCE(test_R3_allocations_fail),
};

SUITE(.name = "measure_repair", .skip = swtpm_missing,
      .begin = allocation_install,
      .cases = {
          CASE("measure_repair", tests, 120, measuring_start, measuring_stop)});
