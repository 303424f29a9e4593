/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/agent_wire.h"

#include <openssl/crypto.h>
#include <string.h>

/* What is left of a message; whoever takes sees whether it was there. */
struct message {
    const uint8_t *p;
    size_t left;
};

static bool take(struct message *message, size_t len, struct atls_span *ret)
{
    if (message->left < len)
        return false;
    *ret = (struct atls_span){message->p, len};
    message->p += len;
    message->left -= len;
    return true;
}

static bool take_number(struct message *message, size_t octets, size_t *ret)
{
    struct atls_span span;

    if (!take(message, octets, &span))
        return false;
    *ret = 0;
    for (size_t i = 0; i < octets; i++)
        *ret = *ret << 8 | span.data[i];
    return true;
}

/* opaque<min..>: a length of one or two octets, then as many octets. */
static bool take_vector(struct message *message, size_t length_octets,
                        size_t min, struct atls_span *ret)
{
    size_t len;

    return take_number(message, length_octets, &len) && len >= min
           && take(message, len, ret);
}

static uint8_t *put_number(uint8_t *p, size_t octets, size_t number)
{
    for (size_t i = octets; i > 0; i--)
        *p++ = (uint8_t)(number >> 8 * (i - 1));
    return p;
}

static uint8_t *put_vector(uint8_t *p, size_t length_octets, const void *data,
                           size_t len)
{
    p = put_number(p, length_octets, len);
    memcpy(p, data, len);
    return p + len;
}

static uint8_t *put_head(uint8_t *p, enum atls_agent_type type)
{
    *p++ = ATLS_AGENT_VERSION;
    *p++ = (uint8_t)type;
    return p;
}

/* Version and type: the same in requests and answers. */
static enum atls_error take_head(struct message *message, const char *what,
                                 struct atls_reason *why, size_t *ret_type)
{
    size_t len = message->left, version;

    if (!take_number(message, 1, &version)
        || !take_number(message, 1, ret_type))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "%s of %zu octets is too short to have a type", what,
                         len);
    if (version != ATLS_AGENT_VERSION)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "%s has version %zu, expected %u; are attest and "
                         "attestd of one release?",
                         what, version, ATLS_AGENT_VERSION);
    return ATLS_OK;
}

static enum atls_error check_end(const struct message *message,
                                 const char *what, struct atls_reason *why)
{
    if (message->left > 0)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "%zu octets are left over at the end of %s",
                         message->left, what);
    return ATLS_OK;
}

enum atls_error atls_agent_request_write(
    const struct atls_agent_request *request, struct atls_reason *why,
    uint8_t **ret_octets, size_t *ret_len)
{
    uint8_t *octets, *p;

    if (request->type == ATLS_AGENT_EVIDENCE
        && request->certificate.len > ATLS_AGENT_CERTIFICATE_MAX)
        return atls_fail(why, ATLS_E_TOO_LARGE,
                         "the certificate has %zu octets, the agent takes %u",
                         request->certificate.len, ATLS_AGENT_CERTIFICATE_MAX);
    octets = OPENSSL_malloc(ATLS_AGENT_REQUEST_MAX - ATLS_AGENT_CERTIFICATE_MAX
                            + request->certificate.len);
    if (octets == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    p = put_head(octets, request->type);
    if (request->type == ATLS_AGENT_EVIDENCE) {
        uint8_t formats[ATLS_FORMATS_WIRE_MAX];
        size_t formats_len = atls_formats_write(&request->formats, formats);

        p = put_number(p, 1, (size_t)request->role);
        p = put_vector(p, 1, formats, formats_len);
        memcpy(p, request->channel, sizeof(request->channel));
        p += sizeof(request->channel);
        p = put_vector(p, 2, request->certificate.data,
                       request->certificate.len);
    }
    *ret_octets = octets;
    *ret_len = (size_t)(p - octets);
    return ATLS_OK;
}

static enum atls_error take_role_and_formats(struct message *message,
                                             struct atls_reason *why,
                                             struct atls_agent_request *request)
{
    struct atls_span formats;
    size_t role;

    if (!take_number(message, 1, &role)
        || (role != ATLS_ROLE_SERVER && role != ATLS_ROLE_CLIENT))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the request for evidence has no role 's' or 'c'");
    if (!take_vector(message, 1, 2, &formats) || formats.len % 2 != 0)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the request for evidence has no list of formats, "
                         "two octets each");
    request->role = (enum atls_role)role;
    request->formats = atls_formats_read(formats);
    if (request->formats.count == 0)
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the request for evidence names no format that this "
                         "version makes");
    return ATLS_OK;
}

static enum atls_error take_evidence_request(struct message *message,
                                             struct atls_reason *why,
                                             struct atls_agent_request *request)
{
    enum atls_error r = take_role_and_formats(message, why, request);
    struct atls_span channel;

    if (r != ATLS_OK)
        return r;
    if (!take(message, sizeof(request->channel), &channel))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the request for evidence has no channel of %u octets",
                         ATLS_CHANNEL_LEN);
    memcpy(request->channel, channel.data, channel.len);
    if (!take_vector(message, 2, 1, &request->certificate))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the request for evidence has no certificate, or only "
                         "a part of it");
    return ATLS_OK;
}

enum atls_error atls_agent_request_read(const uint8_t *octets, size_t len,
                                        struct atls_reason *why,
                                        struct atls_agent_request *ret_request)
{
    struct message message = {octets, len};
    struct atls_agent_request request;
    size_t type = 0;
    enum atls_error r = take_head(&message, "a request", why, &type);

    if (r != ATLS_OK)
        return r;
    memset(&request, 0, sizeof(request));
    if (type == ATLS_AGENT_EVIDENCE)
        r = take_evidence_request(&message, why, &request);
    else if (type != ATLS_AGENT_CONNECTION)
        r = atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                      "a request of unknown type %zu", type);
    if (r != ATLS_OK)
        return r;
    r = check_end(&message, "a request", why);
    if (r != ATLS_OK)
        return r;
    request.type = (enum atls_agent_type)type;
    *ret_request = request;
    return ATLS_OK;
}

static uint8_t *put_refusal(uint8_t *p, const struct atls_reason *reason)
{
    const char *name = atls_error_name(reason->code);
    char text[ATLS_REASON_MAX];

    memcpy(text, reason->text, sizeof(text));
    atls_sentence_fit(text, UINT8_MAX + 1);
    p = put_vector(p, 1, name, strlen(name));
    return put_vector(p, 1, text, strlen(text));
}

size_t atls_agent_answer_write(const struct atls_agent_answer *answer,
                               uint8_t *ret_octets)
{
    uint8_t *p = put_head(ret_octets, answer->type);

    if (answer->type == ATLS_AGENT_EVIDENCE)
        p = put_vector(p, 2, answer->cmw.data, answer->cmw.len);
    else if (answer->type == ATLS_AGENT_REFUSAL)
        p = put_refusal(p, &answer->reason);
    return (size_t)(p - ret_octets);
}

/* "ok" is no refusal, and not among them. */
static enum atls_error code_of(struct atls_span name)
{
    for (int code = ATLS_OK + 1; code < ATLS_E_COUNT; code++) {
        const char *known = atls_error_name((enum atls_error)code);

        if (strlen(known) == name.len
            && memcmp(known, name.data, name.len) == 0)
            return (enum atls_error)code;
    }
    return ATLS_E_AGENT_UNAVAILABLE;
}

static enum atls_error take_refusal(struct message *message,
                                    struct atls_reason *why,
                                    struct atls_reason *ret_reason)
{
    struct atls_span code, text;
    char line[UINT8_MAX + 1];

    if (!take_vector(message, 1, 1, &code))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the agent's refusal has no code");
    if (!take_vector(message, 1, 0, &text))
        return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                         "the agent's refusal has no reason");
    for (size_t i = 0; i < text.len; i++)
        line[i] = text.data[i] != '\0' ? (char)text.data[i] : '?';
    line[text.len] = '\0';
    if (text.len > 0)
        (void)atls_fail(ret_reason, code_of(code), "%s", line);
    else
        (void)atls_fail(ret_reason, code_of(code), NULL);
    return ATLS_OK;
}

/* What follows the head, by type. */
static enum atls_error take_answer(struct message *message,
                                   struct atls_reason *why,
                                   struct atls_agent_answer *answer)
{
    switch (answer->type) {
    case ATLS_AGENT_EVIDENCE:
        if (!take_vector(message, 2, 1, &answer->cmw)
            || answer->cmw.len > ATLS_CMW_MAX)
            return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                             "the agent's answer has no evidence of 1 to %u "
                             "octets",
                             ATLS_CMW_MAX);
        return ATLS_OK;
    case ATLS_AGENT_CONNECTION:
        return ATLS_OK;
    case ATLS_AGENT_REFUSAL:
        return take_refusal(message, why, &answer->reason);
    }
    return atls_fail(why, ATLS_E_AGENT_PROTOCOL,
                     "an answer of the agent of unknown type %u",
                     (unsigned)answer->type);
}

enum atls_error atls_agent_answer_read(const uint8_t *octets, size_t len,
                                       struct atls_reason *why,
                                       struct atls_agent_answer *ret_answer)
{
    struct message message = {octets, len};
    struct atls_agent_answer answer;
    size_t type = 0;
    enum atls_error r =
        take_head(&message, "an answer of the agent", why, &type);

    if (r != ATLS_OK)
        return r;
    memset(&answer, 0, sizeof(answer));
    answer.type = (enum atls_agent_type)type;
    r = take_answer(&message, why, &answer);
    if (r != ATLS_OK)
        return r;
    r = check_end(&message, "an answer of the agent", why);
    if (r != ATLS_OK)
        return r;
    *ret_answer = answer;
    return ATLS_OK;
}
