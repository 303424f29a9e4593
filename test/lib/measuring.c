/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/measuring.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attester/measured_log.h"
#include "base/digest.h"
#include "evidence/eventlog.h"
#include "lib/scratch.h"

struct measuring_setup measuring;
struct atls_reason measuring_why;

void measuring_start(void)
{
    enum atls_error r;

    scratch_make();
    measuring.swtpm = swtpm_start();
    ck_assert_ptr_nonnull(measuring.swtpm);
    r = atls_tpm_open(swtpm_tcti(measuring.swtpm), &measuring_why,
                      &measuring.tpm);
    ck_assert_msg(r == ATLS_OK, "%s", measuring_why.text);
}

void measuring_stop(void)
{
    atls_tpm_close(measuring.tpm);
    swtpm_stop(measuring.swtpm);
    scratch_remove();
}

void measuring_read_pcr(unsigned pcr, struct atls_pcr_values *ret_values)
{
    struct atls_pcr_selection banks;

    ck_assert_int_eq(atls_tpm_banks(measuring.tpm, pcr, NULL, &banks), ATLS_OK);
    ck_assert_int_eq(
        atls_tpm_read_pcrs(measuring.tpm, &banks, NULL, ret_values), ATLS_OK);
}

void measuring_extend(const char *content)
{
    const struct atls_span span = {(const uint8_t *)content, strlen(content)};

    ck_assert_int_eq(
        atls_tpm_extend(measuring.tpm, MEASURING_PCR, span, NULL, NULL),
        ATLS_OK);
}

enum atls_error measuring_once(struct atls_tpm *tpm, const char *path,
                               unsigned pcr, const char *content,
                               unsigned wait_ms, struct atls_reason *why,
                               enum atls_measured *ret_done)
{
    struct atls_measuring *m = NULL;
    struct atls_measurement result = {.done = *ret_done};
    struct atls_evidence outline;
    enum atls_error r;

    atls_log_room_outline(NULL, &outline);
    r = atls_measuring_begin(tpm, path, pcr, wait_ms, &outline, why, &m);
    if (r == ATLS_OK)
        r = atls_measuring_next(m, content, why, &result);
    atls_measuring_end(m);
    *ret_done = result.done;
    return r;
}

enum atls_error measuring_try(const char *log, const char *content,
                              enum atls_measured *ret_done)
{
    measuring_why = (struct atls_reason){.code = ATLS_OK};
    return measuring_once(measuring.tpm, scratch_path(log), MEASURING_PCR,
                          content, 0, &measuring_why, ret_done);
}

void measuring_expect(const char *log, const char *content,
                      enum atls_measured done)
{
    enum atls_measured found = ATLS_MEASURED_NEW;
    enum atls_error r = measuring_try(log, content, &found);

    ck_assert_msg(r == ATLS_OK, "%s", measuring_why.text);
    ck_assert_int_eq(found, done);
}

void measuring_expect_refusal(const char *log, const char *content,
                              enum atls_error code, const char *text)
{
    struct atls_pcr_values before;
    struct atls_pcr_values after;
    char *log_before = scratch_read(log, NULL);
    char *log_after;
    enum atls_measured done = ATLS_MEASURED_NEW;

    measuring_read_pcr(MEASURING_PCR, &before);
    ck_assert_int_eq(measuring_try(log, content, &done), code);
    ck_assert_int_eq(measuring_why.code, code);
    ck_assert_msg(strstr(measuring_why.text, text) != NULL, "%s",
                  measuring_why.text);
    ck_assert_uint_lt(strlen(measuring_why.text), ATLS_REASON_MAX - 1);
    measuring_read_pcr(MEASURING_PCR, &after);
    log_after = scratch_read(log, NULL);
    ck_assert_str_eq(log_before, log_after);
    ck_assert_mem_eq(&before, &after, sizeof(before));
    free(log_before);
    free(log_after);
}

static void expect_replay(const struct atls_measured_log *log)
{
    struct atls_pcr_values values;

    measuring_read_pcr(MEASURING_PCR, &values);
    ck_assert_uint_gt(values.count, 1); /* swtpm has several banks */
    for (size_t i = 0; i < values.count; i++) {
        uint8_t replayed[ATLS_PCR_DIGEST_MAX];

        ck_assert_int_eq(atls_eventlog_replay(values.banks[i].alg,
                                              log->contents, log->count,
                                              replayed),
                         ATLS_OK);
        ck_assert_mem_eq(replayed, values.banks[i].value[MEASURING_PCR],
                         atls_hash_by_alg(values.banks[i].alg)->len);
    }
}

void measuring_expect_state(const char *log, const char *contents)
{
    struct atls_measured_log found = {0};
    char joined[4096] = "";
    char wal[64];

    ck_assert_int_eq(atls_measured_log_read(scratch_path(log), MEASURING_PCR,
                                            &measuring_why, &found),
                     ATLS_OK);
    for (size_t i = 0; i < found.count; i++) {
        if (i > 0)
            strcat(joined, "|");
        strncat(joined, (const char *)found.contents[i].data,
                found.contents[i].len);
    }
    ck_assert_str_eq(joined, contents);
    expect_replay(&found);
    atls_measured_log_clear(&found);
    snprintf(wal, sizeof(wal), "%s.wal", log);
    ck_assert_int_ne(access(scratch_path(wal), F_OK), 0);
}

void measuring_certificate_event(const char *word, struct atls_span der,
                                 char ret_event[128])
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];

    ck_assert_int_eq(atls_sha256(der.data, der.len, digest), ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    snprintf(ret_event, 128, "%s sha256:%s", word, hex);
}
