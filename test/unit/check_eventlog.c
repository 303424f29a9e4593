/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/eventlog.c: contents, names, replay. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/eventlog.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UPPER "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"
#define NAME64 \
    "n123456789-123456789-123456789-123456789-123456789-123456789-123"

static struct atls_span span_of(const char *text)
{
    return (struct atls_span){(const uint8_t *)text, strlen(text)};
}

static const struct {
    const char *content;
    enum atls_event_kind kind;
    const char *name;
} events[] = {
    {"component a sha256:" HEX, ATLS_EVENT_COMPONENT, "a"},
    {"component model-weights sha256:" HEX, ATLS_EVENT_COMPONENT,
     "model-weights"},
    {"component 0._:@/-Z sha256:" HEX, ATLS_EVENT_COMPONENT, "0._:@/-Z"},
    {"component " NAME64 " sha256:" HEX, ATLS_EVENT_COMPONENT, NAME64},
    {"certificate sha256:" HEX, ATLS_EVENT_CERTIFICATE, ""},
    {"authority sha256:" HEX, ATLS_EVENT_AUTHORITY, ""},
};

START_TEST(test_contents_are_classified_and_written_alike)
{
    struct atls_event event;
    char content[ATLS_EVENT_CONTENT_MAX];
    uint8_t digest[ATLS_SHA256_LEN];
    size_t len;

    atls_event_parse(span_of(events[_i].content), &event);
    ck_assert_int_eq(event.kind, events[_i].kind);
    ck_assert_str_eq(event.name, events[_i].name);
    ck_assert(atls_unhex(HEX, digest, sizeof(digest), &len));
    ck_assert_mem_eq(event.digest, digest, sizeof(digest));
    ck_assert_uint_eq(atls_event_format(&event, content),
                      strlen(events[_i].content));
    ck_assert_str_eq(content, events[_i].content);
}
END_TEST

/* What merely looks like an event of ours must be named by the policy. */
static const char *const others[] = {
    "",
    " ",
    "component",
    "component ",
    "component  sha256:" HEX,
    "component sha256:" HEX,
    "component a",
    "component a ",
    "component a sha256:",
    "component a  sha256:" HEX,
    "component  a sha256:" HEX,
    " component a sha256:" HEX,
    "Component a sha256:" HEX,
    "component\ta sha256:" HEX,
    "component a sha256:" HEX "\n",
    "component a sha256:" HEX " ",
    "component a sha256:" HEX "0",
    "component a sha256:" HEX "00",
    "component a sha256:0" HEX,
    "component a sha256:" UPPER,
    "component a SHA256:" HEX,
    "component a sha384:" HEX,
    "component a sha256=" HEX,
    "component a b sha256:" HEX,
    "component -a sha256:" HEX,
    "component .a sha256:" HEX,
    "component a\\b sha256:" HEX,
    "component a\nb sha256:" HEX,
    "component \xc3\xa4 sha256:" HEX,
    "component " NAME64 "4 sha256:" HEX,
    "components a sha256:" HEX,
    "certificate a sha256:" HEX,
    "certificate  sha256:" HEX,
    "certificate sha256:" UPPER,
    "certificate sha256:" HEX "\n",
    "certificate sha256: " HEX,
    "certificate-sha256:" HEX,
    "certificatesha256:" HEX,
    "authority a sha256:" HEX,
    "authority sha256:" UPPER,
    "authority",
    "machine-id:00112233445566778899aabbccddeeff",
    "file-system:/:ext4",
    "sha256:" HEX,
    HEX,
};

START_TEST(test_E9_what_only_looks_like_an_event)
{
    struct atls_event event;

    atls_event_parse(span_of(others[_i]), &event);
    ck_assert_msg(event.kind == ATLS_EVENT_OTHER, "'%s'", others[_i]);
    ck_assert_str_eq(event.name, "");
}
END_TEST

/* At each length and with each bit changed: the same event, or another that is
 * written as exactly these octets, or none. */
START_TEST(test_E11_cut_and_changed_contents)
{
    const char *text = events[_i].content;
    const size_t len = strlen(text);
    struct atls_event event;

    for (size_t cut = 0; cut < len; cut++) {
        atls_event_parse((struct atls_span){(const uint8_t *)text, cut},
                         &event);
        ck_assert_int_eq(event.kind, ATLS_EVENT_OTHER);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char changed[ATLS_EVENT_CONTENT_MAX];
        char again[ATLS_EVENT_CONTENT_MAX];

        memcpy(changed, text, len);
        changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
        atls_event_parse((struct atls_span){(const uint8_t *)changed, len},
                         &event);
        if (event.kind == ATLS_EVENT_OTHER)
            continue;
        ck_assert_uint_eq(atls_event_format(&event, again), len);
        ck_assert_mem_eq(again, changed, len);
    }
}
END_TEST

START_TEST(test_content_with_terminators)
{
    static const char content[] = "component a\0b sha256:" HEX;
    static const char digest[] = "certificate sha256:\0" HEX;
    struct atls_event event;

    atls_event_parse(
        (struct atls_span){(const uint8_t *)content, sizeof(content) - 1},
        &event);
    ck_assert_int_eq(event.kind, ATLS_EVENT_OTHER);
    atls_event_parse(
        (struct atls_span){(const uint8_t *)digest, sizeof(digest) - 2},
        &event);
    ck_assert_int_eq(event.kind, ATLS_EVENT_OTHER);
}
END_TEST

START_TEST(test_format_refuses_what_is_no_event)
{
    static const char *const names[] = {"", "-a", "a b", "a\n", NAME64 "4"};
    char content[ATLS_EVENT_CONTENT_MAX];
    struct atls_event event = {.kind = ATLS_EVENT_OTHER};

    ck_assert_uint_eq(atls_event_format(&event, content), 0);
    for (size_t i = 0; i + 1 < COUNT(names); i++) {
        event.kind = ATLS_EVENT_COMPONENT;
        strcpy(event.name, names[i]);
        ck_assert_uint_eq(atls_event_format(&event, content), 0);
    }
    for (size_t i = 0; i < COUNT(names); i++)
        ck_assert(!atls_component_name_is_legal(names[i], strlen(names[i])));
    ck_assert(!atls_component_name_is_legal("a\0b", 3));
}
END_TEST

START_TEST(test_replay_gives_the_pcr_of_the_vector)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    struct vector expected;
    struct atls_span contents[3];

    contents[0] = span_of(vector_text("evidence.txt", "common", "event.0"));
    contents[1] = span_of(vector_text("evidence.txt", "common", "event.1"));
    contents[2] = span_of(vector_text("evidence.txt", "common", "event.2"));
    ck_assert_int_eq(atls_eventlog_replay(TPM2_ALG_SHA256, contents, 3, value),
                     ATLS_OK);
    vector_octets("evidence.txt", "common", "pcr.15", &expected);
    ck_assert_mem_eq(value, expected.data, expected.len);
    for (size_t i = expected.len; i < sizeof(value); i++)
        ck_assert_uint_eq(value[i], 0);
}
END_TEST

START_TEST(test_replay_of_nothing_is_zero)
{
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {1};

    ck_assert_int_eq(atls_eventlog_replay(TPM2_ALG_SHA512, NULL, 0, value),
                     ATLS_OK);
    ck_assert_mem_eq(value, zero, sizeof(value));
}
END_TEST

START_TEST(test_E9_replay_depends_on_order_and_every_content)
{
    const struct atls_span contents[] = {span_of("a"), span_of("b")};
    const struct atls_span swapped[] = {span_of("b"), span_of("a")};
    uint8_t values[4][ATLS_PCR_DIGEST_MAX];

    ck_assert_int_eq(
        atls_eventlog_replay(TPM2_ALG_SHA384, contents, 2, values[0]), ATLS_OK);
    ck_assert_int_eq(
        atls_eventlog_replay(TPM2_ALG_SHA384, swapped, 2, values[1]), ATLS_OK);
    ck_assert_int_eq(
        atls_eventlog_replay(TPM2_ALG_SHA384, contents, 1, values[2]), ATLS_OK);
    ck_assert_int_eq(
        atls_eventlog_replay(TPM2_ALG_SHA256, contents, 2, values[3]), ATLS_OK);
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(values[i], values[j], 20);
    }
}
END_TEST

START_TEST(test_replay_of_no_bank)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX];

    ck_assert_int_eq(atls_eventlog_replay(TPM2_ALG_SM3_256, NULL, 0, value),
                     ATLS_E_INTERNAL);
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    const struct atls_span contents[] = {span_of("a"), span_of("b")};
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    enum atls_error r =
        atls_eventlog_replay(TPM2_ALG_SHA256, contents, 2, value);
    size_t n = 0;

    ck_assert_int_eq(r, ATLS_OK);
    do {
        allocation_fail_at(++n);
        r = atls_eventlog_replay(TPM2_ALG_SHA256, contents, 2, value);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_CRYPTO);
        ck_assert_uint_lt(n, 100);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 4);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_contents_are_classified_and_written_alike, 0, COUNT(events)),
    LOOP(test_E9_what_only_looks_like_an_event, 0, COUNT(others)),
    LOOP(test_E11_cut_and_changed_contents, 0, COUNT(events)),
    ONCE(test_content_with_terminators),
    ONCE(test_format_refuses_what_is_no_event),
    ONCE(test_replay_gives_the_pcr_of_the_vector),
    ONCE(test_replay_of_nothing_is_zero),
    ONCE(test_E9_replay_depends_on_order_and_every_content),
    ONCE(test_replay_of_no_bank),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "eventlog", .begin = allocation_install,
      .cases = {CASE("eventlog", tests, 0, NULL, NULL)});
