/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/pem.h"
#include "tools/common/input.h"
#include "tools/verify/quote_parts.h"
#include "verifier/certificate.h"

static enum atls_error add(struct quote_certificates *certificates,
                           const uint8_t *der, size_t len, const char *path,
                           struct atls_reason *why)
{
    uint8_t *copy;

    if (certificates->count == QUOTE_CERTIFICATES_MAX)
        return atls_fail(why, ATLS_E_LIMIT,
                         "%s: more than %u certificates; name only those that "
                         "are needed",
                         path, QUOTE_CERTIFICATES_MAX);
    copy = OPENSSL_memdup(der, len);
    if (copy == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    certificates->owned[certificates->count] = copy;
    certificates->ders[certificates->count] = (struct atls_span){copy, len};
    certificates->count++;
    return ATLS_OK;
}

static enum atls_error read_pem(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                struct quote_certificates *certificates)
{
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    enum atls_error r = ATLS_OK;
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;

    if (bio == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    while (r == ATLS_OK && PEM_read_bio(bio, &name, &header, &der, &der_len)) {
        if (strcmp(name, PEM_STRING_X509) == 0)
            r = add(certificates, der, (size_t)der_len, path, why);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    if (r == ATLS_OK && !atls_pem_is_end(bio))
        r = atls_fail(why, ATLS_E_MALFORMED, "%s: a PEM block is damaged: %s",
                      path, atls_pem_error());
    BIO_free(bio);
    return r;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static enum atls_error read_der(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                struct quote_certificates *certificates)
{
    const size_t before = certificates->count;

    while (!is_zero(data, len)) {
        const unsigned char *end = data;
        X509 *cert = d2i_X509(NULL, &end, (long)len);
        enum atls_error r;

        X509_free(cert);
        if (cert == NULL && certificates->count == before)
            return ATLS_OK; /* the caller says what was expected */
        if (cert == NULL)
            return atls_fail(why, ATLS_E_MALFORMED,
                             "%s: %zu octets behind the last certificate that "
                             "are neither one nor zeros",
                             path, len);
        r = add(certificates, data, (size_t)(end - data), path, why);
        if (r != ATLS_OK)
            return r;
        len -= (size_t)(end - data);
        data = end;
    }
    return ATLS_OK;
}

static enum atls_error read_any(const uint8_t *data, size_t len,
                                const char *path, struct atls_reason *why,
                                struct quote_certificates *certificates)
{
    const size_t before = certificates->count;
    enum atls_error r;

    if (strstr((const char *)data, "-----BEGIN ") != NULL)
        r = read_pem(data, len, path, why, certificates);
    else
        r = read_der(data, len, path, why, certificates);
    if (r == ATLS_OK && certificates->count == before)
        return atls_fail(why, ATLS_E_CHAIN_EMPTY,
                         "%s holds no certificate, neither PEM nor DER", path);
    return r;
}

enum atls_error tool_quote_certificates_read(
    const char *path, struct atls_reason *why,
    struct quote_certificates *certificates)
{
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, INPUT_ROOTS_MAX, why, &data, &len);

    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    r = read_any(data, len, path, why, certificates);
    ERR_pop_to_mark();
    OPENSSL_free(data);
    return r;
}

void tool_quote_certificates_clear(struct quote_certificates *certificates)
{
    for (size_t i = 0; i < certificates->count; i++)
        OPENSSL_free(certificates->owned[i]);
    certificates->count = 0;
}

/* ---- trust ---- */

static enum atls_error add_anchor(X509_STORE *store, struct atls_span der,
                                  size_t number, struct atls_reason *why)
{
    char subject[ATLS_SUBJECT_MAX];
    char what[48];
    X509 *cert = NULL;
    enum atls_error r;

    (void)snprintf(what, sizeof(what), "trusted certificate %zu", number);
    r = atls_certificate_parse(der, what, why, &cert);
    if (r != ATLS_OK)
        return r;
    atls_certificate_subject(cert, subject, sizeof(subject));
    if (X509_check_ca(cert) == 0)
        r = atls_fail(why, ATLS_E_USAGE,
                      "--trust: %s, %s, is no CA; name issuers of AKs, or pin "
                      "one AK with --ak-public",
                      what, subject);
    else if (!X509_STORE_add_cert(store, cert))
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    X509_free(cert);
    return r;
}

enum atls_error tool_quote_certificates_trust(
    const struct quote_certificates *certificates, struct atls_reason *why,
    X509_STORE **ret_store)
{
    X509_STORE *store = X509_STORE_new();
    enum atls_error r = ATLS_OK;

    if (store == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < certificates->count && r == ATLS_OK; i++)
        r = add_anchor(store, certificates->ders[i], i + 1, why);
    if (r != ATLS_OK) {
        X509_STORE_free(store);
        return r;
    }
    *ret_store = store;
    return ATLS_OK;
}
