/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/codec_decode.c: the vectors, every cut and flip, limits. */
#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/codec.h"
#include "lib/allocation.h"
#include "lib/record.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct record record;

/* --- what is decoded ------------------------------------------------------- */

static struct atls_evidence *decode_vector(const char *section,
                                           struct vector *cmw)
{
    struct atls_evidence *evidence = NULL;
    struct atls_reason why = {0};

    vector_octets("evidence.txt", section, "cmw", cmw);
    ck_assert_msg(atls_evidence_decode((struct atls_span){cmw->data, cmw->len},
                                       &why, &evidence)
                      == ATLS_OK,
                  "%s", why.text);
    return evidence;
}

static void assert_span(struct atls_span span, const char *section,
                        const char *key)
{
    struct vector expected;

    vector_octets("evidence.txt", section, key, &expected);
    ck_assert_uint_eq(span.len, expected.len);
    ck_assert_mem_eq(span.data, expected.data, span.len);
}

static void assert_common(const struct atls_evidence *evidence,
                          const char *section)
{
    struct vector expected;

    ck_assert_uint_eq(evidence->format, ATLS_FORMAT_TPM);
    assert_span(evidence->quote, section, "quote");
    assert_span(evidence->signature, section, "signature");
    ck_assert_uint_eq(evidence->chain_count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert(vector_list("evidence.txt", "common", "chain", i, &expected));
        ck_assert_uint_eq(evidence->chain[i].len, expected.len);
        ck_assert_mem_eq(evidence->chain[i].data, expected.data, expected.len);
    }
    ck_assert_uint_eq(evidence->pcrs.count, 1);
    ck_assert_uint_eq(evidence->pcrs.banks[0].alg, TPM2_ALG_SHA256);
    ck_assert_uint_eq(evidence->pcrs.banks[0].mask, 0xffffff);
    vector_octets("evidence.txt", "common", "pcr.15", &expected);
    ck_assert_mem_eq(atls_pcr_value(&evidence->pcrs, TPM2_ALG_SHA256, 15),
                     expected.data, 32);
    ck_assert(evidence->has_log);
    ck_assert_uint_eq(evidence->log_pcr, 15);
    ck_assert_uint_eq(evidence->log_count, 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const keys[] = {"event.0", "event.1", "event.2"};
        const char *text = vector_text("evidence.txt", "common", keys[i]);

        ck_assert_uint_eq(evidence->log[i].len, strlen(text));
        ck_assert_mem_eq(evidence->log[i].data, text, strlen(text));
    }
    ck_assert_uint_eq(evidence->authority.len, 0);
    ck_assert_uint_eq(evidence->certify.len, 0);
}

START_TEST(test_live_vector)
{
    struct vector cmw;
    struct atls_evidence *evidence = decode_vector("live", &cmw);

    assert_common(evidence, "live");
    ck_assert(!evidence->is_epoch);
    ck_assert_uint_eq(evidence->merkle.tree_size,
                      vector_number("evidence.txt", "live", "tree_size"));
    ck_assert_uint_eq(evidence->merkle.leaf_index,
                      vector_number("evidence.txt", "live", "leaf_index"));
    ck_assert_uint_eq(evidence->merkle.path_count, 2);
    for (size_t i = 0; i < 2; i++) {
        struct vector node;

        ck_assert(vector_list("evidence.txt", "live", "path", i, &node));
        ck_assert_mem_eq(evidence->merkle.path[i], node.data, node.len);
    }
    atls_evidence_free(evidence);
}
END_TEST

START_TEST(test_epoch_vector)
{
    struct vector cmw;
    struct atls_evidence *evidence = decode_vector("epoch", &cmw);

    assert_common(evidence, "epoch");
    ck_assert(evidence->is_epoch);
    ck_assert_uint_eq(evidence->epoch_time,
                      vector_number("evidence.txt", "epoch", "time"));
    atls_evidence_free(evidence);
}
END_TEST

START_TEST(test_record_with_every_part)
{
    struct atls_evidence *evidence = NULL;

    record_build(&record, &record_plain);
    ck_assert_int_eq(
        atls_evidence_decode((struct atls_span){record.data, record.len}, NULL,
                             &evidence),
        ATLS_OK);
    ck_assert_uint_eq(evidence->authority.len, record_plain.authority_len);
    ck_assert_uint_eq(evidence->authority.data[0], RECORD_AUTHORITY);
    ck_assert_uint_eq(evidence->certify.len, record_plain.certify_len);
    ck_assert_uint_eq(evidence->certify.data[0], RECORD_CERTIFY);
    ck_assert_uint_eq(evidence->certify_signature.len,
                      record_plain.certify_signature_len);
    ck_assert_uint_eq(evidence->certify_signature.data[0],
                      RECORD_CERTIFY_SIGNATURE);
    ck_assert_uint_eq(evidence->certify_public.len,
                      record_plain.certify_public_len);
    ck_assert_uint_eq(evidence->certify_public.data[0], RECORD_CERTIFY_PUBLIC);
    ck_assert_uint_eq(evidence->pcrs.banks[0].mask, 1u << 7);
    atls_evidence_free(evidence);
}
END_TEST

/* --- what is refused ------------------------------------------------------- */

START_TEST(test_E12_cut_at_every_octet)
{
    struct atls_reason why = {0};

    record_build(&record, &record_plain);
    for (size_t cut = 0; cut < record.len; cut++)
        ck_assert_int_eq(record_decode(record.data, cut, &why),
                         ATLS_E_TRUNCATED);
}
END_TEST

START_TEST(test_E12_one_octet_added)
{
    struct atls_reason why = {0};

    record_build(&record, &record_plain);
    record.data[record.len] = 0;
    ck_assert_int_eq(record_decode(record.data, record.len + 1, &why),
                     ATLS_E_TRAILING);
    ck_assert_str_eq(why.text, "1 octets after the end of the CMW record");
}
END_TEST

/* Any other octets are refused, or mean something else in the one encoding
 * that this has (record_decode() asserts that). */
START_TEST(test_E12_every_bit_flipped)
{
    struct vector cmw;

    atls_evidence_free(decode_vector("live", &cmw));
    for (size_t bit = 0; bit < 8 * cmw.len; bit++) {
        struct atls_reason why = {0};

        cmw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (record_decode(cmw.data, cmw.len, &why) != ATLS_OK)
            ck_assert_uint_gt(strlen(why.text), 0);
        cmw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(test_heads_longer_than_needed)
{
    const int heads = record_build_widened(&record, &record_plain, -1);

    ck_assert_int_gt(heads, 40);
    for (int head = 0; head < heads; head++) {
        struct atls_reason why = {0};

        (void)record_build_widened(&record, &record_plain, head);
        ck_assert_msg(record_decode(record.data, record.len, &why)
                          == ATLS_E_NOT_CANONICAL,
                      "head %d: %s", head, why.text);
        ck_assert_str_eq(why.text,
                         "evidence is not in deterministic encoding: an "
                         "integer or a length takes more octets than needed");
    }
}
END_TEST

#define FIELD(name) offsetof(struct record_shape, name)

static const struct {
    size_t field;
    uint64_t value;
    enum atls_error r;
    const char *text;
} shapes[] = {
    {FIELD(quote_len), ATLS_QUOTE_MAX, ATLS_OK, ""},
    {FIELD(quote_len), ATLS_QUOTE_MAX + 1, ATLS_E_LIMIT,
     "the quote at offset 48 has 1025 octets, 1024 are allowed"},
    {FIELD(quote_len), 0, ATLS_E_MALFORMED, "the quote is empty"},
    {FIELD(signature_len), ATLS_SIGNATURE_MAX, ATLS_OK, ""},
    {FIELD(signature_len), ATLS_SIGNATURE_MAX + 1, ATLS_E_LIMIT,
     "the signature at offset"},
    {FIELD(signature_len), 0, ATLS_E_MALFORMED, "the signature is empty"},
    {FIELD(chain_count), ATLS_CHAIN_MAX, ATLS_OK, ""},
    {FIELD(chain_count), ATLS_CHAIN_MAX + 1, ATLS_E_LIMIT,
     "has 9 elements, 8 are allowed"},
    {FIELD(chain_count), 0, ATLS_E_LIMIT,
     "the AK chain is empty, expected 1 to 8 certificates"},
    {FIELD(cert_len), ATLS_CERTIFICATE_MAX, ATLS_OK, ""},
    {FIELD(cert_len), ATLS_CERTIFICATE_MAX + 1, ATLS_E_LIMIT,
     "has 8193 octets, 8192 are allowed"},
    {FIELD(cert_len), 0, ATLS_E_MALFORMED, "an AK certificate is empty"},
    {FIELD(alg), TPM2_ALG_SM3_256, ATLS_E_MALFORMED,
     "TPM_ALG_ID 0x12 is no PCR bank"},
    {FIELD(alg), 0x10000 + TPM2_ALG_SHA256, ATLS_E_MALFORMED,
     "TPM_ALG_ID 0x1000b is no PCR bank"},
    {FIELD(alg), TPM2_ALG_SHA384, ATLS_E_MALFORMED,
     "PCR 7 of bank sha384 has 32 octets, expected 48"},
    {FIELD(pcr), 23, ATLS_OK, ""},
    {FIELD(pcr), 24, ATLS_E_LIMIT, "evidence holds PCR 24, expected 0 to 23"},
    {FIELD(pcr), UINT64_MAX, ATLS_E_LIMIT,
     "evidence holds PCR 18446744073709551615, expected 0 to 23"},
    {FIELD(pcr_len), 31, ATLS_E_MALFORMED,
     "PCR 7 of bank sha256 has 31 octets, expected 32"},
    {FIELD(pcr_len), 33, ATLS_E_MALFORMED,
     "PCR 7 of bank sha256 has 33 octets, expected 32"},
    {FIELD(pcr_len), 0, ATLS_E_MALFORMED,
     "PCR 7 of bank sha256 has 0 octets, expected 32"},
    {FIELD(tree_size), ATLS_BATCH_MAX, ATLS_OK, ""},
    {FIELD(tree_size), ATLS_BATCH_MAX + 1, ATLS_E_LIMIT,
     "is 4097, expected 1 to 4096"},
    {FIELD(tree_size), 0, ATLS_E_LIMIT, "is 0, expected 1 to 4096"},
    {FIELD(leaf_index), 4, ATLS_OK, ""},
    {FIELD(leaf_index), 5, ATLS_E_LIMIT, "is 5, expected 0 to 4"},
    {FIELD(path_count), 0, ATLS_OK, ""},
    {FIELD(path_count), ATLS_PATH_MAX, ATLS_OK, ""},
    {FIELD(path_count), ATLS_PATH_MAX + 1, ATLS_E_LIMIT,
     "has 13 elements, 12 are allowed"},
    {FIELD(node_len), 31, ATLS_E_MALFORMED,
     "a Merkle node has 31 octets, expected 32"},
    {FIELD(node_len), 33, ATLS_E_LIMIT, "a Merkle node at offset"},
    {FIELD(node_len), 0, ATLS_E_MALFORMED, "a Merkle node is empty"},
    {FIELD(log_pcr), 23, ATLS_OK, ""},
    {FIELD(log_pcr), 24, ATLS_E_LIMIT, "is 24, expected 0 to 23"},
    {FIELD(log_count), 0, ATLS_OK, ""},
    {FIELD(log_count), ATLS_LOG_EVENTS_PLAIN_MAX, ATLS_OK, ""},
    {FIELD(log_count), ATLS_LOG_EVENTS_PLAIN_MAX + 1, ATLS_E_LIMIT,
     "has 1025 elements, 1024 are allowed"},
    {FIELD(content_len), 0, ATLS_OK, ""},
    {FIELD(content_len), ATLS_LOG_CONTENT_MAX, ATLS_OK, ""},
    {FIELD(content_len), ATLS_LOG_CONTENT_MAX + 1, ATLS_E_LIMIT,
     "has 4097 octets, 4096 are allowed"},
    {FIELD(authority_len), ATLS_CERTIFICATE_MAX, ATLS_OK, ""},
    {FIELD(authority_len), ATLS_CERTIFICATE_MAX + 1, ATLS_E_LIMIT,
     "the authority at offset"},
    {FIELD(authority_len), 0, ATLS_E_MALFORMED, "the authority is empty"},
    {FIELD(certify_len), ATLS_QUOTE_MAX, ATLS_OK, ""},
    {FIELD(certify_len), ATLS_QUOTE_MAX + 1, ATLS_E_LIMIT,
     "the key's certification at offset"},
    {FIELD(certify_len), 0, ATLS_E_MALFORMED,
     "the key's certification is empty"},
    {FIELD(certify_signature_len), ATLS_SIGNATURE_MAX, ATLS_OK, ""},
    {FIELD(certify_signature_len), ATLS_SIGNATURE_MAX + 1, ATLS_E_LIMIT,
     "the certification's signature at offset"},
    {FIELD(certify_signature_len), 0, ATLS_E_MALFORMED,
     "the certification's signature is empty"},
    {FIELD(certify_public_len), ATLS_TPMT_PUBLIC_MAX, ATLS_OK, ""},
    {FIELD(certify_public_len), ATLS_TPMT_PUBLIC_MAX + 1, ATLS_E_LIMIT,
     "the certified key at offset"},
    {FIELD(certify_public_len), 0, ATLS_E_MALFORMED,
     "the certified key is empty"},
    {FIELD(indicator), 0, ATLS_E_MALFORMED,
     "the CMW indicator is 0, expected 4 (evidence)"},
    {FIELD(indicator), 6, ATLS_E_MALFORMED,
     "the CMW indicator is 6, expected 4 (evidence)"},
};

START_TEST(test_R2_each_number_at_its_limits)
{
    struct record_shape shape = record_plain;
    struct atls_reason why = {0};
    enum atls_error r;

    memcpy((char *)&shape + shapes[_i].field, &shapes[_i].value,
           sizeof(shapes[_i].value));
    record_build(&record, &shape);
    r = record_decode(record.data, record.len, &why);
    ck_assert_msg(r == shapes[_i].r, "%s: %s", atls_error_name(r), why.text);
    ck_assert_msg(strstr(why.text, shapes[_i].text) != NULL, "%s", why.text);
}
END_TEST

START_TEST(test_R2_epoch_time_at_its_limit)
{
    struct record_shape shape = record_plain;
    struct atls_reason why = {0};

    shape.is_epoch = 1;
    shape.epoch_time = INT64_MAX;
    record_build(&record, &shape);
    ck_assert_int_eq(record_decode(record.data, record.len, &why), ATLS_OK);
    shape.epoch_time++;
    record_build(&record, &shape);
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(why.text, "is 9223372036854775808, expected"));
}
END_TEST

START_TEST(test_S16_record_of_48_KiB_and_one_octet_more)
{
    struct record_shape shape = record_plain;
    struct atls_reason why = {0};

    shape.log_count = 11;
    shape.content_len = 4000;
    record_build(&record, &shape);
    ck_assert_uint_lt(record.len, ATLS_CMW_MAX);
    shape.authority_len += ATLS_CMW_MAX - record.len;
    record_build(&record, &shape);
    ck_assert_uint_eq(record.len, ATLS_CMW_MAX);
    ck_assert_int_eq(record_decode(record.data, record.len, &why), ATLS_OK);
    shape.authority_len++;
    record_build(&record, &shape);
    ck_assert_int_eq(record_decode(record.data, record.len, &why),
                     ATLS_E_LIMIT);
    ck_assert_str_eq(why.text,
                     "the evidence has 49153 octets, 49152 are allowed");
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

START_TEST(test_R3_every_allocation_fails)
{
    record_build(&record, &record_plain);
    record_decode_without_memory(record.data, record.len, 2);
}
END_TEST

START_TEST(test_free_of_nothing)
{
    atls_evidence_free(NULL);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_live_vector),
    ONCE(test_epoch_vector),
    ONCE(test_record_with_every_part),
    ONCE(test_E12_cut_at_every_octet),
    ONCE(test_E12_one_octet_added),
    ONCE(test_E12_every_bit_flipped),
    ONCE(test_heads_longer_than_needed),
    LOOP(test_R2_each_number_at_its_limits, 0, COUNT(shapes)),
    ONCE(test_R2_epoch_time_at_its_limit),
    ONCE(test_S16_record_of_48_KiB_and_one_octet_more),
    ONCE(test_R3_every_allocation_fails),
    ONCE(test_free_of_nothing),
};

SUITE(.name = "codec", .begin = allocation_install,
      .cases = {CASE("codec", tests, 60, NULL, NULL)});
