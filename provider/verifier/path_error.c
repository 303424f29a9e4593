/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/path_error.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>

#include "verifier/certificate.h"

bool atls_path_is_crl_error(int error)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
        return true;
    default:
        return false;
    }
}

/* OpenSSL says where a path ended and why; we say whose certificate it was and
 * what to do. */
struct ending {
    X509 *cert;    /* or NULL */
    X509_CRL *crl; /* or NULL */
    int error;
    const char *what; /* "AK certificate" */
    char subject[ATLS_SUBJECT_MAX];
    char issuer[ATLS_SUBJECT_MAX];
    char today[ATLS_DATE_MAX];
    bool at_anchor;
};

static void describe(X509_STORE_CTX *ctx, X509_CRL *crl, int64_t now,
                     struct ending *ret)
{
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);

    *ret = (struct ending){
        .cert = cert, .crl = crl, .subject = "?", .issuer = "?"};
    ret->error = X509_STORE_CTX_get_error(ctx);
    ret->what = depth == 0 ? "AK certificate" : "CA certificate";
    ret->at_anchor = depth + 1 == sk_X509_num(X509_STORE_CTX_get0_chain(ctx));
    atls_certificate_date_of(now, ret->today);
    if (cert == NULL)
        return;
    atls_certificate_subject(cert, ret->subject, sizeof(ret->subject));
    atls_certificate_name(X509_get_issuer_name(cert), ret->issuer,
                          sizeof(ret->issuer));
}

static enum atls_error expired(const struct ending *ending,
                               struct atls_reason *why)
{
    char date[ATLS_DATE_MAX];

    atls_certificate_date(X509_get0_notAfter(ending->cert), date);
    return atls_fail(why, ATLS_E_CHAIN_EXPIRED,
                     "%s %.80s expired %s; expected one that is valid on %s: "
                     "renew it %s",
                     ending->what, ending->subject, date, ending->today,
                     ending->at_anchor ? "in the policy's trust file"
                                       : "on the attesting machine");
}

static enum atls_error not_yet_valid(const struct ending *ending,
                                     struct atls_reason *why)
{
    char date[ATLS_DATE_MAX];

    atls_certificate_date(X509_get0_notBefore(ending->cert), date);
    return atls_fail(why, ATLS_E_CHAIN_NOT_YET,
                     "%s %.90s is valid from %s on; expected one that is "
                     "valid on %s: check the clocks",
                     ending->what, ending->subject, date, ending->today);
}

static enum atls_error revoked(const struct ending *ending,
                               struct atls_reason *why)
{
    X509_REVOKED *entry = NULL;
    char date[ATLS_DATE_MAX] = "?";

    /* When memory ends it may not have been told. */
    if (ending->crl != NULL
        && X509_CRL_get0_by_cert(ending->crl, &entry, ending->cert) > 0)
        atls_certificate_date(X509_REVOKED_get0_revocationDate(entry), date);
    return atls_fail(why, ATLS_E_CHAIN_REVOKED,
                     "%s %.70s was revoked on %s" ATLS_MORE
                     " by %.40s; expected one that "
                     "is not: take the machine out of service",
                     ending->what, ending->subject, date, ending->issuer);
}

static enum atls_error crl_expired(const struct ending *ending,
                                   struct atls_reason *why)
{
    char date[ATLS_DATE_MAX];

    atls_certificate_date(X509_CRL_get0_nextUpdate(ending->crl), date);
    return atls_fail(why, ATLS_E_CHAIN_CRL,
                     "the CRL of %.80s was good until %s; expected one that is "
                     "good on %s: fetch the current one into the policy's crl "
                     "file",
                     ending->issuer, date, ending->today);
}

static enum atls_error crl_not_yet_valid(const struct ending *ending,
                                         struct atls_reason *why)
{
    char date[ATLS_DATE_MAX];

    atls_certificate_date(X509_CRL_get0_lastUpdate(ending->crl), date);
    return atls_fail(
        why, ATLS_E_CHAIN_CRL,
        "the CRL of %.80s is good from %s on; expected one that is "
        "good on %s: check the clocks",
        ending->issuer, date, ending->today);
}

static enum atls_error crl_error(const struct ending *ending,
                                 struct atls_reason *why)
{
    switch (ending->error) {
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return crl_expired(ending, why);
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return crl_not_yet_valid(ending, why);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return atls_fail(why, ATLS_E_CHAIN_CRL,
                         "no CRL says whether %s %.60s is revoked; expected "
                         "one of its issuer %.40s in the policy's crl file",
                         ending->what, ending->subject, ending->issuer);
    default:
        return atls_fail(why, ATLS_E_CHAIN_CRL,
                         "the CRL of %.70s cannot be used: %s; replace it in "
                         "the policy's crl file",
                         ending->issuer,
                         X509_verify_cert_error_string(ending->error));
    }
}

enum atls_error atls_path_error(X509_STORE_CTX *ctx, X509_CRL *crl, int64_t now,
                                struct atls_reason *why)
{
    struct ending ending;

    describe(ctx, crl, now, &ending);
    switch (ending.error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return expired(&ending, why);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return not_yet_valid(&ending, why);
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return atls_fail(why, ATLS_E_CHAIN_UNTRUSTED,
                         "%s %.80s leads to no certificate of the policy's "
                         "trust file" ATLS_MORE ": %s",
                         ending.what, ending.subject,
                         X509_verify_cert_error_string(ending.error));
    case X509_V_ERR_CERT_REVOKED:
        return revoked(&ending, why);
    default:
        break;
    }
    if (atls_path_is_crl_error(ending.error))
        return crl_error(&ending, why);
    return atls_fail(why, ATLS_E_CHAIN_USAGE,
                     "%s %.80s cannot be used in an AK chain: %s", ending.what,
                     ending.subject,
                     X509_verify_cert_error_string(ending.error));
}
