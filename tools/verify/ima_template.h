/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TOOLS_VERIFY_IMA_TEMPLATE_H
#define ATLS_TOOLS_VERIFY_IMA_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "evidence/pcr.h"

/*
 * An entry of IMA's log, and what its template holds. A template is known by its name
 * ("ima-ng") or, where the administrator composed one, its name is its format
 * ("d-ng|n-ng|sig"). Source: Linux Documentation/security/IMA-templates.rst,
 * security/integrity/ima/ima_template_lib.c.
 */

/* An entry of the log. Its spans point into the log's octets. */
struct atls_ima_event {
    unsigned pcr;
    uint8_t sha1[20];          /* all zero: a violation, extended as all ones */
    struct atls_span template; /* "ima-ng" */
    struct atls_span data;     /* binary: the template's fields; ascii: the text
                                  of them */
    struct atls_span path; /* of the file; empty where the template has none */
};

/* The template of before Linux 3.13, whose fields have no length but one. */
bool atls_ima_template_is_original(struct atls_span name);

/* The field of the data that names a file, without terminator; empty where there
 * is none. */
struct atls_span atls_ima_template_path(const struct atls_ima_event *event,
                                        bool is_binary);

/*
 * Hash of the template data as the kernel hashes them, those of a text log
 * rebuilt from the text.
 *   ret_digest  of hash->len octets
 * Returns ATLS_OK, ATLS_E_FORMAT (this text cannot be turned back into data),
 * ATLS_E_NOMEM, ATLS_E_CRYPTO.
 */
enum atls_error atls_ima_template_digest(
    const struct atls_ima_event *event, bool is_binary,
    const struct atls_hash *hash,
    uint8_t ret_digest[ATLS_PCR_DIGEST_MAX]) ATLS_MUST_CHECK;

#endif
