/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/report.h"

#include <inttypes.h>
#include <string.h>

#include "base/digest.h"
#include "verifier/certificate.h"
#include "verifier/reference.h"
#include "verifier/report_private.h"

/* Marks are words, not symbols: they survive log files, C locales and screen
 * readers. Colour is added, never needed. */
#define GREEN "\033[32m"
#define RED "\033[1;31m"
#define DIM "\033[2m"
#define BOLD "\033[1m"
#define RESET "\033[0m"

/* Longest part of an event that is shown. */
#define EVENT_SHOWN_MAX 160u
/* How many acceptable values of a PCR are shown beside one that is not. */
#define EXPECTED_SHOWN_MAX 3u

struct page {
    FILE *out;
    bool colour;
};

static void put_start(const struct page *page, const char *colour)
{
    if (page->colour)
        (void)fputs(colour, page->out);
}

static void put_end(const struct page *page)
{
    put_start(page, RESET);
}

static void put_coloured(const struct page *page, const char *colour,
                         const char *text)
{
    put_start(page, colour);
    (void)fputs(text, page->out);
    put_end(page);
}

/* A peer's octets on a terminal: escape sequences and line feeds are shown, not
 * obeyed. */
static void put_escaped(const struct page *page, struct atls_span text,
                        size_t max)
{
    for (size_t i = 0; i < text.len && i < max; i++) {
        uint8_t octet = text.data[i];

        if (octet < ' ' || octet > '~' || octet == '\\')
            (void)fprintf(page->out, "\\x%02x", octet);
        else
            (void)fputc(octet, page->out);
    }
    if (text.len > max)
        (void)fputs("...", page->out);
}

static void put_escaped_string(const struct page *page, const char *text)
{
    const struct atls_span span = {(const uint8_t *)text, strlen(text)};

    put_escaped(page, span, span.len);
}

/* Printable already (error.h), and octets in it are escaped where it was made. */
static void put_reason(const struct page *page, const char *text)
{
    (void)fputs(text, page->out);
}

static void put_headline(const struct page *page,
                         const struct atls_report *report, const char *peer)
{
    (void)fputs("attest: ", page->out);
    put_escaped_string(page, peer != NULL ? peer : "the peer");
    if (report->verdict != ATLS_OK) {
        put_coloured(page, RED,
                     report->is_observed ? " WOULD BE REFUSED" : " REFUSED");
        (void)fputs(": ", page->out);
        put_reason(page, report->reason.text);
        (void)fputc('\n', page->out);
        return;
    }
    put_coloured(page, GREEN, " is trusted");
    (void)fputs(" (policy section ", page->out);
    put_escaped_string(page, report->section_name);
    if (report->reference != NULL) {
        (void)fputs(", reference ", page->out);
        put_escaped_string(page, report->reference->name);
    }
    (void)fputs(", machine ", page->out);
    put_escaped_string(page, report->machine);
    (void)fputs(")\n", page->out);
}

static void put_title(const struct page *page, const char *text)
{
    (void)fputc('\n', page->out);
    put_coloured(page, BOLD, text);
}

static void put_step(const struct page *page, const struct atls_report *report,
                     enum atls_step step, bool verbose)
{
    const char *reason = report->steps[step].reason.text;

    switch (report->steps[step].result) {
    case ATLS_STEP_PASSED:
        put_coloured(page, GREEN, "  ok    ");
        break;
    case ATLS_STEP_FAILED:
        put_coloured(page, RED, "  FAIL  ");
        break;
    case ATLS_STEP_NOT_DONE:
    case ATLS_STEP_NOT_ASKED:
        put_coloured(page, DIM, "  -     ");
        break;
    }
    (void)fprintf(page->out, "%-12s  %s", atls_step_name(step),
                  atls_step_what(step));
    if (report->steps[step].result == ATLS_STEP_NOT_DONE)
        put_coloured(page, DIM, " (not checked)");
    if (report->steps[step].result == ATLS_STEP_NOT_ASKED)
        put_coloured(page, DIM, " (not asked for)");
    (void)fputc('\n', page->out);
    if (report->steps[step].result != ATLS_STEP_FAILED)
        return;
    /* The first failure stands in the headline already. */
    if (verbose || strcmp(reason, report->reason.text) != 0) {
        (void)fprintf(page->out, "%22s", "");
        put_reason(page, reason);
        (void)fputc('\n', page->out);
    }
}

static void put_steps(const struct page *page, const struct atls_report *report,
                      bool verbose)
{
    if (verbose)
        put_title(page, "Checks\n");
    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        if (verbose || report->steps[i].result == ATLS_STEP_FAILED)
            put_step(page, report, (enum atls_step)i, verbose);
    }
}

static const char *standing(const struct atls_report *report,
                            enum atls_step last)
{
    return atls_report_is_proven(report, last)
               ? ""
               : " (claimed by the peer, NOT proven)";
}

static void put_pcr_hex(const struct page *page, const uint8_t *value,
                        size_t len)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];

    atls_hex(value, len, hex);
    (void)fprintf(page->out, "%s\n", hex);
}

/* A word of the same width each; what is wrong is in capitals. */
static void put_mark(const struct page *page, enum atls_mark mark)
{
    switch (mark) {
    case ATLS_MARK_NONE:
        put_coloured(page, DIM, "-         ");
        break;
    case ATLS_MARK_OK:
        put_coloured(page, GREEN, "ok        ");
        break;
    case ATLS_MARK_LOG:
        put_coloured(page, GREEN, "log       ");
        break;
    case ATLS_MARK_MISMATCH:
        put_coloured(page, RED, "MISMATCH  ");
        break;
    case ATLS_MARK_NOT_LISTED:
        put_coloured(page, RED, "UNLISTED  ");
        break;
    }
}

static void put_expected_pcrs(const struct page *page,
                              const struct atls_pcr_rule *rule, size_t len)
{
    size_t shown = 0;

    for (; shown < rule->count && shown < EXPECTED_SHOWN_MAX; shown++) {
        (void)fprintf(page->out, "%41s%-10s", "", "expected");
        put_pcr_hex(page, rule->values[shown], len);
    }
    if (shown < rule->count)
        (void)fprintf(page->out, "%41sor one of %zu others\n", "",
                      rule->count - shown);
}

static void put_pcr(const struct page *page, const struct atls_report *report,
                    const struct atls_section *section,
                    const struct atls_hash *hash, unsigned pcr,
                    enum atls_mark mark)
{
    const struct atls_pcr_rule *rules[2];
    size_t count = atls_report_expected(report, section, pcr, rules);

    (void)fprintf(page->out, "  %3u  %-32s  ", pcr, atls_pcr_name(pcr));
    put_mark(page, mark);
    put_pcr_hex(page, atls_pcr_value(&report->evidence->pcrs, hash->alg, pcr),
                hash->len);
    for (size_t i = 0; mark == ATLS_MARK_MISMATCH && i < count; i++)
        put_expected_pcrs(page, rules[i], hash->len);
}

static void put_pcrs(const struct page *page, const struct atls_report *report,
                     const struct atls_section *section,
                     const struct atls_report_marks *marks)
{
    const struct atls_pcr_values *values = &report->evidence->pcrs;

    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);
        bool judged = section == NULL || section->bank == values->banks[i].alg;

        if (hash == NULL)
            continue;
        put_title(page, "PCRs, bank ");
        (void)fprintf(page->out, "%s%s%s\n", hash->name,
                      standing(report, ATLS_STEP_DIGEST),
                      judged ? "" : ", not in the policy");
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if (atls_pcr_value(values, hash->alg, pcr) != NULL)
                put_pcr(page, report, judged ? section : NULL, hash, pcr,
                        judged ? marks->pcrs[pcr] : ATLS_MARK_NONE);
        }
    }
}

static void put_expected_digests(const struct page *page,
                                 const struct atls_component_rule *rule)
{
    char hex[2 * ATLS_SHA256_LEN + 1];

    for (size_t i = 0; rule != NULL && i < rule->count; i++) {
        if (i == EXPECTED_SHOWN_MAX) {
            (void)fprintf(page->out, "%17sor one of %zu others\n", "",
                          rule->count - i);
            return;
        }
        atls_hex(rule->digests[i], ATLS_SHA256_LEN, hex);
        (void)fprintf(page->out, "%17sexpected sha256:%s\n", "", hex);
    }
}

static enum atls_error put_missing(const struct atls_mismatch *mismatch,
                                   void *arg)
{
    const struct page *page = arg;

    if (mismatch->kind != ATLS_MISMATCH_COMPONENT_MISSING)
        return ATLS_OK;
    (void)fputs("    -  ", page->out);
    put_coloured(page, RED, "MISSING   ");
    (void)fprintf(page->out, "component %s\n", mismatch->component->name);
    put_expected_digests(page, mismatch->component);
    return ATLS_OK;
}

static void put_log(struct page *page, const struct atls_report *report,
                    const struct atls_section *section,
                    const struct atls_report_marks *marks)
{
    const struct atls_evidence *evidence = report->evidence;

    if (evidence->has_log) {
        put_title(page, "Measured log");
        (void)fprintf(page->out, " of PCR %u, %zu events%s\n",
                      evidence->log_pcr, evidence->log_count,
                      standing(report, ATLS_STEP_LOG));
    } else if (section != NULL && section->component_count > 0) {
        put_title(page, "Measured log: none was sent\n");
    }
    for (size_t i = 0; i < evidence->log_count; i++) {
        (void)fprintf(page->out, "  %3zu  ", i + 1);
        put_mark(page, (enum atls_mark)marks->events[i]);
        put_escaped(page, evidence->log[i], EVENT_SHOWN_MAX);
        (void)fputc('\n', page->out);
        put_expected_digests(page, marks->rules[i]);
    }
    if (section == NULL
        || atls_reference_visit(section, report->reference, evidence,
                                put_missing, page)
               != ATLS_OK)
        return; /* the visitor never ends it */
}

static void put_boot_event(const struct page *page,
                           const struct atls_boot_event *event)
{
    char type[ATLS_BOOT_TEXT_MAX];
    char what[ATLS_BOOT_TEXT_MAX];

    atls_boot_event_type(event->type, type, sizeof(type));
    atls_boot_event_describe(event, what, sizeof(what));
    (void)fprintf(page->out, "  %3u  %-34s  ", event->pcr, type);
    put_escaped_string(page, what);
    (void)fputc('\n', page->out);
}

/* Digests are in --json: here they would hide what a person looks for. */
static void put_boot_log(const struct page *page,
                         const struct atls_report *report)
{
    const struct atls_boot_log *log = &report->evidence->boot_log;

    if (!atls_evidence_has_boot_log(report->evidence))
        return;
    put_title(page, "Boot log");
    (void)fprintf(page->out,
                  ", %zu events%s; what an event is about, the log says\n",
                  log->count, standing(report, ATLS_STEP_LOG));
    for (size_t i = 0; i < log->count; i++)
        put_boot_event(page, &log->events[i]);
}

static void put_chain(const struct page *page, const struct atls_report *report)
{
    const struct atls_evidence *evidence = report->evidence;

    put_title(page, "AK chain");
    (void)fprintf(page->out, "%s\n", standing(report, ATLS_STEP_CHAIN));
    for (size_t i = 0; i < evidence->chain_count; i++) {
        char text[2 * ATLS_SUBJECT_MAX];

        atls_certificate_describe(evidence->chain[i], text, sizeof(text));
        (void)fputs(i == 0 ? "  AK   " : "  CA   ", page->out);
        put_escaped_string(page, text);
        (void)fputc('\n', page->out);
    }
}

/* A TPM can be reset alone and its PCRs be extended again from a good boot's
 * log; the counts are all there is to notice it by. */
static void put_tpm(const struct page *page, const struct atls_report *report)
{
    const struct atls_quote *quote = &report->quote;

    put_title(page, "TPM");
    (void)fprintf(page->out,
                  "%s\n  clock %" PRIu64 " s, resets %" PRIu32
                  ", restarts %" PRIu32 "%s, firmware %016" PRIx64 "\n",
                  standing(report, ATLS_STEP_SIGNATURE), quote->clock / 1000,
                  quote->reset_count, quote->restart_count,
                  quote->safe ? "" : " (clock not safe)",
                  quote->firmware_version);
}

static void put_tables(struct page *page, const struct atls_report *report,
                       const struct atls_section *section)
{
    struct atls_report_marks marks;

    if (report->evidence != NULL) {
        atls_report_mark(report, section, &marks);
        put_pcrs(page, report, section, &marks);
        put_log(page, report, section, &marks);
        put_boot_log(page, report);
        put_chain(page, report);
    }
    if (report->has_quote)
        put_tpm(page, report);
}

void atls_report_print(const struct atls_report *report, const char *peer,
                       const struct atls_section *section,
                       enum atls_report_style style, bool verbose, FILE *out)
{
    struct page page = {out, style == ATLS_REPORT_COLOUR};

    if (style == ATLS_REPORT_JSON) {
        atls_report_print_json(report, peer, section, true, verbose, out);
        return;
    }
    put_headline(&page, report, peer);
    put_steps(&page, report, verbose);
    if (verbose)
        put_tables(&page, report, section);
    if (report->verdict != ATLS_OK)
        (void)fprintf(out, "%snext: %s\n", verbose ? "\n" : "",
                      atls_report_advice(report->verdict));
}

void atls_report_print_unjudged(const struct atls_report *report,
                                const char *peer, enum atls_report_style style,
                                FILE *out)
{
    struct page page = {out, style == ATLS_REPORT_COLOUR};

    if (style == ATLS_REPORT_JSON) {
        atls_report_print_json(report, peer, NULL, false, true, out);
        return;
    }
    (void)fputs("attest: ", out);
    put_escaped_string(&page, peer != NULL ? peer : "the peer");
    put_coloured(&page, BOLD, " shown, not judged");
    (void)fputs(" (no policy asks for it)\n", out);
    put_steps(&page, report, true);
    put_tables(&page, report, NULL);
}
