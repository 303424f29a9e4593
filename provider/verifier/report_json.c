/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/digest.h"
#include "verifier/certificate.h"
#include "verifier/reference.h"
#include "verifier/report_private.h"
#include "verifier/report_words.h"

/*
 * JSON (RFC 8259), by hand: the verifier links no JSON library. Octets outside
 * printable ASCII become \u00XX each, so that what a peer sent is always valid,
 * always one line, and can be told octet by octet.
 */
static void put_octets(struct atls_span text, FILE *out)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.data[i];

        if (octet < ' ' || octet > '~')
            (void)fprintf(out, "\\u00%02x", octet);
        else if (octet == '"' || octet == '\\')
            (void)fprintf(out, "\\%c", octet);
        else
            (void)fputc(octet, out);
    }
    (void)fputc('"', out);
}

static void put_string(const char *text, FILE *out)
{
    const struct atls_span span = {(const uint8_t *)text, strlen(text)};

    put_octets(span, out);
}

/* Elements of an array that somebody else calls for. */
struct json_list {
    FILE *out;
    const char *comma;
};

/* ,"name":"text", or null for NULL. Every member but the first has the comma. */
static void put_member(const char *name, const char *text, FILE *out)
{
    (void)fprintf(out, ",\"%s\":", name);
    if (text != NULL)
        put_string(text, out);
    else
        (void)fputs("null", out);
}

static void put_hex(const uint8_t *data, size_t len, FILE *out)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];

    atls_hex(data, len, hex);
    (void)fprintf(out, "\"%s\"", hex);
}

static void put_steps(const struct atls_report *report, FILE *out)
{
    static const char *const results[] = {
        [ATLS_STEP_NOT_DONE] = "not-done",
        [ATLS_STEP_FAILED] = "failed",
        [ATLS_STEP_PASSED] = "passed",
        [ATLS_STEP_NOT_ASKED] = "not-asked",
    };

    (void)fputs(",\"steps\":[", out);
    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        enum atls_step_result result = report->steps[i].result;

        (void)fprintf(out,
                      "%s{\"name\":\"%s\",\"what\":\"%s\",\"result\":\"%s\"",
                      i > 0 ? "," : "", atls_step_name((enum atls_step)i),
                      atls_step_what((enum atls_step)i), results[result]);
        if (result == ATLS_STEP_FAILED) {
            put_member("error", atls_error_name(report->steps[i].reason.code),
                       out);
            put_member("reason", report->steps[i].reason.text, out);
        }
        (void)fputc('}', out);
    }
    (void)fputc(']', out);
}

/* Numbers of 64 bits are strings: readers of JSON lose or refuse those beyond
 * 2^53 (RFC 8259 §6). */
static void put_quote(const struct atls_quote *quote, FILE *out)
{
    (void)fprintf(out,
                  ",\"quote\":{\"clock_ms\":\"%" PRIu64
                  "\",\"reset_count\":%" PRIu32 ",\"restart_count\":%" PRIu32
                  ",\"safe\":%s,\"firmware_version\":\"%016" PRIx64
                  "\",\"extra_data\":",
                  quote->clock, quote->reset_count, quote->restart_count,
                  quote->safe ? "true" : "false", quote->firmware_version);
    put_hex(quote->extra_data, quote->extra_data_len, out);
    (void)fputc('}', out);
}

static void put_bank(const struct atls_pcr_values *values,
                     const struct atls_hash *hash, FILE *out)
{
    const char *comma = "";

    (void)fprintf(out, "\"%s\":{", hash->name);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        const uint8_t *value = atls_pcr_value(values, hash->alg, pcr);

        if (value == NULL)
            continue;
        (void)fprintf(out, "%s\"%u\":", comma, pcr);
        put_hex(value, hash->len, out);
        comma = ",";
    }
    (void)fputc('}', out);
}

static void put_evidence(const struct atls_evidence *evidence, FILE *out)
{
    const char *comma = "";

    (void)fputs(",\"pcrs\":{", out);
    for (size_t i = 0; i < evidence->pcrs.count; i++) {
        const struct atls_hash *hash =
            atls_hash_by_alg(evidence->pcrs.banks[i].alg);

        if (hash == NULL)
            continue;
        (void)fputs(comma, out);
        put_bank(&evidence->pcrs, hash, out);
        comma = ",";
    }
    (void)fputs("},\"ak_chain\":[", out);
    for (size_t i = 0; i < evidence->chain_count; i++) {
        char text[2 * ATLS_SUBJECT_MAX];

        atls_certificate_describe(evidence->chain[i], text, sizeof(text));
        (void)fputs(i > 0 ? "," : "", out);
        put_string(text, out);
    }
    (void)fputc(']', out);
    if (!evidence->has_log)
        return;
    (void)fprintf(out, ",\"log\":{\"pcr\":%u,\"events\":[", evidence->log_pcr);
    for (size_t i = 0; i < evidence->log_count; i++) {
        (void)fputs(i > 0 ? "," : "", out);
        put_octets(evidence->log[i], out);
    }
    (void)fputs("]}", out);
}

/* ,"expected":["hex", ...] of PCR values. */
static void put_expected(const struct atls_pcr_rule *const *rules, size_t count,
                         size_t len, FILE *out)
{
    const char *comma = "";

    (void)fputs(",\"expected\":[", out);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < rules[i]->count; j++) {
            (void)fputs(comma, out);
            put_hex(rules[i]->values[j], len, out);
            comma = ",";
        }
    }
    (void)fputc(']', out);
}

static void put_pcr_row(const struct atls_report *report,
                        const struct atls_section *section,
                        const struct atls_hash *hash, unsigned pcr,
                        enum atls_mark mark, FILE *out)
{
    const struct atls_pcr_rule *rules[2];
    size_t count = atls_report_expected(report, section, pcr, rules);

    (void)fprintf(out, "{\"pcr\":%u,\"bank\":\"%s\",\"result\":\"%s\"", pcr,
                  hash->name, atls_mark_word(mark));
    put_member("name", atls_pcr_name(pcr), out);
    (void)fputs(",\"value\":", out);
    put_hex(atls_pcr_value(&report->evidence->pcrs, hash->alg, pcr), hash->len,
            out);
    put_expected(rules, count, hash->len, out);
    (void)fputc('}', out);
}

/* The banks that the section does not judge have neither marks nor expected
 * values. */
static void put_pcr_table(const struct atls_report *report,
                          const struct atls_section *section,
                          const struct atls_report_marks *marks, FILE *out)
{
    const struct atls_pcr_values *values = &report->evidence->pcrs;
    const char *comma = "";

    (void)fputs(",\"pcr_table\":[", out);
    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);
        bool judged =
            section != NULL && hash != NULL && section->bank == hash->alg;

        for (unsigned pcr = 0; hash != NULL && pcr < ATLS_PCR_COUNT; pcr++) {
            if (atls_pcr_value(values, hash->alg, pcr) == NULL)
                continue;
            (void)fputs(comma, out);
            put_pcr_row(report, judged ? section : NULL, hash, pcr,
                        judged || section == NULL ? marks->pcrs[pcr]
                                                  : ATLS_MARK_NONE,
                        out);
            comma = ",";
        }
    }
    (void)fputc(']', out);
}

static void put_event_row(struct atls_span content, enum atls_mark mark,
                          const struct atls_component_rule *rule, FILE *out)
{
    (void)fprintf(out, "{\"result\":\"%s\",\"content\":", atls_mark_word(mark));
    put_octets(content, out);
    (void)fputs(",\"expected\":[", out);
    for (size_t i = 0; rule != NULL && i < rule->count; i++) {
        char hex[2 * ATLS_SHA256_LEN + 1];

        atls_hex(rule->digests[i], ATLS_SHA256_LEN, hex);
        (void)fprintf(out, "%s\"sha256:%s\"", i > 0 ? "," : "", hex);
    }
    (void)fputs("]}", out);
}

static void put_event_table(const struct atls_report *report,
                            const struct atls_report_marks *marks, FILE *out)
{
    const struct atls_evidence *evidence = report->evidence;

    if (!evidence->has_log)
        return;
    (void)fputs(",\"event_table\":[", out);
    for (size_t i = 0; i < evidence->log_count; i++) {
        (void)fputs(i > 0 ? "," : "", out);
        put_event_row(evidence->log[i], (enum atls_mark)marks->events[i],
                      marks->rules[i], out);
    }
    (void)fputc(']', out);
}

static enum atls_error put_missing(const struct atls_mismatch *mismatch,
                                   void *arg)
{
    struct json_list *list = arg;

    if (mismatch->kind != ATLS_MISMATCH_COMPONENT_MISSING)
        return ATLS_OK;
    (void)fputs(list->comma, list->out);
    put_string(mismatch->component->name, list->out);
    list->comma = ",";
    return ATLS_OK;
}

/* Components that the policy names and the log lacks. */
static void put_missing_components(const struct atls_report *report,
                                   const struct atls_section *section,
                                   FILE *out)
{
    struct json_list list = {out, ""};

    if (section == NULL)
        return;
    (void)fputs(",\"missing\":[", out);
    /* The visitor never ends it. */
    if (atls_reference_visit(section, report->reference, report->evidence,
                             put_missing, &list)
        == ATLS_OK)
        (void)fputc(']', out);
}

/* With the digests of the bank that is judged, else of the last: the longest. */
static void put_boot_log(const struct atls_report *report,
                         const struct atls_section *section, FILE *out)
{
    const struct atls_evidence *evidence = report->evidence;
    const struct atls_boot_log *log = &evidence->boot_log;
    uint16_t alg = evidence->pcrs.banks[evidence->pcrs.count - 1].alg;
    const struct atls_hash *hash =
        atls_hash_by_alg(section != NULL ? section->bank : alg);

    if (!atls_evidence_has_boot_log(evidence) || hash == NULL)
        return;
    (void)fputs(",\"boot_log\":[", out);
    for (size_t i = 0; i < log->count; i++) {
        const uint8_t *digest =
            atls_boot_event_digest(&log->events[i], hash->alg);
        char text[ATLS_BOOT_TEXT_MAX];

        atls_boot_event_type(log->events[i].type, text, sizeof(text));
        (void)fprintf(out, "%s{\"pcr\":%u", i > 0 ? "," : "",
                      log->events[i].pcr);
        put_member("type", text, out);
        atls_boot_event_describe(&log->events[i], text, sizeof(text));
        put_member("what", text, out);
        put_member("bank", hash->name, out);
        (void)fputs(",\"digest\":", out);
        put_hex(digest, digest != NULL ? hash->len : 0, out);
        (void)fputc('}', out);
    }
    (void)fputc(']', out);
}

/* What is more than the peer's word. */
static void put_proven(const struct atls_report *report, FILE *out)
{
    static const struct {
        const char *name;
        enum atls_step last;
    } parts[] = {
        {"chain", ATLS_STEP_CHAIN},  {"quote", ATLS_STEP_SIGNATURE},
        {"pcrs", ATLS_STEP_DIGEST},  {"log", ATLS_STEP_LOG},
        {"boot_log", ATLS_STEP_LOG},
    };

    (void)fputs(",\"proven\":{", out);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        (void)fprintf(out, "%s\"%s\":%s", i > 0 ? "," : "", parts[i].name,
                      atls_report_is_proven(report, parts[i].last) ? "true"
                                                                   : "false");
    (void)fputc('}', out);
}

static void put_tables(const struct atls_report *report,
                       const struct atls_section *section, FILE *out)
{
    struct atls_report_marks marks;

    atls_report_mark(report, section, &marks);
    put_proven(report, out);
    put_pcr_table(report, section, &marks, out);
    put_event_table(report, &marks, out);
    put_missing_components(report, section, out);
    put_boot_log(report, section, out);
}

static const char *verdict_word(const struct atls_report *report, bool judged)
{
    if (!judged)
        return "none";
    return report->verdict == ATLS_OK ? "trusted" : "refused";
}

void atls_report_print_json(const struct atls_report *report, const char *peer,
                            const struct atls_section *section, bool judged,
                            bool verbose, FILE *out)
{
    (void)fprintf(out, "{\"verdict\":\"%s\"", verdict_word(report, judged));
    put_member("peer", peer, out);
    put_member("section", judged ? report->section_name : NULL, out);
    if (report->reference != NULL)
        put_member("reference", report->reference->name, out);
    put_member("machine", report->machine, out);
    if (judged && report->verdict != ATLS_OK) {
        put_member("error", atls_error_name(report->verdict), out);
        put_member("reason", report->reason.text, out);
        put_member("advice", atls_report_advice(report->verdict), out);
    }
    put_steps(report, out);
    if (verbose && report->has_quote)
        put_quote(&report->quote, out);
    if (verbose && report->evidence != NULL) {
        put_evidence(report->evidence, out);
        put_tables(report, section, out);
    }
    (void)fputs("}\n", out);
}
