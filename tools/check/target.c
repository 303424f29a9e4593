/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/check/pid.h"

/*
 * The rule of --pid and --service, in one place: what a process's configuration
 * names is looked at, never loaded or run, and read with the rights of the
 * process's user. Whoever runs the process has written all of it, environment,
 * files and mounts, and may wait for root to look.
 */

/* ---- who reads ---- */

/* Is this the root that has forked a worker? A setuid program's parent is not:
 * its environment is of whoever started it. */
static bool is_master(const struct process *parent,
                      const struct process *worker)
{
    return parent->uid == 0 && parent->hidden.code == ATLS_OK
           && !parent->is_secure && !parent->has_other_users
           && parent->exe.path != NULL && worker->exe.path != NULL
           && strcmp(parent->exe.path, worker->exe.path) == 0;
}

/* prctl(2), PR_SET_DUMPABLE: anybody can look as if he had been root. Only a root
 * that is there proves that there was one. */
void subject_choose_reader(struct subject *subject)
{
    const struct process *named = subject->list.items[0];
    struct process *parent = NULL;

    subject->reader = named;
    if (named->may_have_been_root
        && process_read(named->parent, NULL, &parent) == ATLS_OK
        && is_master(parent, named))
        subject->reader = subject->master = parent;
    else
        process_free(parent);
    subject->user = place_user_of(subject->reader);
}

/* A service that is stopped. */
bool subject_use_user(struct check *check, struct subject *subject,
                      gid_t groups[PLACE_GROUPS_MAX])
{
    const char *name =
        subject->unit->user[0] != '\0' ? subject->unit->user : "root";
    const struct passwd *user = getpwnam(name);
    int count = PLACE_GROUPS_MAX;

    if (user == NULL) {
        finding_fail(check->findings, TOOL_USAGE, "service",
                     "Correct User= in the unit", "there is no user %s", name);
        return false;
    }
    if (getgrouplist(name, user->pw_gid, groups, &count) < 0)
        count = 0;
    subject->user = (struct place_user){
        .uid = user->pw_uid,
        .gid = user->pw_gid,
        .group_count = (size_t)count,
        .groups = groups,
        .capabilities = user->pw_uid == 0 ? UINT64_MAX : 0,
    };
    return true;
}

/* ---- environment ---- */

static void set_variable(const char *text)
{
    const char *equals = strchr(text, '=');
    char *name = equals != NULL ? strndup(text, (size_t)(equals - text)) : NULL;

    if (name != NULL)
        setenv(name, equals + 1, 0); /* the first counts */
    free(name);
}

/* What OpenSSL itself goes by. */
static bool is_of_openssl(const char *text)
{
    static const char *const names[] = {
        "OPENSSL_CONF=", "OPENSSL_MODULES=", "OPENSSL_CONF_INCLUDE="};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(text, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* C3: with AT_SECURE set, secure_getenv(3) finds nothing. */
static void use_environment(const struct subject *subject, bool all)
{
    const char *end = subject->environment + subject->environment_len;

    clearenv();
    if (subject->reader != NULL && subject->reader->is_secure)
        return;
    for (const char *p = subject->environment; p != NULL && p < end;
         p += strlen(p) + 1)
        if (all || is_of_openssl(p))
            set_variable(p);
}

/* ---- its place ---- */

/* Where a program that has called chroot(2) has been before: its namespace. Does
 * its new root have the file? Then it has always been there. */
static bool is_in_root(const struct process *process, const char *path)
{
    char way[PATH_MAX + 8];

    if (path == NULL || path[0] != '/')
        return true;
    snprintf(way, sizeof(way), "root%s", path);
    return faccessat(process->dir, way, F_OK, 0) == 0;
}

static unsigned places_of(const struct subject *subject)
{
    char *path = CONF_get1_default_config_file();
    const bool is_there = is_in_root(
        subject->reader, subject->conf != NULL ? subject->conf : path);

    OPENSSL_free(path);
    return PLACE_MOUNTS | PLACE_NETWORK | (is_there ? PLACE_ROOT : 0u);
}

/* Relative names are relative to this. */
static void enter_folder(const struct process *process)
{
    int fd = openat(process->dir, "cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!fchdir(fd);
        close(fd);
    }
}

static enum atls_error enter(const struct subject *subject,
                             struct atls_reason *why)
{
    enum atls_error r;

    if (subject->reader == NULL)
        return ATLS_OK; /* a service that is stopped: here */
    r = place_enter(subject->reader, places_of(subject), why);
    if (r == ATLS_OK)
        enter_folder(subject->reader);
    return r;
}

/* ---- its files ---- */

/* A file of root's in our own root, named with --conf, is read with the rights of
 * whoever named it: a worker may have read it before it gave up its own. */
static bool is_ours(const struct subject *subject)
{
    const struct process *reader = subject->reader;
    struct stat st;

    return subject->conf != NULL
           && (reader == NULL
               || (!reader->has_other_mounts && !reader->has_other_root))
           && stat(subject->conf, &st) == 0 && S_ISREG(st.st_mode)
           && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0
           && check_folders_are_safe(subject->conf);
}

/* $ENV::NAME in the file stands for any variable; nothing but the parser ever
 * sees those (TSS2_LOGFILE, TZ, GCONV_PATH ...). */
static enum atls_error load(struct check *check, const struct subject *subject,
                            struct atls_reason *why)
{
    enum atls_error r;

    use_environment(subject, true);
    r = check_load(check, subject->conf, why);
    use_environment(subject, false);
    return r;
}

/* A configuration of a third user is his word, not the process's. */
static enum atls_error check_owners(const struct check *check,
                                    const struct subject *subject,
                                    struct atls_reason *why)
{
    for (size_t i = 0; i < check->scan->file_count; i++) {
        const char *file = check->scan->files[i];
        struct stat st;

        if (stat(file, &st) != 0)
            return atls_fail(why, ATLS_E_IO, "%s: %s", file, strerror(errno));
        if (st.st_uid != 0 && st.st_uid != subject->user.uid)
            return atls_fail(why, ATLS_E_CONFIG,
                             "%s belongs to user %u, who is neither root nor "
                             "user %u that reads it: give it to root (chown "
                             "root); nothing more of it is looked at",
                             file, st.st_uid, subject->user.uid);
    }
    return ATLS_OK;
}

enum atls_error subject_read_settings(struct check *check,
                                      const struct subject *subject,
                                      struct atls_reason *why)
{
    struct place_borrowed own;
    bool is_own;
    enum atls_error r;

    use_environment(subject, false);
    check->of_process = true;
    check->is_elsewhere = subject->reader != NULL
                          && (subject->reader->has_other_mounts
                              || subject->reader->has_other_root);
    check->has_no_devices =
        subject->reader != NULL && place_is_container(subject->reader);
    r = enter(subject, why);
    if (r != ATLS_OK)
        return r;
    is_own = is_ours(subject);
    if (!is_own)
        r = place_borrow(&subject->user, why, &own);
    if (r == ATLS_OK)
        r = load(check, subject, why);
    if (!is_own)
        place_give_back(&own);
    if (r == ATLS_OK)
        r = check_owners(check, subject, why);
    if (r == ATLS_OK)
        tool_conf_configuration(check->conf, &check->configuration);
    return r;
}

enum atls_error subject_new_attester(const struct check *check,
                                     const struct subject *subject,
                                     struct atls_reason *why,
                                     struct atls_attester **ret_attester)
{
    struct place_borrowed own;
    enum atls_error r = place_borrow(&subject->user, why, &own);

    if (r == ATLS_OK)
        r = check_new_attester(check, why, ret_attester);
    place_give_back(&own);
    return r;
}
