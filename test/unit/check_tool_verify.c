/* SPDX-License-Identifier: BSD-2-Clause */
/* "attest verify", the raw form, with quotes of the factory's software keys. */
#include <sys/stat.h>
#include <tss2/tss2_mu.h>
#include <unistd.h>

#include "lib/suite.h"
#include "unit/prompt.h"
#include "unit/tool_verify.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void select_pcrs(const char *text)
{
    ck_assert_int_eq(atls_pcr_selection_parse(text, NULL, &factory.selection),
                     ATLS_OK);
}

/* --- what is accepted ------------------------------------------------------ */

START_TEST(test_E13_every_scheme_key_and_hash)
{
    static const enum factory_key_kind kinds[] = {
        FACTORY_P256,    FACTORY_P384,    FACTORY_P521,   FACTORY_K256,
        FACTORY_RSA1024, FACTORY_RSA2048, FACTORY_RSA3072};
    static const uint16_t schemes[] = {TPM2_ALG_RSASSA, TPM2_ALG_RSAPSS,
                                       TPM2_ALG_ECDSA};
    static const uint16_t hashes[] = {TPM2_ALG_SHA1, TPM2_ALG_SHA256,
                                      TPM2_ALG_SHA384, TPM2_ALG_SHA512};
    const enum factory_key_kind kind = kinds[_i];
    const bool is_rsa = kind == FACTORY_RSA2048 || kind == FACTORY_RSA3072;
    const bool is_ec = kind <= FACTORY_P521;

    factory.signer = factory_key(kind, 1);
    for (size_t i = 0; i < COUNT(schemes) * COUNT(hashes); i++) {
        const uint16_t scheme = schemes[i / COUNT(hashes)];
        const bool fits = scheme == TPM2_ALG_ECDSA ? is_ec : is_rsa;

        factory.scheme = scheme;
        factory.hash = hashes[i % COUNT(hashes)];
        write_parts();
        if (fits && factory.hash != TPM2_ALG_SHA1) {
            assert_trusted();
            continue;
        }
        run_verify(false);
        ck_assert_msg(result.status == TOOL_NO_EVIDENCE,
                      "key %d, scheme 0x%x, hash 0x%x: status %d", kind, scheme,
                      factory.hash, result.status);
        ck_assert_msg(strstr(result.err, "the AK") != NULL, "%s", result.err);
    }
}
END_TEST

/* Schemes of TPMs that nobody quotes with, and what is no scheme. */
START_TEST(test_E13_other_schemes)
{
    static const uint16_t schemes[] = {TPM2_ALG_NULL,
                                       TPM2_ALG_HMAC,
                                       TPM2_ALG_RSAES,
                                       TPM2_ALG_ECDAA,
                                       TPM2_ALG_SM2,
                                       TPM2_ALG_ECSCHNORR,
                                       0,
                                       0xffff,
                                       TPM2_ALG_SHA256};
    uint8_t octets[ATLS_SIGNATURE_MAX];

    write_parts();
    memcpy(octets, factory.evidence.signature.data,
           factory.evidence.signature.len);
    for (size_t i = 0; i < COUNT(schemes); i++) {
        octets[0] = (uint8_t)(schemes[i] >> 8);
        octets[1] = (uint8_t)schemes[i];
        scratch_write("quote.sig", octets, factory.evidence.signature.len,
                      0644);
        assert_fails(TOOL_NO_EVIDENCE, "expected RSASSA, RSAPSS or ECDSA");
    }
}
END_TEST

/* With and against the order of the algorithms' numbers. */
static const char *const selections[] = {
    "sha256:0",
    "sha256:23",
    "sha256:16",
    "sha256:all",
    "sha384:1,3,5",
    "sha512:0-7",
    "sha1:0-7+sha256:0-7",
    "sha256:0-7+sha1:0-7",
    "sha512:4+sha384:all+sha256:0+sha1:9",
    "sha1:9+sha256:0+sha384:all+sha512:4",
};

START_TEST(test_selections)
{
    select_pcrs(selections[_i]);
    for (unsigned i = 0; i < 2; i++) {
        factory.hash = i == 0 ? TPM2_ALG_SHA256 : TPM2_ALG_SHA512;
        write_parts();
        assert_trusted();
    }
}
END_TEST

START_TEST(test_qualifying_data_of_every_length)
{
    for (size_t len = 0; len <= 64; len++) {
        char hex[2 * 64 + 3];

        memset(factory.extra_data, 0xa5, sizeof(factory.extra_data));
        factory.extra_data_len = len;
        write_parts();
        atls_hex(factory.extra_data, len, hex);
        words.extra_data = hex;
        assert_trusted();
        strcat(hex, "a5");
        assert_fails(len < 64 ? TOOL_NO_EVIDENCE : TOOL_USAGE,
                     len < 64 ? "qualifying data: expected a5"
                              : "expected hex of 0 to 64 octets");
        hex[2 * len] = '\0';
        if (len == 0)
            continue;
        hex[2 * len - 1] = '4';
        assert_fails(TOOL_NO_EVIDENCE, "qualifying data: expected ");
        hex[2 * len - 2] = '\0';
        assert_fails(TOOL_NO_EVIDENCE, "qualifying data: expected ");
    }
}
END_TEST

START_TEST(test_chain_with_intermediates_in_any_order)
{
    FILE *file;

    factory.intermediate_count = 3;
    write_parts();
    use_chain();
    assert_trusted();
    ck_assert_ptr_nonnull(strstr(result.out, "machine0.example"));
    file = fopen(scratch_path("chain.pem"), "w");
    ck_assert_ptr_nonnull(file);
    fputs("a remark\n", file);
    PEM_write_X509(file, factory.ak_cert);
    PEM_write_X509(file, factory.intermediate_certs[1]);
    PEM_write_X509(file, factory.intermediate_certs[2]);
    PEM_write_X509(file, factory.intermediate_certs[0]);
    fclose(file);
    assert_trusted();
}
END_TEST

START_TEST(test_json)
{
    json_t *object;
    json_t *pcrs;

    select_pcrs("sha384:7+sha256:0,16");
    write_parts();
    factory.evidence.pcrs.banks[1].mask |= 1u << 9; /* sha384:9, not quoted */
    write_pcrs("pcrs.yaml", &factory.evidence.pcrs);
    run_verify(true);
    ck_assert_int_eq(result.status, TOOL_DONE);
    object = verb_json(&result);
    ck_assert_str_eq(json_string_value(json_object_get(object, "verdict")),
                     "trusted");
    ck_assert_str_eq(json_string_value(json_object_get(object, "extra_data")),
                     EXTRA_DATA);
    pcrs = json_object_get(object, "pcrs");
    ck_assert_uint_eq(json_object_size(pcrs), 2);
    ck_assert_uint_eq(json_object_size(json_object_get(pcrs, "sha256")), 2);
    ck_assert_uint_eq(json_object_size(json_object_get(pcrs, "sha384")), 1);
    pcrs = json_object_get(json_object_get(object, "ignored"), "sha384");
    ck_assert_uint_eq(json_array_size(pcrs), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(pcrs, 0)), 9);
    json_decref(object);
    words.extra_data = "00";
    run_verify(true);
    ck_assert_int_eq(result.status, TOOL_NO_EVIDENCE);
    object = verb_json(&result);
    ck_assert_str_eq(json_string_value(json_object_get(object, "error")),
                     "binding");
    json_decref(object);
}
END_TEST

/* A quote as the TPM returns it, with its length in front. */
START_TEST(test_quote_with_its_length)
{
    uint8_t sized[2 + ATLS_QUOTE_MAX];
    size_t len;

    write_parts();
    len = factory.evidence.quote.len;
    sized[0] = (uint8_t)(len >> 8);
    sized[1] = (uint8_t)len;
    memcpy(sized + 2, factory.evidence.quote.data, len);
    scratch_write("quote.msg", sized, len + 2, 0644);
    assert_trusted();
    sized[1]++;
    scratch_write("quote.msg", sized, len + 2, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "signature over the quote is wrong");
    scratch_write("quote.msg", "sha256:", 7, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "wrong, and --quote is no TPMS_ATTEST: "
                                   "expected ff544347 at its start");
}
END_TEST

/* --- quotes that are none -------------------------------------------------- */

static void foreign_magic(void)
{
    factory.magic = 0xff544348;
}

static void certify(void)
{
    factory.type = TPM2_ST_ATTEST_CERTIFY;
}

static void other_signer(void)
{
    factory.signer = factory_key(FACTORY_P256, 3);
    write_parts();
    write_public("ak.pem", factory.ak.key);
}

static void sha1_alone(void)
{
    select_pcrs("sha1:all");
}

/* The first octet of the list's count, for a selection of one bank. */
static uint8_t *list_of(uint8_t *attest, size_t len)
{
    return attest + len - (4 + 2 + 1 + 3) - (2 + 32);
}

static void no_bank(uint8_t *attest, size_t *len)
{
    uint8_t *list = list_of(attest, *len);

    list[3] = 0;
    memmove(list + 4, list + 10, 34);
    *len -= 6;
}

static void no_pcr(uint8_t *attest, size_t *len)
{
    memset(list_of(attest, *len) + 7, 0, 3);
}

static void relabelled(uint8_t *attest, size_t *len)
{
    uint8_t *map = list_of(attest, *len) + 7;

    map[0] = 0xfe;
    map[1] = 0x01;
}

static void bank_twice(uint8_t *attest, size_t *len)
{
    uint8_t *list = list_of(attest, *len);

    list[3] = 2;
    memmove(list + 16, list + 10, 34);
    memcpy(list + 10, list + 4, 6);
    *len += 6;
}

static void long_map(uint8_t *attest, size_t *len)
{
    uint8_t *list = list_of(attest, *len);

    list[6] = 5;
    memmove(list + 12, list + 10, 34);
    memset(list + 10, 0, 2);
    *len += 2;
}

static const struct {
    void (*change)(void);
    void (*edit)(uint8_t *attest, size_t *len);
    int status;
    const char *text;
} forgeries[] = {
    {foreign_magic, NULL, TOOL_NO_EVIDENCE,
     "expected magic 0xff544347, found 0xff544348"}, /* E1 */
    {certify, NULL, TOOL_NO_EVIDENCE,
     "expected type 0x8018, found 0x8017"}, /* E2 */
    {other_signer, NULL, TOOL_NO_EVIDENCE,
     "the AK's signature over the quote is wrong"},             /* E1 */
    {sha1_alone, NULL, TOOL_REFUSED, "covers bank sha1 alone"}, /* E8 */
    {NULL, no_bank, TOOL_REFUSED, "the quote selects no PCR"},  /* E6, E7 */
    {NULL, no_pcr, TOOL_REFUSED, "the quote selects no PCR"},
    {NULL, relabelled, TOOL_REFUSED,
     "PCR 8 of bank sha256 is quoted, but its value is not"}, /* E7 */
    {NULL, bank_twice, TOOL_REFUSED, "the PCR bank sha256 twice"},
    {NULL, long_map, TOOL_REFUSED, "has 5 octets, expected at most 4"},
};

START_TEST(test_E1_E2_E6_E7_E8_forgeries)
{
    select_pcrs("sha256:0-7");
    if (forgeries[_i].change != NULL)
        forgeries[_i].change();
    factory.edit_attest = forgeries[_i].edit;
    if (forgeries[_i].change != other_signer)
        write_parts();
    assert_fails(forgeries[_i].status, forgeries[_i].text);
}
END_TEST

/* CVE-2024-29039: the values are good ones, of other PCRs. */
START_TEST(test_E7_values_under_other_numbers)
{
    struct atls_pcr_values *values = &factory.evidence.pcrs;
    uint8_t saved[ATLS_PCR_DIGEST_MAX];

    select_pcrs("sha256:0-3+sha384:0-3");
    write_parts();
    assert_trusted();
    memcpy(saved, values->banks[0].value[1], sizeof(saved));
    memcpy(values->banks[0].value[1], values->banks[0].value[2], sizeof(saved));
    memcpy(values->banks[0].value[2], saved, sizeof(saved));
    write_pcrs("pcrs.yaml", values);
    assert_fails(TOOL_NO_EVIDENCE, "not those that the TPM quoted");
    memcpy(values->banks[0].value[4], values->banks[0].value[1], sizeof(saved));
    values->banks[0].mask = 0x1d;
    write_pcrs("pcrs.yaml", values);
    assert_fails(TOOL_REFUSED,
                 "PCR 1 of bank sha256 is quoted, but its value is not");
}
END_TEST

/* --- octets ---------------------------------------------------------------- */

static void try_lengths(const char *name, struct atls_span octets)
{
    uint8_t longer[ATLS_QUOTE_MAX + 1];

    for (size_t len = 0; len < octets.len; len++) {
        scratch_write(name, octets.data, len, 0644);
        run_verify(false);
        ck_assert_msg(result.status == TOOL_NO_EVIDENCE, "%s cut to %zu: %s",
                      name, len, result.out);
    }
    memcpy(longer, octets.data, octets.len);
    for (unsigned octet = 0; octet < 256; octet += 51) {
        longer[octets.len] = (uint8_t)octet;
        scratch_write(name, longer, octets.len + 1, 0644);
        run_verify(false);
        ck_assert_int_eq(result.status, TOOL_NO_EVIDENCE);
    }
    scratch_write(name, octets.data, octets.len, 0644);
    assert_trusted();
}

START_TEST(test_E12_cut_or_longer_by_one)
{
    if (_i > 0)
        factory.signer = factory_key(FACTORY_RSA2048, 1);
    select_pcrs("sha256:0-7");
    write_parts();
    try_lengths("quote.msg", factory.evidence.quote);
    try_lengths("quote.sig", factory.evidence.signature);
}
END_TEST

/* What tpm2_quote -f plain writes: a mistake that is easily made. */
START_TEST(test_plain_signatures_are_named)
{
    const struct atls_span *signature = &factory.evidence.signature;
    static const uint8_t der[] = {0x30, 0x06, 0x02, 0x01, 1, 0x02, 0x01, 1};

    factory.signer = factory_key(FACTORY_RSA2048, 1);
    write_parts();
    scratch_write("quote.sig", signature->data + 6, signature->len - 6, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "the plain one of tpm2_quote -f plain");
    factory.signer = NULL;
    write_parts();
    scratch_write("quote.sig", der, sizeof(der), 0644);
    assert_fails(TOOL_NO_EVIDENCE, "the plain one of tpm2_quote -f plain");
    scratch_write("quote.sig", "text", 4, 0644);
    assert_fails(TOOL_NO_EVIDENCE,
                 "--signature: the AK signs with scheme 0x7465");
}
END_TEST

/* --- PCR files ------------------------------------------------------------- */

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define GOOD "  sha256:\n    0 : 0x" A64 "\n"

static const struct {
    const char *text;
    int status;
    const char *reason; /* with the file's name in front */
} pcr_files[] = {
    {GOOD, TOOL_DONE, ""},
    {"sha256 :\r\n  0  : " A64 "\r\n", TOOL_DONE, ""},
    {"  sha1:\n  sm3_256:\n    0 : 0x00\n" GOOD "  sha3_256:\n", TOOL_DONE, ""},
    {"\n" GOOD "  sha512:\n", TOOL_DONE, ""},
    {"{\"bank\": \"sha256\", \"pcrs\": {\"0\": \"0X" A64 "\"}}", TOOL_DONE, ""},
    {"[{\"bank\": \"sm3\", \"pcrs\": {\"0\": 1}},\n"
     "{\"bank\": \"sha256\", \"pcrs\": {\"0\": \"" A64 "\"}}]",
     TOOL_DONE, ""},
    {"", TOOL_NO_EVIDENCE, " holds no PCR value of bank sha1, sha256"},
    {"  sha256:\n", TOOL_NO_EVIDENCE, " holds no PCR value of bank"},
    {"0 : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":1: expected a bank such as 'sha256:' before the values, found '0'"},
    {GOOD "hello\n", TOOL_NO_EVIDENCE,
     ":3: expected PCR values as tpm2_pcrread prints them, found 'hello'"},
    {GOOD "0 : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":3: PCR 0 of bank sha256 stands there twice"},
    {GOOD "24 : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":3: expected a PCR from 0 to 23, found '24'"},
    {GOOD "4294967296 : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":3: expected a PCR from 0 to 23, found '4294967296'"},
    {GOOD "-1 : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":3: expected a PCR from 0 to 23, found '-1'"},
    {GOOD " : 0x" A64 "\n", TOOL_NO_EVIDENCE,
     ":3: expected a PCR from 0 to 23, found ''"},
    {GOOD "1 : 0xaa\n", TOOL_NO_EVIDENCE,
     ":3: PCR 1 of bank sha256: expected 32 octets in hex, found 'aa'"},
    {GOOD "1 : 0x" A64 "aa\n", TOOL_NO_EVIDENCE,
     ":3: PCR 1 of bank sha256: expected 32 octets in hex, found 'aa"},
    {GOOD "1 : \n", TOOL_NO_EVIDENCE, ":3: PCR 1 of bank sha256: expected 32"},
    {GOOD "1 : 0x" A64 " x\n", TOOL_NO_EVIDENCE, ":3: PCR 1 of bank sha256"},
    {"{\"bank\": \"sha256\"}", TOOL_NO_EVIDENCE,
     ": expected {\"bank\": \"sha256\", \"pcrs\""},
    {"{\"bank\": \"sha256\", \"pcrs\": [], \"more\": 1}", TOOL_NO_EVIDENCE,
     ": expected {\"bank\": \"sha256\", \"pcrs\""},
    {"[1]", TOOL_NO_EVIDENCE, ": expected {\"bank\": \"sha256\", \"pcrs\""},
    {"[]", TOOL_NO_EVIDENCE, " holds no PCR value"},
    {"{\"bank\": \"sha256\", \"pcrs\": {\"0\": 7}}", TOOL_NO_EVIDENCE,
     ": PCR 0 of bank sha256: expected 32 octets in hex"},
    {"{\"bank\": \"sha256\",\n \"pcrs\": {\"0\": \"aa\", \"0\": \"aa\"}}",
     TOOL_NO_EVIDENCE, ":2: no JSON: duplicate object key"},
    {"{", TOOL_NO_EVIDENCE, ":1: no JSON: "},
};

START_TEST(test_pcr_files)
{
    char reason[700];

    memset(factory_pcr(&factory, TPM2_ALG_SHA256, 0), 0xaa, 32);
    select_pcrs("sha256:0");
    write_parts();
    scratch_write("pcrs.yaml", pcr_files[_i].text, strlen(pcr_files[_i].text),
                  0644);
    if (pcr_files[_i].status == TOOL_DONE) {
        assert_trusted();
        return;
    }
    snprintf(reason, sizeof(reason), "%s%s", words.pcrs, pcr_files[_i].reason);
    assert_fails(pcr_files[_i].status, reason);
}
END_TEST

START_TEST(test_binary_pcr_file)
{
    write_parts();
    scratch_write("pcrs.yaml", "sha256:\n\0\1\2", 11, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "is binary: expected PCR values as "
                                   "tpm2_pcrread prints them");
}
END_TEST

/* --- the AK's public area --------------------------------------------------- */

static const TPMA_OBJECT good_attributes =
    TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_FIXEDTPM
    | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN
    | TPMA_OBJECT_USERWITHAUTH;

/* The factory's P-256 AK as tpm2_createak writes it. */
static void write_tpm_public(TPMA_OBJECT attributes, bool sized)
{
    TPMT_PUBLIC public = {
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = attributes,
        .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                 .scheme = {.scheme = TPM2_ALG_ECDSA,
                                            .details.ecdsa.hashAlg =
                                                TPM2_ALG_SHA256},
                                 .curveID = TPM2_ECC_NIST_P256,
                                 .kdf.scheme = TPM2_ALG_NULL},
    };
    unsigned char *der = NULL;
    int der_len = i2d_PUBKEY(factory.ak.key, &der);
    uint8_t octets[sizeof(TPM2B_PUBLIC)];
    size_t len = 2;

    ck_assert_int_gt(der_len, 64); /* ends with the point's coordinates */
    public.unique.ecc.x.size = public.unique.ecc.y.size = 32;
    memcpy(public.unique.ecc.x.buffer, der + der_len - 64, 32);
    memcpy(public.unique.ecc.y.buffer, der + der_len - 32, 32);
    OPENSSL_free(der);
    ck_assert_uint_eq(
        Tss2_MU_TPMT_PUBLIC_Marshal(&public, octets, sizeof(octets), &len),
        TSS2_RC_SUCCESS);
    octets[0] = (uint8_t)((len - 2) >> 8);
    octets[1] = (uint8_t)(len - 2);
    scratch_write("ak.pem", octets + (sized ? 0 : 2), len - (sized ? 0 : 2),
                  0644);
}

static const struct {
    TPMA_OBJECT flip;
    const char *text; /* NULL: the key is good */
} attributes[] = {
    {0, NULL},
    {TPMA_OBJECT_USERWITHAUTH, NULL},
    {TPMA_OBJECT_NODA, NULL},
    {TPMA_OBJECT_SIGN_ENCRYPT, "lacks the attribute sign: it cannot sign"},
    {TPMA_OBJECT_RESTRICTED,
     "lacks the attribute restricted: it signs whatever it is given"},
    {TPMA_OBJECT_FIXEDTPM,
     "lacks the attribute fixedTPM: it can be copied to another TPM"},
    {TPMA_OBJECT_FIXEDPARENT,
     "lacks the attribute fixedParent: it can be copied to another parent"},
    {TPMA_OBJECT_SENSITIVEDATAORIGIN,
     "lacks the attribute sensitiveDataOrigin: it was not made in the TPM"},
    {TPMA_OBJECT_DECRYPT, "has the attribute decrypt: no AK decrypts"},
};

START_TEST(test_E3_attributes_of_a_pinned_key)
{
    json_t *object;

    write_parts();
    for (int sized = 0; sized < 2; sized++) {
        write_tpm_public(good_attributes ^ attributes[_i].flip, sized != 0);
        if (attributes[_i].text == NULL) {
            assert_trusted();
            continue;
        }
        assert_fails(TOOL_REFUSED, attributes[_i].text);
        run_verify(true);
        object = verb_json(&result);
        ck_assert_str_eq(json_string_value(json_object_get(object, "error")),
                         "ak-attributes");
        json_decref(object);
    }
}
END_TEST

START_TEST(test_public_keys_in_other_forms)
{
    unsigned char *der = NULL;
    int len;
    char *octets;
    size_t size;

    write_parts();
    len = i2d_PUBKEY(factory.ak.key, &der);
    scratch_write("ak.pem", der, (size_t)len, 0644);
    assert_trusted();
    scratch_write("ak.pem", der, (size_t)len - 1, 0644);
    assert_fails(TOOL_USAGE, "is no public key: expected PEM or DER");
    OPENSSL_free(der);
    write_tpm_public(good_attributes, true);
    octets = scratch_read("ak.pem", &size);
    for (size_t cut = 0; cut < size; cut++) {
        scratch_write("ak.pem", octets, cut, 0644);
        assert_fails(TOOL_USAGE, "is no public key: expected PEM or DER");
    }
    free(octets);
    factory_write_certificate(scratch_path("ak.pem"), factory.ak_cert);
    assert_fails(TOOL_USAGE, "is a certificate, not a public key: use");
    factory_write_key(scratch_path("ak.pem"), factory.ak.key);
    assert_fails(TOOL_USAGE, "is no public key: expected PEM or DER");
}
END_TEST

/* Nobody sits there to be asked for a password. */
START_TEST(test_encrypted_public_key)
{
    static const char pem[] = ENCRYPTED_PEM("PUBLIC KEY", "\n");

    write_parts();
    scratch_write("ak.pem", pem, strlen(pem), 0644);
    watch_prompts();
    assert_fails(TOOL_USAGE, "is no public key: expected PEM or DER");
    ck_assert(!was_asked);
}
END_TEST

/* --- chains ---------------------------------------------------------------- */

static void expired(void)
{
    words.at = "2026-12-31T00:00:00Z";
}

static void early(void)
{
    words.at = "2025-11-01T00:00:00Z";
}

static void no_intermediate(void)
{
    factory_write_certificate(scratch_path("chain.pem"), factory.ak_cert);
}

static void with_root(void)
{
    words.chain2 = words.trust;
}

static void certificate_twice(void)
{
    words.chain2 = words.chain;
}

static void other_eku(void)
{
    words.eku = "1.2.3, 1.2.4";
}

static void other_machine(void)
{
    words.machines = "machine1.example *.machine0.example";
}

static void foreign_root(void)
{
    factory.root.key = factory_key(FACTORY_P256, 3);
    factory.root_cert =
        (X509_free(factory.root_cert), factory_certificate(&factory.root));
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
}

static void ca_for_an_ak(void)
{
    factory_write_certificate(scratch_path("chain.pem"),
                              factory.intermediate_certs[0]);
}

static void leaf_as_trust(void)
{
    factory_write_certificate(scratch_path("roots.pem"), factory.ak_cert);
}

static const struct {
    void (*change)(void);
    int status;
    const char *text;
} chains[] = {
    {expired, TOOL_REFUSED, "expired 2026-10-28"},
    {early, TOOL_REFUSED, "is valid from 2025-12-02 on"},
    {no_intermediate, TOOL_REFUSED, "leads to no certificate of the policy's"},
    {with_root, TOOL_REFUSED, "is self-signed; the attester must leave out"},
    {certificate_twice, TOOL_REFUSED, "are the same; send each once"},
    {other_eku, TOOL_REFUSED, "expected 1.2.3, found 2.23.133.8.3"},
    {other_machine, TOOL_REFUSED,
     "expected machine machine1.example or others"},
    {foreign_root, TOOL_REFUSED, "leads to no certificate of the policy's"},
    {ca_for_an_ak, TOOL_REFUSED, "is a CA's; expected an end entity first"},
    {leaf_as_trust, TOOL_USAGE, "is no CA; name issuers of AKs"},
};

START_TEST(test_E18_chains)
{
    write_parts();
    use_chain();
    assert_trusted();
    chains[_i].change();
    assert_fails(chains[_i].status, chains[_i].text);
}
END_TEST

START_TEST(test_certificates_in_der)
{
    uint8_t padded[4096] = {0};
    uint8_t *der = NULL;
    size_t len = 0;

    factory.intermediate_count = 0;
    write_parts();
    use_chain();
    factory_der(factory.ak_cert, &der, &len);
    memcpy(padded, der, len);
    scratch_write("chain.pem", padded, len, 0644);
    assert_trusted();
    scratch_write("chain.pem", padded, sizeof(padded), 0644);
    assert_trusted();
    padded[sizeof(padded) - 1] = 1;
    scratch_write("chain.pem", padded, sizeof(padded), 0644);
    assert_fails(TOOL_NO_EVIDENCE, "octets behind the last certificate");
    scratch_write("chain.pem", padded, len - 1, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "holds no certificate, neither PEM nor DER");
    memcpy(padded + len, der, len);
    scratch_write("chain.pem", padded, 2 * len, 0644);
    assert_fails(TOOL_REFUSED, "are the same; send each once");
    OPENSSL_free(der);
}
END_TEST

START_TEST(test_damaged_pem)
{
    char *text;

    write_parts();
    use_chain();
    text = scratch_read("chain.pem", NULL);
    scratch_write("chain.pem", text, strlen(text) - 40, 0644);
    assert_fails(TOOL_NO_EVIDENCE, "a PEM block is damaged: ");
    scratch_write("roots.pem", text, strlen(text) - 40, 0644);
    scratch_write("chain.pem", text, strlen(text), 0644);
    assert_fails(TOOL_USAGE, "a PEM block is damaged: ");
    scratch_write("roots.pem", "", 0, 0644);
    assert_fails(TOOL_USAGE, "holds no certificate, neither PEM nor DER");
    free(text);
}
END_TEST

/* --- the command line ------------------------------------------------------ */

static const struct {
    const char **word;
    const char *value;
    const char *text;
} usages[] = {
    {&words.quote, NULL, "expected --quote, --signature and --pcrs"},
    {&words.signature, NULL, "expected --quote, --signature and --pcrs"},
    {&words.pcrs, NULL, "expected --quote, --signature and --pcrs"},
    {&words.extra_data, NULL, "expected --extra-data HEX (\"\" for none)"},
    {&words.extra_data, "0", "--extra-data 0: expected hex of 0 to 64"},
    {&words.extra_data, "0x00", "--extra-data 0x00: expected hex of 0 to 64"},
    {&words.public, NULL, "expected either --ak-chain with --trust, or"},
    {&words.eku, "any", "--eku and --machines go with --ak-chain"},
    {&words.machines, "any", "--eku and --machines go with --ak-chain"},
    {&words.at, "yesterday", "--at yesterday: expected a time as of RFC 3339"},
    {&words.at, "2026-01-01T00:00:00", "expected a time as of RFC 3339"},
    {&words.at, "2026-01-01T00:00:00+1:00", "expected a time as of RFC 3339"},
    {&words.at, "2026-02-30T00:00:00Z", "expected a time as of RFC 3339"},
    {&words.quote, "/nonexistent", "cannot open /nonexistent: No such file"},
    {&words.signature, "/", "cannot read /: Is a directory"},
    {&words.pcrs, "/dev/zero", "cannot read /dev/zero: not a regular file"},
    {&words.public, "/", "cannot read /: Is a directory"},
    {&words.chain, "/", "cannot read /: Is a directory"},
    {&words.trust, "/nonexistent", "cannot open /nonexistent: No such file"},
};

START_TEST(test_usage)
{
    write_parts();
    *usages[_i].word = usages[_i].value;
    assert_fails(TOOL_USAGE, usages[_i].text);
}
END_TEST

START_TEST(test_usage_of_chains)
{
    const char *trust;

    write_parts();
    words.trust = words.public;
    assert_fails(TOOL_USAGE, "holds no certificate");
    words.trust = scratch_path("roots.pem");
    assert_fails(TOOL_USAGE, "--trust goes with --ak-chain");
    use_chain();
    trust = words.trust;
    words.trust = NULL;
    assert_fails(TOOL_USAGE, "--ak-chain needs --trust");
    words.trust = trust;
    words.public = words.chain;
    assert_fails(TOOL_USAGE, "expected either --ak-chain with --trust, or");
    words.public = NULL;
    words.eku = "1.2.x";
    assert_fails(TOOL_USAGE, "--eku 1.2.x: expected OIDs");
    words.eku = "1.2.3,";
    assert_fails(TOOL_USAGE, "--eku 1.2.3,: expected OIDs");
    words.eku = "";
    assert_fails(TOOL_USAGE, "--eku : expected OIDs");
    words.eku = NULL;
    words.machines = "a..b";
    assert_fails(TOOL_USAGE, "--machines a..b: expected names");
    words.machines = "";
    assert_fails(TOOL_USAGE, "--machines : expected names");
}
END_TEST

START_TEST(test_times)
{
    static const char *const times[] = {
        NOW,
        "2026-01-01",
        "2026-01-01T00:00:00.5Z",
        "2026-01-01T01:30:00+01:30",
        "2025-12-31T12:00:00-12:00",
    };

    write_parts();
    use_chain();
    for (size_t i = 0; i < COUNT(times); i++) {
        words.at = times[i];
        assert_trusted();
    }
    words.at = "2026-10-28T00:00:01Z";
    assert_fails(TOOL_REFUSED, "expired 2026-10-28");
    words.at = "2026-10-28T00:59:59+01:00";
    assert_trusted();
    words.at = "2026-10-27T23:00:01-01:00";
    assert_fails(TOOL_REFUSED, "expired 2026-10-28");
}
END_TEST

/* A hole of a terabyte, where the file system has such. */
START_TEST(test_terabyte)
{
    write_parts();
    if (truncate(words.quote, INT64_C(1) << 40) != 0)
        return;
    assert_fails(TOOL_NO_EVIDENCE, "is larger than 64 KiB");
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E13_every_scheme_key_and_hash, 0, 7),
    ONCE(test_E13_other_schemes),
    LOOP(test_selections, 0, COUNT(selections)),
    ONCE(test_qualifying_data_of_every_length),
    ONCE(test_chain_with_intermediates_in_any_order),
    ONCE(test_json),
    ONCE(test_quote_with_its_length),
    LOOP(test_E1_E2_E6_E7_E8_forgeries, 0, COUNT(forgeries)),
    ONCE(test_E7_values_under_other_numbers),
    LOOP(test_E12_cut_or_longer_by_one, 0, 2),
    ONCE(test_plain_signatures_are_named),
    LOOP(test_pcr_files, 0, COUNT(pcr_files)),
    ONCE(test_binary_pcr_file),
    LOOP(test_E3_attributes_of_a_pinned_key, 0, COUNT(attributes)),
    ONCE(test_public_keys_in_other_forms),
    ONCE(test_encrypted_public_key),
    LOOP(test_E18_chains, 0, COUNT(chains)),
    ONCE(test_certificates_in_der),
    ONCE(test_damaged_pem),
    LOOP(test_usage, 0, COUNT(usages)),
    ONCE(test_usage_of_chains),
    ONCE(test_times),
    ONCE(test_terabyte),
};

SUITE(.name = "tool_verify",
      .cases = {CASE("tool_verify", tests, 120, setup, teardown)});
