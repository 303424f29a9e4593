/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/check/target.h"
#include "tools/check/checks.h"

#define WARN_DAYS_DEFAULT 30u
#define WARN_DAYS_MAX 36500u
#define SECONDS_PER_DAY 86400

static const char help[] =
    "Usage: attest check [--pid N | --service NAME | --exec PROGRAM]\n"
    "                    [--conf FILE] [--warn DAYS] [--strict] [--json]\n"
    "Is attestation on, here, for this user, or in that process? Looks at\n"
    "openssl.cnf, the module, the policy, TPM or agent and what expires; one "
    "line\n"
    "each: ok, note, warn, FAIL.\n"
    "\n"
    "  --pid N      a running program and its workers: is it attesting, does "
    "it\n"
    "               need a restart, do its users reach TPM or agent, do its "
    "ports\n"
    "               answer with evidence? As root, or as its user\n"
    "  --service NAME  the same of a systemd service\n"
    "  --conf FILE  instead of OPENSSL_CONF or the system's openssl.cnf; with "
    "--pid\n"
    "               and --service: the file that the program has read\n"
    "  --exec PROGRAM  look at a program too: does it read this file, and "
    "is its\n"
    "               OpenSSL the one attest works in?\n"
    "  --warn DAYS  warn of what expires within so many days (default 30)\n"
    "  --strict     warnings count as failures\n"
    "\n"
    "Exit status: 0 nothing failed, 2 configuration or policy must be mended,\n"
    "4 TPM or agent unavailable.\n";

struct arguments {
    const char *conf;    /* NULL: the default */
    const char *program; /* NULL: none */
    unsigned pid;        /* 0: none */
    const char *service; /* NULL: none */
    unsigned warn_days;
    bool strict;
};

/* "30d" or "30". */
static int take_days(const struct tool_options *options, const char *value,
                     void *ret)
{
    size_t len = strlen(value);
    char digits[16] = "";

    if (len > 0 && value[len - 1] == 'd')
        len--;
    if (len < sizeof(digits))
        memcpy(digits, value, len);
    if (tool_number(digits, 0, WARN_DAYS_MAX, ret))
        return TOOL_DONE;
    return tool_usage(options, "--warn %s: expected days, 0 to %u", value,
                      WARN_DAYS_MAX);
}

static int take_pid(const struct tool_options *options, const char *value,
                    void *ret)
{
    if (tool_number(value, 1, INT_MAX, ret))
        return TOOL_DONE;
    return tool_usage(options, "--pid %s: expected the number of a process",
                      value);
}

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    const struct tool_option table[] = {
        {.name = "conf", .text = &ret->conf},
        {.name = "exec", .text = &ret->program},
        {.name = "pid", .take = take_pid, .ret = &ret->pid},
        {.name = "service", .text = &ret->service},
        {.name = "warn", .take = take_days, .ret = &ret->warn_days},
        {.name = "strict", .flag = &ret->strict},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
    if (optind < argc)
        return tool_usage(options,
                          "unexpected argument %s: a configuration is named "
                          "with --conf",
                          argv[optind]);
    if ((ret->pid != 0) + (ret->service != NULL) + (ret->program != NULL) > 1)
        return tool_usage(options,
                          "expected one of --pid, --service and --exec");
    return TOOL_DONE;
}

static void inspect(struct check *check, const struct arguments *arguments)
{
    if (arguments->pid != 0) {
        tool_check_pid(check, (pid_t)arguments->pid, arguments->conf);
        return;
    }
    if (arguments->service != NULL) {
        tool_check_service(check, arguments->service, arguments->conf);
        return;
    }
    tool_check_load_and_run(check, arguments->conf);
    if (arguments->program != NULL)
        tool_check_program(check, arguments->program);
}

static int run(int argc, char **argv, struct tool_options *options)
{
    struct arguments arguments = {.warn_days = WARN_DAYS_DEFAULT};
    struct check check = {.now = (int64_t)time(NULL)};
    struct atls_reason why = {0};
    int status = parse_arguments(argc, argv, options, &arguments);

    if (status != TOOL_DONE)
        return status;
    check.warn_seconds = (int64_t)arguments.warn_days * SECONDS_PER_DAY;
    check.findings = tool_findings_new();
    if (check.findings == NULL) {
        (void)atls_fail(&why, ATLS_E_NOMEM, NULL);
        return tool_fail(options, &why);
    }
    inspect(&check, &arguments);
    status = tool_findings_print(check.findings, options, arguments.strict);
    tool_conf_free(check.conf);
    tool_cnf_scan_free(check.scan);
    tool_findings_free(check.findings);
    return status;
}

const struct tool_verb tool_verb_check = {
    .name = "check",
    .synopsis = "is attestation on and in order on this machine?",
    .help = help,
    .run = run,
};
