/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_CODEC_LOG_H
#define ATLS_EVIDENCE_CODEC_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "evidence/codec.h"
#include "evidence/cbor_reader.h"
#include "base/span.h"

/* What codec_decode.c and codec_encode.c need for the measured log, key 7. */

/* Does an event travel as a digest in this format? It does where it is a
 * certificate's: renewed certificates are what makes logs long. */
bool atls_codec_is_short(unsigned format, struct atls_span content,
                         uint8_t ret_digest[ATLS_SHA256_LEN]);

/*
 * Read the value of key 7 into the log_* of evidence of a known format, where
 * nothing of it is yet; what was allocated stays there on failure too, for
 * atls_evidence_free(). The array of events is allocated once their count was
 * compared with what is left of the input, and the contents of certificates' by
 * what is left, too. Returns what the calls of cbor_reader.h return, ATLS_E_NOT_CANONICAL
 * (a certificate's event in full where it is a digest), or ATLS_E_NOMEM.
 * Source: doc/PROTOCOL.md, "Evidence".
 */
enum atls_error atls_codec_read_log(struct atls_cbor_reader *rd,
                                    struct atls_evidence *evidence)
    ATLS_MUST_CHECK;

/* May a log be sent in the format of the evidence? ATLS_OK, ATLS_E_LIMIT. */
enum atls_error atls_codec_check_log(const struct atls_evidence *evidence,
                                     struct atls_reason *why) ATLS_MUST_CHECK;

#endif
