/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_ERROR_H
#define ATLS_BASE_ERROR_H

#include "base/sentence.h"

/*
 * Exit statuses of the command; scripts and monitoring rely on them. Evidence that
 * does not hold by itself (decoding, signature, binding, replay) is NO_EVIDENCE; sound
 * evidence that the policy does not accept is REFUSED. Source: attest(1).
 */
enum atls_status {
    ATLS_STATUS_DONE = 0,        /* trusted, or done */
    ATLS_STATUS_REFUSED = 1,     /* refused by policy */
    ATLS_STATUS_USAGE = 2,       /* usage, configuration, files */
    ATLS_STATUS_NO_EVIDENCE = 3, /* no evidence, or invalid evidence */
    ATLS_STATUS_UNAVAILABLE = 4  /* TPM or agent unavailable */
};

/*
 * One error enum for all rooms. Codes are converted only at the edges: to
 * OpenSSL's 1/0 and an alert in tls/, to an exit status in tools/.
 *
 * X(symbol, name, TLS alert, exit status, generic sentence)
 *   name      stable, kebab-case; what JSON output and tests refer to
 *   alert     AlertDescription of RFC 8446 §6.2 that the peer is sent
 *   status    ATLS_STATUS_*, what the command exits with
 *   sentence  used where no detailed text is at hand
 */
#define ATLS_ERRORS(X)                                                         \
    X(NOMEM, "out-of-memory", 80, USAGE, "out of memory")                      \
    X(INTERNAL, "internal-error", 80, USAGE,                                   \
      "internal error of the attest provider")                                 \
    X(CRYPTO, "crypto-failed", 80, USAGE, "a cryptographic operation failed")  \
    X(CONFIG, "bad-configuration", 80, USAGE,                                  \
      "the attest configuration is invalid")                                   \
    X(POLICY, "bad-policy", 80, USAGE, "the attestation policy is invalid")    \
    X(USAGE, "usage", 80, USAGE, "wrong usage")                                \
    X(IO, "io-error", 80, USAGE, "a file could not be read or written")        \
    /* TLS gate */                                                             \
    X(NAMELESS, "nameless-peer", 80, REFUSED,                                  \
      "the peer has no name to find a policy")                                 \
    X(UNNAMED, "peer-not-named", 80, REFUSED,                                  \
      "no policy section names this peer")                                     \
    X(VERSION, "tls-version", 70, NO_EVIDENCE, "attestation needs TLS 1.3")    \
    X(RESUMED, "resumed-without-verdict", 40, NO_EVIDENCE,                     \
      "session resumed without an attestation verdict")                        \
    X(NO_CERTIFICATE, "no-certificate", 40, NO_EVIDENCE,                       \
      "the peer showed no certificate")                                        \
    X(NO_EVIDENCE, "no-evidence", 40, NO_EVIDENCE,                             \
      "the peer sent no attestation evidence")                                 \
    X(NO_CHANNEL, "no-channel-secret", 80, NO_EVIDENCE,                        \
      "the channel secret of this connection was not seen")                    \
    X(MISPLACED, "evidence-misplaced", 47, NO_EVIDENCE,                        \
      "evidence outside the first certificate entry")                          \
    X(REQUEST, "bad-request", 50, NO_EVIDENCE,                                 \
      "malformed attestation request")                                         \
    X(UNEXPECTED, "unexpected-state", 80, NO_EVIDENCE,                         \
      "handshake in an unexpected state")                                      \
    X(NO_VERDICT, "no-verdict", 80, NO_EVIDENCE, "the peer was not appraised") \
    X(EARLY_DATA, "early-data", 80, NO_EVIDENCE,                               \
      "early data needs an attestation verdict")                               \
    X(TOO_LARGE, "evidence-too-large", 80, NO_EVIDENCE,                        \
      "the evidence exceeds 48 KiB")                                           \
    /* decoding */                                                             \
    X(TRUNCATED, "truncated", 50, NO_EVIDENCE, "evidence ends too early")      \
    X(TRAILING, "trailing-octets", 50, NO_EVIDENCE,                            \
      "octets after the end of the evidence")                                  \
    X(MALFORMED, "malformed", 50, NO_EVIDENCE, "malformed evidence")           \
    X(LIMIT, "limit-exceeded", 50, NO_EVIDENCE, "evidence exceeds a limit")    \
    X(NOT_CANONICAL, "not-canonical", 50, NO_EVIDENCE,                         \
      "evidence is not in deterministic encoding")                             \
    X(FORMAT, "unknown-format", 50, NO_EVIDENCE, "unknown evidence format")    \
    /* AK chain */                                                             \
    X(CHAIN_EMPTY, "chain-empty", 42, NO_EVIDENCE,                             \
      "no AK certificate in the evidence")                                     \
    X(CHAIN_UNTRUSTED, "chain-untrusted", 48, REFUSED,                         \
      "the AK chain leads to no trusted root")                                 \
    X(CHAIN_EXPIRED, "chain-expired", 45, REFUSED,                             \
      "a certificate of the AK chain has expired")                             \
    X(CHAIN_NOT_YET, "chain-not-yet-valid", 45, REFUSED,                       \
      "a certificate of the AK chain is not valid yet")                        \
    X(CHAIN_USAGE, "chain-usage", 42, REFUSED,                                 \
      "a certificate of the AK chain must not be used like this")              \
    X(CHAIN_EKU, "chain-eku", 42, REFUSED,                                     \
      "the AK certificate lacks the extended key usage")                       \
    X(CHAIN_REVOKED, "chain-revoked", 44, REFUSED,                             \
      "the AK certificate is revoked")                                         \
    X(CHAIN_CRL, "chain-crl", 42, REFUSED,                                     \
      "the CRL of the AK chain cannot be used")                                \
    X(CHAIN_UNUSED, "chain-unused", 42, REFUSED,                               \
      "a certificate in the evidence is not part of the AK chain")             \
    X(MACHINE, "machine-not-named", 42, REFUSED,                               \
      "the AK certificate names no machine of the policy")                     \
    X(AK_ATTRIBUTES, "ak-attributes", 42, REFUSED,                             \
      "the AK is no restricted signing key of a TPM")                          \
    /* quote */                                                                \
    X(SIGNATURE_ALG, "signature-algorithm", 51, NO_EVIDENCE,                   \
      "the signature algorithm does not fit the AK")                           \
    X(SIGNATURE, "signature", 51, NO_EVIDENCE, "the AK's signature is wrong")  \
    X(MAGIC, "magic", 51, NO_EVIDENCE,                                         \
      "the signed structure was not made by a TPM")                            \
    X(TYPE, "attest-type", 51, NO_EVIDENCE,                                    \
      "the signed structure is not a quote")                                   \
    X(BINDING, "binding", 51, NO_EVIDENCE,                                     \
      "the evidence was made for another connection")                          \
    X(FRESHNESS, "freshness", 51, REFUSED, "the evidence is too old")          \
    X(SELECTION, "pcr-selection", 51, REFUSED,                                 \
      "the quote does not cover all PCRs")                                     \
    X(PCR_ZERO, "pcr-zero", 51, REFUSED, "PCRs 0-7 are all zero")              \
    X(PCR_DIGEST, "pcr-digest", 51, NO_EVIDENCE,                               \
      "PCR values are not those quoted")                                       \
    X(LOG_REPLAY, "log-replay", 51, NO_EVIDENCE,                               \
      "the log does not replay to the PCR")                                    \
    X(LOG_EVENT, "log-event", 51, REFUSED,                                     \
      "the log holds an event that is not listed")                             \
    X(LOG_FORM, "log-form", 51, REFUSED,                                       \
      "an event is a component's but for its form")                            \
    X(CERTIFICATE_UNMEASURED, "certificate-unmeasured", 51, REFUSED,           \
      "the TLS certificate is not in the measured log")                        \
    X(COMPONENT, "component", 51, REFUSED,                                     \
      "a component does not match policy")                                     \
    X(PCR_VALUE, "pcr-value", 51, REFUSED, "a PCR does not match policy")      \
    X(TLS_KEY, "tls-key", 51, REFUSED,                                         \
      "the TLS key is not proven to be in the TPM")                            \
    X(EXPIRED, "policy-expired", 80, REFUSED,                                  \
      "the attestation policy has expired")                                    \
    /* attester */                                                             \
    X(TPM, "tpm-failed", 80, UNAVAILABLE, "the TPM failed")                    \
    X(TPM_UNAVAILABLE, "tpm-unavailable", 80, UNAVAILABLE,                     \
      "the TPM cannot be reached")                                             \
    X(TPM_AUTH, "tpm-authorization", 80, UNAVAILABLE,                          \
      "the TPM refused authorization")                                         \
    X(AK, "ak-unusable", 80, UNAVAILABLE,                                      \
      "the attestation key cannot be used")                                    \
    X(TIMEOUT, "timeout", 80, UNAVAILABLE, "the TPM did not answer in time")   \
    X(QUEUE_FULL, "queue-full", 80, UNAVAILABLE,                               \
      "too many handshakes wait for a quote")                                  \
    X(PCR_UNSTABLE, "pcr-unstable", 80, UNAVAILABLE,                           \
      "PCRs change faster than quotes")                                        \
    X(NO_ATTESTER, "no-attester", 80, UNAVAILABLE,                             \
      "no attester is configured")                                             \
    X(LOG_BUSY, "log-busy", 80, UNAVAILABLE,                                   \
      "the measured log is locked by somebody")                                \
    X(LOG_MISMATCH, "log-mismatch", 80, NO_EVIDENCE,                           \
      "the measured log and the PCR do not agree")                             \
    X(LOG_UNREADABLE, "log-unreadable", 80, NO_EVIDENCE,                       \
      "the measured log cannot be read")                                       \
    /* agent */                                                                \
    X(AGENT_UNAVAILABLE, "agent-unavailable", 80, UNAVAILABLE,                 \
      "the agent cannot be reached")                                           \
    X(AGENT_PROTOCOL, "agent-protocol", 80, UNAVAILABLE,                       \
      "a malformed message between provider and agent")                        \
    X(NOT_ALLOWED, "not-allowed", 80, UNAVAILABLE,                             \
      "the agent does not serve this user")

enum atls_error {
    ATLS_OK = 0,
#define ATLS_ERROR_ENUM(symbol, name, alert, status, sentence) ATLS_E_##symbol,
    ATLS_ERRORS(ATLS_ERROR_ENUM)
#undef ATLS_ERROR_ENUM
        ATLS_E_COUNT
};

/* Octets with the NUL. Programs written by OpenSSL 3.0's manual keep 120 octets for
 * an error line, of which "error:418003E8:attest::" takes 24: siege overflows its
 * stack otherwise (design, fact 12). */
#define ATLS_BRIEF_SIZE 96
#define ATLS_REASON_MAX 512

/*
 * Why something was refused, as a user reads it. Plain value, no ownership.
 *   text   the whole sentence: log, report, agent, the error's data
 *   brief  its short form, which is what programs show: OpenSSL's reason string;
 *          empty where nobody wrote one: then the text is shortened
 */
struct atls_reason {
    enum atls_error code;
    char text[ATLS_REASON_MAX];
    char brief[ATLS_BRIEF_SIZE];
};

#define ATLS_MUST_CHECK __attribute__((warn_unused_result))

/*
 * Record a refusal and hand its code on: `return atls_fail(why, ...)`.
 *   why   overwritten; may be NULL when nobody reads the text
 *   code  not ATLS_OK
 *   fmt   what was expected, what was found; what to do: both sentences, as
 *         sentence.h has it; NULL for the generic sentence of the code. Octets of
 *         the peer that are not printable ASCII become '?', so that logs stay one
 *         line.
 * Returns code. Touches neither errno nor the OpenSSL error queue.
 */
enum atls_error atls_fail(struct atls_reason *why, enum atls_error code,
                          const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put words in front of a recorded reason, "policy.cnf:7: " and the like. Of a path
 * the brief form keeps the file's name only, where there is no room for more. */
void atls_reason_prefix(struct atls_reason *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Hand a reason on that was recorded elsewhere; why may be NULL. */
enum atls_error atls_fail_as(struct atls_reason *why,
                             const struct atls_reason *reason);

/* Static strings; never NULL, also for codes out of range. */
const char *atls_error_name(enum atls_error code);
const char *atls_error_sentence(enum atls_error code);

/* AlertDescription for the peer; internal_error (80) for codes out of range. */
int atls_error_alert(enum atls_error code);

/* Exit status of the command; ATLS_STATUS_USAGE for codes out of range. */
int atls_error_status(enum atls_error code);

#endif
