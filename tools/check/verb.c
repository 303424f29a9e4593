/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/asn1.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/check/pid.h"
#include "tools/check/checks.h"
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

/* Can no user but the owner replace a file in this folder or in one above?
 * With the sticky bit nobody can (chmod(2)). path has no symbolic links. */
static bool folders_are_safe(char *folder)
{
    struct stat st;
    bool safe = folder != NULL;

    while (safe && go_up(folder))
        safe = stat(folder, &st) == 0
               && ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0
                   || (st.st_mode & S_ISVTX) != 0);
    return safe;
}

bool tool_check_folders_are_safe(const char *path)
{
    char *folder = realpath(path, NULL);
    bool safe = folders_are_safe(folder);

    free(folder);
    return safe;
}

bool tool_check_folders(struct check *check, const char *what, const char *path)
{
    char *folder = realpath(path, NULL);
    bool safe = folders_are_safe(folder);

    if (!safe)
        tool_finding_fail(check->findings, TOOL_USAGE, what,
                          "Take the right away: chmod go-w",
                          "others can replace %s: the folder %s is writable by "
                          "group or others",
                          path, folder != NULL ? folder : "it is in");
    free(folder);
    return safe;
}

void tool_check_user(const struct check *check, uid_t uid,
                     char ret_user[CHECK_USER_MAX])
{
    const struct passwd *user = check->is_elsewhere ? NULL : getpwuid(uid);

    if (user != NULL)
        snprintf(ret_user, CHECK_USER_MAX, "%.40s (%u)", user->pw_name, uid);
    else
        snprintf(ret_user, CHECK_USER_MAX, "user %u", uid);
}

bool tool_check_permissions(struct check *check, const char *what,
                            const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        tool_finding_fail(check->findings, TOOL_USAGE, what, "Create it",
                          "%s: %s", path, strerror(errno));
        return false;
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        tool_finding_fail(check->findings, TOOL_USAGE, what,
                          "Take the right away: chmod go-w",
                          "%s is writable by group or others (mode %03o)", path,
                          (unsigned)st.st_mode & 0777u);
        return false;
    }
    return tool_check_surroundings(check, what, path);
}

bool tool_check_surroundings(struct check *check, const char *what,
                             const char *path)
{
    char owner[CHECK_USER_MAX];
    struct stat st;

    if (stat(path, &st) == 0 && st.st_uid != 0 && st.st_uid != geteuid()) {
        tool_check_user(check, st.st_uid, owner);
        tool_finding_warn(check->findings, what, "Give it to root: chown root",
                          "%s belongs to %s, who can change it", path, owner);
    }
    return tool_check_folders(check, what, path);
}

int64_t tool_check_time_of(const ASN1_TIME *time)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return INT64_MAX;
    return (int64_t)timegm(&tm);
}

void tool_check_expiry(struct check *check, const char *what, const char *thing,
                       int64_t expires, const char *next)
{
    char date[ATLS_DATE_MAX];
    long long days;

    if (expires - check->warn_seconds > check->now)
        return;
    atls_certificate_date_of(expires, date);
    days = (long long)(expires - check->now) / SECONDS_PER_DAY;
    if (expires < check->now)
        tool_finding_fail(check->findings, TOOL_USAGE, what, next,
                          "%s expired on %s", thing, date);
    else
        tool_finding_warn(check->findings, what, next,
                          "%s expires on %s, in %lld day%s", thing, date, days,
                          days == 1 ? "" : "s");
}

/* ---- the verb ---- */

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
