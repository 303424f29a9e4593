/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/path.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <time.h>

#include "base/digest.h"
#include "evidence/codec.h"
#include "verifier/certificate.h"
#include "verifier/path_error.h"

/* Certificates in the order of issue, the AK's first. */
struct line {
    size_t count;
    X509 *certs[ATLS_CHAIN_MAX];
};

/* What a search for a path works with. */
struct search {
    const struct atls_section *section;
    X509 *const *certs; /* all that came */
    size_t count;
    int64_t now;
    struct line line;
    STACK_OF(X509) * anchors;      /* all of the section */
    STACK_OF(X509) * ends;         /* those of them that may end this path */
    STACK_OF(X509) * issuers;      /* what came and stands in this path */
    X509_CRL *crl;                 /* that led to a refusal, or NULL */
    struct atls_validity validity; /* of the path that holds */
};

static bool is_same_ca(const X509 *a, const X509 *b)
{
    return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b))
               == 0
           && ASN1_STRING_cmp(X509_get0_pubkey_bitstr(a),
                              X509_get0_pubkey_bitstr(b))
                  == 0;
}

/* Cross-signed or renewed: a path has room for one of them. */
static enum atls_error check_distinct(const struct search *search,
                                      struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];

    for (size_t i = 1; i < search->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!is_same_ca(search->certs[i], search->certs[j]))
                continue;
            atls_certificate_subject(search->certs[i], subject,
                                     sizeof(subject));
            return atls_fail(why, ATLS_E_CHAIN_UNUSED,
                             "certificates %zu and %zu of the AK chain are two "
                             "of one CA, %.60s; keep the one that leads to the "
                             "trusted root in ak_chain",
                             j + 1, i + 1, subject);
        }
    }
    return ATLS_OK;
}

/* By names and key identifiers. Whether it may issue is judged later, so that
 * the reason says so. */
static bool could_issue(X509 *issuer, X509 *cert)
{
    int error = X509_check_issued(issuer, cert);

    return error == X509_V_OK || error == X509_V_ERR_KEYUSAGE_NO_CERTSIGN;
}

static bool is_in_line(const struct line *line, const X509 *cert)
{
    for (size_t i = 0; i < line->count; i++) {
        if (line->certs[i] == cert)
            return true;
    }
    return false;
}

/* Of several CAs of one name the one whose key it is: key identifiers need not
 * tell them apart. */
static X509 *find_issuer(const struct search *search, X509 *cert)
{
    X509 *issuer = NULL;

    for (size_t i = 1; i < search->count; i++) {
        X509 *other = search->certs[i];

        if (is_in_line(&search->line, other) || !could_issue(other, cert))
            continue;
        if (issuer == NULL || X509_verify(cert, X509_get0_pubkey(other)) == 1)
            issuer = other;
    }
    return issuer;
}

static void make_line(struct search *search)
{
    X509 *next = search->certs[0];

    while (next != NULL) {
        search->line.certs[search->line.count++] = next;
        next = find_issuer(search, next);
    }
}

static bool is_equal(X509 *anchor, X509 *cert)
{
    return X509_cmp(anchor, cert) == 0;
}

/* How an anchor may end a path; one that is a certificate of the path takes its
 * place. */
static const struct ending {
    bool (*fits)(X509 *anchor, X509 *last);
    size_t replaced;
} endings[] = {{is_equal, 1}, {could_issue, 0}};

#define ENDINGS (sizeof(endings) / sizeof(endings[0]))

static bool has_signed(X509 *anchor, X509 *cert)
{
    return X509_verify(cert, X509_get0_pubkey(anchor)) == 1;
}

/* Of several anchors of one name those whose key it is, if it is anyone's: OpenSSL
 * tries one only. */
static void keep_signers(STACK_OF(X509) * ends, X509 *last)
{
    int signers = 0;

    if (sk_X509_num(ends) < 2)
        return;
    for (int i = 0; i < sk_X509_num(ends); i++)
        signers += has_signed(sk_X509_value(ends, i), last);
    for (int i = sk_X509_num(ends) - 1; signers > 0 && i >= 0; i--) {
        if (!has_signed(sk_X509_value(ends, i), last))
            (void)sk_X509_delete(ends, i);
    }
}

/* Fill ends and issuers for the first len certificates of the line. */
static bool gather(struct search *search, const struct ending *ending,
                   size_t len)
{
    sk_X509_zero(search->ends);
    sk_X509_zero(search->issuers);
    for (int i = 0; i < sk_X509_num(search->anchors); i++) {
        X509 *anchor = sk_X509_value(search->anchors, i);

        if (ending->fits(anchor, search->line.certs[len - 1])
            && !sk_X509_push(search->ends, anchor))
            return false;
    }
    if (ending->replaced == 0)
        keep_signers(search->ends, search->line.certs[len - 1]);
    for (size_t i = 1; i + ending->replaced < len; i++) {
        if (!sk_X509_push(search->issuers, search->line.certs[i]))
            return false;
    }
    return true;
}

/*
 * OpenSSL asks for a CRL at every depth. For the AK certificate there must be
 * one, for intermediates there may be one. Whatever CRL it holds against an
 * anchor is its own issuer's, whose key we need not have; that no CRL of the
 * section lists an anchor was seen when the policy was loaded.
 */
static bool is_forgiven(X509_STORE_CTX *ctx)
{
    int error = X509_STORE_CTX_get_error(ctx);
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    int anchor = sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;

    if (depth == 0)
        return false;
    return error == X509_V_ERR_UNABLE_TO_GET_CRL
           || (depth == anchor && atls_path_is_crl_error(error));
}

/* Only now can the context tell which CRL it was. */
static void keep_crl(X509_STORE_CTX *ctx)
{
    struct search *search = X509_STORE_CTX_get_app_data(ctx);
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);

    if (crl != NULL && X509_CRL_up_ref(crl)) {
        X509_CRL_free(search->crl);
        search->crl = crl;
    }
}

static int look_at_error(int ok, X509_STORE_CTX *ctx)
{
    if (ok || is_forgiven(ctx))
        return 1;
    keep_crl(ctx);
    return 0;
}

/*
 * Strict is RFC 5280 to the letter: an issuer is a CA by its basic constraints
 * and has keyCertSign, not merely a certificate that OpenSSL tolerates. What
 * the policy trusts is an anchor even when it is no root (partial chain), as
 * some clouds publish intermediates only. The time is the caller's, so that
 * saved evidence can be judged as of its day.
 */
static bool set_parameters(X509_STORE_CTX *ctx, struct search *search)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT
                                           | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_auth_level(param, ATLS_AUTH_LEVEL);
    X509_VERIFY_PARAM_set_time(param, (time_t)search->now);
    if (!search->section->has_crl)
        return true;
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK
                                           | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_CTX_set_verify_cb(ctx, look_at_error);
    return X509_STORE_CTX_set_app_data(ctx, search);
}

/* Only what is in the path was checked. */
static enum atls_error check_all_used(X509_STORE_CTX *ctx,
                                      const struct search *search,
                                      struct atls_reason *why)
{
    const STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
    char subject[ATLS_SUBJECT_MAX];

    for (size_t i = 1; i < search->count; i++) {
        bool used = false;

        for (int j = 0; j < sk_X509_num(path) && !used; j++)
            used = X509_cmp(search->certs[i], sk_X509_value(path, j)) == 0;
        if (used)
            continue;
        atls_certificate_subject(search->certs[i], subject, sizeof(subject));
        return atls_fail(why, ATLS_E_CHAIN_UNUSED,
                         "certificate %zu of the AK chain, %.70s, is not "
                         "needed for the path" ATLS_MORE
                         " to the trusted root; remove it "
                         "from ak_chain",
                         i + 1, subject);
    }
    return ATLS_OK;
}

static enum atls_error out_of_memory(struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_NOMEM,
                     "out of memory while verifying the AK chain");
}

/*
 * Judge the path that gather() prepared.
 *   ret_holds  is it one? If so, what is returned is the verdict
 */
static enum atls_error judge(X509_STORE_CTX *ctx, struct search *search,
                             struct atls_reason *why, bool *ret_holds)
{
    if (ctx == NULL
        || !X509_STORE_CTX_init(ctx, search->section->trust,
                                search->line.certs[0], search->issuers))
        return out_of_memory(why);
    /* The store is for CRLs then. */
    X509_STORE_CTX_set0_trusted_stack(ctx, search->ends);
    if (!set_parameters(ctx, search))
        return out_of_memory(why);
    if (X509_verify_cert(ctx) != 1)
        return atls_path_error(ctx, search->crl, search->now, why);
    *ret_holds = true;
    atls_validity_of_path(&search->validity, X509_STORE_CTX_get0_chain(ctx));
    if (search->section->has_crl)
        atls_validity_of_crls(&search->validity, search->section->crls);
    return check_all_used(ctx, search, why);
}

static enum atls_error try_path(struct search *search, struct atls_reason *why,
                                bool *ret_holds)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(atls_libctx(), NULL);
    enum atls_error r = judge(ctx, search, why, ret_holds);

    X509_STORE_CTX_free(ctx);
    return r;
}

/* A root that got a new key, or somebody else's of the same name. */
static bool has_namesake(const struct search *search, X509 *last)
{
    bool has_name = false;

    for (int i = 0; i < sk_X509_num(search->anchors); i++) {
        X509 *anchor = sk_X509_value(search->anchors, i);

        if (X509_NAME_cmp(X509_get_subject_name(anchor),
                          X509_get_issuer_name(last))
            != 0)
            continue;
        if (has_signed(anchor, last))
            return false;
        has_name = true;
    }
    return has_name;
}

static enum atls_error no_anchor(const struct search *search,
                                 struct atls_reason *why)
{
    const struct line *line = &search->line;
    X509 *last = line->certs[line->count - 1];
    char subject[ATLS_SUBJECT_MAX];
    char issuer[ATLS_SUBJECT_MAX];

    atls_certificate_subject(last, subject, sizeof(subject));
    atls_certificate_name(X509_get_issuer_name(last), issuer, sizeof(issuer));
    return atls_fail(why, ATLS_E_CHAIN_UNTRUSTED,
                     "%.2s certificate %.60s leads to no certificate of the "
                     "policy's trust file" ATLS_MORE
                     ": expected its issuer %.50s there%s",
                     line->count == 1 ? "AK" : "CA", subject, issuer,
                     has_namesake(search, last)
                         ? "; one of that name is there, with another key"
                         : "");
}

static enum atls_error hand_on(const struct atls_reason *reason,
                               struct atls_reason *why)
{
    if (reason->code == ATLS_OK)
        return ATLS_OK;
    return atls_fail_as(why, reason);
}

/* From the longest path to the shortest. If none holds, the first that ended at
 * an anchor tells the reason: it is the one that was meant. */
static enum atls_error find_path(struct search *search, struct atls_reason *why)
{
    struct atls_reason first = {.code = ATLS_OK};

    for (size_t len = search->line.count; len > 0; len--) {
        for (size_t i = 0; i < ENDINGS; i++) {
            struct atls_reason reason = {.code = ATLS_OK};
            bool holds = false;
            enum atls_error r;

            if (!gather(search, &endings[i], len))
                return out_of_memory(why);
            if (sk_X509_num(search->ends) == 0)
                continue;
            r = try_path(search, &reason, &holds);
            if (holds && r == ATLS_OK)
                return ATLS_OK;
            if (holds)
                return hand_on(&reason, why);
            if (first.code == ATLS_OK)
                first = reason;
        }
    }
    if (first.code != ATLS_OK)
        return hand_on(&first, why);
    return no_anchor(search, why);
}

static bool search_begin(struct search *search)
{
    X509_STORE *trust = search->section->trust;

    search->anchors =
        trust != NULL ? X509_STORE_get1_all_certs(trust) : sk_X509_new_null();
    search->ends = sk_X509_new_null();
    search->issuers = sk_X509_new_null();
    return search->anchors != NULL && search->ends != NULL
           && search->issuers != NULL;
}

static void search_end(struct search *search)
{
    sk_X509_pop_free(search->anchors, X509_free);
    sk_X509_free(search->ends);
    sk_X509_free(search->issuers);
    X509_CRL_free(search->crl);
}

static enum atls_error check(struct search *search, struct atls_reason *why)
{
    enum atls_error r = check_distinct(search, why);

    if (r != ATLS_OK)
        return r;
    if (!search_begin(search))
        return out_of_memory(why);
    make_line(search);
    return find_path(search, why);
}

enum atls_error atls_path_check(const struct atls_section *section,
                                X509 *const *certs, size_t count, int64_t now,
                                struct atls_reason *why,
                                struct atls_validity *ret_validity)
{
    struct search search = {.section = section,
                            .certs = certs,
                            .count = count,
                            .now = now,
                            .validity = ATLS_VALIDITY_ALWAYS};
    enum atls_error r = check(&search, why);

    search_end(&search);
    if (r != ATLS_OK)
        return r;
    *ret_validity = search.validity;
    return ATLS_OK;
}
