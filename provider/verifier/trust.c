/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/trust.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "verifier/cache.h"
#include "verifier/certificate.h"
#include "verifier/machine.h"
#include "verifier/path.h"

/* Room for an object identifier in digits or for a few of them. */
#define OID_TEXT_MAX 64u

/* The certificates of the evidence, parsed; certs[0] is the AK's. */
struct chain {
    size_t count;
    X509 *certs[ATLS_CHAIN_MAX];
};

static void chain_clear(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->certs[i]);
    chain->count = 0;
}

static bool same_octets(struct atls_span a, struct atls_span b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* A second copy would be one that no signature check of the path looks at. */
static enum atls_error check_single(const struct atls_span *ders, size_t index,
                                    struct atls_reason *why)
{
    for (size_t i = 0; i < index; i++) {
        if (same_octets(ders[i], ders[index]))
            return atls_fail(why, ATLS_E_CHAIN_UNUSED,
                             "certificates %zu and %zu of the AK chain are the "
                             "same; send each once",
                             i + 1, index + 1);
    }
    return ATLS_OK;
}

static enum atls_error parse_chain(const struct atls_span *ders, size_t count,
                                   struct atls_reason *why,
                                   struct chain *ret_chain)
{
    for (size_t i = 0; i < count; i++) {
        char what[64];
        enum atls_error r = check_single(ders, i, why);

        if (r != ATLS_OK)
            return r;
        (void)snprintf(what, sizeof(what), "certificate %zu of the AK chain",
                       i + 1);
        r = atls_certificate_parse(ders[i], what, why, &ret_chain->certs[i]);
        if (r == ATLS_E_MALFORMED)
            return atls_fail(why, r,
                             "%s (%zu octets) is not exactly one certificate "
                             "in DER; check the attester's ak_chain for "
                             "padding",
                             what, ders[i].len);
        if (r != ATLS_OK)
            return r;
        ret_chain->count++;
    }
    return ATLS_OK;
}

/* A root proves nothing about itself: trust comes from the policy's file, and
 * what is sent beside it would be octets that no check covers. */
static enum atls_error check_self_signed(const struct chain *chain,
                                         struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];

    for (size_t i = 0; i < chain->count; i++) {
        if ((X509_get_extension_flags(chain->certs[i]) & EXFLAG_SS) == 0)
            continue;
        atls_certificate_subject(chain->certs[i], subject, sizeof(subject));
        return atls_fail(why, ATLS_E_CHAIN_UNUSED,
                         "certificate %zu of the AK chain, %.70s, is "
                         "self-signed; the attester must leave out the root",
                         i + 1, subject);
    }
    return ATLS_OK;
}

/* OpenSSL takes it for a certificate that nobody issued. */
static enum atls_error check_readable(const struct chain *chain,
                                      struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];

    for (size_t i = 0; i < chain->count; i++) {
        if ((X509_get_extension_flags(chain->certs[i]) & EXFLAG_INVALID) == 0)
            continue;
        atls_certificate_subject(chain->certs[i], subject, sizeof(subject));
        return atls_fail(why, ATLS_E_CHAIN_USAGE,
                         "certificate %zu of the AK chain, %.70s, has an "
                         "extension that cannot be read; its CA must issue it "
                         "anew",
                         i + 1, subject);
    }
    return ATLS_OK;
}

/* Key usage is optional in an AK certificate, but where it stands it must allow
 * signatures; a CA's key does not quote. */
static enum atls_error check_usage(X509 *ak, struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];

    atls_certificate_subject(ak, subject, sizeof(subject));
    if (X509_check_ca(ak) != 0)
        return atls_fail(why, ATLS_E_CHAIN_USAGE,
                         "AK certificate %.90s is a CA's; expected an end "
                         "entity first in ak_chain",
                         subject);
    if ((X509_get_key_usage(ak) & KU_DIGITAL_SIGNATURE) == 0)
        return atls_fail(why, ATLS_E_CHAIN_USAGE,
                         "AK certificate %.90s is not for signatures: its key "
                         "usage lacks digitalSignature",
                         subject);
    return ATLS_OK;
}

/* "2.23.133.8.1, 2.23.133.8.3"; cut to size. */
static void write_ekus(const EXTENDED_KEY_USAGE *ekus, char *ret, size_t size)
{
    size_t used = 0;

    (void)snprintf(ret, size, "none");
    for (int i = 0; i < sk_ASN1_OBJECT_num(ekus) && used < size; i++) {
        char oid[OID_TEXT_MAX];

        (void)OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(ekus, i), 1);
        used += (size_t)snprintf(ret + used, size - used, "%s%s",
                                 i > 0 ? ", " : "", oid);
    }
}

static bool eku_is_listed(const struct atls_section *section,
                          const EXTENDED_KEY_USAGE *ekus)
{
    for (int i = 0; i < sk_ASN1_OBJECT_num(ekus); i++) {
        for (size_t j = 0; j < section->ak_eku_count; j++) {
            if (OBJ_cmp(sk_ASN1_OBJECT_value(ekus, i), section->ak_ekus[j])
                == 0)
                return true;
        }
    }
    return false;
}

static enum atls_error check_eku(const struct atls_section *section,
                                 const X509 *ak, struct atls_reason *why)
{
    EXTENDED_KEY_USAGE *ekus = NULL;
    char expected[OID_TEXT_MAX] = "one";
    char found[OID_TEXT_MAX];
    bool listed;

    if (section->ak_eku_any)
        return ATLS_OK;
    ekus = X509_get_ext_d2i(ak, NID_ext_key_usage, NULL, NULL);
    listed = eku_is_listed(section, ekus);
    write_ekus(ekus, found, sizeof(found));
    EXTENDED_KEY_USAGE_free(ekus);
    if (listed)
        return ATLS_OK;
    if (section->ak_eku_count > 0)
        (void)OBJ_obj2txt(expected, sizeof(expected), section->ak_ekus[0], 1);
    return atls_fail(why, ATLS_E_CHAIN_EKU,
                     "AK certificate lacks the extended key usage of the "
                     "policy: expected %s, found %s; see ak_eku",
                     expected, found);
}

/* A visitor's argument cannot be const. */
struct machine_search {
    const struct atls_section *section;
};

static bool is_listed_machine(void *arg, enum atls_machine_kind kind,
                              const char *name)
{
    const struct machine_search *search = arg;
    const struct atls_section *section = search->section;

    for (size_t i = 0; i < section->machine_count; i++) {
        if (atls_machine_matches(section->machines[i], kind, name))
            return true;
    }
    return false;
}

struct name_list {
    char *text;
    size_t size;
    size_t used;
};

static bool append_name(void *arg, enum atls_machine_kind kind,
                        const char *name)
{
    struct name_list *list = arg;

    (void)kind;
    if (list->used < list->size)
        list->used +=
            (size_t)snprintf(list->text + list->used, list->size - list->used,
                             "%s%s", list->used > 0 ? ", " : "", name);
    return false;
}

static void write_names(const X509 *ak, char *ret, size_t size)
{
    struct name_list list = {ret, size, 0};

    ret[0] = '\0';
    (void)atls_machine_visit(ak, append_name, &list);
}

static enum atls_error check_machine(const struct atls_section *section,
                                     const X509 *ak, struct atls_reason *why)
{
    struct machine_search search = {section};
    const char *expected =
        section->machine_count > 0 ? section->machines[0] : "(none)";
    char names[256];

    if (section->machines_any)
        return ATLS_OK;
    if (atls_machine_visit(ak, is_listed_machine, &search))
        return ATLS_OK;
    write_names(ak, names, sizeof(names));
    return atls_fail(
        why, ATLS_E_MACHINE,
        "AK certificate is for %.*s; expected machine %s" ATLS_WHOLE
        "AK certificate is for %s; expected machine %s%s",
        (int)strcspn(names, ","), names, expected, names, expected,
        section->machine_count > 1 ? " or others of the policy" : "");
}

static enum atls_error check(const struct atls_section *section,
                             const struct chain *chain, int64_t now,
                             struct atls_reason *why,
                             struct atls_validity *ret_validity)
{
    enum atls_error r = check_self_signed(chain, why);

    if (r != ATLS_OK)
        return r;
    r = check_readable(chain, why);
    if (r != ATLS_OK)
        return r;
    r = atls_path_check(section, chain->certs, chain->count, now, why,
                        ret_validity);
    if (r != ATLS_OK)
        return r;
    r = check_usage(chain->certs[0], why);
    if (r != ATLS_OK)
        return r;
    r = check_eku(section, chain->certs[0], why);
    if (r != ATLS_OK)
        return r;
    return check_machine(section, chain->certs[0], why);
}

enum atls_error atls_trust_check(const struct atls_section *section,
                                 const struct atls_span *ders, size_t count,
                                 int64_t now, struct atls_reason *why,
                                 struct atls_trust *ret_trust)
{
    struct atls_validity validity = ATLS_VALIDITY_ALWAYS;
    struct chain chain = {0};
    enum atls_error r;

    if (atls_trust_cache_find(section->cache, ders, count, now, ret_trust))
        return ATLS_OK;
    memset(ret_trust, 0, sizeof(*ret_trust));
    if (count == 0)
        return atls_fail(why, ATLS_E_CHAIN_EMPTY,
                         "no AK certificate in the evidence; set ak_chain on "
                         "the attesting machine");
    if (count > ATLS_CHAIN_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "%zu certificates in the AK chain; at most %u, "
                         "without the root",
                         count, ATLS_CHAIN_MAX);
    ERR_set_mark();
    r = parse_chain(ders, count, why, &chain);
    /* Nothing is allocated: the key is the certificate's own. */
    if (chain.count > 0)
        ret_trust->key = X509_get_pubkey(chain.certs[0]);
    if (r == ATLS_OK)
        r = check(section, &chain, now, why, &validity);
    if (r == ATLS_OK) {
        write_names(chain.certs[0], ret_trust->machine,
                    sizeof(ret_trust->machine));
        atls_trust_cache_add(section->cache, ders, count, &validity, ret_trust);
    }
    chain_clear(&chain);
    ERR_pop_to_mark();
    return r;
}

void atls_trust_machine_names(struct atls_span ak_der, char *ret, size_t size)
{
    X509 *ak = NULL;

    ret[0] = '\0';
    if (atls_certificate_parse(ak_der, "the AK certificate", NULL, &ak)
        != ATLS_OK)
        return;
    write_names(ak, ret, size);
    X509_free(ak);
}
