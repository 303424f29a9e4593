/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>

#include "verifier/policy.h"
#include "verifier/policy_internal.h"

static enum atls_error add_server(struct atls_policy_loader *loader,
                                  const char *name)
{
    struct atls_policy *policy = loader->policy;
    const struct atls_section *section = atls_policy_find(policy, name);

    if (section == NULL && atls_policy_is_reference(&loader->scan, name))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%.64s] is a reference, not a section for peers; "
                         "list the section that names it",
                         name);
    if (section == NULL)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "there is no section [%.64s]; add it or take it out of "
            "the list",
            name);
    for (size_t i = 0; i < policy->server_count; i++) {
        if (policy->servers[i] == section)
            return atls_fail(
                loader->why, ATLS_E_POLICY,
                "%.64s stands in the list twice; the first section "
                "that matches counts, keep one",
                name);
    }
    if (section->name_count == 0)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "[%.64s] has no `names` and so would match nobody; say "
            "whom it describes",
            name);
    policy->servers[policy->server_count] = section;
    policy->server_count++;
    return ATLS_OK;
}

static enum atls_error set_servers(struct atls_policy_loader *loader,
                                   const struct atls_scan_pair *pair)
{
    struct atls_policy *policy = loader->policy;

    (void)pair;
    policy->servers =
        OPENSSL_zalloc(loader->item_count * sizeof(*policy->servers));
    if (policy->servers == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < loader->item_count; i++) {
        enum atls_error r = add_server(loader, loader->items[i]);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error set_otherwise(struct atls_policy_loader *loader,
                                     const struct atls_scan_pair *pair)
{
    return atls_policy_parse_mode(pair->value, loader->why,
                                  &loader->policy->otherwise);
}

static enum atls_error set_nameless(struct atls_policy_loader *loader,
                                    const struct atls_scan_pair *pair)
{
    struct atls_policy *policy = loader->policy;

    if (strcmp(pair->value, "refuse") == 0) {
        policy->nameless = ATLS_NAMELESS_REFUSE;
        return ATLS_OK;
    }
    if (strcmp(pair->value, "off") == 0) {
        policy->nameless = ATLS_NAMELESS_OFF;
        return ATLS_OK;
    }
    policy->nameless = ATLS_NAMELESS_SECTION;
    policy->nameless_section = atls_policy_find(policy, pair->value);
    if (policy->nameless_section == NULL
        && atls_policy_is_reference(&loader->scan, pair->value))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%.64s] is a reference, not a section for peers; "
                         "write the section that names it",
                         pair->value);
    if (policy->nameless_section == NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected refuse, off or the name of a section, found "
                         "'%.60s'",
                         pair->value);
    return ATLS_OK;
}

static const struct atls_policy_key policy_keys[] = {
    {"servers", ATLS_FORM_LIST, set_servers},
    {"clients", ATLS_FORM_WORD, atls_policy_set_unsupported},
    {"otherwise", ATLS_FORM_WORD, set_otherwise},
    {"nameless", ATLS_FORM_WORD, set_nameless},
    {NULL, ATLS_FORM_WORD, NULL},
};

/* The first section that requires, or NULL. */
static const struct atls_section *requiring_section(
    const struct atls_policy *policy)
{
    for (size_t i = 0; i < policy->section_count; i++) {
        if (policy->sections[i].mode == ATLS_MODE_REQUIRE)
            return &policy->sections[i];
    }
    return NULL;
}

static enum atls_error check_policy(const struct atls_policy_loader *loader,
                                    const struct atls_scan_section *scanned)
{
    const struct atls_section *requiring = requiring_section(loader->policy);

    if (atls_scan_find(scanned, "otherwise") == NULL)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "otherwise: missing in [policy]; write off, observe or "
            "require for peers that no section names");
    if (requiring != NULL && atls_scan_find(scanned, "nameless") == NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "nameless: missing in [policy], and [%.64s] requires; "
                         "write refuse, off or a section for servers reached "
                         "without a name",
                         requiring->name);
    return ATLS_OK;
}

enum atls_error atls_policy_fill_policy(struct atls_policy_loader *loader,
                                        const struct atls_scan_section *scanned)
{
    enum atls_error r;

    loader->section = NULL;
    for (size_t i = 0; i < scanned->pair_count; i++) {
        r = atls_policy_apply(loader, policy_keys, &scanned->pairs[i]);
        if (r != ATLS_OK)
            return r;
    }
    return atls_policy_locate(loader, scanned, check_policy(loader, scanned));
}
