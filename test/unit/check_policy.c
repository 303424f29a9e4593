/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "unit/policy_certificates.h"
#include "verifier/policy.h"
#include "verifier/policy_internal.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define HEX16 "0123456789abcdef0123456789ABCDEF"
#define HEX32 HEX16 HEX16
#define HEX48 HEX32 HEX16
#define HEX64 HEX32 HEX32
#define ZERO32 \
    "0000000000000000000000000000000000000000000000000000000000000000"

/* A policy up to its one section; what follows begins in line 7. */
#define TOP                                                       \
    "[policy]\nservers = a\notherwise = off\nnameless = refuse\n" \
    "[a]\nnames = a.example\n"
/* A complete one; what follows begins in line 11. */
#define COMPLETE                                                    \
    TOP "mode = require\ntrust = roots.pem\nmachines = m.example\n" \
        "pcr.0 = " HEX32 "\n"

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

static void set_up(void)
{
    scratch_make();
    write_text("roots.pem", PEM_ROOT PEM_INTERMEDIATE);
}

static enum atls_error load(const char *text, struct atls_reason *why,
                            struct atls_policy **ret_policy)
{
    write_text("policy.cnf", text);
    return atls_policy_load(scratch_path("policy.cnf"), why, ret_policy);
}

static struct atls_policy *load_good(const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r = load(text, &why, &policy);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return policy;
}

static void assert_good(const char *text)
{
    atls_policy_unref(load_good(text));
}

static void assert_refused(const char *text, enum atls_error code,
                           const char *words)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r = load(text, &why, &policy);

    ck_assert_msg(r == code && why.code == code,
                  "%s instead of %s: %s (expected: %s)", atls_error_name(r),
                  atls_error_name(code), why.text, words);
    ck_assert_msg(strstr(why.text, words) != NULL, "'%s' lacks '%s'", why.text,
                  words);
    ck_assert_uint_lt(strlen(why.text), ATLS_REASON_MAX - 1);
    ck_assert_ptr_null(policy);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* Every key that works now, in another order than the manual's. */
static const char everything[] =
    "[policy]\n"
    "servers = inference lab,off-1\n"
    "otherwise = observe\n"
    "nameless = lab\n"
    "[inference]\n"
    "names = api.example.com *.example.net, 10.0.0.0/8 , 2001:db8::/32\n"
    "pcr.0 = " HEX48 "\n"
    "pcr.7 = " HEX48 " " HEX48 "\n"
    "bank = sha384\n"
    "mode = require\n"
    "trust = roots.pem\n"
    "machines = *.inference.example.com google:p/z/i sha256:" HEX32 "\n"
    "tls_key = any\n"
    "ak_eku = 2.23.133.8.3 1.3.6.1.4.1.311.10.3.12\n"
    "freshness = live\n"
    "resumption = 0\n"
    "measure_pcr = 14\n"
    "component.model-weights = sha256:" HEX32 "\n"
    "component.server-code = sha256:" HEX32 " sha256:" ZERO32 "\n"
    "components = any\n"
    "events = machine-id:* file-system:*\n"
    "certificate = measured-issuer\n"
    "expires = 2027-06-30T00:00:00Z\n"
    "allow_zero = no\n"
    "[lab]\n"
    "names = lab.example\n"
    "mode = observe\n"
    "trust = roots.pem\n"
    "machines = any\n"
    "ak_eku = any\n"
    "bank = sha512\n"
    "allow_zero = yes\n"
    "pcr.3 = " ZERO32 ZERO32 "\n"
    "certificate = any\n"
    "components = listed\n"
    "[off-1]\n"
    "names = off.example\n"
    "mode = off\n";

static void check_inference(const struct atls_section *section)
{
    static const uint8_t start[4] = {0x01, 0x23, 0x45, 0x67};
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(section->trust);
    char oid[80];

    ck_assert_str_eq(section->name, "inference");
    ck_assert_int_eq(section->mode, ATLS_MODE_REQUIRE);
    ck_assert_uint_eq(section->name_count, 4);
    ck_assert_str_eq(section->names[1], "*.example.net");
    ck_assert_str_eq(section->names[3], "2001:db8::/32");
    ck_assert_int_eq(sk_X509_num(anchors), 2);
    sk_X509_pop_free(anchors, X509_free);
    ck_assert(!section->machines_any && section->machine_count == 3);
    ck_assert_str_eq(section->machines[0], "*.inference.example.com");
    ck_assert_str_eq(section->machines[1], "google:p/z/i");
    /* In lower case, as the hash of a key is compared. */
    ck_assert_str_eq(section->machines[2],
                     "sha256:0123456789abcdef0123456789abcdef"
                     "0123456789abcdef0123456789abcdef");
    ck_assert(!section->ak_eku_any && section->ak_eku_count == 2);
    OBJ_obj2txt(oid, sizeof(oid), section->ak_ekus[1], 1);
    ck_assert_str_eq(oid, "1.3.6.1.4.1.311.10.3.12");
    ck_assert_uint_eq(section->bank, TPM2_ALG_SHA384);
    ck_assert_uint_eq(section->pcrs[0].count, 1);
    ck_assert_uint_eq(section->pcrs[1].count, 0);
    ck_assert_uint_eq(section->pcrs[7].count, 2);
    ck_assert_mem_eq(section->pcrs[7].values[1] + 16, start, sizeof(start));
    ck_assert(!section->allow_zero);
    ck_assert_uint_eq(section->measure_pcr, 14);
    ck_assert_uint_eq(section->component_count, 2);
    ck_assert_str_eq(section->components[0].name, "model-weights");
    ck_assert_str_eq(section->components[1].name, "server-code");
    ck_assert_uint_eq(section->components[1].count, 2);
    ck_assert_uint_eq(section->components[1].digests[1][0], 0);
    ck_assert_mem_eq(section->components[1].digests[0], start, sizeof(start));
    ck_assert(section->components_any);
    ck_assert_uint_eq(section->event_count, 2);
    ck_assert_str_eq(section->events[0], "machine-id:*");
    ck_assert_int_eq(section->certificate, ATLS_CERTIFICATE_MEASURED_ISSUER);
    ck_assert_int_eq(section->expires, 1814313600);
}

START_TEST(test_every_key)
{
    struct atls_policy *policy = load_good(everything);
    const struct atls_section *lab = atls_policy_find(policy, "lab");

    ck_assert_str_eq(atls_policy_path(policy), scratch_path("policy.cnf"));
    check_inference(atls_policy_section(policy, 0));
    ck_assert_ptr_eq(atls_policy_section(policy, 1), lab);
    ck_assert_str_eq(atls_policy_section(policy, 2)->name, "off-1");
    ck_assert_ptr_null(atls_policy_section(policy, 3));
    ck_assert_ptr_null(atls_policy_find(policy, "policy"));
    ck_assert_int_eq(lab->mode, ATLS_MODE_OBSERVE);
    ck_assert(lab->machines_any && lab->ak_eku_any && lab->allow_zero);
    ck_assert_uint_eq(lab->bank, TPM2_ALG_SHA512);
    ck_assert_int_eq(lab->certificate, ATLS_CERTIFICATE_ANY);
    ck_assert(!lab->components_any);
    ck_assert_ptr_null(atls_policy_section(policy, 2)->trust);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_defaults)
{
    struct atls_policy *policy = load_good(COMPLETE);
    const struct atls_section *section = atls_policy_find(policy, "a");
    char oid[80];

    ck_assert_uint_eq(section->ak_eku_count, 1);
    OBJ_obj2txt(oid, sizeof(oid), section->ak_ekus[0], 1);
    ck_assert_str_eq(oid, "2.23.133.8.3");
    ck_assert_uint_eq(section->bank, TPM2_ALG_SHA256);
    ck_assert_uint_eq(section->measure_pcr, 15);
    ck_assert_int_eq(section->certificate, ATLS_CERTIFICATE_MEASURED);
    ck_assert_int_eq(section->expires, INT64_MAX);
    ck_assert(!section->components_any && !section->allow_zero);
    ck_assert(!section->machines_any && !section->ak_eku_any);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_references_are_counted)
{
    struct atls_policy *policy = load_good(COMPLETE);

    ck_assert_ptr_eq(atls_policy_ref(policy), policy);
    atls_policy_unref(policy);
    ck_assert_str_eq(atls_policy_section(policy, 0)->name, "a");
    atls_policy_unref(policy);
    atls_policy_unref(NULL);
}
END_TEST

/* An intermediate alone is an anchor, and does not need its root. */
START_TEST(test_intermediate_as_anchor)
{
    BIO *pem = BIO_new_mem_buf(PEM_INTERMEDIATE, -1);
    X509 *intermediate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct atls_policy *policy = NULL;

    write_text("roots.pem", "Remarks may stand around it.\n" PEM_INTERMEDIATE
                            "\nand behind.\n");
    policy = load_good(COMPLETE);
    ck_assert(X509_STORE_CTX_init(ctx, atls_policy_section(policy, 0)->trust,
                                  intermediate, NULL));
    /* Long before they end, long after they began. */
    X509_STORE_CTX_set_time(ctx, 0, 2000000000);
    ck_assert_int_eq(X509_verify_cert(ctx), 1);
    X509_STORE_CTX_free(ctx);
    atls_policy_unref(policy);
    X509_free(intermediate);
    BIO_free(pem);
}
END_TEST

static const struct {
    const char *pem;
    const char *words;
} bad_trust[] = {
    {"", "policy.cnf:8: trust: "},
    {"", "roots.pem: there is no certificate in it"},
    {"no PEM\n", "roots.pem: there is no certificate in it"},
    {PEM_ROOT PEM_LEAF, "roots.pem: certificate 2 (/CN=ak.example) is no CA"},
    {PEM_ALIEN_KEY, "roots.pem: certificate 1 (/CN=Test AK root) has a key "
                    "that this OpenSSL cannot use"},
    {PEM_ROOT "-----BEGIN CERTIFICATE-----\nMIIB\n",
     "roots.pem: certificate 2 cannot be read: "},
    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" PEM_ROOT,
     "roots.pem: certificate 1 cannot be read: "},
    {"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
     "DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
     "AAAAAAAAAAAAAAAAAAAAAA==\n-----END CERTIFICATE-----\n",
     "roots.pem: certificate 1 cannot be read: "},
};

START_TEST(test_P1_bad_trust)
{
    write_text("roots.pem", bad_trust[_i].pem);
    assert_refused(COMPLETE, ATLS_E_POLICY, bad_trust[_i].words);
}
END_TEST

START_TEST(test_P1_missing_trust)
{
    unlink(scratch_path("roots.pem"));
    assert_refused(COMPLETE, ATLS_E_IO, "policy.cnf:8: trust: ");
    assert_refused(COMPLETE, ATLS_E_IO,
                   "roots.pem: cannot be opened: No such file or directory");
}
END_TEST

START_TEST(test_P1_missing_policy)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;

    ck_assert_int_eq(
        atls_policy_load(scratch_path("policy.cnf"), &why, &policy), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "policy.cnf: cannot be opened"));
    /* Nobody has to read the reason. */
    ck_assert_int_eq(
        atls_policy_load(scratch_path("policy.cnf"), NULL, &policy), ATLS_E_IO);
}
END_TEST

/* Lines added to a complete section; they begin in line 11. */
static const struct {
    const char *lines;
    const char *words;
} bad_keys[] = {
    /* P2: unknown, duplicate, other case. */
    {"colour = red\n", "policy.cnf:11: colour: unknown key in a section for"},
    {"Mode = require\n", "policy.cnf:11: Mode: unknown key"},
    {"PCR.1 = " HEX32 "\n", "policy.cnf:11: PCR.1: unknown key"},
    {"pcr = " HEX32 "\n", "policy.cnf:11: pcr: unknown key"},
    {"pcr1 = " HEX32 "\n", "policy.cnf:11: pcr1: unknown key"},
    {"component = x\n", "policy.cnf:11: component: unknown key"},
    {"modes = require\n", "policy.cnf:11: modes: unknown key"},
    {"servers = a\n", "policy.cnf:11: servers: unknown key"},
    {"mode = observe\n", "policy.cnf:11: mode: set in line 7"},
    {"pcr.0 = " HEX32 "\n", "policy.cnf:11: pcr.0: set in line 10"},
    /* Lists. */
    {"events = ,\n", "policy.cnf:11: events: empty entry"},
    {"events = a,\n", "policy.cnf:11: events: empty entry"},
    {"events = a,,b\n", "policy.cnf:11: events: empty entry"},
    {"events = ,a\n", "policy.cnf:11: events: empty entry"},
    {"events = ' '\n", "policy.cnf:11: events: empty entry"},
    /* PCRs. */
    {"pcr.24 = " HEX32 "\n", "policy.cnf:11: pcr.24: no such PCR"},
    {"pcr.00 = " HEX32 "\n", "policy.cnf:11: pcr.00: no such PCR"},
    {"pcr.-1 = " HEX32 "\n", "policy.cnf:11: pcr.-1: no such PCR"},
    {"pcr. = " HEX32 "\n", "policy.cnf:11: pcr.: no such PCR"},
    {"pcr.1x = " HEX32 "\n", "policy.cnf:11: pcr.1x: no such PCR"},
    {"pcr.4294967297 = " HEX32 "\n", "no such PCR; there are pcr.0 to pcr.23"},
    {"pcr.16 = " HEX32 "\n", "policy.cnf:11: pcr.16: any program can reset"},
    {"pcr.23 = " HEX32 "\n", "policy.cnf:11: pcr.23: any program can reset"},
    {"pcr.1 = " HEX16 "\n",
     "policy.cnf:11: pcr.1: expected values of 64 hex digits, as the bank is "
     "sha256; found '0123456789abcdef0123' (32 characters)"},
    {"pcr.1 = " HEX48 "\n", "(96 characters)"},
    {"pcr.1 = " HEX32 " sha256:" HEX32 "\n", "found 'sha256:"},
    {"pcr.1 = g" HEX16 HEX16 "\n", "policy.cnf:11: pcr.1: expected values"},
    {"pcr.1 = 0x" HEX32 "\n", "policy.cnf:11: pcr.1: expected values"},
    /* The bank counts for all keys, also those above it: line 10 here. */
    {"bank = sha384\n", "policy.cnf:10: pcr.0: expected values of 96 hex"},
    {"bank = sha1\n",
     "policy.cnf:11: bank: expected sha256, sha384 or sha512 in lower case"},
    {"bank = sha3_256\n", "policy.cnf:11: bank: expected sha256"},
    {"measure_pcr = 7\n", "policy.cnf:11: measure_pcr: expected a PCR from 8"},
    {"measure_pcr = 16\n", "measure_pcr: expected a PCR from 8 to 15, found"},
    {"measure_pcr = 08\n", "policy.cnf:11: measure_pcr: expected"},
    /* Components. */
    {"component.x = " HEX32 "\n",
     "policy.cnf:11: component.x: expected sha256:<64 hex digits>, found "
     "'0123456789abcdef0123' (64 characters)"},
    {"component.x = sha256:" HEX16 "\n", "component.x: expected sha256:<64"},
    {"component.x = SHA256:" HEX32 "\n", "component.x: expected sha256:<64"},
    {"component.x = sha384:" HEX48 "\n", "component.x: expected sha256:<64"},
    {"component. = sha256:" HEX32 "\n",
     "policy.cnf:11: component.: not a name that `attest measure` gives"},
    {"component.-x = sha256:" HEX32 "\n",
     "policy.cnf:11: component.-x: not a name"},
    {"component." HEX64 "0 = sha256:" HEX32 "\n", ": not a name"},
    /* EKUs. */
    {"ak_eku = 2.23.133.8.3 any\n",
     "policy.cnf:11: ak_eku: expected OIDs such as 2.23.133.8.3 or, alone, "
     "any; found 'any'"},
    {"ak_eku = serverAuth\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 1.2.\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 1..2\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 1.2,2.03\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 1.2-3\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = .\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 1\n", "policy.cnf:11: ak_eku: expected OIDs"},
    {"ak_eku = 3.1\n", "policy.cnf:11: ak_eku: expected OIDs"},
    /* P11: times. */
    {"expires = 2027-06-30\n",
     "policy.cnf:11: expires: expected a time in UTC such as "
     "2027-06-30T00:00:00Z, found '2027-06-30'"},
    {"expires = never\n", "policy.cnf:11: expires: expected a time"},
    /* What this version lacks. */
    {"proof = proof.cmw\n", "policy.cnf:11: proof: not supported yet"},
    {"ca = ca.pem\n", "policy.cnf:11: ca: not supported yet"},
    {"tls_key = tpm\n", "policy.cnf:11: tls_key: `tpm` is not supported yet"},
    {"tls_key = TPM\n", "policy.cnf:11: tls_key: expected any or tpm"},
    {"freshness = 300\n",
     "policy.cnf:11: freshness: expected live (an age for epoch evidence is "
     "not supported yet), found '300'"},
    {"resumption = 300\n",
     "policy.cnf:11: resumption: resumption of sessions is not supported yet"},
    {"resumption = 604801\n",
     "policy.cnf:11: resumption: expected seconds, 0 to 604800"},
    {"resumption = -1\n", "policy.cnf:11: resumption: expected seconds"},
    {"resumption = 00\n", "policy.cnf:11: resumption: expected seconds"},
    {"resumption = 0s\n", "policy.cnf:11: resumption: expected seconds"},
    {"resumption = 4294967296\n", "policy.cnf:11: resumption: expected"},
    /* E8: zero must be listed and allowed. */
    {"allow_zero = yes\n",
     "policy.cnf:5: allow_zero: no pcr.0 to pcr.7 of [a] lists zero"},
    {"allow_zero = yes\npcr.8 = " ZERO32 "\n",
     "policy.cnf:5: allow_zero: no pcr.0 to pcr.7"},
};

START_TEST(test_P2_bad_key)
{
    char text[2048];

    snprintf(text, sizeof(text), "%s%s", COMPLETE, bad_keys[_i].lines);
    assert_refused(text, ATLS_E_POLICY, bad_keys[_i].words);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} bad_files[] = {
    /* P1, P9 through the scanner; the details are in check_scanner. */
    {"k = v\n", "policy.cnf:1: k: stands in no section"},
    {"", "policy.cnf: no [policy] section"},
    {"[Policy]\notherwise = off\n", "policy.cnf: no [policy] section"},
    /* [policy] */
    {"[policy]\notherwise = off\nmode = off\n",
     "policy.cnf:3: mode: unknown key in [policy]"},
    {"[policy]\notherwise = off\nclients = fleet\n",
     "policy.cnf:3: clients: not supported yet"},
    {"[policy]\n", "policy.cnf:1: otherwise: missing in [policy]"},
    {"[policy]\nservers = a\notherwise = off\n",
     "policy.cnf:2: servers: there is no section [a]"},
    {"[policy]\nservers = policy\notherwise = off\n",
     "policy.cnf:2: servers: there is no section [policy]"},
    {"[policy]\nservers = a a\notherwise = off\n[a]\nnames = a\nmode = off\n",
     "policy.cnf:2: servers: a stands in the list twice"},
    {"[policy]\nservers = a\notherwise = off\n[a]\nmode = off\n",
     "policy.cnf:2: servers: [a] has no `names`"},
    {"[policy]\notherwise = off\nnameless = b\n",
     "policy.cnf:3: nameless: expected refuse, off or the name of a section"},
    {"[policy]\nservers = a\notherwise = off\n[a]\nnames = a.example\n"
     "mode = require\ntrust = roots.pem\nmachines = any\npcr.0 = " HEX32 "\n",
     "policy.cnf:1: nameless: missing in [policy], and [a] requires"},
    {"[policy]\notherwise = off\n[off]\nmode = off\n",
     "policy.cnf:3: [off] would be a section and a word of `nameless`"},
    {"[policy]\notherwise = off\n[refuse]\nmode = off\n",
     "policy.cnf:3: [refuse] would be a section"},
    {"[policy]\notherwise = off\nnameless = Off\n[Off]\nmode = off\n",
     "policy.cnf:4: [Off] would be a section"},
    {"[policy]\notherwise = off\n[REFUSE]\nmode = off\n",
     "policy.cnf:3: [REFUSE] would be a section"},
    /* Sections nobody refers to. */
    {"[policy]\notherwise = off\n[b]\nmode = off\n",
     "policy.cnf:3: [b] is in no list of [policy]"},
    {"[policy]\notherwise = off\nnameless = b\n[b]\nmode = off\n"
     "names = b.example\n",
     "policy.cnf:4: names: [b] is not in `servers`"},
    /* P6: what a section must have. */
    {TOP "trust = roots.pem\n", "policy.cnf:5: mode: missing in [a]"},
    {TOP "mode = require\n", "policy.cnf:5: trust: missing in [a]"},
    {TOP "mode = observe\n", "policy.cnf:5: trust: missing in [a]"},
    {TOP "mode = require\ntrust = roots.pem\npcr.0 = " HEX32 "\n",
     "policy.cnf:5: machines: missing in [a]"},
    {TOP "mode = observe\ntrust = roots.pem\n",
     "policy.cnf:5: machines: missing in [a]"},
    {TOP "mode = require\ntrust = roots.pem\nmachines = any\n",
     "policy.cnf:5: [a] requires nothing of the machine"},
    {TOP "mode = require\ntrust = roots.pem\nmachines = any\n"
         "components = listed\nevents = *\n",
     "policy.cnf:5: [a] requires nothing of the machine"},
    /* Keys of a section that is off are read as strictly. */
    {TOP "mode = off\npcr.0 = 00\n", "policy.cnf:8: pcr.0: expected values"},
    {TOP "mode = off\ntrust = policy.cnf\n",
     "policy.cnf: there is no certificate in it"},
    /* P7: names. */
    {"[policy]\n[a]\nnames = *\n", "policy.cnf:3: names: expected a DNS name"},
    {"[policy]\n[a]\nnames = a.example b..example\n",
     "policy.cnf:3: names: expected a DNS name, *.NAME, an address or a "
     "network "
     "without host bits, found 'b..example'"},
    {"[policy]\n[a]\nnames = 10.0.0.1/8\n", "policy.cnf:3: names: expected"},
    {"[policy]\n[a]\nnames = any\n",
     "policy.cnf:3: names: there is no `any` here"},
    {"[policy]\n[a]\nnames = a.example ANY\n",
     "policy.cnf:3: names: there is no `any` here"},
    /* Machines. */
    {"[policy]\n[a]\nmachines = *\n",
     "policy.cnf:3: machines: expected a DNS name, *.NAME, "
     "google:PROJECT/ZONE/INSTANCE, sha256:<64 hex digits> or, alone, any"},
    {"[policy]\n[a]\nmachines = m.example any\n",
     "policy.cnf:3: machines: expected a DNS name"},
    {"[policy]\n[a]\nmachines = Any\n",
     "policy.cnf:3: machines: expected a DNS name"},
    {"[policy]\n[a]\nak_eku = ANY\n",
     "policy.cnf:3: ak_eku: expected OIDs such as 2.23.133.8.3 or, alone, any"},
    {"[policy]\n[a]\nmachines = sha256:00\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p/z\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p/z/\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p//i\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:/z/i\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p/z/i/j\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p/z/*\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:p/*/i\n", "policy.cnf:3: machines: "},
    {"[policy]\n[a]\nmachines = google:*/z/i\n", "policy.cnf:3: machines: "},
    /* P7: U-labels and addresses. */
    {"[policy]\n[a]\nnames = a.example b\xc3\xbc"
     "cher.example\n",
     "policy.cnf:3: names: 'b??cher.example' holds characters beyond ASCII; "
     "write internationalized names as A-labels (xn--...)"},
    {"[policy]\n[a]\nmachines = b\xc3\xbc"
     "cher.example\n",
     "policy.cnf:3: machines: 'b??cher.example' holds characters beyond ASCII; "
     "write internationalized names as A-labels (xn--...)"},
    {"[policy]\n[a]\nmachines = m.example 10.0.0.1\n",
     "policy.cnf:3: machines: AK certificates vouch for no address, found "
     "'10.0.0.1'; write the machine's name in them"},
    {"[policy]\n[a]\nmachines = 2001:db8::/32\n",
     "policy.cnf:3: machines: AK certificates vouch for no address"},
};

START_TEST(test_P6_bad_file)
{
    assert_refused(bad_files[_i].text, ATLS_E_POLICY, bad_files[_i].words);
}
END_TEST

static const char *const good_files[] = {
    COMPLETE,
    /* Nothing is said of nameless peers, and no section requires. */
    "[policy]\notherwise = require\n",
    "[policy]\nservers = a\notherwise = off\n[a]\nnames = a\nmode = off\n",
    /* Empty, to see what there is. */
    TOP "mode = observe\ntrust = roots.pem\nmachines = any\n",
    /* One demand is enough, whichever it is. */
    TOP "mode = require\ntrust = roots.pem\nmachines = any\n"
        "component.x = sha256:" HEX32 "\n",
    TOP "mode = require\ntrust = roots.pem\nmachines = any\npcr.22 = " HEX32
        "\n",
    /* Only for peers without a name. */
    "[policy]\notherwise = off\nnameless = b\n[b]\nmode = off\n",
    COMPLETE "allow_zero = yes\npcr.7 = " HEX32 " " ZERO32 "\n",
    COMPLETE "certificate = measured\ntls_key = any\nresumption = 0\n",
    /* The bank may stand below what it is about. */
    TOP "mode = off\npcr.0 = " HEX64 "\nbank = sha512\n",
};

START_TEST(test_good_file)
{
    assert_good(good_files[_i]);
}
END_TEST

/* P4: each word in a wrong spelling, at each key that takes words. */
static const struct {
    const char *key;
    const char *words[4];
    const char *expected;
} choices[] = {
    {"mode", {"off", "observe", "require"}, "expected require, observe or off"},
    {"tls_key", {"any", "tpm"}, "expected any or tpm"},
    {"freshness", {"live"}, "expected live"},
    {"bank", {"sha256", "sha384", "sha512"}, "expected sha256, sha384 or"},
    {"components", {"listed", "any"}, "expected listed or any"},
    {"certificate",
     {"measured", "measured-issuer", "any"},
     "expected measured, measured-issuer or any"},
    {"allow_zero", {"yes", "no"}, "expected yes or no"},
};

static void assert_misspelt(const char *key, const char *word,
                            const char *expected)
{
    char text[512];

    snprintf(text, sizeof(text),
             "[policy]\notherwise = off\n[a]\n%s = \"%s\"\n", key, word);
    assert_refused(text, ATLS_E_POLICY, expected);
}

START_TEST(test_P4_strict_spelling)
{
    static const char *const others[] = {
        "on",  "On", "true", "TRUE",   "Yes",  "No", "Off",
        "OFF", "1",  "0",    "enable", "None", "of", "requires"};
    char word[64];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_misspelt(choices[_i].key, others[i], choices[_i].expected);
    for (size_t i = 0; choices[_i].words[i] != NULL; i++) {
        snprintf(word, sizeof(word), "%s ", choices[_i].words[i]);
        assert_misspelt(choices[_i].key, word, choices[_i].expected);
        snprintf(word, sizeof(word), " %s", choices[_i].words[i]);
        assert_misspelt(choices[_i].key, word, choices[_i].expected);
        snprintf(word, sizeof(word), "%s.", choices[_i].words[i]);
        assert_misspelt(choices[_i].key, word, choices[_i].expected);
        snprintf(word, sizeof(word), "%s", choices[_i].words[i]);
        word[0] = (char)(word[0] - 'a' + 'A');
        assert_misspelt(choices[_i].key, word, choices[_i].expected);
        word[0] = choices[_i].words[i][0];
        word[strlen(word) - 1] = '\0';
        assert_misspelt(choices[_i].key, word,
                        word[0] == '\0' ? "nothing" : choices[_i].expected);
    }
}
END_TEST

START_TEST(test_P4_strict_spelling_in_policy)
{
    assert_refused("[policy]\notherwise = Off\n", ATLS_E_POLICY,
                   "policy.cnf:2: otherwise: expected require, observe or off "
                   "in lower case, found 'Off'");
    assert_refused("[policy]\notherwise = no\n", ATLS_E_POLICY,
                   "policy.cnf:2: otherwise: expected require");
    assert_refused("[policy]\notherwise = off\nnameless = Refuse\n",
                   ATLS_E_POLICY, "policy.cnf:3: nameless: expected refuse");
    assert_refused("[policy]\notherwise = off\nnameless = 'off '\n",
                   ATLS_E_POLICY, "policy.cnf:3: nameless: expected refuse");
    assert_refused("[policy]\notherwise = off\nnameless = require\n",
                   ATLS_E_POLICY, "policy.cnf:3: nameless: expected refuse");
}
END_TEST

static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
} times[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:01Z", 1},
    {"2000-02-29T00:00:00Z", 951782400},
    {"2000-03-01T23:59:59Z", 951955199},
    {"2027-06-30T00:00:00Z", 1814313600},
    {"2100-03-01T00:00:00Z", 4107542400},
    {"9999-12-31T23:59:59Z", 253402300799},
    {"1969-12-31T23:59:59Z", -1},
    {"2027-02-29T00:00:00Z", -1},
    {"2100-02-29T00:00:00Z", -1},
    {"2027-04-31T00:00:00Z", -1},
    {"2027-00-01T00:00:00Z", -1},
    {"2027-13-01T00:00:00Z", -1},
    {"2027-06-00T00:00:00Z", -1},
    {"2027-06-30T24:00:00Z", -1},
    {"2027-06-30T00:60:00Z", -1},
    {"2027-06-30T00:00:60Z", -1},
    {"2027-06-30T00:00:00z", -1},
    {"2027-06-30t00:00:00Z", -1},
    {"2027-06-30 00:00:00Z", -1},
    {"2027-06-30T00:00:00", -1},
    {"2027-06-30T00:00:00ZZ", -1},
    {"2027-06-30T00:00:00+00:00", -1},
    {"2027/06/30T00:00:00Z", -1},
    {"2027-06/30T00:00:00Z", -1},
    {"2027-06-30T00.00:00Z", -1},
    {"2027-06-30T00:00.00Z", -1},
    {"+027-06-30T00:00:00Z", -1},
    {"2027--6-30T00:00:00Z", -1},
    {"2027-06- 1T00:00:00Z", -1},
    {"2027-06-30T-1:00:00Z", -1},
    {"2027-06-30T00:-1:00Z", -1},
    {"2027-06-30T00:00:-1Z", -1},
};

START_TEST(test_P11_time)
{
    int64_t seconds = -1;
    bool is_time = atls_policy_parse_time(times[_i].text, &seconds);

    ck_assert_msg(is_time == (times[_i].seconds >= 0), "%s", times[_i].text);
    ck_assert_int_eq(seconds, times[_i].seconds);
}
END_TEST

/* The manual's example is a policy, and every key has its place there. */
START_TEST(test_manual)
{
    const char *srcdir = getenv("srcdir");
    char path[4096];
    char *manual = NULL;
    size_t size = 0;
    FILE *in;
    char *example;
    char *end;

    snprintf(path, sizeof(path), "%s/doc/attest-policy.cnf.5",
             srcdir != NULL ? srcdir : ".");
    in = fopen(path, "r");
    ck_assert_msg(in != NULL, "%s", path);
    ck_assert_int_gt(getdelim(&manual, &size, '\0', in), 0);
    fclose(in);
    for (const struct atls_policy_key *key = atls_policy_section_keys;
         key->name != NULL; key++) {
        char item[64];

        snprintf(item, sizeof(item), "\n.It Ic %s", key->name);
        ck_assert_msg(strstr(manual, item) != NULL, "%s", key->name);
    }
    example = strstr(manual, ".Sh EXAMPLES");
    ck_assert_ptr_nonnull(example);
    example = strchr(strstr(example, ".Bd -literal"), '\n');
    end = strstr(example, "\n.Ed");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    write_text("ak-roots.pem", PEM_ROOT);
    assert_good(example);
    free(manual);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_every_key),
    ONCE(test_defaults),
    ONCE(test_references_are_counted),
    ONCE(test_intermediate_as_anchor),
    LOOP(test_P1_bad_trust, 0, COUNT(bad_trust)),
    ONCE(test_P1_missing_trust),
    ONCE(test_P1_missing_policy),
    LOOP(test_P2_bad_key, 0, COUNT(bad_keys)),
    LOOP(test_P6_bad_file, 0, COUNT(bad_files)),
    LOOP(test_good_file, 0, COUNT(good_files)),
    LOOP(test_P4_strict_spelling, 0, COUNT(choices)),
    ONCE(test_P4_strict_spelling_in_policy),
    LOOP(test_P11_time, 0, COUNT(times)),
    ONCE(test_manual),
};

SUITE(.name = "policy",
      .cases = {CASE("policy", tests, 0, set_up, scratch_remove)});
