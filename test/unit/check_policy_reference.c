/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/policy_reference.c: the sections that `reference` names. */
#include <check.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "unit/policy_certificates.h"
#include "verifier/policy.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define HEX16 "0123456789abcdef0123456789ABCDEF"
#define HEX32 HEX16 HEX16
#define HEX48 HEX32 HEX16
#define ZERO32 \
    "0000000000000000000000000000000000000000000000000000000000000000"

/* A section for peers that demands nothing but what follows, from line 10. */
#define TOP                                                       \
    "[policy]\nservers = a\notherwise = off\nnameless = refuse\n" \
    "[a]\nnames = a.example\nmode = require\ntrust = roots.pem\n" \
    "machines = m.example\n"
#define GOLDEN "[golden]\npcr.4 = " HEX32 "\n"

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

static void set_up(void)
{
    scratch_make();
    write_text("roots.pem", PEM_ROOT);
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

static const char two_sections[] =
    "[policy]\n"
    "servers = a b\n"
    "otherwise = off\n"
    "nameless = refuse\n"
    "[late]\n" /* before the sections that name it */
    "component.model = sha256:" HEX32 " sha256:" ZERO32 "\n"
    "[a]\n"
    "reference = golden, late\n"
    "names = a.example\n"
    "mode = require\n"
    "trust = roots.pem\n"
    "machines = m.example\n"
    "pcr.7 = " HEX32 "\n"
    "component.model = sha256:" HEX32 "\n"
    "[b]\n"
    "reference = late\n"
    "names = b.example\n"
    "mode = require\n"
    "trust = roots.pem\n"
    "machines = m.example\n"
    "bank = sha384\n"
    "[golden]\n"
    "pcr.4 = " HEX32 " " ZERO32 "\n"
    "component.model = sha256:" HEX32 "\n"
    "component.code = sha256:" HEX32 "\n";

START_TEST(test_references)
{
    struct atls_policy *policy = load_good(two_sections);
    const struct atls_section *a = atls_policy_find(policy, "a");
    const struct atls_section *b = atls_policy_find(policy, "b");
    const struct atls_reference *golden = &a->references[0];

    ck_assert_uint_eq(a->reference_count, 2);
    ck_assert_str_eq(golden->name, "golden");
    ck_assert_uint_eq(golden->pcrs[4].count, 2);
    ck_assert_uint_eq(golden->pcrs[4].values[0][1], 0x23);
    ck_assert_uint_eq(golden->pcrs[7].count, 0);
    ck_assert_uint_eq(golden->component_count, 2);
    ck_assert_str_eq(golden->components[1].name, "code");
    ck_assert_str_eq(a->references[1].name, "late");
    ck_assert_uint_eq(a->references[1].components[0].count, 2);
    /* The section's own are its own. */
    ck_assert_uint_eq(a->pcrs[4].count, 0);
    ck_assert_uint_eq(a->pcrs[7].count, 1);
    ck_assert_uint_eq(a->component_count, 1);
    /* Each has a copy of what both name. */
    ck_assert_uint_eq(b->reference_count, 1);
    ck_assert_str_eq(b->references[0].name, "late");
    ck_assert_ptr_ne(b->references[0].components, a->references[1].components);
    /* They describe no peers. */
    ck_assert_ptr_null(atls_policy_find(policy, "golden"));
    ck_assert_ptr_null(atls_policy_find(policy, "late"));
    ck_assert_ptr_null(atls_policy_section(policy, 2));
    atls_policy_unref(policy);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} refused[] = {
    /* What the list may name. */
    {TOP "reference = goldn\n" GOLDEN,
     "policy.cnf:10: reference: there is no section [goldn]; did you mean "
     "golden?"},
    {TOP "reference = other\n" GOLDEN,
     "policy.cnf:10: reference: there is no section [other]; add it or take it "
     "out of the list"},
    {TOP "reference = golden golden\n" GOLDEN,
     "policy.cnf:10: reference: golden stands in the list twice; keep one"},
    {TOP "reference = golden,\n" GOLDEN,
     "policy.cnf:10: reference: empty entry in the list"},
    {TOP "reference = Golden\n" GOLDEN, "did you mean golden?"},
    /* What a reference may hold. */
    {TOP "reference = golden\n" GOLDEN "mode = require\n",
     "policy.cnf:13: mode: unknown key in a section that a `reference` names: "
     "it may hold pcr.N, component.NAME and boot_log"},
    {TOP "reference = golden\n" GOLDEN "bank = sha256\n",
     "policy.cnf:13: bank: unknown key in a section that a `reference` names"},
    {TOP "reference = golden\n" GOLDEN "pcr.24 = " HEX32 "\n",
     "policy.cnf:13: pcr.24: no such PCR"},
    {TOP "reference = golden\n" GOLDEN "pcr.16 = " HEX32 "\n",
     "policy.cnf:13: pcr.16: any program can reset this PCR"},
    {TOP "reference = golden\n" GOLDEN "component.x = " HEX32 "\n",
     "policy.cnf:13: component.x: expected sha256:"},
    {TOP "reference = golden\n[golden]\n",
     "policy.cnf:11: [golden] is a reference of [a] and every machine would "
     "match it; add pcr.N or component.NAME"},
    /* It is read in the bank of who names it, wherever that stands. */
    {TOP "reference = golden\nbank = sha384\n" GOLDEN,
     "policy.cnf:13: pcr.4: expected values of 96 hex digits, as the bank is "
     "sha384"},
    {TOP "reference = golden\n[golden]\npcr.4 = " HEX48 "\n",
     "policy.cnf:12: pcr.4: expected values of 64 hex digits"},
    /* Also where nobody asks for it. */
    {"[policy]\nservers = a\notherwise = off\n[a]\nnames = a\nmode = off\n"
     "reference = golden\n[golden]\npcr.4 = 00\n",
     "policy.cnf:9: pcr.4: expected values of 64 hex digits"},
    /* Who may be in which list. */
    {"[policy]\nservers = a golden\notherwise = off\nnameless = refuse\n"
     "[a]\nnames = a\nmode = require\ntrust = roots.pem\nmachines = m\n"
     "reference = golden\n" GOLDEN,
     "policy.cnf:2: servers: [golden] is a reference, not a section for "
     "peers; list the section that names it"},
    {"[policy]\nservers = a\notherwise = off\nnameless = golden\n"
     "[a]\nnames = a\nmode = require\ntrust = roots.pem\nmachines = m\n"
     "reference = golden\n" GOLDEN,
     "policy.cnf:4: nameless: [golden] is a reference, not a section for "
     "peers; write the section that names it"},
    {TOP "pcr.0 = " HEX32 "\n" GOLDEN,
     "policy.cnf:11: [golden] says neither mode nor whom it describes, and no "
     "`reference` names it; add it to the `reference` of a section"},
    /* References of references. */
    {TOP "reference = golden\n" GOLDEN
         "reference = more\n[more]\npcr.5 = " HEX32 "\n",
     "policy.cnf:13: reference: unknown key in a section that a `reference`"},
    {"[policy]\notherwise = off\n[b]\nreference = b\npcr.0 = " HEX32 "\n",
     "policy.cnf:3: [b] is the reference of no section for peers: what is "
     "named by a `reference` names none itself"},
    {"[policy]\notherwise = off\n[b]\nreference = c\n[c]\nreference = b\n",
     "policy.cnf:3: [b] is the reference of no section for peers"},
    {TOP "reference = policy\n",
     "policy.cnf:2: servers: unknown key in a section that a `reference`"},
    /* E8 */
    {TOP "reference = golden\nallow_zero = yes\n" GOLDEN,
     "policy.cnf:5: allow_zero: no pcr.0 to pcr.7 of [a] lists zero"},
};

START_TEST(test_P2_P6_refused)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r = load(refused[_i].text, &why, &policy);

    ck_assert_msg(r == ATLS_E_POLICY && why.code == ATLS_E_POLICY,
                  "%s: %s (expected: %s)", atls_error_name(r), why.text,
                  refused[_i].words);
    ck_assert_msg(strstr(why.text, refused[_i].words) != NULL,
                  "'%s' lacks '%s'", why.text, refused[_i].words);
    ck_assert_uint_lt(strlen(why.text), ATLS_REASON_MAX - 1);
    ck_assert_ptr_null(policy);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

static const char *const good[] = {
    /* References alone are a demand. */
    TOP "reference = golden\n" GOLDEN,
    TOP "reference = golden\n[golden]\ncomponent.x = sha256:" HEX32 "\n",
    /* Zero that a reference lists is listed. */
    TOP "reference = golden\nallow_zero = yes\n" GOLDEN "pcr.7 = " ZERO32 "\n",
    TOP "bank = sha384\nreference = golden\n[golden]\npcr.4 = " HEX48 "\n",
};

START_TEST(test_good)
{
    atls_policy_unref(load_good(good[_i]));
}
END_TEST

/* Warnings look at the section together with each of its references. */
static const struct {
    const char *text;
    const char *words; /* NULL: none */
} warnings[] = {
    {TOP "reference = golden\n[golden]\ncomponent.x = sha256:" HEX32 "\n",
     "policy.cnf:5: [a] with reference golden names components but no boot "
     "PCR: the list is then the word of an unknown kernel; add pcr.0"},
    {TOP "reference = golden\npcr.4 = " HEX32
         "\n[golden]\ncomponent.x = sha256:" HEX32 "\n",
     NULL},
    {TOP "reference = golden\ncomponent.x = sha256:" HEX32 "\n" GOLDEN, NULL},
    {TOP "reference = golden other\ncomponent.x = sha256:" HEX32 "\n" GOLDEN
         "[other]\npcr.14 = " HEX32 "\n",
     "policy.cnf:5: [a] with reference other names components but no boot"},
    {TOP "reference = golden\n[golden]\npcr.14 = " HEX32 "\n", NULL},
    /* The measured PCR is not a boot PCR. */
    {TOP "reference = golden\nmeasure_pcr = 11\n[golden]\npcr.11 = " HEX32
         "\ncomponent.x = sha256:" HEX32 "\n",
     "[a] with reference golden names components"},
    /* Of nobody who is verified it is said once. */
    {"[policy]\nservers = a\notherwise = off\n[a]\nnames = a\nmode = off\n"
     "reference = golden\n" GOLDEN,
     "policy.cnf:1: [policy] no peer is ever verified"},
};

START_TEST(test_warning)
{
    struct atls_policy *policy = load_good(warnings[_i].text);
    const char *warning = atls_policy_warning(policy, 0);

    if (warnings[_i].words == NULL) {
        ck_assert_msg(warning == NULL, "%s", warning);
    } else {
        ck_assert_msg(warning != NULL
                          && strstr(warning, warnings[_i].words) != NULL,
                      "'%s' lacks '%s'", warning, warnings[_i].words);
        ck_assert_uint_lt(strlen(warning), 220);
        ck_assert_int_eq(atls_policy_warning_code(policy, 0), ATLS_E_POLICY);
        ck_assert_ptr_null(atls_policy_warning(policy, 1));
    }
    atls_policy_unref(policy);
}
END_TEST

/* Each allocation fails in turn: refused, and nothing half read. */
START_TEST(test_R3_no_memory)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    size_t total;

    atls_policy_unref(load_good(two_sections));
    allocation_fail_at(0);
    ck_assert_int_eq(load(two_sections, &why, &policy), ATLS_OK);
    total = allocation_count();
    atls_policy_unref(policy);
    ck_assert_uint_gt(total, 20);
    for (size_t n = 1; n <= total; n++) {
        enum atls_error r;

        policy = NULL;
        allocation_fail_at(n);
        r = load(two_sections, &why, &policy);
        allocation_fail_at(0);
        ck_assert_msg(r != ATLS_OK, "allocation %zu of %zu", n, total);
        ck_assert_ptr_null(policy);
    }
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_references),
    LOOP(test_P2_P6_refused, 0, COUNT(refused)),
    LOOP(test_good, 0, COUNT(good)),
    LOOP(test_warning, 0, COUNT(warnings)),
    ONCE(test_R3_no_memory),
};

SUITE(.name = "policy_reference", .begin = allocation_install,
      .cases = {CASE("policy_reference", tests, 120, set_up, scratch_remove)});
