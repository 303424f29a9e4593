/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_draft.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "digest.h"
#include "evidence/eventlog.h"
#include "verifier/certificate.h"
#include "verifier/machine.h"
#include "verifier/names.h"
#include "verifier/report.h"

#define BOOT_PCRS 0xffu
/* tcg-kp-AIKCertificate: what a policy expects unless it says otherwise. */
#define AK_EKU_DEFAULT "2.23.133.8.3"
/* Octets of `machines` that are gathered. */
#define MACHINES_MAX 1024u

/* What is being written and out of what. */
struct writer {
    const struct policy_draft *draft;
    const struct atls_evidence *evidence;
    struct atls_reason *why;
    FILE *out;
    const struct atls_hash *bank;
    uint32_t mask; /* of the PCRs to write */
};

/* ---- choices ---- */

static uint32_t evidence_mask(const struct atls_evidence *evidence,
                              uint16_t alg)
{
    for (size_t i = 0; i < evidence->pcrs.count; i++)
        if (evidence->pcrs.banks[i].alg == alg)
            return evidence->pcrs.banks[i].mask;
    return 0;
}

/* --pcrs, with the bank chosen so far where it names none. */
static enum atls_error parse_pcrs(struct writer *writer, const char *text)
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
static enum atls_error choose_pcrs(struct writer *writer)
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

/* ---- what may stand in a policy ---- */

/* One host, no pattern: it comes out of a file, perhaps. */
static bool is_one_host(const char *host)
{
    return strpbrk(host, "*/") == NULL && atls_name_pattern_is_legal(host);
}

/* Items of `machines`, as themselves and not as syntax. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("._:/*- ,", *text) == NULL)
            return false;
    return true;
}

static void make_section_name(const struct policy_draft *draft,
                              char ret[POLICY_DRAFT_SECTION_MAX])
{
    const char *wanted = draft->section != NULL ? draft->section : draft->host;

    snprintf(ret, POLICY_DRAFT_SECTION_MAX, "%.*s",
             (int)POLICY_DRAFT_SECTION_MAX - 1, wanted);
    for (char *p = ret; draft->section == NULL && *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("_.-", *p) == NULL)
            *p = '-';
}

static bool section_is_legal(const char *name)
{
    static const char *const taken[] = {"policy", "off", "refuse", ""};

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("_.-", *name) == NULL)
            return false;
    return true;
}

static enum atls_error check_draft(const struct policy_draft *draft,
                                   const char *section, struct atls_reason *why)
{
    if (!is_one_host(draft->host))
        return atls_fail(why, ATLS_E_USAGE,
                         "%.80s is no host name or address that a policy can "
                         "name",
                         draft->host);
    if (!section_is_legal(section)
        || (draft->section != NULL
            && strlen(draft->section) != strlen(section)))
        return atls_fail(
            why, ATLS_E_USAGE,
            "--name %.80s: expected letters, digits, _ . - (and not "
            "policy, off or refuse)",
            draft->section != NULL ? draft->section : section);
    if (strpbrk(draft->trust, "\"$\\\n\r") != NULL)
        return atls_fail(
            why, ATLS_E_USAGE,
            "%.80s: a policy cannot name a path with \" $ or \\ in "
            "it",
            draft->trust);
    if (draft->machines != NULL && !is_plain(draft->machines))
        return atls_fail(why, ATLS_E_USAGE,
                         "--machines %.80s: expected names, google:P/Z/I, "
                         "sha256:HEX or any",
                         draft->machines);
    return ATLS_OK;
}

/* ---- the AK certificate ---- */

struct machines {
    char list[MACHINES_MAX];
    enum atls_machine_kind kind; /* of what stands in the list */
    const char *what;
};

/* All names of the first kind there is; the hash of the key is always there. */
static bool gather_machine(void *arg, enum atls_machine_kind kind,
                           const char *name)
{
    struct machines *machines = arg;
    size_t len = strlen(machines->list);

    if (len > 0 && kind != machines->kind)
        return true;
    if (strlen(name) + len + 2 > sizeof(machines->list) || !is_plain(name)
        || strpbrk(name, " ,*") != NULL
        || (kind == ATLS_MACHINE_DNS && !atls_name_pattern_is_legal(name)))
        return false;
    machines->kind = kind;
    snprintf(machines->list + len, sizeof(machines->list) - len, "%s%s",
             len > 0 ? " " : "", name);
    return false;
}

/* Has the AK certificate the EKU that policies expect unless told otherwise? */
static bool has_default_eku(const X509 *ak)
{
    EXTENDED_KEY_USAGE *ekus =
        X509_get_ext_d2i(ak, NID_ext_key_usage, NULL, NULL);
    bool found = false;
    char oid[64];

    for (int i = 0; i < sk_ASN1_OBJECT_num(ekus); i++) {
        OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(ekus, i), 1);
        found = found || strcmp(oid, AK_EKU_DEFAULT) == 0;
    }
    EXTENDED_KEY_USAGE_free(ekus);
    return found;
}

static enum atls_error write_machine(const struct writer *writer)
{
    static const char *const kinds[] = {
        [ATLS_MACHINE_DNS] = "names in its AK certificate",
        [ATLS_MACHINE_GOOGLE] = "instance in its AK certificate",
        [ATLS_MACHINE_KEY] = "hash of its AK, which names nothing else"};
    struct machines machines = {.list = ""};
    const char *list = writer->draft->machines;
    X509 *ak = NULL;
    enum atls_error r = atls_certificate_parse(
        writer->evidence->chain[0], "the AK certificate", writer->why, &ak);

    if (r != ATLS_OK)
        return r;
    if (list == NULL) {
        atls_machine_visit(ak, gather_machine, &machines);
        list = machines.list;
    }
    fprintf(writer->out, "machines    = %s  # %s\n", list,
            writer->draft->machines != NULL ? "as given"
                                            : kinds[machines.kind]);
    if (!has_default_eku(ak))
        fprintf(writer->out, "ak_eku      = any  # its AK certificate does not "
                             "say " AK_EKU_DEFAULT "\n");
    X509_free(ak);
    return ATLS_OK;
}

/* ---- PCRs and log ---- */

static void write_pcrs(const struct writer *writer)
{
    char hex[2 * ATLS_PCR_DIGEST_MAX + 1];

    fprintf(writer->out,
            "\n# PCRs. Add the values of other good states to a line, after a "
            "blank. One that\n# is different after each boot can only be left "
            "out.\n"
            "bank        = %s\n",
            writer->bank->name);
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        const uint8_t *value =
            atls_pcr_value(&writer->evidence->pcrs, writer->bank->alg, pcr);

        if (value == NULL || !(writer->mask >> pcr & 1u))
            continue;
        atls_hex(value, writer->bank->len, hex);
        fprintf(writer->out, "pcr.%-7u = %s  # %s\n", pcr, hex,
                atls_pcr_name(pcr));
    }
}

/* Firmware that measured nothing must be allowed by a word of its own. */
static bool boot_pcrs_are_zero(const struct writer *writer)
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

/* Is the same component, or the same event, further up in the log? digest too
 * compares the whole content. */
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

static void write_component(const struct writer *writer, size_t first)
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

/* A pattern for one content: lists break at blanks and commas, and some octets
 * are syntax, so each of those becomes `*`. */
static void write_pattern(const struct writer *writer, struct atls_span content)
{
    bool star = false;

    for (size_t i = 0; i < content.len; i++) {
        int c = content.data[i];
        bool plain = c < 0x7f && (isalnum(c) || strchr("._:@/=+-", c) != NULL)
                     && c != '\0';

        if (plain || !star)
            fputc(plain ? c : '*', writer->out);
        star = !plain;
    }
}

static void write_log(const struct writer *writer)
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
        if (event.kind == ATLS_EVENT_COMPONENT
            && !is_repeated(evidence, i, false))
            write_component(writer, i);
    }
    for (size_t i = 0; i < evidence->log_count; i++) {
        atls_event_parse(evidence->log[i], &event);
        if (event.kind != ATLS_EVENT_OTHER || evidence->log[i].len == 0
            || is_repeated(evidence, i, true))
            continue;
        fputs(others++ == 0 ? "events      = " : " ", writer->out);
        write_pattern(writer, evidence->log[i]);
    }
    if (others > 0)
        fputc('\n', writer->out);
}

/* ---- the whole ---- */

static void write_head(const struct writer *writer, const char *section)
{
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm) != NULL)
        strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    fprintf(
        writer->out,
        "# What %s showed on %s, written by `attest policy`; keys:\n"
        "# attest-policy.cnf(5). It is as good as that machine was then: "
        "compare machines,\n# pcr.* and component.* with what you know from "
        "elsewhere.\n"
        "\n[policy]\n"
        "servers     = %s\n"
        "otherwise   = off     # servers that no section names: not "
        "attested\n"
        "nameless    = refuse  # servers reached without any name\n",
        writer->draft->host, date, section);
}

enum atls_error policy_draft_write(const struct policy_draft *draft,
                                   const struct atls_evidence *evidence,
                                   struct atls_reason *why, FILE *out,
                                   char ret_section[POLICY_DRAFT_SECTION_MAX])
{
    struct writer writer = {
        .draft = draft, .evidence = evidence, .why = why, .out = out};
    enum atls_error r;

    make_section_name(draft, ret_section);
    r = check_draft(draft, ret_section, why);
    if (r != ATLS_OK)
        return r;
    r = choose_pcrs(&writer);
    if (r != ATLS_OK)
        return r;
    write_head(&writer, ret_section);
    fprintf(out,
            "\n[%s]\n"
            "names       = %s\n"
            "mode        = require\n"
            "trust       = \"%s\"\n",
            ret_section, draft->host, draft->trust);
    r = write_machine(&writer);
    if (r != ATLS_OK)
        return r;
    fprintf(out,
            "certificate = %s  # how the TLS certificate must stand in the "
            "log\n",
            draft->certificate);
    write_pcrs(&writer);
    if (draft->allow_zero && boot_pcrs_are_zero(&writer))
        fprintf(out, "allow_zero  = yes  # no firmware measures there\n");
    write_log(&writer);
    return ATLS_OK;
}

void policy_draft_compare(const struct policy_draft *draft,
                          const struct atls_evidence *evidence,
                          void (*visit)(void *arg, const char *line), void *arg)
{
    char subject[2 * ATLS_SUBJECT_MAX];
    char line[512];
    unsigned components = 0;

    atls_certificate_describe(evidence->chain[0], subject, sizeof(subject));
    snprintf(line, sizeof(line), "machine: is %s the machine you mean?",
             subject);
    visit(arg, line);
    snprintf(line, sizeof(line), "trust: did %s come from the issuer itself?",
             draft->trust);
    visit(arg, line);
    visit(arg,
          "PCRs: are they those of a machine you set up yourself, or of the "
          "vendor's reference values?");
    for (size_t i = 0; i < evidence->log_count; i++) {
        struct atls_event event;

        atls_event_parse(evidence->log[i], &event);
        components += event.kind == ATLS_EVENT_COMPONENT;
    }
    if (components > 0)
        visit(arg,
              "components: are the digests those of what you built? (for a "
              "file: sha256sum)");
    else
        visit(arg,
              "components: none was measured; whatever runs there after the "
              "boot is not covered");
}
