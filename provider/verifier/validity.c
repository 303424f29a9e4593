/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/validity.h"

#include <openssl/asn1.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <time.h>

/* NULL would be the present to OpenSSL. */
static bool seconds_of(const ASN1_TIME *time, int64_t *ret_seconds)
{
    struct tm tm;

    if (time == NULL || !ASN1_TIME_to_tm(time, &tm))
        return false;
    *ret_seconds = (int64_t)timegm(&tm);
    return true;
}

static void narrow(struct atls_validity *validity, const ASN1_TIME *from,
                   const ASN1_TIME *until)
{
    int64_t first, last;

    if (!seconds_of(from, &first) || !seconds_of(until, &last)) {
        validity->until = INT64_MIN;
        return;
    }
    if (first > validity->from)
        validity->from = first;
    if (last < validity->until)
        validity->until = last;
}

void atls_validity_of_path(struct atls_validity *validity,
                           const STACK_OF(X509) * path)
{
    for (int i = 0; i < sk_X509_num(path); i++) {
        const X509 *cert = sk_X509_value(path, i);

        narrow(validity, X509_get0_notBefore(cert), X509_get0_notAfter(cert));
    }
}

void atls_validity_of_crls(struct atls_validity *validity,
                           const STACK_OF(X509_CRL) * crls)
{
    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        const X509_CRL *crl = sk_X509_CRL_value(crls, i);

        narrow(validity, X509_CRL_get0_lastUpdate(crl),
               X509_CRL_get0_nextUpdate(crl));
    }
}
