/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/digest.h"

int atls_pem_no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

bool atls_pem_is_end(BIO *text)
{
    const unsigned long error = ERR_peek_last_error();

    return BIO_eof(text) && ERR_GET_LIB(error) == ERR_LIB_PEM
           && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

const char *atls_pem_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "without a reason";
}

enum atls_error atls_pem_read_certificate(BIO *text, X509 **ret_certificate)
{
    OSSL_LIB_CTX *libctx = atls_libctx();
    /* Without a context of ours it would get the program's. */
    X509 *certificate = libctx == NULL ? NULL : X509_new_ex(libctx, NULL);

    if (certificate == NULL)
        return ATLS_E_NOMEM;
    if (PEM_read_bio_X509(text, &certificate, atls_pem_no_password, NULL)
        == NULL) {
        X509_free(certificate);
        certificate = NULL;
        if (!atls_pem_is_end(text))
            return ATLS_E_MALFORMED;
    }
    *ret_certificate = certificate;
    return ATLS_OK;
}
