/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <sys/stat.h>

#include "verifier/policy_internal.h"

/* What tells of the firmware, the boot loader and the kernel (UAPI Group
 * registry "TPM2 PCR Measurements"): 0-9, 11; 17 and 18 after a measured launch.
 * 10 and 12-14 are written by the kernel that they would have to vouch for. */
#define BOOT_PCRS 0x060bffu

#define EXPIRES_SOON ((int64_t)30 * 24 * 60 * 60)

static struct atls_reason *add_warning(struct atls_policy_loader *loader)
{
    struct atls_policy_warning **last = &loader->policy->warnings;

    while (*last != NULL)
        last = &(*last)->next;
    *last = OPENSSL_zalloc(sizeof(**last));
    if (*last == NULL) {
        loader->warning_lost = true;
        return NULL;
    }
    return &(*last)->reason;
}

/* At a section. */
static void warn(struct atls_policy_loader *loader,
                 const struct atls_scan_section *scanned, enum atls_error code,
                 const char *text)
{
    struct atls_reason *reason = add_warning(loader);

    (void)atls_fail(reason, code, "[%.64s] %s", scanned->name, text);
    atls_file_locate(reason, scanned->file, scanned->line);
}

/* Catalogue C5. */
static void warn_of_rights(struct atls_policy_loader *loader)
{
    for (const struct atls_file *file = loader->policy->files; file != NULL;
         file = file->next) {
        if ((file->st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
            (void)atls_fail(add_warning(loader), ATLS_E_IO,
                            "%s: others can write it (mode %04o) and so decide "
                            "who is trusted; chmod go-w",
                            file->label, (unsigned)file->st.st_mode & 07777u);
    }
}

static bool names_boot_pcr(const struct atls_section *section)
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if ((BOOT_PCRS >> pcr & 1u) != 0 && pcr != section->measure_pcr
            && section->pcrs[pcr].count > 0)
            return true;
    }
    return false;
}

static void warn_of_section(struct atls_policy_loader *loader,
                            const struct atls_scan_section *scanned,
                            const struct atls_section *section, int64_t now)
{
    if (section->component_count > 0 && !names_boot_pcr(section))
        warn(
            loader, scanned, ATLS_E_POLICY,
            "names components but no boot PCR: the list is then the word of an "
            "unknown kernel; add pcr.0 to pcr.9 or pcr.11");
    if (section->machines_any)
        warn(loader, scanned, ATLS_E_POLICY,
             "machines = any: one corrupt machine under the same issuers and a "
             "leaked TLS key are enough to stand in; name the machines");
    if (section->expires < now)
        warn(loader, scanned, ATLS_E_EXPIRED,
             "expires: the time is past, its peers are refused; renew the "
             "policy");
    else if (section->expires - now <= EXPIRES_SOON)
        warn(loader, scanned, ATLS_E_EXPIRED,
             "expires: within 30 days; renew the policy");
}

static bool verifies_something(const struct atls_policy *policy)
{
    for (size_t i = 0; i < policy->section_count; i++) {
        if (policy->sections[i].mode != ATLS_MODE_OFF)
            return true;
    }
    return policy->otherwise == ATLS_MODE_REQUIRE;
}

void atls_policy_warn(struct atls_policy_loader *loader, int64_t now)
{
    warn_of_rights(loader);
    for (size_t i = 0; i < loader->scan.section_count; i++) {
        const struct atls_scan_section *scanned = &loader->scan.sections[i];
        const struct atls_section *section =
            atls_policy_find(loader->policy, scanned->name);

        if (section != NULL)
            warn_of_section(loader, scanned, section, now);
        else if (!verifies_something(loader->policy))
            warn(loader, scanned, ATLS_E_POLICY,
                 "no peer is ever verified: no section requires or observes");
    }
}
