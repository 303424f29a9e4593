/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/common/inspect.h"
#include "tools/policy/forms.h"
#include "tools/common/sections.h"
#include "tools/common/source.h"
#include "verifier/appraise.h"
#include "verifier/mismatch.h"
#include "verifier/reference.h"
#include "verifier/policy.h"
#include "verifier/report.h"

struct arguments {
    const char *policy;
    const char *source; /* NULL: look at the policy alone */
    const char *section;
    int64_t now;
    struct source_options from;
};

/* Findings, printed or, for --json, gathered one by one. */
struct check {
    const struct tool_options *options;
    const struct arguments *arguments;
    const struct peer_evidence *evidence;
    const char *peer;
    json_t *results; /* with --json, else NULL */
    /* of the section in hand: */
    json_t *mismatches;
    size_t count;
    bool advised[ATLS_E_COUNT]; /* what to do next, once for each code */
};

/* ---- arguments ---- */

static int take_time(const struct tool_options *options, const char *value,
                     void *ret)
{
    if (tool_time(value, ret))
        return TOOL_DONE;
    return tool_usage(options,
                      "--at %s: expected a time in UTC such as "
                      "2027-06-30T00:00:00Z",
                      value);
}

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    const struct tool_option table[] = {
        {.name = "section", .text = &ret->section},
        {.name = "at", .take = take_time, .ret = &ret->now},
        {.name = "cafile", .text = &ret->from.cafile},
        {.name = "timeout",
         .take = tool_take_timeout,
         .ret = &ret->from.timeout_ms},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
    if (argc - optind < 1 || argc - optind > 2)
        return tool_usage(options, "check: expected a policy, then perhaps "
                                   "HOST[:PORT] or a file of evidence");
    ret->policy = argv[optind];
    ret->source = argv[optind + 1]; /* argv ends with NULL */
    if (ret->section != NULL && ret->source == NULL)
        return tool_usage(options, "check: --section needs evidence");
    return TOOL_DONE;
}

/* ---- the policy alone ---- */

static const char *mode_word(enum atls_mode mode)
{
    return mode == ATLS_MODE_REQUIRE   ? "require"
           : mode == ATLS_MODE_OBSERVE ? "observe"
                                       : "off";
}

static unsigned count_pcrs(const struct atls_section *section)
{
    unsigned count = 0;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++)
        count += section->pcrs[pcr].count > 0;
    return count;
}

static json_t *warnings_json(const struct atls_policy *policy)
{
    json_t *list = json_array();
    const char *warning;

    for (size_t i = 0; (warning = atls_policy_warning(policy, i)) != NULL; i++)
        (void)json_array_append_new(list, json_string(warning));
    return list;
}

static json_t *section_json(const struct atls_section *section)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name",
                     section->name, "mode", mode_word(section->mode), "names",
                     (json_int_t)section->name_count, "machines",
                     (json_int_t)section->machine_count, "pcrs",
                     (json_int_t)count_pcrs(section), "components",
                     (json_int_t)section->component_count, "references",
                     (json_int_t)section->reference_count);
}

static void print_section(const struct atls_section *section)
{
    printf("  [%s] %s: %zu name%s, %u PCR%s, %zu component%s", section->name,
           mode_word(section->mode), section->name_count,
           section->name_count == 1 ? "" : "s", count_pcrs(section),
           count_pcrs(section) == 1 ? "" : "s", section->component_count,
           section->component_count == 1 ? "" : "s");
    if (section->reference_count > 0)
        printf(", one of %zu references", section->reference_count);
    putchar('\n');
}

/* The policy has loaded; its warnings are printed. */
static int show_policy(const struct tool_options *options,
                       const struct atls_policy *policy)
{
    const struct atls_section *section;
    json_t *sections;

    if (!options->json) {
        printf("%s loads\n", atls_policy_path(policy));
        for (size_t i = 0; (section = atls_policy_section(policy, i)) != NULL;
             i++)
            print_section(section);
        return TOOL_DONE;
    }
    sections = json_array();
    for (size_t i = 0; (section = atls_policy_section(policy, i)) != NULL; i++)
        (void)json_array_append_new(sections, section_json(section));
    return tool_print_json(options, json_pack("{s:s, s:o, s:o}", "policy",
                                              atls_policy_path(policy),
                                              "warnings", warnings_json(policy),
                                              "sections", sections));
}

/* ---- mismatches ---- */

/* Print one line; what to do about its kind follows at the end. */
static void add(struct check *check, const char *name,
                const struct atls_reason *reason)
{
    check->count++;
    check->advised[reason->code] = true;
    if (check->mismatches == NULL)
        printf("  %s\n", reason->text);
    else
        (void)json_array_append_new(
            check->mismatches,
            json_pack("{s:s, s:s, s:s}", "check", name, "error",
                      atls_error_name(reason->code), "reason", reason->text));
}

static enum atls_error add_mismatch(const struct atls_mismatch *mismatch,
                                    void *arg)
{
    add(arg, atls_step_name(mismatch->step), &mismatch->reason);
    return ATLS_OK;
}

/* First the steps that have one reason, then every value that differs. */
static void add_all(struct check *check, const struct atls_section *section,
                    const struct atls_report *report)
{
    for (enum atls_step step = 0; step < ATLS_STEP_COUNT; step++)
        if (report->steps[step].result == ATLS_STEP_FAILED
            && step != ATLS_STEP_COMPONENTS && step != ATLS_STEP_PCRS)
            add(check, atls_step_name(step), &report->steps[step].reason);
    if (report->evidence != NULL)
        (void)!atls_reference_visit(section, report->reference,
                                    report->evidence, add_mismatch, check);
    if (check->count == 0 && report->verdict != ATLS_OK)
        add(check, "expires", &report->reason);
}

static void print_advice(const struct check *check)
{
    for (enum atls_error code = 0; code < ATLS_E_COUNT; code++) {
        bool said = false;

        if (!check->advised[code])
            continue;
        for (enum atls_error before = 0; before < code; before++)
            said =
                said
                || (check->advised[before]
                    && atls_report_advice(before) == atls_report_advice(code));
        if (!said)
            printf("  next: %s\n", atls_report_advice(code));
    }
}

static json_t *result_json(const struct check *check,
                           const struct atls_section *section,
                           const struct atls_report *report)
{
    return json_pack(
        "{s:s, s:s*, s:s, s:O, s:s*}", "section", section->name, "reference",
        report->reference != NULL ? report->reference->name : NULL, "verdict",
        report->verdict == ATLS_OK ? "trusted" : "refused", "mismatches",
        check->mismatches, "next",
        report->verdict == ATLS_OK ? NULL
                                   : atls_report_advice(report->verdict));
}

/* ---- appraisal ---- */

static int check_section(struct check *check,
                         const struct atls_section *section)
{
    struct atls_report report;
    int status = atls_error_status(tool_appraise(
        check->evidence, section, check->arguments->now, true, &report));

    check->count = 0;
    memset(check->advised, 0, sizeof(check->advised));
    check->mismatches = check->results != NULL ? json_array() : NULL;
    if (check->results == NULL)
        printf("[%s] %s %s\n", section->name,
               report.verdict == ATLS_OK ? "accepts" : "REFUSES", check->peer);
    if (report.verdict != ATLS_OK)
        add_all(check, section, &report);
    if (check->results == NULL)
        print_advice(check);
    else
        (void)json_array_append_new(check->results,
                                    result_json(check, section, &report));
    json_decref(check->mismatches);
    atls_report_clear(&report);
    return status;
}

static int check_sections(struct check *check, const struct atls_match *match)
{
    int status = TOOL_DONE;

    for (size_t i = 0; i < match->count; i++) {
        int one = check_section(check, match->sections[i]);

        if (status == TOOL_DONE)
            status = one;
    }
    return status;
}

static int finish(struct check *check, const struct atls_policy *policy,
                  int status)
{
    int printed = TOOL_DONE;

    if (check->results != NULL)
        printed = tool_print_json(
            check->options,
            json_pack("{s:s, s:s, s:o, s:O}", "policy",
                      atls_policy_path(policy), "peer", check->peer, "warnings",
                      warnings_json(policy), "results", check->results));
    else
        printed = tool_finish_output(check->options);
    json_decref(check->results);
    return printed != TOOL_DONE ? printed : status;
}

static int check_evidence(const struct tool_options *options,
                          const struct arguments *arguments,
                          const struct atls_policy *policy,
                          const struct peer_evidence *evidence)
{
    struct check check = {
        .options = options,
        .arguments = arguments,
        .evidence = evidence,
        .peer = evidence->name != NULL ? evidence->name : arguments->source,
    };
    struct atls_match match;
    struct atls_reason why = {0};
    const char *because = NULL;

    if (tool_sections_choose(policy, arguments->section, evidence, &why, &match,
                             &because)
        != ATLS_OK)
        return tool_refuse(options, &why);
    if (match.count == 0) {
        (void)atls_fail(&why, ATLS_E_USAGE, "%s: %s%s", check.peer, because,
                        arguments->section == NULL
                            ? "; choose a section with --section"
                            : "");
        return tool_fail(options, &why);
    }
    if (options->json && (check.results = json_array()) == NULL) {
        (void)atls_fail(&why, ATLS_E_NOMEM, NULL);
        return tool_fail(options, &why);
    }
    return finish(&check, policy, check_sections(&check, &match));
}

int tool_policy_check(int argc, char **argv, const struct tool_options *options)
{
    struct arguments arguments = {.now = (int64_t)time(NULL),
                                  .from.timeout_ms = PEER_TIMEOUT_DEFAULT_MS};
    struct peer_evidence evidence = {0};
    struct atls_policy *policy = NULL;
    struct atls_reason why = {0};
    int status = parse_arguments(argc, argv, options, &arguments);

    if (status != TOOL_DONE)
        return status;
    status = tool_load_policy(options, arguments.policy, &policy);
    if (status != TOOL_DONE)
        return status;
    if (arguments.source == NULL)
        status = show_policy(options, policy);
    else if (tool_source_read(arguments.source, &arguments.from, &why,
                              &evidence)
             != ATLS_OK)
        status = tool_refuse(options, &why);
    else
        status = check_evidence(options, &arguments, policy, &evidence);
    tool_peer_evidence_clear(&evidence);
    atls_policy_unref(policy);
    return status;
}
