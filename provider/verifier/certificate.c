/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/certificate.h"

#include <limits.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"

/* OpenSSL parses BER. Only what encodes to the same octets again is DER, and
 * without octets behind its end. */
static bool encodes_to(const X509 *cert, struct atls_span der)
{
    unsigned char *again = NULL;
    int len = i2d_X509(cert, &again);
    bool same = len > 0 && (size_t)len == der.len
                && memcmp(again, der.data, der.len) == 0;

    OPENSSL_free(again);
    return same;
}

static enum atls_error parse(struct atls_span der, const char *what,
                             struct atls_reason *why, X509 **ret_cert)
{
    const unsigned char *at = der.data;
    OSSL_LIB_CTX *libctx = atls_libctx();
    X509 *cert = NULL;

    /* With a NULL library context OpenSSL would take the program's own. */
    if (libctx != NULL)
        cert = X509_new_ex(libctx, NULL);
    if (cert == NULL)
        return atls_fail(why, ATLS_E_NOMEM, "out of memory while reading %s",
                         what);
    /* d2i frees and clears cert when it fails. */
    if (der.len > LONG_MAX || d2i_X509(&cert, &at, (long)der.len) == NULL
        || !encodes_to(cert, der)) {
        X509_free(cert);
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s (%zu octets) is not exactly one certificate in "
                         "DER",
                         what, der.len);
    }
    *ret_cert = cert;
    return ATLS_OK;
}

enum atls_error atls_certificate_parse(struct atls_span der, const char *what,
                                       struct atls_reason *why, X509 **ret_cert)
{
    enum atls_error r;

    ERR_set_mark();
    r = parse(der, what, why, ret_cert);
    ERR_pop_to_mark();
    return r;
}

static void write_serial(const X509 *cert, char *ret, size_t size)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;

    (void)snprintf(ret, size, "serial %s", hex != NULL ? hex : "?");
    OPENSSL_free(hex);
    BN_free(number);
}

static void write_name(const X509_NAME *name, char *ret, size_t size)
{
    BIO *out = BIO_new(BIO_s_mem());
    int len = 0;

    if (out != NULL && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) > 0)
        len = BIO_read(out, ret, (int)(size - 1));
    if (len > 0)
        ret[len] = '\0';
    else
        (void)snprintf(ret, size, "?");
    BIO_free(out);
}

void atls_certificate_name(const X509_NAME *name, char *ret, size_t size)
{
    ERR_set_mark();
    write_name(name, ret, size);
    ERR_pop_to_mark();
}

void atls_certificate_subject(const X509 *cert, char *ret, size_t size)
{
    const X509_NAME *name = X509_get_subject_name(cert);

    ERR_set_mark();
    if (X509_NAME_entry_count(name) == 0)
        write_serial(cert, ret, size);
    else
        write_name(name, ret, size);
    ERR_pop_to_mark();
}

static void write_date(const struct tm *tm, char ret[ATLS_DATE_MAX])
{
    if (strftime(ret, ATLS_DATE_MAX, "%Y-%m-%d", tm) == 0)
        (void)snprintf(ret, ATLS_DATE_MAX, "?");
}

void atls_certificate_date(const ASN1_TIME *time, char ret[ATLS_DATE_MAX])
{
    struct tm tm = {0};

    ERR_set_mark();
    if (time != NULL && ASN1_TIME_to_tm(time, &tm))
        write_date(&tm, ret);
    else
        (void)snprintf(ret, ATLS_DATE_MAX, "?");
    ERR_pop_to_mark();
}

void atls_certificate_date_of(int64_t time, char ret[ATLS_DATE_MAX])
{
    struct tm tm = {0};
    time_t seconds = (time_t)time;

    if (gmtime_r(&seconds, &tm) != NULL)
        write_date(&tm, ret);
    else
        (void)snprintf(ret, ATLS_DATE_MAX, "?");
}

void atls_certificate_describe(struct atls_span der, char *ret, size_t size)
{
    char subject[ATLS_SUBJECT_MAX];
    char until[ATLS_DATE_MAX];
    X509 *cert = NULL;

    if (atls_certificate_parse(der, "a certificate", NULL, &cert) != ATLS_OK) {
        (void)snprintf(ret, size, "unreadable certificate");
        return;
    }
    atls_certificate_subject(cert, subject, sizeof(subject));
    atls_certificate_date(X509_get0_notAfter(cert), until);
    (void)snprintf(ret, size, "%s, until %s", subject, until);
    X509_free(cert);
}
