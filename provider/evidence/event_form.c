/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/event_form.h"

#include <stdio.h>
#include <string.h>

/* --- what resembles a form -------------------------------------------------- */

/* In what a content differs from its form; in the order of the words below. */
enum flaw {
    FLAW_BEGIN = 1,
    FLAW_MIDDLE = 2,
    FLAW_LINE_FEED = 4,
    FLAW_NUL = 8,
    FLAW_END = 16,
    FLAW_WORD = 32,
    FLAW_DIGEST = 64
};

static const char *const flaw_words[] = {
    "white space at its beginning", "other blanks between its words",
    "a line feed at its end",       "a NUL at its end",
    "white space at its end",       "upper case in its first word",
    "upper case in its digest",
};

#define FLAW_COUNT (sizeof(flaw_words) / sizeof(flaw_words[0]))

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

/* Text as its form would have it, word by word. */
struct plain {
    char text[ATLS_EVENT_CONTENT_MAX];
    size_t len;
    unsigned flaws;
};

static size_t count_blanks(struct atls_span content, size_t at)
{
    size_t count = 0;

    while (at + count < content.len && is_blank(content.data[at + count]))
        count++;
    return count;
}

static unsigned flaw_of_blanks(struct atls_span content, size_t at,
                               size_t count)
{
    const bool is_end = at + count == content.len;

    if (at == 0)
        return FLAW_BEGIN;
    if (!is_end)
        return count == 1 && content.data[at] == ' ' ? 0u : FLAW_MIDDLE;
    if (count == 1 && content.data[at] == '\n')
        return FLAW_LINE_FEED;
    return count == 1 && content.data[at] == '\0' ? FLAW_NUL : FLAW_END;
}

/* One blank between words and none elsewhere. False when it is too long for a form. */
static bool set_blanks(struct atls_span content, struct plain *plain)
{
    for (size_t at = 0; at < content.len;) {
        size_t blanks = count_blanks(content, at);

        if (plain->len == sizeof(plain->text))
            return false;
        if (blanks == 0) {
            plain->text[plain->len++] = (char)content.data[at++];
            continue;
        }
        plain->flaws |= flaw_of_blanks(content, at, blanks);
        if (at > 0 && at + blanks < content.len)
            plain->text[plain->len++] = ' ';
        at += blanks;
    }
    return true;
}

static void lower(struct plain *plain, size_t begin, size_t end, unsigned flaw)
{
    for (size_t i = begin; i < end; i++) {
        char c = plain->text[i];

        if (c < 'A' || c > 'Z')
            continue;
        plain->text[i] = (char)(c - 'A' + 'a');
        plain->flaws |= flaw;
    }
}

/* The name is as it is: its case counts. */
static void set_case(struct plain *plain)
{
    const char *first = memchr(plain->text, ' ', plain->len);
    size_t last = plain->len;

    if (first == NULL)
        return;
    while (plain->text[last - 1] != ' ')
        last--;
    lower(plain, 0, (size_t)(first - plain->text), FLAW_WORD);
    lower(plain, last, plain->len, FLAW_DIGEST);
}

static void write_flaws(unsigned flaws, char ret[ATLS_EVENT_FLAWS_MAX])
{
    size_t len = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < FLAW_COUNT; i++) {
        if ((flaws >> i & 1) != 0 && len < ATLS_EVENT_FLAWS_MAX)
            len += (size_t)snprintf(ret + len, ATLS_EVENT_FLAWS_MAX - len,
                                    "%s%s", len > 0 ? ", " : "", flaw_words[i]);
    }
}

bool atls_event_resembles(struct atls_span content,
                          struct atls_event *ret_event,
                          char ret_flaws[ATLS_EVENT_FLAWS_MAX])
{
    struct plain plain = {.len = 0};

    if (!set_blanks(content, &plain))
        return false;
    set_case(&plain);
    write_flaws(plain.flaws, ret_flaws);
    atls_event_parse((struct atls_span){(const uint8_t *)plain.text, plain.len},
                     ret_event);
    return plain.flaws != 0 && ret_event->kind != ATLS_EVENT_OTHER;
}

/* --- for people ------------------------------------------------------------- */

/* One octet; returns how many octets that takes, 1 to 4. */
static size_t show_octet(uint8_t octet, char ret[5])
{
    static const char plain[] = "\n\r\t\\\"";
    static const char letters[] = "nrt\\\"";
    const char *found = octet != '\0' ? strchr(plain, octet) : NULL;

    if (found != NULL)
        return (size_t)snprintf(ret, 5, "\\%c", letters[found - plain]);
    if (octet < ' ' || octet > '~')
        return (size_t)snprintf(ret, 5, "\\x%02x", octet);
    return (size_t)snprintf(ret, 5, "%c", octet);
}

static size_t shown_len(struct atls_span content, size_t begin, size_t end)
{
    size_t len = 0;
    char one[5];

    for (size_t i = begin; i < end; i++)
        len += show_octet(content.data[i], one);
    return len;
}

static char *show(struct atls_span content, size_t begin, size_t end, char *at)
{
    for (size_t i = begin; i < end; i++)
        at += show_octet(content.data[i], at);
    return at;
}

void atls_event_show(struct atls_span content, char *ret, size_t size)
{
    static const char gap[] = "...";
    const size_t room = size - 1;
    size_t begin = 0, end = content.len;
    char *at = ret;

    if (shown_len(content, 0, content.len) <= room) {
        at = show(content, 0, content.len, at);
    } else {
        const size_t half = (room - (sizeof(gap) - 1)) / 2;

        while (shown_len(content, 0, begin + 1) <= half)
            begin++;
        while (shown_len(content, end - 1, content.len) <= half)
            end--;
        at = show(content, 0, begin, at);
        memcpy(at, gap, sizeof(gap) - 1);
        at = show(content, end, content.len, at + sizeof(gap) - 1);
    }
    *at = '\0';
}
