/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/measured.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "evidence/event_form.h"
#include "evidence/eventlog.h"
#include "verifier/certificate.h"

/* Digests in reasons are cut to this many octets: enough to tell two apart. */
#define SHORT_LEN 8u
#define SHORT_HEX (2 * SHORT_LEN + 1)

/* Does the value of the measured PCR have to be one that the policy names? */
static bool names_measured_pcr(const struct atls_section *section)
{
    unsigned pcr = section->measure_pcr;

    if (section->pcrs[pcr].count > 0)
        return true;
    for (size_t i = 0; i < section->reference_count; i++) {
        if (section->references[i].pcrs[pcr].count == 0)
            return false;
    }
    return section->reference_count > 0;
}

static bool names_components(const struct atls_section *section)
{
    for (size_t i = 0; i < section->reference_count; i++) {
        if (section->references[i].component_count > 0)
            return true;
    }
    return section->component_count > 0;
}

bool atls_measured_log_counts(const struct atls_section *section,
                              const struct atls_evidence *evidence)
{
    return evidence->has_log || names_components(section)
           || section->certificate != ATLS_CERTIFICATE_ANY
           || (!section->components_any && !names_measured_pcr(section));
}

/* The measured log while it is being compared with the quote. */
struct replay {
    const struct atls_evidence *evidence;
    const struct atls_hash *hash;
    const uint8_t *quoted; /* NULL: the PCR was not */
    uint8_t value[ATLS_PCR_DIGEST_MAX];
    size_t count;     /* of events replayed */
    bool has_reached; /* a beginning of the log replays to quoted ... */
    size_t reached;   /* ... the one of so many events */
};

static bool is_quoted(const struct replay *replay)
{
    return replay->quoted != NULL
           && memcmp(replay->value, replay->quoted, replay->hash->len) == 0;
}

/* All of the log, whatever stands in it: what it says last counts. */
static enum atls_error replay_log(struct replay *replay)
{
    const struct atls_evidence *evidence = replay->evidence;

    while (replay->count < evidence->log_count) {
        enum atls_error r;

        if (is_quoted(replay)) {
            replay->has_reached = true;
            replay->reached = replay->count;
        }
        r = atls_eventlog_extend(replay->hash->alg,
                                 evidence->log[replay->count], replay->value);
        if (r != ATLS_OK)
            return r;
        replay->count++;
    }
    return ATLS_OK;
}

/* What is behind the beginning that replays, else a guess. */
static void say_where(const struct replay *replay, char *ret, size_t size)
{
    char others[40] = "was";
    char event[41];
    size_t after;

    if (!replay->has_reached) {
        (void)snprintf(ret, size,
                       "were events lost or extended without a log?");
        return;
    }
    atls_event_show(replay->evidence->log[replay->reached], event,
                    sizeof(event));
    after = replay->count - replay->reached - 1;
    if (after > 0)
        (void)snprintf(others, sizeof(others), "and %zu after it were", after);
    (void)snprintf(ret, size, "event %zu \"%s\" %s never extended",
                   replay->reached + 1, event, others);
}

static enum atls_error does_not_replay(const struct replay *replay,
                                       unsigned pcr, struct atls_reason *why)
{
    char expected[SHORT_HEX] = "no value";
    char replayed[SHORT_HEX];
    char where[120];

    if (replay->quoted != NULL)
        atls_hex(replay->quoted, SHORT_LEN, expected);
    atls_hex(replay->value, SHORT_LEN, replayed);
    say_where(replay, where, sizeof(where));
    return atls_fail(why, ATLS_E_LOG_REPLAY,
                     "the measured log (%zu events%s) does not replay to PCR "
                     "%u" ATLS_MORE ": expected %s..., got %s...; %s",
                     replay->count,
                     replay->evidence->has_log ? "" : ", none was sent", pcr,
                     expected, replayed, where);
}

enum atls_error atls_measured_log(const struct atls_section *section,
                                  const struct atls_evidence *evidence,
                                  struct atls_reason *why)
{
    unsigned pcr = section->measure_pcr;
    struct replay replay = {
        .evidence = evidence,
        .hash = atls_hash_by_alg(section->bank),
        .quoted = atls_pcr_value(&evidence->pcrs, section->bank, pcr),
    };
    enum atls_error r;

    if (!atls_measured_log_counts(section, evidence))
        return ATLS_OK;
    if (evidence->has_log && evidence->log_pcr != pcr)
        return atls_fail(why, ATLS_E_LOG_REPLAY,
                         "the measured log is of PCR %u; the policy expects "
                         "PCR %u, see measure_pcr",
                         evidence->log_pcr, pcr);
    if (replay.hash == NULL)
        return ATLS_E_INTERNAL;
    r = replay_log(&replay);
    if (r != ATLS_OK)
        return r;
    if (is_quoted(&replay))
        return ATLS_OK;
    return does_not_replay(&replay, pcr, why);
}

static bool log_has(const struct atls_evidence *evidence,
                    enum atls_event_kind kind,
                    const uint8_t digest[ATLS_SHA256_LEN])
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        struct atls_event event;

        if (!atls_event_may_be(evidence->log[i], kind))
            continue;
        atls_event_parse(evidence->log[i], &event);
        if (event.kind == kind
            && memcmp(event.digest, digest, ATLS_SHA256_LEN) == 0)
            return true;
    }
    return false;
}

/* Was it logged, by another tool than ours? */
static enum atls_error check_other_forms(const struct atls_evidence *evidence,
                                         const uint8_t digest[ATLS_SHA256_LEN],
                                         struct atls_reason *why)
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        char flaws[ATLS_EVENT_FLAWS_MAX], shown[ATLS_EVENT_SHOWN_MAX];
        struct atls_event event;

        if (!atls_event_resembles(evidence->log[i], &event, flaws)
            || event.kind != ATLS_EVENT_CERTIFICATE
            || memcmp(event.digest, digest, ATLS_SHA256_LEN) != 0)
            continue;
        atls_event_show(evidence->log[i], shown, sizeof(shown));
        return atls_fail(
            why, ATLS_E_CERTIFICATE_UNMEASURED,
            "the TLS certificate is logged in another form: "
            "%s" ATLS_WHOLE
            "the log has \"%s\", which is no certificate to attest: "
            "%s; use attest measure",
            flaws, shown, flaws);
    }
    return ATLS_OK;
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
                         "certificates" ATLS_MORE
                         ": expected CA:TRUE and keyCertSign",
                         subject);
    if (!issued_directly(authority, leaf, now))
        return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                         "the measured authority %.80s did not directly issue "
                         "the TLS certificate" ATLS_MORE
                         ", or one of the two is not valid "
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
    if (r == ATLS_E_MALFORMED)
        return atls_fail(why, r,
                         "the measured authority (key 8, %zu octets) is no "
                         "certificate in DER; the attester measured something "
                         "else in its place",
                         der.len);
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
    r = check_other_forms(evidence, digest, why);
    if (r != ATLS_OK)
        return r;
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
