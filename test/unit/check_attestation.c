/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/appraise.c: the steps that judge the signed structure:
 * signature, magic, type, binding, freshness. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/binding.h"
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

/* --- signature, magic, type ------------------------------------------------ */

/* TPMs sign with RSA and the NIST curves from 112 bits, here from P-256. */
static bool fits(enum factory_key_kind kind, uint16_t scheme)
{
    if (kind == FACTORY_RSA2048 || kind == FACTORY_RSA3072)
        return scheme == TPM2_ALG_RSASSA || scheme == TPM2_ALG_RSAPSS;
    return kind <= FACTORY_P521 && scheme == TPM2_ALG_ECDSA;
}

START_TEST(test_E13_key_and_scheme)
{
    static const uint16_t schemes[] = {TPM2_ALG_RSASSA, TPM2_ALG_RSAPSS,
                                       TPM2_ALG_ECDSA};
    static const uint16_t hashes[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                      TPM2_ALG_SHA512};
    const enum factory_key_kind kind = (enum factory_key_kind)_i;

    t.f.ak.key = factory_key(kind, 0);
    trial_make(&t);
    for (size_t i = 0; i < COUNT(schemes); i++) {
        for (size_t j = 0; j < COUNT(hashes); j++) {
            t.f.scheme = schemes[i];
            t.f.hash = hashes[j];
            factory_quote(&t.f);
            if (fits(kind, schemes[i]))
                trial_trusted(&t);
            else if (kind == FACTORY_RSA1024)
                trial_refused(&t, ATLS_STEP_CHAIN, ATLS_E_CHAIN_USAGE,
                              "EE certificate key too weak");
            else
                trial_refused(&t, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE_ALG,
                              "AK");
        }
    }
}
END_TEST

START_TEST(test_E13_sha1_signature)
{
    t.f.hash = TPM2_ALG_SHA1;
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE_ALG, "hash 0x0004");
}
END_TEST

START_TEST(test_E1_magic)
{
    char text[64];

    t.f.magic ^= UINT32_C(1) << _i;
    (void)snprintf(text, sizeof(text),
                   "expected magic 0xff544347, found 0x%08x", t.f.magic);
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_MAGIC, ATLS_E_MAGIC, text);
}
END_TEST

/* What a key signs that is not a TPM's need not look like a quote at all. */
static void plain_text(uint8_t *attest, size_t *len)
{
    memset(attest, 'x', *len);
}

START_TEST(test_E1_blob_of_a_plain_key)
{
    t.f.edit_attest = plain_text;
    trial_make(&t);
    (void)trial_run(&t);
    ck_assert_int_ne(t.report.verdict, ATLS_OK);
    ck_assert_int_eq(t.report.steps[ATLS_STEP_MAGIC].result, ATLS_STEP_FAILED);
    ck_assert(!t.report.has_quote);
}
END_TEST

static const uint16_t attest_types[] = {
    TPM2_ST_ATTEST_NV,      TPM2_ST_ATTEST_COMMAND_AUDIT,
    TPM2_ST_ATTEST_CERTIFY, TPM2_ST_ATTEST_SESSION_AUDIT,
    TPM2_ST_ATTEST_TIME,    TPM2_ST_ATTEST_CREATION,
};

START_TEST(test_E2_attest_types)
{
    char text[64];

    t.f.type = attest_types[_i];
    (void)snprintf(text, sizeof(text), "expected type 0x8018, found 0x%04x",
                   t.f.type);
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_TYPE, ATLS_E_TYPE, text);
}
END_TEST

/* The body of a quote under every other type, known or not: what a confused
 * TPM, or a parser that does not look, would give. */
static uint16_t wrong_type;

static void set_type(uint8_t *attest, size_t *len)
{
    (void)len;
    attest[4] = (uint8_t)(wrong_type >> 8);
    attest[5] = (uint8_t)wrong_type;
}

START_TEST(test_E2_type_of_a_quote_changed)
{
    t.f.edit_attest = set_type;
    wrong_type = (uint16_t)(TPM2_ST_ATTEST_QUOTE ^ 1u << _i);
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_TYPE, ATLS_E_TYPE, "the TPM signed no quote");
}
END_TEST

/* --- parts of two machines ------------------------------------------------- */

static void other_chain(struct factory *other)
{
    memcpy(t.f.evidence.chain, other->evidence.chain,
           sizeof(other->evidence.chain));
}

static void other_quote(struct factory *other)
{
    t.f.evidence.quote = other->evidence.quote;
}

static void other_signature(struct factory *other)
{
    t.f.evidence.signature = other->evidence.signature;
}

static void other_quote_and_signature(struct factory *other)
{
    other_quote(other);
    other_signature(other);
}

static void other_values(struct factory *other)
{
    t.f.evidence.pcrs = other->evidence.pcrs;
}

static void other_log(struct factory *other)
{
    t.f.evidence.log = other->evidence.log;
    t.f.evidence.log_count = other->evidence.log_count;
}

static const struct {
    void (*mix)(struct factory *other);
    enum atls_step step;
    enum atls_error code;
    const char *text;
} mixes[] = {
    {other_chain, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE,
     "the AK's signature over the quote is wrong"},
    {other_quote, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE,
     "the AK's signature over the quote is wrong"},
    {other_signature, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE,
     "the AK's signature over the quote is wrong"},
    {other_quote_and_signature, ATLS_STEP_SIGNATURE, ATLS_E_SIGNATURE,
     "the AK's signature over the quote is wrong"},
    {other_values, ATLS_STEP_DIGEST, ATLS_E_PCR_DIGEST,
     "the PCR values in the evidence are not those that the TPM quoted"},
    {other_log, ATLS_STEP_LOG, ATLS_E_LOG_REPLAY,
     "the measured log (4 events) does not replay to PCR 15: expected "},
};

START_TEST(test_E16_parts_of_two_machines)
{
    struct factory other;

    trial_make(&t);
    factory_init(&other, 1);
    factory_log(&other, factory_component("extra", 'e'));
    factory_pcr(&other, TPM2_ALG_SHA256, 3)[0] ^= 1;
    factory_make(&other);
    t.section->machines_any = true;
    mixes[_i].mix(&other);
    trial_refused(&t, mixes[_i].step, mixes[_i].code, mixes[_i].text);
    factory_clear(&other);
}
END_TEST

/* --- binding --------------------------------------------------------------- */

static void other_channel(void)
{
    t.channel[31] ^= 1;
}

static void other_certificate(void)
{
    t.cert_der = t.f.authority_der;
}

static void other_role(void)
{
    t.role = ATLS_ROLE_CLIENT;
}

static void other_index(void)
{
    t.f.evidence.merkle.leaf_index ^= 1;
}

static void other_path(void)
{
    t.f.evidence.merkle.path[0][0] ^= 1;
}

static void (*const rebindings[])(void) = {
    other_channel,     /* B1, B2: replayed */
    other_certificate, /* B3, B6: relayed */
    other_role,        /* B8: reflected */
    other_index,       other_path,
};

/* One of five handshakes that one quote served. */
static void make_batch(void)
{
    t.f.batch_size = 5;
    t.f.batch_index = 3;
}

START_TEST(test_B1_B2_B3_B6_B8_other_connection)
{
    make_batch();
    trial_make(&t);
    trial_trusted(&t);
    rebindings[_i]();
    trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING,
                  "the evidence was made for another connection, role or "
                  "certificate");
}
END_TEST

START_TEST(test_B8_evidence_of_a_client_for_a_server)
{
    t.f.role = ATLS_ROLE_CLIENT;
    trial_make(&t);
    trial_trusted(&t);
    t.role = ATLS_ROLE_SERVER;
    trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING, "role");
}
END_TEST

/* The right octets and more, or fewer, or the binding without its tree. */
START_TEST(test_B1_qualifying_data_of_other_length)
{
    trial_make(&t);
    trial_trusted(&t);
    t.f.has_extra_data = true;
    memcpy(t.f.extra_data, t.report.quote.extra_data, ATLS_SHA256_LEN);
    t.f.extra_data_len = (size_t)_i;
    factory_quote(&t.f);
    if (_i == ATLS_SHA256_LEN)
        trial_trusted(&t);
    else
        trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING, "connection");
}
END_TEST

/* A leaf is no root: without its prefix a binding could be one. */
START_TEST(test_B1_binding_as_qualifying_data)
{
    trial_make(&t);
    t.f.has_extra_data = true;
    t.f.extra_data_len = ATLS_SHA256_LEN;
    ck_assert_int_eq(
        atls_binding_live(t.role, t.channel, t.cert_der, t.f.extra_data),
        ATLS_OK);
    factory_quote(&t.f);
    trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING, "connection");
}
END_TEST

START_TEST(test_B2_saved_live_evidence)
{
    trial_make(&t);
    t.has_channel = false;
    trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING,
                  "live evidence belongs to one connection and proves nothing "
                  "when it was saved");
}
END_TEST

START_TEST(test_merkle_path_that_does_not_fit)
{
    make_batch();
    trial_make(&t);
    t.f.evidence.merkle.path_count--;
    trial_refused(
        &t, ATLS_STEP_BINDING, ATLS_E_MALFORMED,
        "the Merkle path has 2 nodes, expected 3 for leaf 3 in a tree "
        "of 5");
}
END_TEST

START_TEST(test_epoch_evidence)
{
    t.f.is_epoch = true;
    trial_make(&t);
    t.has_channel = false;
    trial_refused(&t, ATLS_STEP_FRESHNESS, ATLS_E_FRESHNESS,
                  "the policy wants live evidence, found epoch evidence of "
                  "time 1767225600; set evidence = live on the attester");
    t.f.evidence.epoch_time++;
    trial_refused(&t, ATLS_STEP_BINDING, ATLS_E_BINDING, "connection");
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E13_key_and_scheme, 0, FACTORY_KEY_KINDS),
    ONCE(test_E13_sha1_signature),
    LOOP(test_E1_magic, 0, 32),
    ONCE(test_E1_blob_of_a_plain_key),
    LOOP(test_E2_attest_types, 0, COUNT(attest_types)),
    LOOP(test_E2_type_of_a_quote_changed, 0, 16),
    LOOP(test_E16_parts_of_two_machines, 0, COUNT(mixes)),
    LOOP(test_B1_B2_B3_B6_B8_other_connection, 0, COUNT(rebindings)),
    ONCE(test_B8_evidence_of_a_client_for_a_server),
    LOOP(test_B1_qualifying_data_of_other_length, 0, 64),
    ONCE(test_B1_binding_as_qualifying_data),
    ONCE(test_B2_saved_live_evidence),
    ONCE(test_merkle_path_that_does_not_fit),
    ONCE(test_epoch_evidence),
};

SUITE(.name = "attestation", .end = factory_free_keys,
      .cases = {CASE("attestation", tests, 120, setup, teardown)});
