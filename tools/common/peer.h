/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_PEER_H
#define ATTEST_TOOLS_COMMON_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "evidence/binding.h"
#include "base/span.h"

/* A peer's evidence, fetched over a TLS 1.3 connection of our own. The
 * connection has its own library context and reads no openssl.cnf: an attest
 * module that is active for the user's programs neither hides nor refuses the
 * evidence. */

#define PEER_PORT_DEFAULT "443"
#define PEER_TIMEOUT_DEFAULT_MS 5000u

/* HOST[:PORT], taken apart. */
struct peer_address {
    char host[256]; /* without brackets */
    char port[6];
    bool is_literal; /* an IPv4 or IPv6 address: no SNI (RFC 6066 §3) */
};

/*
 * Read "host", "host:port", "192.0.2.1:port", "[2001:db8::1]:port", "::1".
 * Returns ATLS_OK or ATLS_E_USAGE.
 */
enum atls_error tool_peer_address_parse(
    const char *text, struct atls_reason *why,
    struct peer_address *ret_address) ATLS_MUST_CHECK;

/* Evidence, live or from a file, and all that judging it needs. */
struct peer_evidence {
    enum atls_role role; /* of the sender */
    char *name;          /* what the peer was asked for as; NULL: not known */
    char *address;       /* numeric address it answered at; NULL: not known */
    uint8_t *cmw;        /* CMW record, 1 octet or more */
    size_t cmw_len;
    bool has_channel; /* else the binding cannot be checked */
    uint8_t channel[ATLS_CHANNEL_LEN];
    uint8_t *cert_der; /* the sender's TLS certificate; NULL: not known */
    size_t cert_len;
    int64_t time; /* of the connection, seconds since 1970; 0: not known */
    bool
        is_live; /* from tool_peer_fetch(); these are "" and false otherwise: */
    bool pki_valid;
    char pki[160]; /* "ok", or why chain or name of the certificate fail */
    char tls[96];  /* "TLSv1.3, cipher suite, group" */
};

/*
 * Connect, take the evidence, disconnect. No application data is sent. The
 * certificate's chain and name are checked and reported in pki, never enforced.
 *   cafile      PEM roots for that check; NULL: the system's
 *   timeout_ms  for connection and handshake together, from when the name is
 *               resolved: the resolver has deadlines of its own (resolv.conf)
 *   ret         set only on success; tool_peer_evidence_clear() it
 * Returns ATLS_OK, ATLS_E_NO_EVIDENCE (none sent; also when there was no
 * connection or no handshake to send it in), ATLS_E_VERSION (no TLS 1.3),
 * ATLS_E_MISPLACED, ATLS_E_MALFORMED (not an Attestation extension),
 * ATLS_E_CONFIG (unusable cafile), ATLS_E_NOMEM.
 */
enum atls_error tool_peer_fetch(const struct peer_address *address,
                                const char *cafile, unsigned timeout_ms,
                                struct atls_reason *why,
                                struct peer_evidence *ret) ATLS_MUST_CHECK;

/* What a port answers. */
enum peer_answer {
    PEER_EVIDENCE,    /* evidence */
    PEER_NO_EVIDENCE, /* TLS 1.3, but none */
    PEER_OLD_TLS,     /* TLS before 1.3 */
    PEER_ALERT,       /* TLS, broken off */
    PEER_NO_TLS       /* nothing, or something else */
};

/*
 * The same question to a port that may not speak TLS at all.
 *   ret  set only with PEER_EVIDENCE; tool_peer_evidence_clear() it
 * Returns what the port answers, with the reason in why.
 */
enum peer_answer tool_peer_ask(const struct peer_address *address,
                               unsigned timeout_ms, struct atls_reason *why,
                               struct peer_evidence *ret);

/*
 * The same without asking for evidence: what does the port show to other clients?
 *   ret  set only with PEER_NO_EVIDENCE: the connection and its certificate,
 *        without a record; tool_peer_evidence_clear() it
 */
enum peer_answer tool_peer_ask_plainly(const struct peer_address *address,
                                       unsigned timeout_ms,
                                       struct atls_reason *why,
                                       struct peer_evidence *ret);

/* Free what it owns; all zero then. */
void tool_peer_evidence_clear(struct peer_evidence *evidence);

#endif
