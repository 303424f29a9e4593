/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "unit/policy_certificates.h"
#include "verifier/policy.h"

/*
 * What a loaded policy says of peers, of itself, and of its files.
 */

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define HEX32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define REQUIRE                                                 \
    "mode = require\ntrust = roots.pem\nmachines = m.example\n" \
    "pcr.0 = " HEX32 "\n"
#define OBSERVE "mode = observe\ntrust = roots.pem\nmachines = m.example\n"

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

static void set_up(void)
{
    scratch_make();
    write_text("roots.pem", PEM_ROOT);
}

static struct atls_policy *reload(void)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r =
        atls_policy_load(scratch_path("policy.cnf"), &why, &policy);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    return policy;
}

static struct atls_policy *load(const char *text)
{
    write_text("policy.cnf", text);
    return reload();
}

/* r-first: inside the networks and names of others, and listed first. */
static const char sections[] =
    "[r-first]\n"
    "names = first.example 10.0.0.1\n" REQUIRE "[none]\n"
    "names = off.example *.off.example 10.0.0.0/8\n"
    "mode = off\n"
    "[observe]\n"
    "names = *.example 192.0.2.0/24\n" OBSERVE "[r-last]\n"
    "names = r.test r.off.example 2001:db8::/32\n" REQUIRE
    "[r2]\nnames = r2.test\n" REQUIRE "[r3]\nnames = r3.test\n" REQUIRE
    "[r4]\nnames = r4.test\n" REQUIRE "[r5]\nnames = r5.test\n" REQUIRE;

#define NAMES_MAX 8

static const struct {
    const char *otherwise;
    const char *nameless;
    const char *names[NAMES_MAX];
    const char *expected; /* mode, sections, refusal */
} matches[] = {
    /* One name. */
    {"off", "refuse", {"r.test"}, "require r-last ok"},
    {"off", "refuse", {"R.TEST."}, "require r-last ok"},
    {"off", "refuse", {"x.off-.example"}, "off ok"},
    {"off", "refuse", {"first.example"}, "require r-first ok"},
    {"off", "refuse", {"10.0.0.1"}, "require r-first ok"},
    {"off", "refuse", {"10.0.0.2"}, "off none ok"},
    {"off", "refuse", {"second.example"}, "observe observe ok"},
    {"off", "refuse", {"[2001:db8::1]"}, "require r-last ok"},
    /* The first section that matches, though a later one requires. */
    {"off", "refuse", {"r.off.example"}, "off none ok"},
    /* Nobody matches. */
    {"off", "refuse", {"other.test"}, "off ok"},
    {"observe", "refuse", {"other.test"}, "observe ok"},
    {"require", "refuse", {"other.test"}, "require peer-not-named"},
    /* P12: an address that no section lists is no name. */
    {"off", "refuse", {"203.0.113.1"}, "require nameless-peer"},
    {"require", "off", {"203.0.113.1"}, "off ok"},
    {"off", "r-last", {"203.0.113.1"}, "require r-last ok"},
    {"off", "refuse", {"203.0.113.1", "2001:db9::1"}, "require nameless-peer"},
    {"off", "refuse", {"2001:db8::1", "203.0.113.1"}, "require r-last ok"},
    /* P13: odd spellings are what they mean, or no name. */
    {"off", "refuse", {"10.1"}, "require r-first ok"},
    {"off", "refuse", {"0xa.1"}, "require r-first ok"},
    {"off", "refuse", {"167772161"}, "require r-first ok"},
    {"off", "refuse", {"10.0.0.1."}, "require r-first ok"},
    {"off", "refuse", {"2001:db8::1%lo"}, "require r-last ok"},
    {"off", "refuse", {"[2001:db8::1%25lo]"}, "require r-last ok"},
    {"off", "refuse", {"127.1"}, "require nameless-peer"},
    {"off", "refuse", {"0x7f000001"}, "require nameless-peer"},
    {"off", "refuse", {"2130706433"}, "require nameless-peer"},
    {"off", "refuse", {"::1%lo"}, "require nameless-peer"},
    {"off", "refuse", {"r.test.."}, "require nameless-peer"},
    {"off", "refuse", {"localhost.."}, "require nameless-peer"},
    {"off",
     "refuse",
     {"b\xc3\xbc"
      "cher.test"},
     "require nameless-peer"},
    {"off", "refuse", {"r.test:443"}, "require nameless-peer"},
    {"off", "refuse", {"*"}, "require nameless-peer"},
    {"off", "refuse", {""}, "require nameless-peer"},
    {"require", "off", {""}, "off ok"},
    {"off", "refuse", {"r.test..", "other.test"}, "require nameless-peer"},
    {"off", "off", {"r.test..", "other.test"}, "off ok"},
    {"off", "r-last", {"other.test", ".r.test"}, "require r-last ok"},
    /* Of several names' the strictest, in any order. */
    {"off", "refuse", {"off.example", "r.test"}, "require r-last ok"},
    {"off", "refuse", {"r.test", "off.example"}, "require r-last ok"},
    {"off", "refuse", {"b.example", "r.test"}, "require r-last ok"},
    {"off", "refuse", {"off.example", "b.example"}, "observe observe ok"},
    {"off", "refuse", {"r.test", "192.0.2.1"}, "require r-last ok"},
    {"off", "refuse", {"r.test", "10.0.0.1"}, "require r-last r-first ok"},
    {"off", "refuse", {"r.test", "r.test", "2001:db8::1"}, "require r-last ok"},
    {"off",
     "refuse",
     {"r.test", "r2.test", "r3.test", "r4.test", "r.test"},
     "require r-last r2 r3 r4 ok"},
    {"off",
     "refuse",
     {"r.test", "r2.test", "r3.test", "r4.test", "r5.test"},
     "require r-last r2 r3 r4 limit-exceeded"},
    {"off",
     "refuse",
     {"r.test", "r2.test", "r3.test", "r4.test", "r5.test", "r.test"},
     "require r-last r2 r3 r4 limit-exceeded"},
    /* A host name that no section names is under `otherwise`, beside others
     * too; an address is only when nothing else names the peer. */
    {"off", "refuse", {"r.test", "other.test"}, "require r-last ok"},
    {"observe", "refuse", {"off.example", "other.test"}, "observe ok"},
    {"observe", "refuse", {"b.example", "other.test"}, "observe observe ok"},
    {"require",
     "refuse",
     {"off.example", "other.test"},
     "require peer-not-named"},
    {"require",
     "refuse",
     {"other.test", "r.test"},
     "require r-last peer-not-named"},
    {"require", "refuse", {"r.test", "203.0.113.1"}, "require r-last ok"},
    {"require", "refuse", {"203.0.113.1", "r.test"}, "require r-last ok"},
    {"require", "refuse", {"b.example", "203.0.113.1"}, "observe observe ok"},
    {"require", "refuse", {"off.example", "203.0.113.1"}, "off none ok"},
    {"require",
     "refuse",
     {"other.test", "203.0.113.1"},
     "require peer-not-named"},
    {"require", "refuse", {"other.test", "10.0.0.2"}, "require peer-not-named"},
    /* P8: nobody knows how it is called. */
    {"off", "refuse", {NULL}, "require nameless-peer"},
    {"require", "off", {NULL}, "off ok"},
    {"off", "r-last", {NULL}, "require r-last ok"},
    {"require", "observe", {NULL}, "observe observe ok"},
    {"require", "none", {NULL}, "off none ok"},
};

static void describe(const struct atls_match *match, char *text, size_t size)
{
    static const char *const modes[] = {"off", "observe", "require"};
    size_t used = (size_t)snprintf(text, size, "%s", modes[match->mode]);

    for (size_t i = 0; i < match->count; i++)
        used += (size_t)snprintf(text + used, size - used, " %s",
                                 match->sections[i]->name);
    snprintf(text + used, size - used, " %s", atls_error_name(match->refusal));
}

static void assert_match(const struct atls_policy *policy,
                         const char *const *names, const char *expected)
{
    struct atls_match match;
    char found[256];
    size_t count = 0;

    while (names[count] != NULL)
        count++;
    atls_policy_match_server(policy, names, count, &match);
    describe(&match, found, sizeof(found));
    ck_assert_str_eq(found, expected);
}

START_TEST(test_P8_match)
{
    char text[4096];
    struct atls_policy *policy;

    snprintf(text, sizeof(text),
             "[policy]\n"
             "servers = r-first none observe r-last r2 r3 r4 r5\n"
             "otherwise = %s\nnameless = %s\n%s",
             matches[_i].otherwise, matches[_i].nameless, sections);
    policy = load(text);
    assert_match(policy, matches[_i].names, matches[_i].expected);
    atls_policy_unref(policy);
}
END_TEST

/* Without `nameless` such a peer is one that no section names. */
START_TEST(test_P8_nameless_not_given)
{
    static const char *const nobody[] = {NULL};
    struct atls_policy *policy = load("[policy]\notherwise = require\n");

    assert_match(policy, nobody, "require peer-not-named");
    atls_policy_unref(policy);
    policy = load("[policy]\notherwise = observe\n");
    assert_match(policy, nobody, "observe ok");
    atls_policy_unref(policy);
    policy = load("[policy]\notherwise = off\n");
    assert_match(policy, nobody, "off ok");
    atls_policy_unref(policy);
}
END_TEST

/* Warnings. */

#define TOP                                                       \
    "[policy]\nservers = a\notherwise = off\nnameless = refuse\n" \
    "[a]\nnames = a.example\nmode = require\ntrust = roots.pem\n"
#define NAMED TOP "machines = m.example\n"
#define NAMELESS_IS(word) \
    "[policy]\nservers = a\notherwise = off\nnameless = " word "\n"
#define TRUSTS "trust = roots.pem\nmachines = m.example\npcr.0 = " HEX32 "\n"
#define REQUIRES "[a]\nnames = a.example\nmode = require\n" TRUSTS
#define ONE_COMPONENT "component.x = sha256:" HEX32 "\n"

static const struct {
    const char *text;
    const char *words; /* NULL: no warning; else the only one has them */
} warnings[] = {
    {NAMED "pcr.0 = " HEX32 "\n", NULL},
    {NAMED ONE_COMPONENT "pcr.4 = " HEX32 "\n", NULL},
    {NAMED ONE_COMPONENT "pcr.11 = " HEX32 "\n", NULL},
    {NAMED ONE_COMPONENT,
     "policy.cnf:5: [a] names components but no boot PCR: the list is then the "
     "word of an unknown kernel; add pcr.0 to pcr.9 or pcr.11"},
    {NAMED ONE_COMPONENT "pcr.15 = " HEX32 "\n", "no boot PCR"},
    {NAMED ONE_COMPONENT "pcr.10 = " HEX32 "\n", "no boot PCR"},
    {NAMED ONE_COMPONENT "measure_pcr = 9\npcr.9 = " HEX32 "\n", "no boot PCR"},
    {NAMED ONE_COMPONENT "measure_pcr = 9\npcr.8 = " HEX32 "\n", NULL},
    {TOP "machines = any\npcr.0 = " HEX32 "\n",
     "policy.cnf:5: [a] machines = any: one corrupt machine"},
    {NAMED "pcr.0 = " HEX32 "\nexpires = 1999-12-31T23:59:59Z\n",
     "policy.cnf:5: [a] expires: the time is past"},
    {NAMED "pcr.0 = " HEX32 "\nexpires = 9999-12-31T23:59:59Z\n", NULL},
    {"[policy]\notherwise = off\n",
     "policy.cnf:1: [policy] no peer is ever verified"},
    {"[policy]\notherwise = observe\n",
     "policy.cnf:1: [policy] no peer is ever verified"},
    {"[policy]\notherwise = require\n", NULL},
    {"[policy]\nservers = a\notherwise = off\n[a]\nnames = a\nmode = off\n",
     "policy.cnf:1: [policy] no peer is ever verified"},
    {NAMELESS_IS("off") REQUIRES,
     "policy.cnf:1: [policy] nameless = off: servers of which no name shows "
     "pass unattested, those of [a] too, as with curl https://ADDRESS/; write "
     "refuse, or a section that requires"},
    {NAMELESS_IS("b") REQUIRES "[b]\nmode = off\n",
     "policy.cnf:1: [policy] nameless = b: servers of which no name shows"},
    {NAMELESS_IS("a") REQUIRES, NULL},
    {NAMELESS_IS("b") REQUIRES "[b]\nmode = observe\n" TRUSTS, NULL},
    {NAMELESS_IS("off") "[a]\nnames = a.example\nmode = observe\n" TRUSTS,
     NULL},
};

static enum atls_error code_of(const char *words)
{
    if (strstr(words, "expires: ") != NULL)
        return ATLS_E_EXPIRED;
    return strstr(words, "others can write") != NULL ? ATLS_E_IO
                                                     : ATLS_E_POLICY;
}

static void assert_warning(const struct atls_policy *policy, const char *words)
{
    const char *warning = atls_policy_warning(policy, 0);

    if (words == NULL) {
        ck_assert_msg(warning == NULL, "%s", warning);
        ck_assert_int_eq(atls_policy_warning_code(policy, 0), ATLS_OK);
        return;
    }
    ck_assert_msg(warning != NULL, "%s", words);
    ck_assert_msg(strstr(warning, words) != NULL, "'%s' lacks '%s'", warning,
                  words);
    ck_assert_uint_lt(strlen(warning), 220);
    ck_assert_int_eq(atls_policy_warning_code(policy, 0), code_of(words));
    ck_assert_int_eq(atls_policy_warning_code(policy, 1), ATLS_OK);
    ck_assert_ptr_null(atls_policy_warning(policy, 1));
    ck_assert_ptr_null(atls_policy_warning(policy, 2));
}

START_TEST(test_warning)
{
    struct atls_policy *policy = load(warnings[_i].text);

    assert_warning(policy, warnings[_i].words);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_P11_expires_soon)
{
    static const struct {
        int days;
        const char *words;
    } cases[] = {{29, "policy.cnf:5: [a] expires: within 30 days"}, {31, NULL}};

    for (int i = 0; i < COUNT(cases); i++) {
        time_t when = time(NULL) + (time_t)cases[i].days * 24 * 60 * 60;
        struct atls_policy *policy;
        struct tm tm;
        char text[1024];
        size_t used = (size_t)snprintf(text, sizeof(text), "%s",
                                       NAMED "pcr.0 = " HEX32 "\n");

        ck_assert_ptr_nonnull(gmtime_r(&when, &tm));
        strftime(text + used, sizeof(text) - used,
                 "expires = %Y-%m-%dT%H:%M:%SZ\n", &tm);
        policy = load(text);
        assert_warning(policy, cases[i].words);
        atls_policy_unref(policy);
    }
}
END_TEST

static void assert_warning_at_mode(const char *name, mode_t mode,
                                   const char *words)
{
    struct atls_policy *policy;

    ck_assert_int_eq(chmod(scratch_path(name), mode), 0);
    policy = reload();
    assert_warning(policy, words);
    atls_policy_unref(policy);
    ck_assert_int_eq(chmod(scratch_path(name), 0600), 0);
}

START_TEST(test_C5_writable_by_others)
{
    write_text("policy.cnf", ".include rest.cnf\n");
    write_text("rest.cnf", NAMED "pcr.0 = " HEX32 "\n");
    assert_warning_at_mode("policy.cnf", 0644, NULL);
    assert_warning_at_mode("policy.cnf", 0664,
                           "policy.cnf: others can write it (mode 0664)");
    assert_warning_at_mode("rest.cnf", 0602,
                           "rest.cnf: others can write it (mode 0602)");
    assert_warning_at_mode("roots.pem", 0666,
                           "roots.pem: others can write it (mode 0666)");
}
END_TEST

/* Files that change. */

static void set_time(const char *name, time_t seconds, long nanoseconds)
{
    const struct timespec times[2] = {{seconds, nanoseconds},
                                      {seconds, nanoseconds}};

    ck_assert_int_eq(utimensat(AT_FDCWD, scratch_path(name), times, 0), 0);
}

/* Files are young for two ticks of the kernel's clock, and then always stale. */
static void wait_a_moment(void)
{
    const struct timespec moment = {0, 30000000};

    ck_assert_int_eq(nanosleep(&moment, NULL), 0);
}

/* Load, change one file with the function, and see whether it shows. */
static void assert_stale(const char *name, void (*change)(const char *name),
                         enum atls_file_state state)
{
    struct atls_policy *policy;

    write_text("policy.cnf", ".include rest.cnf\n");
    write_text("rest.cnf", NAMED "pcr.0 = " HEX32 "\n");
    write_text("roots.pem", PEM_ROOT);
    set_time(name, 1000000000, 5);
    wait_a_moment();
    policy = reload();
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_SAME);
    change(name);
    ck_assert_msg(atls_policy_look(policy) == state, "%s", name);
    atls_policy_unref(policy);
}

static void change_second(const char *name)
{
    set_time(name, 1000000001, 5);
}

static void change_nanosecond(const char *name)
{
    set_time(name, 1000000000, 6);
}

static void change_size(const char *name)
{
    ck_assert_int_eq(truncate(scratch_path(name), 3), 0);
    set_time(name, 1000000000, 5);
}

/* Same size, same time: a file put in its place by renaming. */
static void change_inode(const char *name)
{
    size_t len = 0;
    char *text = scratch_read(name, &len);

    scratch_write("new", text, len, 0600);
    set_time("new", 1000000000, 5);
    ck_assert_int_eq(rename(scratch_path("new"), scratch_path(name)), 0);
    free(text);
}

/* Same size, same time that anybody sees: only the kernel's tells. */
static void change_text(const char *name)
{
    size_t len = 0;
    char *text = scratch_read(name, &len);

    memset(text, '#', len);
    scratch_write(name, text, len, 0600);
    set_time(name, 1000000000, 5);
    free(text);
}

/* Who may write to it decides whether to warn. */
static void change_rights(const char *name)
{
    ck_assert_int_eq(chmod(scratch_path(name), 0660), 0);
}

static void change_nothing(const char *name)
{
    size_t len = 0;

    free(scratch_read(name, &len));
}

static void remove_it(const char *name)
{
    ck_assert_int_eq(unlink(scratch_path(name)), 0);
}

START_TEST(test_P3_stale)
{
    static const char *const files[] = {"policy.cnf", "rest.cnf", "roots.pem"};

    for (int i = 0; i < COUNT(files); i++) {
        assert_stale(files[i], change_second, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_nanosecond, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_size, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_inode, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_text, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_rights, ATLS_FILE_CHANGED);
        assert_stale(files[i], change_nothing, ATLS_FILE_SAME);
        assert_stale(files[i], remove_it, ATLS_FILE_GONE);
    }
}
END_TEST

/* Written, read and written again before the clock of the file system moved:
 * the second text shows, whatever the file looks like. */
START_TEST(test_P3_young_file)
{
    struct atls_policy *policy;

    write_text("policy.cnf", ".include rest.cnf\n");
    write_text("rest.cnf", NAMED "pcr.0 = " HEX32 "\n");
    write_text("roots.pem", PEM_ROOT);
    wait_a_moment();
    set_time("rest.cnf", 1000000000, 5);
    policy = reload();
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_CHANGED);
    atls_policy_unref(policy);
    wait_a_moment();
    policy = reload();
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_SAME);
    atls_policy_unref(policy);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_P8_match, 0, COUNT(matches)),
    ONCE(test_P8_nameless_not_given),
    LOOP(test_warning, 0, COUNT(warnings)),
    ONCE(test_P11_expires_soon),
    ONCE(test_C5_writable_by_others),
    ONCE(test_P3_stale),
    ONCE(test_P3_young_file),
};

SUITE(.name = "policy_match",
      .cases = {CASE("policy_match", tests, 0, set_up, scratch_remove)});
