/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>

#include "verifier/policy_internal.h"

static bool key_is(const struct atls_policy_key *key, const char *name)
{
    size_t len = strlen(key->name);

    if (key->name[len - 1] == '.')
        return strncmp(key->name, name, len) == 0;
    return strcmp(key->name, name) == 0;
}

const struct atls_policy_key *atls_policy_find_key(
    const struct atls_policy_key *keys, const char *name)
{
    for (; keys->name != NULL; keys++) {
        if (key_is(keys, name))
            return keys;
    }
    return NULL;
}

static const char *describe_section(const struct atls_policy_loader *loader)
{
    if (loader->section == NULL)
        return "[policy]";
    if (loader->reference != NULL)
        return "a section that a `reference` names: it may hold pcr.N, "
               "component.NAME and boot_log";
    return "a section for peers";
}

static enum atls_error set_value(struct atls_policy_loader *loader,
                                 const struct atls_policy_key *keys,
                                 const struct atls_scan_pair *pair)
{
    const struct atls_policy_key *key = atls_policy_find_key(keys, pair->key);
    enum atls_error r;

    if (key == NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "unknown key in %s; compare its spelling with "
                         "attest-policy.cnf(5)",
                         describe_section(loader));
    if (key->form == ATLS_FORM_LIST) {
        OPENSSL_free(loader->items);
        loader->items = NULL;
        r = atls_policy_parse_list(pair->value, loader->why,
                                   &loader->item_count, &loader->items);
        if (r != ATLS_OK)
            return r;
    }
    return key->set(loader, pair);
}

enum atls_error atls_policy_apply(struct atls_policy_loader *loader,
                                  const struct atls_policy_key *keys,
                                  const struct atls_scan_pair *pair)
{
    enum atls_error r = set_value(loader, keys, pair);

    if (r != ATLS_OK) {
        atls_reason_prefix(loader->why, "%.48s: ", pair->key);
        atls_file_locate(loader->why, pair->file, pair->line);
    }
    return r;
}

enum atls_error atls_policy_set_unsupported(struct atls_policy_loader *loader,
                                            const struct atls_scan_pair *pair)
{
    (void)pair;
    return atls_fail(loader->why, ATLS_E_POLICY,
                     "not supported yet; this version would not check it, so "
                     "take the line out");
}

enum atls_error atls_policy_locate(const struct atls_policy_loader *loader,
                                   const struct atls_scan_section *scanned,
                                   enum atls_error r)
{
    if (r != ATLS_OK)
        atls_file_locate(loader->why, scanned->file, scanned->line);
    return r;
}
