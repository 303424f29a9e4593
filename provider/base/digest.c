/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdatomic.h>
#include <string.h>

static const char *const hash_names[] = {"SHA2-256", "SHA2-384", "SHA2-512",
                                         "SHA1"};

#define HASH_COUNT (sizeof(hash_names) / sizeof(hash_names[0]))

/*
 * The library context and the hashes fetched from it: a fetch takes locks and
 * more instructions than the hash of one block (2,300 against 2,000), and a
 * handshake hashes dozens of short inputs.
 */
struct own {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *provider; /* the default one */
    EVP_MD *hashes[HASH_COUNT];
};

/*
 * Compare-and-swap instead of a run-once: a once that met an allocation failure
 * could never be tried again, and every later handshake of the process would be
 * refused. For the same reason a context is only kept with all hashes: OpenSSL
 * 3.0 never again finds those that it had no memory for at the first fetch.
 */
static _Atomic(struct own *) shared;

static void own_free(struct own *own)
{
    for (size_t i = 0; i < HASH_COUNT; i++)
        EVP_MD_free(own->hashes[i]);
    if (own->provider != NULL)
        OSSL_PROVIDER_unload(own->provider);
    OSSL_LIB_CTX_free(own->libctx);
    OPENSSL_free(own);
}

static struct own *own_new(void)
{
    struct own *own = OPENSSL_zalloc(sizeof(*own));

    if (own == NULL)
        return NULL;
    own->libctx = OSSL_LIB_CTX_new();
    if (own->libctx != NULL)
        own->provider = OSSL_PROVIDER_load(own->libctx, "default");
    if (own->provider == NULL) {
        own_free(own);
        return NULL;
    }
    for (size_t i = 0; i < HASH_COUNT; i++) {
        own->hashes[i] = EVP_MD_fetch(own->libctx, hash_names[i], NULL);
        if (own->hashes[i] == NULL) {
            own_free(own);
            return NULL;
        }
    }
    return own;
}

static struct own *own_get(void)
{
    struct own *own = atomic_load(&shared);
    struct own *first = NULL;

    if (own != NULL)
        return own;
    ERR_set_mark();
    own = own_new();
    ERR_pop_to_mark();
    if (own != NULL && !atomic_compare_exchange_strong(&shared, &first, own)) {
        own_free(own); /* another thread was faster */
        own = first;
    }
    return own;
}

OSSL_LIB_CTX *atls_libctx(void)
{
    const struct own *own = own_get();

    return own != NULL ? own->libctx : NULL;
}

static const EVP_MD *find_hash(const char *name)
{
    const struct own *own = own_get();

    for (size_t i = 0; own != NULL && i < HASH_COUNT; i++) {
        if (strcmp(hash_names[i], name) == 0)
            return own->hashes[i];
    }
    return NULL;
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
    md = find_hash(name);
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

#define BRIEF_OCTETS 4u

static void write_part(const uint8_t *data, size_t begin, size_t len, char *ret)
{
    *ret = '\0';
    if (begin > 0)
        strcpy(ret, "...");
    atls_hex(data + begin, BRIEF_OCTETS, ret + strlen(ret));
    if (begin + BRIEF_OCTETS < len)
        strcat(ret, "...");
}

void atls_hex_brief(const uint8_t *a, const uint8_t *b, size_t len,
                    char ret_a[ATLS_HEX_BRIEF_SIZE],
                    char ret_b[ATLS_HEX_BRIEF_SIZE])
{
    size_t begin = 0;

    while (begin < len && a[begin] == b[begin])
        begin++;
    if (begin < BRIEF_OCTETS || begin == len)
        begin = 0;
    else if (begin > len - BRIEF_OCTETS)
        begin = len - BRIEF_OCTETS;
    write_part(a, begin, len, ret_a);
    write_part(b, begin, len, ret_b);
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
