/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "tools/common/inspect.h"
#include "tools/show/html.h"
#include "tools/common/evidence_file.h"
#include "tools/common/sections.h"
#include "tools/common/source.h"
#include "tools/common/term.h"
#include "tools/common/tool.h"
#include "verifier/appraise.h"
#include "verifier/certificate.h"
#include "verifier/report.h"
#include "verifier/trust.h"

static const char help[] =
    "Usage: attest show HOST[:PORT] | FILE [--policy FILE [--section NAME]]\n"
    "                   [--save FILE] [--html FILE] [--cafile FILE]\n"
    "                   [--timeout SECONDS] [--json]\n"
    "Shows the attestation evidence of a server, or evidence saved before: "
    "the\n"
    "checks, PCR values, measured log, AK certificates. With a policy it "
    "judges,\n"
    "as a program with that policy would; without one it only shows.\n"
    "\n"
    "  --policy FILE      judge against this policy\n"
    "  --section NAME     and against this section, not the one for the name\n"
    "  --save FILE        write the evidence to a file (JSON)\n"
    "  --html FILE        write the report as one HTML file, too\n"
    "  --cafile FILE      PEM roots for the TLS certificate (reported only)\n"
    "  --timeout SECONDS  for connection and handshake (1..600, default 5)\n"
    "\n"
    "Exit status: 0 trusted (or shown), 1 refused by policy, 2 usage, 3 no or\n"
    "invalid evidence.\n";

struct arguments {
    const char *source;
    const char *policy;
    const char *section;
    const char *save;
    const char *html;
    struct source_options from;
};

/* One showing: what it is about and how it is printed. */
struct show {
    const struct tool_options *options;
    const struct peer_evidence *evidence;
    const char *peer; /* for headlines */
    bool judged;
    json_t *reports; /* reports for --html; NULL: not asked for */
};

/* ---- arguments ---- */

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    const struct tool_option table[] = {
        {.name = "policy", .text = &ret->policy},
        {.name = "section", .text = &ret->section},
        {.name = "save", .text = &ret->save},
        {.name = "html", .text = &ret->html},
        {.name = "cafile", .text = &ret->from.cafile},
        {.name = "timeout",
         .take = tool_take_timeout,
         .ret = &ret->from.timeout_ms},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
    if (argc - optind != 1)
        return tool_usage(options, argc == optind
                                       ? "expected HOST[:PORT] or FILE"
                                       : "expected one HOST[:PORT] or FILE");
    if (ret->section != NULL && ret->policy == NULL)
        return tool_usage(options, "--section needs --policy");
    ret->source = argv[optind];
    return TOOL_DONE;
}

/* ---- what the connection tells beside the evidence ---- */

static void describe_certificate(const struct peer_evidence *evidence,
                                 char *ret, size_t size)
{
    const struct atls_span der = {evidence->cert_der, evidence->cert_len};

    atls_certificate_describe(der, ret, size);
}

static void describe_time(int64_t seconds, char ret[32])
{
    const time_t when = (time_t)seconds;
    struct tm tm;

    ret[0] = '\0';
    if (gmtime_r(&when, &tm) != NULL)
        strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *connection_json(const struct peer_evidence *evidence)
{
    char certificate[2 * ATLS_SUBJECT_MAX] = "";
    char when[32];

    if (evidence->cert_der != NULL)
        describe_certificate(evidence, certificate, sizeof(certificate));
    describe_time(evidence->time, when);
    return json_pack("{s:b, s:b, s:s*, s:s*, s:s*, s:s*, s:s*}", "live",
                     (int)evidence->is_live, "binding_checked",
                     (int)evidence->has_channel, "address", evidence->address,
                     "time", evidence->time != 0 ? when : NULL, "tls",
                     evidence->is_live ? evidence->tls : NULL, "certificate",
                     certificate[0] != '\0' ? certificate : NULL, "pki",
                     evidence->is_live ? evidence->pki : NULL);
}

static void print_connection(const struct peer_evidence *evidence)
{
    char certificate[2 * ATLS_SUBJECT_MAX];
    char when[32];

    printf("\nConnection\n");
    if (evidence->time != 0) {
        describe_time(evidence->time, when);
        printf("  %s  %s%s%s\n", evidence->is_live ? "made " : "saved", when,
               evidence->tls[0] != '\0' ? "  " : "", evidence->tls);
    }
    if (evidence->cert_der != NULL) {
        describe_certificate(evidence, certificate, sizeof(certificate));
        printf("  TLS certificate  %s\n", certificate);
    }
    if (evidence->is_live)
        printf("  %s: %s\n",
               evidence->pki_valid ? "verified by the CAs here"
                                   : "NOT verified by the CAs here",
               evidence->pki);
    if (!evidence->has_channel)
        printf("  a bare record: nothing tells which connection it was made "
               "for\n");
    else if (!evidence->is_live)
        printf("  saved: its binding was checked against the channel value in "
               "the file\n");
}

/* ---- printing ---- */

/* The report's JSON, with what the connection tells. */
static json_t *report_json(const struct show *show,
                           const struct atls_report *report,
                           const struct atls_section *section)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    json_t *object = NULL;

    if (memory == NULL)
        return NULL;
    if (show->judged)
        atls_report_print(report, show->peer, section, ATLS_REPORT_JSON, true,
                          memory);
    else
        atls_report_print_unjudged(report, show->peer, ATLS_REPORT_JSON,
                                   memory);
    if (fclose(memory) == 0) /* contents of events may be any octets */
        object = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    free(text);
    if (json_object_set_new(object, "connection",
                            connection_json(show->evidence))
        != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int print_report(const struct show *show,
                        const struct atls_report *report,
                        const struct atls_section *section)
{
    enum atls_report_style style =
        tool_term_has_colour(stdout) ? ATLS_REPORT_COLOUR : ATLS_REPORT_PLAIN;

    /* When out of memory this report is missing from the file. */
    if (show->reports != NULL)
        (void)json_array_append_new(show->reports,
                                    report_json(show, report, section));
    if (show->options->json)
        return tool_print_json(show->options,
                               report_json(show, report, section));
    if (show->judged)
        atls_report_print(report, show->peer, section, style, true, stdout);
    else
        atls_report_print_unjudged(report, show->peer, style, stdout);
    print_connection(show->evidence);
    return tool_finish_output(show->options);
}

/* ---- appraising ---- */

/* Judge against one section. Returns the exit status. */
static int judge(const struct show *show, const struct atls_section *section)
{
    struct atls_report report;
    int status = atls_error_status(tool_appraise(
        show->evidence, section, (int64_t)time(NULL), true, &report));
    int printed = print_report(show, &report, section);
    atls_report_clear(&report);
    return printed != TOOL_DONE ? printed : status;
}

/* Show without a policy. Returns TOOL_DONE, or TOOL_NO_EVIDENCE. */
static int show_only(const struct show *show)
{
    struct atls_report report;
    struct atls_reason why;
    enum atls_error error = tool_inspect(show->evidence, &why, &report);
    int printed;

    if (error == ATLS_E_NOMEM) {
        atls_report_clear(&report);
        return tool_fail(show->options, &why);
    }
    printed = print_report(show, &report, NULL);
    atls_report_clear(&report);
    return printed != TOOL_DONE ? printed : atls_error_status(error);
}

/* ---- policy ---- */

static int show_because(struct show *show, const char *why)
{
    fprintf(stderr, "attest show: %s: shown, not judged\n", why);
    show->judged = false;
    return show_only(show);
}

static int judge_by_sections(struct show *show,
                             const struct atls_policy *policy, const char *name)
{
    struct atls_match match;
    struct atls_reason why = {0};
    const char *because = NULL;
    int worst = TOOL_DONE;

    if (tool_sections_choose(policy, name, show->evidence, &why, &match,
                             &because)
        != ATLS_OK)
        return tool_refuse(show->options, &why);
    if (match.count == 0)
        return show_because(show, because);
    for (size_t i = 0; i < match.count; i++) {
        int status = judge(show, match.sections[i]);

        if (worst == TOOL_DONE)
            worst = status;
    }
    return worst;
}

static int judge_by_policy(struct show *show, const struct arguments *arguments)
{
    struct atls_policy *policy = NULL;
    int status = tool_load_policy(show->options, arguments->policy, &policy);

    if (status != TOOL_DONE)
        return status;
    show->judged = true;
    status = judge_by_sections(show, policy, arguments->section);
    atls_policy_unref(policy);
    return status;
}

static int run(int argc, char **argv, struct tool_options *options)
{
    struct arguments arguments = {.from.timeout_ms = PEER_TIMEOUT_DEFAULT_MS};
    struct peer_evidence evidence = {0};
    struct atls_reason why = {0};
    struct show show = {.options = options, .evidence = &evidence};
    int status = parse_arguments(argc, argv, options, &arguments);

    if (status != TOOL_DONE)
        return status;
    if (tool_source_read(arguments.source, &arguments.from, &why, &evidence)
        != ATLS_OK)
        return tool_refuse(options, &why);
    show.peer = evidence.name != NULL ? evidence.name : arguments.source;
    if (arguments.html != NULL)
        show.reports = json_array();
    status = arguments.policy != NULL ? judge_by_policy(&show, &arguments)
                                      : show_only(&show);
    if (arguments.save != NULL
        && tool_evidence_file_write(arguments.save, &evidence, &why) != ATLS_OK)
        status = tool_fail(options, &why);
    /* A failure without a report has been reported already. */
    if (arguments.html != NULL
        && (status == TOOL_DONE || json_array_size(show.reports) > 0)
        && tool_html_report_write(arguments.html, show.reports, &why)
               != ATLS_OK)
        status = tool_fail(options, &why);
    json_decref(show.reports);
    tool_peer_evidence_clear(&evidence);
    return status;
}

const struct tool_verb tool_verb_show = {
    .name = "show",
    .synopsis = "show the evidence of a server or a file, judge it",
    .help = help,
    .run = run,
};
