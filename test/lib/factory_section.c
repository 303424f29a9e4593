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

void factory_section_free(struct atls_section *section)
{
    OPENSSL_free(section->name);
    X509_STORE_free(section->trust);
    for (size_t i = 0; i < section->machine_count; i++)
        OPENSSL_free(section->machines[i]);
    OPENSSL_free(section->machines);
    for (size_t i = 0; i < section->ak_eku_count; i++)
        ASN1_OBJECT_free(section->ak_ekus[i]);
    OPENSSL_free(section->ak_ekus);
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++)
        OPENSSL_free(section->pcrs[i].values);
    for (size_t i = 0; i < section->component_count; i++)
        OPENSSL_free(section->components[i].digests);
    OPENSSL_free(section->components);
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

void factory_section_pcr(struct atls_section *section, unsigned pcr,
                         const uint8_t value[ATLS_PCR_DIGEST_MAX])
{
    struct atls_pcr_rule *rule = &section->pcrs[pcr];

    rule->values = grown(rule->values, rule->count, sizeof(*rule->values));
    memcpy(rule->values[rule->count++], value, ATLS_PCR_DIGEST_MAX);
}

static struct atls_component_rule *component_rule(struct atls_section *section,
                                                  const char *name)
{
    struct atls_component_rule *rule = NULL;

    for (size_t i = 0; i < section->component_count; i++) {
        if (strcmp(section->components[i].name, name) == 0)
            return &section->components[i];
    }
    section->components = grown(section->components, section->component_count,
                                sizeof(*section->components));
    rule = &section->components[section->component_count++];
    memset(rule, 0, sizeof(*rule));
    factory_need(strlen(name) < sizeof(rule->name));
    memcpy(rule->name, name, strlen(name));
    return rule;
}

void factory_section_component(struct atls_section *section, const char *name,
                               const uint8_t digest[ATLS_SHA256_LEN])
{
    struct atls_component_rule *rule = component_rule(section, name);

    rule->digests = grown(rule->digests, rule->count, sizeof(*rule->digests));
    memcpy(rule->digests[rule->count++], digest, ATLS_SHA256_LEN);
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
