/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/measured.c through atls_appraise(): the log and its PCR,
 * the TLS certificate and its authority. check_components.c has the others. */
#include <check.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/measured.h"

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

/* --- the log --------------------------------------------------------------- */

static void change_content(void)
{
    static const char other[] = "component server-code sha256:"
                                "cccccccccccccccccccccccccccccccc"
                                "cccccccccccccccccccccccccccccccc";

    t.f.log_spans[1] =
        (struct atls_span){(const uint8_t *)other, sizeof(other) - 1};
}

/* The kind of an event is part of what is extended, as all of it is. */
static void retag_event(void)
{
    memcpy(t.f.log_octets[2], "authority  ", 11);
}

static void append_event(void)
{
    t.f.log_spans[3] = t.f.log_spans[0];
    t.f.evidence.log_count++;
}

static void append_empty_event(void)
{
    t.f.log_spans[3] = (struct atls_span){(const uint8_t *)"", 0};
    t.f.evidence.log_count++;
}

static void drop_last_event(void)
{
    t.f.evidence.log_count--;
}

static void drop_first_event(void)
{
    t.f.evidence.log++;
    t.f.evidence.log_count--;
}

static void swap_events(void)
{
    struct atls_span first = t.f.log_spans[0];

    t.f.log_spans[0] = t.f.log_spans[1];
    t.f.log_spans[1] = first;
}

static void repeat_event(void)
{
    t.f.log_spans[3] = t.f.log_spans[2];
    t.f.evidence.log_count++;
}

static const struct {
    void (*change)(void);
    const char *text;
} bad_logs[] = {
    {change_content, "the measured log (3 events) does not replay to PCR 15"},
    {retag_event, "the measured log (3 events) does not replay to PCR 15"},
    {append_event, "the measured log (4 events) does not replay to PCR 15"},
    {append_empty_event,
     "the measured log (4 events) does not replay to PCR 15"},
    {drop_last_event, "the measured log (2 events) does not replay to PCR 15"},
    {drop_first_event, "the measured log (2 events) does not replay to PCR 15"},
    {swap_events, "the measured log (3 events) does not replay to PCR 15"},
    {repeat_event, "the measured log (4 events) does not replay to PCR 15"},
};

START_TEST(test_E9_log_does_not_replay)
{
    trial_make(&t);
    bad_logs[_i].change();
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, bad_logs[_i].text);
}
END_TEST

START_TEST(test_log_does_not_replay_in_words)
{
    char expected[2 * ATLS_SHA256_LEN + 1];
    char text[ATLS_REASON_MAX];

    trial_make(&t);
    drop_last_event();
    atls_hex(factory_pcr(&t.f, TPM2_ALG_SHA256, 15), 8, expected);
    (void)snprintf(text, sizeof(text),
                   "the measured log (2 events) does not replay to PCR 15: "
                   "expected %s..., got ",
                   expected);
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, text);
}
END_TEST

/* The log goes on where the PCR stopped: what it says too much is named. */
static const struct {
    size_t extended; /* events that the PCR has seen */
    size_t claimed;
    const char *text;
} beginnings[] = {
    {3, 4,
     "; event 4 \"component model-we...aaaaaaaaaaaaaaaaaa\" was never "
     "extended"},
    {3, 5,
     "; event 4 \"component model-we...aaaaaaaaaaaaaaaaaa\" and 1 after it "
     "were never extended"},
    {1, 3,
     "; event 2 \"component server-c...bbbbbbbbbbbbbbbbbb\" and 1 after it "
     "were never extended"},
    {0, 1,
     "; event 1 \"component model-we...aaaaaaaaaaaaaaaaaa\" was never "
     "extended"},
};

START_TEST(test_E9_events_that_were_never_extended)
{
    size_t extended = beginnings[_i].extended;
    struct atls_span claimed[5];

    trial_make(&t);
    for (size_t i = 0; i < COUNT(claimed); i++)
        claimed[i] = t.f.log_spans[i % 3];
    t.f.log_count = extended;
    factory_quote(&t.f);
    t.f.evidence.log = claimed;
    t.f.evidence.log_count = beginnings[_i].claimed;
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, beginnings[_i].text);
    ck_assert_uint_lt(strlen(t.report.reason.text), ATLS_REASON_MAX - 1);
}
END_TEST

/* No beginning fits, so nothing can be named. */
START_TEST(test_E9_events_in_another_order)
{
    trial_make(&t);
    swap_events();
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY,
                  "...; were events lost or extended without a log?");
}
END_TEST

START_TEST(test_log_in_a_bank_that_is_none)
{
    struct atls_reason why = {.code = ATLS_OK};

    t.f.log_count = 0;
    trial_make(&t);
    t.section->bank = TPM2_ALG_SM3_256;
    ck_assert_int_eq(atls_measured_log(t.section, &t.f.evidence, &why),
                     ATLS_E_INTERNAL);
}
END_TEST

/* A log that travels is checked even if nothing of it is demanded. */
START_TEST(test_log_that_nobody_wants_must_replay)
{
    trial_make(&t);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.section->components_any = true;
    t.section->component_count = 0;
    trial_trusted(&t);
    drop_last_event();
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, "does not replay");
    t.section->component_count = 2;
}
END_TEST

START_TEST(test_log_of_another_pcr)
{
    trial_make(&t);
    t.section->measure_pcr = 14;
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY,
                  "the measured log is of PCR 15; the policy expects PCR 14, "
                  "see measure_pcr");
}
END_TEST

/* Who leaves the log out claims that nothing was measured. */
START_TEST(test_P10_log_left_out)
{
    trial_make(&t);
    t.f.evidence.has_log = false;
    t.f.evidence.log_count = 0;
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY,
                  "the measured log (0 events, none was sent) does not replay "
                  "to PCR 15");
    /* also if it could only hold what the policy does not list */
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    t.section->component_count = 0;
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, "none was sent");
    t.section->components_any = true;
    trial_trusted(&t);
    t.section->component_count = 2;
}
END_TEST

START_TEST(test_nothing_measured)
{
    t.f.log_count = 0;
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED, "");
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    trial_trusted(&t);
    t.f.evidence.has_log = false;
    trial_trusted(&t);
}
END_TEST

START_TEST(test_log_in_other_banks)
{
    static const uint16_t banks[] = {TPM2_ALG_SHA384, TPM2_ALG_SHA512};
    static const char *const selections[] = {"sha384:all", "sha512:all"};

    ck_assert_int_eq(
        atls_pcr_selection_parse(selections[_i], NULL, &t.f.selection),
        ATLS_OK);
    trial_make(&t);
    t.section->bank = banks[_i];
    trial_trusted(&t);
    drop_last_event();
    trial_refused(&t, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY, "does not replay");
}
END_TEST

/* --- certificate ----------------------------------------------------------- */

START_TEST(test_certificate_not_measured)
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];
    char text[ATLS_REASON_MAX];

    t.f.log_count = 2;
    trial_make(&t);
    ck_assert_int_eq(atls_sha256(t.cert_der.data, t.cert_der.len, digest),
                     ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    (void)snprintf(text, sizeof(text),
                   "the TLS certificate is not in the measured log: expected "
                   "sha256:%s; measure it with: attest measure --certificate "
                   "PEM",
                   hex);
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  text);
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  text);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    trial_trusted(&t);
}
END_TEST

/* The right digest under another word is no certificate event. */
START_TEST(test_E9_certificate_digest_as_component)
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];

    trial_make(&t);
    ck_assert_int_eq(atls_sha256(t.cert_der.data, t.cert_der.len, digest),
                     ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    (void)snprintf(t.f.log[2], sizeof(t.f.log[2]), "%s sha256:%s",
                   _i == 0 ? "component certificate" : "authority", hex);
    t.section->components_any = true;
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  "the TLS certificate is not in the measured log");
}
END_TEST

/* Logged by somebody else, it counts for nothing, and is named as what it is. */
static const struct {
    const char *format;
    const char *text; /* behind the digest */
} other_forms[] = {
    {"certificate sha256:%s\n",
     "\\n\", which is no certificate to attest: a line feed at its end; use "
     "attest measure"},
    {"certificate  sha256:%s", "\", which is no certificate to attest: other "
                               "blanks between its words"},
    {"Certificate sha256:%s",
     "\", which is no certificate to attest: upper case in its first word"},
};

START_TEST(test_certificate_in_another_form)
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];
    char text[ATLS_REASON_MAX];

    trial_make(&t);
    ck_assert_int_eq(atls_sha256(t.cert_der.data, t.cert_der.len, digest),
                     ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(t.f.log[2], sizeof(t.f.log[2]), other_forms[_i].format, hex);
#pragma GCC diagnostic pop
    factory_quote(&t.f);
    (void)snprintf(text, sizeof(text), "sha256:%s%s", hex,
                   other_forms[_i].text);
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  text);
    ck_assert_ptr_nonnull(strstr(t.report.reason.brief,
                                 "the TLS certificate is logged in another "
                                 "form: "));
    /* That of another certificate is none of this one's matter. */
    t.f.log[2][strlen(t.f.log[2]) - 2] ^= 1;
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  "the TLS certificate is not in the measured log");
}
END_TEST

START_TEST(test_renewed_certificate)
{
    char old[ATLS_EVENT_CONTENT_MAX];

    memset(old, 0, sizeof(old));
    (void)snprintf(old, sizeof(old), "certificate sha256:%064d", 7);
    strcpy(t.f.log[0], old);
    strcpy(t.f.log[1], "%");
    strcpy(t.f.log[2], old);
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

/* Evidence with a measured authority in place of the certificate. */
static void make_with_authority(void)
{
    strcpy(t.f.log[2], "&");
    trial_make(&t);
    t.f.evidence.authority = t.f.authority_der;
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
}

START_TEST(test_measured_issuer)
{
    make_with_authority();
    trial_trusted(&t);
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    trial_trusted(&t);
    t.section->certificate = ATLS_CERTIFICATE_MEASURED;
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  "the TLS certificate is not in the measured log");
    /* measured, but not there to be looked at */
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
    t.f.evidence.authority.len = 0;
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  "the TLS certificate is not in the measured log");
}
END_TEST

START_TEST(test_measured_issuer_accepts_a_measured_certificate)
{
    trial_make(&t);
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
    trial_trusted(&t);
}
END_TEST

#define LEAF_EXTENSIONS \
    FACTORY_AK_BASE_EXTENSIONS "subjectAltName=DNS:www.example"

static void authority_is_no_ca(void)
{
    t.f.authority.extensions =
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\n";
}

static void authority_without_basic_constraints(void)
{
    t.f.authority.extensions =
        "keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n";
}

static void authority_does_not_sign_certificates(void)
{
    t.f.authority.extensions =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n"
        "subjectKeyIdentifier=hash\n";
}

static void authority_without_key_usage(void)
{
    t.f.authority.extensions =
        "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n";
}

static void leaf_signed_by_another_key(void)
{
    t.f.leaf.issuer_key = factory_key(FACTORY_P256, 3);
}

static void leaf_of_another_issuer(void)
{
    t.f.leaf.issuer_cn = "another CA";
    t.f.leaf.extensions = "subjectAltName=DNS:www.example";
}

static void expired_authority(void)
{
    t.f.authority.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void expired_leaf(void)
{
    t.f.leaf.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void weak_signature(void)
{
    t.f.leaf.digest = "SHA1";
}

static void name_not_permitted(void)
{
    t.f.authority.extensions =
        FACTORY_CA_EXTENSIONS "nameConstraints=critical,permitted;DNS:other";
}

#define NO_CA                                                                 \
    "the measured authority CN=Site CA may not issue certificates: expected " \
    "CA:TRUE and keyCertSign"
#define NOT_ISSUED                                                      \
    "the measured authority CN=Site CA did not directly issue the TLS " \
    "certificate, or one of the two is not valid now"

static const struct {
    void (*plan)(void);
    const char *text;
} bad_authorities[] = {
    {authority_is_no_ca, NO_CA},
    {authority_without_basic_constraints, NO_CA},
    {authority_does_not_sign_certificates, NO_CA},
    {authority_without_key_usage, NO_CA},
    {leaf_signed_by_another_key, NOT_ISSUED},
    {leaf_of_another_issuer, NOT_ISSUED},
    {expired_authority, NOT_ISSUED},
    {expired_leaf, NOT_ISSUED},
    {weak_signature, NOT_ISSUED},
    {name_not_permitted, NOT_ISSUED},
};

START_TEST(test_bad_authority)
{
    bad_authorities[_i].plan();
    make_with_authority();
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  bad_authorities[_i].text);
    /* What travels is checked, whether it is needed or not. */
    t.section->certificate = ATLS_CERTIFICATE_ANY;
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  bad_authorities[_i].text);
}
END_TEST

/* The leaf's issuer was issued by the authority: not directly. */
START_TEST(test_authority_of_the_issuer)
{
    struct factory_cert sub = t.f.authority;
    X509 *authority = factory_certificate(&t.f.authority);
    X509 *issuer;

    sub.cn = "Site sub-CA";
    sub.key = factory_key(FACTORY_P256, 3);
    sub.issuer = authority;
    sub.issuer_key = t.f.authority.key;
    issuer = factory_certificate(&sub);
    t.f.leaf.issuer = issuer;
    t.f.leaf.issuer_key = sub.key;
    make_with_authority();
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                  NOT_ISSUED);
    X509_free(authority);
    X509_free(issuer);
}
END_TEST

START_TEST(test_authority_not_measured)
{
    trial_make(&t);
    t.f.evidence.authority = t.f.authority_der;
    for (int rule = ATLS_CERTIFICATE_MEASURED; rule <= ATLS_CERTIFICATE_ANY;
         rule++) {
        t.section->certificate = (enum atls_certificate_rule)rule;
        trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_CERTIFICATE_UNMEASURED,
                      "the evidence carries an authority that is not in the "
                      "measured log");
    }
}
END_TEST

/* Any octets can be measured; that does not make them a certificate. */
static void measure_rubbish(void)
{
    static const uint8_t rubbish[] = "rubbish";
    struct atls_event event = {.kind = ATLS_EVENT_AUTHORITY};

    t.f.evidence.authority = (struct atls_span){rubbish, sizeof(rubbish)};
    ck_assert_int_eq(atls_sha256(rubbish, sizeof(rubbish), event.digest),
                     ATLS_OK);
    t.f.log[2][atls_event_format(&event, t.f.log[2])] = '\0';
    factory_quote(&t.f);
}

START_TEST(test_authority_is_no_certificate)
{
    make_with_authority();
    measure_rubbish();
    trial_refused(
        &t, ATLS_STEP_CERTIFICATE, ATLS_E_MALFORMED,
        "the measured authority (key 8, 8 octets) is no certificate in "
        "DER");
}
END_TEST

START_TEST(test_sender_shows_no_certificate)
{
    static const uint8_t rubbish[] = "rubbish";

    t.f.other_cert = (struct atls_span){rubbish, sizeof(rubbish)};
    make_with_authority();
    trial_refused(&t, ATLS_STEP_CERTIFICATE, ATLS_E_MALFORMED,
                  "the TLS certificate (8 octets) is not exactly one");
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

/* What could not be computed is not taken for unmeasured. */
START_TEST(test_R3_authority_without_memory)
{
    static const char *const texts[] = {
        "out of memory while reading the measured authority",
        "out of memory while reading the TLS certificate",
        "a cryptographic operation failed",
    };
    bool seen[COUNT(texts)] = {false};
    size_t total;

    make_with_authority();
    trial_trusted(&t);
    allocation_fail_at(0);
    ck_assert_int_eq(trial_run_octets(&t, t.f.cmw, t.f.cmw_len), ATLS_OK);
    total = allocation_count();
    for (size_t n = 1; n <= total; n += trial_stride()) {
        const struct atls_reason *reason =
            &t.report.steps[ATLS_STEP_CERTIFICATE].reason;

        allocation_fail_at(n);
        (void)trial_run_octets(&t, t.f.cmw, t.f.cmw_len);
        allocation_fail_at(0);
        ck_assert_int_ne(t.report.verdict, ATLS_OK);
        ck_assert_ptr_null(strstr(reason->text, "not in the measured log"));
        for (size_t i = 0; i < COUNT(texts); i++)
            seen[i] |= strcmp(reason->text, texts[i]) == 0;
    }
    for (size_t i = 0; i < COUNT(texts) && trial_stride() == 1; i++)
        ck_assert_msg(seen[i], "never seen: %s", texts[i]);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E9_log_does_not_replay, 0, COUNT(bad_logs)),
    ONCE(test_log_does_not_replay_in_words),
    LOOP(test_E9_events_that_were_never_extended, 0, COUNT(beginnings)),
    ONCE(test_E9_events_in_another_order),
    ONCE(test_log_in_a_bank_that_is_none),
    ONCE(test_log_that_nobody_wants_must_replay),
    ONCE(test_log_of_another_pcr),
    ONCE(test_P10_log_left_out),
    ONCE(test_nothing_measured),
    LOOP(test_log_in_other_banks, 0, 2),
    ONCE(test_certificate_not_measured),
    LOOP(test_E9_certificate_digest_as_component, 0, 2),
    LOOP(test_certificate_in_another_form, 0,
         sizeof(other_forms) / sizeof(other_forms[0])),
    ONCE(test_renewed_certificate),
    ONCE(test_measured_issuer),
    ONCE(test_measured_issuer_accepts_a_measured_certificate),
    LOOP(test_bad_authority, 0, COUNT(bad_authorities)),
    ONCE(test_authority_of_the_issuer),
    ONCE(test_authority_not_measured),
    ONCE(test_authority_is_no_certificate),
    ONCE(test_sender_shows_no_certificate),
    ONCE(test_R3_authority_without_memory),
};

SUITE(.name = "measured", .begin = allocation_install, .end = factory_free_keys,
      .cases = {CASE("measured", tests, 600, setup, teardown)});
