/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "digest.h"
#include "verifier/certificate.h"
#include "verifier/report_private.h"

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

        (void)fprintf(out, "%s{\"name\":\"%s\",\"result\":\"%s\"",
                      i > 0 ? "," : "", atls_step_name((enum atls_step)i),
                      results[result]);
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

static const char *verdict_word(const struct atls_report *report, bool judged)
{
    if (!judged)
        return "none";
    return report->verdict == ATLS_OK ? "trusted" : "refused";
}

void atls_report_print_json(const struct atls_report *report, const char *peer,
                            bool judged, bool verbose, FILE *out)
{
    (void)fprintf(out, "{\"verdict\":\"%s\"", verdict_word(report, judged));
    put_member("peer", peer, out);
    put_member("section", judged ? report->section_name : NULL, out);
    put_member("machine", report->machine, out);
    if (judged && report->verdict != ATLS_OK) {
        put_member("error", atls_error_name(report->verdict), out);
        put_member("reason", report->reason.text, out);
        put_member("advice", atls_report_advice(report->verdict), out);
    }
    put_steps(report, out);
    if (verbose && report->has_quote)
        put_quote(&report->quote, out);
    if (verbose && report->evidence != NULL)
        put_evidence(report->evidence, out);
    (void)fputs("}\n", out);
}
