/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/result.h"

#include <string.h>

void atls_report_init(struct atls_report *ret_report)
{
    memset(ret_report, 0, sizeof(*ret_report));
    ret_report->verdict = ATLS_E_INTERNAL;
    (void)atls_fail(&ret_report->reason, ATLS_E_INTERNAL, NULL);
}

void atls_report_clear(struct atls_report *report)
{
    atls_evidence_free(report->evidence);
    atls_report_init(report);
}

const char *atls_step_name(enum atls_step step)
{
    static const char *const names[ATLS_STEP_COUNT] = {
#define STEP_NAME(symbol, name, what) name,
        ATLS_STEPS(STEP_NAME)
#undef STEP_NAME
    };

    return (size_t)step < ATLS_STEP_COUNT ? names[step] : "";
}

const char *atls_step_what(enum atls_step step)
{
    static const char *const whats[ATLS_STEP_COUNT] = {
#define STEP_WHAT(symbol, name, what) what,
        ATLS_STEPS(STEP_WHAT)
#undef STEP_WHAT
    };

    return (size_t)step < ATLS_STEP_COUNT ? whats[step] : "";
}
