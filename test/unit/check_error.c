/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/error.c: names, alerts, texts. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "lib/suite.h"

static const struct {
    enum atls_error code;
    const char *name;
    int alert;
    int status;
    const char *sentence;
} all_errors[] = {
#define ROW(symbol, name, alert, status, sentence) \
    {ATLS_E_##symbol, name, alert, ATLS_STATUS_##status, sentence},
    ATLS_ERRORS(ROW)
#undef ROW
};

#define ERROR_COUNT (sizeof(all_errors) / sizeof(all_errors[0]))

START_TEST(test_every_code_has_its_row)
{
    ck_assert_uint_eq(ERROR_COUNT + 1, ATLS_E_COUNT);
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        enum atls_error code = all_errors[i].code;

        ck_assert_int_ne(code, ATLS_OK);
        ck_assert_str_eq(atls_error_name(code), all_errors[i].name);
        ck_assert_str_eq(atls_error_sentence(code), all_errors[i].sentence);
        ck_assert_int_eq(atls_error_alert(code), all_errors[i].alert);
        ck_assert_int_eq(atls_error_status(code), all_errors[i].status);
        ck_assert_int_ne(atls_error_status(code), ATLS_STATUS_DONE);
    }
}
END_TEST

/* Tests, JSON and scripts tell refusals apart by name. */
START_TEST(test_names_are_unique_and_kebab_case)
{
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        const char *name = all_errors[i].name;

        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"),
                          strlen(name));
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(name, all_errors[j].name);
    }
}
END_TEST

/* RFC 8446 §6.2; none of them is a warning such as close_notify (0). */
START_TEST(test_alerts_are_fatal_ones_of_tls13)
{
    static const int alerts[] = {40, 42, 44, 45, 47, 48, 50, 51, 70, 80};

    for (size_t i = 0; i < ERROR_COUNT; i++) {
        int is_known = 0;

        for (size_t j = 0; j < sizeof(alerts) / sizeof(alerts[0]); j++)
            is_known = is_known || all_errors[i].alert == alerts[j];
        ck_assert_msg(is_known, "%s has alert %d", all_errors[i].name,
                      all_errors[i].alert);
    }
}
END_TEST

START_TEST(test_codes_out_of_range_accept_nothing)
{
    static const int codes[] = {-1, ATLS_E_COUNT, 100000};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        enum atls_error code = (enum atls_error)codes[i];

        ck_assert_str_eq(atls_error_name(code), "unknown");
        ck_assert_str_eq(atls_error_sentence(code), "unknown error");
        ck_assert_int_eq(atls_error_alert(code), 80);
        ck_assert_int_eq(atls_error_status(code), ATLS_STATUS_USAGE);
    }
    ck_assert_str_eq(atls_error_name(ATLS_OK), "ok");
}
END_TEST

START_TEST(test_fail_records_code_and_text)
{
    struct atls_reason why = {.code = ATLS_OK, .text = "before"};

    ck_assert_int_eq(
        atls_fail(&why, ATLS_E_PCR_VALUE, "PCR %u: expected %s", 4, "3f"),
        ATLS_E_PCR_VALUE);
    ck_assert_int_eq(why.code, ATLS_E_PCR_VALUE);
    ck_assert_str_eq(why.text, "PCR 4: expected 3f");
}
END_TEST

START_TEST(test_fail_without_text_says_the_generic_sentence)
{
    struct atls_reason why = {0};

    ck_assert_int_eq(atls_fail(&why, ATLS_E_NOMEM, NULL), ATLS_E_NOMEM);
    ck_assert_str_eq(why.text, "out of memory");
}
END_TEST

START_TEST(test_fail_without_reason)
{
    ck_assert_int_eq(atls_fail(NULL, ATLS_E_TYPE, "%s", "unread"), ATLS_E_TYPE);
    atls_reason_prefix(NULL, "unread");
}
END_TEST

/* A peer's octets must not forge a log line or drive a terminal. */
START_TEST(test_B9_fail_keeps_texts_printable)
{
    struct atls_reason why = {0};

    ck_assert_int_eq(
        atls_fail(&why, ATLS_E_COMPONENT, "%s", "a\nb\x1b[2J\x7f\xc3\xa4\t~ z"),
        ATLS_E_COMPONENT);
    ck_assert_str_eq(why.text, "a?b?[2J????~ z");
}
END_TEST

START_TEST(test_fail_cuts_long_texts)
{
    struct atls_reason why = {0};
    char text[2 * ATLS_REASON_MAX];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert_int_eq(atls_fail(&why, ATLS_E_LIMIT, "%s", text), ATLS_E_LIMIT);
    ck_assert_uint_eq(strlen(why.text), ATLS_REASON_MAX - 1);
}
END_TEST

START_TEST(test_fail_may_quote_the_reason_it_overwrites)
{
    struct atls_reason why = {.code = ATLS_E_IO, .text = "file is gone"};

    ck_assert_int_eq(atls_fail(&why, ATLS_E_CONFIG, "ak: %s", why.text),
                     ATLS_E_CONFIG);
    ck_assert_str_eq(why.text, "ak: file is gone");
}
END_TEST

START_TEST(test_prefix_keeps_code_and_stays_printable)
{
    struct atls_reason why = {.code = ATLS_E_POLICY, .text = "unknown key"};

    atls_reason_prefix(&why, "%s:%d: ", "po\nlicy.cnf", 7);
    ck_assert_int_eq(why.code, ATLS_E_POLICY);
    ck_assert_str_eq(why.text, "po?licy.cnf:7: unknown key");
}
END_TEST

START_TEST(test_prefix_cuts_at_the_end)
{
    struct atls_reason why = {.code = ATLS_E_POLICY};

    memset(why.text, 'x', sizeof(why.text) - 1);
    atls_reason_prefix(&why, "policy.cnf: ");
    ck_assert_uint_eq(strlen(why.text), ATLS_REASON_MAX - 1);
    ck_assert_mem_eq(why.text, "policy.cnf: xxx", 15);
}
END_TEST

/* The brief form keeps the file's name. */
START_TEST(test_prefix_of_the_brief_form_goes_without_folders)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_POLICY,
                    "otherwise: missing in [policy]; write off or require");
    atls_reason_prefix(
        &why,
        "%s:%d: ", "/etc/a-folder-with-a-long-name/and-another/policy.cnf", 7);
    ck_assert_str_eq(why.brief, "policy.cnf:7: otherwise: missing in [policy]; "
                                "write off or require");
    ck_assert_str_eq(why.text,
                     "/etc/a-folder-with-a-long-name/and-another/policy.cnf:7: "
                     "otherwise: missing in [policy]; write off or require");
}
END_TEST

START_TEST(test_a_reason_is_handed_on_whole)
{
    struct atls_reason reason, why;

    (void)atls_fail(&reason, ATLS_E_IO, "a file is gone");
    ck_assert_int_eq(atls_fail_as(&why, &reason), ATLS_E_IO);
    ck_assert_mem_eq(&why, &reason, sizeof(why));
    ck_assert_int_eq(atls_fail_as(NULL, &reason), ATLS_E_IO);
}
END_TEST

START_TEST(test_errno_and_error_queue_stay_as_found)
{
    struct atls_reason why = {0};

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    errno = EAGAIN;
    ck_assert_int_eq(atls_fail(&why, ATLS_E_IO, "%s", "text"), ATLS_E_IO);
    atls_reason_prefix(&why, "more ");
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(ERR_GET_REASON(ERR_get_error()), 42);
    ck_assert_uint_eq(ERR_get_error(), 0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_every_code_has_its_row),
    ONCE(test_names_are_unique_and_kebab_case),
    ONCE(test_alerts_are_fatal_ones_of_tls13),
    ONCE(test_codes_out_of_range_accept_nothing),
    ONCE(test_fail_records_code_and_text),
    ONCE(test_fail_without_text_says_the_generic_sentence),
    ONCE(test_fail_without_reason),
    ONCE(test_B9_fail_keeps_texts_printable),
    ONCE(test_fail_cuts_long_texts),
    ONCE(test_fail_may_quote_the_reason_it_overwrites),
    ONCE(test_prefix_keeps_code_and_stays_printable),
    ONCE(test_prefix_cuts_at_the_end),
    ONCE(test_prefix_of_the_brief_form_goes_without_folders),
    ONCE(test_a_reason_is_handed_on_whole),
    ONCE(test_errno_and_error_queue_stay_as_found),
};

SUITE(.name = "error", .cases = {CASE("error", tests, 0, NULL, NULL)});
