/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/machine.h"

#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "verifier/names.h"

#define GOOGLE_PREFIX "google:"
#define KEY_PREFIX "sha256:"

/* DNS names have at most 253 characters (RFC 1035 §2.3.4), Google's project and
 * instance names 63, zones fewer; one buffer holds any of ours. */
#define NAME_PART_MAX 253u
#define NAME_MAX_LEN (3u * NAME_PART_MAX + 16u)

/* Google's extension of the certificates of its vTPMs: the instance. */
#define GOOGLE_INSTANCE_OID "1.3.6.1.4.1.11129.2.1.21"

/* Printable ASCII without the characters that separate names in our notation;
 * an embedded zero in a name has deceived others (CVE-2009-2408). */
static bool is_name(const uint8_t *data, int len)
{
    if (len <= 0 || (size_t)len > NAME_PART_MAX)
        return false;
    for (int i = 0; i < len; i++) {
        if (data[i] <= ' ' || data[i] > '~' || data[i] == '/' || data[i] == ',')
            return false;
    }
    return true;
}

static bool visit_string(const ASN1_STRING *string,
                         atls_machine_visitor *visitor, void *arg)
{
    char name[NAME_PART_MAX + 1];
    const uint8_t *data = ASN1_STRING_get0_data(string);
    int len = ASN1_STRING_length(string);

    if (!is_name(data, len))
        return false;
    memcpy(name, data, (size_t)len);
    name[len] = '\0';
    return visitor(arg, ATLS_MACHINE_DNS, name);
}

static bool visit_common_names(const X509 *ak, atls_machine_visitor *visitor,
                               void *arg)
{
    const X509_NAME *subject = X509_get_subject_name(ak);
    int at = -1;

    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at))
           >= 0) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, at);

        if (visit_string(X509_NAME_ENTRY_get_data(entry), visitor, arg))
            return true;
    }
    return false;
}

/* RFC 9525 §2: the common name counts only for want of a dNSName, and there for
 * the sake of Azure, whose AK certificates have no SAN. A SAN that is there but
 * cannot be read is not the want of one. */
static bool visit_dns(const X509 *ak, atls_machine_visitor *visitor, void *arg)
{
    int critical = -1;
    GENERAL_NAMES *names =
        X509_get_ext_d2i(ak, NID_subject_alt_name, &critical, NULL);
    bool has_dns = names == NULL && critical != -1;
    bool found = false;

    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS)
            continue;
        has_dns = true;
        found = visit_string(name->d.dNSName, visitor, arg);
    }
    GENERAL_NAMES_free(names);
    if (found || has_dns)
        return found;
    return visit_common_names(ak, visitor, arg);
}

/* The text of a UTF8String that is one of our names, else NULL. */
static const ASN1_STRING *name_at(const ASN1_SEQUENCE_ANY *fields, int index)
{
    const ASN1_TYPE *field = sk_ASN1_TYPE_value(fields, index);

    if (field == NULL || field->type != V_ASN1_UTF8STRING
        || !is_name(ASN1_STRING_get0_data(field->value.utf8string),
                    ASN1_STRING_length(field->value.utf8string)))
        return NULL;
    return field->value.utf8string;
}

/*
 * SEQUENCE { zone UTF8String, projectNumber INTEGER, projectId UTF8String,
 *            instanceId INTEGER, instanceName UTF8String, ... }
 * as in google/go-tpm-tools, server/verify.go, gceInstanceInfo. The numbers are
 * not part of the name: policies are written with the words that people know.
 */
static bool visit_google_fields(const ASN1_SEQUENCE_ANY *fields,
                                atls_machine_visitor *visitor, void *arg)
{
    char name[NAME_MAX_LEN];
    const ASN1_STRING *zone = name_at(fields, 0);
    const ASN1_STRING *project = name_at(fields, 2);
    const ASN1_STRING *instance = name_at(fields, 4);

    if (zone == NULL || project == NULL || instance == NULL)
        return false;
    (void)snprintf(
        name, sizeof(name), GOOGLE_PREFIX "%.*s/%.*s/%.*s",
        ASN1_STRING_length(project),
        (const char *)ASN1_STRING_get0_data(project), ASN1_STRING_length(zone),
        (const char *)ASN1_STRING_get0_data(zone), ASN1_STRING_length(instance),
        (const char *)ASN1_STRING_get0_data(instance));
    return visitor(arg, ATLS_MACHINE_GOOGLE, name);
}

/* NULL unless it is one sequence and nothing behind. */
static ASN1_SEQUENCE_ANY *parse_sequence(const ASN1_STRING *value)
{
    const uint8_t *at = ASN1_STRING_get0_data(value);
    const uint8_t *end = at + ASN1_STRING_length(value);
    ASN1_SEQUENCE_ANY *fields =
        d2i_ASN1_SEQUENCE_ANY(NULL, &at, ASN1_STRING_length(value));

    if (at == end)
        return fields;
    sk_ASN1_TYPE_pop_free(fields, ASN1_TYPE_free);
    return NULL;
}

static bool visit_google(const X509 *ak, atls_machine_visitor *visitor,
                         void *arg)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(GOOGLE_INSTANCE_OID, 1);
    int index = oid != NULL ? X509_get_ext_by_OBJ(ak, oid, -1) : -1;
    ASN1_SEQUENCE_ANY *fields = NULL;
    bool found = false;

    /* RFC 5280 §4.2: no extension twice. Which of two would count? */
    if (index >= 0 && X509_get_ext_by_OBJ(ak, oid, index) < 0)
        fields =
            parse_sequence(X509_EXTENSION_get_data(X509_get_ext(ak, index)));
    if (fields != NULL)
        found = visit_google_fields(fields, visitor, arg);
    sk_ASN1_TYPE_pop_free(fields, ASN1_TYPE_free);
    ASN1_OBJECT_free(oid);
    return found;
}

static bool visit_key(const X509 *ak, atls_machine_visitor *visitor, void *arg)
{
    char name[sizeof(KEY_PREFIX) + 2 * ATLS_SHA256_LEN] = KEY_PREFIX;
    uint8_t digest[ATLS_SHA256_LEN];
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ak), &der);
    bool found = false;

    if (len > 0 && atls_sha256(der, (size_t)len, digest) == ATLS_OK) {
        atls_hex(digest, sizeof(digest), name + strlen(KEY_PREFIX));
        found = visitor(arg, ATLS_MACHINE_KEY, name);
    }
    OPENSSL_free(der);
    return found;
}

bool atls_machine_visit(const X509 *ak, atls_machine_visitor *visitor,
                        void *arg)
{
    bool found;

    ERR_set_mark();
    found = visit_dns(ak, visitor, arg) || visit_google(ak, visitor, arg)
            || visit_key(ak, visitor, arg);
    ERR_pop_to_mark();
    return found;
}

bool atls_machine_matches(const char *pattern, enum atls_machine_kind kind,
                          const char *name)
{
    bool is_google =
        strncmp(pattern, GOOGLE_PREFIX, strlen(GOOGLE_PREFIX)) == 0;
    bool is_key = strncmp(pattern, KEY_PREFIX, strlen(KEY_PREFIX)) == 0;

    if (kind == ATLS_MACHINE_GOOGLE)
        return is_google && strcmp(pattern, name) == 0;
    if (kind == ATLS_MACHINE_KEY)
        return is_key && OPENSSL_strcasecmp(pattern, name) == 0;
    /* RFC 9525 §6.2: what reads like an address is no DNS name, and no CA that
     * wrote it there vouched for an address. */
    return !is_google && !is_key && atls_name_kind(name) != ATLS_NAME_ADDRESS
           && atls_name_matches(pattern, name);
}
