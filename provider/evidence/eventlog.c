/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/eventlog.h"

#include <stdio.h>
#include <string.h>

#define DIGEST_HEX_LEN (2 * (size_t)ATLS_SHA256_LEN)
#define LABEL "sha256:"
#define LABEL_LEN (sizeof(LABEL) - 1)
#define CERTIFICATE "certificate "

static const struct {
    enum atls_event_kind kind;
    const char *word;
} forms[] = {
    {ATLS_EVENT_COMPONENT, "component "},
    {ATLS_EVENT_CERTIFICATE, CERTIFICATE},
    {ATLS_EVENT_AUTHORITY, "authority "},
};

#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}

bool atls_component_name_is_legal(const char *name, size_t len)
{
    if (len == 0 || len > ATLS_COMPONENT_NAME_MAX || !is_alphanumeric(name[0]))
        return false;
    for (size_t i = 1; i < len; i++) {
        if (!is_alphanumeric(name[i]) && memchr("._:@/-", name[i], 6) == NULL)
            return false;
    }
    return true;
}

size_t atls_event_format(const struct atls_event *event,
                         char ret[ATLS_EVENT_CONTENT_MAX])
{
    const bool has_name = event->kind == ATLS_EVENT_COMPONENT;
    const char *word = NULL;
    char hex[DIGEST_HEX_LEN + 1];

    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (forms[i].kind == event->kind)
            word = forms[i].word;
    }
    if (word == NULL
        || (has_name
            && !atls_component_name_is_legal(event->name, strlen(event->name))))
        return 0;
    atls_hex(event->digest, sizeof(event->digest), hex);
    return (size_t)snprintf(ret, ATLS_EVENT_CONTENT_MAX, "%s%s%ssha256:%s",
                            word, has_name ? event->name : "",
                            has_name ? " " : "", hex);
}

/* What stands between the word and the digest: "<name> " of a component,
 * nothing else otherwise. Returns 1 when it fits the kind. */
static int parse_name(struct atls_span middle, struct atls_event *event)
{
    const char *name = (const char *)middle.data;
    size_t len = middle.len;

    if (event->kind != ATLS_EVENT_COMPONENT)
        return len == 0;
    if (len == 0 || name[len - 1] != ' '
        || !atls_component_name_is_legal(name, len - 1))
        return 0;
    memcpy(event->name, name, len - 1);
    return 1;
}

/* Of a hex digit its value and one, of all else zero. One component, one content: upper
 * case would be a second one. A table, because a log may have a thousand digests, and
 * each is looked at several times. */
static const uint8_t digits[UINT8_MAX + 1] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* 64 hex digits. */
static bool read_hex(const uint8_t *text, uint8_t ret[ATLS_SHA256_LEN])
{
    for (size_t i = 0; i < ATLS_SHA256_LEN; i++) {
        unsigned high = digits[text[2 * i]];
        unsigned low = digits[text[2 * i + 1]];

        if (high == 0 || low == 0)
            return false;
        ret[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

/* word, middle, "sha256:", hex. Returns 1 when content has this form. */
static int parse_form(struct atls_span content, const char *word,
                      struct atls_event *event)
{
    const size_t word_len = strlen(word);
    const size_t tail_len = LABEL_LEN + DIGEST_HEX_LEN;
    struct atls_span middle;
    const uint8_t *tail;

    if (content.len < word_len + tail_len
        || memcmp(content.data, word, word_len) != 0)
        return 0;
    middle.data = content.data + word_len;
    middle.len = content.len - word_len - tail_len;
    tail = middle.data + middle.len;
    return memcmp(tail, LABEL, LABEL_LEN) == 0 && parse_name(middle, event)
           && read_hex(tail + LABEL_LEN, event->digest);
}

bool atls_event_may_be(struct atls_span content, enum atls_event_kind kind)
{
    for (size_t i = 0; i < FORM_COUNT; i++) {
        const size_t len = strlen(forms[i].word);

        if (forms[i].kind == kind)
            return content.len > len
                   && memcmp(content.data, forms[i].word, len) == 0;
    }
    return kind == ATLS_EVENT_OTHER;
}

void atls_event_parse(struct atls_span content, struct atls_event *ret_event)
{
    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (!atls_event_may_be(content, forms[i].kind))
            continue;
        memset(ret_event, 0, sizeof(*ret_event));
        ret_event->kind = forms[i].kind;
        if (parse_form(content, forms[i].word, ret_event))
            return;
    }
    memset(ret_event, 0, sizeof(*ret_event));
    ret_event->kind = ATLS_EVENT_OTHER;
}

bool atls_event_is_certificate(struct atls_span content,
                               uint8_t ret_digest[ATLS_SHA256_LEN])
{
    static const char begin[] = CERTIFICATE LABEL;

    return content.len == ATLS_CERTIFICATE_CONTENT_LEN
           && memcmp(content.data, begin, sizeof(begin) - 1) == 0
           && read_hex(content.data + sizeof(begin) - 1, ret_digest);
}

void atls_event_write_certificate(const uint8_t digest[ATLS_SHA256_LEN],
                                  char ret[ATLS_CERTIFICATE_CONTENT_LEN])
{
    char hex[DIGEST_HEX_LEN + 1];

    atls_hex(digest, ATLS_SHA256_LEN, hex);
    memcpy(ret, CERTIFICATE LABEL, sizeof(CERTIFICATE LABEL) - 1);
    memcpy(ret + sizeof(CERTIFICATE LABEL) - 1, hex, DIGEST_HEX_LEN);
}

enum atls_error atls_eventlog_extend(uint16_t alg, struct atls_span content,
                                     uint8_t value[ATLS_PCR_DIGEST_MAX])
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    enum atls_error r;

    if (hash == NULL)
        return ATLS_E_INTERNAL;
    r = atls_hash_parts(hash->ossl, &content, 1, digest, NULL);
    if (r != ATLS_OK)
        return r;
    return atls_pcr_extend(alg, value, digest);
}

enum atls_error atls_eventlog_replay(uint16_t alg,
                                     const struct atls_span *contents,
                                     size_t count,
                                     uint8_t ret_value[ATLS_PCR_DIGEST_MAX])
{
    if (atls_hash_by_alg(alg) == NULL)
        return ATLS_E_INTERNAL;
    memset(ret_value, 0, ATLS_PCR_DIGEST_MAX);
    for (size_t i = 0; i < count; i++) {
        enum atls_error r = atls_eventlog_extend(alg, contents[i], ret_value);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}
