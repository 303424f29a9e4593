/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/appraise.c: the verdict, the order of the steps, octets that
 * were changed, memory that ended. check_attestation.c, check_pcrs.c,
 * check_measured.c and check_components.c have the steps themselves. */
#include <check.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
}

static void teardown(void)
{
    trial_end(&t);
}

/* --- what is trusted ------------------------------------------------------- */

static void nothing(struct factory *f)
{
    (void)f;
}

static void batch(struct factory *f)
{
    f->batch_size = 5;
    f->batch_index = 3;
}

static void full_batch(struct factory *f)
{
    f->batch_size = ATLS_BATCH_MAX;
    f->batch_index = ATLS_BATCH_MAX - 1;
}

static void client(struct factory *f)
{
    f->role = ATLS_ROLE_CLIENT;
}

static void unsafe_clock(struct factory *f)
{
    f->reset_count = UINT32_MAX;
    f->clock = UINT64_MAX;
}

static void (*const good_plans[])(struct factory *) = {
    nothing, batch, full_batch, client, unsafe_clock,
};

START_TEST(test_trusted)
{
    good_plans[_i](&t.f);
    trial_make(&t);
    trial_trusted(&t);
    ck_assert_str_eq(t.report.section_name, "test");
    ck_assert_ptr_nonnull(
        strstr(t.report.machine, "machine0.example, sha256:"));
    ck_assert(t.report.has_quote);
    ck_assert_uint_eq(t.report.quote.reset_count, t.f.reset_count);
}
END_TEST

/* --- the verdict ----------------------------------------------------------- */

static void spoil_chain(void)
{
    X509_STORE_free(t.section->trust);
    t.section->trust = X509_STORE_new();
}

static void spoil_role(void)
{
    t.role = ATLS_ROLE_CLIENT;
}

static void spoil_selection(void)
{
    factory_section_pcr(t.section, 10, factory_pcr(&t.f, TPM2_ALG_SHA256, 10));
}

static void spoil_digest(void)
{
    t.f.evidence.pcrs.banks[0].value[12][0] ^= 1;
}

static void spoil_log(void)
{
    t.f.evidence.log_pcr = 14;
}

static void spoil_component(void)
{
    factory_section_component(t.section, "missing", t.channel);
}

static void spoil_pcr(void)
{
    t.section->pcrs[7].values[0][0] ^= 1;
}

static void spoil_tls_key(void)
{
    static const uint8_t octet = 0;
    const struct atls_span span = {&octet, 1};

    t.f.evidence.certify = span;
    t.f.evidence.certify_signature = span;
    t.f.evidence.certify_public = span;
}

static void plan_signer(struct factory *f)
{
    f->signer = factory_key(FACTORY_P256, 3);
}

static void plan_magic(struct factory *f)
{
    f->magic ^= 1;
}

static void plan_type(struct factory *f)
{
    f->type = TPM2_ST_ATTEST_CERTIFY;
}

static void plan_epoch(struct factory *f)
{
    f->is_epoch = true;
}

static void plan_unmeasured(struct factory *f)
{
    strcpy(f->log[2], "&");
}

/* For each step something that it alone refuses. */
static const struct {
    enum atls_step step;
    enum atls_error code;
    void (*plan)(struct factory *f); /* before factory_make() */
    void (*spoil)(void);             /* after it */
} spoilers[] = {
    {ATLS_STEP_CHAIN, ATLS_E_CHAIN_UNTRUSTED, nothing, spoil_chain},
    {ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE, plan_signer, NULL},
    {ATLS_STEP_MAGIC, ATLS_E_MAGIC, plan_magic, NULL},
    {ATLS_STEP_TYPE, ATLS_E_TYPE, plan_type, NULL},
    {ATLS_STEP_BINDING, ATLS_E_BINDING, nothing, spoil_role},
    {ATLS_STEP_FRESHNESS, ATLS_E_FRESHNESS, plan_epoch, NULL},
    {ATLS_STEP_SELECTION, ATLS_E_SELECTION, nothing, spoil_selection},
    {ATLS_STEP_DIGEST, ATLS_E_PCR_DIGEST, nothing, spoil_digest},
    {ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, nothing, spoil_log},
    {ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED, plan_unmeasured,
     NULL},
    {ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT, nothing, spoil_component},
    {ATLS_STEP_PCRS, ATLS_E_PCR_VALUE, nothing, spoil_pcr},
    {ATLS_STEP_TLS_KEY, ATLS_E_TLS_KEY, nothing, spoil_tls_key},
};

/* Apply the spoilers first..last. */
static void spoil(size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++)
        spoilers[i].plan(&t.f);
    trial_make(&t);
    for (size_t i = first; i <= last; i++) {
        if (spoilers[i].spoil != NULL)
            spoilers[i].spoil();
    }
}

START_TEST(test_E14_each_step_refuses)
{
    spoil((size_t)_i, (size_t)_i);
    trial_refused(&t, spoilers[_i].step, spoilers[_i].code, "");
}
END_TEST

/* Everything from one step on is wrong: the reason is that of the first. */
START_TEST(test_E14_order_of_the_steps)
{
    spoil((size_t)_i, COUNT(spoilers) - 1);
    trial_refused(&t, spoilers[_i].step, spoilers[_i].code, "");
}
END_TEST

/* To look at everything changes no verdict. */
START_TEST(test_E14_check_all_gives_the_same_verdict)
{
    spoil((size_t)_i, (size_t)_i);
    t.check_all = true;
    trial_refused(&t, spoilers[_i].step, spoilers[_i].code, "");
    spoil_tls_key();
    trial_refused(&t, spoilers[_i].step, spoilers[_i].code, "");
    ck_assert_int_eq(t.report.steps[ATLS_STEP_TLS_KEY].result,
                     ATLS_STEP_FAILED);
}
END_TEST

START_TEST(test_check_all_of_good_evidence)
{
    trial_make(&t);
    t.check_all = true;
    trial_trusted(&t);
}
END_TEST

/* A report does not call proven what nobody asked for. */
START_TEST(test_not_asked_for)
{
    static const enum atls_step open_steps[] = {
        ATLS_STEP_LOG, ATLS_STEP_CERTIFICATE, ATLS_STEP_COMPONENTS,
        ATLS_STEP_PCRS};

    trial_make(&t);
    trial_trusted(&t);
    for (size_t i = 0; i < COUNT(open_steps); i++)
        ck_assert_int_eq(t.report.steps[open_steps[i]].result,
                         ATLS_STEP_PASSED);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_TLS_KEY].result,
                     ATLS_STEP_NOT_ASKED);
    factory_section_free(t.section);
    t.section = factory_section_new();
    factory_section_trust(t.section, t.f.root_cert);
    t.section->machines_any = t.section->ak_eku_any = true;
    t.section->components_any = true;
    t.f.evidence.has_log = false;
    trial_trusted(&t);
    for (size_t i = 0; i < COUNT(open_steps); i++)
        ck_assert_int_eq(t.report.steps[open_steps[i]].result,
                         ATLS_STEP_NOT_ASKED);
    factory_section_pcr(t.section, 23, t.f.extra_data);
    t.check_all = true;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION, "PCR 23");
    ck_assert_int_eq(t.report.steps[ATLS_STEP_PCRS].result, ATLS_STEP_FAILED);
}
END_TEST

/* Steps whose input is missing are not made. */
START_TEST(test_check_all_without_evidence)
{
    trial_make(&t);
    t.check_all = true;
    (void)trial_run_octets(&t, (const uint8_t *)"rubbish", 7);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_DECODE].result, ATLS_STEP_FAILED);
    for (unsigned i = ATLS_STEP_DECODE + 1; i < ATLS_STEP_COUNT; i++)
        ck_assert_int_eq(t.report.steps[i].result, ATLS_STEP_NOT_DONE);
}
END_TEST

/* A quote without body has no selection and no digest. */
START_TEST(test_check_all_without_quote)
{
    plan_type(&t.f);
    trial_make(&t);
    t.check_all = true;
    trial_refused(&t, ATLS_STEP_TYPE, ATLS_E_TYPE, "");
    ck_assert_int_eq(t.report.steps[ATLS_STEP_SELECTION].result,
                     ATLS_STEP_NOT_DONE);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_DIGEST].result,
                     ATLS_STEP_NOT_DONE);
}
END_TEST

/* The section names PCRs whose values do not even travel. */
START_TEST(test_check_all_without_values)
{
    trial_make(&t);
    t.check_all = true;
    t.section->bank = TPM2_ALG_SHA384;
    trial_refused(&t, ATLS_STEP_SELECTION, ATLS_E_SELECTION, "");
    ck_assert_ptr_nonnull(
        strstr(t.report.steps[ATLS_STEP_LOG].reason.text, "expected no value"));
    ck_assert_ptr_nonnull(
        strstr(t.report.steps[ATLS_STEP_PCRS].reason.text, "got no value"));
}
END_TEST

START_TEST(test_E14_cleared_report_is_a_refusal)
{
    trial_make(&t);
    trial_trusted(&t);
    atls_report_clear(&t.report);
    ck_assert_int_eq(t.report.verdict, ATLS_E_INTERNAL);
    ck_assert_ptr_null(t.report.evidence);
    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++)
        ck_assert_int_eq(t.report.steps[i].result, ATLS_STEP_NOT_DONE);
}
END_TEST

START_TEST(test_P11_expired_policy)
{
    trial_make(&t);
    t.section->expires = FACTORY_NOW;
    trial_trusted(&t);
    t.now++;
    (void)trial_run(&t);
    ck_assert_int_eq(t.report.verdict, ATLS_E_EXPIRED);
    ck_assert_str_eq(t.report.reason.text,
                     "policy section test expired 2026-01-01; review it and "
                     "set expires anew");
    ck_assert_int_eq(t.report.steps[ATLS_STEP_DECODE].result,
                     ATLS_STEP_NOT_DONE);
}
END_TEST

START_TEST(test_certified_key_is_not_looked_at)
{
    trial_make(&t);
    spoil_tls_key();
    trial_refused(&t, ATLS_STEP_TLS_KEY, ATLS_E_TLS_KEY,
                  "the evidence certifies a TLS key, which this version cannot "
                  "check; leave the certification out");
}
END_TEST

START_TEST(test_step_names)
{
    ck_assert_str_eq(atls_step_name(ATLS_STEP_DECODE), "decode");
    ck_assert_str_eq(atls_step_what(ATLS_STEP_TLS_KEY),
                     "TLS key lives in this TPM");
    ck_assert_str_eq(atls_step_name(ATLS_STEP_COUNT), "");
    ck_assert_str_eq(atls_step_what(ATLS_STEP_COUNT), "");
}
END_TEST

/* --- octets ---------------------------------------------------------------- */

START_TEST(test_E12_cut_evidence)
{
    trial_make(&t);
    factory_encode(&t.f);
    for (size_t len = 0; len < t.f.cmw_len; len++)
        ck_assert_int_eq(trial_run_octets(&t, t.f.cmw, len), ATLS_E_TRUNCATED);
}
END_TEST

START_TEST(test_E12_octets_behind_the_evidence)
{
    uint8_t *more;

    trial_make(&t);
    factory_encode(&t.f);
    more = malloc(t.f.cmw_len + 1);
    memcpy(more, t.f.cmw, t.f.cmw_len);
    more[t.f.cmw_len] = 0;
    (void)trial_run_octets(&t, more, t.f.cmw_len + 1);
    trial_was_refused(&t, ATLS_STEP_DECODE, ATLS_E_TRAILING, "1 octets after");
    free(more);
}
END_TEST

/* Properly signed, so that nothing but the parser stands in the way. */
START_TEST(test_E12_cut_quote)
{
    size_t whole;

    trial_make(&t);
    whole = t.f.evidence.quote.len;
    for (size_t len = 1; len < whole; len++) {
        factory_sign(&t.f, len);
        trial_refused(&t, ATLS_STEP_MAGIC, ATLS_E_TRUNCATED, "TPMS_ATTEST");
    }
    factory_sign(&t.f, whole + 1);
    trial_refused(&t, ATLS_STEP_MAGIC, ATLS_E_TRAILING, "TPMS_ATTEST");
}
END_TEST

START_TEST(test_E12_cut_signature)
{
    size_t whole;

    trial_make(&t);
    whole = t.f.evidence.signature.len;
    for (size_t len = 1; len < whole; len++) {
        t.f.evidence.signature.len = len;
        trial_refused(&t, ATLS_STEP_SIGNATURE, ATLS_E_TRUNCATED,
                      "TPMT_SIGNATURE");
    }
    t.f.evidence.signature.len = whole + 1;
    trial_refused(&t, ATLS_STEP_SIGNATURE, ATLS_E_TRAILING, "TPMT_SIGNATURE");
}
END_TEST

/* No octet that no check covers: log, authority, chain and a path of the Merkle
 * tree travel. */
START_TEST(test_no_flip_of_a_bit_is_accepted)
{
    factory_log(&t.f, "&");
    t.f.batch_size = 4;
    t.f.batch_index = 2;
    trial_make(&t);
    t.f.evidence.authority = t.f.authority_der;
    trial_trusted(&t);
    for (size_t bit = 0; bit < 8 * t.f.cmw_len; bit += trial_stride()) {
        t.f.cmw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(trial_run_octets(&t, t.f.cmw, t.f.cmw_len) != ATLS_OK,
                      "bit %zu of octet %zu of %zu", bit % 8, bit / 8,
                      t.f.cmw_len);
        t.f.cmw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

/* A peer must not be blamed for what is our want of memory, and what we could
 * not compute must not be compared. OpenSSL does not tell a wrong signature from
 * one that it had no memory to look at: those codes are not in the list. */
static void assert_not_blamed(size_t n)
{
    static const enum atls_error blames[] = {
        ATLS_E_MAGIC,      ATLS_E_TYPE,       ATLS_E_BINDING,
        ATLS_E_SELECTION,  ATLS_E_PCR_DIGEST, ATLS_E_PCR_ZERO,
        ATLS_E_LOG_REPLAY, ATLS_E_LOG_EVENT,  ATLS_E_CERTIFICATE_UNMEASURED,
        ATLS_E_COMPONENT,  ATLS_E_PCR_VALUE,  ATLS_E_FRESHNESS};

    for (size_t i = 0; i < COUNT(blames); i++)
        ck_assert_msg(t.report.verdict != blames[i], "allocation %zu: %s", n,
                      t.report.reason.text);
}

static void check_allocations(void (*fail_at)(size_t n), bool may_pass)
{
    size_t total;
    bool seen_crypto[ATLS_STEP_COUNT] = {false};

    trial_trusted(&t);
    allocation_fail_at(0);
    ck_assert_int_eq(trial_run_octets(&t, t.f.cmw, t.f.cmw_len), ATLS_OK);
    total = allocation_count();
    for (size_t n = 1; n <= total; n += trial_stride()) {
        fail_at(n);
        (void)trial_run_octets(&t, t.f.cmw, t.f.cmw_len);
        allocation_fail_at(0);
        ck_assert_msg(may_pass || t.report.verdict != ATLS_OK,
                      "allocation %zu of %zu", n, total);
        assert_not_blamed(n);
        for (unsigned i = 0; i < ATLS_STEP_COUNT; i++)
            seen_crypto[i] |= t.report.steps[i].reason.code == ATLS_E_CRYPTO;
    }
    if (trial_stride() > 1)
        return;
    ck_assert(seen_crypto[ATLS_STEP_SIGNATURE]);
    ck_assert(seen_crypto[ATLS_STEP_BINDING]);
    ck_assert(seen_crypto[ATLS_STEP_DIGEST]);
    ck_assert(seen_crypto[ATLS_STEP_LOG]);
    ck_assert(seen_crypto[ATLS_STEP_CERTIFICATE]);
}

START_TEST(test_R3_no_memory_from_some_moment_on)
{
    batch(&t.f);
    trial_make(&t);
    check_allocations(allocation_fail_at, false);
}
END_TEST

/* Some allocations serve words only; that one fails refuses nothing. */
START_TEST(test_R3_one_allocation_fails)
{
    batch(&t.f);
    trial_make(&t);
    check_allocations(allocation_fail_only, true);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_trusted, 0, COUNT(good_plans)),
    LOOP(test_E14_each_step_refuses, 0, COUNT(spoilers)),
    LOOP(test_E14_order_of_the_steps, 0, COUNT(spoilers)),
    LOOP(test_E14_check_all_gives_the_same_verdict, 0, COUNT(spoilers) - 1),
    ONCE(test_check_all_of_good_evidence),
    ONCE(test_not_asked_for),
    ONCE(test_check_all_without_evidence),
    ONCE(test_check_all_without_quote),
    ONCE(test_check_all_without_values),
    ONCE(test_E14_cleared_report_is_a_refusal),
    ONCE(test_P11_expired_policy),
    ONCE(test_step_names),
    ONCE(test_E12_cut_evidence),
    ONCE(test_E12_octets_behind_the_evidence),
    ONCE(test_E12_cut_quote),
    ONCE(test_E12_cut_signature),
    ONCE(test_no_flip_of_a_bit_is_accepted),
    ONCE(test_certified_key_is_not_looked_at),
    ONCE(test_R3_no_memory_from_some_moment_on),
    ONCE(test_R3_one_allocation_fails),
};

SUITE(.name = "appraise", .begin = allocation_install, .end = factory_free_keys,
      .cases = {CASE("appraise", tests, 600, setup, teardown)});
