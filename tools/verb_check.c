/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <openssl/asn1.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"
#include "verifier/certificate.h"

#define WARN_DAYS_DEFAULT 30u
#define WARN_DAYS_MAX 36500u
#define SECONDS_PER_DAY 86400

/* ---- shared by the parts ---- */

/* Cut the last name off an absolute path: "/" stays. False when it was "/". */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (path[1] == '\0')
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

/* Who besides its owner can replace what stands in a folder, or a folder above:
 * with the sticky bit nobody (chmod(2)). Symbolic links are followed first. */
static bool folders_are_safe(struct check *check, const char *what,
                             const char *path)
{
    char *folder = realpath(path, NULL);
    struct stat st;
    bool safe = folder != NULL;

    while (safe && go_up(folder))
        safe = stat(folder, &st) == 0
               && ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0
                   || (st.st_mode & S_ISVTX) != 0);
    if (!safe)
        finding_fail(check->findings, TOOL_USAGE, what,
                     "Take the right away: chmod go-w",
                     "others can replace %s: the folder %s is writable by "
                     "group or others",
                     path, folder != NULL ? folder : "it is in");
    free(folder);
    return safe;
}

bool check_permissions(struct check *check, const char *what, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        finding_fail(check->findings, TOOL_USAGE, what, "Create it", "%s: %s",
                     path, strerror(errno));
        return false;
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        finding_fail(check->findings, TOOL_USAGE, what,
                     "Take the right away: chmod go-w",
                     "%s is writable by group or others (mode %03o)", path,
                     (unsigned)st.st_mode & 0777u);
        return false;
    }
    return check_surroundings(check, what, path);
}

bool check_surroundings(struct check *check, const char *what, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_uid != 0 && st.st_uid != geteuid())
        finding_warn(check->findings, what, "Give it to root: chown root",
                     "%s belongs to user %u, who can change it", path,
                     (unsigned)st.st_uid);
    return folders_are_safe(check, what, path);
}

int64_t check_time_of(const ASN1_TIME *time)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return INT64_MAX;
    return (int64_t)timegm(&tm);
}

void check_expiry(struct check *check, const char *what, const char *thing,
                  int64_t expires, const char *next)
{
    char date[ATLS_DATE_MAX];
    long long days;

    if (expires - check->warn_seconds > check->now)
        return;
    atls_certificate_date_of(expires, date);
    days = (long long)(expires - check->now) / SECONDS_PER_DAY;
    if (expires < check->now)
        finding_fail(check->findings, TOOL_USAGE, what, next,
                     "%s expired on %s", thing, date);
    else
        finding_warn(check->findings, what, next,
                     "%s expires on %s, in %lld day%s", thing, date, days,
                     days == 1 ? "" : "s");
}

/* ---- the verb ---- */

static const char help[] =
    "Usage: attest check [--conf FILE] [--exec PROGRAM] [--warn DAYS]\n"
    "                    [--strict] [--json]\n"
    "Is attestation on, here, for this user? Looks at openssl.cnf, the "
    "module,\n"
    "the policy, the TPM and what expires; one line each: ok, note, warn, "
    "FAIL.\n"
    "\n"
    "  --conf FILE  instead of OPENSSL_CONF or the system's openssl.cnf\n"
    "  --exec PROGRAM  look at a program too: does it read this file, and "
    "is its\n"
    "               OpenSSL the one attest works in?\n"
    "  --warn DAYS  warn of what expires within so many days (default 30)\n"
    "  --strict     warnings count as failures\n"
    "\n"
    "Exit status: 0 nothing failed, 2 configuration or policy must be mended,\n"
    "4 TPM unavailable.\n";

struct arguments {
    const char *conf;    /* NULL: the default */
    const char *program; /* NULL: none */
    unsigned warn_days;
    bool strict;
};

/* "30d" or "30". */
static bool parse_days(const char *text, unsigned *ret_days)
{
    size_t len = strlen(text);
    char digits[16];

    if (len > 0 && text[len - 1] == 'd')
        len--;
    if (len >= sizeof(digits))
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    return tool_number(digits, 0, WARN_DAYS_MAX, ret_days);
}

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    enum { OPT_CONF = 256, OPT_EXEC, OPT_WARN, OPT_STRICT };
    static const struct option longopts[] = {
        {"conf", required_argument, NULL, OPT_CONF},
        {"exec", required_argument, NULL, OPT_EXEC},
        {"warn", required_argument, NULL, OPT_WARN},
        {"strict", no_argument, NULL, OPT_STRICT},
        {NULL, 0, NULL, 0}};
    int opt;

    while ((opt = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        switch (opt) {
        case OPT_CONF:
            ret->conf = optarg;
            break;
        case OPT_EXEC:
            ret->program = optarg;
            break;
        case OPT_WARN:
            if (!parse_days(optarg, &ret->warn_days))
                return tool_usage(options, "--warn %s: expected days, 0 to %u",
                                  optarg, WARN_DAYS_MAX);
            break;
        case OPT_STRICT:
            ret->strict = true;
            break;
        default:
            return tool_bad_option(options, opt, argv);
        }
    }
    if (optind < argc)
        return tool_usage(options,
                          "unexpected argument %s: a configuration is named "
                          "with --conf",
                          argv[optind]);
    return TOOL_DONE;
}

/* Scan first: it refuses what OpenSSL's parser would read for ever. */
static enum atls_error load(struct check *check, const char *path,
                            struct atls_reason *why)
{
    char *found = path != NULL ? NULL : CONF_get1_default_config_file();
    enum atls_error r;

    if (path == NULL && found == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (path == NULL)
        path = found;
    r = cnf_scan_file(path, why, &check->scan);
    if (r == ATLS_E_LIMIT)
        r = why->code = ATLS_E_CONFIG; /* of a configuration, not of evidence */
    if (r == ATLS_OK)
        r = tool_conf_load(path, why, &check->conf);
    OPENSSL_free(found);
    return r;
}

static void run_checks(struct check *check)
{
    if (!check_configuration(check))
        return;
    check_module(check);
    if (check->configuration.broken.code != ATLS_OK)
        return;
    if (check->configuration.has_verifier)
        check_policy(check);
    if (check->configuration.has_attester)
        check_attester(check);
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
    check.findings = findings_new();
    if (check.findings == NULL) {
        (void)atls_fail(&why, ATLS_E_NOMEM, NULL);
        return tool_fail(options, &why);
    }
    if (load(&check, arguments.conf, &why) != ATLS_OK)
        finding_fail(check.findings, TOOL_USAGE, "configuration",
                     "OpenSSL runs programs without it", "%s", why.text);
    else
        run_checks(&check);
    if (arguments.program != NULL)
        check_program(&check, arguments.program);
    status = findings_print(check.findings, options, arguments.strict);
    tool_conf_free(check.conf);
    cnf_scan_free(check.scan);
    findings_free(check.findings);
    return status;
}

const struct tool_verb tool_verb_check = {
    .name = "check",
    .synopsis = "is attestation on and in order on this machine?",
    .help = help,
    .run = run,
};
