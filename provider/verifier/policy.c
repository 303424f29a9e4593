/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/policy.h"

#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <string.h>

#include "verifier/cache.h"
#include "verifier/policy_internal.h"

static void clear_reference(struct atls_reference *reference)
{
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++)
        OPENSSL_free(reference->pcrs[i].values);
    for (size_t i = 0; i < reference->component_count; i++)
        OPENSSL_free(reference->components[i].digests);
    OPENSSL_free(reference->components);
    OPENSSL_free(reference->name);
}

static void clear_section(struct atls_section *section)
{
    for (size_t i = 0; i < ATLS_PCR_COUNT; i++)
        OPENSSL_free(section->pcrs[i].values);
    for (size_t i = 0; i < section->component_count; i++)
        OPENSSL_free(section->components[i].digests);
    for (size_t i = 0; i < section->ak_eku_count; i++)
        ASN1_OBJECT_free(section->ak_ekus[i]);
    for (size_t i = 0; i < section->reference_count; i++)
        clear_reference(&section->references[i]);
    OPENSSL_free(section->references);
    OPENSSL_free(section->components);
    OPENSSL_free(section->ak_ekus);
    OPENSSL_free(section->names);
    OPENSSL_free(section->machines);
    OPENSSL_free(section->events);
    OPENSSL_free(section->name);
    atls_trust_cache_free(section->cache);
    sk_X509_CRL_pop_free(section->crls, X509_CRL_free);
    X509_STORE_free(section->trust);
}

static void free_boot_logs(struct atls_policy *policy)
{
    while (policy->boot_logs != NULL) {
        struct atls_policy_boot_log *next = policy->boot_logs->next;

        atls_boot_log_clear(&policy->boot_logs->log);
        OPENSSL_free(policy->boot_logs);
        policy->boot_logs = next;
    }
}

struct atls_policy *atls_policy_ref(struct atls_policy *policy)
{
    atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void atls_policy_unref(struct atls_policy *policy)
{
    if (policy == NULL
        || atomic_fetch_sub_explicit(&policy->references, 1,
                                     memory_order_acq_rel)
               > 1)
        return;
    for (size_t i = 0; i < policy->section_count; i++)
        clear_section(&policy->sections[i]);
    while (policy->warnings != NULL) {
        struct atls_policy_warning *next = policy->warnings->next;

        OPENSSL_free(policy->warnings);
        policy->warnings = next;
    }
    free_boot_logs(policy);
    OPENSSL_free(policy->sections);
    OPENSSL_free(policy->servers);
    atls_file_free_list(policy->files);
    OPENSSL_free(policy);
}

const char *atls_policy_path(const struct atls_policy *policy)
{
    return policy->files->path;
}

const char *atls_policy_file(const struct atls_policy *policy, size_t index)
{
    const struct atls_file *file = policy->files;

    for (; file != NULL && index > 0; index--)
        file = file->next;
    return file == NULL ? NULL : file->path;
}

enum atls_file_state atls_policy_look(const struct atls_policy *policy)
{
    enum atls_file_state state = ATLS_FILE_SAME;

    for (const struct atls_file *file = policy->files; file != NULL;
         file = file->next) {
        switch (atls_file_look(file)) {
        case ATLS_FILE_GONE:
            return ATLS_FILE_GONE;
        case ATLS_FILE_CHANGED:
            state = ATLS_FILE_CHANGED;
            break;
        case ATLS_FILE_SAME:
            break;
        }
    }
    return state;
}

static const struct atls_reason *find_warning(const struct atls_policy *policy,
                                              size_t index)
{
    const struct atls_policy_warning *warning = policy->warnings;

    for (; warning != NULL && index > 0; index--)
        warning = warning->next;
    return warning == NULL ? NULL : &warning->reason;
}

const char *atls_policy_warning(const struct atls_policy *policy, size_t index)
{
    const struct atls_reason *reason = find_warning(policy, index);

    return reason == NULL ? NULL : reason->text;
}

enum atls_error atls_policy_warning_code(const struct atls_policy *policy,
                                         size_t index)
{
    const struct atls_reason *reason = find_warning(policy, index);

    return reason == NULL ? ATLS_OK : reason->code;
}

const struct atls_section *atls_policy_section(const struct atls_policy *policy,
                                               size_t index)
{
    return index < policy->section_count ? &policy->sections[index] : NULL;
}

const struct atls_section *atls_policy_find(const struct atls_policy *policy,
                                            const char *name)
{
    for (size_t i = 0; i < policy->section_count; i++) {
        if (strcmp(policy->sections[i].name, name) == 0)
            return &policy->sections[i];
    }
    return NULL;
}
