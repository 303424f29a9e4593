/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_VERIFY_QUOTE_PARTS_H
#define ATTEST_TOOLS_VERIFY_QUOTE_PARTS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/pcr.h"
#include "evidence/quote.h"
#include "base/span.h"
#include "verifier/policy.h"
#include "verifier/trust.h"

/*
 * `attest verify`: a quote and its parts, each in a file of its own, as tpm2-tools
 * write them.
 *   certificates.c  certificates and trusted roots
 *   key.c           an AK given by its public key
 *   pcrs.c          PCR values
 *   quote.c         the checks
 *   logs.c          logs, replayed to what was quoted
 */

/* ---- certificates ---- */

#define QUOTE_CERTIFICATES_MAX 32u

/* DER; begins as {0}. */
struct quote_certificates {
    size_t count;
    struct atls_span ders[QUOTE_CERTIFICATES_MAX];
    uint8_t *owned[QUOTE_CERTIFICATES_MAX]; /* the spans' octets */
};

/*
 * Add the certificates of a file: PEM, among whatever else PEM files carry, or
 * DER, one after the other. Clouds keep a DER certificate in TPM memory of a
 * fixed size: zeros may follow.
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_CHAIN_EMPTY (holds none), ATLS_E_MALFORMED
 * (something that is neither follows), ATLS_E_LIMIT, ATLS_E_NOMEM. Error queue as
 * found.
 */
enum atls_error tool_quote_certificates_read(
    const char *path, struct atls_reason *why,
    struct quote_certificates *certificates) ATLS_MUST_CHECK;

/* Free the copies; the list is empty then. */
void tool_quote_certificates_clear(struct quote_certificates *certificates);

/*
 * Make them anchors of trust, each by itself, as the policy key `trust` does.
 *   ret_store  X509_STORE_free() it
 * Returns ATLS_OK, ATLS_E_USAGE (one is no CA, or no certificate), ATLS_E_NOMEM.
 */
enum atls_error tool_quote_certificates_trust(
    const struct quote_certificates *certificates, struct atls_reason *why,
    X509_STORE **ret_store) ATLS_MUST_CHECK;

/* ---- public key ---- */

/*
 * An AK that is trusted as it is: SubjectPublicKeyInfo in PEM or DER, or what a
 * TPM says of its key, TPM2B_PUBLIC or TPMT_PUBLIC. Of the latter its attributes
 * are known: a key that is no AK is refused (catalogue E3).
 *   ret_key  EVP_PKEY_free() it
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_CONFIG (no public key), ATLS_E_AK_ATTRIBUTES,
 * ATLS_E_NOMEM. Error queue as found.
 */
enum atls_error tool_quote_key_read(const char *path, struct atls_reason *why,
                                    EVP_PKEY **ret_key) ATLS_MUST_CHECK;

/* ---- PCR values ---- */

/*
 * As tpm2_pcrread prints them, or JSON, {"bank": "sha256", "pcrs": {"0": "<hex>",
 * ...}} or an array of such. Banks that are not known here are passed over.
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_MALFORMED (with the line), ATLS_E_LIMIT.
 */
enum atls_error tool_quote_pcrs_read(const char *path, struct atls_reason *why,
                                     struct atls_pcr_values *ret_values)
    ATLS_MUST_CHECK;

/*
 * Divide values into those of a selection and the others.
 *   ret_ignored  banks and PCRs of the others; empty when there are none
 */
void tool_quote_pcrs_part(const struct atls_pcr_values *values,
                          const struct atls_pcr_selection *selection,
                          struct atls_pcr_values *ret_selected,
                          struct atls_pcr_selection *ret_ignored);

/* ---- logs ---- */

/* Paths; NULL: none. Files that are empty are logs without events. */
struct quote_logs {
    const char *boot;  /* the TCG's format, as firmware keeps it */
    const char *event; /* CEL-JSON: systemd's log or ours */
    const char *ima;   /* the kernel's, ascii or binary */
};

/* What the logs explain. */
struct quote_accounted {
    struct atls_pcr_selection pcrs; /* of boot and event log together */
    bool has_ima;
    size_t ima_count;   /* entries of the log */
    size_t ima_matched; /* so many of them were there when PCR 10 was quoted */
};

/*
 * Do logs replay to PCR values that were quoted? Boot and event log together must,
 * in each PCR of theirs and each bank that was quoted; a beginning of the IMA log
 * must, in PCR 10, which must have been quoted.
 * Returns ATLS_OK, ATLS_E_LOG_REPLAY (with the first event that diverges, where
 * that is known), ATLS_E_SELECTION, and the errors of reading and parsing.
 */
enum atls_error tool_quote_logs_check(
    const struct quote_logs *logs, const struct atls_pcr_values *values,
    struct atls_reason *why,
    struct quote_accounted *ret_accounted) ATLS_MUST_CHECK;

/* ---- the checks ---- */

/* Everything borrowed for the call. */
struct quote_input {
    struct atls_span quote;     /* TPMS_ATTEST, or TPM2B_ATTEST around it */
    struct atls_span signature; /* TPMT_SIGNATURE */
    /* Either the AK's chain, judged by the section, or its key: */
    const struct quote_certificates *chain;
    const struct atls_section *section;
    EVP_PKEY *key;
    const struct atls_pcr_values *values;
    struct atls_span extra_data; /* what the quote must carry */
    int64_t now;                 /* seconds since 1970 */
};

struct quote_result {
    EVP_PKEY *key; /* the AK; tool_quote_result_clear() frees it */
    char machine[ATLS_MACHINE_NAMES_MAX]; /* "" without a chain */
    struct atls_quote quote;
    uint16_t scheme; /* of the signature: TPM_ALG_ID */
    uint16_t hash;
    struct atls_pcr_values values; /* exactly those that were quoted */
    struct atls_pcr_selection ignored;
    struct quote_accounted accounted;
};

/*
 * Check chain or key, signature, magic, type, qualifying data, selection and PCR
 * digest, in this order: what is signed is not looked into before the signature
 * holds. PCR values are not judged, as there is no policy; but a quote of the
 * SHA-1 bank alone says nothing that counts (design, appraisal).
 *   ret_result  set only on success
 * Returns ATLS_OK and the errors of atls_trust_check(), atls_signature_parse(),
 * atls_signature_verify(), atls_quote_parse(), ATLS_E_MAGIC, ATLS_E_TYPE,
 * ATLS_E_BINDING, ATLS_E_SELECTION, ATLS_E_PCR_DIGEST.
 */
enum atls_error tool_quote_check(
    const struct quote_input *input, struct atls_reason *why,
    struct quote_result *ret_result) ATLS_MUST_CHECK;

/* Free what it owns. */
void tool_quote_result_clear(struct quote_result *result);

#endif
