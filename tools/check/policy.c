/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "tools/check/checks.h"
#include "verifier/certificate.h"
#include "verifier/policy.h"

/* When the roots of a section expire, none of its peers is trusted. */
static void check_trust(struct check *check, const struct atls_section *section)
{
    STACK_OF(X509) *anchors = section->trust != NULL
                                  ? X509_STORE_get1_all_certs(section->trust)
                                  : NULL;

    for (int i = 0; i < sk_X509_num(anchors); i++) {
        const X509 *cert = sk_X509_value(anchors, i);
        char target[ATLS_SUBJECT_MAX];
        char thing[ATLS_SUBJECT_MAX + 128];

        atls_certificate_subject(cert, target, sizeof(target));
        snprintf(thing, sizeof(thing), "[%.80s] trust anchor %s", section->name,
                 target);
        tool_check_expiry(check, "trust", thing,
                          tool_check_time_of(X509_get0_notAfter(cert)),
                          "Get the successor from its issuer");
    }
    sk_X509_pop_free(anchors, X509_free);
}

static void check_sections(struct check *check,
                           const struct atls_policy *policy)
{
    const struct atls_section *section;
    unsigned require = 0, observe = 0;
    size_t count = 0;

    for (; (section = atls_policy_section(policy, count)) != NULL; count++) {
        char thing[128];

        require += section->mode == ATLS_MODE_REQUIRE;
        observe += section->mode == ATLS_MODE_OBSERVE;
        if (section->mode == ATLS_MODE_OFF)
            continue;
        snprintf(thing, sizeof(thing), "section [%.100s]", section->name);
        tool_check_expiry(check, "policy", thing, section->expires,
                          "Look its values over and set a later time");
        check_trust(check, section);
    }
    tool_finding_ok(check->findings, "policy",
                    "%s (sections: %zu, of them require: %u, observe: %u)",
                    check->configuration.policy, count, require, observe);
}

/* The policy's own warnings. C5: a file that others can write is a FAIL here.
 * --warn covers times of expiry, below. */
static void check_warnings(struct check *check,
                           const struct atls_policy *policy)
{
    const char *warning;

    for (size_t i = 0; (warning = atls_policy_warning(policy, i)) != NULL;
         i++) {
        switch (atls_policy_warning_code(policy, i)) {
        case ATLS_E_IO:
            tool_finding_fail(check->findings, TOOL_USAGE, "policy", NULL, "%s",
                              warning);
            break;
        case ATLS_E_CHAIN_CRL:
            tool_finding_fail(check->findings, TOOL_USAGE, "policy", NULL, "%s",
                              warning);
            break;
        case ATLS_E_EXPIRED:
            break;
        default:
            tool_finding_warn(check->findings, "policy", NULL, "%s", warning);
        }
    }
}

void tool_check_policy(struct check *check)
{
    const char *path = check->configuration.policy;
    struct atls_policy *policy = NULL;
    struct atls_reason why = {0};
    const char *file;

    if (path == NULL)
        return;
    if (atls_policy_load(path, &why, &policy) != ATLS_OK) {
        tool_finding_fail(check->findings, TOOL_USAGE, "policy",
                          "Until then every handshake is refused", "%s",
                          why.text[0] != '\0' ? why.text
                                              : atls_error_sentence(why.code));
        return;
    }
    check_warnings(check, policy);
    for (size_t i = 0; (file = atls_policy_file(policy, i)) != NULL; i++)
        tool_check_surroundings(check, "policy", file);
    check_sections(check, policy);
    atls_policy_unref(policy);
}
