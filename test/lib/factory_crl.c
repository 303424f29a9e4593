/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/factory_crl.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/factory_internal.h"

struct factory_crl factory_crl_plan(X509 *issuer, EVP_PKEY *issuer_key)
{
    return (struct factory_crl){
        .issuer = issuer,
        .issuer_key = issuer_key,
        .last_update = FACTORY_NOW - FACTORY_DAY,
        .next_update = FACTORY_NOW + 9 * FACTORY_DAY,
        .revoked_at = FACTORY_NOW - 2 * FACTORY_DAY,
        .extensions = FACTORY_CRL_EXTENSIONS,
    };
}

/* The extension of the next line, NULL behind the last one. */
static X509_EXTENSION *next_extension(const struct factory_crl *wanted,
                                      X509_CRL *crl, char *lines, char **rest)
{
    char *line = strtok_r(lines, "\n", rest);
    X509_EXTENSION *extension;
    X509V3_CTX ctx;
    char *value;

    if (line == NULL)
        return NULL;
    X509V3_set_ctx(&ctx, wanted->issuer, NULL, NULL, crl, 0);
    X509V3_set_ctx_nodb(&ctx);
    value = strchr(line, '=');
    factory_need(value != NULL);
    *value = '\0';
    extension = X509V3_EXT_nconf(NULL, &ctx, line, value + 1);
    factory_need(extension != NULL);
    return extension;
}

static char *copy_lines(const char *lines)
{
    char *copy = strdup(lines != NULL ? lines : "");

    factory_need(copy != NULL);
    return copy;
}

static void add_extensions(const struct factory_crl *wanted, X509_CRL *crl)
{
    char *lines = copy_lines(wanted->extensions);
    char *rest = NULL;
    X509_EXTENSION *extension = next_extension(wanted, crl, lines, &rest);

    for (; extension != NULL;
         extension = next_extension(wanted, crl, NULL, &rest)) {
        factory_need(X509_CRL_add_ext(crl, extension, -1));
        X509_EXTENSION_free(extension);
    }
    free(lines);
}

static void add_entry(const struct factory_crl *wanted, X509_CRL *crl,
                      const X509 *cert)
{
    char *lines = copy_lines(wanted->entry_extensions);
    char *rest = NULL;
    X509_EXTENSION *extension = next_extension(wanted, crl, lines, &rest);
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)wanted->revoked_at);
    X509_REVOKED *entry = X509_REVOKED_new();

    factory_need(
        at != NULL && entry != NULL
        && X509_REVOKED_set_serialNumber(
            entry, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(cert))
        && X509_REVOKED_set_revocationDate(entry, at));
    for (; extension != NULL;
         extension = next_extension(wanted, crl, NULL, &rest)) {
        factory_need(X509_REVOKED_add_ext(entry, extension, -1));
        X509_EXTENSION_free(extension);
    }
    factory_need(X509_CRL_add0_revoked(crl, entry));
    ASN1_TIME_free(at);
    free(lines);
}

static void set_times(const struct factory_crl *wanted, X509_CRL *crl)
{
    ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)wanted->last_update);
    ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)wanted->next_update);

    factory_need(
        last != NULL && next != NULL && X509_CRL_set1_lastUpdate(crl, last)
        && (wanted->next_update == 0 || X509_CRL_set1_nextUpdate(crl, next)));
    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
}

/* OpenSSL looks at what is special about a CRL when it parses one. */
static X509_CRL *parsed(X509_CRL *crl)
{
    unsigned char *der = NULL;
    int len = i2d_X509_CRL(crl, &der);
    const unsigned char *at = der;
    X509_CRL *again = d2i_X509_CRL(NULL, &at, len);

    factory_need(again != NULL);
    /* It may be about an extension that a test made wrong. */
    ERR_clear_error();
    OPENSSL_free(der);
    X509_CRL_free(crl);
    return again;
}

X509_CRL *factory_crl(const struct factory_crl *wanted)
{
    X509_CRL *crl = X509_CRL_new();

    factory_need(crl != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2)
                 && X509_CRL_set_issuer_name(
                     crl, X509_get_subject_name(wanted->issuer)));
    set_times(wanted, crl);
    for (size_t i = 0; wanted->revoked[i] != NULL; i++)
        add_entry(wanted, crl, wanted->revoked[i]);
    add_extensions(wanted, crl);
    factory_need(X509_CRL_sort(crl)
                 && X509_CRL_sign(crl, wanted->issuer_key, EVP_sha256()) > 0);
    return parsed(crl);
}

void factory_section_crl(struct atls_section *section,
                         const struct factory_crl *wanted)
{
    X509_CRL *crl = factory_crl(wanted);

    factory_need(X509_STORE_add_crl(section->trust, crl));
    if (section->crls == NULL)
        section->crls = sk_X509_CRL_new_null();
    factory_need(sk_X509_CRL_push(section->crls, crl) > 0); /* transferred */
    section->has_crl = true;
}
