/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "verifier/certificate.h"
#include "verifier/policy.h"
#include "verifier/policy_internal.h"

/* What tells of the firmware, the boot loader and the kernel (UAPI Group
 * registry "TPM2 PCR Measurements"): 0-9, 11; 17 and 18 after a measured launch.
 * 10 and 12-14 are written by the kernel that they would have to vouch for. */
#define BOOT_PCRS 0x060bffu

#define EXPIRES_SOON ((int64_t)30 * 24 * 60 * 60)

/* CRLs live for days or weeks. */
#define CRL_ENDS_SOON ((int64_t)7 * 24 * 60 * 60)

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

static bool names_boot_pcr(const struct atls_pcr_rule rules[ATLS_PCR_COUNT],
                           unsigned measure_pcr)
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if ((BOOT_PCRS >> pcr & 1u) != 0 && pcr != measure_pcr
            && rules[pcr].count > 0)
            return true;
    }
    return false;
}

/* With one of its references, or NULL for none. */
static bool lacks_boot_pcr(const struct atls_section *section,
                           const struct atls_reference *reference)
{
    size_t components = section->component_count;

    if (names_boot_pcr(section->pcrs, section->measure_pcr))
        return false;
    if (reference != NULL) {
        if (names_boot_pcr(reference->pcrs, section->measure_pcr))
            return false;
        components += reference->component_count;
    }
    return components > 0;
}

static void warn_of_boot_pcrs(struct atls_policy_loader *loader,
                              const struct atls_scan_section *scanned,
                              const struct atls_section *section)
{
    if (section->reference_count == 0 && lacks_boot_pcr(section, NULL))
        warn(loader, scanned, ATLS_E_POLICY,
             "names components but no boot PCR: the list is then the word of "
             "an unknown kernel; add pcr.0 to pcr.9 or pcr.11");
    for (size_t i = 0; i < section->reference_count; i++) {
        const struct atls_reference *reference = &section->references[i];
        struct atls_reason text;

        if (!lacks_boot_pcr(section, reference))
            continue;
        (void)atls_fail(&text, ATLS_E_POLICY,
                        "with reference %.32s names components but no boot "
                        "PCR" ATLS_MORE
                        ": the list is then the word of an unknown kernel; "
                        "add pcr.0 to pcr.9 or pcr.11",
                        reference->name);
        warn(loader, scanned, ATLS_E_POLICY, text.text);
    }
}

/* P11. A path is refused where its CRL is stale; CAs issue them in time. */
static void warn_of_crl(struct atls_policy_loader *loader,
                        const struct atls_scan_section *scanned,
                        const X509_CRL *crl, int64_t now)
{
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
    char issuer[ATLS_SUBJECT_MAX];
    char date[ATLS_DATE_MAX];
    struct atls_reason text;

    if (ASN1_TIME_cmp_time_t(until, (time_t)(now + CRL_ENDS_SOON)) > 0)
        return;
    atls_certificate_name(X509_CRL_get_issuer(crl), issuer, sizeof(issuer));
    atls_certificate_date(until, date);
    if (ASN1_TIME_cmp_time_t(until, (time_t)now) < 0)
        (void)atls_fail(&text, ATLS_E_CHAIN_CRL,
                        "crl: that of %.60s was good until %s, machines under "
                        "it are refused; fetch the current one",
                        issuer, date);
    else
        (void)atls_fail(&text, ATLS_E_POLICY,
                        "crl: that of %.60s is good until %s only; fetch the "
                        "next one before",
                        issuer, date);
    warn(loader, scanned, text.code, text.text);
}

/* E18. OpenSSL judges anchors by their time too. */
static void warn_of_anchor(struct atls_policy_loader *loader,
                           const struct atls_scan_section *scanned,
                           const X509 *anchor, int64_t now)
{
    char subject[ATLS_SUBJECT_MAX];
    char date[ATLS_DATE_MAX];
    struct atls_reason text;

    if (ASN1_TIME_cmp_time_t(X509_get0_notAfter(anchor), (time_t)now) >= 0)
        return;
    atls_certificate_subject(anchor, subject, sizeof(subject));
    atls_certificate_date(X509_get0_notAfter(anchor), date);
    (void)atls_fail(&text, ATLS_E_EXPIRED,
                    "trust: %.60s expired %s, machines under it are refused; "
                    "renew it",
                    subject, date);
    warn(loader, scanned, ATLS_E_EXPIRED, text.text);
}

static void warn_of_trust(struct atls_policy_loader *loader,
                          const struct atls_scan_section *scanned,
                          const struct atls_section *section, int64_t now)
{
    STACK_OF(X509) * anchors;

    if (section->trust == NULL)
        return;
    anchors = X509_STORE_get1_all_certs(section->trust);
    loader->warning_lost = loader->warning_lost || anchors == NULL;
    for (int i = 0; i < sk_X509_num(anchors); i++)
        warn_of_anchor(loader, scanned, sk_X509_value(anchors, i), now);
    sk_X509_pop_free(anchors, X509_free);
    for (int i = 0; i < sk_X509_CRL_num(section->crls); i++)
        warn_of_crl(loader, scanned, sk_X509_CRL_value(section->crls, i), now);
}

static void warn_of_section(struct atls_policy_loader *loader,
                            const struct atls_scan_section *scanned,
                            const struct atls_section *section, int64_t now)
{
    warn_of_boot_pcrs(loader, scanned, section);
    if (section->machines_any)
        warn(loader, scanned, ATLS_E_POLICY,
             "machines = any: one corrupt machine under the same issuers and a "
             "leaked TLS key are enough to stand in; name the machines");
    warn_of_trust(loader, scanned, section, now);
    if (section->expires < now)
        warn(loader, scanned, ATLS_E_EXPIRED,
             "expires: the time is past, its peers are refused; renew the "
             "policy");
    else if (section->expires - now <= EXPIRES_SOON)
        warn(loader, scanned, ATLS_E_EXPIRED,
             "expires: within 30 days; renew the policy");
}

/* P8. curl shows OpenSSL neither name nor socket of what it reaches by an address. */
static void warn_of_nameless(struct atls_policy_loader *loader,
                             const struct atls_scan_section *scanned)
{
    const struct atls_policy *policy = loader->policy;
    const struct atls_section *nameless = policy->nameless_section;
    const struct atls_section *requiring = NULL;
    struct atls_reason text;

    for (size_t i = 0; i < policy->server_count && requiring == NULL; i++) {
        if (policy->servers[i]->mode == ATLS_MODE_REQUIRE)
            requiring = policy->servers[i];
    }
    if (requiring == NULL || policy->nameless == ATLS_NAMELESS_REFUSE
        || (nameless != NULL && nameless->mode != ATLS_MODE_OFF))
        return;
    (void)atls_fail(&text, ATLS_E_POLICY,
                    "nameless = %.32s: servers of which no name shows pass "
                    "unattested" ATLS_MORE
                    ", those of [%.32s] too, as with curl "
                    "https://ADDRESS/; write refuse, or a section that "
                    "requires",
                    nameless != NULL ? nameless->name : "off", requiring->name);
    warn(loader, scanned, ATLS_E_POLICY, text.text);
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
        else if (strcmp(scanned->name, ATLS_POLICY_SECTION) != 0)
            continue;
        else if (verifies_something(loader->policy))
            warn_of_nameless(loader, scanned);
        else
            warn(loader, scanned, ATLS_E_POLICY,
                 "no peer is ever verified: no section requires or observes");
    }
}
