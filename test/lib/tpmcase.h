/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_TPMCASE_H
#define ATTEST_TEST_TPMCASE_H

#include "attester/tpm.h"
#include "base/error.h"
#include "lib/swtpm.h"
#include "lib/tpmproxy.h"

/*
 * What the tests of attester/tpm.h share: a swtpm with an AK, and perhaps a
 * proxy before it, a connection to either, and what was returned last.
 * Assertions are Check's.
 */
struct tpmcase {
    struct swtpm *swtpm;
    struct tpmproxy *proxy; /* NULL at first */
    struct atls_tpm *tpm;   /* NULL at first */
    struct atls_reason why;
    struct atls_pcr_values values;
    struct atls_tpm_quote quote;
};

extern struct tpmcase tpmcase;

#define TPMCASE_PCRS "sha256:0-9,11-15"

/* The set_up and tear_down of a case. */
void tpmcase_set_up(void);
void tpmcase_tear_down(void);

/* It was this code and, unless ATLS_OK, a reason of one line that holds text. */
void tpmcase_expect(enum atls_error found, enum atls_error code,
                    const char *text);

/* Put a proxy before the swtpm and return its TCTI. */
const char *tpmcase_proxy(const struct tpmproxy_hooks *hooks);
const char *tpmcase_proxy_device(const struct tpmproxy_hooks *hooks);

/* Into tpmcase.tpm; loaded: with the AK at SWTPM_AK. */
void tpmcase_open(const char *tcti);
void tpmcase_open_loaded(const char *tcti);
void tpmcase_close(void);

struct atls_pcr_selection tpmcase_selection(const char *text);

/* Over a fixed nonce, into tpmcase. */
enum atls_error tpmcase_quote(void);
enum atls_error tpmcase_quote_consistent(const char *pcrs);

/* tpmcase.quote is the loaded AK's, over the nonce and tpmcase.values. */
void tpmcase_check_quote(const char *pcrs);

#endif
