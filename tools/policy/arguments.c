/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy/arguments.h"

#include <getopt.h>
#include <string.h>

static bool is_certificate_rule(const char *text)
{
    return strcmp(text, "measured") == 0 || strcmp(text, "measured-issuer") == 0
           || strcmp(text, "any") == 0;
}

/* Options of one source are refused with another. */
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
    const struct tool_option table[] = {
        {.name = "from", .text = &ret->source},
        {.name = "here", .flag = &ret->from_local},
        {.name = "boot-log", .text = &ret->boot_log},
        {.name = "conf", .text = &ret->local.conf},
        {.name = "certificate-file", .text = &ret->local.certificate},
        {.name = "measured-log", .text = &ret->measured_log},
        {.name = "bank", .text = &ret->bank},
        {.name = "host", .text = &ret->host},
        {.name = "output", .text = &ret->output},
        {.name = "force", .flag = &ret->force},
        {.name = "cafile", .text = &ret->from.cafile},
        {.name = "timeout",
         .take = tool_take_timeout,
         .ret = &ret->from.timeout_ms},
        {.name = "name", .text = &ret->draft.section},
        {.name = "trust", .text = &ret->draft.trust},
        {.name = "machines", .text = &ret->draft.machines},
        {.name = "pcrs", .text = &ret->draft.pcrs},
        {.name = "certificate", .text = &ret->draft.certificate},
        {.name = "allow-zero", .flag = &ret->draft.allow_zero},
        {.name = "reference", .text = &ret->draft.reference},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
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
