/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/agent_wire.h against test/vectors/agent.txt, and against every message
 * that is a little wrong. */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attester/agent_wire.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/vectors.h"

static const char file[] = "agent.txt";

/* Octets before the certificate in a request with two formats. */
#define HEAD 42u

/* --- requests --------------------------------------------------------------- */

static enum atls_error read_request(const uint8_t *octets, size_t len,
                                    struct atls_reason *why,
                                    struct atls_agent_request *ret)
{
    /* Of its own size, so that a sanitizer sees who reads beyond it. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum atls_error r;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, octets, len);
    r = atls_agent_request_read(copy, len, why, ret);
    if (r == ATLS_OK && ret->type == ATLS_AGENT_EVIDENCE)
        ret->certificate.data = octets + (ret->certificate.data - copy);
    free(copy);
    return r;
}

static void ck_refused(const uint8_t *octets, size_t len, const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_request request;

    ck_assert_int_eq(read_request(octets, len, &why, &request),
                     ATLS_E_AGENT_PROTOCOL);
    ck_assert_int_eq(why.code, ATLS_E_AGENT_PROTOCOL);
    if (text != NULL)
        ck_assert_str_eq(why.text, text);
}

static const char *const evidence_requests[] = {"request-evidence-server",
                                                "request-evidence-client"};
#define EVIDENCE_REQUESTS 2

/* What the section says the message holds. */
static struct atls_agent_request expected_request(const char *section,
                                                  struct vector *cert)
{
    struct atls_agent_request request = {.type = ATLS_AGENT_EVIDENCE};
    struct vector octets;

    request.role = (enum atls_role)vector_text(file, section, "role")[0];
    vector_octets(file, section, "channel", &octets);
    ck_assert_uint_eq(octets.len, sizeof(request.channel));
    memcpy(request.channel, octets.data, octets.len);
    while (
        vector_list(file, section, "formats", request.formats.count, &octets))
        request.formats.list[request.formats.count++] =
            (unsigned)octets.data[0] << 8 | octets.data[1];
    vector_octets(file, section, "certificate", cert);
    request.certificate = (struct atls_span){cert->data, cert->len};
    return request;
}

START_TEST(test_requests_are_the_vectors)
{
    const char *section = evidence_requests[_i];
    struct vector message, cert;
    struct atls_agent_request expected = expected_request(section, &cert);
    struct atls_agent_request got;
    uint8_t *octets = NULL;
    size_t len = 0;

    vector_octets(file, section, "message", &message);
    ck_assert_int_eq(atls_agent_request_write(&expected, NULL, &octets, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, message.len);
    ck_assert_mem_eq(octets, message.data, len);
    OPENSSL_free(octets);

    ck_assert_int_eq(read_request(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.type, ATLS_AGENT_EVIDENCE);
    ck_assert_int_eq(got.role, expected.role);
    ck_assert_mem_eq(got.channel, expected.channel, sizeof(got.channel));
    ck_assert_uint_eq(got.formats.count, expected.formats.count);
    for (size_t i = 0; i < got.formats.count; i++)
        ck_assert_uint_eq(got.formats.list[i], expected.formats.list[i]);
    ck_assert_uint_eq(got.certificate.len, cert.len);
    ck_assert_mem_eq(got.certificate.data, cert.data, cert.len);
}
END_TEST

START_TEST(test_request_for_a_connection_is_the_vector)
{
    const struct atls_agent_request request = {.type = ATLS_AGENT_CONNECTION};
    struct atls_agent_request got;
    struct vector message;
    uint8_t *octets = NULL;
    size_t len = 0;

    vector_octets(file, "request-connection", "message", &message);
    ck_assert_int_eq(atls_agent_request_write(&request, NULL, &octets, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, message.len);
    ck_assert_mem_eq(octets, message.data, len);
    OPENSSL_free(octets);
    ck_assert_int_eq(read_request(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.type, ATLS_AGENT_CONNECTION);
    ck_assert_uint_eq(got.certificate.len, 0);
}
END_TEST

START_TEST(test_request_cut_or_continued_is_refused)
{
    struct vector message;

    vector_octets(file, evidence_requests[_i], "message", &message);
    for (size_t len = 0; len < message.len; len++)
        ck_refused(message.data, len, NULL);
    for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
        message.data[message.len] = (uint8_t)octet;
        ck_refused(message.data, message.len + 1,
                   "1 octets are left over at the end of a request");
    }
}
END_TEST

/* One octet changed. */
static const struct {
    const char *label;
    size_t at;
    uint8_t octet;
    const char *text;
} wrong_requests[] = {
    {"version 0", 0, 0,
     "a request has version 0, expected 1; are attest and attestd of one "
     "release?"},
    {"version 2", 0, 2,
     "a request has version 2, expected 1; are attest and attestd of one "
     "release?"},
    {"type 0", 1, 0, "a request of unknown type 0"},
    {"type 3", 1, 3, "a request of unknown type 3"},
    {"type of a refusal", 1, 255, "a request of unknown type 255"},
    {"another type", 1, 2, "71 octets are left over at the end of a request"},
    {"role S", 2, 'S', "the request for evidence has no role 's' or 'c'"},
    {"role 0", 2, 0, "the request for evidence has no role 's' or 'c'"},
    {"no formats", 3, 0,
     "the request for evidence has no list of formats, two octets each"},
    {"half a format", 3, 1,
     "the request for evidence has no list of formats, two octets each"},
    {"one format and a half", 3, 3,
     "the request for evidence has no list of formats, two octets each"},
    {"formats beyond the end", 3, 254,
     "the request for evidence has no list of formats, two octets each"},
    {"format 0", 5, 0,
     "the request for evidence names no format that this version makes"},
    {"format 257", 4, 1,
     "the request for evidence names no format that this version makes"},
    {"format 4", 5, 4,
     "the request for evidence names no format that this version makes"},
    {"no certificate", 39, 0,
     "the request for evidence has no certificate, or only a part of it"},
    {"certificate beyond the end", 39, 34,
     "the request for evidence has no certificate, or only a part of it"},
    {"certificate far beyond the end", 38, 255,
     "the request for evidence has no certificate, or only a part of it"},
    {"certificate ends early", 39, 32,
     "1 octets are left over at the end of a request"},
};
#define WRONG_REQUESTS (int)(sizeof(wrong_requests) / sizeof(wrong_requests[0]))

START_TEST(test_wrong_request_is_refused)
{
    struct vector message;

    vector_octets(file, evidence_requests[0], "message", &message);
    message.data[wrong_requests[_i].at] = wrong_requests[_i].octet;
    ck_refused(message.data, message.len, wrong_requests[_i].text);
}
END_TEST

START_TEST(test_a_cut_request_says_where)
{
    struct vector message;

    vector_octets(file, evidence_requests[0], "message", &message);
    ck_refused(message.data, 0,
               "a request of 0 octets is too short to have a type");
    ck_refused(message.data, 1,
               "a request of 1 octets is too short to have a type");
    ck_refused(message.data, 2,
               "the request for evidence has no role 's' or 'c'");
    ck_refused(message.data, 5,
               "the request for evidence has no list of formats, two octets "
               "each");
    ck_refused(message.data, 37,
               "the request for evidence has no channel of 32 octets");
    ck_refused(message.data, 39,
               "the request for evidence has no certificate, or only a part "
               "of it");
}
END_TEST

/* Formats of later versions are passed over, however many, and one twice is one. */
START_TEST(test_formats_of_later_versions_are_passed_over)
{
    uint8_t octets[2 + 1 + 1 + 254 + 32 + 2 + 1] = {1, 1, 's', 254};
    struct atls_agent_request got;

    for (size_t i = 0; i < 127; i++)
        octets[4 + 2 * i] = 9; /* format 0x0900 */
    octets[4 + 2 * 50] = 0;
    octets[4 + 2 * 50 + 1] = 2;
    octets[4 + 2 * 60] = 0;
    octets[4 + 2 * 60 + 1] = 2;
    octets[4 + 2 * 126] = 0;
    octets[4 + 2 * 126 + 1] = 1;
    octets[sizeof(octets) - 2] = 1; /* a certificate of one octet */
    ck_assert_int_eq(read_request(octets, sizeof(octets), NULL, &got), ATLS_OK);
    ck_assert_uint_eq(got.formats.count, 2);
    ck_assert_uint_eq(got.formats.list[0], 2);
    ck_assert_uint_eq(got.formats.list[1], 1);
    ck_assert_uint_eq(got.certificate.len, 1);
}
END_TEST

START_TEST(test_the_largest_certificate_fits_and_no_larger)
{
    static const uint8_t cert[ATLS_AGENT_CERTIFICATE_MAX + 1] = {0x30};
    struct atls_agent_request request = {
        .type = ATLS_AGENT_EVIDENCE,
        .role = ATLS_ROLE_CLIENT,
        .formats = {2, {2, 1}},
        .certificate = {cert, ATLS_AGENT_CERTIFICATE_MAX},
    };
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_request got;
    uint8_t *octets = NULL;
    size_t len = 0;

    ck_assert_int_eq(atls_agent_request_write(&request, &why, &octets, &len),
                     ATLS_OK);
    ck_assert_uint_eq(len, HEAD + ATLS_AGENT_CERTIFICATE_MAX);
    ck_assert_uint_le(len, ATLS_AGENT_REQUEST_MAX);
    ck_assert_int_eq(read_request(octets, len, &why, &got), ATLS_OK);
    ck_assert_uint_eq(got.certificate.len, ATLS_AGENT_CERTIFICATE_MAX);
    OPENSSL_free(octets);
    request.certificate.len++;
    ck_assert_int_eq(atls_agent_request_write(&request, &why, &octets, &len),
                     ATLS_E_TOO_LARGE);
    ck_assert_str_eq(why.text,
                     "the certificate has 65536 octets, the agent takes 65535");
}
END_TEST

START_TEST(test_request_without_memory)
{
    const struct atls_agent_request request = {.type = ATLS_AGENT_CONNECTION};
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t *octets = NULL;
    enum atls_error r;
    size_t len = 0;

    allocation_fail_at(1);
    r = atls_agent_request_write(&request, &why, &octets, &len);
    allocation_fail_at(0);
    ck_assert_int_eq(r, ATLS_E_NOMEM);
    ck_assert_str_eq(why.text, "out of memory");
    ck_assert_ptr_null(octets);
}
END_TEST

/* --- answers ----------------------------------------------------------------- */

static enum atls_error read_answer(const uint8_t *octets, size_t len,
                                   struct atls_reason *why,
                                   struct atls_agent_answer *ret)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum atls_error r;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, octets, len);
    r = atls_agent_answer_read(copy, len, why, ret);
    if (r == ATLS_OK && ret->type == ATLS_AGENT_EVIDENCE)
        ret->cmw.data = octets + (ret->cmw.data - copy);
    free(copy);
    return r;
}

static void ck_answer_refused(const uint8_t *octets, size_t len,
                              const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_answer answer;

    ck_assert_int_eq(read_answer(octets, len, &why, &answer),
                     ATLS_E_AGENT_PROTOCOL);
    ck_assert_int_eq(why.code, ATLS_E_AGENT_PROTOCOL);
    if (text != NULL)
        ck_assert_str_eq(why.text, text);
}

static void ck_written(const struct atls_agent_answer *answer,
                       const struct vector *message)
{
    static uint8_t octets[ATLS_AGENT_ANSWER_MAX];

    ck_assert_uint_eq(atls_agent_answer_write(answer, octets), message->len);
    ck_assert_mem_eq(octets, message->data, message->len);
}

START_TEST(test_answers_are_the_vectors)
{
    struct atls_agent_answer answer = {.type = ATLS_AGENT_EVIDENCE};
    struct atls_agent_answer got;
    struct vector message, cmw;

    vector_octets(file, "answer-evidence", "message", &message);
    vector_octets(file, "answer-evidence", "cmw", &cmw);
    answer.cmw = (struct atls_span){cmw.data, cmw.len};
    ck_written(&answer, &message);
    ck_assert_int_eq(read_answer(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.type, ATLS_AGENT_EVIDENCE);
    ck_assert_uint_eq(got.cmw.len, cmw.len);
    ck_assert_mem_eq(got.cmw.data, cmw.data, cmw.len);

    vector_octets(file, "answer-connection", "message", &message);
    answer.type = ATLS_AGENT_CONNECTION;
    ck_written(&answer, &message);
    ck_assert_int_eq(read_answer(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.type, ATLS_AGENT_CONNECTION);
}
END_TEST

START_TEST(test_refusal_is_the_vector)
{
    struct atls_agent_answer answer = {.type = ATLS_AGENT_REFUSAL};
    struct atls_agent_answer got;
    struct vector message;

    vector_octets(file, "answer-refusal", "message", &message);
    (void)atls_fail(&answer.reason, ATLS_E_NOT_ALLOWED, "%s",
                    vector_text(file, "answer-refusal", "reason"));
    ck_written(&answer, &message);
    ck_assert_int_eq(read_answer(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.type, ATLS_AGENT_REFUSAL);
    ck_assert_int_eq(got.reason.code, ATLS_E_NOT_ALLOWED);
    ck_assert_str_eq(got.reason.text, "user 33 (www-data) is not in allow");
}
END_TEST

START_TEST(test_refusals_with_little_in_them)
{
    struct atls_agent_answer got;
    struct vector message;

    vector_octets(file, "answer-unknown", "message", &message);
    ck_assert_int_eq(read_answer(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.reason.code, ATLS_E_AGENT_UNAVAILABLE);
    ck_assert_str_eq(got.reason.text, "a reason all the same");
    vector_octets(file, "answer-silent", "message", &message);
    ck_assert_int_eq(read_answer(message.data, message.len, NULL, &got),
                     ATLS_OK);
    ck_assert_int_eq(got.reason.code, ATLS_E_TIMEOUT);
    ck_assert_str_eq(got.reason.text, atls_error_sentence(ATLS_E_TIMEOUT));
}
END_TEST

/* Every code that we can give survives the way, and none becomes ATLS_OK. */
START_TEST(test_every_code_is_handed_on)
{
    static uint8_t octets[ATLS_AGENT_ANSWER_MAX];

    for (int code = ATLS_OK; code <= ATLS_E_COUNT; code++) {
        struct atls_agent_answer answer = {.type = ATLS_AGENT_REFUSAL};
        struct atls_agent_answer got;
        size_t len;

        (void)atls_fail(&answer.reason, (enum atls_error)code, "%s", "why");
        len = atls_agent_answer_write(&answer, octets);
        ck_assert_int_eq(read_answer(octets, len, NULL, &got), ATLS_OK);
        ck_assert_int_eq(got.reason.code,
                         code == ATLS_OK || code == ATLS_E_COUNT
                             ? ATLS_E_AGENT_UNAVAILABLE
                             : code);
        ck_assert_str_eq(got.reason.text, "why");
    }
}
END_TEST

/* A reason forges no line and hides nothing behind a NUL. */
START_TEST(test_octets_of_a_reason_are_made_printable)
{
    uint8_t octets[2 + 2 + 1 + UINT8_MAX] = {1, 255, 1, 'x', UINT8_MAX};
    struct atls_agent_answer got;

    memset(octets + 5, 'a', UINT8_MAX);
    octets[5] = '\n';
    octets[6] = '\0';
    octets[7] = 0x1b;
    octets[8] = 0xff;
    ck_assert_int_eq(read_answer(octets, sizeof(octets), NULL, &got), ATLS_OK);
    ck_assert_uint_eq(strlen(got.reason.text), UINT8_MAX);
    ck_assert_int_eq(strncmp(got.reason.text, "????aaaa", 8), 0);
}
END_TEST

/* A message has room for 255 octets of it: of a path the middle goes. */
START_TEST(test_a_long_reason_is_made_to_fit)
{
    uint8_t octets[2 + 1 + UINT8_MAX + 1 + UINT8_MAX];
    struct atls_agent_answer answer = {.type = ATLS_AGENT_REFUSAL}, got;
    char path[300];
    size_t len;

    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    (void)atls_fail(&answer.reason, ATLS_E_IO, "cannot read %s; give it back",
                    path);
    len = atls_agent_answer_write(&answer, octets);
    ck_assert_uint_le(len, sizeof(octets));
    ck_assert_int_eq(read_answer(octets, len, NULL, &got), ATLS_OK);
    ck_assert_uint_eq(strlen(got.reason.text), UINT8_MAX);
    ck_assert_ptr_nonnull(strstr(got.reason.text, "p; give it back"));
    ck_assert_int_eq(strncmp(got.reason.brief, "cannot read ppp", 15), 0);
    ck_assert_ptr_null(strstr(got.reason.brief, ";"));
}
END_TEST

static const char *const answers[] = {"answer-evidence", "answer-connection",
                                      "answer-refusal", "answer-silent"};
#define ANSWERS 4

START_TEST(test_answer_cut_or_continued_is_refused)
{
    struct vector message;

    vector_octets(file, answers[_i], "message", &message);
    for (size_t len = 0; len < message.len; len++)
        ck_answer_refused(message.data, len, NULL);
    for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
        message.data[message.len] = (uint8_t)octet;
        ck_answer_refused(
            message.data, message.len + 1,
            "1 octets are left over at the end of an answer of the agent");
    }
}
END_TEST

static const struct {
    size_t len;
    uint8_t octets[12];
    const char *text;
} wrong_answers[] = {
    {0, {0}, "an answer of the agent of 0 octets is too short to have a type"},
    {1, {1}, "an answer of the agent of 1 octets is too short to have a type"},
    {2,
     {2, 2},
     "an answer of the agent has version 2, expected 1; are attest and attestd "
     "of one release?"},
    {2, {1, 0}, "an answer of the agent of unknown type 0"},
    {2, {1, 254}, "an answer of the agent of unknown type 254"},
    {2, {1, 1}, "the agent's answer has no evidence of 1 to 49152 octets"},
    {4,
     {1, 1, 0, 0},
     "the agent's answer has no evidence of 1 to 49152 octets"},
    {5,
     {1, 1, 0, 2, 0},
     "the agent's answer has no evidence of 1 to 49152 octets"},
    {2, {1, 255}, "the agent's refusal has no code"},
    {4, {1, 255, 0, 0}, "the agent's refusal has no code"},
    {4, {1, 255, 2, 'x'}, "the agent's refusal has no code"},
    {4, {1, 255, 1, 'x'}, "the agent's refusal has no reason"},
    {6, {1, 255, 1, 'x', 2, 'y'}, "the agent's refusal has no reason"},
};
#define WRONG_ANSWERS (int)(sizeof(wrong_answers) / sizeof(wrong_answers[0]))

START_TEST(test_wrong_answer_is_refused)
{
    ck_answer_refused(wrong_answers[_i].octets, wrong_answers[_i].len,
                      wrong_answers[_i].text);
}
END_TEST

START_TEST(test_the_largest_evidence_fits_and_no_larger)
{
    static uint8_t cmw[ATLS_CMW_MAX] = {0x83};
    static uint8_t octets[ATLS_AGENT_ANSWER_MAX + 1];
    const struct atls_agent_answer answer = {
        .type = ATLS_AGENT_EVIDENCE,
        .cmw = {cmw, sizeof(cmw)},
    };
    struct atls_agent_answer got;

    ck_assert_uint_eq(atls_agent_answer_write(&answer, octets),
                      ATLS_AGENT_ANSWER_MAX);
    ck_assert_int_eq(read_answer(octets, ATLS_AGENT_ANSWER_MAX, NULL, &got),
                     ATLS_OK);
    ck_assert_uint_eq(got.cmw.len, ATLS_CMW_MAX);
    octets[3]++; /* 0xc001 octets, and they are there */
    ck_answer_refused(
        octets, ATLS_AGENT_ANSWER_MAX + 1,
        "the agent's answer has no evidence of 1 to 49152 octets");
}
END_TEST

static const struct suite_test requests_tests[] = {
    LOOP(test_requests_are_the_vectors, 0, EVIDENCE_REQUESTS),
    ONCE(test_request_for_a_connection_is_the_vector),
    LOOP(test_request_cut_or_continued_is_refused, 0, EVIDENCE_REQUESTS),
    LOOP(test_wrong_request_is_refused, 0, WRONG_REQUESTS),
    ONCE(test_a_cut_request_says_where),
    ONCE(test_formats_of_later_versions_are_passed_over),
    ONCE(test_the_largest_certificate_fits_and_no_larger),
    ONCE(test_request_without_memory),
};

static const struct suite_test answers_tests[] = {
    ONCE(test_answers_are_the_vectors),
    ONCE(test_refusal_is_the_vector),
    ONCE(test_refusals_with_little_in_them),
    ONCE(test_every_code_is_handed_on),
    ONCE(test_octets_of_a_reason_are_made_printable),
    ONCE(test_a_long_reason_is_made_to_fit),
    LOOP(test_answer_cut_or_continued_is_refused, 0, ANSWERS),
    LOOP(test_wrong_answer_is_refused, 0, WRONG_ANSWERS),
    ONCE(test_the_largest_evidence_fits_and_no_larger),
};

SUITE(.name = "agent_wire", .begin = allocation_install,
      .cases = {CASE("requests", requests_tests, 0, NULL, NULL),
                CASE("answers", answers_tests, 0, NULL, NULL)});
