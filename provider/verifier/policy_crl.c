/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/digest.h"
#include "base/pem.h"
#include "verifier/certificate.h"
#include "verifier/policy_internal.h"

/* A CRL of the file, on its way into the store. */
struct candidate {
    X509_CRL *crl;
    unsigned number; /* in the file, from 1 */
    char issuer[ATLS_SUBJECT_MAX];
    STACK_OF(X509) * anchors;
};

static enum atls_error unreadable(unsigned number, struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_POLICY,
                     "CRL %u cannot be read: %s; expected PEM with BEGIN X509 "
                     "CRL, or one CRL in DER",
                     number, atls_pem_error());
}

static enum atls_error parse_der(const uint8_t *der, size_t len,
                                 unsigned number, struct atls_reason *why,
                                 X509_CRL **ret_crl)
{
    OSSL_LIB_CTX *libctx = atls_libctx();
    /* Without a context of ours it would get the program's. */
    X509_CRL *crl = libctx == NULL ? NULL : X509_CRL_new_ex(libctx, NULL);
    const uint8_t *at = der;

    /* The length is not above ATLS_FILE_MAX. d2i frees and clears crl when it
     * fails. */
    if (crl == NULL || d2i_X509_CRL(&crl, &at, (long)len) == NULL)
        return unreadable(number, why);
    if (at != der + len) {
        X509_CRL_free(crl);
        return atls_fail(why, ATLS_E_POLICY,
                         "there are octets behind the end of CRL %u; expected "
                         "PEM with BEGIN X509 CRL, or one CRL in DER",
                         number);
    }
    *ret_crl = crl;
    return ATLS_OK;
}

/* RFC 5280 §5.2.4, §5.2.5: a CRL that is not the whole truth about its issuer's
 * certificates. */
static enum atls_error check_complete(const struct candidate *candidate,
                                      struct atls_reason *why)
{
    int critical = -1;
    ISSUING_DIST_POINT *point;
    bool partial;

    if (X509_CRL_get_ext_by_NID(candidate->crl, NID_delta_crl, -1) >= 0)
        return atls_fail(why, ATLS_E_POLICY,
                         "CRL %u (%.60s) is a delta CRL, which tells changes "
                         "only; name the complete one",
                         candidate->number, candidate->issuer);
    point = X509_CRL_get_ext_d2i(candidate->crl, NID_issuing_distribution_point,
                                 &critical, NULL);
    partial = point == NULL
                  ? critical != -1
                  : point->indirectCRL || point->onlysomereasons != NULL;
    ISSUING_DIST_POINT_free(point);
    if (partial)
        return atls_fail(
            why, ATLS_E_POLICY,
            "CRL %u (%.60s) is indirect or for some reasons only" ATLS_MORE " "
            "(issuing distribution point); name the CRL of the "
            "AKs' issuer itself, for all reasons",
            candidate->number, candidate->issuer);
    /* §5.1.2.5 demands it: without, an old CRL would be good for ever. */
    if (X509_CRL_get0_nextUpdate(candidate->crl) == NULL)
        return atls_fail(why, ATLS_E_POLICY,
                         "CRL %u (%.60s) has no nextUpdate, so that nobody can "
                         "tell when it is stale; have its CA set one",
                         candidate->number, candidate->issuer);
    return ATLS_OK;
}

/* Decided only where an anchor has the issuer's name: the key of an intermediate
 * comes with the evidence. */
static enum atls_error check_signature(const struct candidate *candidate,
                                       struct atls_reason *why)
{
    const X509_NAME *issuer = X509_CRL_get_issuer(candidate->crl);
    bool is_known = false;

    for (int i = 0; i < sk_X509_num(candidate->anchors); i++) {
        const X509 *anchor = sk_X509_value(candidate->anchors, i);

        if (X509_NAME_cmp(X509_get_subject_name(anchor), issuer) != 0)
            continue;
        if (X509_CRL_verify(candidate->crl, X509_get0_pubkey(anchor)) == 1)
            return ATLS_OK;
        is_known = true;
    }
    if (is_known)
        return atls_fail(why, ATLS_E_POLICY,
                         "CRL %u is not signed by the key of %.80s in `trust`; "
                         "fetch it anew",
                         candidate->number, candidate->issuer);
    return ATLS_OK;
}

/* An anchor is trusted because the policy says so; no path asks for its CRL. */
static enum atls_error check_anchors(const struct candidate *candidate,
                                     struct atls_reason *why)
{
    for (int i = 0; i < sk_X509_num(candidate->anchors); i++) {
        X509 *anchor = sk_X509_value(candidate->anchors, i);
        X509_REVOKED *entry = NULL;
        char subject[ATLS_SUBJECT_MAX];
        char date[ATLS_DATE_MAX];

        if (X509_CRL_get0_by_cert(candidate->crl, &entry, anchor) <= 0)
            continue;
        atls_certificate_subject(anchor, subject, sizeof(subject));
        atls_certificate_date(X509_REVOKED_get0_revocationDate(entry), date);
        return atls_fail(why, ATLS_E_POLICY,
                         "CRL %u (%.50s) says that %.60s was revoked" ATLS_MORE
                         " on %s; "
                         "take it out of `trust`",
                         candidate->number, candidate->issuer, subject, date);
    }
    return ATLS_OK;
}

static enum atls_error check_candidate(const struct candidate *candidate,
                                       struct atls_reason *why)
{
    enum atls_error r = check_complete(candidate, why);

    if (r != ATLS_OK)
        return r;
    r = check_signature(candidate, why);
    if (r != ATLS_OK)
        return r;
    return check_anchors(candidate, why);
}

static bool keep(struct atls_section *section, X509_CRL *crl)
{
    if (section->crls == NULL)
        section->crls = sk_X509_CRL_new_null();
    if (section->crls == NULL || !X509_CRL_up_ref(crl))
        return false;
    if (sk_X509_CRL_push(section->crls, crl) > 0)
        return true;
    X509_CRL_free(crl);
    return false;
}

/* Without a store, under mode off, a CRL is only read. */
static enum atls_error add_to_store(struct atls_section *section,
                                    struct candidate *candidate,
                                    struct atls_reason *why)
{
    enum atls_error r;

    if (section->trust == NULL)
        return check_candidate(candidate, why);
    candidate->anchors = X509_STORE_get1_all_certs(section->trust);
    if (candidate->anchors == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = check_candidate(candidate, why);
    if (r != ATLS_OK)
        return r;
    if (!X509_STORE_add_crl(section->trust, candidate->crl)
        || !keep(section, candidate->crl))
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

static enum atls_error add_crl(struct atls_section *section, const uint8_t *der,
                               size_t len, unsigned number,
                               struct atls_reason *why)
{
    struct candidate candidate = {.number = number};
    enum atls_error r = parse_der(der, len, number, why, &candidate.crl);

    if (r != ATLS_OK)
        return r;
    atls_certificate_name(X509_CRL_get_issuer(candidate.crl), candidate.issuer,
                          sizeof(candidate.issuer));
    r = add_to_store(section, &candidate, why);
    sk_X509_pop_free(candidate.anchors, X509_free);
    X509_CRL_free(candidate.crl);
    return r;
}

/*
 * The next PEM block; what it holds is the caller's to judge.
 *   ret_more  false behind the last one
 */
static enum atls_error add_block(struct atls_section *section, BIO *text,
                                 unsigned *count, struct atls_reason *why,
                                 bool *ret_more)
{
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    enum atls_error r = ATLS_OK;

    *ret_more =
        text != NULL && PEM_read_bio(text, &name, &header, &der, &len) != 0;
    if (!*ret_more && (text == NULL || !atls_pem_is_end(text)))
        return unreadable(*count + 1, why);
    if (!*ret_more)
        return ATLS_OK;
    /* Other blocks are remarks. */
    if (strcmp(name, PEM_STRING_X509_CRL) == 0) {
        *count += 1;
        r = add_crl(section, der, (size_t)len, *count, why);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return r;
}

static enum atls_error add_blocks(struct atls_section *section, BIO *text,
                                  struct atls_reason *why)
{
    unsigned count = 0;
    bool more = true;

    while (more) {
        enum atls_error r = add_block(section, text, &count, why, &more);

        if (r != ATLS_OK)
            return r;
    }
    if (count == 0)
        return atls_fail(why, ATLS_E_POLICY,
                         "there is no CRL in it; expected PEM with BEGIN X509 "
                         "CRL, or one CRL in DER");
    return ATLS_OK;
}

/* A SEQUENCE whose length takes more than one octet, as any CRL's does (X.690
 * §8.1.3.5); no text begins like that. */
static bool is_der(const struct atls_file *file)
{
    return file->len > 2 && file->text[0] == 0x30
           && ((unsigned char)file->text[1] & 0x80u) != 0;
}

static enum atls_error add_file(struct atls_section *section,
                                const struct atls_file *file,
                                struct atls_reason *why)
{
    BIO *text;
    enum atls_error r;

    if (is_der(file))
        return add_crl(section, (const uint8_t *)file->text, file->len, 1, why);
    /* The length is not above ATLS_FILE_MAX. */
    text = BIO_new_mem_buf(file->text, (int)file->len);
    r = add_blocks(section, text, why);
    BIO_free(text);
    return r;
}

enum atls_error atls_policy_set_crl(struct atls_policy_loader *loader,
                                    const struct atls_scan_pair *pair)
{
    const struct atls_file *file = NULL;
    enum atls_error r;

    r = atls_file_read(&loader->policy->files, pair->file, pair->value,
                       loader->why, &file);
    if (r != ATLS_OK)
        return r;
    r = add_file(loader->section, file, loader->why);
    if (r != ATLS_OK) {
        atls_reason_prefix(loader->why, "%s: ", file->label);
        return r;
    }
    loader->section->has_crl = true;
    return ATLS_OK;
}
