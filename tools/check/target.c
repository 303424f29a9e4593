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

#include "tools/check/target.h"

/* The rule of --pid and --service: what a process's configuration names is
 * inspected, never loaded or executed, and is read with the rights of the
 * process's user. That user may have written all of it (environment, files,
 * mounts) and may wait for root to look. */

bool tool_target_is_worker(const struct target *target, size_t i)
{
    const char *main = target->list.items[0]->exe.path;
    const char *other = target->list.items[i]->exe.path;

    return i == 0
           || (main != NULL && other != NULL && strcmp(main, other) == 0);
}

/* ---- which process reads ---- */

/* Is this root process the parent that forked the worker? The parent of a
 * setuid program is not: its environment belongs to the user who started it. */
static bool is_master(const struct process *parent,
                      const struct process *worker)
{
    return parent->uid == 0 && parent->hidden.code == ATLS_OK
           && !parent->is_secure && !parent->has_other_users
           && parent->exe.path != NULL && worker->exe.path != NULL
           && strcmp(parent->exe.path, worker->exe.path) == 0;
}

/* prctl(2), PR_SET_DUMPABLE: any process can look as if it had been root. Only
 * a root process that still runs proves it. */
void tool_target_choose_reader(struct target *target)
{
    const struct process *named = target->list.items[0];
    struct process *parent = NULL;

    target->reader = named;
    if (named->may_have_been_root
        && tool_process_read(named->parent, NULL, &parent) == ATLS_OK
        && is_master(parent, named))
        target->reader = target->master = parent;
    else
        tool_process_free(parent);
    target->user = tool_sandbox_user_of(target->reader);
}

/* A service that is stopped. */
bool tool_target_use_user(struct check *check, struct target *target,
                          gid_t groups[SANDBOX_GROUPS_MAX])
{
    const char *name =
        target->unit->user[0] != '\0' ? target->unit->user : "root";
    const struct passwd *user = getpwnam(name);
    int count = SANDBOX_GROUPS_MAX;

    if (user == NULL) {
        tool_finding_fail(check->findings, TOOL_USAGE, "service",
                          "Correct User= in the unit", "there is no user %s",
                          name);
        return false;
    }
    if (getgrouplist(name, user->pw_gid, groups, &count) < 0)
        count = 0;
    target->user = (struct sandbox_user){
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

/* The variables that OpenSSL itself reads. */
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
static void use_environment(const struct target *target, bool all)
{
    const char *end = target->environment + target->environment_len;

    clearenv();
    if (target->reader != NULL && target->reader->is_secure)
        return;
    for (const char *p = target->environment; p != NULL && p < end;
         p += strlen(p) + 1)
        if (all || is_of_openssl(p))
            set_variable(p);
}

/* ---- its place ---- */

/* The namespace in which a program was before chroot(2). If the new root has
 * the file, the program has always been there. */
static bool is_in_root(const struct process *process, const char *path)
{
    char way[PATH_MAX + 8];

    if (path == NULL || path[0] != '/')
        return true;
    snprintf(way, sizeof(way), "root%s", path);
    return faccessat(process->dir, way, F_OK, 0) == 0;
}

static unsigned places_of(const struct target *target)
{
    char *path = CONF_get1_default_config_file();
    const bool is_there =
        is_in_root(target->reader, target->conf != NULL ? target->conf : path);

    OPENSSL_free(path);
    return SANDBOX_MOUNTS | SANDBOX_NETWORK | (is_there ? SANDBOX_ROOT : 0u);
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

static enum atls_error enter(const struct target *target,
                             struct atls_reason *why)
{
    enum atls_error r;

    if (target->reader == NULL)
        return ATLS_OK; /* a service that is stopped: here */
    r = tool_sandbox_enter(target->reader, places_of(target), why);
    if (r == ATLS_OK)
        enter_folder(target->reader);
    return r;
}

/* ---- its files ---- */

/* A file of root's in our own root that --conf names is read with the rights
 * of the user who named it: a worker may have read it before it gave up its
 * own. */
static bool is_ours(const struct target *target)
{
    const struct process *reader = target->reader;
    struct stat st;

    return target->conf != NULL
           && (reader == NULL
               || (!reader->has_other_mounts && !reader->has_other_root))
           && stat(target->conf, &st) == 0 && S_ISREG(st.st_mode)
           && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0
           && tool_check_folders_are_safe(target->conf);
}

/* $ENV::NAME in the file reads any variable; only the parser sees those, no
 * library (TSS2_LOGFILE, TZ, GCONV_PATH ...). */
static enum atls_error load(struct check *check, const struct target *target,
                            struct atls_reason *why)
{
    enum atls_error r;

    use_environment(target, true);
    r = tool_check_load(check, target->conf, why);
    use_environment(target, false);
    return r;
}

/* A configuration that a third user owns does not speak for the process. */
static enum atls_error check_owners(const struct check *check,
                                    const struct target *target,
                                    struct atls_reason *why)
{
    for (size_t i = 0; i < check->scan->file_count; i++) {
        const char *file = check->scan->files[i];
        struct stat st;

        if (stat(file, &st) != 0)
            return atls_fail(why, ATLS_E_IO, "%s: %s", file, strerror(errno));
        if (st.st_uid != 0 && st.st_uid != target->user.uid)
            return atls_fail(why, ATLS_E_CONFIG,
                             "%s belongs to user %u, who is neither root nor "
                             "user %u that reads it: give it to root (chown "
                             "root); nothing more of it is looked at",
                             file, st.st_uid, target->user.uid);
    }
    return ATLS_OK;
}

enum atls_error tool_target_read_settings(struct check *check,
                                          const struct target *target,
                                          struct atls_reason *why)
{
    struct sandbox_borrowed own;
    bool is_own;
    enum atls_error r;

    use_environment(target, false);
    check->of_process = true;
    check->is_elsewhere =
        target->reader != NULL
        && (target->reader->has_other_mounts || target->reader->has_other_root);
    check->has_no_devices =
        target->reader != NULL && tool_sandbox_is_container(target->reader);
    r = enter(target, why);
    if (r != ATLS_OK)
        return r;
    is_own = is_ours(target);
    if (!is_own)
        r = tool_sandbox_borrow(&target->user, why, &own);
    if (r == ATLS_OK)
        r = load(check, target, why);
    if (!is_own)
        tool_sandbox_give_back(&own);
    if (r == ATLS_OK)
        r = check_owners(check, target, why);
    if (r == ATLS_OK)
        tool_conf_configuration(check->conf, &check->configuration);
    return r;
}

enum atls_error tool_target_new_attester(const struct check *check,
                                         const struct target *target,
                                         struct atls_reason *why,
                                         struct atls_attester **ret_attester)
{
    struct sandbox_borrowed own;
    enum atls_error r = tool_sandbox_borrow(&target->user, why, &own);

    if (r == ATLS_OK)
        r = tool_check_new_attester(check, why, ret_attester);
    tool_sandbox_give_back(&own);
    return r;
}
