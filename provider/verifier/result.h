/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_RESULT_H
#define ATLS_VERIFIER_RESULT_H

#include <stdbool.h>

#include "base/error.h"
#include "evidence/codec.h"
#include "evidence/quote.h"
#include "verifier/cache.h"
#include "verifier/policy.h"

/*
 * What comes of an appraisal: the attestation result (RFC 9334), with what became of
 * each step. Pure, thread-safe.
 */

/* The steps in order; ATLS_STEPS(X): X(symbol, name, what it checks). */
#define ATLS_STEPS(X)                                              \
    X(DECODE, "decode", "evidence is well-formed")                 \
    X(CHAIN, "ak-chain", "AK certificate leads to a trusted root") \
    X(SIGNATURE, "signature", "AK signed the quote")               \
    X(MAGIC, "magic", "made inside a TPM")                         \
    X(TYPE, "type", "is a quote")                                  \
    X(BINDING, "binding", "made for this connection")              \
    X(FRESHNESS, "freshness", "fresh enough")                      \
    X(SELECTION, "selection", "covers every PCR that counts")      \
    X(DIGEST, "pcr-digest", "PCR values are the quoted ones")      \
    X(LOG, "log", "measured log replays to its PCR")               \
    X(CERTIFICATE, "certificate", "TLS certificate was measured")  \
    X(COMPONENTS, "components", "components are the listed ones")  \
    X(PCRS, "pcr-values", "PCR values are the listed ones")        \
    X(TLS_KEY, "tls-key", "TLS key lives in this TPM")

enum atls_step {
#define ATLS_STEP_ENUM(symbol, name, what) ATLS_STEP_##symbol,
    ATLS_STEPS(ATLS_STEP_ENUM)
#undef ATLS_STEP_ENUM
        ATLS_STEP_COUNT
};

const char *atls_step_name(enum atls_step step);
const char *atls_step_what(enum atls_step step);

enum atls_step_result {
    ATLS_STEP_NOT_DONE,
    ATLS_STEP_FAILED,
    ATLS_STEP_PASSED,
    ATLS_STEP_NOT_ASKED /* the policy demands nothing here: not proven, and no
                           ground for refusal */
};

/* What was found. Holds copies where it must outlive the call, but evidence
 * points into the cmw that was given. */
struct atls_report {
    enum atls_error verdict;   /* ATLS_OK: trusted; starts as refusal */
    struct atls_reason reason; /* of the first failed step */
    bool
        is_observed; /* for texts: who is not trusted is let through all the same;
                         not set here */
    struct {
        enum atls_step_result result;
        struct atls_reason reason; /* when failed */
    } steps[ATLS_STEP_COUNT];
    const char *section_name; /* borrowed from the section */
    /* The section's reference that matched, or, with a refusal, comes nearest;
     * NULL: the section has none, or it did not come to that. Borrowed. */
    const struct atls_reference *reference;
    bool has_quote; /* quote below was parsed */
    struct atls_quote quote;
    struct atls_evidence *evidence;       /* NULL until decoded; owned */
    char machine[ATLS_MACHINE_NAMES_MAX]; /* names of the AK certificate; ""
                                             until its chain was accepted */
};

/* A refusal, of which nothing is known yet. */
void atls_report_init(struct atls_report *ret_report);

/* Free what it holds; then it is as of atls_report_init(). */
void atls_report_clear(struct atls_report *report);

#endif
