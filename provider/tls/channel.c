/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/channel.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "base/digest.h"

/* RFC 8446 §7.1: HkdfLabel = uint16 length; opaque label<7..255>; opaque
 * context<0..255>. Label and context here are constants of known length. */
#define LABEL "tls13 attested tls"
#define LABEL_LEN (sizeof(LABEL) - 1)
#define HKDF_LABEL_LEN (2 + 1 + LABEL_LEN + 1 + 1)

#define KEYLOG_LABEL "SERVER_HANDSHAKE_TRAFFIC_SECRET "
#define CLIENT_RANDOM_LEN 32u
#define SECRET_MAX 48u

static void write_hkdf_label(enum atls_role role, uint8_t ret[HKDF_LABEL_LEN])
{
    uint8_t *p = ret;

    *p++ = 0;
    *p++ = ATLS_CHANNEL_LEN;
    *p++ = LABEL_LEN;
    memcpy(p, LABEL, LABEL_LEN);
    p += LABEL_LEN;
    *p++ = 1;
    *p = (uint8_t)role;
}

static int hkdf_expand(const char *hash, const uint8_t *secret,
                       size_t secret_len, const uint8_t *info, size_t info_len,
                       uint8_t ret[ATLS_CHANNEL_LEN])
{
    /* Constructors of OSSL_PARAM take no const, derive only reads. */
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                         (char *)(uintptr_t)hash, 0),
        OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                          (void *)(uintptr_t)info, info_len),
        OSSL_PARAM_construct_end()};
    EVP_KDF *kdf = EVP_KDF_fetch(atls_libctx(), "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int ok =
        ctx != NULL && EVP_KDF_derive(ctx, ret, ATLS_CHANNEL_LEN, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

enum atls_error atls_channel_derive(const uint8_t *secret, size_t secret_len,
                                    enum atls_role role,
                                    uint8_t ret_channel[ATLS_CHANNEL_LEN])
{
    uint8_t info[HKDF_LABEL_LEN];
    const char *hash;
    int ok;

    if (secret_len == 32)
        hash = "SHA2-256";
    else if (secret_len == 48)
        hash = "SHA2-384";
    else
        return ATLS_E_NO_CHANNEL;
    write_hkdf_label(role, info);
    ERR_set_mark();
    ok = hkdf_expand(hash, secret, secret_len, info, sizeof(info), ret_channel);
    ERR_pop_to_mark();
    if (!ok)
        return ATLS_E_CRYPTO;
    return ATLS_OK;
}

enum atls_error atls_channel_parse_keylog(const char *line,
                                          const uint8_t client_random[32],
                                          uint8_t ret_secret[48],
                                          size_t *ret_len)
{
    const size_t label_len = sizeof(KEYLOG_LABEL) - 1;
    char random_hex[2 * CLIENT_RANDOM_LEN + 1];

    if (strncmp(line, KEYLOG_LABEL, label_len) != 0)
        return ATLS_E_NO_CHANNEL;
    line += label_len;
    if (strspn(line, "0123456789abcdef") != sizeof(random_hex) - 1
        || line[sizeof(random_hex) - 1] != ' ')
        return ATLS_E_NO_CHANNEL;
    if (client_random != NULL) {
        atls_hex(client_random, CLIENT_RANDOM_LEN, random_hex);
        if (strncmp(line, random_hex, sizeof(random_hex) - 1) != 0)
            return ATLS_E_NO_CHANNEL;
    }
    if (!atls_unhex(line + sizeof(random_hex), ret_secret, SECRET_MAX, ret_len))
        return ATLS_E_NO_CHANNEL;
    return ATLS_OK;
}

struct atls_formats atls_request_formats(bool asks_boot_log)
{
    const struct atls_formats plain = {
        2, {ATLS_FORMAT_TPM_SHORT, ATLS_FORMAT_TPM}};
    const struct atls_formats boot = {
        3, {ATLS_FORMAT_TPM_SHORT, ATLS_FORMAT_TPM_BOOT, ATLS_FORMAT_TPM}};

    return asks_boot_log ? boot : plain;
}

size_t atls_request_write(const struct atls_formats *formats,
                          uint8_t ret[ATLS_REQUEST_MAX])
{
    uint8_t *p = ret;

    if (formats->count == 0) {
        *p = ATLS_REQUEST_NOTHING;
        return 1;
    }
    *p++ = ATLS_REQUEST_VERSION;
    *p++ = (uint8_t)(2 * formats->count); /* formats<2..2^8-2> */
    p += atls_formats_write(formats, p);
    memset(p, 0, 4); /* max_age: live only */
    return (size_t)(p + 4 - ret);
}

enum atls_error atls_request_parse(const uint8_t *data, size_t len,
                                   struct atls_reason *why,
                                   struct atls_formats *ret_formats)
{
    size_t formats_len;

    *ret_formats = (struct atls_formats){0, {0}};
    if (len < 1)
        return atls_fail(why, ATLS_E_REQUEST,
                         "the attestation request is empty");
    /* A later version may look different: we ignore it, without an error. */
    if (data[0] != ATLS_REQUEST_VERSION)
        return ATLS_OK;
    if (len < 2)
        return atls_fail(why, ATLS_E_REQUEST,
                         "the attestation request ends after its version");
    formats_len = data[1];
    if (formats_len < 2 || formats_len % 2 != 0 || len != 2 + formats_len + 4)
        return atls_fail(
            why, ATLS_E_REQUEST,
            "the attestation request has %zu octets and %zu of formats", len,
            formats_len);
    *ret_formats = atls_formats_read((struct atls_span){data + 2, formats_len});
    return ATLS_OK;
}
