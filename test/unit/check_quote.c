/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/quote.c and tpm_reader.c: the vectors, and every way in which a
 * TPMS_ATTEST can be wrong. */
#include <check.h>
#include <dlfcn.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include <unistd.h>

#include "base/digest.h"
#include "evidence/quote.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* --- a mu that misreads ---------------------------------------------------- */

/* Changes an octet of what mu marshals, as a mu that had misread it would. */
static bool mu_lies;

__attribute__((visibility("default"))) TSS2_RC Tss2_MU_TPMS_ATTEST_Marshal(
    TPMS_ATTEST const *src, uint8_t buffer[], size_t buffer_size,
    size_t *offset)
{
    TSS2_RC (*real)(TPMS_ATTEST const *, uint8_t[], size_t, size_t *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "Tss2_MU_TPMS_ATTEST_Marshal");
    TSS2_RC rc;

    memcpy(&real, &symbol, sizeof(real));
    rc = real(src, buffer, buffer_size, offset);
    if (mu_lies)
        buffer[0] ^= 1;
    return rc;
}

/* Refuses what it is given, as no mu of today does after our own checks. */
static bool mu_refuses;

__attribute__((visibility("default"))) TSS2_RC Tss2_MU_UINT64_Unmarshal(
    uint8_t const buffer[], size_t buffer_size, size_t *offset, UINT64 *dest)
{
    TSS2_RC (*real)(uint8_t const[], size_t, size_t *, UINT64 *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "Tss2_MU_UINT64_Unmarshal");

    if (mu_refuses)
        return TSS2_MU_RC_BAD_VALUE;
    memcpy(&real, &symbol, sizeof(real));
    return real(buffer, buffer_size, offset, dest);
}

/* --- helpers --------------------------------------------------------------- */

/* Parse a copy without a spare octet around it. A quote that is accepted is
 * what its fields are marshalled to: parse() itself saw to that. */
static enum atls_error parse(const uint8_t *data, size_t len,
                             struct atls_reason *why, struct atls_quote *quote)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum atls_error r;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    r = atls_quote_parse((struct atls_span){copy, len}, why, quote);
    free(copy);
    return r;
}

/* A quote of one bank, with everything else small. */
static void make_attest(TPMS_ATTEST *ret)
{
    TPML_PCR_SELECTION *list = &ret->attested.quote.pcrSelect;

    memset(ret, 0, sizeof(*ret));
    ret->magic = TPM2_GENERATED_VALUE;
    ret->type = TPM2_ST_ATTEST_QUOTE;
    ret->qualifiedSigner.size = 34;
    ret->extraData.size = 32;
    memset(ret->extraData.buffer, 0xed, 32);
    ret->clockInfo.clock = 0x0102030405060708;
    ret->clockInfo.resetCount = 0x11121314;
    ret->clockInfo.restartCount = 0x21222324;
    ret->clockInfo.safe = 1;
    ret->firmwareVersion = 0x3132333435363738;
    list->count = 1;
    list->pcrSelections[0].hash = TPM2_ALG_SHA256;
    list->pcrSelections[0].sizeofSelect = 3;
    list->pcrSelections[0].pcrSelect[0] = 0xff;
    ret->attested.quote.pcrDigest.size = 32;
    memset(ret->attested.quote.pcrDigest.buffer, 0xd1, 32);
}

struct octets {
    size_t len;
    uint8_t data[sizeof(TPMS_ATTEST)];
};

static void marshal(const TPMS_ATTEST *attest, struct octets *ret)
{
    ret->len = 0;
    ck_assert_uint_eq(Tss2_MU_TPMS_ATTEST_Marshal(attest, ret->data,
                                                  sizeof(ret->data), &ret->len),
                      TSS2_RC_SUCCESS);
}

static void make_octets(struct octets *ret)
{
    TPMS_ATTEST attest;

    make_attest(&attest);
    marshal(&attest, ret);
}

/* Where things are in what make_octets() gives. */
enum {
    AT_NAME_SIZE = 6,
    AT_EXTRA_SIZE = AT_NAME_SIZE + 2 + 34,
    AT_CLOCK = AT_EXTRA_SIZE + 2 + 32,
    AT_SAFE = AT_CLOCK + 16,
    AT_FIRMWARE = AT_SAFE + 1,
    AT_LIST = AT_FIRMWARE + 8,
    AT_DIGEST_SIZE = AT_LIST + 4 + 6,
    AT_END = AT_DIGEST_SIZE + 2 + 32
};

static struct atls_span span_of(const struct vector *vector)
{
    return (struct atls_span){vector->data, vector->len};
}

/* --- what is parsed -------------------------------------------------------- */

START_TEST(test_every_field_is_handed_over)
{
    struct atls_quote quote;
    struct octets octets;

    make_octets(&octets);
    ck_assert_uint_eq(octets.len, AT_END);
    ck_assert_int_eq(parse(octets.data, octets.len, NULL, &quote), ATLS_OK);
    ck_assert_uint_eq(quote.magic, TPM2_GENERATED_VALUE);
    ck_assert_uint_eq(quote.type, TPM2_ST_ATTEST_QUOTE);
    ck_assert_uint_eq(quote.extra_data_len, 32);
    ck_assert_uint_eq(quote.extra_data[31], 0xed);
    ck_assert_uint_eq(quote.clock, 0x0102030405060708);
    ck_assert_uint_eq(quote.reset_count, 0x11121314);
    ck_assert_uint_eq(quote.restart_count, 0x21222324);
    ck_assert(quote.safe);
    ck_assert_uint_eq(quote.firmware_version, 0x3132333435363738);
    ck_assert_uint_eq(quote.selection.count, 1);
    ck_assert_uint_eq(quote.selection.banks[0].alg, TPM2_ALG_SHA256);
    ck_assert_uint_eq(quote.selection.banks[0].mask, 0xff);
    ck_assert_uint_eq(quote.pcr_digest_len, 32);
    ck_assert_uint_eq(quote.pcr_digest[31], 0xd1);
}
END_TEST

START_TEST(test_vectors_verify)
{
    static const char *const sections[] = {"live", "epoch"};
    const char *section = sections[_i];
    struct vector attest;
    struct vector signature;
    struct vector cert;
    struct vector extra_data;
    struct atls_quote quote;
    struct atls_signature parsed;
    const uint8_t *at = cert.data;
    X509 *x509;

    vector_octets("evidence.txt", section, "quote", &attest);
    vector_octets("evidence.txt", section, "signature", &signature);
    vector_octets("evidence.txt", section, "extra_data", &extra_data);
    ck_assert(vector_list("evidence.txt", "common", "chain", 0, &cert));
    ck_assert_int_eq(parse(attest.data, attest.len, NULL, &quote), ATLS_OK);
    ck_assert_uint_eq(quote.extra_data_len, extra_data.len);
    ck_assert_mem_eq(quote.extra_data, extra_data.data, extra_data.len);
    ck_assert_uint_eq(quote.selection.banks[0].mask, 0xffffff);
    ck_assert_int_eq(atls_signature_parse(span_of(&signature), NULL, &parsed),
                     ATLS_OK);
    x509 = d2i_X509(NULL, &at, (long)cert.len);
    ck_assert_ptr_nonnull(x509);
    ck_assert_int_eq(atls_signature_verify(&parsed, X509_get0_pubkey(x509),
                                           span_of(&attest), NULL),
                     ATLS_OK);
    X509_free(x509);
}
END_TEST

/* --- head ------------------------------------------------------------------ */

/* A wrong magic has its own reason in appraisal: it must get there. */
START_TEST(test_E1_wrong_magic_is_handed_over)
{
    struct octets octets;
    struct atls_quote quote;

    make_octets(&octets);
    for (unsigned bit = 0; bit < 32; bit++) {
        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(parse(octets.data, octets.len, NULL, &quote), ATLS_OK);
        ck_assert_uint_eq(quote.magic,
                          TPM2_GENERATED_VALUE
                              ^ 1u << (24 - bit / 8 * 8 + bit % 8));
        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

/* So must another type, whatever its body is. */
START_TEST(test_E2_other_types_are_handed_over)
{
    static const uint16_t types[] = {
        TPM2_ST_ATTEST_NV,
        TPM2_ST_ATTEST_COMMAND_AUDIT,
        TPM2_ST_ATTEST_SESSION_AUDIT,
        TPM2_ST_ATTEST_CERTIFY,
        TPM2_ST_ATTEST_TIME,
        TPM2_ST_ATTEST_CREATION,
        0x801c, /* TPM_ST_ATTEST_NV_DIGEST, which tss2 3.2 lacks */
        0,
        0xffff,
    };
    struct octets octets;

    make_octets(&octets);
    for (size_t i = 0; i < COUNT(types); i++) {
        octets.data[4] = (uint8_t)(types[i] >> 8);
        octets.data[5] = (uint8_t)types[i];
        for (size_t len = AT_LIST; len <= octets.len; len++) {
            struct atls_quote quote;

            ck_assert_int_eq(parse(octets.data, len, NULL, &quote), ATLS_OK);
            ck_assert_uint_eq(quote.type, types[i]);
            ck_assert_uint_eq(quote.extra_data_len, 32);
            ck_assert_uint_eq(quote.selection.count, 0);
            ck_assert_uint_eq(quote.pcr_digest_len, 0);
        }
    }
}
END_TEST

START_TEST(test_E12_sized_fields_at_their_limits)
{
    static const struct {
        size_t at;
        size_t max;
        const char *text;
    } cases[] = {
        {AT_NAME_SIZE, 68, "qualifiedSigner has 69 octets, at most 68"},
        {AT_EXTRA_SIZE, 64, "extraData has 65 octets, at most 64"},
        {AT_DIGEST_SIZE, 64, "pcrDigest has 65 octets, at most 64"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const size_t data = cases[i].at + 2;
        struct atls_reason why = {0};
        struct atls_quote quote;
        struct octets octets;
        size_t old_size;

        make_octets(&octets);
        old_size = octets.data[data - 1];
        memmove(octets.data + data + cases[i].max + 1,
                octets.data + data + old_size, octets.len - data - old_size);
        octets.len += cases[i].max + 1 - old_size;
        octets.data[data - 1] = (uint8_t)(cases[i].max + 1);
        ck_assert_int_eq(parse(octets.data, octets.len, &why, &quote),
                         ATLS_E_MALFORMED);
        ck_assert_msg(strstr(why.text, cases[i].text) != NULL, "%s", why.text);
        memmove(octets.data + data + cases[i].max,
                octets.data + data + cases[i].max + 1,
                octets.len - data - cases[i].max - 1);
        octets.len--;
        octets.data[data - 1] = (uint8_t)cases[i].max;
        ck_assert_int_eq(parse(octets.data, octets.len, &why, &quote), ATLS_OK);
    }
}
END_TEST

START_TEST(test_E12_safe_is_yes_or_no)
{
    struct atls_reason why = {0};
    struct atls_quote quote;
    struct octets octets;

    make_octets(&octets);
    octets.data[AT_SAFE] = 0;
    ck_assert_int_eq(parse(octets.data, octets.len, &why, &quote), ATLS_OK);
    ck_assert(!quote.safe);
    octets.data[AT_SAFE] = 2;
    ck_assert_int_eq(parse(octets.data, octets.len, &why, &quote),
                     ATLS_E_MALFORMED);
    ck_assert_str_eq(why.text,
                     "TPMS_ATTEST: clockInfo.safe is 2, expected 0 or 1");
}
END_TEST

/* --- selection ------------------------------------------------------------- */

/* hash, sizeofSelect, bit map: of up to six banks, in hex */
static const struct {
    const char *list;
    enum atls_error r;
    const char *text;
} selections[] = {
    {"00000001000b03ff0000", ATLS_OK, ""},
    {"00000001000b03000080", ATLS_OK, ""},
    {"00000001000b0101", ATLS_OK, ""},
    {"00000001000b020001", ATLS_OK, ""},
    {"00000001000b0400000100", ATLS_OK, ""},
    {"00000002000b03010000000403010000", ATLS_OK, ""},
    {"00000004000b0301000000040301000000"
     "0c03010000000d03010000",
     ATLS_OK, ""},
    /* Banks without PCRs, as of a TPM that does not keep them. */
    {"00000002000b03010000000403000000", ATLS_OK, ""},
    {"00000002000400000b03010000", ATLS_OK, ""},
    {"00000003001203000000000b03010000002700", ATLS_OK, ""},
    {"00000002000b03000000000b03010000", ATLS_OK, ""},
    {"00000000", ATLS_E_SELECTION, "the quote selects no PCR; name some"},
    {"00000001000b00", ATLS_E_SELECTION, "the quote selects no PCR; name some"},
    {"00000001000b03000000", ATLS_E_SELECTION,
     "the quote selects no PCR; name some"},
    {"00000002000b0300000000040400000000", ATLS_E_SELECTION,
     "the quote selects no PCR; name some"},
    {"00000011000b03ff0000", ATLS_E_SELECTION,
     "the quote selects 17 PCR banks, expected 1 to 16"},
    {"ffffffff000b03ff0000", ATLS_E_SELECTION,
     "the quote selects 4294967295 PCR banks, expected 1 to 16"},
    {"00000001000b0401000001", ATLS_E_SELECTION,
     "the quote selects PCRs above 23 (bit map 0x01000001)"},
    {"00000001000b0400000080", ATLS_E_SELECTION,
     "the quote selects PCRs above 23 (bit map 0x80000000)"},
    {"00000001000b050100000000", ATLS_E_SELECTION,
     "bit map of PCRs has 5 octets, expected at most 4"},
    {"00000001000bffff0000", ATLS_E_SELECTION,
     "bit map of PCRs has 255 octets, expected at most 4"},
    {"00000002000b03010000000b03020000", ATLS_E_SELECTION,
     "the quote selects the PCR bank sha256 twice"},
    {"00000003000b03010000000403010000000b03010000", ATLS_E_SELECTION,
     "the quote selects the PCR bank sha256 twice"},
    {"00000001001203ff0000", ATLS_E_SELECTION,
     "algorithm 0x0012, expected sha1, sha256, sha384 or sha512"},
    {"00000001001003ff0000", ATLS_E_SELECTION, "algorithm 0x0010"},
    {"00000001000003ff0000", ATLS_E_SELECTION, "algorithm 0x0000"},
};

START_TEST(test_E7_selections)
{
    static const uint8_t digest[] = {0, 2, 0xd1, 0xd2};
    struct atls_reason why = {0};
    struct atls_quote quote = {.pcr_digest_len = 99};
    struct octets octets;
    size_t len;
    enum atls_error r;

    make_octets(&octets);
    ck_assert(atls_unhex(selections[_i].list, octets.data + AT_LIST, 64, &len));
    memcpy(octets.data + AT_LIST + len, digest, sizeof(digest));
    r = parse(octets.data, AT_LIST + len + sizeof(digest), &why, &quote);
    ck_assert_msg(r == selections[_i].r, "%s", why.text);
    ck_assert_msg(strstr(why.text, selections[_i].text) != NULL, "%s",
                  why.text);
    ck_assert_uint_eq(quote.pcr_digest_len, r == ATLS_OK ? 2 : 99);
}
END_TEST

/* The PCR digest depends on the order of the TPM's list. */
START_TEST(test_E7_selection_keeps_its_order)
{
    struct atls_quote quote;
    struct octets octets;
    TPMS_ATTEST attest;
    TPMS_PCR_SELECTION *banks = attest.attested.quote.pcrSelect.pcrSelections;

    make_attest(&attest);
    attest.attested.quote.pcrSelect.count = 3;
    banks[1] = (TPMS_PCR_SELECTION){TPM2_ALG_SHA1, 3, {0, 1, 0x80}};
    banks[2] = (TPMS_PCR_SELECTION){TPM2_ALG_SHA512, 3, {3, 2, 1}};
    marshal(&attest, &octets);
    ck_assert_int_eq(parse(octets.data, octets.len, NULL, &quote), ATLS_OK);
    ck_assert_uint_eq(quote.selection.count, 3);
    ck_assert_uint_eq(quote.selection.banks[0].alg, TPM2_ALG_SHA256);
    ck_assert_uint_eq(quote.selection.banks[1].alg, TPM2_ALG_SHA1);
    ck_assert_uint_eq(quote.selection.banks[1].mask, 0x800100);
    ck_assert_uint_eq(quote.selection.banks[2].alg, TPM2_ALG_SHA512);
    ck_assert_uint_eq(quote.selection.banks[2].mask, 0x010203);
}
END_TEST

/* --- octets ---------------------------------------------------------------- */

/* And mu must not have been asked: it writes to the program's stderr. */
START_TEST(test_E12_cut_at_every_octet_without_a_word)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    struct octets octets;
    bool is_right = true;

    ck_assert_ptr_nonnull(file);
    make_octets(&octets);
    fflush(stderr);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    for (size_t cut = 0; cut < octets.len; cut++) {
        struct atls_reason why = {0};
        struct atls_quote quote;

        is_right = is_right
                   && parse(octets.data, cut, &why, &quote) == ATLS_E_TRUNCATED
                   && strstr(why.text, "TPMS_ATTEST ends at octet") != NULL;
    }
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert(is_right);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    ck_assert_int_eq(ftell(file), 0);
    fclose(file);
}
END_TEST

START_TEST(test_E12_one_octet_added)
{
    struct atls_reason why = {0};
    struct atls_quote quote;
    struct octets octets;

    make_octets(&octets);
    ck_assert_int_eq(parse(octets.data, octets.len + 1, &why, &quote),
                     ATLS_E_TRAILING);
    ck_assert_str_eq(why.text, "1 octets after the end of TPMS_ATTEST");
}
END_TEST

START_TEST(test_E12_every_bit_flipped)
{
    struct octets octets;

    make_octets(&octets);
    for (size_t bit = 0; bit < 8 * octets.len; bit++) {
        struct atls_reason why = {0};
        struct atls_quote quote;

        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (parse(octets.data, octets.len, &why, &quote) != ATLS_OK)
            ck_assert_uint_gt(strlen(why.text), 0);
        octets.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(test_E12_what_mu_would_write_differently)
{
    struct atls_reason why = {0};
    struct atls_quote quote;
    struct octets octets;
    enum atls_error r;

    make_octets(&octets);
    mu_lies = true;
    r = parse(octets.data, octets.len, &why, &quote);
    mu_lies = false;
    ck_assert_int_eq(r, ATLS_E_NOT_CANONICAL);
    ck_assert_ptr_nonnull(strstr(why.text, "TPMS_ATTEST: tpm2-tss makes other "
                                           "octets of its fields"));
}
END_TEST

START_TEST(test_E12_what_mu_refuses)
{
    struct atls_reason why = {0};
    struct atls_quote quote;
    struct octets octets;
    enum atls_error r;

    make_octets(&octets);
    mu_refuses = true;
    r = parse(octets.data, octets.len, &why, &quote);
    mu_refuses = false;
    ck_assert_int_eq(r, ATLS_E_MALFORMED);
    ck_assert_ptr_nonnull(
        strstr(why.text, "TPMS_ATTEST: tpm2-tss refuses clockInfo (0x9"));
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_every_field_is_handed_over),
    LOOP(test_vectors_verify, 0, 2),
    ONCE(test_E1_wrong_magic_is_handed_over),
    ONCE(test_E2_other_types_are_handed_over),
    ONCE(test_E12_sized_fields_at_their_limits),
    ONCE(test_E12_safe_is_yes_or_no),
    LOOP(test_E7_selections, 0, COUNT(selections)),
    ONCE(test_E7_selection_keeps_its_order),
    ONCE(test_E12_cut_at_every_octet_without_a_word),
    ONCE(test_E12_one_octet_added),
    ONCE(test_E12_every_bit_flipped),
    ONCE(test_E12_what_mu_would_write_differently),
    ONCE(test_E12_what_mu_refuses),
};

SUITE(.name = "quote", .cases = {CASE("quote", tests, 0, NULL, NULL)});
