/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/sentence.c, and every format of the provider and the agent in it. */
#include <check.h>
#include <ctype.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "lib/suite.h"

#define BRIEF_MAX (ATLS_BRIEF_SIZE - 1)

START_TEST(test_what_fits_is_the_whole_sentence)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_IO, "%s is gone; fetch it", "file");
    ck_assert_str_eq(why.text, "file is gone; fetch it");
    ck_assert_str_eq(why.brief, "file is gone; fetch it");
}
END_TEST

START_TEST(test_advice_goes_first)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_IO,
                    "the file %s is gone; fetch it from where it was before, "
                    "and then start this program once more",
                    "policy.cnf");
    ck_assert_str_eq(why.brief, "the file policy.cnf is gone");
    ck_assert_str_eq(why.text,
                     "the file policy.cnf is gone; fetch it from where it was "
                     "before, and then start this program once more");
}
END_TEST

/* Where something stands before a sentence that was short enough. */
START_TEST(test_half_of_an_advice_is_none)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_POLICY,
                    "otherwise: missing in [policy]; write off, observe or "
                    "require for peers that no section names");
    atls_reason_prefix(&why, "/etc/policy.cnf:5: ");
    ck_assert_str_eq(why.brief, "policy.cnf:5: otherwise: missing in [policy]");
}
END_TEST

/* It is the format's semicolon that counts, not one that a peer sent. */
START_TEST(test_an_argument_ends_no_sentence)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_COMPONENT,
                    "component %s is not listed; list it, or have it taken out "
                    "of the measured log of that machine before it starts",
                    "a; \v\f b");
    ck_assert_str_eq(why.brief, "component a; ?? b is not listed");
}
END_TEST

START_TEST(test_a_mark_ends_the_brief_sentence)
{
    struct atls_reason why;

    (void)atls_fail(&why, ATLS_E_PCR_VALUE,
                    "PCR %u: expected %.4s..., got %.4s..." ATLS_MORE
                    " (in bank %s), which is a value that nobody has listed in "
                    "this policy; boot the machine as it was",
                    4, "0123456789", "9876543210", "sha256");
    ck_assert_str_eq(why.brief, "PCR 4: expected 0123..., got 9876...");
    ck_assert_str_eq(
        why.text,
        "PCR 4: expected 0123..., got 9876... (in bank sha256), which is a "
        "value that nobody has listed in this policy; boot the machine as it "
        "was");
}
END_TEST

START_TEST(test_two_sentences_in_one_format)
{
    struct atls_reason why;

    (void)atls_fail(
        &why, ATLS_E_PCR_VALUE,
        "PCR %u: expected %.4s" ATLS_WHOLE
        "PCR %u of the machine %s holds %s, which no line of this policy "
        "accepts; see the log of that machine",
        4, "\v\f23456789", 4, "a", "9876543210");
    ck_assert_str_eq(why.brief, "PCR 4: expected ??23");
    ck_assert_str_eq(
        why.text,
        "PCR 4 of the machine a holds 9876543210, which no line of this policy "
        "accepts; see the log of that machine");
}
END_TEST

START_TEST(test_S29_long_names_lose_their_middle)
{
    struct atls_reason why;
    char name[254];

    memset(name, 'n', sizeof(name) - 1);
    memcpy(name, "begin", 5);
    memcpy(name + sizeof(name) - 4, "end", 4);
    (void)atls_fail(&why, ATLS_E_NO_EVIDENCE,
                    "%s sent no evidence, which policy section %s requires",
                    name, "inference");
    ck_assert_uint_eq(strlen(why.brief), BRIEF_MAX);
    ck_assert_ptr_nonnull(strstr(why.brief, "begin"));
    ck_assert_ptr_nonnull(strstr(why.brief, "..."));
    ck_assert_ptr_nonnull(strstr(why.brief,
                                 "end sent no evidence, which policy section "
                                 "inference requires"));
    ck_assert_ptr_nonnull(strstr(why.text, name));
}
END_TEST

START_TEST(test_what_has_no_long_word_is_cut_at_a_clause)
{
    char text[] = "one two three four, five six seven eight nine";

    atls_sentence_fit(text, 30);
    ck_assert_str_eq(text, "one two three four");
}
END_TEST

START_TEST(test_what_has_no_clause_says_that_it_was_cut)
{
    char text[] = "one two three four five six seven eight nine";

    atls_sentence_fit(text, 30);
    ck_assert_str_eq(text, "one two three four five si...");
}
END_TEST

START_TEST(test_sentences_of_all_lengths_fit)
{
    for (size_t len = 0; len < 200; len++) {
        for (size_t size = 8; size < 120; size++) {
            char text[256];

            memset(text, 'x', len);
            text[len] = '\0';
            if (len > 40)
                text[len / 3] = ' ';
            atls_sentence_fit(text, size);
            ck_assert_uint_le(strlen(text), len < size ? len : size - 1);
            ck_assert(len < size || strstr(text, "...") != NULL);
        }
    }
}
END_TEST

/* --- every format of the sources ------------------------------------------ */

#define FORMAT_MAX 2048

static unsigned format_count;
static unsigned too_long_count;

/* Behind a string or character literal. */
static const char *skip_literal(const char *p)
{
    char quote = *p++;

    for (; *p != quote; p++)
        p += *p == '\\';
    return p + 1;
}

/* Behind `count` arguments of a call, at the beginning of the next; NULL: there
 * are fewer. */
static const char *skip_arguments(const char *p, unsigned count)
{
    int depth = 0;

    for (; count > 0; p++) {
        if (*p == '"' || *p == '\'') {
            p = skip_literal(p) - 1;
            continue;
        }
        if (*p == '\0' || (*p == ')' && depth == 0))
            return NULL;
        depth += (*p == '(') - (*p == ')');
        count -= *p == ',' && depth == 0;
    }
    return p;
}

static void append(char *format, const char *text, size_t len)
{
    size_t used = strlen(format);

    ck_assert_uint_lt(used + len, FORMAT_MAX);
    memcpy(format + used, text, len);
    format[used + len] = '\0';
}

/* A macro between the literals. */
static const char *take_macro(const char *p, char *format)
{
    size_t len = 0;

    while (isalnum((unsigned char)p[len]) || p[len] == '_')
        len++;
    if (len == strlen("ATLS_MORE") && strncmp(p, "ATLS_MORE", len) == 0)
        append(format, ATLS_MORE, 1);
    else if (len == strlen("ATLS_WHOLE") && strncmp(p, "ATLS_WHOLE", len) == 0)
        append(format, ATLS_WHOLE, 1);
    else if (strncmp(p, "PRI", 3) == 0)
        append(format, p + 3, 1); /* PRIu64: "u" */
    else
        append(format, "a-macro", 7);
    return p + len;
}

/* The format as it stands in the source; empty when it is none. */
static void take_format(const char *p, char format[FORMAT_MAX])
{
    format[0] = '\0';
    for (;;) {
        p += strspn(p, " \n");
        if (*p == '"') {
            const char *end = skip_literal(p);

            for (p++; p < end - 1; p++)
                append(format, *p == '\\' ? ++p : p, 1);
            p = end;
        } else if (isupper((unsigned char)*p) && strncmp(p, "NULL", 4) != 0) {
            p = take_macro(p, format);
        } else {
            break;
        }
    }
    if (*p != ',' && *p != ')')
        format[0] = '\0'; /* an expression */
}

/* What the longest argument of a conversion looks like. */
static const char *longest_argument(const char *conversion, char *ret_letter)
{
    static char text[301];
    size_t precision = 300;

    conversion += strspn(conversion, "%-+ #0123456789*");
    if (*conversion == '.') {
        conversion++;
        if (isdigit((unsigned char)*conversion))
            precision = strtoul(conversion, NULL, 10);
        conversion += strspn(conversion, "0123456789*");
    }
    conversion += strspn(conversion, "hlzj");
    *ret_letter = *conversion;
    ck_assert_msg(strchr("scduxXo%i", *conversion) != NULL, "%%%c",
                  *conversion);
    switch (*conversion) {
    case 's':
        memset(text, 'x', sizeof(text) - 1);
        text[precision < sizeof(text) ? precision : sizeof(text) - 1] = '\0';
        return text;
    case 'c':
        return "x";
    case '%':
        return "%%";
    default:
        return "4294967295";
    }
}

/* The format with the longest arguments in it. */
static void fill_in(const char *format, char ret[8 * FORMAT_MAX])
{
    size_t len = 0;

    for (const char *p = format; *p != '\0'; p++) {
        const char *argument;
        char letter;

        if (*p != '%') {
            ret[len++] = *p;
            continue;
        }
        if (p[1] == '%') {
            ret[len++] = *p++;
            ret[len++] = *p;
            continue;
        }
        argument = longest_argument(p, &letter);
        len += (size_t)sprintf(ret + len, "%s", argument);
        p = strchr(p, letter);
        ck_assert_uint_lt(len, 7 * FORMAT_MAX);
    }
    ret[len] = '\0';
}

/* Does the brief form end as that part of the format does, and so holds all of its
 * words? */
static bool is_whole(const char *brief, const char *filled)
{
    size_t len = strcspn(filled, ATLS_MORE ATLS_WHOLE);
    const char *advice = strstr(filled, "; ");
    const char *word;

    if (filled[len] == '\0' && advice != NULL && strlen(filled) > BRIEF_MAX)
        len = (size_t)(advice - filled);
    for (word = filled + len; word > filled && word[-1] != ' ';)
        word--;
    len = (size_t)(filled + len - word);
    if (len > 6) /* it may have lost its middle */
        return strlen(brief) > 4
               && strncmp(brief + strlen(brief) - 4, word + len - 4, 4) == 0;
    return strlen(brief) >= len
           && strncmp(brief + strlen(brief) - len, word, len) == 0;
}

static void check_format(const char *path, const char *format)
{
    char filled[8 * FORMAT_MAX];
    struct atls_reason why;

    fill_in(format, filled);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)atls_fail(&why, ATLS_E_INTERNAL, filled, 0);
#pragma GCC diagnostic pop
    format_count++;
    ck_assert_uint_le(strlen(why.brief), BRIEF_MAX);
    if (is_whole(why.brief, filled))
        return;
    too_long_count++;
    fprintf(stderr, "%s: \"%s\"\n    becomes: %s\n", path, format, why.brief);
}

static int check_source(const char *path, const struct stat *st, int type,
                        struct FTW *at)
{
    static const char call[] = "atls_fail(";
    const char *suffix = strrchr(path, '.');
    char *text;
    FILE *in;

    (void)at;
    if (type != FTW_F || suffix == NULL || strcmp(suffix, ".c") != 0)
        return 0;
    in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    text = calloc(1, (size_t)st->st_size + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, (size_t)st->st_size, in),
                      (size_t)st->st_size);
    fclose(in);
    for (const char *p = text; (p = strstr(p, call)) != NULL;) {
        char format[FORMAT_MAX];
        const char *third;

        p += sizeof(call) - 1;
        third = skip_arguments(p, 2);
        if (third == NULL)
            continue;
        take_format(third, format);
        if (format[0] != '\0')
            check_format(path + strlen(TEST_SRCDIR) + 1, format);
    }
    free(text);
    return 0;
}

/* A brief form has all the words of its format, whatever the arguments: who adds
 * a reason that is too long puts its advice behind "; ", or ATLS_MORE into it. */
START_TEST(test_S29_every_reason_at_its_longest_has_a_whole_brief_form)
{
    static const char *const folders[] = {"provider", "agent"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", TEST_SRCDIR, folders[i]);
        ck_assert_int_eq(nftw(path, check_source, 8, FTW_PHYS), 0);
    }
    ck_assert_uint_gt(format_count, 450);
    ck_assert_msg(too_long_count == 0,
                  "%u of %u reasons have a brief form that is cut; they are on "
                  "stderr",
                  too_long_count, format_count);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_what_fits_is_the_whole_sentence),
    ONCE(test_advice_goes_first),
    ONCE(test_half_of_an_advice_is_none),
    ONCE(test_an_argument_ends_no_sentence),
    ONCE(test_a_mark_ends_the_brief_sentence),
    ONCE(test_two_sentences_in_one_format),
    ONCE(test_S29_long_names_lose_their_middle),
    ONCE(test_what_has_no_long_word_is_cut_at_a_clause),
    ONCE(test_what_has_no_clause_says_that_it_was_cut),
    ONCE(test_sentences_of_all_lengths_fit),
    ONCE(test_S29_every_reason_at_its_longest_has_a_whole_brief_form),
};

SUITE(.name = "sentence", .cases = {CASE("sentence", tests, 0, NULL, NULL)});
