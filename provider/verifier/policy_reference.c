/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>

#include "verifier/policy_internal.h"
#include "base/edit_distance.h"

const struct atls_scan_section *atls_policy_find_scanned(
    const struct atls_scan *scan, const char *name)
{
    for (size_t i = 0; i < scan->section_count; i++) {
        if (strcmp(scan->sections[i].name, name) == 0)
            return &scan->sections[i];
    }
    return NULL;
}

static enum atls_error check_exists(const struct atls_policy_loader *loader,
                                    const char *name)
{
    const struct atls_scan *scan = &loader->scan;
    struct atls_suggestion near;

    if (atls_policy_find_scanned(scan, name) != NULL)
        return ATLS_OK;
    atls_suggestion_begin(&near, name);
    for (size_t i = 0; i < scan->section_count; i++)
        atls_suggestion_consider(&near, scan->sections[i].name);
    if (near.best != NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "there is no section [%.64s]; did you mean %.64s?",
                         name, near.best);
    return atls_fail(loader->why, ATLS_E_POLICY,
                     "there is no section [%.64s]; add it or take it out of "
                     "the list",
                     name);
}

static enum atls_error add_name(struct atls_policy_loader *loader,
                                const char *name)
{
    struct atls_section *section = loader->section;
    enum atls_error r = check_exists(loader, name);

    if (r != ATLS_OK)
        return r;
    for (size_t i = 0; i < section->reference_count; i++) {
        if (strcmp(section->references[i].name, name) == 0)
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "%.64s stands in the list twice; keep one", name);
    }
    section->references[section->reference_count].name = OPENSSL_strdup(name);
    if (section->references[section->reference_count].name == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    section->reference_count++;
    return ATLS_OK;
}

enum atls_error atls_policy_set_reference(struct atls_policy_loader *loader,
                                          const struct atls_scan_pair *pair)
{
    struct atls_section *section = loader->section;

    (void)pair;
    section->references =
        OPENSSL_zalloc(loader->item_count * sizeof(*section->references));
    if (section->references == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < loader->item_count; i++) {
        enum atls_error r = add_name(loader, loader->items[i]);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

bool atls_policy_is_reference(const struct atls_scan *scan, const char *name)
{
    for (size_t i = 0; i < scan->section_count; i++) {
        const struct atls_scan_pair *list =
            atls_scan_find(&scan->sections[i], "reference");

        if (list != NULL && atls_policy_list_has(list->value, name))
            return true;
    }
    return false;
}

bool atls_policy_reference_is_used(const struct atls_policy *policy,
                                   const char *name)
{
    for (size_t i = 0; i < policy->section_count; i++) {
        const struct atls_section *section = &policy->sections[i];

        for (size_t j = 0; j < section->reference_count; j++) {
            if (strcmp(section->references[j].name, name) == 0)
                return true;
        }
    }
    return false;
}
