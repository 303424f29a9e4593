/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/path.c: which way a chain goes (catalogue E18). check_trust.c
 * has what may be wrong with a certificate on it. */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/trust.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * A PKI with more ways than one. Letters stand for name and key, a second one for
 * the issuer:
 *
 *     R  S        roots, of names "AK root" and "Other root"
 *     r           another root of R's name with a key of its own
 *     Q           R, with the same key, expired
 *     I  i        CA "AK issuer 1" under R, and the same CA under S
 *     J           CA "AK issuer 2" under I
 *     K           CA "AK issuer 4" under J
 *     j           another CA of J's name, under K: their key identifiers do not
 *                 tell them apart
 *     N           r's name and key, under R: the new key of a root
 *     X           R's name and key, under S: a cross certificate
 *     A           the AK under I        B   the AK under J
 *     C           the AK under j
 *     D           the AK under r
 *     V           an AK of X.509 version 1, under R
 *     W           a CA of X.509 version 1 under R, and E the AK under it
 */
enum letter { R, S, r, Q, I, i, J, K, j, N, X, A, B, C, D, V, W, E, LETTERS };
static const char letters[] = "RSrQIiJKjNXABCDVWE";

static struct trial t;
static X509 *certs[LETTERS];

static struct factory_cert plan_of(const struct factory_cert *like,
                                   const char *cn, unsigned key, X509 *issuer,
                                   unsigned issuer_key)
{
    struct factory_cert plan = *like;

    plan.cn = cn;
    plan.key = factory_key(FACTORY_P256, key);
    plan.issuer = issuer;
    plan.issuer_key = factory_key(FACTORY_P256, issuer_key);
    return plan;
}

/* Numbers of keys. */
enum { KEY_R, KEY_S, KEY_r, KEY_I, KEY_J, KEY_K, KEY_j, KEY_AK, KEY_W };

static X509 *ca(const char *cn, unsigned key, X509 *issuer, unsigned issuer_key)
{
    struct factory_cert plan = plan_of(&t.f.root, cn, key, issuer, issuer_key);

    return factory_certificate(&plan);
}

/* "AK issuer 2": every key of it has the same identifier. */
static X509 *ambiguous_ca(unsigned key, X509 *issuer, unsigned issuer_key)
{
    struct factory_cert plan =
        plan_of(&t.f.root, "AK issuer 2", key, issuer, issuer_key);

    plan.extensions = "basicConstraints=critical,CA:TRUE\n"
                      "keyUsage=critical,keyCertSign\n"
                      "subjectKeyIdentifier=01020304\n"
                      "authorityKeyIdentifier=keyid\n";
    return factory_certificate(&plan);
}

static X509 *ak(X509 *issuer, unsigned issuer_key)
{
    struct factory_cert plan =
        plan_of(&t.f.ak, "machine0.example", KEY_AK, issuer, issuer_key);

    return factory_certificate(&plan);
}

static X509 *expired_root(void)
{
    struct factory_cert plan =
        plan_of(&t.f.root, "AK root", KEY_R, NULL, KEY_R);

    plan.not_after = FACTORY_NOW - FACTORY_DAY;
    return factory_certificate(&plan);
}

static X509 *ak_of_keyless(X509 *issuer, unsigned issuer_key)
{
    struct factory_cert plan =
        plan_of(&t.f.ak, "machine0.example", KEY_AK, issuer, issuer_key);

    plan.extensions =
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=DER:3006800401020304\n" FACTORY_AK_USAGE
            FACTORY_AK_EKU;
    return factory_certificate(&plan);
}

/* Version 1 has no extensions. */
static X509 *version_1(const char *cn, unsigned key, X509 *issuer,
                       unsigned issuer_key)
{
    struct factory_cert plan = plan_of(&t.f.ak, cn, key, issuer, issuer_key);
    X509 *cert;

    plan.extensions = NULL;
    cert = factory_certificate(&plan);
    ck_assert(X509_set_version(cert, X509_VERSION_1)
              && X509_sign(cert, plan.issuer_key, EVP_sha256()) > 0);
    return cert;
}

static void make_pki(void)
{
    certs[R] = ca("AK root", KEY_R, NULL, KEY_R);
    certs[S] = ca("Other root", KEY_S, NULL, KEY_S);
    certs[r] = ca("AK root", KEY_r, NULL, KEY_r);
    certs[Q] = expired_root();
    certs[I] = ca("AK issuer 1", KEY_I, certs[R], KEY_R);
    certs[i] = ca("AK issuer 1", KEY_I, certs[S], KEY_S);
    certs[J] = ambiguous_ca(KEY_J, certs[I], KEY_I);
    certs[K] = ca("AK issuer 4", KEY_K, certs[J], KEY_J);
    certs[j] = ambiguous_ca(KEY_j, certs[K], KEY_K);
    certs[N] = ca("AK root", KEY_r, certs[R], KEY_R);
    certs[X] = ca("AK root", KEY_R, certs[S], KEY_S);
    certs[A] = ak(certs[I], KEY_I);
    certs[B] = ak(certs[J], KEY_J);
    certs[C] = ak(certs[j], KEY_j);
    certs[D] = ak(certs[r], KEY_r);
    certs[V] = version_1("machine0.example", KEY_AK, certs[R], KEY_R);
    certs[W] = version_1("AK issuer 3", KEY_W, certs[R], KEY_R);
    certs[E] = ak_of_keyless(certs[W], KEY_W);
}

static void setup(void)
{
    trial_begin(&t);
    make_pki();
    t.section = factory_section_new();
    factory_section_eku(t.section, "2.23.133.8.3");
    factory_section_machine(t.section, "machine0.example");
}

static void teardown(void)
{
    for (size_t n = 0; n < LETTERS; n++)
        X509_free(certs[n]);
    trial_end(&t);
}

static X509 *cert_of(char letter)
{
    const char *at = strchr(letters, letter);

    ck_assert(letter != '\0' && at != NULL);
    return certs[at - letters];
}

/* Check the chain of these letters under the trust of those. */
static void check_chain(const char *trust, const char *chain)
{
    struct atls_span spans[ATLS_CHAIN_MAX];
    uint8_t *ders[ATLS_CHAIN_MAX];
    size_t count = strlen(chain);

    for (const char *at = trust; *at != '\0'; at++)
        factory_section_trust(t.section, cert_of(*at));
    for (size_t n = 0; n < count; n++) {
        factory_der(cert_of(chain[n]), &ders[n], &spans[n].len);
        spans[n].data = ders[n];
    }
    (void)trial_chain(&t, spans, count, FACTORY_NOW);
    for (size_t n = 0; n < count; n++)
        OPENSSL_free(ders[n]);
}

static const struct {
    const char *trust;
    const char *chain;
} good[] = {
    {"R", "AI"},
    {"R", "BJI"},
    {"R", "BIJ"},
    /* Anchors beside the path, of the same names. */
    {"RS", "AI"},
    {"SR", "Ai"},
    {"Rr", "AI"},
    {"rR", "AI"},
    {"rR", "D"},
    {"QR", "AI"},
    {"RQ", "AI"},
    /* An intermediate as anchor: sent or not, with its root or without. */
    {"I", "A"},
    {"I", "AI"},
    {"RI", "A"},
    {"RI", "AI"},
    {"IJ", "BJI"},
    {"IJ", "BJ"},
    {"IJ", "B"},
    {"IJR", "BJI"},
    /* ... whose root has expired. */
    {"IQ", "AI"},
    {"QI", "A"},
    {"IJQ", "BIJ"},
    /* Cross-signed: the certificate of the way that was sent, whatever shorter
     * way the anchors offer. */
    {"S", "Ai"},
    {"Ri", "AI"},
    {"Si", "Ai"},
    {"SI", "Ai"},
    {"S", "AIX"},
    {"RS", "AIX"},
    {"SR", "AXI"},
    {"S", "BXJI"},
    {"RX", "AI"},
    {"X", "AI"},
    {"X", "AIX"},
    {"RX", "AIX"},
    /* A new key of a root, certified by the old one. */
    {"R", "DN"},
    {"Rr", "DN"},
    {"R", "CjKJI"},
    {"R", "CJKjI"},
    {"R", "CIJKj"},
    /* Anchors that only their keys tell apart. */
    {"Jj", "B"},
    {"jJ", "B"},
    {"Jj", "C"},
    {"jJ", "C"},
    {"jJR", "BJI"},
};

START_TEST(test_E18_path)
{
    check_chain(good[_i].trust, good[_i].chain);
    ck_assert_msg(t.why.code == ATLS_OK, "%s under %s: %s", good[_i].chain,
                  good[_i].trust, t.why.text);
}
END_TEST

#define UNUSED(number, name)                                                  \
    "certificate " number " of the AK chain, CN=" name ", is not needed for " \
    "the path to the trusted root; remove it from ak_chain"

static const struct {
    const char *trust;
    const char *chain;
    enum atls_error code;
    const char *text;
} bad[] = {
    /* Both ways were sent. */
    {"R", "AIi", ATLS_E_CHAIN_UNUSED,
     "certificates 2 and 3 of the AK chain are two of one CA, CN=AK issuer 1; "
     "keep the one that leads to the trusted root in ak_chain"},
    {"RS", "AiI", ATLS_E_CHAIN_UNUSED, "are two of one CA, CN=AK issuer 1"},
    {"R", "BJiI", ATLS_E_CHAIN_UNUSED, "certificates 3 and 4 of the AK chain"},
    /* The cross certificate is above the trusted root. */
    {"R", "AIX", ATLS_E_CHAIN_UNUSED, UNUSED("3", "AK root")},
    {"R", "AXI", ATLS_E_CHAIN_UNUSED, UNUSED("2", "AK root")},
    /* ... and the intermediate above the trusted one. */
    {"J", "BJI", ATLS_E_CHAIN_UNUSED, UNUSED("3", "AK issuer 1")},
    {"J", "BIJ", ATLS_E_CHAIN_UNUSED, UNUSED("2", "AK issuer 1")},
    {"J", "BI", ATLS_E_CHAIN_UNUSED, UNUSED("2", "AK issuer 1")},
    {"I", "AIX", ATLS_E_CHAIN_UNUSED, UNUSED("3", "AK root")},
    /* An anchor that the path does not meet is as little of use. */
    {"RJ", "AIJ", ATLS_E_CHAIN_UNUSED, UNUSED("3", "AK issuer 2")},
    /* The other way was sent, or half of it. */
    {"R", "Ai", ATLS_E_CHAIN_UNTRUSTED,
     "CA certificate CN=AK issuer 1 leads to no certificate of the policy's "
     "trust file: expected its issuer CN=Other root there"},
    {"S", "AI", ATLS_E_CHAIN_UNTRUSTED, "expected its issuer CN=AK root there"},
    {"R", "BI", ATLS_E_CHAIN_UNTRUSTED,
     "AK certificate CN=machine0.example leads to no certificate of the "
     "policy's trust file: expected its issuer CN=AK issuer 2 there"},
    {"R", "BJ", ATLS_E_CHAIN_UNTRUSTED,
     "CA certificate CN=AK issuer 2 leads to no certificate of the policy's "
     "trust file: expected its issuer CN=AK issuer 1 there"},
    {"r", "AI", ATLS_E_CHAIN_UNTRUSTED,
     "expected its issuer CN=AK root there; one of that name is there, with "
     "another key"},
    {"R", "D", ATLS_E_CHAIN_UNTRUSTED,
     "expected its issuer CN=AK root there; one of that name is there, with "
     "another key"},
    {"", "AI", ATLS_E_CHAIN_UNTRUSTED, "expected its issuer CN=AK root there"},
    /* Anchors that have expired. */
    {"Q", "AI", ATLS_E_CHAIN_EXPIRED,
     "CA certificate CN=AK root expired 2025-12-31; expected one that is valid "
     "on 2026-01-01: renew it in the policy's trust file"},
    {"Q", "BJI", ATLS_E_CHAIN_EXPIRED, "CA certificate CN=AK root expired"},
    /* X.509 version 1: no key usage, EKU or basic constraints. */
    {"R", "V", ATLS_E_CHAIN_EKU, "expected 2.23.133.8.3, found none"},
    {"R", "EW", ATLS_E_CHAIN_USAGE,
     "CA certificate CN=AK issuer 3 cannot be used in an AK chain: invalid CA "
     "certificate"},
    /* The AK's certificate is the first, also where a CA's would lead on. */
    {"R", "IA", ATLS_E_CHAIN_UNUSED, UNUSED("2", "machine0.example")},
    {"R", "I", ATLS_E_CHAIN_USAGE,
     "AK certificate CN=AK issuer 1 is a CA's; expected an end entity"},
    {"I", "I", ATLS_E_CHAIN_USAGE,
     "AK certificate CN=AK issuer 1 is a CA's; expected an end entity"},
};

START_TEST(test_E18_bad_path)
{
    check_chain(bad[_i].trust, bad[_i].chain);
    trial_chain_was_refused(&t, bad[_i].code, bad[_i].text);
    ck_assert_msg((strstr(t.why.text, "another key") != NULL)
                      == (strstr(bad[_i].text, "another key") != NULL),
                  "%s", t.why.text);
}
END_TEST

/* Every order of the longest chain that goes through two CAs of one name. */
START_TEST(test_E18_any_order)
{
    static const char *const orders[] = {
        "jKJIX", "XIJKj", "JjKIX", "JKIXj", "JXjKI", "KJjIX", "KjJXI",
        "IJjXK", "IXKJj", "XJIjK", "jJKIX", "jXKIJ", "IjXJK", "KXIJj"};
    char chain[8] = "C";

    memcpy(chain + 1, orders[_i], 5);
    check_chain("S", chain);
    trial_chain_was_trusted(&t);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_E18_path, 0, COUNT(good)),
    LOOP(test_E18_bad_path, 0, COUNT(bad)),
    LOOP(test_E18_any_order, 0, 14),
};

SUITE(.name = "trust_paths", .end = factory_free_keys,
      .cases = {CASE("trust_paths", tests, 120, setup, teardown)});
