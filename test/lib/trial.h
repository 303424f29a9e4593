/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_TRIAL_H
#define ATLS_TEST_TRIAL_H

#include "base/error.h"
#include "lib/factory.h"
#include "verifier/appraise.h"

/*
 * Evidence of the factory before the appraisal, with Check's assertions:
 *
 *     trial_begin(&t);              a valid plan in t.f
 *     t.f.type = ...;
 *     trial_make(&t);               product, and a section that it satisfies
 *     t.section->bank = ...;
 *     trial_refused(&t, ATLS_STEP_TYPE, ATLS_E_TYPE, "found 0x8017");
 *     trial_end(&t);
 */
struct trial {
    struct factory f;
    struct atls_section *section;
    /* What the verifier believes; trial_make() sets it from the plan. */
    enum atls_role role;
    uint8_t channel[ATLS_CHANNEL_LEN];
    bool has_channel;
    struct atls_span cert_der;
    int64_t now;
    bool check_all;
    const struct atls_formats *asked; /* [NULL] */
    struct atls_report report;        /* of the last run */
    struct atls_reason why;           /* of the last trial_chain() */
    char machine[ATLS_MACHINE_NAMES_MAX];
};

/* The step of loops over every bit and every allocation: $ATTEST_TEST_STRIDE
 * where a run under valgrind would take too long, a prime best; else 1. */
size_t trial_stride(void);

void trial_begin(struct trial *t);
void trial_make(struct trial *t);
void trial_end(struct trial *t);

/* Encode t->f.evidence and appraise. */
enum atls_error trial_run(struct trial *t);

/* Appraise these octets instead. */
enum atls_error trial_run_octets(struct trial *t, const uint8_t *cmw,
                                 size_t len);

/* Run, and assert that everything passed. */
void trial_trusted(struct trial *t);

/* Run, and assert: refused with this code in this step, for a reason that holds
 * this text, and no step after it was made. */
void trial_refused(struct trial *t, enum atls_step step, enum atls_error code,
                   const char *text);

/* The same of a run that was made already. */
void trial_was_refused(const struct trial *t, enum atls_step step,
                       enum atls_error code, const char *text);

/* --- the AK chain alone ---------------------------------------------------- */

/* Check these certificates against t->section. */
enum atls_error trial_chain(struct trial *t, const struct atls_span *chain,
                            size_t count, int64_t now);

/* Check t->f.evidence's chain at FACTORY_NOW. */
void trial_chain_trusted(struct trial *t);
void trial_chain_refused(struct trial *t, enum atls_error code,
                         const char *text);

/* Assert the same of a check that was made already. */
void trial_chain_was_trusted(const struct trial *t);
void trial_chain_was_refused(const struct trial *t, enum atls_error code,
                             const char *text);

#endif
