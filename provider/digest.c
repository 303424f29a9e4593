/* SPDX-License-Identifier: BSD-2-Clause */
#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdatomic.h>
#include <string.h>

/*
 * Compare-and-swap instead of a run-once: a once that met an allocation failure
 * could never be tried again, and every later handshake of the process would be
 * refused.
 */
static _Atomic(OSSL_LIB_CTX *) shared_libctx;

static OSSL_LIB_CTX *libctx_new(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    if (libctx != NULL && OSSL_PROVIDER_load(libctx, "default") == NULL) {
        OSSL_LIB_CTX_free(libctx);
        libctx = NULL;
    }
    return libctx;
}

OSSL_LIB_CTX *atls_libctx(void)
{
    OSSL_LIB_CTX *libctx = atomic_load(&shared_libctx);
    OSSL_LIB_CTX *first = NULL;

    if (libctx != NULL)
        return libctx;
    ERR_set_mark();
    libctx = libctx_new();
    ERR_pop_to_mark();
    if (libctx == NULL)
        return NULL;
    if (!atomic_compare_exchange_strong(&shared_libctx, &first, libctx)) {
        /* Another thread was faster; frees its default provider as well. */
        OSSL_LIB_CTX_free(libctx);
        libctx = first;
    }
    return libctx;
}

/*
 * A fetch takes locks and more instructions than the hash of one block (2,300
 * against 2,000), and a handshake hashes dozens of short inputs: each algorithm
 * is fetched once and kept like the library context.
 */
static struct {
    const char *name;
    _Atomic(EVP_MD *) md;
} kept_hashes[] = {
    {"SHA2-256", NULL},
    {"SHA2-384", NULL},
    {"SHA2-512", NULL},
    {"SHA1", NULL},
};

static const EVP_MD *kept_hash(const char *name)
{
    EVP_MD *first = NULL;
    EVP_MD *md;
    size_t i = 0;

    while (strcmp(kept_hashes[i].name, name) != 0) {
        if (++i == sizeof(kept_hashes) / sizeof(kept_hashes[0]))
            return NULL;
    }
    md = atomic_load(&kept_hashes[i].md);
    if (md != NULL)
        return md;
    /* With a NULL context the fetch would fall to the program's own. */
    if (atls_libctx() == NULL)
        return NULL;
    md = EVP_MD_fetch(atls_libctx(), name, NULL);
    if (md == NULL)
        return NULL;
    if (!atomic_compare_exchange_strong(&kept_hashes[i].md, &first, md)) {
        EVP_MD_free(md);
        md = first;
    }
    return md;
}

static int hash_parts(const EVP_MD *md, EVP_MD_CTX *ctx,
                      const struct atls_span *parts, size_t count, uint8_t *ret,
                      size_t *ret_len)
{
    unsigned int len = 0;

    if (!EVP_DigestInit_ex2(ctx, md, NULL))
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (!EVP_DigestUpdate(ctx, parts[i].data, parts[i].len))
            return 0;
    }
    if (!EVP_DigestFinal_ex(ctx, ret, &len))
        return 0;
    if (ret_len != NULL)
        *ret_len = len;
    return 1;
}

enum atls_error atls_hash_parts(const char *name, const struct atls_span *parts,
                                size_t count, uint8_t *ret, size_t *ret_len)
{
    enum atls_error r = ATLS_E_CRYPTO;
    EVP_MD_CTX *ctx = NULL;
    const EVP_MD *md;

    ERR_set_mark();
    md = kept_hash(name);
    if (md != NULL)
        ctx = EVP_MD_CTX_new();
    if (ctx != NULL && hash_parts(md, ctx, parts, count, ret, ret_len))
        r = ATLS_OK;
    EVP_MD_CTX_free(ctx);
    ERR_pop_to_mark();
    return r;
}

enum atls_error atls_sha256(const void *data, size_t len,
                            uint8_t ret[ATLS_SHA256_LEN])
{
    const struct atls_span part = {data, len};

    return atls_hash_parts("SHA2-256", &part, 1, ret, NULL);
}

void atls_hex(const uint8_t *data, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *ret++ = digits[data[i] >> 4];
        *ret++ = digits[data[i] & 0x0f];
    }
    *ret = '\0';
}

int atls_unhex(const char *text, uint8_t *ret, size_t max, size_t *ret_len)
{
    size_t len = strlen(text);

    if (len % 2 != 0 || len / 2 > max)
        return 0;
    for (size_t i = 0; i < len / 2; i++) {
        int high = OPENSSL_hexchar2int((unsigned char)text[2 * i]);
        int low = OPENSSL_hexchar2int((unsigned char)text[2 * i + 1]);

        if (high < 0 || low < 0)
            return 0;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    *ret_len = len / 2;
    return 1;
}
