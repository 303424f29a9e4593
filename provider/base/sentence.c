/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/sentence.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Octets of a format, and of a sentence before it is made to fit. */
#define FORMAT_SIZE 1024u
#define SENTENCE_SIZE 2048u

/* No word of our own is longer; a name of this length can still be told from
 * others. */
#define WORD_MIN 17u
#define ELLIPSIS "..."
#define ELLIPSIS_LEN (sizeof(ELLIPSIS) - 1)

/* Texts quote what a peer sent. A line feed would forge a log line, an escape
 * sequence would reach the administrator's terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

/* --- making it fit ------------------------------------------------------- */

/* The longest run without blanks. */
static char *longest_word(char *sentence, size_t *ret_len)
{
    char *longest = sentence;

    *ret_len = 0;
    for (char *word = sentence; *word != '\0';) {
        size_t len = strcspn(word, " ");

        if (len > *ret_len) {
            longest = word;
            *ret_len = len;
        }
        word += len;
        word += strspn(word, " ");
    }
    return longest;
}

/* Take octets out of a word's middle, in whose place the ellipsis stands. */
static void shorten_word(char *word, size_t len, size_t wanted)
{
    size_t head = (wanted - ELLIPSIS_LEN + 1) / 2;
    size_t tail = wanted - ELLIPSIS_LEN - head;

    memcpy(word + head, ELLIPSIS, ELLIPSIS_LEN);
    memmove(word + head + ELLIPSIS_LEN, word + len - tail,
            strlen(word + len - tail) + 1);
}

/* Where it can be cut with at most len octets left; 0: nowhere. Half of an advice is
 * another one ("write off, observe or require"): it goes as a whole. */
static size_t clause_end(const char *sentence, size_t len)
{
    static const char *const marks[] = {", ", ": ", " ("};

    for (size_t at = len; at > 0; at--) {
        if (strncmp(sentence + at, "; ", 2) == 0)
            return at;
    }
    for (size_t at = len; at > 0; at--) {
        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            if (strncmp(sentence + at, marks[i], 2) == 0)
                return at;
        }
    }
    return 0;
}

void atls_sentence_fit(char *sentence, size_t size)
{
    size_t len;

    while ((len = strlen(sentence)) >= size) {
        size_t excess = len - (size - 1);
        size_t word_len;
        char *word = longest_word(sentence, &word_len);

        if (word_len <= WORD_MIN)
            break;
        shorten_word(word, word_len,
                     word_len - WORD_MIN > excess ? word_len - excess
                                                  : WORD_MIN);
    }
    if (len < size)
        return;
    len = clause_end(sentence, size - 1);
    if (len == 0) {
        len = size - 1;
        memcpy(sentence + len - ELLIPSIS_LEN, ELLIPSIS, ELLIPSIS_LEN);
    }
    sentence[len] = '\0';
}

/* --- formatting ----------------------------------------------------------- */

/* Where the brief sentence ends in a format; NULL: nowhere. */
static const char *brief_end(const char *fmt)
{
    const char *mark = strpbrk(fmt, ATLS_MORE ATLS_WHOLE);

    return mark != NULL ? mark : strstr(fmt, "; ");
}

/* The format is the caller's, whose own attribute has it checked. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Octets that the first len octets of a format make. */
static size_t formatted_len(const char *fmt, size_t len, va_list args)
{
    char begin[FORMAT_SIZE];
    int formatted;

    if (len >= sizeof(begin))
        return SENTENCE_SIZE;
    memcpy(begin, fmt, len);
    begin[len] = '\0';
    formatted = vsnprintf(NULL, 0, begin, args);
    return formatted >= 0 ? (size_t)formatted : SENTENCE_SIZE;
}

#pragma GCC diagnostic pop

void atls_sentence_shorten(const char *sentence, char *ret, size_t size)
{
    char brief[SENTENCE_SIZE];
    size_t len = strnlen(sentence, sizeof(brief) - 1);
    const char *advice = strstr(sentence, "; ");

    if (len >= size && advice != NULL && (size_t)(advice - sentence) < len)
        len = (size_t)(advice - sentence);
    memcpy(brief, sentence, len);
    brief[len] = '\0';
    atls_sentence_fit(brief, size);
    memcpy(ret, brief, strlen(brief) + 1);
}

/* The two of one formatted text, of which the first brief_len octets are the brief
 * one and the next may be a mark. */
static void split(char *text, size_t brief_len, char mark, char *ret_brief,
                  size_t brief_size)
{
    char brief[SENTENCE_SIZE];

    memcpy(brief, text, brief_len);
    brief[brief_len] = '\0';
    if (mark == ATLS_WHOLE[0])
        memmove(text, text + brief_len + 1, strlen(text + brief_len));
    else if (mark == ATLS_MORE[0])
        memmove(text + brief_len, text + brief_len + 1,
                strlen(text + brief_len));
    if (strlen(text) < brief_size)
        memcpy(brief, text, strlen(text) + 1);
    atls_sentence_fit(brief, brief_size);
    memcpy(ret_brief, brief, strlen(brief) + 1);
}

void atls_sentence_format(const char *fmt, va_list args, char *ret_whole,
                          size_t whole_size, char *ret_brief, size_t brief_size)
{
    char text[SENTENCE_SIZE];
    const char *end = brief_end(fmt);
    size_t brief_len = SENTENCE_SIZE;
    va_list again;

    if (end != NULL) {
        va_copy(again, args);
        brief_len = formatted_len(fmt, (size_t)(end - fmt), again);
        va_end(again);
    }
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    if (brief_len < strlen(text))
        split(text, brief_len, *end, ret_brief, brief_size);
    else
        atls_sentence_shorten(text, ret_brief, brief_size);
    make_printable(ret_brief);
    make_printable(text);
    atls_sentence_fit(text, whole_size);
    memcpy(ret_whole, text, strlen(text) + 1);
}
