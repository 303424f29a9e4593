/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy_draft.h"
#include "source.h"
#include "tool.h"
#include "verifier/appraise.h"
#include "verifier/policy.h"

static const char help[] =
    "Usage: attest policy --from HOST[:PORT]|FILE --trust FILE [--output "
    "FILE]\n"
    "                     [--name SECTION] [--machines LIST] [--pcrs LIST]\n"
    "                     [--certificate RULE] [--allow-zero] [--force]\n"
    "                     [--cafile FILE] [--timeout SECONDS] [--json]\n"
    "Writes a policy that demands of a server what its evidence shows now. "
    "The\n"
    "evidence must hold in every other way, and the policy is tried on it "
    "first.\n"
    "\n"
    "  --from SOURCE       a server, or a file of attest show --save\n"
    "  --trust FILE        PEM: issuers of AK certificates you trust (they "
    "never\n"
    "                      come with the evidence)\n"
    "  --output FILE       instead of standard output\n"
    "  --force             write over an existing file\n"
    "  --name SECTION      name of the section (default: the host)\n"
    "  --machines LIST     instead of the names in the AK certificate\n"
    "  --pcrs LIST         default: all of 0-9 and 11-14 that are quoted\n"
    "  --certificate RULE  measured (default), measured-issuer or any\n"
    "  --allow-zero        PCRs 0-7 may all be zero (a software TPM)\n"
    "  --cafile FILE       PEM roots for the TLS certificate (reported only)\n"
    "  --timeout SECONDS   for connection and handshake (1..600, default 5)\n"
    "\n"
    "Exit status: 0 written, 1 the policy would refuse that server, 2 usage "
    "or\n"
    "files, 3 no or invalid evidence.\n";

struct arguments {
    const char *source;
    const char *output; /* NULL: standard output */
    bool force;
    struct policy_draft draft; /* trust as given, then absolute */
    struct source_options from;
};

/* A policy on its way into its file. */
struct target {
    char *path; /* temporary; NULL: none yet */
    char section[POLICY_DRAFT_SECTION_MAX];
};

/* ---- arguments ---- */

static int set_option(const struct tool_options *options, int letter,
                      struct arguments *ret)
{
    switch (letter) {
    case 'n':
        ret->draft.section = optarg;
        break;
    case 't':
        ret->draft.trust = optarg;
        break;
    case 'm':
        ret->draft.machines = optarg;
        break;
    case 'p':
        ret->draft.pcrs = optarg;
        break;
    case 'c':
        if (strcmp(optarg, "measured") != 0
            && strcmp(optarg, "measured-issuer") != 0
            && strcmp(optarg, "any") != 0)
            return tool_usage(options,
                              "--certificate %s: expected measured, "
                              "measured-issuer or any",
                              optarg);
        ret->draft.certificate = optarg;
        break;
    case 'z':
        ret->draft.allow_zero = true;
        break;
    }
    return TOOL_DONE;
}

static int set_source_option(const struct tool_options *options, int letter,
                             struct arguments *ret)
{
    switch (letter) {
    case 'S':
        ret->source = optarg;
        break;
    case 'O':
        ret->output = optarg;
        break;
    case 'F':
        ret->force = true;
        break;
    case 'C':
        ret->from.cafile = optarg;
        break;
    case 'T':
        if (!source_timeout(optarg, &ret->from.timeout_ms))
            return tool_usage(
                options, "--timeout %s: expected seconds, 1 to 600", optarg);
        break;
    }
    return TOOL_DONE;
}

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    /* Capitals: where from and where to; else: the draft. No short options. */
    static const struct option longopts[] = {
        {"from", required_argument, NULL, 'S'},
        {"output", required_argument, NULL, 'O'},
        {"force", no_argument, NULL, 'F'},
        {"cafile", required_argument, NULL, 'C'},
        {"timeout", required_argument, NULL, 'T'},
        {"name", required_argument, NULL, 'n'},
        {"trust", required_argument, NULL, 't'},
        {"machines", required_argument, NULL, 'm'},
        {"pcrs", required_argument, NULL, 'p'},
        {"certificate", required_argument, NULL, 'c'},
        {"allow-zero", no_argument, NULL, 'z'},
        {NULL, 0, NULL, 0}};
    int status = TOOL_DONE;
    int opt;

    while (status == TOOL_DONE
           && (opt = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        if (opt == '?' || opt == ':')
            return tool_bad_option(options, opt, argv);
        status = opt < 'a' ? set_source_option(options, opt, ret)
                           : set_option(options, opt, ret);
    }
    if (status != TOOL_DONE)
        return status;
    if (optind < argc)
        return tool_usage(options, "unexpected argument %s", argv[optind]);
    if (ret->source == NULL)
        return tool_usage(options, "--from HOST[:PORT] or FILE is missing");
    if (ret->draft.trust == NULL)
        return tool_usage(options, "--trust FILE is missing: evidence does not "
                                   "say whose word to take for it");
    return TOOL_DONE;
}

/* ---- writing ---- */

/* Beside the output, so that it can take its place at once; else where
 * temporary files are. */
static enum atls_error open_target(const struct arguments *arguments,
                                   struct target *target,
                                   struct atls_reason *why, FILE **ret_file)
{
    const char *folder = getenv("TMPDIR");
    int fd, n;

    if (arguments->output != NULL)
        n = asprintf(&target->path, "%s.XXXXXX", arguments->output);
    else
        n = asprintf(&target->path, "%s/attest-policy.XXXXXX",
                     folder != NULL ? folder : "/tmp");
    if (n < 0) {
        target->path = NULL;
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    fd = mkostemp(target->path, O_CLOEXEC);
    *ret_file = fd < 0 ? NULL : fdopen(fd, "w");
    if (*ret_file != NULL)
        return ATLS_OK;
    n = errno;
    if (fd >= 0) {
        close(fd);
        unlink(target->path);
    }
    free(target->path);
    target->path = NULL;
    return atls_fail(why, ATLS_E_IO, "cannot write %s: %s",
                     arguments->output != NULL ? arguments->output
                                               : "a temporary file",
                     strerror(n));
}

static enum atls_error write_draft(const struct arguments *arguments,
                                   const struct atls_evidence *evidence,
                                   struct target *target,
                                   struct atls_reason *why)
{
    FILE *file = NULL;
    enum atls_error r = open_target(arguments, target, why, &file);
    const mode_t mask = umask(022);

    umask(mask);
    if (r != ATLS_OK)
        return r;
    r = policy_draft_write(&arguments->draft, evidence, why, file,
                           target->section);
    if (r == ATLS_OK
        && (fchmod(fileno(file), 0644 & ~mask) != 0 || fflush(file) != 0
            || fsync(fileno(file)) != 0))
        r = atls_fail(why, ATLS_E_IO, "cannot write %s: %s", target->path,
                      strerror(errno));
    fclose(file);
    return r;
}

/* The policy must load, and the evidence it was made of must pass it: signature,
 * binding, PCR digest, log, AK chain. Nothing was believed before this. */
static enum atls_error try_policy(const struct target *target,
                                  const struct peer_evidence *evidence,
                                  struct atls_reason *why)
{
    struct atls_policy *policy = NULL;
    struct atls_report report;
    struct atls_appraisal appraisal = {
        .cmw = {evidence->cmw, evidence->cmw_len},
        .role = evidence->role,
        .channel = evidence->has_channel ? evidence->channel : NULL,
        .cert_der = {evidence->cert_der, evidence->cert_len},
        .now = (int64_t)time(NULL),
    };
    enum atls_error r = atls_policy_load(target->path, why, &policy);

    if (r != ATLS_OK)
        return r;
    appraisal.section = atls_policy_find(policy, target->section);
    r = atls_appraise(&appraisal, &report);
    if (r != ATLS_OK)
        *why = report.reason;
    atls_report_clear(&report);
    atls_policy_unref(policy);
    return r;
}

/* Without --force only where nothing is: link(2) never replaces. */
static enum atls_error publish(const struct arguments *arguments,
                               struct target *target, struct atls_reason *why)
{
    int failed = arguments->force ? rename(target->path, arguments->output)
                                  : link(target->path, arguments->output);

    if (failed != 0 && errno == EEXIST)
        return atls_fail(why, ATLS_E_IO, "%s exists; --force writes over it",
                         arguments->output);
    if (failed != 0)
        return atls_fail(why, ATLS_E_IO, "cannot write %s: %s",
                         arguments->output, strerror(errno));
    return ATLS_OK;
}

/* ---- telling ---- */

/* The whole policy, out of its temporary file. */
static enum atls_error read_back(const struct target *target, char **ret_text,
                                 struct atls_reason *why)
{
    FILE *file = fopen(target->path, "re");
    size_t room = 0;
    ssize_t len = file != NULL ? getdelim(ret_text, &room, '\0', file) : -1;

    if (file != NULL)
        fclose(file);
    if (len < 0)
        return atls_fail(why, ATLS_E_IO, "cannot read %s back", target->path);
    return ATLS_OK;
}

static void print_comparison(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "  %s\n", line);
}

static void append_comparison(void *arg, const char *line)
{
    json_t *list = arg;

    /* A line that is lost to memory shows as a shorter list. */
    (void)json_array_append_new(list, json_string(line));
}

static int print_json(const struct tool_options *options,
                      const struct arguments *arguments,
                      const struct atls_evidence *evidence,
                      const struct target *target, const char *text)
{
    json_t *compare = json_array();

    policy_draft_compare(&arguments->draft, evidence, append_comparison,
                         compare);
    return tool_print_json(
        options, json_pack("{s:s, s:s*, s:s*, s:o}", "section", target->section,
                           "written", arguments->output, "policy", text,
                           "compare", compare));
}

static int tell(const struct tool_options *options,
                const struct arguments *arguments,
                const struct atls_evidence *evidence,
                const struct target *target, const char *text)
{
    if (options->json)
        return print_json(options, arguments, evidence, target, text);
    if (text != NULL && (fputs(text, stdout) == EOF || fflush(stdout) != 0)) {
        perror("attest policy: standard output");
        return TOOL_USAGE;
    }
    if (arguments->output != NULL)
        fprintf(stderr, "attest policy: wrote %s\n", arguments->output);
    fprintf(stderr,
            "It trusts what %s showed just now. Compare before you use "
            "it:\n",
            arguments->draft.host);
    policy_draft_compare(&arguments->draft, evidence, print_comparison, NULL);
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

/* ---- the verb ---- */

static enum atls_error check_output(const struct arguments *arguments,
                                    struct atls_reason *why)
{
    if (arguments->output != NULL && !arguments->force
        && access(arguments->output, F_OK) == 0)
        return atls_fail(why, ATLS_E_IO, "%s exists; --force writes over it",
                         arguments->output);
    return ATLS_OK;
}

static int write_policy(const struct tool_options *options,
                        const struct arguments *arguments,
                        const struct peer_evidence *evidence,
                        const struct atls_evidence *decoded)
{
    struct target target = {.path = NULL};
    struct atls_reason why = {0};
    char *text = NULL;
    enum atls_error r = write_draft(arguments, decoded, &target, &why);
    int status;

    if (r == ATLS_OK)
        r = try_policy(&target, evidence, &why);
    if (r == ATLS_OK)
        r = arguments->output != NULL ? publish(arguments, &target, &why)
                                      : read_back(&target, &text, &why);
    if (target.path != NULL)
        unlink(target.path); /* gone already when it was renamed */
    status = r == ATLS_OK ? tell(options, arguments, decoded, &target, text)
                          : refuse(options, &why);
    free(text);
    free(target.path);
    return status;
}

static int write_from(const struct tool_options *options,
                      struct arguments *arguments,
                      const struct peer_evidence *evidence)
{
    const struct atls_span cmw = {evidence->cmw, evidence->cmw_len};
    char trust[PATH_MAX];
    struct atls_evidence *decoded = NULL;
    struct atls_reason why = {0};
    int status;

    if (evidence->name == NULL)
        return tool_usage(options, "the evidence does not say whose it is");
    arguments->draft.host = evidence->name;
    if (realpath(arguments->draft.trust, trust) == NULL) {
        (void)atls_fail(&why, ATLS_E_IO, "--trust %s: %s",
                        arguments->draft.trust, strerror(errno));
        return tool_fail(options, &why);
    }
    arguments->draft.trust = trust;
    if (atls_evidence_decode(cmw, &why, &decoded) != ATLS_OK)
        return refuse(options, &why);
    status = write_policy(options, arguments, evidence, decoded);
    atls_evidence_free(decoded);
    return status;
}

static int run(int argc, char **argv, struct tool_options *options)
{
    struct arguments arguments = {
        .draft.certificate = "measured",
        .from.timeout_ms = PEER_TIMEOUT_DEFAULT_MS,
    };
    struct peer_evidence evidence = {0};
    struct atls_reason why = {0};
    int status = parse_arguments(argc, argv, options, &arguments);

    if (status != TOOL_DONE)
        return status;
    if (check_output(&arguments, &why) != ATLS_OK
        || source_read(arguments.source, &arguments.from, &why, &evidence)
               != ATLS_OK)
        return refuse(options, &why);
    status = write_from(options, &arguments, &evidence);
    peer_evidence_clear(&evidence);
    return status;
}

const struct tool_verb tool_verb_policy = {
    .name = "policy",
    .synopsis = "write a policy from what a server shows",
    .help = help,
    .run = run,
};
