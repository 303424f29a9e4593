/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/common/inspect.h"
#include "tools/policy/arguments.h"
#include "tools/common/output.h"
#include "tools/policy/replay.h"
#include "tools/policy/forms.h"
#include "verifier/appraise.h"
#include "verifier/policy.h"

/* A policy in the making. */
struct job {
    const struct tool_options *options;
    struct policy_arguments *arguments;
    const struct peer_evidence *peer; /* NULL: values that nobody signed */
    const struct atls_evidence *evidence;
    char section[POLICY_DRAFT_SECTION_MAX];
};

/* ---- trying ---- */

/* Is there no server certificate to look for in the log? */
static bool has_stand_in(const struct policy_arguments *arguments)
{
    return arguments->from_local && arguments->local.certificate == NULL;
}

/* Check signature, binding, PCR digest, log and AK chain: nothing was verified
 * before. */
static enum atls_error appraise(const struct job *job,
                                const struct atls_policy *policy,
                                struct atls_reason *why)
{
    struct atls_report report;
    enum atls_error r =
        tool_appraise(job->peer, atls_policy_find(policy, job->section),
                      (int64_t)time(NULL), false, &report);

    if (r != ATLS_OK)
        *why = report.reason;
    atls_report_clear(&report);
    return r;
}

static enum atls_error write_draft(struct job *job,
                                   const struct policy_draft *draft,
                                   struct tool_output *output,
                                   struct atls_reason *why)
{
    FILE *file = NULL;
    enum atls_error r = tool_output_open(output, why, &file);

    if (r != ATLS_OK)
        return r;
    r = tool_policy_draft_write(draft, job->evidence, why, file, job->section);
    return tool_output_close(output, file, r, why);
}

/* The length of a reason's beginning that names this file, in full or, as
 * atls_file's label does, by its end; 0: none. */
static size_t place_len(const char *text, const char *path)
{
    const bool is_cut = strncmp(text, "...", 3) == 0;
    const size_t len = strcspn(text, ":");
    const size_t shown = is_cut ? len - 3 : len;
    const size_t path_len = strlen(path);

    if (shown > path_len || (!is_cut && shown != path_len)
        || strncmp(text + len - shown, path + path_len - shown, shown) != 0)
        return 0;
    return len;
}

/* A reason begins with file and line. The file here is temporary and gone when
 * the user looks for it. */
static void leave_out_place(struct atls_reason *why, const char *path)
{
    const size_t len = place_len(why->text, path);
    const char *rest = why->text + len;

    if (len == 0 || *rest != ':')
        return;
    rest += 1 + strspn(rest + 1, "0123456789");
    rest += strspn(rest, ": ");
    memmove(why->text, rest, strlen(rest) + 1);
}

/* The policy must load, and must accept the evidence it was made of. */
static enum atls_error try_draft(struct job *job, struct atls_reason *why)
{
    struct policy_draft draft = job->arguments->draft;
    struct tool_output trial = {.name = NULL};
    struct atls_policy *policy = NULL;
    enum atls_error r;

    if (has_stand_in(job->arguments))
        draft.certificate = "any";
    r = write_draft(job, &draft, &trial, why);
    if (r == ATLS_OK)
        r = atls_policy_load(trial.path, why, &policy);
    if (r != ATLS_OK && trial.path != NULL)
        leave_out_place(why, trial.path);
    if (r == ATLS_OK && job->peer != NULL)
        r = appraise(job, policy, why);
    atls_policy_unref(policy);
    tool_output_discard(&trial);
    return r;
}

/* ---- writing ---- */

static enum atls_error write_reference(struct job *job,
                                       struct tool_output *output,
                                       struct atls_reason *why)
{
    FILE *file = NULL;
    enum atls_error r = tool_output_open(output, why, &file);

    if (r != ATLS_OK)
        return r;
    r = tool_policy_draft_write_reference(&job->arguments->draft, job->evidence,
                                          why, file);
    return tool_output_close(output, file, r, why);
}

/* Text: what goes to standard output, NULL when it went into a file. */
static enum atls_error write_out(struct job *job, struct atls_reason *why,
                                 char **ret_text)
{
    const struct policy_arguments *arguments = job->arguments;
    struct tool_output output = {.name = arguments->output};
    enum atls_error r = arguments->draft.reference != NULL
                            ? write_reference(job, &output, why)
                            : write_draft(job, &arguments->draft, &output, why);

    if (r == ATLS_OK)
        r = arguments->output != NULL
                ? tool_output_publish(&output, arguments->force, why)
                : tool_output_read(&output, why, ret_text);
    tool_output_discard(&output);
    return r;
}

/* ---- telling ---- */

static void print_comparison(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "  %s\n", line);
}

static void append_comparison(void *arg, const char *line)
{
    json_t *list = arg;

    /* When out of memory the list lacks this line. */
    (void)json_array_append_new(list, json_string(line));
}

static void compare(const struct job *job,
                    void (*visit)(void *arg, const char *line), void *arg)
{
    tool_policy_draft_compare(&job->arguments->draft, job->evidence, visit,
                              arg);
    if (has_stand_in(job->arguments))
        visit(arg, "certificate: none was tried; is the server's in the log? "
                   "(--certificate-file)");
    if (job->peer == NULL)
        visit(arg, "PCRs 8-15: does the running system extend one further? "
                   "That is not in a boot log (--pcrs)");
}

static int print_json(const struct job *job, const char *text)
{
    const struct policy_draft *draft = &job->arguments->draft;
    json_t *list = json_array();

    compare(job, append_comparison, list);
    return tool_print_json(
        job->options,
        json_pack("{s:s, s:s*, s:s*, s:o}", "section",
                  draft->reference != NULL ? draft->reference : job->section,
                  "written", job->arguments->output, "policy", text, "compare",
                  list));
}

static int tell(const struct job *job, const char *text)
{
    const struct policy_arguments *arguments = job->arguments;

    if (job->options->json)
        return print_json(job, text);
    if (text != NULL) {
        int status;

        fputs(text, stdout);
        status = tool_finish_output(job->options);
        if (status != TOOL_DONE)
            return status;
    }
    if (arguments->output != NULL)
        fprintf(stderr, "attest policy: wrote %s\n", arguments->output);
    fprintf(stderr,
            job->peer != NULL
                ? "It trusts what %s showed just now. Compare before you use "
                  "it:\n"
                : "It trusts what a log says of %s. Compare before you use "
                  "it:\n",
            arguments->draft.host);
    compare(job, print_comparison, NULL);
    return TOOL_DONE;
}

static const char *hint_for(enum atls_error code)
{
    switch (code) {
    case ATLS_E_CERTIFICATE_UNMEASURED:
        return "measure it there (attest measure --certificate), or demand "
               "less "
               "with --certificate any";
    case ATLS_E_PCR_ZERO:
        return "for a software TPM: --allow-zero";
    case ATLS_E_CHAIN_UNTRUSTED:
        return "is --trust the root above these AK certificates? See attest "
               "show";
    default:
        return NULL;
    }
}

static int refuse(const struct tool_options *options, struct atls_reason *why)
{
    const char *hint = hint_for(why->code);
    int status;

    if (why->code == ATLS_E_USAGE)
        return tool_usage(options, "%s", why->text);
    atls_reason_prefix(why, "nothing written: ");
    status = tool_fail(options, why);
    if (hint != NULL)
        fprintf(stderr, "%s\n", hint);
    return status;
}

/* ---- the three sources ---- */

static int write_policy(struct job *job)
{
    struct policy_arguments *arguments = job->arguments;
    char trust[PATH_MAX];
    struct atls_reason why = {0};
    char *text = NULL;
    enum atls_error r;
    int status;

    if (arguments->host != NULL)
        arguments->draft.host = arguments->host;
    if (arguments->draft.host == NULL)
        return tool_usage(job->options, "the evidence does not say whose it "
                                        "is: name the server with --host");
    if (realpath(arguments->draft.trust, trust) == NULL) {
        (void)atls_fail(&why, ATLS_E_IO, "--trust %s: %s",
                        arguments->draft.trust, strerror(errno));
        return refuse(job->options, &why);
    }
    arguments->draft.trust = trust;
    r = try_draft(job, &why);
    if (r == ATLS_OK)
        r = write_out(job, &why, &text);
    status = r == ATLS_OK ? tell(job, text) : refuse(job->options, &why);
    free(text);
    return status;
}

static int write_from_log(const struct tool_options *options,
                          struct policy_arguments *arguments)
{
    const char *bank = arguments->bank != NULL ? arguments->bank : "sha256";
    struct policy_replay replay;
    struct job job = {.options = options,
                      .arguments = arguments,
                      .evidence = &replay.evidence};
    struct atls_reason why = {0};
    enum atls_error r = tool_policy_replay_read(
        arguments->boot_log, arguments->measured_log, bank, &why, &replay);
    int status = r == ATLS_OK ? write_policy(&job) : refuse(options, &why);

    tool_policy_replay_clear(&replay);
    return status;
}

static int write_from_evidence(const struct tool_options *options,
                               struct policy_arguments *arguments)
{
    struct peer_evidence peer = {0};
    struct atls_evidence *decoded = NULL;
    struct job job = {
        .options = options, .arguments = arguments, .peer = &peer};
    struct atls_reason why = {0};
    enum atls_error r;
    int status;

    arguments->local.host = arguments->host;
    r = arguments->from_local
            ? tool_policy_local_make(&arguments->local, &why, &peer)
            : tool_source_read(arguments->source, &arguments->from, &why,
                               &peer);
    if (r == ATLS_OK)
        r = atls_evidence_decode((struct atls_span){peer.cmw, peer.cmw_len},
                                 &why, &decoded);
    arguments->draft.host = peer.name;
    job.evidence = decoded;
    status = r == ATLS_OK ? write_policy(&job) : refuse(options, &why);
    atls_evidence_free(decoded);
    tool_peer_evidence_clear(&peer);
    return status;
}

/* Fail before the TPM is asked. */
static enum atls_error check_output(const struct policy_arguments *arguments,
                                    struct atls_reason *why)
{
    if (arguments->output != NULL && !arguments->force
        && access(arguments->output, F_OK) == 0)
        return atls_fail(why, ATLS_E_IO, "%s exists; --force writes over it",
                         arguments->output);
    return ATLS_OK;
}

int tool_policy_write(int argc, char **argv, const struct tool_options *options)
{
    struct policy_arguments arguments = {
        .draft.certificate = "measured",
        .from.timeout_ms = PEER_TIMEOUT_DEFAULT_MS,
    };
    struct atls_reason why = {0};
    int status = tool_policy_arguments_parse(argc, argv, options, &arguments);

    if (status != TOOL_DONE)
        return status;
    if (check_output(&arguments, &why) != ATLS_OK)
        return refuse(options, &why);
    return arguments.boot_log != NULL
               ? write_from_log(options, &arguments)
               : write_from_evidence(options, &arguments);
}
