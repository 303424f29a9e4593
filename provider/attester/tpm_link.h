/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_LINK_H
#define ATLS_ATTESTER_TPM_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * A way to a TPM, at the level of octets: one command goes out, one response
 * comes back, by a deadline. Devices and swtpm are spoken to here, because
 * tpm2-tss 3.2.1's swtpm TCTI blocks for ever on a silent TPM (it ignores the
 * timeout of receive and offers no poll handle), its descriptors survive exec,
 * its writes raise SIGPIPE and a fork keeps its connection open; any other TCTI
 * is loaded with tctildr and is as punctual as it can be.
 */
struct atls_link;

/*
 * Is there a TCTI of this name? Nothing is opened but a library of tpm2-tss.
 * Returns ATLS_OK or ATLS_E_CONFIG.
 */
enum atls_error atls_link_check(const char *tcti,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Does opening it run no code but this library's: no library is loaded for it, no
 * program is run, no name of a host is looked up? So a TCTI that somebody else
 * wrote down can be tried with his rights.
 */
bool atls_link_is_plain(const char *tcti);

/*
 *   tcti      as of atls_tpm_open()
 *   ret_link  set only on success
 * Returns ATLS_OK, ATLS_E_TPM_UNAVAILABLE, ATLS_E_CONFIG, ATLS_E_NOMEM.
 */
enum atls_error atls_link_open(const char *tcti, struct atls_reason *why,
                               struct atls_link **ret_link) ATLS_MUST_CHECK;
void atls_link_close(struct atls_link *link); /* NULL is fine */

/* As of atls_tpm_set_deadline(). */
void atls_link_set_deadline(struct atls_link *link, int64_t deadline_ms,
                            int wake_fd);

/*
 * Send a command and receive its response.
 *   response  room for TPM2_MAX_RESPONSE_SIZE octets
 *   ret_len   at least a header (10 octets) and what the header says
 * Returns ATLS_OK, ATLS_E_TIMEOUT, ATLS_E_TPM_UNAVAILABLE (the connection
 * broke), ATLS_E_TPM (no TPM response).
 */
enum atls_error atls_link_exchange(struct atls_link *link,
                                   struct atls_span command, uint8_t *response,
                                   size_t *ret_len,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

/* Do nothing for a while. ATLS_OK, or ATLS_E_TIMEOUT when the deadline came or
 * the wake descriptor became readable. */
enum atls_error atls_link_pause(struct atls_link *link, unsigned pause_ms,
                                struct atls_reason *why) ATLS_MUST_CHECK;

#endif
