/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/factory.h"
#include "lib/factory_internal.h"

/* An array that is one longer; its new last element is not set. */
static void *grown(void *array, size_t count, size_t size)
{
    void *more = OPENSSL_realloc(array, (count + 1) * size);

    factory_need(more != NULL);
    return more;
}

static char *copied(const char *text)
{
    char *copy = OPENSSL_strdup(text);

    factory_need(copy != NULL);
    return copy;
}

struct atls_section *factory_section_new(void)
{
    struct atls_section *section = OPENSSL_zalloc(sizeof(*section));

    factory_need(section != NULL);
    section->name = copied("test");
    section->mode = ATLS_MODE_REQUIRE;
    section->trust = X509_STORE_new();
    factory_need(section->trust != NULL);
    section->bank = TPM2_ALG_SHA256;
    section->measure_pcr = ATLS_MEASURE_PCR_DEFAULT;
    section->certificate = ATLS_CERTIFICATE_ANY;
    section->expires = INT64_MAX;
    return section;
}

static void free_rules(struct atls_pcr_rule pcrs[ATLS_PCR_COUNT],
                       struct atls_component_rule *components, size_t count)
{
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++)
        OPENSSL_free(pcrs[i].values);
    for (size_t i = 0; i < count; i++)
        OPENSSL_free(components[i].digests);
    OPENSSL_free(components);
}

void factory_section_free(struct atls_section *section)
{
    OPENSSL_free(section->name);
    sk_X509_CRL_pop_free(section->crls, X509_CRL_free);
    X509_STORE_free(section->trust);
    for (size_t i = 0; i < section->machine_count; i++)
        OPENSSL_free(section->machines[i]);
    OPENSSL_free(section->machines);
    for (size_t i = 0; i < section->ak_eku_count; i++)
        ASN1_OBJECT_free(section->ak_ekus[i]);
    OPENSSL_free(section->ak_ekus);
    free_rules(section->pcrs, section->components, section->component_count);
    for (size_t i = 0; i < section->reference_count; i++) {
        struct atls_reference *reference = &section->references[i];

        free_rules(reference->pcrs, reference->components,
                   reference->component_count);
        OPENSSL_free(reference->name);
    }
    OPENSSL_free(section->references);
    for (size_t i = 0; i < section->event_count; i++)
        OPENSSL_free(section->events[i]);
    OPENSSL_free(section->events);
    OPENSSL_free(section);
}

void factory_section_trust(struct atls_section *section, X509 *root)
{
    factory_need(X509_STORE_add_cert(section->trust, root));
}

void factory_section_machine(struct atls_section *section, const char *pattern)
{
    section->machines =
        grown(section->machines, section->machine_count, sizeof(char *));
    section->machines[section->machine_count++] = copied(pattern);
}

void factory_section_event(struct atls_section *section, const char *pattern)
{
    section->events =
        grown(section->events, section->event_count, sizeof(char *));
    section->events[section->event_count++] = copied(pattern);
}

void factory_section_eku(struct atls_section *section, const char *oid)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);

    factory_need(object != NULL);
    section->ak_ekus =
        grown(section->ak_ekus, section->ak_eku_count, sizeof(ASN1_OBJECT *));
    section->ak_ekus[section->ak_eku_count++] = object;
}

static void add_value(struct atls_pcr_rule *rule,
                      const uint8_t value[ATLS_PCR_DIGEST_MAX])
{
    rule->values = grown(rule->values, rule->count, sizeof(*rule->values));
    memcpy(rule->values[rule->count++], value, ATLS_PCR_DIGEST_MAX);
}

void factory_section_pcr(struct atls_section *section, unsigned pcr,
                         const uint8_t value[ATLS_PCR_DIGEST_MAX])
{
    add_value(&section->pcrs[pcr], value);
}

void factory_reference_pcr(struct atls_reference *reference, unsigned pcr,
                           const uint8_t value[ATLS_PCR_DIGEST_MAX])
{
    add_value(&reference->pcrs[pcr], value);
}

static struct atls_component_rule *component_rule(
    struct atls_component_rule **rules, size_t *count, const char *name)
{
    struct atls_component_rule *rule = NULL;

    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*rules)[i].name, name) == 0)
            return &(*rules)[i];
    }
    *rules = grown(*rules, *count, sizeof(**rules));
    rule = &(*rules)[(*count)++];
    memset(rule, 0, sizeof(*rule));
    factory_need(strlen(name) < sizeof(rule->name));
    memcpy(rule->name, name, strlen(name));
    return rule;
}

static void add_digest(struct atls_component_rule *rule,
                       const uint8_t digest[ATLS_SHA256_LEN])
{
    rule->digests = grown(rule->digests, rule->count, sizeof(*rule->digests));
    memcpy(rule->digests[rule->count++], digest, ATLS_SHA256_LEN);
}

void factory_section_component(struct atls_section *section, const char *name,
                               const uint8_t digest[ATLS_SHA256_LEN])
{
    add_digest(
        component_rule(&section->components, &section->component_count, name),
        digest);
}

void factory_reference_component(struct atls_reference *reference,
                                 const char *name,
                                 const uint8_t digest[ATLS_SHA256_LEN])
{
    add_digest(component_rule(&reference->components,
                              &reference->component_count, name),
               digest);
}

struct atls_reference *factory_section_reference(struct atls_section *section,
                                                 const char *name)
{
    struct atls_reference *reference;

    section->references = grown(section->references, section->reference_count,
                                sizeof(*section->references));
    reference = &section->references[section->reference_count++];
    memset(reference, 0, sizeof(*reference));
    reference->name = copied(name);
    return reference;
}

struct atls_section *factory_section_for(const struct factory *f)
{
    struct atls_section *section = factory_section_new();

    factory_section_trust(section, f->root_cert);
    if (f->ak.cn != NULL)
        factory_section_machine(section, f->ak.cn);
    factory_section_eku(section, "2.23.133.8.3");
    section->measure_pcr = f->measure_pcr;
    section->certificate = ATLS_CERTIFICATE_MEASURED;
    for (unsigned pcr = 0; pcr <= 11; pcr++) {
        const uint8_t *value =
            atls_pcr_value(&f->evidence.pcrs, section->bank, pcr);

        if ((pcr <= 7 || pcr == 11) && value != NULL)
            factory_section_pcr(section, pcr, value);
    }
    for (size_t i = 0; i < f->evidence.log_count; i++) {
        struct atls_event event;

        atls_event_parse(f->evidence.log[i], &event);
        if (event.kind == ATLS_EVENT_COMPONENT)
            factory_section_component(section, event.name, event.digest);
    }
    return section;
}
