/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_EVENTLOG_H
#define ATLS_EVIDENCE_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "evidence/pcr.h"
#include "base/span.h"

/*
 * The application's measured log: contents of one line of text each, every one
 * extended as H_bank(content) in order. Source: design "Measuring";
 * doc/PROTOCOL.md, "Measured log".
 */

/* Longest component name: [A-Za-z0-9][A-Za-z0-9._:@/-]* */
#define ATLS_COMPONENT_NAME_MAX 64u

enum atls_event_kind {
    ATLS_EVENT_OTHER = 0,   /* anything else; policy's `events` decides */
    ATLS_EVENT_COMPONENT,   /* component <name> sha256:<64 hex> */
    ATLS_EVENT_CERTIFICATE, /* certificate sha256:<64 hex of the DER's hash> */
    ATLS_EVENT_AUTHORITY    /* authority sha256:<64 hex of the DER's hash> */
};

struct atls_event {
    enum atls_event_kind kind;
    char name[ATLS_COMPONENT_NAME_MAX + 1]; /* of a component, else "" */
    uint8_t digest[ATLS_SHA256_LEN];        /* not of ATLS_EVENT_OTHER */
};

/*
 * Classify one content. Exactly the three forms above, lower-case hex, single
 * spaces, no trailing octet; a content that merely begins like one of them is
 * ATLS_EVENT_OTHER and so must be named by the policy to pass.
 * Pure, cannot fail.
 */
void atls_event_parse(struct atls_span content, struct atls_event *ret_event);

/* Does it begin like an event of this kind? For who looks for one among many: false
 * says that a parse finds another. Of ATLS_EVENT_OTHER it says nothing. Pure. */
bool atls_event_may_be(struct atls_span content, enum atls_event_kind kind);

/* The content of a component, certificate or authority event, without a
 * terminator in its length. ret needs ATLS_EVENT_CONTENT_MAX octets; returns
 * the length, or 0 for a name that is not one. */
#define ATLS_EVENT_CONTENT_MAX 160u
size_t atls_event_format(const struct atls_event *event,
                         char ret[ATLS_EVENT_CONTENT_MAX]);

/* A certificate event by itself, for logs that have many: the same as a parse that
 * finds ATLS_EVENT_CERTIFICATE, and its content without a terminator. */
#define ATLS_CERTIFICATE_CONTENT_LEN 83u
bool atls_event_is_certificate(struct atls_span content,
                               uint8_t ret_digest[ATLS_SHA256_LEN]);
void atls_event_write_certificate(const uint8_t digest[ATLS_SHA256_LEN],
                                  char ret[ATLS_CERTIFICATE_CONTENT_LEN]);

/* True for a legal component name. */
bool atls_component_name_is_legal(const char *name, size_t len);

/* value = its extension by one content, H_bank(content). Returns ATLS_OK,
 * ATLS_E_INTERNAL (no such bank), ATLS_E_CRYPTO. */
enum atls_error atls_eventlog_extend(uint16_t alg, struct atls_span content,
                                     uint8_t value[ATLS_PCR_DIGEST_MAX])
    ATLS_MUST_CHECK;

/*
 * The value a PCR that began as zero has after all contents were extended.
 *   ret_value  ATLS_PCR_DIGEST_MAX octets, the rest zero
 * ATLS_OK, ATLS_E_INTERNAL (no such bank), ATLS_E_CRYPTO.
 */
enum atls_error atls_eventlog_replay(
    uint16_t alg, const struct atls_span *contents, size_t count,
    uint8_t ret_value[ATLS_PCR_DIGEST_MAX]) ATLS_MUST_CHECK;

#endif
