/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "evidence/bootlog.h"
#include "evidence/event_form.h"
#include "evidence/eventlog.h"
#include "tools/policy/writer.h"
#include "verifier/report.h"

#define BOOT_PCRS 0xffu
#define IMA_PCR 10u
/* Boot events that are listed above a PCR; some kinds occur tens of times. */
#define EVENTS_SHOWN 12u

/* ---- choices ---- */

static uint32_t evidence_mask(const struct atls_evidence *evidence,
                              uint16_t alg)
{
    for (size_t i = 0; i < evidence->pcrs.count; i++)
        if (evidence->pcrs.banks[i].alg == alg)
            return evidence->pcrs.banks[i].mask;
    return 0;
}

/* Read --pcrs; a list without a bank is of the bank chosen so far. */
static enum atls_error parse_pcrs(struct policy_writer *writer,
                                  const char *text)
{
    struct atls_pcr_selection selection;
    char with_bank[128];
    uint32_t missing;
    enum atls_error r;

    snprintf(with_bank, sizeof(with_bank), "%s%s%s",
             strchr(text, ':') == NULL ? writer->bank->name : "",
             strchr(text, ':') == NULL ? ":" : "", text);
    r = atls_pcr_selection_parse(with_bank, writer->why, &selection);
    if (r != ATLS_OK)
        return atls_fail(
            writer->why, ATLS_E_USAGE,
            "--pcrs %.60s: expected PCRs of one bank, such as 0-7,11", text);
    if (selection.count != 1 || selection.banks[0].alg == TPM2_ALG_SHA1)
        return atls_fail(writer->why, ATLS_E_USAGE,
                         "--pcrs %.60s: expected one bank, sha256, sha384 or "
                         "sha512",
                         text);
    writer->bank = atls_hash_by_alg(selection.banks[0].alg);
    writer->mask = selection.banks[0].mask;
    missing =
        writer->mask & ~evidence_mask(writer->evidence, writer->bank->alg);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++)
        if (missing >> pcr & 1u)
            return atls_fail(writer->why, ATLS_E_USAGE,
                             "--pcrs %.60s: PCR %u of bank %s is not in the "
                             "evidence; add it to pcrs on the attester",
                             text, pcr, writer->bank->name);
    return ATLS_OK;
}

/* The first bank of these that the evidence has: policies default to SHA-256. */
enum atls_error tool_policy_writer_choose(struct policy_writer *writer)
{
    static const uint16_t banks[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                     TPM2_ALG_SHA512};
    const struct atls_evidence *evidence = writer->evidence;

    for (size_t i = 0; i < sizeof(banks) / sizeof(banks[0]); i++)
        if (writer->bank == NULL && evidence_mask(evidence, banks[i]) != 0)
            writer->bank = atls_hash_by_alg(banks[i]);
    if (writer->bank == NULL)
        writer->bank = atls_hash_by_alg(TPM2_ALG_SHA256);
    if (writer->draft->pcrs != NULL)
        return parse_pcrs(writer, writer->draft->pcrs);
    writer->mask =
        evidence_mask(evidence, writer->bank->alg) & POLICY_DRAFT_PCRS;
    if (evidence->has_log)
        writer->mask &= ~(UINT32_C(1) << evidence->log_pcr);
    return ATLS_OK;
}

/* ---- PCRs ---- */

static void write_event(const struct policy_writer *writer,
                        const struct atls_boot_event *event)
{
    char type[64], about[160];

    atls_boot_event_type(event->type, type, sizeof(type));
    atls_boot_event_describe(event, about, sizeof(about));
    fprintf(writer->out, "#   %s%s%s\n", type, about[0] != '\0' ? "  " : "",
            about);
}

/* The events of a PCR as comments, so that a person knows what the value
 * means. The names are the log's claim: no digest need cover them. */
static void write_events(const struct policy_writer *writer, unsigned pcr)
{
    const struct atls_boot_log *log = &writer->evidence->boot_log;
    size_t count = 0;

    for (size_t i = 0; i < log->count; i++)
        if (log->events[i].pcr == pcr && count++ < EVENTS_SHOWN)
            write_event(writer, &log->events[i]);
    if (count > EVENTS_SHOWN)
        fprintf(writer->out, "#   ... and %zu more\n", count - EVENTS_SHOWN);
}

void tool_policy_writer_pcrs(const struct policy_writer *writer)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        const uint8_t *value =
            atls_pcr_value(&writer->evidence->pcrs, writer->bank->alg, pcr);

        if (value != NULL && pcr == IMA_PCR && writer->draft->pcrs == NULL)
            fputs("# PCR 10 is left out: IMA extends it with every file that "
                  "runs, so it is\n# different after each boot.\n",
                  writer->out);
        if (value == NULL || !(writer->mask >> pcr & 1u))
            continue;
        write_events(writer, pcr);
        atls_hex(value, writer->bank->len, hex);
        fprintf(writer->out, "pcr.%-7u = %s  # %s\n", pcr, hex,
                atls_pcr_name(pcr));
    }
}

bool tool_policy_writer_boot_is_zero(const struct policy_writer *writer)
{
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX];

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        const uint8_t *value =
            atls_pcr_value(&writer->evidence->pcrs, writer->bank->alg, pcr);

        if ((BOOT_PCRS >> pcr & 1u) != 0 && value != NULL
            && memcmp(value, zero, writer->bank->len) != 0)
            return false;
    }
    return (writer->mask & BOOT_PCRS) != 0;
}

/* ---- the measured log ---- */

/* Does an earlier event of the log have the same component or content?
 * with_digest compares the whole content. */
static bool is_repeated(const struct atls_evidence *evidence, size_t index,
                        bool with_digest)
{
    struct atls_event event, before;

    atls_event_parse(evidence->log[index], &event);
    for (size_t i = 0; i < index; i++) {
        atls_event_parse(evidence->log[i], &before);
        if (with_digest) {
            if (evidence->log[i].len == evidence->log[index].len
                && memcmp(evidence->log[i].data, evidence->log[index].data,
                          evidence->log[i].len)
                       == 0)
                return true;
        } else if (before.kind == event.kind
                   && strcmp(before.name, event.name) == 0) {
            return true;
        }
    }
    return false;
}

static void write_component(const struct policy_writer *writer, size_t first)
{
    const struct atls_evidence *evidence = writer->evidence;
    char hex[2 * ATLS_SHA256_LEN + 1];
    struct atls_event event, other;

    atls_event_parse(evidence->log[first], &event);
    fprintf(writer->out, "component.%s =", event.name);
    for (size_t i = first; i < evidence->log_count; i++) {
        atls_event_parse(evidence->log[i], &other);
        if (other.kind != ATLS_EVENT_COMPONENT
            || strcmp(other.name, event.name) != 0
            || is_repeated(evidence, i, true))
            continue;
        atls_hex(other.digest, sizeof(other.digest), hex);
        fprintf(writer->out, " sha256:%s", hex);
    }
    fputc('\n', writer->out);
}

void tool_policy_writer_components(const struct policy_writer *writer)
{
    const struct atls_evidence *evidence = writer->evidence;
    struct atls_event event;

    for (size_t i = 0; i < evidence->log_count; i++) {
        atls_event_parse(evidence->log[i], &event);
        if (event.kind == ATLS_EVENT_COMPONENT
            && !is_repeated(evidence, i, false))
            write_component(writer, i);
    }
}

static bool is_plain(int c)
{
    return c < 0x7f && c != '\0'
           && (isalnum(c) || strchr("._:@/=+-", c) != NULL);
}

/* The pattern of another content would be `*` alone, which matches any event;
 * one that looks like a component must be measured as one. They are left out,
 * and the new policy refuses evidence that has them. */
static bool has_pattern(struct atls_span content)
{
    char flaws[ATLS_EVENT_FLAWS_MAX];
    struct atls_event event;

    if (atls_event_resembles(content, &event, flaws))
        return false;
    for (size_t i = 0; i < content.len; i++) {
        if (is_plain(content.data[i]))
            return true;
    }
    return false;
}

/* A pattern for one content: spaces, commas and octets that are syntax become
 * `*`. */
static void write_pattern(const struct policy_writer *writer,
                          struct atls_span content)
{
    bool star = false;

    for (size_t i = 0; i < content.len; i++) {
        int c = content.data[i];
        bool plain = is_plain(c);

        if (plain || !star)
            fputc(plain ? c : '*', writer->out);
        star = !plain;
    }
}

void tool_policy_writer_log_rules(const struct policy_writer *writer)
{
    const struct atls_evidence *evidence = writer->evidence;
    struct atls_event event;
    unsigned others = 0;

    fprintf(writer->out,
            "\n# The measured log: what was loaded after the boot. "
            "Each of these must be there,\n# and nothing else.\n"
            "components  = listed\n");
    if (evidence->has_log && evidence->log_pcr != ATLS_MEASURE_PCR_DEFAULT)
        fprintf(writer->out, "measure_pcr = %u\n", evidence->log_pcr);
    for (size_t i = 0; i < evidence->log_count; i++) {
        atls_event_parse(evidence->log[i], &event);
        if (event.kind != ATLS_EVENT_OTHER || !has_pattern(evidence->log[i])
            || is_repeated(evidence, i, true))
            continue;
        fputs(others++ == 0 ? "events      = " : " ", writer->out);
        write_pattern(writer, evidence->log[i]);
    }
    if (others > 0)
        fputc('\n', writer->out);
}
