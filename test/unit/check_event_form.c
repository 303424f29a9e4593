/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/event_form.c: contents that look like ours and are none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/event_form.h"
#include "lib/suite.h"

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UPPER "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
/* For tables, and for arguments. */
#define OCTETS(text)                              \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
#define SPAN(text) ((struct atls_span)OCTETS(text))

static const struct {
    struct atls_span content;
    enum atls_event_kind kind; /* ATLS_EVENT_OTHER: resembles nothing */
    const char *name;
    const char *flaws;
} contents[] = {
    {OCTETS("component a sha256:" HEX "\n"), ATLS_EVENT_COMPONENT, "a",
     "a line feed at its end"},
    {OCTETS("component a sha256:" HEX "\0"), ATLS_EVENT_COMPONENT, "a",
     "a NUL at its end"},
    {OCTETS("component a sha256:" HEX "\r\n"), ATLS_EVENT_COMPONENT, "a",
     "white space at its end"},
    {OCTETS("component a sha256:" HEX " "), ATLS_EVENT_COMPONENT, "a",
     "white space at its end"},
    {OCTETS(" component a sha256:" HEX), ATLS_EVENT_COMPONENT, "a",
     "white space at its beginning"},
    {OCTETS("component  a sha256:" HEX), ATLS_EVENT_COMPONENT, "a",
     "other blanks between its words"},
    {OCTETS("component a\tsha256:" HEX), ATLS_EVENT_COMPONENT, "a",
     "other blanks between its words"},
    {OCTETS("component a sha256:" UPPER), ATLS_EVENT_COMPONENT, "a",
     "upper case in its digest"},
    {OCTETS("component a SHA256:" HEX), ATLS_EVENT_COMPONENT, "a",
     "upper case in its digest"},
    {OCTETS("Component a sha256:" HEX), ATLS_EVENT_COMPONENT, "a",
     "upper case in its first word"},
    {OCTETS("COMPONENT  Server-Code sha256:" UPPER "\n"), ATLS_EVENT_COMPONENT,
     "Server-Code",
     "other blanks between its words, a line feed at its "
     "end, upper case in its first word, upper case in its digest"},
    {OCTETS("certificate sha256:" HEX "\n"), ATLS_EVENT_CERTIFICATE, "",
     "a line feed at its end"},
    {OCTETS("authority  sha256:" HEX), ATLS_EVENT_AUTHORITY, "",
     "other blanks between its words"},
    /* As they should be, and what is none at all. */
    {OCTETS("component a sha256:" HEX), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component A sha256:" HEX), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("certificate sha256:" HEX), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS(""), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS(" "), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("\n\0\t"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("machine-id:0123\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component a b sha256:" HEX "\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component -a sha256:" HEX "\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component a sha256: " HEX), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component a sha256:" HEX "0\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component a sha512:" HEX "\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("componenta sha256:" HEX "\n"), ATLS_EVENT_OTHER, NULL, NULL},
    {OCTETS("component sha256:" HEX "\n"), ATLS_EVENT_OTHER, NULL, NULL},
};

START_TEST(test_what_resembles_a_form)
{
    char flaws[ATLS_EVENT_FLAWS_MAX] = "";
    struct atls_event event;
    bool resembles = atls_event_resembles(contents[_i].content, &event, flaws);

    ck_assert(resembles == (contents[_i].kind != ATLS_EVENT_OTHER));
    if (!resembles)
        return;
    ck_assert_int_eq(event.kind, contents[_i].kind);
    ck_assert_str_eq(event.name, contents[_i].name);
    ck_assert_str_eq(flaws, contents[_i].flaws);
}
END_TEST

/* Of any length, also all of it white space. */
START_TEST(test_R2_long_contents)
{
    static char text[4096];
    char flaws[ATLS_EVENT_FLAWS_MAX];
    struct atls_event event;

    memset(text, ' ', sizeof(text));
    memcpy(text, "component", 9);
    memcpy(text + 2000, "a", 1);
    memcpy(text + sizeof(text) - 71, "sha256:" HEX, 71);
    ck_assert(atls_event_resembles(
        (struct atls_span){(const uint8_t *)text, sizeof(text)}, &event,
        flaws));
    ck_assert_str_eq(event.name, "a");
    memset(text, 'A', sizeof(text));
    for (size_t len = 0; len < sizeof(text); len += len < 300 ? 1 : 97) {
        text[len] = ' ';
        ck_assert(!atls_event_resembles(
            (struct atls_span){(const uint8_t *)text, len}, &event, flaws));
        text[len] = 'A';
    }
}
END_TEST

static void expect_shown(struct atls_span content, size_t size,
                         const char *expected)
{
    char shown[64];

    memset(shown, '#', sizeof(shown));
    atls_event_show(content, shown, size);
    ck_assert_str_eq(shown, expected);
    ck_assert_uint_lt(strlen(shown), size);
    for (size_t i = size; i < sizeof(shown); i++)
        ck_assert_int_eq(shown[i], '#');
}

START_TEST(test_shown_in_a_line)
{
    expect_shown(SPAN(""), 32, "");
    expect_shown(SPAN("a b\n"), 32, "a b\\n");
    expect_shown(SPAN("\r\t\\\"\0\x7f\xff"), 32,
                 "\\r\\t\\\\\\\"\\x00\\x7f\\xff");
    expect_shown(SPAN("0123456789012345678901234567890"), 32,
                 "0123456789012345678901234567890");
    expect_shown(SPAN("01234567890123456789012345678901"), 32,
                 "01234567890123...89012345678901");
    expect_shown(SPAN("0123456789012345678901234567890\n"), 32,
                 "01234567890123...901234567890\\n");
    expect_shown(SPAN("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"), 33,
                 "\\x01\\x01\\x01...\\x01\\x01\\x01");
}
END_TEST

/* What differs in white space or case alone looks different, whole. */
START_TEST(test_forms_are_shown_whole)
{
    char longest[ATLS_EVENT_CONTENT_MAX], name[65];
    char shown[ATLS_EVENT_SHOWN_MAX];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(longest, sizeof(longest), "component\t\t%s  sha256:%s\n", name,
             HEX);
    atls_event_show(
        (struct atls_span){(const uint8_t *)longest, strlen(longest)}, shown,
        sizeof(shown));
    ck_assert_ptr_null(strstr(shown, "..."));
    ck_assert_ptr_nonnull(strstr(shown, "component\\t\\tnnn"));
    ck_assert_ptr_nonnull(strstr(shown, "  sha256:" HEX "\\n"));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_what_resembles_a_form, 0, COUNT(contents)),
    ONCE(test_R2_long_contents),
    ONCE(test_shown_in_a_line),
    ONCE(test_forms_are_shown_whole),
};

SUITE(.name = "event_form",
      .cases = {CASE("event_form", tests, 0, NULL, NULL)});
