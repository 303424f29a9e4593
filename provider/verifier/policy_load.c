/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "verifier/policy.h"
#include "verifier/policy_internal.h"

/* How often a policy is read whose files are replaced meanwhile. */
#define TRIES 8u

static bool is_policy_section(const struct atls_scan_section *scanned)
{
    return strcmp(scanned->name, ATLS_POLICY_SECTION) == 0;
}

static const struct atls_scan_section *find_policy_section(
    const struct atls_scan *scan)
{
    for (size_t i = 0; i < scan->section_count; i++) {
        if (is_policy_section(&scan->sections[i]))
            return &scan->sections[i];
    }
    return NULL;
}

/* All sections that describe peers. */
static enum atls_error load_sections(struct atls_policy_loader *loader)
{
    const struct atls_scan *scan = &loader->scan;
    struct atls_policy *policy = loader->policy;

    policy->sections =
        OPENSSL_zalloc(scan->section_count * sizeof(*policy->sections));
    if (policy->sections == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < scan->section_count; i++) {
        enum atls_error r;

        if (is_policy_section(&scan->sections[i])
            || atls_policy_is_reference(scan, scan->sections[i].name))
            continue;
        loader->section = &policy->sections[policy->section_count];
        policy->section_count++;
        r = atls_policy_fill_section(loader, &scan->sections[i]);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static bool is_server_section(const struct atls_policy *policy,
                              const struct atls_section *section)
{
    for (size_t i = 0; i < policy->server_count; i++) {
        if (policy->servers[i] == section)
            return true;
    }
    return false;
}

/* A section nobody refers to is a misspelt one, and its peers go unchecked. */
static enum atls_error check_use(const struct atls_policy_loader *loader,
                                 const struct atls_scan_section *scanned)
{
    const struct atls_policy *policy = loader->policy;
    const struct atls_section *section =
        atls_policy_find(policy, scanned->name);

    if (is_policy_section(scanned)
        || atls_policy_reference_is_used(policy, scanned->name)
        || is_server_section(policy, section))
        return ATLS_OK;
    /* Sections that name each other, or themselves, and nobody else does. */
    if (section == NULL)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "[%.64s] is the reference of no section for peers" ATLS_MORE ": "
            "what is named by a `reference` names none itself; "
            "take it out of that list",
            scanned->name);
    if (policy->nameless_section != section)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%.64s] is in no list of [policy]; add it to "
                         "`servers`, or take it out",
                         section->name);
    if (section->name_count > 0)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "names: [%.64s] is not in `servers`, so these names "
                         "match nobody; add it there",
                         section->name);
    return ATLS_OK;
}

static enum atls_error check_uses(const struct atls_policy_loader *loader)
{
    const struct atls_scan *scan = &loader->scan;

    for (size_t i = 0; i < scan->section_count; i++) {
        enum atls_error r = atls_policy_locate(
            loader, &scan->sections[i], check_use(loader, &scan->sections[i]));

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error load(struct atls_policy_loader *loader)
{
    struct atls_policy *policy = loader->policy;
    const struct atls_scan_section *scanned =
        find_policy_section(&loader->scan);
    enum atls_error r;

    if (scanned == NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "%s: no [" ATLS_POLICY_SECTION
                         "] section; it says which of the others apply",
                         atls_policy_path(policy));
    r = load_sections(loader);
    if (r != ATLS_OK)
        return r;
    r = atls_policy_fill_policy(loader, scanned);
    if (r != ATLS_OK)
        return r;
    r = check_uses(loader);
    if (r != ATLS_OK)
        return r;
    atls_policy_warn(loader, (int64_t)time(NULL));
    if (loader->warning_lost)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

static enum atls_error read_and_load(struct atls_policy_loader *loader,
                                     const char *path)
{
    enum atls_error r = atls_scan_read(path, loader->why, &loader->scan);

    if (r != ATLS_OK)
        return r;
    loader->policy->files = loader->scan.files;
    loader->scan.files = NULL; /* transferred */
    return load(loader);
}

/* Since the first of its files was read, so that it may be a mixture. What cannot
 * even be scanned has no files.
 *   before  of the path, before the reading */
static bool was_replaced(const struct atls_policy *policy, const char *path,
                         const struct stat *before)
{
    struct stat after;

    if (stat(path, &after) == 0 && atls_file_is_other(before, &after))
        return true;
    for (const struct atls_file *file = policy->files; file != NULL;
         file = file->next) {
        if (atls_file_differs(file))
            return true;
    }
    return false;
}

static enum atls_error load_once(const char *path, struct atls_reason *why,
                                 bool *ret_was_replaced,
                                 struct atls_policy **ret_policy)
{
    struct atls_policy_loader loader = {.why = why};
    struct atls_policy *policy = OPENSSL_zalloc(sizeof(*policy));
    struct stat before = {0};
    enum atls_error r;

    *ret_was_replaced = false;
    if (policy == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    atomic_init(&policy->references, 1);
    loader.policy = policy;
    (void)stat(path, &before);
    r = read_and_load(&loader, path);
    OPENSSL_free(loader.items);
    atls_scan_clear(&loader.scan);
    *ret_was_replaced = was_replaced(policy, path, &before);
    if (r != ATLS_OK) {
        atls_policy_unref(policy);
        return r;
    }
    for (struct atls_file *file = policy->files; file != NULL;
         file = file->next)
        atls_file_drop_text(file);
    *ret_policy = policy;
    return ATLS_OK;
}

static enum atls_error load_whole(const char *path, struct atls_reason *why,
                                  struct atls_policy **ret_policy)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct atls_policy *policy = NULL;
        bool replaced = false;
        enum atls_error r = load_once(path, why, &replaced, &policy);

        if (!replaced && r == ATLS_OK)
            *ret_policy = policy;
        if (!replaced)
            return r;
        atls_policy_unref(policy);
    }
    return atls_fail(why, ATLS_E_IO,
                     "%.120s: replaced, it or a file that it names, during "
                     "each of %u readings; replace it less often",
                     path, TRIES);
}

/* From OpenSSL 3.2 an allocation that fails leaves an error too. */
enum atls_error atls_policy_load(const char *path, struct atls_reason *why,
                                 struct atls_policy **ret_policy)
{
    enum atls_error r;

    ERR_set_mark();
    r = load_whole(path, why, ret_policy);
    ERR_pop_to_mark();
    return r;
}
