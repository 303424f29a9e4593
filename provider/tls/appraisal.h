/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_APPRAISAL_H
#define ATLS_TLS_APPRAISAL_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "tls/state.h"

/*
 * The gate's decision about a server, by the policy of this handshake. Called when
 * certificate and CertificateVerify are there; the evidence was kept unread, or never
 * came. Writes log and report, gives the verdict, takes the lock off, and forgets the
 * evidence, which counts once.
 * Returns ATLS_OK under observe and off whatever it finds. Else as of atls_appraise(),
 * or ATLS_E_NO_EVIDENCE, ATLS_E_NO_CHANNEL, ATLS_E_NO_CERTIFICATE, ATLS_E_UNNAMED,
 * ATLS_E_NOMEM.
 */
enum atls_error atls_appraisal_decide(struct atls_connection *connection,
                                      const SSL *s,
                                      struct atls_reason *why) ATLS_MUST_CHECK;

#endif
