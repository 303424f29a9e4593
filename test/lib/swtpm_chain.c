/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

#include "attester/tpm.h"
#include "lib/factory.h"
#include "lib/swtpm.h"

static EVP_PKEY *read_key(const struct swtpm *swtpm, uint32_t handle)
{
    struct atls_reason why = {.text = ""};
    struct atls_tpm *tpm = NULL;
    EVP_PKEY *key = NULL;
    uint8_t *der = NULL;
    const uint8_t *p;
    char ak[16];
    size_t len;

    snprintf(ak, sizeof(ak), "0x%08x", handle);
    if (atls_tpm_open(swtpm_tcti(swtpm), &why, &tpm) == ATLS_OK
        && atls_tpm_load_ak(tpm, ak, NULL, 0, &why) == ATLS_OK
        && atls_tpm_ak_public(tpm, &why, &der, &len) == ATLS_OK) {
        p = der;
        key = d2i_PUBKEY(NULL, &p, (long)len);
    }
    if (key == NULL)
        fprintf(stderr, "swtpm harness: no public key: %s\n", why.text);
    OPENSSL_free(der);
    atls_tpm_close(tpm);
    return key;
}

static bool write_pem(const char *path, X509 *const *certs, size_t count)
{
    FILE *out = fopen(path, "we");
    bool written = out != NULL;

    for (size_t i = 0; written && i < count; i++)
        written = PEM_write_X509(out, certs[i]) == 1;
    if (out != NULL && fclose(out) != 0)
        written = false;
    return written;
}

bool swtpm_write_chain(const struct swtpm *swtpm, uint32_t handle,
                       bool with_root, const char *chain_path,
                       const char *root_path)
{
    const int64_t now = time(NULL);
    struct factory_cert wanted = {
        .cn = "Test AK root",
        .key = factory_key(FACTORY_P256, 0),
        .not_before = now - FACTORY_DAY,
        .not_after = now + FACTORY_DAY,
        .digest = "SHA256",
        .extensions = FACTORY_CA_EXTENSIONS,
    };
    EVP_PKEY *ak = read_key(swtpm, handle);
    X509 *chain[3]; /* AK, intermediate, root */
    bool written;

    if (ak == NULL)
        return false;
    chain[2] = factory_certificate(&wanted);
    wanted.cn = "Test AK CA";
    wanted.issuer = chain[2];
    wanted.issuer_key = wanted.key;
    wanted.key = factory_key(FACTORY_P256, 1);
    chain[1] = factory_certificate(&wanted);
    wanted.cn = "ak.test";
    wanted.issuer = chain[1];
    wanted.issuer_key = wanted.key;
    wanted.key = ak;
    wanted.extensions = FACTORY_AK_EXTENSIONS "subjectAltName=DNS:ak.test\n";
    chain[0] = factory_certificate(&wanted);
    written = write_pem(chain_path, chain, with_root ? 3 : 2)
              && (root_path == NULL || write_pem(root_path, &chain[2], 1));
    for (size_t i = 0; i < 3; i++)
        X509_free(chain[i]);
    EVP_PKEY_free(ak);
    return written;
}
