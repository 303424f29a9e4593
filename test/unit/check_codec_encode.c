/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/codec_encode.c: what is sent, and what is not. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/codec.h"
#include "lib/allocation.h"
#include "lib/record.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static uint8_t octets[2 * ATLS_CMW_MAX];

static struct atls_span filled(size_t len)
{
    return (struct atls_span){octets, len};
}

/* The smallest that can be sent. */
static void make_plain(struct atls_evidence *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->format = ATLS_FORMAT_TPM;
    ret->quote = filled(1);
    ret->signature = filled(1);
    ret->chain_count = 1;
    ret->chain[0] = filled(1);
    ret->pcrs.count = 1;
    ret->pcrs.banks[0].alg = TPM2_ALG_SHA256;
    ret->pcrs.banks[0].mask = 1;
    ret->merkle.tree_size = 1;
}

static void assert_encodes(const struct atls_evidence *evidence,
                           const uint8_t *expected, size_t expected_len)
{
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 0;

    ck_assert_msg(atls_evidence_encode(evidence, &why, &cmw, &len) == ATLS_OK,
                  "%s", why.text);
    ck_assert_uint_eq(len, expected_len);
    ck_assert_mem_eq(cmw, expected, len);
    OPENSSL_free(cmw);
}

static void assert_refused(const struct atls_evidence *evidence,
                           enum atls_error r, const char *text)
{
    struct atls_reason why = {0};
    uint8_t *cmw = NULL;
    size_t len = 7;

    ck_assert_int_eq(atls_evidence_encode(evidence, &why, &cmw, &len), r);
    ck_assert_int_eq(why.code, r);
    ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
    ck_assert_ptr_null(cmw);
    ck_assert_uint_eq(len, 7);
    ck_assert_int_eq(atls_evidence_encode(evidence, NULL, &cmw, &len), r);
}

/* Decoded and encoded again: the vectors are another implementation's. */
START_TEST(test_vectors_encode_to_themselves)
{
    static const char *const sections[] = {"live", "epoch", "boot", "short",
                                           "short-boot"};
    struct atls_evidence *evidence = NULL;
    struct vector cmw;

    vector_octets("evidence.txt", sections[_i], "cmw", &cmw);
    ck_assert_int_eq(atls_evidence_decode((struct atls_span){cmw.data, cmw.len},
                                          NULL, &evidence),
                     ATLS_OK);
    assert_encodes(evidence, cmw.data, cmw.len);
    atls_evidence_free(evidence);
}
END_TEST

/* With every part, against octets that were put together without libcbor. */
START_TEST(test_every_part_is_encoded)
{
    static struct record record;
    struct atls_evidence *evidence = NULL;

    record_build(&record, &record_plain);
    ck_assert_int_eq(
        atls_evidence_decode((struct atls_span){record.data, record.len}, NULL,
                             &evidence),
        ATLS_OK);
    assert_encodes(evidence, record.data, record.len);
    atls_evidence_free(evidence);
}
END_TEST

/* A quoter holds its banks in the order of its selection. */
START_TEST(test_banks_are_sorted)
{
    static const uint16_t algs[] = {TPM2_ALG_SHA512, TPM2_ALG_SHA1,
                                    TPM2_ALG_SHA384, TPM2_ALG_SHA256};
    struct atls_evidence evidence;
    struct atls_evidence *decoded = NULL;
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_plain(&evidence);
    evidence.pcrs.count = COUNT(algs);
    for (size_t i = 0; i < COUNT(algs); i++) {
        evidence.pcrs.banks[i].alg = algs[i];
        evidence.pcrs.banks[i].mask = 0x800001;
        evidence.pcrs.banks[i].value[23][0] = (uint8_t)algs[i];
    }
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_int_eq(
        atls_evidence_decode((struct atls_span){cmw, len}, NULL, &decoded),
        ATLS_OK);
    ck_assert_uint_eq(decoded->pcrs.count, COUNT(algs));
    for (size_t i = 0; i < COUNT(algs); i++) {
        const uint16_t alg = decoded->pcrs.banks[i].alg;

        ck_assert(i == 0 || alg > decoded->pcrs.banks[i - 1].alg);
        ck_assert_uint_eq(decoded->pcrs.banks[i].mask, 0x800001);
        ck_assert_uint_eq(decoded->pcrs.banks[i].value[23][0], (uint8_t)alg);
    }
    atls_evidence_free(decoded);
    OPENSSL_free(cmw);
}
END_TEST

/* Shorter, longer and other octets are not what evidence encodes to. */
START_TEST(test_encodes_to_compares_every_octet)
{
    struct atls_evidence evidence;
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_plain(&evidence);
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert(
        atls_evidence_encodes_to(&evidence, (struct atls_span){cmw, len}));
    for (size_t i = 0; i < len; i++) {
        ck_assert(
            !atls_evidence_encodes_to(&evidence, (struct atls_span){cmw, i}));
        cmw[i] ^= 0x80;
        ck_assert(
            !atls_evidence_encodes_to(&evidence, (struct atls_span){cmw, len}));
        cmw[i] ^= 0x80;
    }
    memcpy(octets + 1000, cmw, len);
    ck_assert(!atls_evidence_encodes_to(
        &evidence, (struct atls_span){octets + 1000, len + 1}));
    OPENSSL_free(cmw);
    memset(octets, 0, sizeof(octets));
}
END_TEST

/* --- limits ---------------------------------------------------------------- */

static struct atls_span *the_quote(struct atls_evidence *evidence)
{
    return &evidence->quote;
}

static struct atls_span *the_signature(struct atls_evidence *evidence)
{
    return &evidence->signature;
}

static struct atls_span *the_certificate(struct atls_evidence *evidence)
{
    return &evidence->chain[0];
}

static struct atls_span *the_authority(struct atls_evidence *evidence)
{
    return &evidence->authority;
}

/* All of a certification is there, or nothing. */
static struct atls_span *the_certify(struct atls_evidence *evidence)
{
    evidence->certify = filled(1);
    evidence->certify_signature = filled(1);
    evidence->certify_public = filled(1);
    return &evidence->certify;
}

static struct atls_span *the_certify_signature(struct atls_evidence *evidence)
{
    (void)the_certify(evidence);
    return &evidence->certify_signature;
}

static struct atls_span *the_certify_public(struct atls_evidence *evidence)
{
    (void)the_certify(evidence);
    return &evidence->certify_public;
}

static const struct {
    struct atls_span *(*part)(struct atls_evidence *evidence);
    size_t max;
    bool is_optional; /* with no octets it is not sent */
    const char *text;
} parts[] = {
    {the_quote, ATLS_QUOTE_MAX, false, "1 to 1024 octets of the quote"},
    {the_signature, ATLS_SIGNATURE_MAX, false,
     "1 to 1024 octets of the signature"},
    {the_certificate, ATLS_CERTIFICATE_MAX, false,
     "1 to 8192 octets of an AK certificate"},
    {the_authority, ATLS_CERTIFICATE_MAX, true,
     "1 to 8192 octets of the authority"},
    {the_certify, ATLS_QUOTE_MAX, true,
     "1 to 1024 octets of the key's certification"},
    {the_certify_signature, ATLS_SIGNATURE_MAX, false,
     "1 to 1024 octets of the certification's signature"},
    {the_certify_public, ATLS_TPMT_PUBLIC_MAX, false,
     "1 to 1024 octets of the certified key"},
};

START_TEST(test_each_part_at_its_limits)
{
    struct atls_evidence evidence;
    struct atls_span *part;
    uint8_t *cmw = NULL;
    size_t len;

    make_plain(&evidence);
    part = parts[_i].part(&evidence);
    part->data = octets;
    part->len = parts[_i].max;
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_int_eq(record_decode(cmw, len, NULL), ATLS_OK);
    OPENSSL_free(cmw);
    part->len++;
    assert_refused(&evidence, ATLS_E_LIMIT, parts[_i].text);
    part->len = 0;
    if (!parts[_i].is_optional)
        assert_refused(&evidence, ATLS_E_LIMIT, parts[_i].text);
}
END_TEST

START_TEST(test_chain_at_its_limits)
{
    struct atls_evidence evidence;

    make_plain(&evidence);
    evidence.chain_count = 0;
    assert_refused(&evidence, ATLS_E_LIMIT,
                   "expected 1 to 8 AK certificates without the root, got 0");
    evidence.chain_count = ATLS_CHAIN_MAX + 1;
    assert_refused(&evidence, ATLS_E_LIMIT,
                   "expected 1 to 8 AK certificates without the root, got 9");
}
END_TEST

static const struct {
    size_t count;
    uint16_t algs[2];
    uint32_t mask;
} bad_banks[] = {
    {0, {0}, 1},
    {ATLS_BANKS_MAX + 1, {TPM2_ALG_SHA256}, 1},
    {1, {TPM2_ALG_SHA256}, 0},
    {1, {TPM2_ALG_SHA256}, 0x01000001},
    {1, {TPM2_ALG_SM3_256}, 1},
    {2, {TPM2_ALG_SHA256, TPM2_ALG_SHA256}, 1},
    {2, {TPM2_ALG_SHA256, TPM2_ALG_NULL}, 1},
};

START_TEST(test_banks_that_cannot_be_sent)
{
    struct atls_evidence evidence;

    make_plain(&evidence);
    evidence.pcrs.count = bad_banks[_i].count;
    for (size_t i = 0; i < 2; i++) {
        evidence.pcrs.banks[i].alg = bad_banks[_i].algs[i];
        evidence.pcrs.banks[i].mask = bad_banks[_i].mask;
    }
    assert_refused(&evidence, ATLS_E_LIMIT,
                   "expected PCR values of 1 to 4 different banks");
}
END_TEST

START_TEST(test_log_at_its_limits)
{
    static struct atls_span log[ATLS_LOG_EVENTS_PLAIN_MAX + 1];
    struct atls_evidence evidence;
    uint8_t *cmw = NULL;
    size_t len;

    make_plain(&evidence);
    evidence.has_log = true;
    evidence.log_pcr = 15;
    evidence.log = log;
    log[7] = filled(ATLS_LOG_CONTENT_MAX);
    evidence.log_count = ATLS_LOG_EVENTS_PLAIN_MAX;
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_int_eq(record_decode(cmw, len, NULL), ATLS_OK);
    OPENSSL_free(cmw);
    log[7].len++;
    assert_refused(&evidence, ATLS_E_LIMIT,
                   "event 7 of the measured log has 4097 octets, 4096 are");
    log[7].len = 0;
    evidence.log_count++;
    assert_refused(&evidence, ATLS_E_LIMIT,
                   "the measured log has 1025 events of PCR 15, 1024 are");
}
END_TEST

START_TEST(test_S16_evidence_of_48_KiB_and_one_octet_more)
{
    static struct atls_span log[12];
    struct atls_evidence evidence;
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_plain(&evidence);
    evidence.has_log = true;
    evidence.log = log;
    evidence.log_count = COUNT(log);
    for (size_t i = 0; i < COUNT(log); i++)
        log[i] = filled(4000);
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    OPENSSL_free(cmw);
    evidence.chain[0].len = 300;
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    OPENSSL_free(cmw);
    evidence.chain[0].len += ATLS_CMW_MAX - len;
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, ATLS_CMW_MAX);
    ck_assert_int_eq(record_decode(cmw, len, NULL), ATLS_OK);
    OPENSSL_free(cmw);
    evidence.chain[0].len++;
    assert_refused(&evidence, ATLS_E_TOO_LARGE,
                   "the evidence has 49153 octets, 49152 are allowed: 48040 "
                   "are the measured log (12 events), 1010 the AK "
                   "chain");
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    struct atls_evidence evidence;
    uint8_t *cmw = NULL;
    size_t len = 0;

    make_plain(&evidence);
    allocation_fail_at(1);
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_E_NOMEM);
    allocation_fail_at(2);
    ck_assert_int_eq(atls_evidence_encode(&evidence, NULL, &cmw, &len),
                     ATLS_OK);
    ck_assert_uint_eq(allocation_count(), 1);
    allocation_fail_at(0);
    OPENSSL_free(cmw);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_vectors_encode_to_themselves, 0, 5),
    ONCE(test_every_part_is_encoded),
    ONCE(test_banks_are_sorted),
    ONCE(test_encodes_to_compares_every_octet),
    LOOP(test_each_part_at_its_limits, 0, COUNT(parts)),
    ONCE(test_chain_at_its_limits),
    LOOP(test_banks_that_cannot_be_sent, 0, COUNT(bad_banks)),
    ONCE(test_log_at_its_limits),
    ONCE(test_S16_evidence_of_48_KiB_and_one_octet_more),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "codec_encode", .begin = allocation_install,
      .cases = {CASE("codec_encode", tests, 0, NULL, NULL)});
