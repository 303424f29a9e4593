/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_MEASURING_H
#define TEST_MEASURING_H

#include "attester/measure.h"
#include "lib/swtpm.h"
#include "base/span.h"

/*
 * What the tests of attester/measure.h share: a swtpm, a scratch folder, a TPM
 * connection, the PCR they use and the log "log" in the folder. Assertions are
 * Check's.
 */
#define MEASURING_PCR 15u

struct measuring_setup {
    struct swtpm *swtpm;
    struct atls_tpm *tpm;
};

extern struct measuring_setup measuring;

/* The set_up and tear_down of a case. */
void measuring_start(void);
void measuring_stop(void);

/* One content under a hold of the lock of its own: what atls_measuring_begin()
 * and atls_measuring_next() return. */
enum atls_error measuring_once(struct atls_tpm *tpm, const char *path,
                               unsigned pcr, const char *content,
                               unsigned wait_ms, struct atls_reason *why,
                               enum atls_measured *ret_done);

/* The same into a log of the scratch folder, one try for the lock; the
 * reason is in measuring_why. */
enum atls_error measuring_try(const char *log, const char *content,
                              enum atls_measured *ret_done);
extern struct atls_reason measuring_why;

/* It works, and this is what was done. */
void measuring_expect(const char *log, const char *content,
                      enum atls_measured done);

/* It fails like this, and changes neither log nor PCR. */
void measuring_expect_refusal(const char *log, const char *content,
                              enum atls_error code, const char *text);

/* The log holds exactly these contents (separated by "|") of MEASURING_PCR, it
 * replays to the PCR in every bank, and no write-ahead record is left. */
void measuring_expect_state(const char *log, const char *contents);

/* "WORD sha256:" and the hash of DER: the content of that certificate's event. */
void measuring_certificate_event(const char *word, struct atls_span der,
                                 char ret_event[128]);

/* A PCR in every active bank. */
void measuring_read_pcr(unsigned pcr, struct atls_pcr_values *ret_values);

/* Extend MEASURING_PCR in every bank, as measuring does, and log nothing. */
void measuring_extend(const char *content);

#endif
