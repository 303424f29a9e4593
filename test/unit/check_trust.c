/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/trust.c: AK chains (catalogue E18). check_machine.c has the
 * names of machines, check_clouds.c chains of real clouds. */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/trust.h"

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

/* --- good chains ----------------------------------------------------------- */

static void no_intermediate(void)
{
    t.f.intermediate_count = 0;
}

static void most_intermediates(void)
{
    t.f.intermediate_count = ATLS_CHAIN_MAX - 1;
}

static void rsa_ak(void)
{
    t.f.ak.key = factory_key(FACTORY_RSA2048, 0);
}

static void p384_ak(void)
{
    t.f.ak.key = factory_key(FACTORY_P384, 0);
}

static void no_key_usage(void)
{
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_EKU;
}

static void permitted_name(void)
{
    t.f.root.extensions =
        FACTORY_CA_EXTENSIONS "nameConstraints=critical,permitted;DNS:example";
}

/* As Azure's: no basic constraints at all. */
static void no_basic_constraints(void)
{
    t.f.ak.extensions =
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid:always\n" FACTORY_AK_USAGE FACTORY_AK_EKU;
}

static void (*const good_plans[])(void) = {
    no_intermediate, most_intermediates,   rsa_ak,         p384_ak,
    no_key_usage,    no_basic_constraints, permitted_name,
};

START_TEST(test_good_chain)
{
    good_plans[_i]();
    trial_make(&t);
    trial_chain_trusted(&t);
}
END_TEST

START_TEST(test_intermediate_as_trust_anchor)
{
    trial_make(&t);
    X509_STORE_free(t.section->trust);
    t.section->trust = X509_STORE_new();
    factory_section_trust(t.section, t.f.intermediate_certs[0]);
    /* sent or left out */
    (void)trial_chain(&t, t.f.evidence.chain, 2, FACTORY_NOW);
    trial_chain_was_trusted(&t);
    (void)trial_chain(&t, t.f.evidence.chain, 1, FACTORY_NOW);
    trial_chain_was_trusted(&t);
}
END_TEST

START_TEST(test_intermediate_beside_its_root_as_trust_anchor)
{
    trial_make(&t);
    factory_section_trust(t.section, t.f.intermediate_certs[0]);
    trial_chain_trusted(&t);
}
END_TEST

/* --- bad chains ------------------------------------------------------------ */

static void expired_ak(void)
{
    t.f.ak.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void expired_issuer(void)
{
    t.f.intermediates[0].not_after = FACTORY_NOW - 2 * FACTORY_DAY;
}

static void expired_root(void)
{
    t.f.root.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void early_ak(void)
{
    t.f.ak.not_before = FACTORY_NOW + FACTORY_DAY;
}

static void early_issuer(void)
{
    t.f.intermediates[0].not_before = FACTORY_NOW + FACTORY_DAY;
}

static void issuer_is_no_ca(void)
{
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

/* OpenSSL alone would take it for a CA, by its key usage. */
static void issuer_without_basic_constraints(void)
{
    t.f.intermediates[0].extensions =
        "keyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void issuer_without_key_usage(void)
{
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void issuer_does_not_sign_certificates(void)
{
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void path_too_long(void)
{
    t.f.root.extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\n"
                          "keyUsage=critical,keyCertSign\n"
                          "subjectKeyIdentifier=hash\n";
}

static void forged_ak(void)
{
    t.f.ak.issuer_key = factory_key(FACTORY_P256, 3);
}

static void unknown_critical_extension(void)
{
    t.f.ak.extensions = FACTORY_AK_EXTENSIONS "1.3.6.1.4.1.99999.1=critical,"
                                              "DER:0500";
}

static void sha1_signature(void)
{
    t.f.ak.digest = "SHA1";
}

static void md5_signature(void)
{
    t.f.intermediates[0].key = factory_key(FACTORY_RSA2048, 0);
    t.f.ak.digest = "MD5";
}

static void sha1_signature_of_issuer(void)
{
    t.f.intermediates[0].digest = "SHA1";
}

static void short_key_of_issuer(void)
{
    t.f.intermediates[0].key = factory_key(FACTORY_RSA1024, 0);
}

static void unknown_critical_extension_of_issuer(void)
{
    t.f.intermediates[0].extensions =
        FACTORY_CA_EXTENSIONS "1.3.6.1.4.1.99999.1=critical,DER:0500";
}

static void name_not_permitted(void)
{
    t.f.intermediates[0].extensions =
        FACTORY_CA_EXTENSIONS "nameConstraints=critical,permitted;DNS:other";
}

static void name_excluded(void)
{
    t.f.root.extensions =
        FACTORY_CA_EXTENSIONS "nameConstraints=critical,excluded;DNS:example";
}

static void path_of_issuer_too_long(void)
{
    t.f.intermediate_count = 3;
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE,pathlen:1\n"
        "keyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void ak_without_akid(void)
{
    t.f.ak.extensions =
        "subjectKeyIdentifier=hash\n" FACTORY_AK_USAGE FACTORY_AK_EKU;
}

static void issuer_without_skid(void)
{
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
        "authorityKeyIdentifier=keyid\n";
    t.f.ak.extensions =
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=DER:3006800401020304\n" FACTORY_AK_USAGE
            FACTORY_AK_EKU;
}

static void short_key(void)
{
    t.f.ak.key = factory_key(FACTORY_RSA1024, 0);
}

static void ak_is_a_ca(void)
{
    t.f.ak.extensions = FACTORY_CA_EXTENSIONS FACTORY_AK_EKU;
}

static void ak_does_not_sign(void)
{
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS
        "keyUsage=critical,keyEncipherment\n" FACTORY_AK_EKU;
}

static void ak_without_eku(void)
{
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE;
}

static void ak_with_other_ekus(void)
{
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE
        "extendedKeyUsage=2.23.133.8.1,serverAuth\n";
}

static void ak_with_any_eku(void)
{
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE
        "extendedKeyUsage=anyExtendedKeyUsage\n";
}

static const struct {
    void (*plan)(void);
    enum atls_error code;
    const char *text;
} bad_plans[] = {
    {expired_ak, ATLS_E_CHAIN_EXPIRED,
     "AK certificate CN=machine0.example expired 2025-12-31; expected one that "
     "is valid on 2026-01-01: renew it"},
    {expired_issuer, ATLS_E_CHAIN_EXPIRED,
     "CA certificate CN=AK issuer 1 expired 2025-12-30; expected one that is "
     "valid on 2026-01-01: renew it on the attesting machine"},
    {expired_root, ATLS_E_CHAIN_EXPIRED,
     "CA certificate CN=AK root expired 2025-12-31; expected one that is valid "
     "on 2026-01-01: renew it in the policy's trust file"},
    {early_ak, ATLS_E_CHAIN_NOT_YET,
     "AK certificate CN=machine0.example is valid from 2026-01-02 on; expected "
     "one that is valid on 2026-01-01"},
    {early_issuer, ATLS_E_CHAIN_NOT_YET,
     "CA certificate CN=AK issuer 1 is valid from 2026-01-02 on"},
    {issuer_is_no_ca, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "invalid CA certificate"},
    {issuer_without_basic_constraints, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "invalid CA certificate"},
    {issuer_without_key_usage, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "CA cert does not include key usage extension"},
    {issuer_does_not_sign_certificates, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "invalid CA certificate"},
    {path_too_long, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK root cannot be used in an AK chain: path length "
     "constraint exceeded"},
    {forged_ak, ATLS_E_CHAIN_UNTRUSTED,
     "AK certificate CN=machine0.example leads to no certificate of the "
     "policy's trust file: certificate signature failure"},
    {unknown_critical_extension, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "unhandled critical extension"},
    {sha1_signature, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "CA signature digest algorithm too weak"},
    {md5_signature, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "CA signature digest algorithm too weak"},
    {sha1_signature_of_issuer, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "CA signature digest algorithm too weak"},
    {short_key_of_issuer, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "CA certificate key too weak"},
    {unknown_critical_extension_of_issuer, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "unhandled critical extension"},
    {name_not_permitted, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "permitted subtree violation"},
    {name_excluded, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "excluded subtree violation"},
    {path_of_issuer_too_long, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: path length "
     "constraint exceeded"},
    {ak_without_akid, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "Missing Authority Key Identifier"},
    {issuer_without_skid, ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 1 cannot be used in an AK chain: "
     "Missing Subject Key Identifier"},
    {short_key, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example cannot be used in an AK chain: "
     "EE certificate key too weak"},
    {ak_is_a_ca, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example is a CA's; expected an end entity"},
    {ak_does_not_sign, ATLS_E_CHAIN_USAGE,
     "AK certificate CN=machine0.example is not for signatures: its key usage "
     "lacks digitalSignature"},
    {ak_without_eku, ATLS_E_CHAIN_EKU, "expected 2.23.133.8.3, found none"},
    {ak_with_other_ekus, ATLS_E_CHAIN_EKU,
     "expected 2.23.133.8.3, found 2.23.133.8.1, 1.3.6.1.5.5.7.3.1; see "
     "ak_eku"},
    {ak_with_any_eku, ATLS_E_CHAIN_EKU, "found 2.5.29.37.0"},
};

START_TEST(test_E18_bad_chain)
{
    bad_plans[_i].plan();
    trial_make(&t);
    trial_chain_refused(&t, bad_plans[_i].code, bad_plans[_i].text);
}
END_TEST

START_TEST(test_E18_no_certificate)
{
    trial_make(&t);
    (void)trial_chain(&t, NULL, 0, FACTORY_NOW);
    trial_chain_was_refused(&t, ATLS_E_CHAIN_EMPTY,
                            "no AK certificate in the evidence; set ak_chain");
}
END_TEST

START_TEST(test_E18_too_many_certificates)
{
    struct atls_span chain[ATLS_CHAIN_MAX + 1];

    t.f.intermediate_count = ATLS_CHAIN_MAX - 1;
    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, sizeof(t.f.evidence.chain));
    chain[ATLS_CHAIN_MAX] = chain[0];
    (void)trial_chain(&t, chain, ATLS_CHAIN_MAX + 1, FACTORY_NOW);
    trial_chain_was_refused(&t, ATLS_E_LIMIT,
                            "9 certificates in the AK chain; at most 8");
}
END_TEST

START_TEST(test_E18_foreign_root)
{
    struct factory other;

    trial_make(&t);
    factory_init(&other, 0);
    other.root.key = factory_key(FACTORY_P256, 3);
    factory_make(&other);
    (void)trial_chain(&t, other.evidence.chain, other.evidence.chain_count,
                      FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNTRUSTED,
        "CA certificate CN=AK issuer 1 leads to no certificate of the policy's "
        "trust file: expected its issuer CN=AK root there");
    factory_clear(&other);
}
END_TEST

START_TEST(test_E18_section_without_trust)
{
    trial_make(&t);
    X509_STORE_free(t.section->trust);
    t.section->trust = NULL;
    trial_chain_refused(&t, ATLS_E_CHAIN_UNTRUSTED,
                        "leads to no certificate of the policy's trust file");
}
END_TEST

START_TEST(test_E18_missing_intermediate)
{
    trial_make(&t);
    (void)trial_chain(&t, t.f.evidence.chain, 1, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNTRUSTED,
        "AK certificate CN=machine0.example leads to no certificate");
}
END_TEST

/* The order of intermediates is the sender's business; the AK is first. */
START_TEST(test_order_of_intermediates)
{
    struct atls_span chain[3];

    t.f.intermediate_count = 2;
    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, sizeof(chain));
    chain[1] = t.f.evidence.chain[2];
    chain[2] = t.f.evidence.chain[1];
    (void)trial_chain(&t, chain, 3, FACTORY_NOW);
    trial_chain_was_trusted(&t);
    chain[0] = t.f.evidence.chain[1];
    chain[1] = t.f.evidence.chain[0];
    chain[2] = t.f.evidence.chain[2];
    (void)trial_chain(&t, chain, 3, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNUSED,
        "certificate 2 of the AK chain, CN=machine0.example, is not "
        "needed for the path");
}
END_TEST

START_TEST(test_E18_root_in_the_evidence)
{
    struct atls_span chain[3];
    uint8_t *der = NULL;

    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, 2 * sizeof(chain[0]));
    factory_der(t.f.root_cert, &der, &chain[2].len);
    chain[2].data = der;
    (void)trial_chain(&t, chain, 3, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNUSED,
        "certificate 3 of the AK chain, CN=AK root, is self-signed; "
        "the attester must leave out the root");
    OPENSSL_free(der);
}
END_TEST

START_TEST(test_E18_self_signed_ak_even_if_pinned)
{
    t.f.intermediate_count = 0;
    t.f.root.cn = "machine0.example";
    t.f.root.key = t.f.ak.key;
    t.f.root.extensions =
        "basicConstraints=critical,CA:FALSE\n"
        "subjectKeyIdentifier=hash\n" FACTORY_AK_USAGE FACTORY_AK_EKU;
    trial_make(&t);
    OPENSSL_free(t.f.chain_der[0]);
    factory_der(t.f.root_cert, &t.f.chain_der[0], &t.f.evidence.chain[0].len);
    t.f.evidence.chain[0].data = t.f.chain_der[0];
    trial_chain_refused(
        &t, ATLS_E_CHAIN_UNUSED,
        "certificate 1 of the AK chain, CN=machine0.example, is "
        "self-signed");
}
END_TEST

START_TEST(test_E18_unused_certificate)
{
    struct factory other;
    struct atls_span chain[3];

    trial_make(&t);
    factory_init(&other, 1);
    other.intermediates[0].cn = "somebody else";
    factory_make(&other);
    memcpy(chain, t.f.evidence.chain, 2 * sizeof(chain[0]));
    chain[2] = other.evidence.chain[1];
    (void)trial_chain(&t, chain, 3, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNUSED,
        "certificate 3 of the AK chain, CN=somebody else, is not "
        "needed for the path to the trusted root");
    factory_clear(&other);
}
END_TEST

START_TEST(test_E18_certificate_twice)
{
    struct atls_span chain[3];

    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, 2 * sizeof(chain[0]));
    chain[2] = chain[1];
    (void)trial_chain(&t, chain, 3, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNUSED,
        "certificates 2 and 3 of the AK chain are the same");
}
END_TEST

/* --- octets ---------------------------------------------------------------- */

/* The AK certificate in a buffer with room behind it. */
static struct atls_span roomy_ak(uint8_t **ret_octets)
{
    struct atls_span ak = t.f.evidence.chain[0];

    *ret_octets = calloc(1, 4096);
    ck_assert(*ret_octets != NULL && ak.len < 4000);
    memcpy(*ret_octets, ak.data, ak.len);
    ak.data = *ret_octets;
    return ak;
}

/* As Azure keeps it in NV: padded with zeros to 4,096 octets. */
START_TEST(test_E12_octets_behind_a_certificate)
{
    uint8_t *octets;
    struct atls_span chain[2];

    trial_make(&t);
    chain[0] = roomy_ak(&octets);
    chain[1] = t.f.evidence.chain[1];
    (void)trial_chain(&t, chain, 2, FACTORY_NOW);
    trial_chain_was_trusted(&t);
    chain[0].len++;
    (void)trial_chain(&t, chain, 2, FACTORY_NOW);
    trial_chain_was_refused(&t, ATLS_E_MALFORMED,
                            "is not exactly one certificate in DER; check the "
                            "attester's ak_chain for padding");
    chain[0].len = 4096;
    (void)trial_chain(&t, chain, 2, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_MALFORMED,
        "certificate 1 of the AK chain (4096 octets) is not");
    free(octets);
}
END_TEST

START_TEST(test_E12_cut_certificate)
{
    struct atls_span chain[2];

    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, sizeof(chain));
    for (size_t len = 0; len < t.f.evidence.chain[1].len; len++) {
        chain[1].len = len;
        (void)trial_chain(&t, chain, 2, FACTORY_NOW);
        trial_chain_was_refused(&t, ATLS_E_MALFORMED,
                                "certificate 2 of the AK chain");
    }
}
END_TEST

/* BER allows a length in more octets than it needs; OpenSSL parses it. */
START_TEST(test_E12_certificate_not_in_der)
{
    struct atls_span ak;
    uint8_t *octets;
    struct atls_span chain[2];

    trial_make(&t);
    ak = t.f.evidence.chain[0];
    (void)roomy_ak(&octets);
    ck_assert_uint_eq(octets[1], 0x82);
    octets[1] = 0x83;
    octets[2] = 0;
    memcpy(octets + 3, ak.data + 2, ak.len - 2);
    chain[0] = (struct atls_span){octets, ak.len + 1};
    chain[1] = t.f.evidence.chain[1];
    (void)trial_chain(&t, chain, 2, FACTORY_NOW);
    trial_chain_was_refused(&t, ATLS_E_MALFORMED,
                            "is not exactly one certificate in DER");
    free(octets);
}
END_TEST

/* --- the key --------------------------------------------------------------- */

START_TEST(test_key_comes_with_a_refused_chain)
{
    struct atls_trust trust;

    expired_ak();
    trial_make(&t);
    ck_assert_int_eq(atls_trust_check(t.section, t.f.evidence.chain,
                                      t.f.evidence.chain_count, FACTORY_NOW,
                                      NULL, &trust),
                     ATLS_E_CHAIN_EXPIRED);
    ck_assert_int_eq(EVP_PKEY_eq(trust.key, t.f.ak.key), 1);
    EVP_PKEY_free(trust.key);
}
END_TEST

START_TEST(test_no_key_without_a_certificate)
{
    const struct atls_span rubbish = {(const uint8_t *)"rubbish", 7};
    struct atls_trust trust = {.key = t.f.ak.key};

    trial_make(&t);
    ck_assert_int_eq(
        atls_trust_check(t.section, &rubbish, 1, FACTORY_NOW, NULL, &trust),
        ATLS_E_MALFORMED);
    ck_assert_ptr_null(trust.key);
}
END_TEST

/* --- EKU ------------------------------------------------------------------- */

START_TEST(test_any_eku)
{
    ak_without_eku();
    trial_make(&t);
    t.section->ak_eku_any = true;
    trial_chain_trusted(&t);
}
END_TEST

START_TEST(test_one_of_several_ekus)
{
    ak_with_other_ekus();
    trial_make(&t);
    factory_section_eku(t.section, "2.23.133.8.1");
    trial_chain_trusted(&t);
}
END_TEST

START_TEST(test_section_without_eku)
{
    trial_make(&t);
    t.section->ak_eku_count = 0;
    trial_chain_refused(&t, ATLS_E_CHAIN_EKU,
                        "expected one, found 2.23.133.8.3");
    t.section->ak_eku_count = 1;
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

/* Whichever allocation fails, no chain is accepted that would not be, and what
 * runs out of memory where we allocate says so. */
START_TEST(test_R3_allocations_fail)
{
    static const char *const texts[] = {
        "out of memory while reading certificate 1 of the AK chain",
        "out of memory while reading certificate 2 of the AK chain",
        "out of memory while verifying the AK chain",
    };
    bool seen[COUNT(texts)] = {false};
    struct atls_trust trust;
    size_t total;

    trial_make(&t);
    trial_chain_trusted(&t);
    allocation_fail_at(0);
    trial_chain_trusted(&t);
    total = allocation_count();
    ck_assert_uint_gt(total, 0);
    for (size_t n = 1; n <= total; n += trial_stride()) {
        struct atls_reason why = {0};
        enum atls_error r;

        allocation_fail_at(n);
        r = atls_trust_check(t.section, t.f.evidence.chain,
                             t.f.evidence.chain_count, FACTORY_NOW, &why,
                             &trust);
        allocation_fail_at(0);
        EVP_PKEY_free(trust.key);
        /* Accepted only where memory ended while the names were written. */
        ck_assert_msg(r != ATLS_OK || strstr(trust.machine, "sha256:") == NULL,
                      "allocation %zu of %zu", n, total);
        for (size_t i = 0; i < COUNT(texts); i++)
            seen[i] |= r == ATLS_E_NOMEM && strcmp(why.text, texts[i]) == 0;
    }
    for (size_t i = 0; i < COUNT(texts) && trial_stride() == 1; i++)
        ck_assert_msg(seen[i], "never seen: %s", texts[i]);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_good_chain, 0, COUNT(good_plans)),
    ONCE(test_intermediate_as_trust_anchor),
    ONCE(test_intermediate_beside_its_root_as_trust_anchor),
    LOOP(test_E18_bad_chain, 0, COUNT(bad_plans)),
    ONCE(test_E18_no_certificate),
    ONCE(test_E18_too_many_certificates),
    ONCE(test_E18_foreign_root),
    ONCE(test_E18_section_without_trust),
    ONCE(test_E18_missing_intermediate),
    ONCE(test_order_of_intermediates),
    ONCE(test_E18_root_in_the_evidence),
    ONCE(test_E18_self_signed_ak_even_if_pinned),
    ONCE(test_E18_unused_certificate),
    ONCE(test_E18_certificate_twice),
    ONCE(test_E12_octets_behind_a_certificate),
    ONCE(test_E12_cut_certificate),
    ONCE(test_E12_certificate_not_in_der),
    ONCE(test_key_comes_with_a_refused_chain),
    ONCE(test_no_key_without_a_certificate),
    ONCE(test_any_eku),
    ONCE(test_one_of_several_ekus),
    ONCE(test_section_without_eku),
    ONCE(test_R3_allocations_fail),
};

SUITE(.name = "trust", .begin = allocation_install, .end = factory_free_keys,
      .cases = {CASE("trust", tests, 120, setup, teardown)});
