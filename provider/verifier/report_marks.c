/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/report_private.h"

#include <string.h>

#include "verifier/reference.h"

const char *atls_mark_word(enum atls_mark mark)
{
    static const char *const words[] = {
        [ATLS_MARK_NONE] = "-",
        [ATLS_MARK_OK] = "ok",
        [ATLS_MARK_LOG] = "log",
        [ATLS_MARK_MISMATCH] = "mismatch",
        [ATLS_MARK_NOT_LISTED] = "not-listed",
    };

    return words[mark];
}

bool atls_report_is_proven(const struct atls_report *report,
                           enum atls_step last)
{
    for (unsigned i = 0; i <= (unsigned)last; i++) {
        enum atls_step_result result = report->steps[i].result;

        if (result != ATLS_STEP_PASSED && result != ATLS_STEP_NOT_ASKED)
            return false;
    }
    return true;
}

/* What the visitor fills: the report keeps marks, the log's events are found
 * again by where they stand. */
struct marking {
    const struct atls_evidence *evidence;
    struct atls_report_marks *marks;
};

static void mark_event(const struct marking *marking,
                       const struct atls_mismatch *mismatch,
                       enum atls_mark mark)
{
    const struct atls_evidence *evidence = marking->evidence;

    for (size_t i = 0; i < evidence->log_count; i++) {
        if (evidence->log[i].data != mismatch->event.data
            || evidence->log[i].len != mismatch->event.len)
            continue;
        marking->marks->events[i] = (uint8_t)mark;
        marking->marks->rules[i] = mismatch->component;
    }
}

static enum atls_error mark_mismatch(const struct atls_mismatch *mismatch,
                                     void *arg)
{
    const struct marking *marking = arg;

    switch (mismatch->kind) {
    case ATLS_MISMATCH_COMPONENT:
        mark_event(marking, mismatch, ATLS_MARK_MISMATCH);
        break;
    case ATLS_MISMATCH_COMPONENT_UNLISTED:
    case ATLS_MISMATCH_EVENT_UNLISTED:
        mark_event(marking, mismatch, ATLS_MARK_NOT_LISTED);
        break;
    case ATLS_MISMATCH_PCR:
        marking->marks->pcrs[mismatch->pcr] = ATLS_MARK_MISMATCH;
        break;
    case ATLS_MISMATCH_PCR_ZERO:
    case ATLS_MISMATCH_COMPONENT_MISSING:
        break;
    }
    return ATLS_OK;
}

static bool is_listed(const struct atls_section *section,
                      const struct atls_reference *reference, unsigned pcr)
{
    return section->pcrs[pcr].count > 0
           || (reference != NULL && reference->pcrs[pcr].count > 0);
}

static bool has_passed(const struct atls_report *report, enum atls_step step)
{
    return report->steps[step].result == ATLS_STEP_PASSED;
}

/* PCRs whose value a log that was replayed accounts for. */
static uint32_t logged_pcrs(const struct atls_report *report)
{
    const struct atls_evidence *evidence = report->evidence;
    uint32_t mask = 0;

    if (!has_passed(report, ATLS_STEP_LOG))
        return 0;
    if (evidence->has_log)
        mask |= UINT32_C(1) << evidence->log_pcr;
    for (size_t i = 0; i < evidence->boot_log.count; i++)
        mask |= UINT32_C(1) << evidence->boot_log.events[i].pcr;
    return mask;
}

void atls_report_mark(const struct atls_report *report,
                      const struct atls_section *section,
                      struct atls_report_marks *ret_marks)
{
    const struct atls_evidence *evidence = report->evidence;
    struct marking marking = {evidence, ret_marks};
    uint32_t logged = logged_pcrs(report);

    memset(ret_marks, 0, sizeof(*ret_marks));
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (section != NULL && is_listed(section, report->reference, pcr))
            ret_marks->pcrs[pcr] = ATLS_MARK_OK;
        else if ((logged >> pcr & 1) != 0)
            ret_marks->pcrs[pcr] = ATLS_MARK_LOG;
    }
    if (section == NULL)
        return;
    for (size_t i = 0; i < evidence->log_count; i++)
        ret_marks->events[i] = ATLS_MARK_OK;
    /* The visitor never ends it. */
    if (atls_reference_visit(section, report->reference, evidence,
                             mark_mismatch, &marking)
        != ATLS_OK)
        memset(ret_marks, 0, sizeof(*ret_marks));
}

size_t atls_report_expected(const struct atls_report *report,
                            const struct atls_section *section, unsigned pcr,
                            const struct atls_pcr_rule *ret_rules[2])
{
    size_t count = 0;

    if (section == NULL)
        return 0;
    if (section->pcrs[pcr].count > 0)
        ret_rules[count++] = &section->pcrs[pcr];
    if (report->reference != NULL && report->reference->pcrs[pcr].count > 0)
        ret_rules[count++] = &report->reference->pcrs[pcr];
    return count;
}
