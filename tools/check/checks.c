/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/checks.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "verifier/certificate.h"

#define SECONDS_PER_DAY 86400

/* ---- findings ---- */

static const char *text_of(const struct atls_reason *why)
{
    return why->text[0] != '\0' ? why->text : atls_error_sentence(why->code);
}

/* A refusal of provider/ as a finding: one of the TPM unless it is of the
 * configuration. */
void tool_check_fail(struct check *check, const char *what, const char *next,
                     const struct atls_reason *why)
{
    int status = atls_error_status(why->code) == TOOL_UNAVAILABLE
                     ? TOOL_UNAVAILABLE
                     : TOOL_USAGE;

    tool_finding_fail(check->findings, status, what, next, "%s", text_of(why));
}

/* ---- the configuration ---- */

const STACK_OF(CONF_VALUE)
    * tool_check_keys_of(const struct check *check, const char *section)
{
    const STACK_OF(CONF_VALUE) *values = NULL;

    if (section == NULL)
        return NULL;
    ERR_set_mark();
    values = NCONF_get_section(check->conf->nconf, section);
    ERR_pop_to_mark();
    return values;
}

unsigned tool_check_line(const struct check *check, const char *section,
                         const char *key, const char **ret_file)
{
    const struct cnf_entry *entry =
        tool_cnf_scan_find(check->scan, section, key);

    *ret_file = entry != NULL ? entry->file : check->conf->path;
    return entry != NULL ? entry->line : 0;
}

/* ---- files, users, dates ---- */

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
