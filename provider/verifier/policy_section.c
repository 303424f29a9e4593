/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>
#include <tss2/tss2_tpm2_types.h>

#include "verifier/pcrs.h"
#include "verifier/cache.h"
#include "verifier/policy_internal.h"

static bool names_something(const struct atls_reference *reference)
{
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++) {
        if (reference->pcrs[i].count > 0)
            return true;
    }
    return reference->component_count > 0;
}

static enum atls_error check_filled(const struct atls_policy_loader *loader)
{
    if (!names_something(loader->reference))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "[%.64s] is a reference of [%.64s] and every machine "
                         "would match it; add pcr.N or component.NAME",
                         loader->reference->name, loader->section->name);
    return ATLS_OK;
}

static enum atls_error fill_reference(struct atls_policy_loader *loader,
                                      const struct atls_scan_section *scanned)
{
    struct atls_reference *reference = loader->reference;

    /* As of a section: as if each key were a component. */
    reference->components = OPENSSL_zalloc((scanned->pair_count + 1)
                                           * sizeof(*reference->components));
    if (reference->components == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < scanned->pair_count; i++) {
        enum atls_error r = atls_policy_apply(
            loader, atls_policy_reference_keys, &scanned->pairs[i]);

        if (r != ATLS_OK)
            return r;
    }
    return atls_policy_locate(loader, scanned, check_filled(loader));
}

/* Fill loader->section's references, once its keys are set. */
static enum atls_error fill_references(struct atls_policy_loader *loader)
{
    struct atls_section *section = loader->section;
    enum atls_error r = ATLS_OK;

    for (size_t i = 0; i < section->reference_count && r == ATLS_OK; i++) {
        loader->reference = &section->references[i];
        r = fill_reference(
            loader, atls_policy_find_scanned(&loader->scan,
                                             section->references[i].name));
    }
    loader->reference = NULL;
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
    return fill_references(loader);
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

/* May it be meant as a reference: are its keys all such? */
static bool looks_like_reference(const struct atls_scan_section *scanned)
{
    for (size_t i = 0; i < scanned->pair_count; i++) {
        if (atls_policy_find_key(atls_policy_reference_keys,
                                 scanned->pairs[i].key)
            == NULL)
            return false;
    }
    return scanned->pair_count > 0;
}

/* What a section must have, in whatever order its keys stand. */
static enum atls_error check_section(const struct atls_policy_loader *loader,
                                     const struct atls_scan_section *scanned)
{
    const struct atls_section *section = loader->section;

    if (looks_like_reference(scanned))
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
