/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/{path,path_error,policy_crl}.c: revocation (E18, P11). */
#include <check.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/allocation.h"
#include "lib/factory.h"
#include "lib/factory_crl.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/policy.h"
#include "verifier/trust.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HEX32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
    scratch_make();
}

static void teardown(void)
{
    trial_end(&t);
    scratch_remove();
}

/* --- in the handshake ------------------------------------------------------ */

static struct factory_crl root_crl(void)
{
    return factory_crl_plan(t.f.root_cert, t.f.root.key);
}

/* Of the AK's issuer, which comes with the evidence only. */
static struct factory_crl issuer_crl(void)
{
    return factory_crl_plan(t.f.intermediate_certs[0],
                            t.f.intermediates[0].key);
}

static void add(struct factory_crl crl)
{
    factory_section_crl(t.section, &crl);
}

static void trust_issuer_instead(void)
{
    X509_STORE_free(t.section->trust);
    t.section->trust = X509_STORE_new();
    factory_section_trust(t.section, t.f.intermediate_certs[0]);
}

static void crl_of_issuer(void)
{
    add(issuer_crl());
}

static void crl_of_each(void)
{
    add(issuer_crl());
    add(root_crl());
}

static void others_revoked(void)
{
    struct factory_crl crl = issuer_crl();

    crl.revoked[0] = t.f.leaf_cert;
    crl.revoked[1] = t.f.root_cert;
    add(crl);
}

static void old_and_new(void)
{
    struct factory_crl old = issuer_crl();

    old.last_update -= 20 * FACTORY_DAY;
    old.next_update -= 20 * FACTORY_DAY;
    add(old);
    add(issuer_crl());
}

static void last_second(void)
{
    struct factory_crl crl = issuer_crl();

    crl.next_update = FACTORY_NOW + 1;
    add(crl);
}

static void first_second(void)
{
    struct factory_crl crl = issuer_crl();

    crl.last_update = FACTORY_NOW;
    add(crl);
}

/* The policy vouches for its anchors itself; a CRL about them, whose issuer it
 * may not know, is not asked. */
static void anchor_is_not_asked_for(void)
{
    struct factory_crl crl = root_crl();

    trust_issuer_instead();
    add(issuer_crl());
    /* Then OpenSSL takes it for the anchor's own. */
    crl.extensions = NULL;
    add(crl);
}

static void anchor_with_old_crl(void)
{
    struct factory_crl crl = root_crl();

    trust_issuer_instead();
    add(issuer_crl());
    crl.next_update = FACTORY_NOW - FACTORY_DAY;
    add(crl);
}

static void for_users_only(void)
{
    struct factory_crl crl = issuer_crl();

    crl.extensions = FACTORY_CRL_EXTENSIONS "2.5.29.28=critical,DER:30038101ff";
    add(crl);
}

static void (*const good_crls[])(void) = {
    crl_of_issuer,  crl_of_each,  others_revoked,          old_and_new,
    last_second,    first_second, anchor_is_not_asked_for, anchor_with_old_crl,
    for_users_only,
};

START_TEST(test_not_revoked)
{
    trial_make(&t);
    good_crls[_i]();
    trial_chain_trusted(&t);
}
END_TEST

static void crl_of_root_only(void)
{
    add(root_crl());
}

static void no_crl(void)
{
    t.section->has_crl = true;
}

static void ak_revoked(void)
{
    struct factory_crl crl = issuer_crl();

    crl.revoked[0] = t.f.leaf_cert;
    crl.revoked[1] = t.f.ak_cert;
    add(crl);
}

static void ak_on_hold(void)
{
    struct factory_crl crl = issuer_crl();

    crl.revoked[0] = t.f.ak_cert;
    crl.entry_extensions = "2.5.29.21=DER:0a0106";
    add(crl);
}

static void ak_revoked_since(void)
{
    struct factory_crl crl = issuer_crl();

    crl.last_update -= FACTORY_DAY;
    add(crl);
    ak_revoked();
}

static void issuer_revoked(void)
{
    struct factory_crl crl = root_crl();

    crl.revoked[0] = t.f.intermediate_certs[0];
    add(issuer_crl());
    add(crl);
}

static void stale(void)
{
    struct factory_crl crl = issuer_crl();

    crl.next_update = FACTORY_NOW - FACTORY_DAY / 2;
    add(crl);
}

static void stale_and_revoked(void)
{
    struct factory_crl crl = issuer_crl();

    crl.next_update = FACTORY_NOW - FACTORY_DAY / 2;
    crl.revoked[0] = t.f.ak_cert;
    add(crl);
}

static void stale_of_root(void)
{
    struct factory_crl crl = root_crl();

    crl.next_update = FACTORY_NOW - FACTORY_DAY / 2;
    add(issuer_crl());
    add(crl);
}

static void early(void)
{
    struct factory_crl crl = issuer_crl();

    crl.last_update = FACTORY_NOW + FACTORY_DAY;
    add(crl);
}

static void forged(void)
{
    struct factory_crl crl = issuer_crl();

    crl.issuer_key = factory_key(FACTORY_P256, 3);
    add(crl);
}

static void forged_of_root(void)
{
    struct factory_crl crl = root_crl();

    crl.issuer_key = factory_key(FACTORY_P256, 3);
    add(issuer_crl());
    add(crl);
}

static void unknown_critical(void)
{
    struct factory_crl crl = issuer_crl();

    crl.extensions =
        FACTORY_CRL_EXTENSIONS "1.3.6.1.4.1.99999.1=critical,DER:0500";
    add(crl);
}

/* RFC 5280 §5.3: what it does to the list is unknown, whomever it is about. */
static void unknown_critical_entry(void)
{
    struct factory_crl crl = issuer_crl();

    crl.revoked[0] = t.f.leaf_cert;
    crl.entry_extensions = "1.3.6.1.4.1.99999.1=critical,DER:0500";
    add(crl);
}

static void for_cas_only(void)
{
    struct factory_crl crl = issuer_crl();

    crl.extensions = FACTORY_CRL_EXTENSIONS "2.5.29.28=critical,DER:30038201ff";
    add(crl);
}

static void of_other_key(void)
{
    struct factory_crl crl = issuer_crl();
    struct factory_cert other = t.f.intermediates[0];

    other.key = factory_key(FACTORY_P256, 3);
    other.issuer = t.f.root_cert;
    other.issuer_key = t.f.root.key;
    crl.issuer = factory_certificate(&other);
    crl.issuer_key = other.key;
    add(crl);
    X509_free(crl.issuer);
}

#define NO_CRL                                                            \
    "no CRL says whether AK certificate CN=machine0.example is revoked; " \
    "expected one of its issuer CN=AK issuer 1 in the policy's crl file"

static const struct {
    void (*add)(void);
    enum atls_error code;
    const char *text;
} bad_crls[] = {
    {no_crl, ATLS_E_CHAIN_CRL, NO_CRL},
    {crl_of_root_only, ATLS_E_CHAIN_CRL, NO_CRL},
    {of_other_key, ATLS_E_CHAIN_CRL, NO_CRL},
    {ak_revoked, ATLS_E_CHAIN_REVOKED,
     "AK certificate CN=machine0.example was revoked on 2025-12-30 by CN=AK "
     "issuer 1; expected one that is not: take the machine out of service"},
    {ak_on_hold, ATLS_E_CHAIN_REVOKED,
     "AK certificate CN=machine0.example was revoked on 2025-12-30"},
    {ak_revoked_since, ATLS_E_CHAIN_REVOKED,
     "AK certificate CN=machine0.example was revoked on 2025-12-30"},
    {issuer_revoked, ATLS_E_CHAIN_REVOKED,
     "CA certificate CN=AK issuer 1 was revoked on 2025-12-30 by CN=AK root"},
    {stale, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 was good until 2025-12-31; expected one that "
     "is "
     "good on 2026-01-01: fetch the current one into the policy's crl file"},
    {stale_and_revoked, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 was good until 2025-12-31"},
    {stale_of_root, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK root was good until 2025-12-31"},
    {early, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 is good from 2026-01-02 on; expected one that "
     "is good on 2026-01-01: check the clocks"},
    {forged, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 cannot be used: CRL signature failure; replace "
     "it in the policy's crl file"},
    {forged_of_root, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK root cannot be used: CRL signature failure"},
    {unknown_critical, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 cannot be used: unhandled critical CRL "
     "extension"},
    {unknown_critical_entry, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 cannot be used: unhandled critical CRL "
     "extension"},
    {for_cas_only, ATLS_E_CHAIN_CRL,
     "the CRL of CN=AK issuer 1 cannot be used: different CRL scope"},
};

START_TEST(test_E18_crl)
{
    trial_make(&t);
    bad_crls[_i].add();
    trial_chain_refused(&t, bad_crls[_i].code, bad_crls[_i].text);
}
END_TEST

/* A CA that may not sign CRLs. */
START_TEST(test_E18_crl_of_a_ca_without_crl_sign)
{
    t.f.intermediates[0].extensions =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    trial_make(&t);
    trial_chain_trusted(&t);
    add(issuer_crl());
    trial_chain_refused(&t, ATLS_E_CHAIN_CRL,
                        "the CRL of CN=AK issuer 1 cannot be used: key usage "
                        "does not include CRL signing");
}
END_TEST

/* The same evidence and CRL, on the days before and after nextUpdate. */
START_TEST(test_P11_crl_past_next_update)
{
    const struct atls_span *chain = t.f.evidence.chain;

    trial_make(&t);
    add(issuer_crl());
    (void)trial_chain(&t, chain, 2, FACTORY_NOW + 9 * FACTORY_DAY - 1);
    trial_chain_was_trusted(&t);
    (void)trial_chain(&t, chain, 2, FACTORY_NOW + 9 * FACTORY_DAY + 1);
    trial_chain_was_refused(&t, ATLS_E_CHAIN_CRL,
                            "the CRL of CN=AK issuer 1 was good until "
                            "2026-01-10; expected one that "
                            "is good on 2026-01-10");
    (void)trial_chain(&t, chain, 2, FACTORY_NOW + 30 * FACTORY_DAY);
    trial_chain_was_refused(&t, ATLS_E_CHAIN_CRL,
                            "expected one that is good on 2026-01-31");
}
END_TEST

/* Several CAs between AK and root: the CRL that counts is that of each issuer,
 * in whatever order the certificates came. */
START_TEST(test_E18_revoked_in_the_middle)
{
    struct atls_span chain[4];
    struct factory_crl middle;
    struct factory_crl last;

    t.f.intermediate_count = 3;
    trial_make(&t);
    memcpy(chain, t.f.evidence.chain, sizeof(chain));
    chain[1] = t.f.evidence.chain[3];
    chain[3] = t.f.evidence.chain[1];
    last =
        factory_crl_plan(t.f.intermediate_certs[2], t.f.intermediates[2].key);
    add(last);
    (void)trial_chain(&t, chain, 4, FACTORY_NOW);
    trial_chain_was_trusted(&t);
    middle =
        factory_crl_plan(t.f.intermediate_certs[0], t.f.intermediates[0].key);
    middle.revoked[0] = t.f.intermediate_certs[1];
    add(middle);
    (void)trial_chain(&t, chain, 4, FACTORY_NOW);
    trial_chain_was_refused(&t, ATLS_E_CHAIN_REVOKED,
                            "CA certificate CN=AK issuer 2 was revoked on "
                            "2025-12-30 by CN=AK issuer 1");
}
END_TEST

/* Whichever allocation fails, a revoked AK is not accepted. */
START_TEST(test_R3_revoked_whatever_fails)
{
    struct atls_trust trust;
    size_t total;

    trial_make(&t);
    ak_revoked();
    allocation_fail_at(0);
    trial_chain_refused(&t, ATLS_E_CHAIN_REVOKED, "was revoked");
    total = allocation_count();
    ck_assert_uint_gt(total, 0);
    for (size_t n = 1; n <= total; n += trial_stride()) {
        struct atls_reason why = {0};
        enum atls_error r;

        allocation_fail_only(n);
        r = atls_trust_check(t.section, t.f.evidence.chain, 2, FACTORY_NOW,
                             &why, &trust);
        allocation_fail_at(0);
        EVP_PKEY_free(trust.key);
        ck_assert_msg(r != ATLS_OK, "allocation %zu of %zu", n, total);
    }
}
END_TEST

/* --- in the policy --------------------------------------------------------- */

#define DAY FACTORY_DAY

/* CAs and CRLs of today: the loader asks the clock. */
struct pki {
    struct factory_cert root_plan;
    X509 *root;
    struct factory_cert ca_plan;
    X509 *ca;
    struct factory_crl crl; /* by the root */
};

static void pki_make(struct pki *pki)
{
    const int64_t now = (int64_t)time(NULL);

    memset(pki, 0, sizeof(*pki));
    pki->root_plan = t.f.root;
    pki->root_plan.not_before = now - 30 * DAY;
    pki->root_plan.not_after = now + 300 * DAY;
    pki->root = factory_certificate(&pki->root_plan);
    pki->ca_plan = t.f.intermediates[0];
    pki->ca_plan.not_before = pki->root_plan.not_before;
    pki->ca_plan.not_after = pki->root_plan.not_after;
    pki->ca_plan.issuer = pki->root;
    pki->ca_plan.issuer_key = pki->root_plan.key;
    pki->ca = factory_certificate(&pki->ca_plan);
    pki->crl = factory_crl_plan(pki->root, pki->root_plan.key);
    pki->crl.last_update = now - DAY;
    pki->crl.next_update = now + 30 * DAY;
    pki->crl.revoked_at = now - 2 * DAY;
    factory_write_certificate(scratch_path("roots.pem"), pki->root);
}

static void pki_clear(struct pki *pki)
{
    X509_free(pki->root);
    X509_free(pki->ca);
}

/* Append to a file. */
static void write_crl(const char *name, const struct factory_crl *wanted,
                      bool is_der)
{
    X509_CRL *crl = factory_crl(wanted);
    FILE *file = fopen(scratch_path(name), "ae");

    ck_assert(
        file != NULL
        && (is_der ? i2d_X509_CRL_fp(file, crl) : PEM_write_X509_CRL(file, crl))
        && fclose(file) == 0);
    X509_CRL_free(crl);
}

static void append(const char *name, const char *text)
{
    FILE *file = fopen(scratch_path(name), "ae");

    ck_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

#define POLICY(keys)                                              \
    "[policy]\nservers = a\notherwise = off\nnameless = refuse\n" \
    "[a]\nnames = a.example\nmachines = m.example\npcr.0 = " HEX32 "\n" keys

/* crl stands before trust: the order is not the file's. */
#define WITH_CRL POLICY("crl = ak.crl\nmode = require\ntrust = roots.pem\n")

static enum atls_error load(const char *text, struct atls_reason *why,
                            struct atls_policy **ret_policy)
{
    enum atls_error r;

    scratch_write("policy.cnf", text, strlen(text), 0600);
    r = atls_policy_load(scratch_path("policy.cnf"), why, ret_policy);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return r;
}

static struct atls_policy *load_good(const char *text)
{
    struct atls_policy *policy = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = load(text, &why, &policy);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    return policy;
}

static void assert_refused(const char *text, enum atls_error code,
                           const char *words)
{
    struct atls_policy *policy = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = load(text, &why, &policy);

    ck_assert_msg(r == code && why.code == code, "%s: %s", atls_error_name(r),
                  why.text);
    ck_assert_msg(strstr(why.text, words) != NULL, "'%s' lacks '%s'", why.text,
                  words);
    ck_assert_ptr_null(policy);
}

/* CRLs of a section. */
static int crl_count(const struct atls_policy *policy)
{
    const struct atls_section *section = atls_policy_section(policy, 0);

    return section->crls == NULL ? 0 : sk_X509_CRL_num(section->crls);
}

static void assert_crls(const char *text, int count)
{
    struct atls_policy *policy = load_good(text);

    ck_assert(atls_policy_section(policy, 0)->has_crl);
    ck_assert_int_eq(crl_count(policy), count);
    ck_assert_ptr_null(atls_policy_warning(policy, 0));
    atls_policy_unref(policy);
}

START_TEST(test_crl_file_in_pem)
{
    struct factory_crl of_ca;
    struct pki pki;

    pki_make(&pki);
    append("ak.crl", "Remarks may stand around it.\n");
    write_crl("ak.crl", &pki.crl, false);
    assert_crls(WITH_CRL, 1);
    /* Of a CA that only the evidence brings. */
    of_ca = pki.crl;
    of_ca.issuer = pki.ca;
    of_ca.issuer_key = pki.ca_plan.key;
    append("ak.crl", "and between,\n");
    write_crl("ak.crl", &of_ca, false);
    append("ak.crl", "and behind.\n");
    assert_crls(WITH_CRL, 2);
    assert_crls(POLICY("trust = roots.pem\nmode = require\ncrl = ak.crl\n"), 2);
    pki_clear(&pki);
}
END_TEST

START_TEST(test_crl_file_in_der)
{
    struct pki pki;

    pki_make(&pki);
    write_crl("ak.crl", &pki.crl, true);
    assert_crls(WITH_CRL, 1);
    append("ak.crl", "x");
    assert_refused(WITH_CRL, ATLS_E_POLICY,
                   "/ak.crl: there are octets behind the end of CRL 1; "
                   "expected PEM");
    pki_clear(&pki);
}
END_TEST

/* Two keys of one CA: the CRL is by one of them. */
START_TEST(test_crl_of_one_of_two_anchors)
{
    struct pki pki;
    X509 *other;
    FILE *file;

    pki_make(&pki);
    pki.root_plan.key = factory_key(FACTORY_P256, 3);
    other = factory_certificate(&pki.root_plan);
    file = fopen(scratch_path("roots.pem"), "we");
    ck_assert(file != NULL && PEM_write_X509(file, other)
              && PEM_write_X509(file, pki.root) && fclose(file) == 0);
    write_crl("ak.crl", &pki.crl, false);
    assert_crls(WITH_CRL, 1);
    X509_free(other);
    pki_clear(&pki);
}
END_TEST

/* P1: a section that is off is read as strictly, with or without trust. */
START_TEST(test_P1_crl_under_mode_off)
{
    struct pki pki;

    pki_make(&pki);
    write_crl("ak.crl", &pki.crl, false);
    atls_policy_unref(load_good(POLICY("mode = off\ncrl = ak.crl\n")));
    assert_refused(POLICY("mode = off\ncrl = roots.pem\n"), ATLS_E_POLICY,
                   "roots.pem: there is no CRL in it");
    pki.crl.next_update = 0;
    write_crl("ak.crl", &pki.crl, false);
    assert_refused(POLICY("mode = off\ncrl = ak.crl\n"), ATLS_E_POLICY,
                   "ak.crl: CRL 2 (CN=AK root) has no nextUpdate");
    assert_refused(POLICY("mode = require\ncrl = roots.pem\n"), ATLS_E_POLICY,
                   "roots.pem: there is no CRL in it");
    pki_clear(&pki);
}
END_TEST

START_TEST(test_P1_missing_crl)
{
    struct pki pki;

    pki_make(&pki);
    assert_refused(WITH_CRL, ATLS_E_IO, "policy.cnf:9: crl: ");
    assert_refused(WITH_CRL, ATLS_E_IO,
                   "/ak.crl: cannot be opened: No such file or directory");
    pki_clear(&pki);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} bad_texts[] = {
    {"", "policy.cnf:9: crl: "},
    {"", "/ak.crl: there is no CRL in it; expected PEM with BEGIN X509 CRL, or "
         "one CRL in DER"},
    {"0\n", "/ak.crl: there is no CRL in it"},
    {"-----BEGIN X509 CRL-----\nMIIB\n", "/ak.crl: CRL 1 cannot be read: "},
    {"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
     "/ak.crl: CRL 1 cannot be read: "},
    {"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
     "/ak.crl: CRL 1 cannot be read: "},
    {"0\x82\x01", "/ak.crl: CRL 1 cannot be read: "},
};

START_TEST(test_P1_bad_crl_file)
{
    struct pki pki;

    pki_make(&pki);
    append("ak.crl", bad_texts[_i].text);
    assert_refused(WITH_CRL, ATLS_E_POLICY, bad_texts[_i].words);
    pki_clear(&pki);
}
END_TEST

static void plan_delta(struct pki *pki)
{
    pki->crl.extensions =
        FACTORY_CRL_EXTENSIONS "2.5.29.20=DER:020102\n"
                               "2.5.29.27=critical,DER:020101";
}

static void plan_indirect(struct pki *pki)
{
    pki->crl.extensions =
        FACTORY_CRL_EXTENSIONS "2.5.29.28=critical,DER:30038401ff";
}

static void plan_some_reasons(struct pki *pki)
{
    pki->crl.extensions =
        FACTORY_CRL_EXTENSIONS "2.5.29.28=critical,DER:300483020560";
}

static void plan_unreadable_point(struct pki *pki)
{
    pki->crl.extensions = FACTORY_CRL_EXTENSIONS "2.5.29.28=critical,DER:0500";
}

static void plan_no_next_update(struct pki *pki)
{
    pki->crl.next_update = 0;
}

static void plan_other_key(struct pki *pki)
{
    pki->crl.issuer_key = factory_key(FACTORY_P256, 3);
}

static void plan_anchor_revoked(struct pki *pki)
{
    pki->crl.revoked[0] = pki->ca;
    factory_write_certificate(scratch_path("roots.pem"), pki->ca);
}

static void plan_root_revoked(struct pki *pki)
{
    pki->crl.revoked[0] = pki->root;
}

static const struct {
    void (*plan)(struct pki *pki);
    const char *words;
} bad_plans[] = {
    {plan_delta, "/ak.crl: CRL 1 (CN=AK root) is a delta CRL, which tells "
                 "changes only; name the complete one"},
    {plan_indirect, "/ak.crl: CRL 1 (CN=AK root) is indirect or for some "
                    "reasons only (issuing distribution point)"},
    {plan_some_reasons, "/ak.crl: CRL 1 (CN=AK root) is indirect or for some "
                        "reasons only"},
    {plan_unreadable_point, "/ak.crl: CRL 1 (CN=AK root) is indirect or for "
                            "some reasons only"},
    {plan_no_next_update, "/ak.crl: CRL 1 (CN=AK root) has no nextUpdate, so "
                          "that nobody can tell when it is stale"},
    {plan_other_key, "/ak.crl: CRL 1 is not signed by the key of CN=AK root in "
                     "`trust`; fetch it anew"},
    {plan_anchor_revoked, "/ak.crl: CRL 1 (CN=AK root) says that CN=AK issuer "
                          "1 was revoked on "},
    {plan_root_revoked, "says that CN=AK root was revoked on "},
};

START_TEST(test_E18_P1_bad_crl)
{
    struct pki pki;

    pki_make(&pki);
    bad_plans[_i].plan(&pki);
    write_crl("ak.crl", &pki.crl, false);
    assert_refused(WITH_CRL, ATLS_E_POLICY, bad_plans[_i].words);
    pki_clear(&pki);
}
END_TEST

/* A policy with a CRL of that many days to go. */
static struct atls_policy *load_with_days(struct pki *pki, int days)
{
    pki_make(pki);
    pki->crl.last_update -= 20 * DAY;
    pki->crl.next_update = (int64_t)time(NULL) + days * DAY + 100;
    write_crl("ak.crl", &pki->crl, false);
    return load_good(WITH_CRL);
}

static const struct {
    int days;
    enum atls_error code;
    const char *words; /* NULL: no warning */
} ages[] = {
    {-2, ATLS_E_CHAIN_CRL,
     "policy.cnf:5: [a] crl: that of CN=AK root was good until 20"},
    {-2, ATLS_E_CHAIN_CRL,
     ", machines under it are refused; fetch the current one"},
    {0, ATLS_E_POLICY,
     "policy.cnf:5: [a] crl: that of CN=AK root is good until 20"},
    {6, ATLS_E_POLICY, " only; fetch the next one before"},
    {8, ATLS_OK, NULL},
};

START_TEST(test_P11_crl_warning)
{
    struct pki pki;
    struct atls_policy *policy = load_with_days(&pki, ages[_i].days);
    const char *text = atls_policy_warning(policy, 0);

    if (ages[_i].words == NULL) {
        ck_assert_msg(text == NULL, "%s", text);
    } else {
        ck_assert_ptr_nonnull(text);
        ck_assert_msg(strstr(text, ages[_i].words) != NULL, "%s", text);
        ck_assert_int_eq(atls_policy_warning_code(policy, 0), ages[_i].code);
        ck_assert_ptr_null(atls_policy_warning(policy, 1));
    }
    atls_policy_unref(policy);
    pki_clear(&pki);
}
END_TEST

START_TEST(test_E18_warning_of_an_expired_anchor)
{
    struct atls_policy *policy;
    struct pki pki;
    X509 *old;

    pki_make(&pki);
    pki.root_plan.not_after = (int64_t)time(NULL) - DAY;
    old = factory_certificate(&pki.root_plan);
    factory_write_certificate(scratch_path("roots.pem"), old);
    policy = load_good(POLICY("mode = require\ntrust = roots.pem\n"));
    ck_assert_ptr_nonnull(atls_policy_warning(policy, 0));
    ck_assert_ptr_nonnull(strstr(atls_policy_warning(policy, 0),
                                 "policy.cnf:5: [a] trust: CN=AK root expired "
                                 "20"));
    ck_assert_int_eq(atls_policy_warning_code(policy, 0), ATLS_E_EXPIRED);
    atls_policy_unref(policy);
    X509_free(old);
    pki_clear(&pki);
}
END_TEST

/* P3: another CRL makes the policy stale, and another snapshot has it. */
START_TEST(test_P3_changed_crl_is_noticed)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    struct pki pki;

    pki_make(&pki);
    write_crl("ak.crl", &pki.crl, false);
    /* Files that have just been written count as changed. */
    scratch_write("policy.cnf", WITH_CRL, strlen(WITH_CRL), 0600);
    (void)usleep(50000);
    ck_assert_int_eq(
        atls_policy_load(scratch_path("policy.cnf"), &why, &policy), ATLS_OK);
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_SAME);
    write_crl("ak.crl", &pki.crl, false);
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_CHANGED);
    atls_policy_unref(policy);
    pki_clear(&pki);
}
END_TEST

/* Whichever allocation fails, no section lacks a CRL that its file has. */
START_TEST(test_R3_no_policy_without_its_crls)
{
    const char *path = scratch_path("policy.cnf");
    size_t refusals = 0;
    struct pki pki;
    size_t total;

    pki_make(&pki);
    write_crl("ak.crl", &pki.crl, false);
    assert_crls(WITH_CRL, 1);
    allocation_fail_at(0);
    assert_crls(WITH_CRL, 1);
    total = allocation_count();
    for (size_t n = 1; n <= total; n += trial_stride()) {
        struct atls_policy *policy = NULL;
        struct atls_reason why = {.code = ATLS_OK};
        enum atls_error r;

        allocation_fail_only(n);
        r = atls_policy_load(path, &why, &policy);
        allocation_fail_at(0);
        if (r == ATLS_OK)
            ck_assert_int_eq(crl_count(policy), 1);
        else
            refusals++;
        atls_policy_unref(policy);
        ERR_clear_error();
    }
    ck_assert_uint_gt(refusals, 0);
    pki_clear(&pki);
}
END_TEST

/* ... and none takes a CRL that its anchor did not sign. */
START_TEST(test_R3_forged_whatever_fails)
{
    struct atls_policy *policy = NULL;
    struct pki pki;
    size_t total;

    pki_make(&pki);
    plan_other_key(&pki);
    write_crl("ak.crl", &pki.crl, false);
    allocation_fail_at(0);
    assert_refused(WITH_CRL, ATLS_E_POLICY, "is not signed by the key of");
    total = allocation_count();
    for (size_t n = 1; n <= total; n += trial_stride()) {
        struct atls_reason why = {.code = ATLS_OK};
        enum atls_error r;

        allocation_fail_only(n);
        r = atls_policy_load(scratch_path("policy.cnf"), &why, &policy);
        allocation_fail_at(0);
        ck_assert_msg(r != ATLS_OK, "allocation %zu of %zu", n, total);
        ERR_clear_error();
    }
    pki_clear(&pki);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_not_revoked, 0, COUNT(good_crls)),
    LOOP(test_E18_crl, 0, COUNT(bad_crls)),
    ONCE(test_E18_crl_of_a_ca_without_crl_sign),
    ONCE(test_P11_crl_past_next_update),
    ONCE(test_E18_revoked_in_the_middle),
    ONCE(test_R3_revoked_whatever_fails),
    ONCE(test_crl_file_in_pem),
    ONCE(test_crl_file_in_der),
    ONCE(test_crl_of_one_of_two_anchors),
    ONCE(test_P1_crl_under_mode_off),
    ONCE(test_P1_missing_crl),
    LOOP(test_P1_bad_crl_file, 0, COUNT(bad_texts)),
    LOOP(test_E18_P1_bad_crl, 0, COUNT(bad_plans)),
    LOOP(test_P11_crl_warning, 0, COUNT(ages)),
    ONCE(test_E18_warning_of_an_expired_anchor),
    ONCE(test_P3_changed_crl_is_noticed),
    ONCE(test_R3_no_policy_without_its_crls),
    ONCE(test_R3_forged_whatever_fails),
};

SUITE(.name = "crl", .begin = allocation_install, .end = factory_free_keys,
      .cases = {CASE("crl", tests, 120, setup, teardown)});
