/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/measured.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "digest.h"
#include "evidence/eventlog.h"
#include "verifier/certificate.h"

/* Digests in reasons are cut to this many octets: enough to tell two apart. */
#define SHORT_LEN 8u
#define SHORT_HEX (2 * SHORT_LEN + 1)

bool atls_measured_log_counts(const struct atls_section *section,
                              const struct atls_evidence *evidence)
{
    return evidence->has_log || section->component_count > 0
           || section->certificate != ATLS_CERTIFICATE_ANY
           || (!section->components_any
               && section->pcrs[section->measure_pcr].count == 0);
}

enum atls_error atls_measured_log(const struct atls_section *section,
                                  const struct atls_evidence *evidence,
                                  struct atls_reason *why)
{
    const struct atls_hash *hash = atls_hash_by_alg(section->bank);
    unsigned pcr = section->measure_pcr;
    const uint8_t *quoted = atls_pcr_value(&evidence->pcrs, section->bank, pcr);
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0};
    char expected[SHORT_HEX] = "no value";
    char replayed[SHORT_HEX];
    enum atls_error r;

    if (!atls_measured_log_counts(section, evidence))
        return ATLS_OK;
    if (evidence->has_log && evidence->log_pcr != pcr)
        return atls_fail(why, ATLS_E_LOG_REPLAY,
                         "the measured log is of PCR %u; the policy expects "
                         "PCR %u, see measure_pcr",
                         evidence->log_pcr, pcr);
    r = atls_eventlog_replay(section->bank, evidence->log, evidence->log_count,
                             value);
    if (r != ATLS_OK)
        return r;
    if (quoted != NULL && memcmp(value, quoted, hash->len) == 0)
        return ATLS_OK;
    if (quoted != NULL)
        atls_hex(quoted, SHORT_LEN, expected);
    atls_hex(value, SHORT_LEN, replayed);
    return atls_fail(why, ATLS_E_LOG_REPLAY,
                     "the measured log (%zu events%s) does not replay to PCR "
                     "%u: expected %s..., got %s...; were events lost or "
                     "extended without a log?",
                     evidence->log_count,
                     evidence->has_log ? "" : ", none was sent", pcr, expected,
                     replayed);
}

static bool log_has(const struct atls_evidence *evidence,
                    enum atls_event_kind kind,
                    const uint8_t digest[ATLS_SHA256_LEN])
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        struct atls_event event;

        atls_event_parse(evidence->log[i], &event);
        if (event.kind == kind
            && memcmp(event.digest, digest, ATLS_SHA256_LEN) == 0)
            return true;
    }
    return false;
}

/* An issuer by its own extensions, as RFC 5280 §4.2.1.9 and §4.2.1.3 want them;
 * OpenSSL alone would also take one without key usage. */
static bool is_authority(X509 *cert)
{
    return X509_check_ca(cert) == 1
           && (X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0
           && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) != 0;
}

/* A path of leaf and authority and nothing between, as no other certificate is
 * given: names, signature, its strength, validity, constraints. */
static bool issued_directly(X509 *authority, X509 *leaf, int64_t now)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(atls_libctx(), NULL);
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = NULL;
    bool issued = false;

    if (ctx != NULL && store != NULL && X509_STORE_add_cert(store, authority)
        && X509_STORE_CTX_init(ctx, store, leaf, NULL)) {
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_auth_level(param, ATLS_AUTH_LEVEL);
        X509_VERIFY_PARAM_set_time(param, (time_t)now);
        issued = X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return issued;
}

static enum atls_error check_issuer(X509 *authority, X509 *leaf, int64_t now,
                                    struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];

    atls_certificate_subject(authority, subject, sizeof(subject));
    if (!is_authority(authority))
        return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                         "the measured authority %.80s may not issue "
                         "certificates: expected CA:TRUE and keyCertSign",
                         subject);
    if (!issued_directly(authority, leaf, now))
        return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                         "the measured authority %.80s did not directly issue "
                         "the TLS certificate, or one of the two is not valid "
                         "now",
                         subject);
    return ATLS_OK;
}

/* The authority of the evidence: measured, a CA, and the leaf's issuer. */
static enum atls_error check_authority(const struct atls_evidence *evidence,
                                       struct atls_span cert_der, int64_t now,
                                       struct atls_reason *why)
{
    struct atls_span der = evidence->authority;
    uint8_t digest[ATLS_SHA256_LEN];
    X509 *authority = NULL;
    X509 *leaf = NULL;
    enum atls_error r = atls_sha256(der.data, der.len, digest);

    if (r != ATLS_OK)
        return r;
    if (!log_has(evidence, ATLS_EVENT_AUTHORITY, digest))
        return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                         "the evidence carries an authority that is not in the "
                         "measured log; measure it before the server starts");
    r = atls_certificate_parse(der, "the measured authority", why, &authority);
    if (r != ATLS_OK)
        return r;
    r = atls_certificate_parse(cert_der, "the TLS certificate", why, &leaf);
    if (r == ATLS_OK)
        r = check_issuer(authority, leaf, now, why);
    X509_free(authority);
    X509_free(leaf);
    return r;
}

static enum atls_error certificate(const struct atls_section *section,
                                   const struct atls_evidence *evidence,
                                   struct atls_span cert_der, int64_t now,
                                   struct atls_reason *why)
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];
    enum atls_error r;

    if (evidence->authority.len > 0) {
        r = check_authority(evidence, cert_der, now, why);
        if (r != ATLS_OK)
            return r;
        if (section->certificate == ATLS_CERTIFICATE_MEASURED_ISSUER)
            return ATLS_OK;
    }
    if (section->certificate == ATLS_CERTIFICATE_ANY)
        return ATLS_OK;
    r = atls_sha256(cert_der.data, cert_der.len, digest);
    if (r != ATLS_OK)
        return r;
    if (log_has(evidence, ATLS_EVENT_CERTIFICATE, digest))
        return ATLS_OK;
    atls_hex(digest, sizeof(digest), hex);
    return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                     "the TLS certificate is not in the measured log: expected "
                     "sha256:%s; measure it with: attest measure --certificate "
                     "PEM",
                     hex);
}

enum atls_error atls_measured_certificate(const struct atls_section *section,
                                          const struct atls_evidence *evidence,
                                          struct atls_span cert_der,
                                          int64_t now, struct atls_reason *why)
{
    enum atls_error r;

    ERR_set_mark();
    r = certificate(section, evidence, cert_der, now, why);
    ERR_pop_to_mark();
    return r;
}

/* `*` stands for any octets, also none; everything else for itself. Goes back to
 * the last star only, so the time is at most the product of the two lengths. */
static bool pattern_matches(const char *pattern, struct atls_span content)
{
    const char *star = NULL;
    size_t retry = 0;
    size_t at = 0;

    while (at < content.len) {
        if (*pattern == '*') {
            star = pattern++;
            retry = at;
        } else if (*pattern != '\0' && (uint8_t)*pattern == content.data[at]) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool event_is_listed(const struct atls_section *section,
                            struct atls_span content)
{
    for (size_t i = 0; i < section->event_count; i++) {
        if (pattern_matches(section->events[i], content))
            return true;
    }
    return false;
}

static enum atls_error check_digest(const struct atls_component_rule *rule,
                                    const struct atls_event *event,
                                    struct atls_reason *why)
{
    char expected[SHORT_HEX] = "";
    char found[SHORT_HEX];

    for (size_t i = 0; i < rule->count; i++) {
        if (memcmp(rule->digests[i], event->digest, ATLS_SHA256_LEN) == 0)
            return ATLS_OK;
    }
    if (rule->count > 0)
        atls_hex(rule->digests[0], SHORT_LEN, expected);
    atls_hex(event->digest, SHORT_LEN, found);
    return atls_fail(why, ATLS_E_COMPONENT,
                     "component %s does not match policy: expected "
                     "sha256:%s...%s, got sha256:%s...",
                     event->name, expected,
                     rule->count > 1 ? " or others listed" : "", found);
}

/* Checks one event; seen[i] is set when it is of the section's component i. */
static enum atls_error check_event(const struct atls_section *section,
                                   struct atls_span content, bool *seen,
                                   struct atls_reason *why)
{
    struct atls_event event;

    atls_event_parse(content, &event);
    for (size_t i = 0; i < section->component_count; i++) {
        if (event.kind != ATLS_EVENT_COMPONENT
            || strcmp(section->components[i].name, event.name) != 0)
            continue;
        seen[i] = true;
        return check_digest(&section->components[i], &event, why);
    }
    if (section->components_any || event.kind == ATLS_EVENT_CERTIFICATE
        || event.kind == ATLS_EVENT_AUTHORITY)
        return ATLS_OK;
    if (event.kind == ATLS_EVENT_COMPONENT)
        return atls_fail(why, ATLS_E_LOG_EVENT,
                         "component %s was loaded, which the policy does not "
                         "list; add component.%s or set components = any",
                         event.name, event.name);
    if (!event_is_listed(section, content))
        return atls_fail(why, ATLS_E_LOG_EVENT,
                         "the measured log holds an event that the policy does "
                         "not list: \"%.*s\"; add a pattern to events",
                         content.len < 80 ? (int)content.len : 80,
                         (const char *)content.data);
    return ATLS_OK;
}

static enum atls_error check_events(const struct atls_section *section,
                                    const struct atls_evidence *evidence,
                                    bool *seen, struct atls_reason *why)
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        enum atls_error r = check_event(section, evidence->log[i], seen, why);

        if (r != ATLS_OK)
            return r;
    }
    for (size_t i = 0; i < section->component_count; i++) {
        if (!seen[i])
            return atls_fail(why, ATLS_E_COMPONENT,
                             "component %s is missing from the measured log; "
                             "measure it with: attest measure --name %s PATH",
                             section->components[i].name,
                             section->components[i].name);
    }
    return ATLS_OK;
}

enum atls_error atls_measured_components(const struct atls_section *section,
                                         const struct atls_evidence *evidence,
                                         struct atls_reason *why)
{
    /* One more, as nothing may be allocated for no component. */
    bool *seen = OPENSSL_zalloc((section->component_count + 1) * sizeof(*seen));
    enum atls_error r;

    if (seen == NULL)
        return atls_fail(why, ATLS_E_NOMEM,
                         "out of memory while checking components");
    r = check_events(section, evidence, seen, why);
    OPENSSL_free(seen);
    return r;
}
