/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/suite.h"
#include "raise.h"

static void raise_text(enum atls_error code, const char *text)
{
    struct atls_reason reason = {.code = code};

    snprintf(reason.text, sizeof(reason.text), "%s", text);
    atls_raise(&reason);
}

START_TEST(test_text_reaches_the_user_word_for_word)
{
    char text[256];

    raise_text(ATLS_E_PCR_VALUE, "PCR 7 does not match policy");
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ck_assert_msg(strstr(text, ":attest::PCR 7 does not match policy") != NULL,
                  "%s", text);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* By OpenSSL 3.0's manual ERR_error_string() needs 120 octets: siege has no more on
 * its stack. */
START_TEST(test_S29_longest_line_has_120_octets)
{
    struct atls_reason why = {0};
    const char *data = NULL;
    char text[256];

    (void)atls_fail(&why, ATLS_E_PCR_VALUE, "%0300d", 7);
    atls_raise(&why);
    ERR_error_string_n(ERR_get_error_all(NULL, NULL, NULL, &data, NULL), text,
                       sizeof(text));
    ck_assert_msg(strstr(text, why.brief) != NULL, "%s", text);
    ck_assert_uint_lt(strlen(text), 120);
    ck_assert_str_eq(data, why.text);
    ck_assert_uint_ge(strlen(data), 300);
}
END_TEST

START_TEST(test_no_text_means_the_generic_sentence)
{
    raise_text(ATLS_E_BINDING, "");
    ck_assert_str_eq(ERR_reason_error_string(ERR_get_error()),
                     atls_error_sentence(ATLS_E_BINDING));
}
END_TEST

START_TEST(test_same_text_takes_no_second_slot)
{
    unsigned long first, second;

    raise_text(ATLS_E_PCR_VALUE, "once");
    first = ERR_get_error();
    raise_text(ATLS_E_PCR_VALUE, "once");
    second = ERR_get_error();
    ck_assert_uint_eq(first, second);
}
END_TEST

START_TEST(test_R2_texts_of_a_peer_take_bounded_memory)
{
    char text[64];
    const char *data = NULL;
    int flags = 0;

    for (unsigned i = 0; i < 4 * ATLS_RAISE_TEXTS; i++) {
        snprintf(text, sizeof(text), "text number %u", i);
        raise_text(ATLS_E_COMPONENT, text);
        if (i < 4 * ATLS_RAISE_TEXTS - 1)
            ERR_clear_error();
    }
    /* No slot is left: the sentence of the code, and the text as data. */
    ck_assert_str_eq(ERR_reason_error_string(
                         ERR_get_error_all(NULL, NULL, NULL, &data, &flags)),
                     atls_error_sentence(ATLS_E_COMPONENT));
    ck_assert_str_eq(data, text);
}
END_TEST

static void *raise_many(void *arg)
{
    char text[64], got[256];
    intptr_t wrong = 0;

    for (unsigned i = 0; i < 40; i++) {
        snprintf(text, sizeof(text), "thread text %u", i);
        raise_text(ATLS_E_MACHINE, text);
        ERR_error_string_n(ERR_get_error(), got, sizeof(got));
        wrong += strstr(got, text) == NULL;
    }
    (void)arg;
    return (void *)wrong;
}

START_TEST(test_threads_see_their_own_text)
{
    pthread_t threads[4];
    void *wrong;

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, raise_many, NULL),
                         0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_text_reaches_the_user_word_for_word),
    ONCE(test_S29_longest_line_has_120_octets),
    ONCE(test_no_text_means_the_generic_sentence),
    ONCE(test_same_text_takes_no_second_slot),
    ONCE(test_threads_see_their_own_text),
    ONCE(test_R2_texts_of_a_peer_take_bounded_memory),
};

SUITE(.name = "raise", .cases = {CASE("raise", tests, 0, NULL, NULL)});
