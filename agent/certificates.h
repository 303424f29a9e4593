/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_CERTIFICATES_H
#define ATTEST_AGENT_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "digest.h"
#include "error.h"
#include "span.h"

/*
 * Which certificates stand in the measured log. A second line behind the rights
 * of those who ask: certificates are public. The log is read anew when it has
 * changed, without its lock: whoever may read systemd's could hold that for ever,
 * and a record says by itself whether it is whole.
 */
struct agent_certificates {
    const char *path; /* of the log; borrowed */
    unsigned pcr;
    /* Of what was read last: */
    bool is_known;
    struct stat st; /* all zero: there was no file */
    size_t count;
    uint8_t (*digests)[ATLS_SHA256_LEN];
};

/*
 * Was this certificate measured? The stand-in (evidence/binding.h) need not be.
 * Returns ATLS_OK; ATLS_E_CERTIFICATE_UNMEASURED with its digest and what to do;
 * ATLS_E_IO, ATLS_E_MALFORMED, ATLS_E_LIMIT, ATLS_E_CRYPTO, ATLS_E_NOMEM where
 * the log cannot be read and what was known of it does not have the certificate.
 * Source: doc/PROTOCOL.md, "Measured log".
 */
enum atls_error agent_certificates_check(
    struct agent_certificates *certificates, struct atls_span der,
    struct atls_reason *why) ATLS_MUST_CHECK;

void agent_certificates_clear(struct agent_certificates *certificates);

#endif
