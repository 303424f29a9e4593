/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/draft.h"

#include <ctype.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "evidence/eventlog.h"
#include "verifier/certificate.h"
#include "verifier/machine.h"
#include "verifier/names.h"
#include "verifier/policy.h"

/* Octets of `machines` that are gathered. */
#define MACHINES_MAX 1024u

/* ---- what may stand in a policy ---- */

/* One host, no pattern; it may come from a file. */
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

static bool reference_is_legal(const struct policy_draft *draft,
                               const char *section)
{
    return draft->reference == NULL
           || (section_is_legal(draft->reference)
               && strcmp(draft->reference, section) != 0
               && strlen(draft->reference) < POLICY_DRAFT_SECTION_MAX);
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
    if (!reference_is_legal(draft, section))
        return atls_fail(
            why, ATLS_E_USAGE,
            "--reference %.80s: expected letters, digits, _ . - (and not "
            "policy, off, refuse or the name of the section)",
            draft->reference);
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

/* All names of the first kind that it has; the hash of the key always exists. */
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

/* Has the AK certificate the EKU that policies expect by default? */
static bool has_default_eku(const X509 *ak)
{
    EXTENDED_KEY_USAGE *ekus =
        X509_get_ext_d2i(ak, NID_ext_key_usage, NULL, NULL);
    bool found = false;
    char oid[64];

    for (int i = 0; i < sk_ASN1_OBJECT_num(ekus); i++) {
        OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(ekus, i), 1);
        found = found || strcmp(oid, ATLS_AK_EKU_DEFAULT) == 0;
    }
    EXTENDED_KEY_USAGE_free(ekus);
    return found;
}

/* A policy made from a boot log has no AK certificate; --machines is required. */
static enum atls_error write_machine(const struct policy_writer *writer)
{
    static const char *const kinds[] = {
        [ATLS_MACHINE_DNS] = "names in its AK certificate",
        [ATLS_MACHINE_GOOGLE] = "instance in its AK certificate",
        [ATLS_MACHINE_KEY] = "hash of its AK, which names nothing else"};
    struct machines machines = {.list = ""};
    const char *given = writer->draft->machines;
    X509 *ak = NULL;
    enum atls_error r;

    if (given != NULL)
        fprintf(writer->out, "machines    = %s  # as given\n", given);
    if (writer->evidence->chain_count == 0)
        return ATLS_OK;
    r = atls_certificate_parse(writer->evidence->chain[0], "the AK certificate",
                               writer->why, &ak);
    if (r != ATLS_OK)
        return r;
    if (given == NULL) {
        atls_machine_visit(ak, gather_machine, &machines);
        fprintf(writer->out, "machines    = %s  # %s\n", machines.list,
                kinds[machines.kind]);
    }
    if (!has_default_eku(ak))
        fprintf(writer->out, "ak_eku      = any  # its AK certificate does not "
                             "say " ATLS_AK_EKU_DEFAULT "\n");
    X509_free(ak);
    return ATLS_OK;
}

/* ---- the whole ---- */

static void write_origin(const struct policy_writer *writer, const char *form)
{
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm) != NULL)
        strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    fprintf(writer->out,
            writer->evidence->chain_count > 0
                ? "# %s%s showed on %s, written by `attest policy`; keys:\n"
                : "# %sthe boot log of %s says, %s, written by `attest "
                  "policy`; keys:\n",
            form, writer->draft->host, date);
    fputs("# attest-policy.cnf(5). It is as good as that machine was then: "
          "compare machines,\n# pcr.* and component.* with what you know from "
          "elsewhere.\n",
          writer->out);
}

static void write_head(const struct policy_writer *writer, const char *section)
{
    write_origin(writer, "What ");
    fprintf(writer->out,
            "\n[policy]\n"
            "servers     = %s\n"
            "otherwise   = off     # servers that no section names: not "
            "attested\n"
            "nameless    = refuse  # servers reached without any name\n",
            section);
}

static void write_bank(const struct policy_writer *writer)
{
    fprintf(writer->out,
            "\n# PCRs. Add the values of other good states to a line, after a "
            "blank. One that\n# is different after each boot can only be left "
            "out.\n"
            "bank        = %s\n",
            writer->bank->name);
    if (writer->evidence->boot_log.count > 0)
        fputs("# boot_log  = FILE  # a copy of its binary_bios_measurements: a "
              "mismatch then\n#                     names the event that "
              "differs\n",
              writer->out);
}

/* The lines of the section itself or, with reference, of the section that it
 * names. */
static void write_values(const struct policy_writer *writer)
{
    const struct policy_draft *draft = writer->draft;

    write_bank(writer);
    if (draft->reference == NULL)
        tool_policy_writer_pcrs(writer);
    else
        fprintf(writer->out, "reference   = %s\n", draft->reference);
    if (draft->allow_zero && tool_policy_writer_boot_is_zero(writer))
        fputs("allow_zero  = yes  # no firmware measures there\n", writer->out);
    tool_policy_writer_log_rules(writer);
    if (draft->reference != NULL) {
        fprintf(writer->out, "\n[%s]\n", draft->reference);
        tool_policy_writer_pcrs(writer);
    }
    tool_policy_writer_components(writer);
}

enum atls_error tool_policy_draft_write(
    const struct policy_draft *draft, const struct atls_evidence *evidence,
    struct atls_reason *why, FILE *out,
    char ret_section[POLICY_DRAFT_SECTION_MAX])
{
    struct policy_writer writer = {
        .draft = draft, .evidence = evidence, .why = why, .out = out};
    enum atls_error r;

    make_section_name(draft, ret_section);
    r = check_draft(draft, ret_section, why);
    if (r != ATLS_OK)
        return r;
    r = tool_policy_writer_choose(&writer);
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
    write_values(&writer);
    return ATLS_OK;
}

enum atls_error tool_policy_draft_write_reference(
    const struct policy_draft *draft, const struct atls_evidence *evidence,
    struct atls_reason *why, FILE *out)
{
    struct policy_writer writer = {
        .draft = draft, .evidence = evidence, .why = why, .out = out};
    enum atls_error r = tool_policy_writer_choose(&writer);

    if (r != ATLS_OK)
        return r;
    write_origin(&writer, "A good state: what ");
    fprintf(out,
            "#\n# It counts where a section for servers with bank = %s names "
            "it:\n#   reference = %s\n\n[%s]\n",
            writer.bank->name, draft->reference, draft->reference);
    tool_policy_writer_pcrs(&writer);
    tool_policy_writer_components(&writer);
    return ATLS_OK;
}

/* Facts that a person cannot read from the policy itself. */
static void compare_machine(const struct policy_draft *draft,
                            const struct atls_evidence *evidence,
                            void (*visit)(void *arg, const char *line),
                            void *arg)
{
    char subject[2 * ATLS_SUBJECT_MAX];
    char line[512];

    if (evidence->chain_count > 0) {
        atls_certificate_describe(evidence->chain[0], subject, sizeof(subject));
        snprintf(line, sizeof(line), "machine: is %s the machine you mean?",
                 subject);
    } else {
        snprintf(line, sizeof(line),
                 "log: nothing vouches for it; did it come from %s itself?",
                 draft->host);
    }
    visit(arg, line);
    snprintf(line, sizeof(line), "trust: did %s come from the issuer itself?",
             draft->trust);
    visit(arg, line);
}

void tool_policy_draft_compare(const struct policy_draft *draft,
                               const struct atls_evidence *evidence,
                               void (*visit)(void *arg, const char *line),
                               void *arg)
{
    unsigned components = 0;

    compare_machine(draft, evidence, visit, arg);
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
