/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/arguments.h"

#include <getopt.h>
#include <string.h>

enum {
    OPT_FROM = 256,
    OPT_HERE,
    OPT_BOOT_LOG,
    OPT_CONF,
    OPT_CERTIFICATE_FILE,
    OPT_MEASURED_LOG,
    OPT_BANK,
    OPT_HOST,
    OPT_OUTPUT,
    OPT_FORCE,
    OPT_CAFILE,
    OPT_TIMEOUT,
    OPT_NAME,
    OPT_TRUST,
    OPT_MACHINES,
    OPT_PCRS,
    OPT_CERTIFICATE,
    OPT_ALLOW_ZERO,
    OPT_REFERENCE
};

static const struct option longopts[] = {
    {"from", required_argument, NULL, OPT_FROM},
    {"here", no_argument, NULL, OPT_HERE},
    {"boot-log", required_argument, NULL, OPT_BOOT_LOG},
    {"conf", required_argument, NULL, OPT_CONF},
    {"certificate-file", required_argument, NULL, OPT_CERTIFICATE_FILE},
    {"measured-log", required_argument, NULL, OPT_MEASURED_LOG},
    {"bank", required_argument, NULL, OPT_BANK},
    {"host", required_argument, NULL, OPT_HOST},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"force", no_argument, NULL, OPT_FORCE},
    {"cafile", required_argument, NULL, OPT_CAFILE},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"name", required_argument, NULL, OPT_NAME},
    {"trust", required_argument, NULL, OPT_TRUST},
    {"machines", required_argument, NULL, OPT_MACHINES},
    {"pcrs", required_argument, NULL, OPT_PCRS},
    {"certificate", required_argument, NULL, OPT_CERTIFICATE},
    {"allow-zero", no_argument, NULL, OPT_ALLOW_ZERO},
    {"reference", required_argument, NULL, OPT_REFERENCE},
    {NULL, 0, NULL, 0}};

/* Options that are a word and nothing else. */
static const char **word_of(struct policy_arguments *arguments, int opt)
{
    switch (opt) {
    case OPT_FROM:
        return &arguments->source;
    case OPT_BOOT_LOG:
        return &arguments->boot_log;
    case OPT_CONF:
        return &arguments->local.conf;
    case OPT_CERTIFICATE_FILE:
        return &arguments->local.certificate;
    case OPT_MEASURED_LOG:
        return &arguments->measured_log;
    case OPT_BANK:
        return &arguments->bank;
    case OPT_HOST:
        return &arguments->host;
    case OPT_OUTPUT:
        return &arguments->output;
    case OPT_CAFILE:
        return &arguments->from.cafile;
    case OPT_NAME:
        return &arguments->draft.section;
    case OPT_TRUST:
        return &arguments->draft.trust;
    case OPT_MACHINES:
        return &arguments->draft.machines;
    case OPT_PCRS:
        return &arguments->draft.pcrs;
    case OPT_CERTIFICATE:
        return &arguments->draft.certificate;
    case OPT_REFERENCE:
        return &arguments->draft.reference;
    default:
        return NULL;
    }
}

static void set_flag(struct policy_arguments *arguments, int opt)
{
    arguments->from_local = arguments->from_local || opt == OPT_HERE;
    arguments->force = arguments->force || opt == OPT_FORCE;
    arguments->draft.allow_zero =
        arguments->draft.allow_zero || opt == OPT_ALLOW_ZERO;
}

static bool is_certificate_rule(const char *text)
{
    return strcmp(text, "measured") == 0 || strcmp(text, "measured-issuer") == 0
           || strcmp(text, "any") == 0;
}

/* What belongs to one source says nothing beside another. */
static int check_source(const struct tool_options *options,
                        const struct policy_arguments *arguments)
{
    const int sources = (arguments->source != NULL) + arguments->from_local
                        + (arguments->boot_log != NULL);

    if (sources != 1)
        return tool_usage(options, "give one of --from SOURCE, --here and "
                                   "--boot-log FILE");
    if (!arguments->from_local
        && (arguments->local.conf != NULL
            || arguments->local.certificate != NULL))
        return tool_usage(options,
                          "--conf and --certificate-file belong to --here");
    if (arguments->boot_log == NULL
        && (arguments->measured_log != NULL || arguments->bank != NULL))
        return tool_usage(options, "--measured-log and --bank belong to "
                                   "--boot-log");
    if (arguments->boot_log != NULL
        && (arguments->host == NULL || arguments->draft.machines == NULL))
        return tool_usage(options, "--boot-log needs --host and --machines: a "
                                   "log does not say whose it is");
    if (arguments->draft.trust == NULL)
        return tool_usage(options, "--trust FILE is missing: evidence does not "
                                   "say whose word to take for it");
    return TOOL_DONE;
}

int tool_policy_arguments_parse(int argc, char **argv,
                                const struct tool_options *options,
                                struct policy_arguments *ret)
{
    int opt;

    while ((opt = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        const char **word = word_of(ret, opt);

        if (opt == '?' || opt == ':')
            return tool_bad_option(options, opt, argv);
        if (word != NULL)
            *word = optarg;
        else if (opt != OPT_TIMEOUT)
            set_flag(ret, opt);
        else if (!tool_source_timeout(optarg, &ret->from.timeout_ms))
            return tool_usage(
                options, "--timeout %s: expected seconds, 1 to 600", optarg);
    }
    if (optind < argc)
        return tool_usage(options,
                          "unexpected argument %s: expected options, or check "
                          "or diff first",
                          argv[optind]);
    if (!is_certificate_rule(ret->draft.certificate))
        return tool_usage(options,
                          "--certificate %s: expected measured, "
                          "measured-issuer or any",
                          ret->draft.certificate);
    return check_source(options, ret);
}
