/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_PUBLIC_H
#define ATLS_ATTESTER_TPM_PUBLIC_H

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/error.h"

/*
 * A TPM's public key as the DER SubjectPublicKeyInfo that a certificate for it
 * has (RFC 3279 §2.3.1, RFC 5480 §2). Written here octet by octet: no fetch and
 * no lock of OpenSSL in the quoter's thread, where a fork could catch it.
 *   ret_der  OPENSSL_free() it
 * Returns ATLS_OK, ATLS_E_AK (neither RSA nor ECC on P-256, P-384 or P-521),
 * ATLS_E_NOMEM.
 */
enum atls_error atls_tpm_public_to_spki(const TPMT_PUBLIC *public,
                                        struct atls_reason *why,
                                        uint8_t **ret_der,
                                        size_t *ret_len) ATLS_MUST_CHECK;

/*
 * Is the key an AK: one that signs nothing but what its TPM made, for ever, and
 * in no other TPM? Returns NULL, or a static text that says why not: "lacks the
 * attribute restricted: it signs whatever it is given". Pure.
 * Source: TPM 2.0 Library Part 1, "Object Attributes"; Part 2, TPMA_OBJECT.
 */
const char *atls_tpm_public_ak_flaw(const TPMT_PUBLIC *public);

#endif
