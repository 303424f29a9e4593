/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/tool.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/number.h"

/* Printed before every message; main() has a verb without a name. */
static void print_prefix(const struct tool_options *options)
{
    const char *name = options->verb->name;

    fprintf(stderr, "attest%s%s: ", *name != '\0' ? " " : "", name);
}

int tool_finish_output(const struct tool_options *options)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TOOL_DONE;
    print_prefix(options);
    perror("standard output");
    return TOOL_USAGE;
}

int tool_print_json(const struct tool_options *options, json_t *object)
{
    /* The output has names and logs of peers, and a terminal may show it. */
    const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
    int failed = object == NULL || json_dumpf(object, stdout, flags) != 0
                 || putchar('\n') == EOF || fflush(stdout) != 0;

    json_decref(object);
    if (failed) {
        print_prefix(options);
        fputs("cannot write the JSON output\n", stderr);
        return TOOL_USAGE;
    }
    return TOOL_DONE;
}

int tool_fail(const struct tool_options *options, const struct atls_reason *why)
{
    const char *text =
        why->text[0] != '\0' ? why->text : atls_error_sentence(why->code);

    print_prefix(options);
    fprintf(stderr, "%s\n", text);
    /* A failure to print was reported on stderr; the status below stays. */
    if (options->json)
        (void)tool_print_json(options, json_pack("{s:s, s:s}", "error",
                                                 atls_error_name(why->code),
                                                 "reason", text));
    return atls_error_status(why->code);
}

int tool_usage(const struct tool_options *options, const char *fmt, ...)
{
    struct atls_reason why = {.code = ATLS_E_USAGE};
    const char *name = options->verb->name;
    va_list args;

    va_start(args, fmt);
    vsnprintf(why.text, sizeof(why.text), fmt, args);
    va_end(args);
    (void)tool_fail(options, &why);
    fprintf(stderr, "Try 'attest %s%s--help'.\n", name,
            *name != '\0' ? " " : "");
    return TOOL_USAGE;
}

int tool_refuse(const struct tool_options *options,
                const struct atls_reason *why)
{
    if (why->code == ATLS_E_USAGE)
        return tool_usage(options, "%s", why->text);
    return tool_fail(options, why);
}

/* The option is unknown ('?' of getopt_long(3)) or lacks its value (':'). */
static int bad_option(const struct tool_options *options, int opt,
                      char *const *argv)
{
    /* getopt_long(3) has passed the option that it refuses, except within a
     * cluster of short options. */
    const char *option = argv[optind - 1];

    if (opt == ':')
        return tool_usage(options, "option %s needs a value", option);
    if (optopt > 0 && optopt < 128 && strncmp(option, "--", 2) != 0)
        return tool_usage(options, "unknown option -%c", optopt);
    return tool_usage(options, "unknown option %s", option);
}

int tool_read_options(int argc, char **argv, const struct tool_options *options,
                      const struct tool_option *table, size_t count)
{
    enum { FIRST = 256 }; /* beyond what '?' and ':' are */
    struct option longopts[TOOL_OPTIONS_MAX + 1] = {{NULL, 0, NULL, 0}};
    int status = TOOL_DONE;
    int opt;

    for (size_t i = 0; i < count && i < TOOL_OPTIONS_MAX; i++)
        longopts[i] = (struct option){
            .name = table[i].name,
            .has_arg = table[i].flag == NULL ? required_argument : no_argument,
            .val = FIRST + (int)i,
        };
    while (status == TOOL_DONE
           && (opt = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        const struct tool_option *option;

        if (opt < FIRST)
            return bad_option(options, opt, argv);
        option = &table[opt - FIRST];
        if (option->flag != NULL)
            *option->flag = true;
        else if (option->text != NULL)
            *option->text = optarg;
        else
            status = option->take(options, optarg, option->ret);
    }
    return status;
}

bool tool_number(const char *text, unsigned min, unsigned max,
                 unsigned *ret_value)
{
    return atls_number_parse(text, strlen(text), min, max, ret_value);
}

bool tool_time(const char *text, int64_t *ret_seconds)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {.tm_mday = 1};
        const char *end = strptime(text, forms[i], &tm);
        const int day = tm.tm_mday;
        const time_t seconds = timegm(&tm);

        /* timegm() takes the 31st of June for the 1st of July. */
        if (end == NULL || *end != '\0' || seconds < 0 || tm.tm_mday != day)
            continue;
        *ret_seconds = (int64_t)seconds;
        return true;
    }
    return false;
}
