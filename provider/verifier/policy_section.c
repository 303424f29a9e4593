/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>
#include <tss2/tss2_tpm2_types.h>

#include "verifier/pcrs.h"
#include "verifier/cache.h"
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

static enum atls_error begin_section(const struct atls_policy_loader *loader,
                                     const struct atls_scan_section *scanned)
{
    struct atls_section *section = loader->section;

    section->mode = ATLS_MODE_REQUIRE;
    section->bank = TPM2_ALG_SHA256;
    section->measure_pcr = ATLS_MEASURE_PCR_DEFAULT;
    section->expires = INT64_MAX;
    section->name = OPENSSL_strdup(scanned->name);
    /* More than enough: as if each key were a component. */
    section->components = OPENSSL_zalloc((scanned->pair_count + 1)
                                         * sizeof(*section->components));
    section->cache = atls_trust_cache_new();
    if (section->name == NULL || section->components == NULL
        || section->cache == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    if (strcasecmp(section->name, "off") == 0
        || strcasecmp(section->name, "refuse") == 0)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%s] would be a section and a word of `nameless`; "
                         "give it another name",
                         section->name);
    return ATLS_OK;
}

static enum atls_error apply_keys(struct atls_policy_loader *loader,
                                  const struct atls_scan_section *scanned)
{
    const struct atls_scan_pair *bank = atls_scan_find(scanned, "bank");
    const struct atls_scan_pair *crl = atls_scan_find(scanned, "crl");
    const struct atls_scan_pair default_eku = {"ak_eku", ATLS_AK_EKU_DEFAULT,
                                               scanned->file, scanned->line};
    enum atls_error r = ATLS_OK;

    /* First, as PCR values are read in its light. */
    if (bank != NULL)
        r = atls_policy_apply(loader, atls_policy_section_keys, bank);
    if (r == ATLS_OK && atls_scan_find(scanned, "ak_eku") == NULL)
        r = atls_policy_apply(loader, atls_policy_section_keys, &default_eku);
    for (size_t i = 0; i < scanned->pair_count && r == ATLS_OK; i++) {
        if (&scanned->pairs[i] != bank && &scanned->pairs[i] != crl)
            r = atls_policy_apply(loader, atls_policy_section_keys,
                                  &scanned->pairs[i]);
    }
    /* Last, as its CRLs are compared with what is trusted. */
    if (r == ATLS_OK && crl != NULL)
        r = atls_policy_apply(loader, atls_policy_section_keys, crl);
    if (r != ATLS_OK)
        return r;
    return atls_policy_fill_references(loader);
}

static bool demands_something(const struct atls_section *section)
{
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++) {
        if (section->pcrs[i].count > 0)
            return true;
    }
    return section->component_count > 0 || section->reference_count > 0;
}

/* PCRs 0-7 that are all zero are what an unused bank looks like: that they are
 * meant must be said twice. */
static bool lists_zero(const struct atls_section *section)
{
    for (size_t i = 0; i < section->reference_count; i++) {
        if (atls_pcrs_list_zero(section->references[i].pcrs))
            return true;
    }
    return atls_pcrs_list_zero(section->pcrs);
}

/* What a section must have, in whatever order its keys stand. */
static enum atls_error check_section(const struct atls_policy_loader *loader,
                                     const struct atls_scan_section *scanned)
{
    const struct atls_section *section = loader->section;

    if (atls_policy_looks_like_reference(scanned))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%.64s] says neither mode nor whom it describes, and "
                         "no `reference` names it; add it to the `reference` "
                         "of a section, or take it out",
                         section->name);
    if (atls_scan_find(scanned, "mode") == NULL)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "mode: missing in [%.64s]; write require, observe or "
                         "off",
                         section->name);
    if (section->mode == ATLS_MODE_OFF)
        return ATLS_OK;
    if (section->trust == NULL)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "trust: missing in [%.64s]; name the PEM file with the "
            "issuers of its AK certificates",
            section->name);
    if (!section->machines_any && section->machine_count == 0)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "machines: missing in [%.64s]; name the machines, or "
                         "write any if each machine under `trust` will do",
                         section->name);
    if (section->mode == ATLS_MODE_REQUIRE && !demands_something(section))
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "[%.64s] requires nothing of the machine; add pcr.N or "
            "component.NAME, or write mode = observe",
            section->name);
    if (section->allow_zero && !lists_zero(section))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "allow_zero: no pcr.0 to pcr.7 of [%.64s] lists zero, "
                         "so that nothing would check it; list it too",
                         section->name);
    return ATLS_OK;
}

enum atls_error atls_policy_fill_section(
    struct atls_policy_loader *loader, const struct atls_scan_section *scanned)
{
    enum atls_error r;

    r = atls_policy_locate(loader, scanned, begin_section(loader, scanned));
    if (r != ATLS_OK)
        return r;
    r = apply_keys(loader, scanned);
    if (r != ATLS_OK)
        return r;
    return atls_policy_locate(loader, scanned, check_section(loader, scanned));
}
