/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/pem.h"
#include "verifier/policy_internal.h"

static enum atls_error add_anchor(X509_STORE *store, X509 *certificate,
                                  unsigned number, struct atls_reason *why)
{
    char subject[80];

    X509_NAME_oneline(X509_get_subject_name(certificate), subject,
                      sizeof(subject));
    /* Path building would refuse it for each peer, with less to go by. */
    if (X509_check_ca(certificate) == 0)
        return atls_fail(
            why, ATLS_E_POLICY,
            "certificate %u (%s) is no CA; name the issuers of AKs, "
            "not AK certificates",
            number, subject);
    if (X509_get0_pubkey(certificate) == NULL)
        return atls_fail(
            why, ATLS_E_POLICY,
            "certificate %u (%s) has a key that this OpenSSL cannot "
            "use",
            number, subject);
    if (!X509_STORE_add_cert(store, certificate))
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

static enum atls_error add_anchors(X509_STORE *store, BIO *text,
                                   struct atls_reason *why)
{
    for (unsigned number = 1;; number++) {
        X509 *certificate = NULL;
        enum atls_error r = atls_pem_read_certificate(text, &certificate);

        if (r == ATLS_E_NOMEM)
            return atls_fail(why, ATLS_E_NOMEM, NULL);
        if (r != ATLS_OK)
            return atls_fail(why, ATLS_E_POLICY,
                             "certificate %u cannot be read: %s", number,
                             atls_pem_error());
        if (certificate == NULL && number == 1)
            return atls_fail(why, ATLS_E_POLICY,
                             "there is no certificate in it; expected PEM with "
                             "BEGIN CERTIFICATE");
        if (certificate == NULL)
            return ATLS_OK;
        r = add_anchor(store, certificate, number, why);
        X509_free(certificate);
        if (r != ATLS_OK)
            return r;
    }
}

static enum atls_error fill_store(X509_STORE *store, BIO *text,
                                  struct atls_reason *why)
{
    if (store == NULL || text == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    /* Clouds rotate intermediates under a root that signs far more than AKs:
     * an intermediate must be able to be the anchor. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return add_anchors(store, text, why);
}

enum atls_error atls_policy_parse_trust(const struct atls_file *file,
                                        struct atls_reason *why,
                                        X509_STORE **ret_store)
{
    X509_STORE *store = X509_STORE_new();
    /* The length is not above ATLS_FILE_MAX. */
    BIO *text = BIO_new_mem_buf(file->text, (int)file->len);
    enum atls_error r = fill_store(store, text, why);

    BIO_free(text);
    if (r != ATLS_OK) {
        X509_STORE_free(store);
        atls_reason_prefix(why, "%s: ", file->label);
        return r;
    }
    *ret_store = store;
    return ATLS_OK;
}
