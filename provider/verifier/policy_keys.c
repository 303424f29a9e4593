/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <string.h>
#include <strings.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/pcr.h"
#include "verifier/names.h"
#include "verifier/policy_internal.h"

/* Below 8 the firmware writes, above 15 others may reset. */

/* PCRs that any program can reset (TCG PC Client Platform TPM Profile): a value
 * in them proves nothing. */
#define PCR_DEBUG 16u
#define PCR_APPLICATION 23u

/* RFC 8446 §4.6.1: no ticket lives longer than a week. */
#define RESUMPTION_MAX 604800u

/* Keep the list in hand. */
static void take_items(struct atls_policy_loader *loader, size_t *ret_count,
                       char ***ret_items)
{
    *ret_count = loader->item_count;
    *ret_items = loader->items;
    loader->item_count = 0;
    loader->items = NULL; /* transferred */
}

static bool items_are_any(const struct atls_policy_loader *loader)
{
    return loader->item_count == 1 && strcmp(loader->items[0], "any") == 0;
}

static enum atls_error set_mode(struct atls_policy_loader *loader,
                                const struct atls_scan_pair *pair)
{
    return atls_policy_parse_mode(pair->value, loader->why,
                                  &loader->section->mode);
}

/* RFC 9525 §6.3: names are compared as A-labels, which is how DNS and
 * certificates have them. */
static enum atls_error check_ascii(const struct atls_policy_loader *loader,
                                   const char *name)
{
    if (atls_name_is_ascii(name))
        return ATLS_OK;
    return atls_fail(loader->why, ATLS_E_POLICY,
                     "'%.60s' holds characters beyond ASCII; write "
                     "internationalized names as A-labels (xn--...), which "
                     "`idn2 NAME` prints",
                     name);
}

static enum atls_error set_names(struct atls_policy_loader *loader,
                                 const struct atls_scan_pair *pair)
{
    struct atls_section *section = loader->section;

    (void)pair;
    for (size_t i = 0; i < loader->item_count; i++) {
        const char *name = loader->items[i];
        enum atls_error r = check_ascii(loader, name);

        if (r != ATLS_OK)
            return r;
        /* It would be read as a host of that name and match nobody. */
        if (strcasecmp(name, "any") == 0)
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "there is no `any` here; what holds for peers "
                             "without a section says `otherwise` in [policy]");
        if (!atls_name_pattern_is_legal(name))
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "expected a DNS name, *.NAME, an address or a "
                             "network without host bits, found '%.60s'",
                             name);
    }
    take_items(loader, &section->name_count, &section->names);
    return ATLS_OK;
}

static enum atls_error set_trust(struct atls_policy_loader *loader,
                                 const struct atls_scan_pair *pair)
{
    const struct atls_file *file = NULL;
    enum atls_error r;

    r = atls_file_read(&loader->policy->files, pair->file, pair->value,
                       loader->why, &file);
    if (r != ATLS_OK)
        return r;
    return atls_policy_parse_trust(file, loader->why, &loader->section->trust);
}

static enum atls_error set_machines(struct atls_policy_loader *loader,
                                    const struct atls_scan_pair *pair)
{
    struct atls_section *section = loader->section;

    (void)pair;
    if (items_are_any(loader)) {
        section->machines_any = true;
        return ATLS_OK;
    }
    for (size_t i = 0; i < loader->item_count; i++) {
        enum atls_error r = check_ascii(loader, loader->items[i]);

        if (r != ATLS_OK)
            return r;
        if (atls_name_pattern_is_address(loader->items[i]))
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "AK certificates vouch for no address, found "
                             "'%.60s'; write the machine's name in them, or "
                             "sha256:<hash of its AK>",
                             loader->items[i]);
        if (!atls_policy_normalise_machine(loader->items[i]))
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "expected a DNS name, *.NAME, "
                             "google:PROJECT/ZONE/INSTANCE, sha256:<64 hex "
                             "digits> or, alone, any; found '%.60s'",
                             loader->items[i]);
    }
    take_items(loader, &section->machine_count, &section->machines);
    return ATLS_OK;
}

static enum atls_error set_tls_key(struct atls_policy_loader *loader,
                                   const struct atls_scan_pair *pair)
{
    static const struct atls_policy_choice choices[] = {
        {"any", 0}, {"tpm", 1}, {NULL, 0}};
    int tpm = 1;
    enum atls_error r = atls_policy_parse_choice(
        pair->value, choices, "any or tpm", loader->why, &tpm);

    if (r != ATLS_OK)
        return r;
    if (tpm)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "`tpm` is not supported yet; tie the AK to the host "
                         "with `machines` instead");
    return ATLS_OK;
}

/* Numbers without leading zeros between single dots: OpenSSL takes more. */
static bool is_dotted(const char *text)
{
    for (;;) {
        size_t len = strspn(text, "0123456789");

        if (len == 0 || (len > 1 && text[0] == '0'))
            return false;
        text += len;
        if (*text == '\0')
            return true;
        if (*text != '.')
            return false;
        text++;
    }
}

static enum atls_error add_eku(struct atls_policy_loader *loader,
                               const char *text)
{
    struct atls_section *section = loader->section;
    ASN1_OBJECT *eku;

    if (!is_dotted(text) || a2d_ASN1_OBJECT(NULL, 0, text, -1) <= 0)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected OIDs such as 2.23.133.8.3"
                         " or, alone, any; found '%.60s'",
                         text);
    eku = OBJ_txt2obj(text, 1);
    if (eku == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    section->ak_ekus[section->ak_eku_count] = eku;
    section->ak_eku_count++;
    return ATLS_OK;
}

static enum atls_error set_ak_eku(struct atls_policy_loader *loader,
                                  const struct atls_scan_pair *pair)
{
    struct atls_section *section = loader->section;

    (void)pair;
    if (items_are_any(loader)) {
        section->ak_eku_any = true;
        return ATLS_OK;
    }
    section->ak_ekus =
        OPENSSL_zalloc(loader->item_count * sizeof(*section->ak_ekus));
    if (section->ak_ekus == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < loader->item_count; i++) {
        enum atls_error r = add_eku(loader, loader->items[i]);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error set_freshness(struct atls_policy_loader *loader,
                                     const struct atls_scan_pair *pair)
{
    if (strcmp(pair->value, "live") != 0)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected live (an age for epoch evidence is not "
                         "supported yet), found '%.40s'",
                         pair->value);
    return ATLS_OK;
}

static enum atls_error set_resumption(struct atls_policy_loader *loader,
                                      const struct atls_scan_pair *pair)
{
    unsigned seconds = 0;

    if (!atls_policy_parse_number(pair->value, 0, RESUMPTION_MAX, &seconds))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected seconds, 0 to %u, found '%.40s'",
                         RESUMPTION_MAX, pair->value);
    if (seconds > 0)
        return atls_fail(
            loader->why, ATLS_E_POLICY,
            "resumption of sessions is not supported yet; write 0");
    return ATLS_OK;
}

static enum atls_error set_bank(struct atls_policy_loader *loader,
                                const struct atls_scan_pair *pair)
{
    static const struct atls_policy_choice choices[] = {
        {"sha256", TPM2_ALG_SHA256},
        {"sha384", TPM2_ALG_SHA384},
        {"sha512", TPM2_ALG_SHA512},
        {NULL, 0}};
    int bank = 0;
    enum atls_error r = atls_policy_parse_choice(
        pair->value, choices, "sha256, sha384 or sha512", loader->why, &bank);

    if (r != ATLS_OK)
        return r;
    loader->section->bank = (uint16_t)bank;
    return ATLS_OK;
}

static enum atls_error set_pcr(struct atls_policy_loader *loader,
                               const struct atls_scan_pair *pair)
{
    const struct atls_hash *hash = atls_hash_by_alg(loader->section->bank);
    struct atls_pcr_rule *rule;
    unsigned pcr = 0;

    if (!atls_policy_parse_number(pair->key + strlen("pcr."), 0,
                                  ATLS_PCR_COUNT - 1, &pcr))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "no such PCR; there are pcr.0 to pcr.%u",
                         ATLS_PCR_COUNT - 1);
    if (pcr == PCR_DEBUG || pcr == PCR_APPLICATION)
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "any program can reset this PCR, so that its value "
                         "proves nothing; take the line out");
    rule = loader->reference != NULL ? &loader->reference->pcrs[pcr]
                                     : &loader->section->pcrs[pcr];
    rule->values = OPENSSL_zalloc(loader->item_count * sizeof(*rule->values));
    if (rule->values == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    rule->count = loader->item_count;
    for (size_t i = 0; i < rule->count; i++) {
        if (!atls_policy_parse_hex(loader->items[i], rule->values[i],
                                   hash->len))
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "expected values of %u hex digits, as the bank is "
                             "%s; found '%.20s' (%zu characters)",
                             2u * hash->len, hash->name, loader->items[i],
                             strlen(loader->items[i]));
    }
    return ATLS_OK;
}

static enum atls_error set_measure_pcr(struct atls_policy_loader *loader,
                                       const struct atls_scan_pair *pair)
{
    if (!atls_policy_parse_number(pair->value, ATLS_MEASURE_PCR_MIN,
                                  ATLS_MEASURE_PCR_MAX,
                                  &loader->section->measure_pcr))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected a PCR from %u to %u, found '%.40s'",
                         ATLS_MEASURE_PCR_MIN, ATLS_MEASURE_PCR_MAX,
                         pair->value);
    return ATLS_OK;
}

static struct atls_component_rule *next_component(
    const struct atls_policy_loader *loader)
{
    const struct atls_reference *reference = loader->reference;
    const struct atls_section *section = loader->section;

    return reference != NULL
               ? &reference->components[reference->component_count]
               : &section->components[section->component_count];
}

static enum atls_error set_component(struct atls_policy_loader *loader,
                                     const struct atls_scan_pair *pair)
{
    struct atls_component_rule *rule = next_component(loader);
    const char *name = pair->key + strlen("component.");

    if (!atls_component_name_is_legal(name, strlen(name)))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "not a name that `attest measure` gives: a letter or "
                         "digit, then letters, digits and ._:@/-" ATLS_MORE
                         ", at most %u",
                         ATLS_COMPONENT_NAME_MAX);
    rule->digests = OPENSSL_zalloc(loader->item_count * sizeof(*rule->digests));
    if (rule->digests == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    if (loader->reference != NULL)
        loader->reference->component_count++;
    else
        loader->section->component_count++;
    memcpy(rule->name, name, strlen(name));
    rule->count = loader->item_count;
    for (size_t i = 0; i < rule->count; i++) {
        if (!atls_policy_parse_sha256(loader->items[i], rule->digests[i]))
            return atls_fail(loader->why, ATLS_E_POLICY,
                             "expected sha256:<64 hex digits>, found '%.20s' "
                             "(%zu characters)",
                             loader->items[i], strlen(loader->items[i]));
    }
    return ATLS_OK;
}

static enum atls_error set_components(struct atls_policy_loader *loader,
                                      const struct atls_scan_pair *pair)
{
    static const struct atls_policy_choice choices[] = {
        {"listed", 0}, {"any", 1}, {NULL, 0}};
    int any = 0;
    enum atls_error r = atls_policy_parse_choice(
        pair->value, choices, "listed or any", loader->why, &any);

    loader->section->components_any = any != 0;
    return r;
}

static enum atls_error set_events(struct atls_policy_loader *loader,
                                  const struct atls_scan_pair *pair)
{
    (void)pair;
    take_items(loader, &loader->section->event_count, &loader->section->events);
    return ATLS_OK;
}

static enum atls_error set_certificate(struct atls_policy_loader *loader,
                                       const struct atls_scan_pair *pair)
{
    static const struct atls_policy_choice choices[] = {
        {"measured", ATLS_CERTIFICATE_MEASURED},
        {"measured-issuer", ATLS_CERTIFICATE_MEASURED_ISSUER},
        {"any", ATLS_CERTIFICATE_ANY},
        {NULL, 0}};
    int rule = ATLS_CERTIFICATE_MEASURED;
    enum atls_error r = atls_policy_parse_choice(
        pair->value, choices, "measured, measured-issuer or any", loader->why,
        &rule);

    loader->section->certificate = (enum atls_certificate_rule)rule;
    return r;
}

static enum atls_error set_expires(struct atls_policy_loader *loader,
                                   const struct atls_scan_pair *pair)
{
    if (!atls_policy_parse_time(pair->value, &loader->section->expires))
        return atls_fail(loader->why, ATLS_E_POLICY,
                         "expected a time in UTC such as 2027-06-30T00:00:00Z, "
                         "found '%.40s'",
                         pair->value);
    return ATLS_OK;
}

static enum atls_error set_allow_zero(struct atls_policy_loader *loader,
                                      const struct atls_scan_pair *pair)
{
    static const struct atls_policy_choice choices[] = {
        {"no", 0}, {"yes", 1}, {NULL, 0}};
    int yes = 0;
    enum atls_error r = atls_policy_parse_choice(
        pair->value, choices, "yes or no", loader->why, &yes);

    loader->section->allow_zero = yes != 0;
    return r;
}

const struct atls_policy_key atls_policy_section_keys[] = {
    {"mode", ATLS_FORM_WORD, set_mode},
    {"names", ATLS_FORM_LIST, set_names},
    {"trust", ATLS_FORM_WORD, set_trust},
    {"machines", ATLS_FORM_LIST, set_machines},
    {"tls_key", ATLS_FORM_WORD, set_tls_key},
    {"crl", ATLS_FORM_WORD, atls_policy_set_crl},
    {"ak_eku", ATLS_FORM_LIST, set_ak_eku},
    {"freshness", ATLS_FORM_WORD, set_freshness},
    {"resumption", ATLS_FORM_WORD, set_resumption},
    {"bank", ATLS_FORM_WORD, set_bank},
    {"pcr.", ATLS_FORM_LIST, set_pcr},
    {"allow_zero", ATLS_FORM_WORD, set_allow_zero},
    {"measure_pcr", ATLS_FORM_WORD, set_measure_pcr},
    {"reference", ATLS_FORM_LIST, atls_policy_set_reference},
    {"component.", ATLS_FORM_LIST, set_component},
    {"components", ATLS_FORM_WORD, set_components},
    {"events", ATLS_FORM_LIST, set_events},
    {"certificate", ATLS_FORM_WORD, set_certificate},
    {"boot_log", ATLS_FORM_WORD, atls_policy_set_boot_log},
    {"proof", ATLS_FORM_WORD, atls_policy_set_unsupported},
    {"expires", ATLS_FORM_WORD, set_expires},
    {"ca", ATLS_FORM_WORD, atls_policy_set_unsupported},
    {NULL, ATLS_FORM_WORD, NULL},
};

const struct atls_policy_key atls_policy_reference_keys[] = {
    {"pcr.", ATLS_FORM_LIST, set_pcr},
    {"component.", ATLS_FORM_LIST, set_component},
    {"boot_log", ATLS_FORM_WORD, atls_policy_set_boot_log},
    {NULL, ATLS_FORM_WORD, NULL},
};
