/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_CODEC_H
#define ATLS_EVIDENCE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/bootlog.h"
#include "evidence/merkle.h"
#include "evidence/pcr.h"
#include "base/span.h"

/*
 * Evidence on the wire: a RATS CMW record (RFC 9999) `[type, value, 4]` whose
 * value is our CBOR map in deterministic encoding (RFC 8949 §4.2.1). The CDDL
 * is in doc/PROTOCOL.md.
 */

/* Limits; what exceeds one is refused with ATLS_E_LIMIT. */
#define ATLS_CMW_MAX 49152u        /* octets of a CMW record */
#define ATLS_QUOTE_MAX 1024u       /* TPMS_ATTEST */
#define ATLS_SIGNATURE_MAX 1024u   /* TPMT_SIGNATURE, RSA-4096 fits */
#define ATLS_CHAIN_MAX 8u          /* certificates, without the root */
#define ATLS_CERTIFICATE_MAX 8192u /* octets of one certificate */
/* Events of the measured log: in format 3, and in those before it. */
#define ATLS_LOG_EVENTS_MAX 1536u
#define ATLS_LOG_EVENTS_PLAIN_MAX 1024u
#define ATLS_LOG_CONTENT_MAX 4096u /* octets of one event's content */
#define ATLS_TPMT_PUBLIC_MAX 1024u

/* Of a boot log on the wire: events, and octets of one's data, longer ones are
 * cut: it is only for people. */
#define ATLS_BOOT_WIRE_EVENTS_MAX 512u
#define ATLS_BOOT_WIRE_DATA_MAX 256u

/* Format numbers of the AttestationRequest, and the types of the records. 2 is 1
 * with a boot log, which it always has. 3 takes the place of both: certificate
 * events are their digests, and there may be a boot log. */
#define ATLS_FORMAT_TPM 1u
#define ATLS_FORMAT_TPM_BOOT 2u
#define ATLS_FORMAT_TPM_SHORT 3u
#define ATLS_FORMAT_TPM_TYPE "application/vnd.attest.tpm-evidence+cbor"
#define ATLS_FORMAT_TPM_BOOT_TYPE \
    "application/vnd.attest.tpm-boot-evidence+cbor"
#define ATLS_FORMAT_TPM_SHORT_TYPE \
    "application/vnd.attest.tpm-short-evidence+cbor"

/* Formats that a verifier takes, preferred first, each once; list of count. 2 beside
 * 3 says that it has a use for a boot log. */
#define ATLS_FORMATS_MAX 3u

struct atls_formats {
    size_t count;
    unsigned list[ATLS_FORMATS_MAX];
};
/* CMW indicator: bit 2, evidence (RFC 9999). */
#define ATLS_CMW_IND_EVIDENCE 4u

/* Integer keys of the evidence map, in encoding order. */
enum atls_evidence_key {
    ATLS_KEY_QUOTE = 1,     /* bstr: TPMS_ATTEST */
    ATLS_KEY_SIGNATURE = 2, /* bstr: TPMT_SIGNATURE */
    ATLS_KEY_AK_CHAIN = 3,  /* [1*8 bstr]: DER, AK first, no root */
    ATLS_KEY_PCRS = 4,      /* { TPM_ALG_ID => { PCR index => bstr } } */
    ATLS_KEY_MERKLE = 5,    /* [size, leaf index, [* bstr .size 32]] (live) */
    ATLS_KEY_EPOCH = 6,     /* uint: seconds since 1970 (epoch) */
    ATLS_KEY_LOG = 7, /* [PCR index, [* event]], optional; an event is a bstr,
                               its content, or, in format 3, [bstr .size 32]: that
                               certificate's event */
    ATLS_KEY_AUTHORITY = 8, /* bstr: DER of a measured CA, optional */
    ATLS_KEY_CERTIFY = 9,   /* [attest, signature, TPMT_PUBLIC], optional */
    ATLS_KEY_BOOT_LOG = 10  /* [startup locality, [* [PCR index, type, [+ digest
                               for each bank of key 4, in its order], data]]];
                               in format 2 always, in format 1 never, in format 3
                               where it has events */
};

/*
 * Evidence, decoded or to be encoded. All spans are borrowed: of a decoded one
 * they point into the octets given to atls_evidence_decode(), or into log_octets.
 * Exactly one of merkle (is_epoch false) and epoch_time (is_epoch true) counts.
 */
struct atls_evidence {
    unsigned format; /* ATLS_FORMAT_TPM ... */
    struct atls_span quote;
    struct atls_span signature;
    size_t chain_count;
    struct atls_span chain[ATLS_CHAIN_MAX];
    struct atls_pcr_values pcrs;
    bool is_epoch;
    uint64_t epoch_time;
    struct atls_merkle_proof merkle;
    bool has_log;
    unsigned log_pcr;
    size_t log_count;
    struct atls_span *log;      /* contents as extended; owned, may be NULL */
    char *log_octets;           /* of a decoded one: contents that travelled as
                                   digests; owned, may be NULL */
    struct atls_span authority; /* len 0: absent */
    struct atls_span certify;   /* len 0: absent; else all three are set */
    struct atls_span certify_signature;
    struct atls_span certify_public;
    /* Formats 2 and 3. Events' digests are those of the banks of pcrs, all of
     * them. The array of a decoded one is its own. */
    struct atls_boot_log boot_log;
};

/* Does a boot log travel, which may be empty? Pure. */
bool atls_evidence_has_boot_log(const struct atls_evidence *evidence);

/*
 * Decode one CMW record of 1..ATLS_CMW_MAX octets.
 *   cmw      borrowed; must outlive *ret_evidence
 *   why      gets what was expected and found, with the offset; may be NULL
 *   ret_evidence  set only on success; free with atls_evidence_free()
 * Uses libcbor's streaming decoder only; nothing is allocated but the arrays of
 * the logs, after their counts were checked against what is left of the input, and
 * 83 octets for each 35 of certificate events. Refuses indefinite lengths, tags,
 * floats, duplicate or unsorted keys, trailing octets, and everything that does not
 * re-encode to the same octets.
 * Returns ATLS_OK, or ATLS_E_TRUNCATED, _TRAILING, _MALFORMED, _LIMIT,
 * _NOT_CANONICAL, _FORMAT (unknown CMW type), _NOMEM. Pure and thread-safe.
 * Source: doc/PROTOCOL.md, "Evidence".
 */
enum atls_error atls_evidence_decode(
    struct atls_span cmw, struct atls_reason *why,
    struct atls_evidence **ret_evidence) ATLS_MUST_CHECK;

/* The type of records of a format, one of those above. Static string. */
const char *atls_format_type(unsigned format);

/* Is the format among them? Pure. */
bool atls_formats_include(const struct atls_formats *formats, unsigned format);

/* Does their first have room for a boot log, and who asks a use for one? Of a list
 * that is not empty. Pure. */
bool atls_formats_want_boot_log(const struct atls_formats *formats);

/*
 * The list as messages carry it, without its length: two octets each, network
 * order. What is read may name formats that we do not know, they are passed over,
 * and one twice, which counts once. Pure. Returns octets written, or the list.
 */
#define ATLS_FORMATS_WIRE_MAX (2u * ATLS_FORMATS_MAX)
size_t atls_formats_write(const struct atls_formats *formats,
                          uint8_t ret[ATLS_FORMATS_WIRE_MAX]);
struct atls_formats atls_formats_read(struct atls_span list);

/* Frees the struct and its arrays, not the octets. NULL is fine. */
void atls_evidence_free(struct atls_evidence *evidence);

/*
 * Encode a CMW record. PCR banks may be in any order, none twice.
 *   ret_cmw  set only on success, 1..ATLS_CMW_MAX octets; OPENSSL_free() it
 * Returns ATLS_OK, ATLS_E_TOO_LARGE (with the size and what takes the room in
 * why), ATLS_E_LIMIT (a part exceeds its limit), ATLS_E_NOMEM.
 */
enum atls_error atls_evidence_encode(const struct atls_evidence *evidence,
                                     struct atls_reason *why, uint8_t **ret_cmw,
                                     size_t *ret_len) ATLS_MUST_CHECK;

/* Octets that it encodes to, whatever the limits. Octets that spans of it point to
 * are not looked at, but for those of the log. Pure. */
size_t atls_evidence_len(const struct atls_evidence *evidence);

/*
 * Does evidence that keeps all limits encode to exactly these octets? What
 * makes a decoded record canonical. Pure; allocates nothing.
 */
bool atls_evidence_encodes_to(const struct atls_evidence *evidence,
                              struct atls_span cmw);

#endif
