/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/factory_internal.h"

static EVP_PKEY *keys[FACTORY_KEY_KINDS][FACTORY_KEYS];

static EVP_PKEY *make_key(enum factory_key_kind kind)
{
    switch (kind) {
    case FACTORY_P256:
        return EVP_EC_gen("P-256");
    case FACTORY_P384:
        return EVP_EC_gen("P-384");
    case FACTORY_P521:
        return EVP_EC_gen("P-521");
    case FACTORY_K256:
        return EVP_EC_gen("secp256k1");
    case FACTORY_RSA1024:
        return EVP_RSA_gen(1024);
    case FACTORY_RSA2048:
        return EVP_RSA_gen(2048);
    case FACTORY_RSA3072:
        return EVP_RSA_gen(3072);
    case FACTORY_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case FACTORY_KEY_KINDS:
        break;
    }
    return NULL;
}

EVP_PKEY *factory_key(enum factory_key_kind kind, unsigned number)
{
    factory_need(kind < FACTORY_KEY_KINDS && number < FACTORY_KEYS);
    if (keys[kind][number] == NULL)
        keys[kind][number] = make_key(kind);
    factory_need(keys[kind][number] != NULL);
    return keys[kind][number];
}

void factory_free_keys(void)
{
    for (unsigned kind = 0; kind < FACTORY_KEY_KINDS; kind++) {
        for (unsigned number = 0; number < FACTORY_KEYS; number++) {
            EVP_PKEY_free(keys[kind][number]);
            keys[kind][number] = NULL;
        }
    }
}

static void set_name(X509_NAME *name, const char *cn)
{
    factory_need(cn == NULL
                 || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                               (const unsigned char *)cn, -1,
                                               -1, 0));
}

static void set_subject(X509 *cert, const char *cn)
{
    X509_NAME *name = X509_NAME_new();

    factory_need(name != NULL);
    set_name(name, cn);
    factory_need(X509_set_subject_name(cert, name));
    X509_NAME_free(name);
}

static void set_issuer(X509 *cert, const struct factory_cert *wanted)
{
    const X509 *issuer = wanted->issuer != NULL ? wanted->issuer : cert;
    X509_NAME *name = X509_NAME_new();

    factory_need(name != NULL);
    if (wanted->issuer_cn != NULL) {
        set_name(name, wanted->issuer_cn);
        factory_need(X509_set_issuer_name(cert, name));
    } else {
        factory_need(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
    }
    X509_NAME_free(name);
}

static void set_times(X509 *cert, const struct factory_cert *wanted)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)wanted->not_before);
    ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)wanted->not_after);

    factory_need(from != NULL && to != NULL && X509_set1_notBefore(cert, from)
                 && X509_set1_notAfter(cert, to));
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
}

static void add_extension(X509 *cert, X509V3_CTX *ctx, const char *name,
                          const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf(NULL, ctx, name, value);

    if (extension == NULL)
        (void)fprintf(stderr, "factory: extension %s=%s\n", name, value);
    factory_need(extension != NULL && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *cert, const struct factory_cert *wanted)
{
    char *lines = strdup(wanted->extensions != NULL ? wanted->extensions : "");
    char *rest = NULL;
    X509V3_CTX ctx;

    factory_need(lines != NULL);
    X509V3_set_ctx(&ctx, wanted->issuer != NULL ? wanted->issuer : cert, cert,
                   NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');

        factory_need(equals != NULL);
        *equals = '\0';
        add_extension(cert, &ctx, line, equals + 1);
    }
    free(lines);
}

X509 *factory_certificate(const struct factory_cert *wanted)
{
    static long serial = 1000;
    EVP_PKEY *signer =
        wanted->issuer_key != NULL ? wanted->issuer_key : wanted->key;
    bool is_eddsa = EVP_PKEY_is_a(signer, "ED25519");
    const EVP_MD *md = EVP_get_digestbyname(
        wanted->digest != NULL ? wanted->digest : "SHA256");
    X509 *cert = X509_new();

    factory_need(cert != NULL && md != NULL && X509_set_version(cert, 2)
                 && ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial)
                 && X509_set_pubkey(cert, wanted->key));
    set_subject(cert, wanted->cn);
    set_issuer(cert, wanted);
    set_times(cert, wanted);
    add_extensions(cert, wanted);
    factory_need(X509_sign(cert, signer, is_eddsa ? NULL : md) > 0);
    return cert;
}

void factory_der(X509 *cert, uint8_t **ret_data, size_t *ret_len)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);

    factory_need(len > 0);
    *ret_data = der;
    *ret_len = (size_t)len;
}

void factory_write_certificate(const char *path, X509 *cert)
{
    FILE *file = fopen(path, "we");

    factory_need(file != NULL && PEM_write_X509(file, cert)
                 && fclose(file) == 0);
}

void factory_write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "we");

    factory_need(file != NULL
                 && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
                 && fclose(file) == 0);
}
