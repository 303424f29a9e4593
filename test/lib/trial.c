/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/trial.h"

#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/trust.h"

size_t trial_stride(void)
{
    const char *text = getenv("ATTEST_TEST_STRIDE");
    unsigned long stride = text != NULL ? strtoul(text, NULL, 10) : 1;

    return stride > 0 ? stride : 1;
}

void trial_begin(struct trial *t)
{
    memset(t, 0, sizeof(*t));
    factory_init(&t->f, 0);
}

void trial_make(struct trial *t)
{
    factory_make(&t->f);
    if (t->section != NULL) /* of what was made before */
        factory_section_free(t->section);
    t->section = factory_section_for(&t->f);
    t->role = t->f.role;
    memcpy(t->channel, t->f.channel, sizeof(t->channel));
    t->has_channel = true;
    t->cert_der = t->f.cert_der;
    t->now = FACTORY_NOW;
}

void trial_end(struct trial *t)
{
    atls_report_clear(&t->report);
    ck_assert_int_ne(t->report.verdict, ATLS_OK);
    if (t->section != NULL)
        factory_section_free(t->section);
    factory_clear(&t->f);
}

static bool was_good(enum atls_step_result result)
{
    return result == ATLS_STEP_PASSED || result == ATLS_STEP_NOT_ASKED;
}

/* Holds for every report, whatever the evidence. */
static void assert_consistent(const struct trial *t)
{
    const struct atls_report *report = &t->report;
    bool all_passed = true;

    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_int_eq(report->reason.code, report->verdict);
    ck_assert_uint_lt(strlen(report->reason.text), ATLS_REASON_MAX - 1);
    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        const char *text = report->steps[i].reason.text;

        if (report->steps[i].result == ATLS_STEP_FAILED)
            ck_assert_uint_gt(strlen(text), 0);
        else
            ck_assert_str_eq(text, "");
        all_passed &= was_good(report->steps[i].result);
    }
    ck_assert_int_eq(report->verdict == ATLS_OK, all_passed);
}

enum atls_error trial_run_octets(struct trial *t, const uint8_t *cmw,
                                 size_t len)
{
    const struct atls_appraisal in = {
        .section = t->section,
        .cmw = {cmw, len},
        .role = t->role,
        .channel = t->has_channel ? t->channel : NULL,
        .cert_der = t->cert_der,
        .now = t->now,
        .check_all = t->check_all,
        .asked = t->asked,
    };
    enum atls_error r;

    atls_report_clear(&t->report);
    r = atls_appraise(&in, &t->report);
    ck_assert_int_eq(r, t->report.verdict);
    assert_consistent(t);
    return r;
}

enum atls_error trial_run(struct trial *t)
{
    factory_encode(&t->f);
    return trial_run_octets(t, t->f.cmw, t->f.cmw_len);
}

void trial_trusted(struct trial *t)
{
    enum atls_error r = trial_run(t);

    ck_assert_msg(r == ATLS_OK, "%s", t->report.reason.text);
}

void trial_was_refused(const struct trial *t, enum atls_step step,
                       enum atls_error code, const char *text)
{
    const struct atls_report *report = &t->report;

    ck_assert_msg(report->verdict == code, "%s instead of %s: %s",
                  atls_error_name(report->verdict), atls_error_name(code),
                  report->reason.text);
    ck_assert_msg(strstr(report->reason.text, text) != NULL,
                  "\"%s\" is not in \"%s\"", text, report->reason.text);
    ck_assert_str_eq(report->steps[step].reason.text, report->reason.text);
    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        enum atls_step_result result = report->steps[i].result;
        const char *name = atls_step_name((enum atls_step)i);

        if (i < step)
            ck_assert_msg(was_good(result), "%s", name);
        else if (i == step)
            ck_assert_msg(result == ATLS_STEP_FAILED, "%s", name);
        else if (!t->check_all)
            ck_assert_msg(result == ATLS_STEP_NOT_DONE, "%s", name);
    }
}

void trial_refused(struct trial *t, enum atls_step step, enum atls_error code,
                   const char *text)
{
    (void)trial_run(t);
    trial_was_refused(t, step, code, text);
}

enum atls_error trial_chain(struct trial *t, const struct atls_span *chain,
                            size_t count, int64_t now)
{
    struct atls_trust trust;
    enum atls_error r;

    memset(&t->why, 0, sizeof(t->why));
    r = atls_trust_check(t->section, chain, count, now, &t->why, &trust);
    EVP_PKEY_free(trust.key);
    memcpy(t->machine, trust.machine, sizeof(t->machine));
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_int_eq(t->why.code, r);
    ck_assert_uint_lt(strlen(t->why.text), ATLS_REASON_MAX - 1);
    ck_assert_int_eq(r == ATLS_OK, strlen(t->machine) > 0);
    return r;
}

void trial_chain_was_trusted(const struct trial *t)
{
    ck_assert_msg(t->why.code == ATLS_OK, "%s", t->why.text);
}

void trial_chain_trusted(struct trial *t)
{
    (void)trial_chain(t, t->f.evidence.chain, t->f.evidence.chain_count,
                      FACTORY_NOW);
    trial_chain_was_trusted(t);
}

void trial_chain_was_refused(const struct trial *t, enum atls_error code,
                             const char *text)
{
    ck_assert_msg(t->why.code == code, "%s instead of %s: %s",
                  atls_error_name(t->why.code), atls_error_name(code),
                  t->why.text);
    ck_assert_msg(strstr(t->why.text, text) != NULL, "\"%s\" is not in \"%s\"",
                  text, t->why.text);
}

void trial_chain_refused(struct trial *t, enum atls_error code,
                         const char *text)
{
    (void)trial_chain(t, t->f.evidence.chain, t->f.evidence.chain_count,
                      FACTORY_NOW);
    trial_chain_was_refused(t, code, text);
}
