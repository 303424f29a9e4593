/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_BINDING_H
#define ATLS_EVIDENCE_BINDING_H

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/span.h"

/* Whose evidence it is; one octet on the wire. The label stops reflection. */
enum atls_role { ATLS_ROLE_SERVER = 's', ATLS_ROLE_CLIENT = 'c' };

/* Octets of a channel value; derived in tls/channel.h from the handshake. */
#define ATLS_CHANNEL_LEN 32u

/*
 * What stands for a certificate where there is none, as in a trial of the quoter:
 * no DER, so no TLS peer can ever show it, and nobody need measure it. Octets
 * without the terminator.
 */
#define ATLS_STAND_IN_CERTIFICATE "attest: in place of a certificate"

/*
 * binding = SHA-256("attest v1 live" || role || channel || SHA-256(cert))
 *   cert_der  the sender's end-entity certificate
 * ATLS_OK or ATLS_E_CRYPTO. Source: doc/PROTOCOL.md, "Binding".
 */
enum atls_error atls_binding_live(
    enum atls_role role, const uint8_t channel[ATLS_CHANNEL_LEN],
    struct atls_span cert_der,
    uint8_t ret_binding[ATLS_SHA256_LEN]) ATLS_MUST_CHECK;

/* SHA-256("attest v1 epoch" || role || time_be64 || SHA-256(cert)); same errors. */
enum atls_error atls_binding_epoch(
    enum atls_role role, uint64_t time, struct atls_span cert_der,
    uint8_t ret_binding[ATLS_SHA256_LEN]) ATLS_MUST_CHECK;

#endif
