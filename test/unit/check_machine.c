/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/{machine,certificate}.c: the names of machines, and words
 * about certificates. */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/certificate.h"
#include "verifier/machine.h"
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

/* --- machines -------------------------------------------------------------- */

static void set_machines(const char *pattern)
{
    for (size_t i = 0; i < t.section->machine_count; i++)
        OPENSSL_free(t.section->machines[i]);
    t.section->machine_count = 0;
    factory_section_machine(t.section, pattern);
}

START_TEST(test_E5_other_machine)
{
    trial_make(&t);
    set_machines("machine1.example");
    trial_chain_refused(&t, ATLS_E_MACHINE,
                        "AK certificate is for machine0.example, sha256:");
    trial_chain_refused(&t, ATLS_E_MACHINE,
                        "; expected machine machine1.example");
    factory_section_machine(t.section, "*.elsewhere.example");
    trial_chain_refused(&t, ATLS_E_MACHINE,
                        "machine1.example or others of the policy");
    factory_section_machine(t.section, "*.example");
    trial_chain_trusted(&t);
}
END_TEST

START_TEST(test_no_machine_and_any_machine)
{
    trial_make(&t);
    t.section->machine_count = 0;
    trial_chain_refused(&t, ATLS_E_MACHINE, "expected machine (none)");
    t.section->machines_any = true;
    trial_chain_trusted(&t);
    t.section->machine_count = 1;
}
END_TEST

/* "sha256:" and the hash of a key. */
static void key_pattern(EVP_PKEY *key, char ret[128])
{
    uint8_t digest[ATLS_SHA256_LEN];
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    ck_assert_int_gt(len, 0);
    ck_assert_int_eq(atls_sha256(der, (size_t)len, digest), ATLS_OK);
    OPENSSL_free(der);
    strcpy(ret, "sha256:");
    atls_hex(digest, sizeof(digest), ret + strlen(ret));
}

START_TEST(test_machine_by_key)
{
    char pattern[128];

    trial_make(&t);
    key_pattern(t.f.ak.key, pattern);
    set_machines(pattern);
    trial_chain_trusted(&t);
    pattern[strlen(pattern) - 1] ^= 1;
    set_machines(pattern);
    trial_chain_refused(&t, ATLS_E_MACHINE, "expected machine sha256:");
}
END_TEST

/*
 * E5: a CA was brought to certify the AK of another TPM for the same name
 * (CVE-2025-13609). A list of names lets both pass, as it says nothing of keys;
 * the hash of the key lets one.
 */
START_TEST(test_E5_same_name_other_tpm)
{
    EVP_PKEY *genuine = t.f.ak.key;
    char pattern[128];

    trial_make(&t);
    trial_chain_trusted(&t);
    factory_clear(&t.f);
    factory_init(&t.f, 0);
    t.f.ak.key = factory_key(FACTORY_P256, 3);
    trial_make(&t);
    set_machines("machine0.example");
    trial_chain_trusted(&t);
    key_pattern(genuine, pattern);
    set_machines(pattern);
    trial_chain_refused(&t, ATLS_E_MACHINE,
                        "AK certificate is for machine0.example, sha256:");
    trial_chain_refused(&t, ATLS_E_MACHINE, "; expected machine sha256:");
    /* Any entry of a list is enough. */
    factory_section_machine(t.section, "google:p/z/i");
    factory_section_machine(t.section, "machine1.example");
    trial_chain_refused(&t, ATLS_E_MACHINE, " or others of the policy");
    key_pattern(t.f.ak.key, pattern);
    factory_section_machine(t.section, pattern);
    trial_chain_trusted(&t);
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
    /* P7: case, trailing dots, labels */
    {"cn.example", SAN("DNS:SAN.Example"), "san.example", true,
     "SAN.Example, s"},
    {"cn.example", SAN("DNS:san.example."), "san.example", true,
     "san.example., s"},
    {"cn.example", SAN("DNS:san.example.."), "san.example", false,
     "san.example.., s"},
    {"cn.example", SAN("DNS:.san.example"), "*.san.example", false,
     ".san.example, s"},
    {"cn.example", SAN("DNS:a.b.example"), "*.example", false,
     "a.b.example, s"},
    {"cn.example", SAN("DNS:example"), "*.example", false, "example, s"},
    {"cn.example", SAN("DNS:my_host.example"), "my_host.example", true,
     "my_host.example, s"},
    {"cn.example", SAN("DNS:xn--bcher-kva.example"), "XN--Bcher-Kva.example",
     true, "xn--bcher-kva.example, s"},
    /* a wildcard is the policy's, never the certificate's */
    {"cn.example", SAN("DNS:*.example"), "host.example", false,
     "*.example, sha"},
    {"cn.example", SAN("DNS:*.example"), "*.example", false, "*.example, sha"},
    {"*.example", FACTORY_AK_EXTENSIONS, "*.example", false, "*.example, sha"},
    /* addresses are no names, wherever they stand */
    {"10.0.0.1", FACTORY_AK_EXTENSIONS, "10.0.0.1", false, "10.0.0.1, sha"},
    {"10.0.0.1", FACTORY_AK_EXTENSIONS, "10.0.0.0/8", false, "10.0.0.1, sha"},
    {"cn.example", SAN("DNS:10.0.0.1"), "0.0.0.0/0", false, "10.0.0.1, sha"},
    {"cn.example", SAN("DNS:2001:db8::1"), "2001:db8::1", false,
     "2001:db8::1, sha"},
    {"cn.example", SAN("IP:10.0.0.1"), "10.0.0.1", false, "cn.example, sha"},
    {"cn.example", SAN("DNS:1.2.3"), "1.2.3", false, "1.2.3, sha"},
    /* names of other kinds in a SAN are not looked at */
    {"cn.example", SAN("URI:https\\://uri.example,email:m@mail.example"),
     "uri.example", false, "cn.example, sha"},
    /* "san.example\0": a zero at the end is as bad as one within */
    {"cn.example",
     FACTORY_AK_EXTENSIONS "2.5.29.17=DER:300e820c73616e2e6578616d706c6500",
     "san.example", false, "sha256:"},
    /* a U-label in octets, "b\xc3\xbccher.example", one of several names */
    {"cn.example",
     FACTORY_AK_EXTENSIONS
     "2.5.29.17=DER:301e820f62c3bc636865722e6578616d706c65820b6f6b2e616c736f"
     "2e63616e",
     "ok.also.can", true, "ok.also.can, s"},
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
    /* octets behind the sequence; the extension twice; "vm\\0" */
    {"cn.example", GOOGLE(GOOGLE_HEX "00"), "google:prj/us-a/vm", false,
     "cn.example, sha256:"},
    {"cn.example",
     GOOGLE(GOOGLE_HEX) "\n1.3.6.1.4.1.11129.2.1.21=DER:" GOOGLE_HEX,
     "google:prj/us-a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE("30160c0475732d610201010c0370726a0201020c03766d00"),
     "google:prj/us-a/vm", false, "cn.example, sha256:"},
    {"cn.example", GOOGLE(GOOGLE_HEX), "google:prj/us-a/v*", false,
     "cn.example, google:prj/us-a/vm, sha256:"},
    {"cn.example", GOOGLE("0500"), "google:prj/us-a/vm", false,
     "cn.example, sha256:"},
    {"cn.example", GOOGLE("30ff"), "google:prj/us-a/vm", false,
     "cn.example, sha256:"},
};

START_TEST(test_P7_machine_names)
{
    char text[256];

    t.f.ak.cn = names[_i].cn;
    t.f.ak.extensions = names[_i].extensions;
    factory_make(&t.f);
    t.section = factory_section_new();
    factory_section_trust(t.section, t.f.root_cert);
    factory_section_eku(t.section, "2.23.133.8.3");
    factory_section_machine(t.section, names[_i].pattern);
    if (names[_i].matches)
        trial_chain_trusted(&t);
    else
        trial_chain_refused(&t, ATLS_E_MACHINE, names[_i].pattern);
    atls_trust_machine_names(t.f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, names[_i].names, strlen(names[_i].names)) == 0,
                  "%s", text);
}
END_TEST

/* A SAN that cannot be read does not bring the common name back. */
START_TEST(test_machine_names_of_an_unreadable_san)
{
    char text[256];

    t.f.ak.cn = "cn.example";
    t.f.ak.extensions = FACTORY_AK_EXTENSIONS "2.5.29.17=DER:30038201";
    trial_make(&t);
    trial_chain_refused(&t, ATLS_E_CHAIN_USAGE,
                        "certificate 1 of the AK chain, CN=cn.example, has an "
                        "extension that cannot be read; its CA must issue it "
                        "anew");
    atls_trust_machine_names(t.f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "sha256:", 7) == 0, "%s", text);
}
END_TEST

START_TEST(test_machine_names_are_cut)
{
    const struct atls_span rubbish = {(const uint8_t *)"rubbish", 7};
    char text[8];

    trial_make(&t);
    atls_trust_machine_names(t.f.evidence.chain[0], text, sizeof(text));
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

    trial_make(&t);
    atls_certificate_describe(t.f.evidence.chain[0], text, sizeof(text));
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

    t.f.ak.cn = NULL;
    t.f.ak.extensions =
        FACTORY_AK_EXTENSIONS "subjectAltName=critical,DNS:san.example";
    trial_make(&t);
    atls_certificate_describe(t.f.evidence.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "serial ", 7) == 0, "%s", text);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_E5_other_machine),
    ONCE(test_E5_same_name_other_tpm),
    ONCE(test_no_machine_and_any_machine),
    ONCE(test_machine_by_key),
    LOOP(test_P7_machine_names, 0, COUNT(names)),
    ONCE(test_machine_names_of_an_unreadable_san),
    ONCE(test_machine_names_are_cut),
    ONCE(test_machine_kinds),
    ONCE(test_describe),
    ONCE(test_describe_empty_subject),
};

SUITE(.name = "machine", .end = factory_free_keys,
      .cases = {CASE("machine", tests, 120, setup, teardown)});
