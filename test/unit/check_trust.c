/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/{trust,certificate,machine}.c: AK chains (catalogue E18),
 * names of machines, certificates of real clouds. */
#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/trial.h"
#include "verifier/certificate.h"
#include "verifier/machine.h"
#include "verifier/trust.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A factory's chain and a section that accepts it. */
static struct factory f;
static struct atls_section *section;
static struct atls_reason why;

static enum atls_error check_spans(const struct atls_span *chain, size_t count,
                                   int64_t now)
{
    struct atls_trust trust;
    enum atls_error r;

    memset(&why, 0, sizeof(why));
    r = atls_trust_check(section, chain, count, now, &why, &trust);
    EVP_PKEY_free(trust.key);
    ck_assert_int_eq(r == ATLS_OK, strlen(trust.machine) > 0);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_int_eq(why.code, r);
    ck_assert_uint_lt(strlen(why.text), 200);
    return r;
}

static enum atls_error check_chain(void)
{
    return check_spans(f.evidence.chain, f.evidence.chain_count, FACTORY_NOW);
}

static void setup(void)
{
    factory_init(&f, 0);
    section = NULL;
}

static void make(void)
{
    factory_make(&f);
    section = factory_section_for(&f);
}

static void teardown(void)
{
    factory_clear(&f);
    if (section != NULL)
        factory_section_free(section);
}

/* Exactly this code, and a reason with this text. */
static void assert_refused(enum atls_error r, enum atls_error code,
                           const char *text)
{
    ck_assert_msg(r == code, "%s instead of %s: %s", atls_error_name(r),
                  atls_error_name(code), why.text);
    ck_assert_msg(strstr(why.text, text) != NULL, "\"%s\" is not in \"%s\"",
                  text, why.text);
}

static void assert_trusted(enum atls_error r)
{
    ck_assert_msg(r == ATLS_OK, "%s", why.text);
}

/* --- good chains ----------------------------------------------------------- */

static void no_intermediate(void)
{
    f.intermediate_count = 0;
}

static void most_intermediates(void)
{
    f.intermediate_count = ATLS_CHAIN_MAX - 1;
}

static void rsa_ak(void)
{
    f.ak.key = factory_key(FACTORY_RSA2048, 0);
}

static void p384_ak(void)
{
    f.ak.key = factory_key(FACTORY_P384, 0);
}

static void no_key_usage(void)
{
    f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_EKU;
}

/* As Azure's: no basic constraints at all. */
static void no_basic_constraints(void)
{
    f.ak.extensions =
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid:always\n" FACTORY_AK_USAGE FACTORY_AK_EKU;
}

static void (*const good_plans[])(void) = {
    no_intermediate, most_intermediates, rsa_ak,
    p384_ak,         no_key_usage,       no_basic_constraints,
};

START_TEST(test_good_chain)
{
    good_plans[_i]();
    make();
    assert_trusted(check_chain());
}
END_TEST

START_TEST(test_intermediate_as_trust_anchor)
{
    make();
    X509_STORE_free(section->trust);
    section->trust = X509_STORE_new();
    factory_section_trust(section, f.intermediate_certs[0]);
    /* sent or left out */
    assert_trusted(check_spans(f.evidence.chain, 2, FACTORY_NOW));
    assert_trusted(check_spans(f.evidence.chain, 1, FACTORY_NOW));
}
END_TEST

START_TEST(test_intermediate_beside_its_root_as_trust_anchor)
{
    make();
    factory_section_trust(section, f.intermediate_certs[0]);
    assert_trusted(check_chain());
}
END_TEST

/* --- bad chains ------------------------------------------------------------ */

static void expired_ak(void)
{
    f.ak.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void expired_issuer(void)
{
    f.intermediates[0].not_after = FACTORY_NOW - 2 * FACTORY_DAY;
}

static void expired_root(void)
{
    f.root.not_after = FACTORY_NOW - FACTORY_DAY;
}

static void early_ak(void)
{
    f.ak.not_before = FACTORY_NOW + FACTORY_DAY;
}

static void early_issuer(void)
{
    f.intermediates[0].not_before = FACTORY_NOW + FACTORY_DAY;
}

static void issuer_is_no_ca(void)
{
    f.intermediates[0].extensions =
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

/* OpenSSL alone would take it for a CA, by its key usage. */
static void issuer_without_basic_constraints(void)
{
    f.intermediates[0].extensions =
        "keyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void issuer_without_key_usage(void)
{
    f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void issuer_does_not_sign_certificates(void)
{
    f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
}

static void path_too_long(void)
{
    f.root.extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\n"
                        "keyUsage=critical,keyCertSign\n"
                        "subjectKeyIdentifier=hash\n";
}

static void forged_ak(void)
{
    f.ak.issuer_key = factory_key(FACTORY_P256, 3);
}

static void unknown_critical_extension(void)
{
    f.ak.extensions = FACTORY_AK_EXTENSIONS "1.3.6.1.4.1.99999.1=critical,"
                                            "DER:0500";
}

static void sha1_signature(void)
{
    f.ak.digest = "SHA1";
}

static void short_key(void)
{
    f.ak.key = factory_key(FACTORY_RSA1024, 0);
}

static void ak_is_a_ca(void)
{
    f.ak.extensions = FACTORY_CA_EXTENSIONS FACTORY_AK_EKU;
}

static void ak_does_not_sign(void)
{
    f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS
        "keyUsage=critical,keyEncipherment\n" FACTORY_AK_EKU;
}

static void ak_without_eku(void)
{
    f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE;
}

static void ak_with_other_ekus(void)
{
    f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE
        "extendedKeyUsage=2.23.133.8.1,serverAuth\n";
}

static void ak_with_any_eku(void)
{
    f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE
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
     "CA certificate CN=AK issuer 1 expired 2025-12-30"},
    {expired_root, ATLS_E_CHAIN_EXPIRED,
     "CA certificate CN=AK root expired 2025-12-31"},
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
    make();
    assert_refused(check_chain(), bad_plans[_i].code, bad_plans[_i].text);
}
END_TEST

START_TEST(test_E18_no_certificate)
{
    make();
    assert_refused(check_spans(NULL, 0, FACTORY_NOW), ATLS_E_CHAIN_EMPTY,
                   "no AK certificate in the evidence; set ak_chain");
}
END_TEST

START_TEST(test_E18_too_many_certificates)
{
    struct atls_span chain[ATLS_CHAIN_MAX + 1];

    f.intermediate_count = ATLS_CHAIN_MAX - 1;
    make();
    memcpy(chain, f.evidence.chain, sizeof(f.evidence.chain));
    chain[ATLS_CHAIN_MAX] = chain[0];
    assert_refused(check_spans(chain, ATLS_CHAIN_MAX + 1, FACTORY_NOW),
                   ATLS_E_LIMIT, "9 certificates in the AK chain; at most 8");
}
END_TEST

START_TEST(test_E18_foreign_root)
{
    struct factory other;

    make();
    factory_init(&other, 0);
    other.root.key = factory_key(FACTORY_P256, 3);
    factory_make(&other);
    assert_refused(
        check_spans(other.evidence.chain, other.evidence.chain_count,
                    FACTORY_NOW),
        ATLS_E_CHAIN_UNTRUSTED,
        "CA certificate CN=AK issuer 1 leads to no certificate of the policy's "
        "trust file: unable to get local issuer certificate");
    factory_clear(&other);
}
END_TEST

START_TEST(test_E18_section_without_trust)
{
    make();
    X509_STORE_free(section->trust);
    section->trust = NULL;
    assert_refused(check_chain(), ATLS_E_CHAIN_UNTRUSTED,
                   "leads to no certificate of the policy's trust file");
}
END_TEST

START_TEST(test_E18_missing_intermediate)
{
    make();
    assert_refused(
        check_spans(f.evidence.chain, 1, FACTORY_NOW), ATLS_E_CHAIN_UNTRUSTED,
        "AK certificate CN=machine0.example leads to no certificate");
}
END_TEST

/* The order of intermediates is the sender's business; the AK is first. */
START_TEST(test_order_of_intermediates)
{
    struct atls_span chain[3];

    f.intermediate_count = 2;
    make();
    memcpy(chain, f.evidence.chain, sizeof(chain));
    chain[1] = f.evidence.chain[2];
    chain[2] = f.evidence.chain[1];
    assert_trusted(check_spans(chain, 3, FACTORY_NOW));
    chain[0] = f.evidence.chain[1];
    chain[1] = f.evidence.chain[0];
    chain[2] = f.evidence.chain[2];
    assert_refused(check_spans(chain, 3, FACTORY_NOW), ATLS_E_CHAIN_UNUSED,
                   "certificate 2 of the AK chain, CN=machine0.example, is not "
                   "needed for the path");
}
END_TEST

START_TEST(test_E18_root_in_the_evidence)
{
    struct atls_span chain[3];
    uint8_t *der = NULL;

    make();
    memcpy(chain, f.evidence.chain, 2 * sizeof(chain[0]));
    factory_der(f.root_cert, &der, &chain[2].len);
    chain[2].data = der;
    assert_refused(check_spans(chain, 3, FACTORY_NOW), ATLS_E_CHAIN_UNUSED,
                   "certificate 3 of the AK chain, CN=AK root, is self-signed; "
                   "the attester must leave out the root");
    OPENSSL_free(der);
}
END_TEST

START_TEST(test_E18_self_signed_ak_even_if_pinned)
{
    f.intermediate_count = 0;
    f.root.cn = "machine0.example";
    f.root.key = f.ak.key;
    f.root.extensions =
        "basicConstraints=critical,CA:FALSE\n"
        "subjectKeyIdentifier=hash\n" FACTORY_AK_USAGE FACTORY_AK_EKU;
    make();
    OPENSSL_free(f.chain_der[0]);
    factory_der(f.root_cert, &f.chain_der[0], &f.evidence.chain[0].len);
    f.evidence.chain[0].data = f.chain_der[0];
    assert_refused(check_chain(), ATLS_E_CHAIN_UNUSED,
                   "certificate 1 of the AK chain, CN=machine0.example, is "
                   "self-signed");
}
END_TEST

START_TEST(test_E18_unused_certificate)
{
    struct factory other;
    struct atls_span chain[3];

    make();
    factory_init(&other, 1);
    other.intermediates[0].cn = "somebody else";
    factory_make(&other);
    memcpy(chain, f.evidence.chain, 2 * sizeof(chain[0]));
    chain[2] = other.evidence.chain[1];
    assert_refused(check_spans(chain, 3, FACTORY_NOW), ATLS_E_CHAIN_UNUSED,
                   "certificate 3 of the AK chain, CN=somebody else, is not "
                   "needed for the path to the trusted root");
    factory_clear(&other);
}
END_TEST

START_TEST(test_E18_certificate_twice)
{
    struct atls_span chain[3];

    make();
    memcpy(chain, f.evidence.chain, 2 * sizeof(chain[0]));
    chain[2] = chain[1];
    assert_refused(check_spans(chain, 3, FACTORY_NOW), ATLS_E_CHAIN_UNUSED,
                   "certificates 2 and 3 of the AK chain are the same");
}
END_TEST

/* --- octets ---------------------------------------------------------------- */

/* The AK certificate in a buffer with room behind it. */
static struct atls_span roomy_ak(uint8_t **ret_octets)
{
    struct atls_span ak = f.evidence.chain[0];

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

    make();
    chain[0] = roomy_ak(&octets);
    chain[1] = f.evidence.chain[1];
    assert_trusted(check_spans(chain, 2, FACTORY_NOW));
    chain[0].len++;
    assert_refused(check_spans(chain, 2, FACTORY_NOW), ATLS_E_MALFORMED,
                   "is not exactly one certificate in DER; check the "
                   "attester's ak_chain for padding");
    chain[0].len = 4096;
    assert_refused(check_spans(chain, 2, FACTORY_NOW), ATLS_E_MALFORMED,
                   "certificate 1 of the AK chain (4096 octets) is not");
    free(octets);
}
END_TEST

START_TEST(test_E12_cut_certificate)
{
    struct atls_span chain[2];

    make();
    memcpy(chain, f.evidence.chain, sizeof(chain));
    for (size_t len = 0; len < f.evidence.chain[1].len; len++) {
        chain[1].len = len;
        assert_refused(check_spans(chain, 2, FACTORY_NOW), ATLS_E_MALFORMED,
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

    make();
    ak = f.evidence.chain[0];
    (void)roomy_ak(&octets);
    ck_assert_uint_eq(octets[1], 0x82);
    octets[1] = 0x83;
    octets[2] = 0;
    memcpy(octets + 3, ak.data + 2, ak.len - 2);
    chain[0] = (struct atls_span){octets, ak.len + 1};
    chain[1] = f.evidence.chain[1];
    assert_refused(check_spans(chain, 2, FACTORY_NOW), ATLS_E_MALFORMED,
                   "is not exactly one certificate in DER");
    free(octets);
}
END_TEST

/* --- the key --------------------------------------------------------------- */

START_TEST(test_key_comes_with_a_refused_chain)
{
    struct atls_trust trust;

    expired_ak();
    make();
    ck_assert_int_eq(atls_trust_check(section, f.evidence.chain,
                                      f.evidence.chain_count, FACTORY_NOW, NULL,
                                      &trust),
                     ATLS_E_CHAIN_EXPIRED);
    ck_assert_int_eq(EVP_PKEY_eq(trust.key, f.ak.key), 1);
    EVP_PKEY_free(trust.key);
}
END_TEST

START_TEST(test_no_key_without_a_certificate)
{
    const struct atls_span rubbish = {(const uint8_t *)"rubbish", 7};
    struct atls_trust trust = {.key = f.ak.key};

    make();
    ck_assert_int_eq(
        atls_trust_check(section, &rubbish, 1, FACTORY_NOW, NULL, &trust),
        ATLS_E_MALFORMED);
    ck_assert_ptr_null(trust.key);
}
END_TEST

/* --- EKU and machines ------------------------------------------------------ */

START_TEST(test_any_eku)
{
    ak_without_eku();
    make();
    section->ak_eku_any = true;
    assert_trusted(check_chain());
}
END_TEST

START_TEST(test_one_of_several_ekus)
{
    ak_with_other_ekus();
    make();
    factory_section_eku(section, "2.23.133.8.1");
    assert_trusted(check_chain());
}
END_TEST

START_TEST(test_section_without_eku)
{
    make();
    section->ak_eku_count = 0;
    assert_refused(check_chain(), ATLS_E_CHAIN_EKU,
                   "expected one, found 2.23.133.8.3");
    section->ak_eku_count = 1;
}
END_TEST

static void set_machines(const char *pattern)
{
    for (size_t i = 0; i < section->machine_count; i++)
        OPENSSL_free(section->machines[i]);
    section->machine_count = 0;
    factory_section_machine(section, pattern);
}

START_TEST(test_E5_other_machine)
{
    make();
    set_machines("machine1.example");
    assert_refused(check_chain(), ATLS_E_MACHINE,
                   "AK certificate is for machine0.example, sha256:");
    assert_refused(check_chain(), ATLS_E_MACHINE,
                   "; expected machine machine1.example");
    factory_section_machine(section, "*.elsewhere.example");
    assert_refused(check_chain(), ATLS_E_MACHINE,
                   "machine1.example or others of the policy");
    factory_section_machine(section, "*.example");
    assert_trusted(check_chain());
}
END_TEST

START_TEST(test_no_machine_and_any_machine)
{
    make();
    section->machine_count = 0;
    assert_refused(check_chain(), ATLS_E_MACHINE, "expected machine (none)");
    section->machines_any = true;
    assert_trusted(check_chain());
    section->machine_count = 1;
}
END_TEST

START_TEST(test_machine_by_key)
{
    char pattern[128] = "sha256:";
    uint8_t digest[ATLS_SHA256_LEN];
    unsigned char *der = NULL;
    int len;

    make();
    len = i2d_PUBKEY(f.ak.key, &der);
    ck_assert_int_gt(len, 0);
    ck_assert_int_eq(atls_sha256(der, (size_t)len, digest), ATLS_OK);
    OPENSSL_free(der);
    atls_hex(digest, sizeof(digest), pattern + strlen(pattern));
    set_machines(pattern);
    assert_trusted(check_chain());
    pattern[strlen(pattern) - 1] ^= 1;
    set_machines(pattern);
    assert_refused(check_chain(), ATLS_E_MACHINE, "expected machine sha256:");
}
END_TEST

#define SAN(names) FACTORY_AK_EXTENSIONS "subjectAltName=" names
#define GOOGLE(hex) FACTORY_AK_EXTENSIONS "1.3.6.1.4.1.11129.2.1.21=DER:" hex

/* zone "us-a", 1, project "prj", 2, instance "vm" */
#define GOOGLE_HEX "301a0c0475732d610201010c0370726a0201020c02766da003020101"

/* What a certificate is called, and by whom. */
static const struct {
    const char *cn;
    const char *extensions;
    const char *pattern;
    bool matches;
    const char *names; /* up to the key's */
} names[] = {
    {"cn.example", FACTORY_AK_EXTENSIONS, "cn.example", true,
     "cn.example, sha"},
    {"cn.example", FACTORY_AK_EXTENSIONS, "CN.Example", true,
     "cn.example, sha"},
    /* the common name counts only for want of a dNSName */
    {"cn.example", SAN("DNS:san.example"), "cn.example", false,
     "san.example, s"},
    {"cn.example", SAN("DNS:san.example"), "san.example", true,
     "san.example, s"},
    {"cn.example", SAN("IP:10.0.0.1"), "cn.example", true, "cn.example, sha"},
    {"cn.example", SAN("DNS:a.example,DNS:b.example"), "b.example", true,
     "a.example, b.example, sha"},
    {"cn.example", SAN("DNS:a b.example"), "cn.example", false, "sha256:"},
    /* "good.example\0.evil" in a dNSName */
    {"cn.example",
     FACTORY_AK_EXTENSIONS "2.5.29.17=DER:3014821267"
                           "6f6f642e6578616d706c65002e6576696c",
     "good.example", false, "sha256:"},
    {"google:prj/us-a/vm", FACTORY_AK_EXTENSIONS, "google:prj/us-a/vm", false,
     "sha256:"},
    {NULL, FACTORY_AK_EXTENSIONS "subjectAltName=critical,DNS:san.example",
     "san.example", true, "san.example, s"},
    {"cn.example", GOOGLE(GOOGLE_HEX), "google:prj/us-a/vm", true,
     "cn.example, google:prj/us-a/vm, sha256:"},
    {"cn.example", GOOGLE(GOOGLE_HEX), "google:PRJ/us-a/vm", false,
     "cn.example, google:prj/us-a/vm, sha256:"},
    {"cn.example", GOOGLE(GOOGLE_HEX), "google:prj/us-a/other", false,
     "cn.example, google:prj/us-a/vm, sha256:"},
    {"cn.example", GOOGLE(GOOGLE_HEX), "cn.example", true,
     "cn.example, google:prj/us-a/vm, sha256:"},
    /* the instance is missing; is an integer; is empty; holds a slash */
    {"cn.example", GOOGLE("30110c0475732d610201010c0370726a020102"),
     "google:prj/us-a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE("30140c0475732d610201010c0370726a020102020103"),
     "google:prj/us-a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE("30130c0475732d610201010c0370726a0201020c00"),
     "google:prj/us-a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE("30150c0475732f610201010c0370726a0201020c02766d"),
     "google:prj/us/a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE("0500"), "google:prj/us-a/vm", false,
     "cn.example, sha256:"},
    {"cn.example", GOOGLE("30ff"), "google:prj/us-a/vm", false,
     "cn.example, sha256:"},
};

START_TEST(test_machine_names)
{
    char text[256];

    f.ak.cn = names[_i].cn;
    f.ak.extensions = names[_i].extensions;
    factory_make(&f);
    section = factory_section_new();
    factory_section_trust(section, f.root_cert);
    factory_section_eku(section, "2.23.133.8.3");
    factory_section_machine(section, names[_i].pattern);
    if (names[_i].matches)
        assert_trusted(check_chain());
    else
        assert_refused(check_chain(), ATLS_E_MACHINE, names[_i].pattern);
    atls_trust_machine_names(f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, names[_i].names, strlen(names[_i].names)) == 0,
                  "%s", text);
}
END_TEST

/* A SAN that cannot be read does not bring the common name back. */
START_TEST(test_machine_names_of_an_unreadable_san)
{
    char text[256];

    f.ak.cn = "cn.example";
    f.ak.extensions = FACTORY_AK_EXTENSIONS "2.5.29.17=DER:30038201";
    factory_make(&f);
    atls_trust_machine_names(f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "sha256:", 7) == 0, "%s", text);
}
END_TEST

START_TEST(test_machine_names_are_cut)
{
    const struct atls_span rubbish = {(const uint8_t *)"rubbish", 7};
    char text[8];

    make();
    atls_trust_machine_names(f.evidence.chain[0], text, sizeof(text));
    ck_assert_str_eq(text, "machine");
    atls_trust_machine_names(rubbish, text, sizeof(text));
    ck_assert_str_eq(text, "");
}
END_TEST

/* A DNS pattern must not match a name of another kind, nor the reverse. */
START_TEST(test_machine_kinds)
{
    ck_assert(!atls_machine_matches("google:a/b/c", ATLS_MACHINE_DNS,
                                    "google:a/b/c"));
    ck_assert(
        !atls_machine_matches("sha256:00", ATLS_MACHINE_DNS, "sha256:00"));
    ck_assert(
        !atls_machine_matches("a.example", ATLS_MACHINE_KEY, "a.example"));
    ck_assert(
        !atls_machine_matches("a.example", ATLS_MACHINE_GOOGLE, "a.example"));
    ck_assert(atls_machine_matches("sha256:AB", ATLS_MACHINE_KEY, "sha256:ab"));
}
END_TEST

/* --- words ----------------------------------------------------------------- */

START_TEST(test_describe)
{
    const struct atls_span rubbish = {(const uint8_t *)"rubbish", 7};
    char text[ATLS_SUBJECT_MAX];
    char date[ATLS_DATE_MAX];

    make();
    atls_certificate_describe(f.evidence.chain[0], text, sizeof(text));
    ck_assert_str_eq(text, "CN=machine0.example, until 2026-10-28");
    atls_certificate_describe(rubbish, text, sizeof(text));
    ck_assert_str_eq(text, "unreadable certificate");
    atls_certificate_date(NULL, date);
    ck_assert_str_eq(date, "?");
    atls_certificate_date_of(INT64_MAX, date);
    ck_assert_str_eq(date, "?");
}
END_TEST

/* Google's AK certificates have an empty subject. */
START_TEST(test_describe_empty_subject)
{
    char text[ATLS_SUBJECT_MAX];

    f.ak.cn = NULL;
    f.ak.extensions =
        FACTORY_AK_EXTENSIONS "subjectAltName=critical,DNS:san.example";
    make();
    atls_certificate_describe(f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "serial ", 7) == 0, "%s", text);
}
END_TEST

/* --- certificates of clouds ------------------------------------------------ */

#define CHAIN_FILES 3

struct cloud {
    struct atls_span chain[ATLS_CHAIN_MAX];
    uint8_t *ders[ATLS_CHAIN_MAX];
    size_t count;
    X509 *trust;
};

static X509 *read_certificate(const char *folder, const char *name)
{
    const char *srcdir = getenv("srcdir");
    char path[512];
    FILE *file;
    X509 *cert;

    (void)snprintf(path, sizeof(path), "%s/../shared/vectors/%s/%s",
                   srcdir != NULL ? srcdir : ".", folder, name);
    file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    cert = strstr(name, ".pem") != NULL ? PEM_read_X509(file, NULL, NULL, NULL)
                                        : d2i_X509_fp(file, NULL);
    (void)fclose(file);
    ck_assert_ptr_nonnull(cert);
    return cert;
}

static void add_to_chain(struct cloud *cloud, X509 *cert)
{
    struct atls_span *at = &cloud->chain[cloud->count];

    factory_der(cert, &cloud->ders[cloud->count], &at->len);
    at->data = cloud->ders[cloud->count++];
    X509_free(cert);
}

/* AK certificate and intermediate (may be NULL) as chain, trust as anchor.
 * False where the vectors are not there: they are no part of the sources. */
static bool read_cloud(struct cloud *cloud, const char *folder, const char *ak,
                       const char *intermediate, const char *trust)
{
    X509 *cert = read_certificate(folder, ak);

    memset(cloud, 0, sizeof(*cloud));
    if (cert == NULL) {
        (void)fprintf(stderr, "# no vectors: %s was not tried\n", folder);
        return false;
    }
    add_to_chain(cloud, cert);
    if (intermediate != NULL)
        add_to_chain(cloud, read_certificate(folder, intermediate));
    cloud->trust = read_certificate(folder, trust);
    section = factory_section_new();
    factory_section_trust(section, cloud->trust);
    return true;
}

static void clear_cloud(struct cloud *cloud)
{
    X509_free(cloud->trust);
    for (size_t i = 0; i < cloud->count; i++)
        OPENSSL_free(cloud->ders[i]);
}

#define AZURE_2023 INT64_C(1699488000) /* 2023-11-09 */
#define AZURE_2025 INT64_C(1764979200) /* 2025-12-06 */

START_TEST(test_azure_confidential_vm)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-cvm-2025-12-ca03", "ak_cert.pem",
                    "intermediates.pem", "root.pem"))
        return;
    factory_section_eku(section, "2.23.133.8.3");
    factory_section_machine(section, "*.ConfidentialVM.Azure.windows.net");
    assert_trusted(check_spans(cloud.chain, cloud.count, AZURE_2025));
    assert_refused(
        check_spans(cloud.chain, cloud.count, AZURE_2025 + 400 * FACTORY_DAY),
        ATLS_E_CHAIN_EXPIRED, "Azure.windows.net expired 2026-11-30");
    clear_cloud(&cloud);
}
END_TEST

START_TEST(test_azure_trusted_launch)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-tl-2023-11-blindllama", "ak_cert.pem",
                    "intermediates.pem", "root.pem"))
        return;
    factory_section_eku(section, "2.23.133.8.3");
    factory_section_machine(section, "5efaacb0f4d9.TrustedVM.Azure.Microsoft");
    assert_trusted(check_spans(cloud.chain, cloud.count, AZURE_2023));
    /* What BlindLlama's proof is today. */
    assert_refused(check_spans(cloud.chain, cloud.count, FACTORY_NOW),
                   ATLS_E_CHAIN_EXPIRED,
                   "CA certificate CN=Global Virtual TPM CA - 01 expired "
                   "2025-11-03");
    assert_refused(
        check_spans(cloud.chain, cloud.count, INT64_C(1735689600)),
        ATLS_E_CHAIN_EXPIRED,
        "AK certificate CN=5efaacb0f4d9.TrustedVM.Azure.Microsoft expired "
        "2024-11-03; expected one that is valid on 2025-01-01");
    clear_cloud(&cloud);
}
END_TEST

/* AICert shipped this chain and never looked at it. */
START_TEST(test_E18_aicert_wrong_chain)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-tl-2023-07-aicert-wrong-chain",
                    "ak_cert.pem", "intermediates.pem", "root.pem"))
        return;
    section->ak_eku_any = section->machines_any = true;
    assert_refused(check_spans(cloud.chain, cloud.count, INT64_C(1691971200)),
                   ATLS_E_CHAIN_UNTRUSTED,
                   "AK certificate CN=bb3f6fbbf18c.TrustedVM.Azure.Microsoft "
                   "leads to no certificate");
    clear_cloud(&cloud);
}
END_TEST

START_TEST(test_google_shielded_vm)
{
    struct cloud cloud;
    char text[256];

    if (!read_cloud(&cloud, "gce-cos85-nonce9009-sha256", "ak_cert.der", NULL,
                    "intermediates.der"))
        return;
    factory_section_eku(section, "2.23.133.8.1");
    factory_section_machine(
        section, "google:google.com:wuale-gcp-testing/us-central1-a/cos-test");
    assert_trusted(check_spans(cloud.chain, cloud.count, FACTORY_NOW));
    atls_trust_machine_names(cloud.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "google:google.com:wuale-gcp-testing/", 36)
                      == 0,
                  "%s", text);
    clear_cloud(&cloud);
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

    make();
    assert_trusted(check_chain());
    allocation_fail_at(0);
    assert_trusted(check_chain());
    total = allocation_count();
    ck_assert_uint_gt(total, 0);
    for (size_t n = 1; n <= total; n += trial_stride()) {
        enum atls_error r;

        memset(&why, 0, sizeof(why));
        allocation_fail_at(n);
        r = atls_trust_check(section, f.evidence.chain, f.evidence.chain_count,
                             FACTORY_NOW, &why, &trust);
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

int main(void)
{
    Suite *suite = suite_create("trust");
    TCase *tcase = tcase_create("chain");
    SRunner *runner;
    int failed;

    allocation_install();
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_good_chain, 0, COUNT(good_plans));
    tcase_add_test(tcase, test_intermediate_as_trust_anchor);
    tcase_add_test(tcase, test_intermediate_beside_its_root_as_trust_anchor);
    tcase_add_loop_test(tcase, test_E18_bad_chain, 0, COUNT(bad_plans));
    tcase_add_test(tcase, test_E18_no_certificate);
    tcase_add_test(tcase, test_E18_too_many_certificates);
    tcase_add_test(tcase, test_E18_foreign_root);
    tcase_add_test(tcase, test_E18_section_without_trust);
    tcase_add_test(tcase, test_E18_missing_intermediate);
    tcase_add_test(tcase, test_order_of_intermediates);
    tcase_add_test(tcase, test_E18_root_in_the_evidence);
    tcase_add_test(tcase, test_E18_self_signed_ak_even_if_pinned);
    tcase_add_test(tcase, test_E18_unused_certificate);
    tcase_add_test(tcase, test_E18_certificate_twice);
    tcase_add_test(tcase, test_E12_octets_behind_a_certificate);
    tcase_add_test(tcase, test_E12_cut_certificate);
    tcase_add_test(tcase, test_E12_certificate_not_in_der);
    tcase_add_test(tcase, test_key_comes_with_a_refused_chain);
    tcase_add_test(tcase, test_no_key_without_a_certificate);
    tcase_add_test(tcase, test_any_eku);
    tcase_add_test(tcase, test_one_of_several_ekus);
    tcase_add_test(tcase, test_section_without_eku);
    tcase_add_test(tcase, test_E5_other_machine);
    tcase_add_test(tcase, test_no_machine_and_any_machine);
    tcase_add_test(tcase, test_machine_by_key);
    tcase_add_loop_test(tcase, test_machine_names, 0, COUNT(names));
    tcase_add_test(tcase, test_machine_names_of_an_unreadable_san);
    tcase_add_test(tcase, test_machine_names_are_cut);
    tcase_add_test(tcase, test_machine_kinds);
    tcase_add_test(tcase, test_describe);
    tcase_add_test(tcase, test_describe_empty_subject);
    tcase_add_test(tcase, test_azure_confidential_vm);
    tcase_add_test(tcase, test_azure_trusted_launch);
    tcase_add_test(tcase, test_E18_aicert_wrong_chain);
    tcase_add_test(tcase, test_google_shielded_vm);
    tcase_add_test(tcase, test_R3_allocations_fail);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    factory_free_keys();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
