/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/policy_bootlog.c: the key boot_log. */
#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tcglog.h"
#include "unit/policy_certificates.h"
#include "verifier/policy.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define HEX32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX48 HEX32 "0123456789abcdef0123456789abcdef"

/* A section for peers but for what follows, from line 10. */
#define TOP                                                       \
    "[policy]\nservers = a\notherwise = off\nnameless = refuse\n" \
    "[a]\nnames = a.example\nmode = require\ntrust = roots.pem\n" \
    "machines = m.example\n"
#define PCR4 "pcr.4 = " HEX32 "\n"

static const struct tcglog_algorithm two_banks[] = {{TPM2_ALG_SHA1, 20},
                                                    {TPM2_ALG_SHA256, 32}};
static struct tcglog made;

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

static void write_log(const char *name)
{
    scratch_write(name, made.octets, made.len, 0600);
}

static void set_up(void)
{
    scratch_make();
    write_text("roots.pem", PEM_ROOT);
    tcglog_begin(&made, two_banks, 2);
    tcglog_locality(&made, 3);
    tcglog_text(&made, 4, 0x80000007, "Calling EFI Application");
    tcglog_text(&made, 4, 4, "separator");
    write_log("boot.bin");
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

static void expect_log(const struct atls_boot_log *log)
{
    ck_assert_ptr_nonnull(log);
    ck_assert_uint_eq(log->startup_locality, 3);
    ck_assert_uint_eq(log->count, 2);
    ck_assert_uint_eq(log->events[1].pcr, 4);
    /* Of the policy's own, as the file's text is let go of. */
    ck_assert_uint_eq(log->events[1].data.len, strlen("separator"));
    ck_assert_mem_eq(log->events[1].data.data, "separator", 9);
    ck_assert_ptr_nonnull(
        atls_boot_event_digest(&log->events[1], TPM2_ALG_SHA256));
}

START_TEST(test_nothing_is_asked_by_default)
{
    struct atls_policy *policy = load_good(TOP PCR4);

    ck_assert(!atls_policy_section(policy, 0)->asks_boot_log);
    ck_assert_ptr_null(atls_policy_section(policy, 0)->boot_log);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_ask)
{
    struct atls_policy *policy = load_good(TOP PCR4 "boot_log = ask\n");

    ck_assert(atls_policy_section(policy, 0)->asks_boot_log);
    ck_assert_ptr_null(atls_policy_section(policy, 0)->boot_log);
    atls_policy_unref(policy);
}
END_TEST

/* Relative to the policy, and asked for without saying so. */
START_TEST(test_log_of_a_good_machine)
{
    struct atls_policy *policy = load_good(TOP PCR4 "boot_log = boot.bin\n");

    ck_assert(atls_policy_section(policy, 0)->asks_boot_log);
    expect_log(atls_policy_section(policy, 0)->boot_log);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_log_of_a_reference)
{
    struct atls_policy *policy =
        load_good(TOP "reference = golden other\n"
                      "[golden]\n" PCR4 "boot_log = boot.bin\n"
                      "[other]\n" PCR4);
    const struct atls_section *section = atls_policy_section(policy, 0);

    ck_assert(section->asks_boot_log);
    ck_assert_ptr_null(section->boot_log);
    expect_log(section->references[0].boot_log);
    ck_assert_ptr_null(section->references[1].boot_log);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_reference_that_asks)
{
    struct atls_policy *policy =
        load_good(TOP "reference = golden\n[golden]\n" PCR4 "boot_log = ask\n");

    ck_assert(atls_policy_section(policy, 0)->asks_boot_log);
    ck_assert_ptr_null(atls_policy_section(policy, 0)->references[0].boot_log);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_P3_changed_log_makes_the_policy_stale)
{
    static const struct timespec moment = {.tv_nsec = 50000000};
    struct atls_policy *policy;

    write_text("policy.cnf", TOP PCR4 "boot_log = boot.bin\n");
    /* What was written just now counts as changed. */
    ck_assert_int_eq(nanosleep(&moment, NULL), 0);
    ck_assert_int_eq(
        atls_policy_load(scratch_path("policy.cnf"), NULL, &policy), ATLS_OK);
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_SAME);
    tcglog_text(&made, 4, 4, "another");
    write_log("boot.bin");
    ck_assert_int_eq(atls_policy_look(policy), ATLS_FILE_CHANGED);
    atls_policy_unref(policy);
}
END_TEST

static void log_of_sha1(void)
{
    tcglog_begin_sha1(&made);
    tcglog_text(&made, 4, 4, "separator");
}

static void log_cut(void)
{
    made.len--;
}

static void log_empty(void)
{
    made.len = 0;
}

static void log_without_events(void)
{
    tcglog_begin(&made, two_banks, 2);
}

static void log_untouched(void)
{
}

static const struct {
    void (*change)(void);
    const char *text; /* of the policy, behind TOP */
    enum atls_error code;
    const char *reason;
} bad[] = {
    {log_untouched, PCR4 "boot_log = none.bin\n", ATLS_E_IO,
     "/none.bin: cannot be opened: No such file"},
    {log_untouched, PCR4 "boot_log = Ask\n", ATLS_E_IO,
     "/Ask: cannot be opened"},
    {log_untouched, PCR4 "boot_log = .\n", ATLS_E_IO, "boot_log: "},
    {log_cut, PCR4 "boot_log = boot.bin\n", ATLS_E_TRUNCATED,
     "its data have 9 octets, the log has 8 more"},
    {log_untouched, PCR4 "boot_log = roots.pem\n", ATLS_E_TRUNCATED,
     "/roots.pem: boot log: event 0 at octet 0"},
    {log_empty, PCR4 "boot_log = boot.bin\n", ATLS_E_POLICY,
     "/boot.bin: no event in it; copy binary_bios_measurements"},
    {log_without_events, PCR4 "boot_log = boot.bin\n", ATLS_E_POLICY,
     "/boot.bin: no event in it"},
    {log_of_sha1, PCR4 "boot_log = boot.bin\n", ATLS_E_POLICY,
     "/boot.bin: event 0 has no digest of bank sha256, which the "
     "section is about; record the log anew"},
    /* The bank counts, wherever it stands. */
    {log_untouched, "boot_log = boot.bin\npcr.4 = " HEX48 "\nbank = sha384\n",
     ATLS_E_POLICY, "event 0 has no digest of bank sha384"},
    {log_of_sha1, "reference = golden\n[golden]\n" PCR4 "boot_log = boot.bin\n",
     ATLS_E_POLICY, "policy.cnf:13: boot_log: "},
    {log_untouched, PCR4 "boot_log = boot.bin\nboot_log = ask\n", ATLS_E_POLICY,
     "boot_log"},
};

START_TEST(test_P1_bad_logs)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    char text[2000];
    enum atls_error r;

    strcpy(text, TOP);
    strcat(text, bad[_i].text);
    bad[_i].change();
    write_log("boot.bin");
    r = load(text, &why, &policy);
    ck_assert_msg(r == bad[_i].code && why.code == r, "%s: %s",
                  atls_error_name(r), why.text);
    ck_assert_msg(strstr(why.text, bad[_i].reason) != NULL, "%s", why.text);
    ck_assert_ptr_null(policy);
}
END_TEST

/* [policy] has no peers to ask. */
START_TEST(test_P2_not_in_policy)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;

    ck_assert_int_eq(
        load("[policy]\nboot_log = ask\notherwise = off\n", &why, &policy),
        ATLS_E_POLICY);
    ck_assert_ptr_nonnull(strstr(why.text, "boot_log: unknown key"));
}
END_TEST

/* The log's copy, and the array of its events. */
START_TEST(test_R3_every_allocation_fails)
{
    static const char text[] =
        "[policy]\nservers = a\notherwise = off\nnameless = refuse\n"
        "[a]\nnames = a.example\nmode = off\nboot_log = boot.bin\n";
    size_t refused = 0;

    atls_policy_unref(load_good(text));
    for (size_t n = 1;; n++) {
        struct atls_reason why = {.code = ATLS_OK};
        struct atls_policy *policy = NULL;
        enum atls_error r;

        allocation_fail_only(n);
        r = atls_policy_load(scratch_path("policy.cnf"), &why, &policy);
        allocation_fail_at(0);
        atls_policy_unref(policy);
        if (r == ATLS_OK)
            break;
        ck_assert_msg(r == ATLS_E_NOMEM, "%zu: %s", n, why.text);
        refused++;
    }
    ck_assert_uint_gt(refused, 10);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_nothing_is_asked_by_default),
    ONCE(test_ask),
    ONCE(test_log_of_a_good_machine),
    ONCE(test_log_of_a_reference),
    ONCE(test_reference_that_asks),
    ONCE(test_P3_changed_log_makes_the_policy_stale),
    LOOP(test_P1_bad_logs, 0, COUNT(bad)),
    ONCE(test_P2_not_in_policy),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "policy_bootlog", .begin = allocation_install,
      .cases = {CASE("policy_bootlog", tests, 0, set_up, scratch_remove)});
