/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/report.h"

#include <inttypes.h>
#include <string.h>

#include "digest.h"
#include "verifier/certificate.h"
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

static void put_headline(const struct page *page,
                         const struct atls_report *report, const char *peer)
{
    (void)fputs("attest: ", page->out);
    put_escaped_string(page, peer != NULL ? peer : "the peer");
    if (report->verdict != ATLS_OK) {
        put_coloured(page, RED, " REFUSED");
        (void)fputs(": ", page->out);
        put_escaped_string(page, report->reason.text);
        (void)fputc('\n', page->out);
        return;
    }
    put_coloured(page, GREEN, " is trusted");
    (void)fputs(" (policy section ", page->out);
    put_escaped_string(page, report->section_name);
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
        put_escaped_string(page, reason);
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

/* Until the digest in the signed quote was compared, anybody may have written
 * the values; until the replay, the log. */
static const char *standing(const struct atls_report *report,
                            enum atls_step last)
{
    for (unsigned i = 0; i <= (unsigned)last; i++) {
        enum atls_step_result result = report->steps[i].result;

        if (result != ATLS_STEP_PASSED && result != ATLS_STEP_NOT_ASKED)
            return " (claimed by the peer, NOT proven)";
    }
    return "";
}

static bool is_expected(const struct atls_pcr_rule *rule, const uint8_t *value,
                        size_t len)
{
    for (size_t i = 0; i < rule->count; i++) {
        if (memcmp(rule->values[i], value, len) == 0)
            return true;
    }
    return false;
}

static void put_pcr_hex(const struct page *page, const uint8_t *value,
                        size_t len)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];

    atls_hex(value, len, hex);
    (void)fprintf(page->out, "%s\n", hex);
}

static void put_pcr(const struct page *page, unsigned pcr, const uint8_t *value,
                    size_t len, const struct atls_pcr_rule *rule)
{
    size_t shown = 0;

    (void)fprintf(page->out, "  %3u  %-32s  ", pcr, atls_pcr_name(pcr));
    if (rule == NULL || rule->count == 0) {
        put_coloured(page, DIM, "-         ");
        put_pcr_hex(page, value, len);
        return;
    }
    if (is_expected(rule, value, len)) {
        put_coloured(page, GREEN, "ok        ");
        put_pcr_hex(page, value, len);
        return;
    }
    put_coloured(page, RED, "MISMATCH  ");
    put_pcr_hex(page, value, len);
    for (; shown < rule->count && shown < EXPECTED_SHOWN_MAX; shown++) {
        (void)fprintf(page->out, "%41s%-10s", "", "expected");
        put_pcr_hex(page, rule->values[shown], len);
    }
    if (shown < rule->count)
        (void)fprintf(page->out, "%41sor one of %zu others\n", "",
                      rule->count - shown);
}

static void put_pcrs(const struct page *page, const struct atls_report *report,
                     const struct atls_section *section)
{
    const struct atls_pcr_values *values = &report->evidence->pcrs;

    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);
        bool judged = section != NULL && section->bank == values->banks[i].alg;

        if (hash == NULL)
            continue;
        put_title(page, "PCRs, bank ");
        (void)fprintf(page->out, "%s%s%s\n", hash->name,
                      standing(report, ATLS_STEP_DIGEST),
                      judged || section == NULL ? "" : ", not in the policy");
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            const uint8_t *value = atls_pcr_value(values, hash->alg, pcr);

            if (value != NULL)
                put_pcr(page, pcr, value, hash->len,
                        judged ? &section->pcrs[pcr] : NULL);
        }
    }
}

static void put_log(const struct page *page, const struct atls_report *report)
{
    const struct atls_evidence *evidence = report->evidence;

    if (!evidence->has_log)
        return;
    put_title(page, "Measured log");
    (void)fprintf(page->out, " of PCR %u, %zu events%s\n", evidence->log_pcr,
                  evidence->log_count, standing(report, ATLS_STEP_LOG));
    for (size_t i = 0; i < evidence->log_count; i++) {
        (void)fprintf(page->out, "  %3zu  ", i + 1);
        put_escaped(page, evidence->log[i], EVENT_SHOWN_MAX);
        (void)fputc('\n', page->out);
    }
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

static void put_tables(const struct page *page,
                       const struct atls_report *report,
                       const struct atls_section *section)
{
    if (report->evidence != NULL) {
        put_pcrs(page, report, section);
        put_log(page, report);
        put_chain(page, report);
    }
    if (report->has_quote)
        put_tpm(page, report);
}

void atls_report_print(const struct atls_report *report, const char *peer,
                       const struct atls_section *section,
                       enum atls_report_style style, bool verbose, FILE *out)
{
    const struct page page = {out, style == ATLS_REPORT_COLOUR};

    if (style == ATLS_REPORT_JSON) {
        atls_report_print_json(report, peer, true, verbose, out);
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
    const struct page page = {out, style == ATLS_REPORT_COLOUR};

    if (style == ATLS_REPORT_JSON) {
        atls_report_print_json(report, peer, false, true, out);
        return;
    }
    (void)fputs("attest: ", out);
    put_escaped_string(&page, peer != NULL ? peer : "the peer");
    put_coloured(&page, BOLD, " shown, not judged");
    (void)fputs(" (no policy given)\n", out);
    put_steps(&page, report, true);
    put_tables(&page, report, NULL);
}
