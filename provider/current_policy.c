/* SPDX-License-Identifier: BSD-2-Clause */
#include "current_policy.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/root.h"

#define INTERVAL_MS 1000

/*
 * A policy that is or was in force. Readers need no lock, which could be held by a
 * thread that does not exist in a forked child: they count themselves in, take a
 * reference and count themselves out. A replaced policy is freed when no reader is
 * counted in, as later readers find its successor. A reader that a fork left behind
 * keeps the child's old policies until the end.
 */
struct loaded {
    struct atls_policy *policy; /* NULL: reason says why */
    struct atls_reason reason;
    struct loaded *older;
};

/* The root and the rights with which files are read. */
struct viewpoint {
    struct atls_root root;
    uid_t uid;
    gid_t gid;
};

struct atls_current_policy {
    char *path;
    struct atls_log *log;
    _Atomic(struct loaded *) loaded;
    atomic_uint readers; /* of loaded, at this moment */
    atomic_uint
        loader; /* generation + 1 of the process that is loading; or 0 */
    unsigned interval_ms;
    atomic_int_least64_t checked_ms; /* when the files of loaded were checked */
    atomic_bool is_unread; /* they could not be read, and may be readable now */
    struct viewpoint viewpoint;  /* when they were first read */
    atomic_bool is_out_of_reach; /* and this is in the log */
};

static void log_warnings(const struct atls_current_policy *current,
                         const struct atls_policy *policy)
{
    const char *warning;

    for (size_t i = 0; (warning = atls_policy_warning(policy, i)) != NULL; i++)
        atls_log_write(current->log, ATLS_LOG_WARN, "%s", warning);
}

/* A loader of another process is a thread that a fork left behind. */
static bool begin_loading(struct atls_current_policy *current)
{
    unsigned self = atls_process_generation() + 1;
    unsigned found = 0;

    if (atomic_compare_exchange_strong(&current->loader, &found, self))
        return true;
    return found != self
           && atomic_compare_exchange_strong(&current->loader, &found, self);
}

static void end_loading(struct atls_current_policy *current)
{
    atomic_store(&current->loader, 0);
}

static void note_viewpoint(struct viewpoint *ret)
{
    atls_root_note(&ret->root);
    ret->uid = geteuid();
    ret->gid = getegid();
}

/* A policy that could not be read, perhaps for want of descriptors, is read again at
 * the next handshake. */
static bool is_worth_another_try(const struct loaded *loaded)
{
    return loaded->reason.code == ATLS_E_IO
           || loaded->reason.code == ATLS_E_NOMEM;
}

/* Called by the thread that loads, or while the object is made. False: no memory. */
static bool load(struct atls_current_policy *current)
{
    struct loaded *loaded = OPENSSL_zalloc(sizeof(*loaded));
    struct loaded *older = atomic_load(&current->loaded);

    atomic_store(&current->is_unread, loaded == NULL);
    if (loaded == NULL)
        return false;
    if (atls_policy_load(current->path, &loaded->reason, &loaded->policy)
        == ATLS_OK)
        log_warnings(current, loaded->policy);
    else
        atomic_store(&current->is_unread, is_worth_another_try(loaded));
    if (loaded->policy == NULL && older != NULL && older->policy == NULL
        && strcmp(older->reason.text, loaded->reason.text) == 0) {
        OPENSSL_free(loaded); /* the same reason is in the log already */
        return true;
    }
    if (loaded->policy == NULL)
        atls_log_write(current->log, ATLS_LOG_ERROR,
                       "every handshake is refused: %s", loaded->reason.text);
    loaded->older = older;
    atomic_store(&current->loaded, loaded);
    return true;
}

/* Can the files no longer be reached, as root or rights have changed since they were
 * first read? Then the policy that was read last remains in force. */
static bool is_out_of_reach(struct atls_current_policy *current, int error)
{
    const struct viewpoint *then = &current->viewpoint;
    bool has_other_root = atls_root_has_changed(&then->root);
    bool has_other_rights = geteuid() != then->uid || getegid() != then->gid;

    if (!has_other_root && !(has_other_rights && error == EACCES))
        return false;
    if (!atomic_exchange(&current->is_out_of_reach, true))
        atls_log_write(current->log, ATLS_LOG_WARN,
                       "the policy %s cannot be followed any longer: this "
                       "program has %s since it was read; restart it after "
                       "changes, or let it reach the files",
                       current->path,
                       has_other_root ? "another root" : "other rights");
    return true;
}

/* The files of a policy that could not be loaded are not known: it is read again, as it
 * may have been repaired. */
static bool must_load(struct atls_current_policy *current)
{
    const struct loaded *loaded = atomic_load(&current->loaded);
    struct stat st;

    if (loaded->policy == NULL)
        return stat(current->path, &st) == 0
               || !is_out_of_reach(current, errno);
    switch (atls_policy_look(loaded->policy)) {
    case ATLS_FILE_SAME:
        return false;
    case ATLS_FILE_GONE:
        return !is_out_of_reach(current, errno);
    case ATLS_FILE_CHANGED:
        break;
    }
    return true;
}

/* True for one of several threads. */
static bool is_time_to_check(struct atls_current_policy *current)
{
    int_least64_t now_ms = atls_now_ms();
    int_least64_t checked_ms = atomic_load(&current->checked_ms);

    if (atomic_load(&current->is_unread))
        return true;
    return now_ms >= checked_ms + current->interval_ms
           && atomic_compare_exchange_strong(&current->checked_ms, &checked_ms,
                                             now_ms);
}

static void free_policies(struct loaded *loaded)
{
    while (loaded != NULL) {
        struct loaded *older = loaded->older;

        atls_policy_unref(loaded->policy);
        OPENSSL_free(loaded);
        loaded = older;
    }
}

/* Called by the thread that loads. */
static void drop_replaced(struct atls_current_policy *current)
{
    struct loaded *loaded = atomic_load(&current->loaded);

    if (atomic_load(&current->readers) > 0)
        return;
    free_policies(loaded->older);
    loaded->older = NULL;
}

static enum atls_error take(struct atls_current_policy *current,
                            struct atls_reason *why,
                            struct atls_policy **ret_policy)
{
    const struct loaded *loaded;
    enum atls_error r = ATLS_OK;

    atomic_fetch_add(&current->readers, 1);
    loaded = atomic_load(&current->loaded);
    if (loaded->policy != NULL)
        *ret_policy = atls_policy_ref(loaded->policy);
    else
        r = atls_fail_as(why, &loaded->reason);
    atomic_fetch_sub(&current->readers, 1);
    return r;
}

enum atls_error atls_current_policy_get(struct atls_current_policy *current,
                                        struct atls_reason *why,
                                        struct atls_policy **ret_policy)
{
    *ret_policy = NULL;
    if (is_time_to_check(current) && begin_loading(current)) {
        if (must_load(current) && load(current))
            drop_replaced(current);
        end_loading(current);
    }
    return take(current, why, ret_policy);
}

struct atls_current_policy *atls_current_policy_new(const char *path,
                                                    struct atls_log *log)
{
    struct atls_current_policy *current = OPENSSL_zalloc(sizeof(*current));

    if (current == NULL)
        return NULL;
    current->log = log;
    note_viewpoint(&current->viewpoint);
    current->interval_ms = INTERVAL_MS;
    atomic_store(&current->checked_ms, atls_now_ms());
    current->path = OPENSSL_strdup(path);
    if (current->path == NULL || !load(current)) {
        atls_current_policy_free(current);
        return NULL;
    }
    return current;
}

void atls_current_policy_free(struct atls_current_policy *current)
{
    if (current == NULL)
        return;
    free_policies(atomic_load(&current->loaded));
    OPENSSL_free(current->path);
    OPENSSL_free(current);
}

void atls_current_policy_set_interval(struct atls_current_policy *current,
                                      unsigned ms)
{
    current->interval_ms = ms;
}
