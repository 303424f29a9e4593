/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_AGENT_WIRE_H
#define ATLS_ATTESTER_AGENT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "base/span.h"

/*
 * Messages between the provider and its agent, attestd: each is one message of a
 * Unix socket of type SOCK_SEQPACKET. Pure: octets in, octets out.
 *
 *     struct {
 *         uint8 version = 1;
 *         uint8 type;                      // evidence (1), connection (2)
 *         select (type) {
 *           case evidence:   uint8  role;            // 's', 'c'
 *                            uint16 formats<2..2^8-2>;
 *                            opaque channel[32];
 *                            opaque certificate<1..2^16-1>;   // DER
 *           case connection: struct {};
 *         };
 *     } AgentRequest;
 *
 *     struct {
 *         uint8 version = 1;
 *         uint8 type;                      // evidence (1), connection (2), refusal (255)
 *         select (type) {
 *           case evidence:   opaque cmw<1..49152>;   // uint16 length
 *           case connection: struct {};      // with the descriptor, SCM_RIGHTS
 *           case refusal:    opaque code<1..2^8-1>;  // name as of error.h
 *                            opaque reason<0..2^8-1>;        // UTF-8, one line
 *         };
 *     } AgentAnswer;
 *
 * Source: doc/PROTOCOL.md, "Agent".
 */

#define ATLS_AGENT_VERSION 1u

enum atls_agent_type {
    ATLS_AGENT_EVIDENCE = 1,
    ATLS_AGENT_CONNECTION = 2,
    ATLS_AGENT_REFUSAL = 255
};

/* Octets of the largest DER certificate a request may carry. */
#define ATLS_AGENT_CERTIFICATE_MAX 65535u
/* Room for every request: heads, formats, channel, certificate. */
#define ATLS_AGENT_REQUEST_MAX \
    (2u + 1u + 1u + 254u + ATLS_CHANNEL_LEN + 2u + ATLS_AGENT_CERTIFICATE_MAX)
/* Room for every answer. */
#define ATLS_AGENT_ANSWER_MAX (2u + 2u + ATLS_CMW_MAX)

struct atls_agent_request {
    enum atls_agent_type type; /* never ATLS_AGENT_REFUSAL */
    /* The rest only of ATLS_AGENT_EVIDENCE. */
    enum atls_role role;
    uint8_t channel[ATLS_CHANNEL_LEN];
    struct atls_formats formats;  /* those that we know, at least one */
    struct atls_span certificate; /* borrowed from the octets parsed */
};

/*
 * Write a request.
 *   ret_octets  set only on success, OPENSSL_free() it
 * ATLS_OK; ATLS_E_TOO_LARGE for a certificate that is too large; ATLS_E_NOMEM.
 */
enum atls_error atls_agent_request_write(
    const struct atls_agent_request *request, struct atls_reason *why,
    uint8_t **ret_octets, size_t *ret_len) ATLS_MUST_CHECK;

/*
 * Read a request: everything is checked, nothing may be left over.
 * ATLS_OK, or ATLS_E_AGENT_PROTOCOL with what is wrong.
 */
enum atls_error atls_agent_request_read(
    const uint8_t *octets, size_t len, struct atls_reason *why,
    struct atls_agent_request *ret_request) ATLS_MUST_CHECK;

struct atls_agent_answer {
    enum atls_agent_type type;
    struct atls_span cmw; /* of ATLS_AGENT_EVIDENCE; borrowed */
    struct atls_reason
        reason; /* of ATLS_AGENT_REFUSAL; its code is not ATLS_OK */
};

/*
 * Write an answer into room for ATLS_AGENT_ANSWER_MAX octets; returns their
 * number. A cmw has at most ATLS_CMW_MAX octets.
 */
size_t atls_agent_answer_write(const struct atls_agent_answer *answer,
                               uint8_t *ret_octets);

/*
 * Read an answer. A refusal with a code that this version does not know becomes
 * ATLS_E_AGENT_UNAVAILABLE with its text kept; octets that are no printable ASCII become '?'.
 * ATLS_OK (also for a refusal), or ATLS_E_AGENT_PROTOCOL with what is wrong.
 */
enum atls_error atls_agent_answer_read(
    const uint8_t *octets, size_t len, struct atls_reason *why,
    struct atls_agent_answer *ret_answer) ATLS_MUST_CHECK;

#endif
