/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/evidence_file.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "base/pem.h"
#include "evidence/codec.h"
#include "tools/common/input.h"

#define EVIDENCE_VERSION 1

/* ---- writing ---- */

static json_t *base64_json(const uint8_t *data, size_t len)
{
    unsigned char *text = OPENSSL_malloc(4 * ((len + 2) / 3) + 1);
    json_t *value = NULL;

    if (text != NULL) {
        EVP_EncodeBlock(text, data, (int)len);
        value = json_string((const char *)text);
    }
    OPENSSL_free(text);
    return value;
}

static json_t *certificate_json(const uint8_t *der, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    json_t *value = NULL;
    const char *text;

    if (bio != NULL
        && PEM_write_bio(bio, PEM_STRING_X509, "", der, (long)len) > 0) {
        long text_len = BIO_get_mem_data(bio, &text);

        value = json_stringn(text, (size_t)text_len);
    }
    BIO_free(bio);
    return value;
}

/* Writes only members that are known. json_object_set_new() fails on a NULL
 * value. */
static json_t *evidence_json(const struct peer_evidence *evidence)
{
    const char role[2] = {(char)evidence->role, '\0'};
    char hex[2 * ATLS_CHANNEL_LEN + 1];
    json_t *root = json_object();
    int failed;

    failed =
        json_object_set_new(root, "version", json_integer(EVIDENCE_VERSION))
        | json_object_set_new(root, "role", json_string(role))
        | json_object_set_new(root, "cmw",
                              base64_json(evidence->cmw, evidence->cmw_len));
    if (evidence->has_channel) {
        atls_hex(evidence->channel, ATLS_CHANNEL_LEN, hex);
        failed |= json_object_set_new(root, "channel", json_string(hex));
    }
    if (evidence->cert_der != NULL)
        failed |= json_object_set_new(
            root, "certificate",
            certificate_json(evidence->cert_der, evidence->cert_len));
    if (evidence->name != NULL)
        failed |=
            json_object_set_new(root, "peer", json_string(evidence->name));
    if (evidence->address != NULL)
        failed |= json_object_set_new(root, "address",
                                      json_string(evidence->address));
    if (evidence->time != 0)
        failed |=
            json_object_set_new(root, "time", json_integer(evidence->time));
    if (failed) {
        json_decref(root);
        return NULL;
    }
    return root;
}

enum atls_error tool_evidence_file_write(const char *path,
                                         const struct peer_evidence *evidence,
                                         struct atls_reason *why)
{
    json_t *root = evidence_json(evidence);
    FILE *file;
    int failed;

    if (root == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    file = fopen(path, "we");
    if (file == NULL) {
        json_decref(root);
        return atls_fail(why, ATLS_E_IO, "cannot write %s: %s", path,
                         strerror(errno));
    }
    failed =
        json_dumpf(root, file, JSON_INDENT(1)) != 0 || fputc('\n', file) == EOF;
    json_decref(root);
    if (fclose(file) != 0 || failed)
        return atls_fail(why, ATLS_E_IO, "cannot write %s: %s", path,
                         strerror(errno));
    return ATLS_OK;
}

/* ---- reading ---- */

static int read_cmw(const char *text, struct peer_evidence *evidence)
{
    size_t len = strlen(text);
    size_t padding = 0;
    int n;

    if (len == 0 || len % 4 != 0)
        return 0;
    while (padding < 2 && text[len - 1 - padding] == '=')
        padding++;
    if (strcspn(text, "=") != len - padding)
        return 0;
    evidence->cmw = OPENSSL_malloc(len / 4 * 3);
    if (evidence->cmw == NULL)
        return 0;
    n = EVP_DecodeBlock(evidence->cmw, (const unsigned char *)text, (int)len);
    if (n <= 0 || (size_t)n <= padding)
        return 0;
    evidence->cmw_len = (size_t)n - padding;
    return 1;
}

static int read_certificate(const char *text, struct peer_evidence *evidence)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *cert = NULL;
    int len = 0;

    if (bio != NULL && atls_pem_read_certificate(bio, &cert) == ATLS_OK
        && cert != NULL)
        len = i2d_X509(cert, &evidence->cert_der);
    X509_free(cert);
    BIO_free(bio);
    evidence->cert_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

/* A name is printed on its own line. The file may be anybody's: an escape
 * sequence or line feed in it would forge output. */
static int read_name(const char *text, char **ret)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~')
            return 0;
    }
    *ret = OPENSSL_strdup(text);
    return *ret != NULL;
}

/* Read the members. Returns NULL, or the name of the first that is wrong. */
static const char *read_members(json_t *root, struct peer_evidence *evidence)
{
    const char *role = "s", *cmw = NULL, *channel = NULL, *certificate = NULL;
    const char *peer = NULL, *address = NULL;
    json_int_t time = 0;
    size_t len;
    int version = 0;

    if (json_unpack(root, "{s:i, s?s, s:s, s?s, s?s, s?s, s?s, s?I}", "version",
                    &version, "role", &role, "cmw", &cmw, "channel", &channel,
                    "certificate", &certificate, "peer", &peer, "address",
                    &address, "time", &time)
        != 0)
        return "version or cmw (missing, or a member of the wrong type)";
    if (version != EVIDENCE_VERSION)
        return "version (only 1 is known)";
    if (strcmp(role, "s") != 0 && strcmp(role, "c") != 0)
        return "role";
    evidence->role = role[0] == 's' ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    if (!read_cmw(cmw, evidence))
        return "cmw";
    if (channel != NULL) {
        if (!atls_unhex(channel, evidence->channel, ATLS_CHANNEL_LEN, &len)
            || len != ATLS_CHANNEL_LEN)
            return "channel";
        evidence->has_channel = true;
    }
    if (certificate != NULL && !read_certificate(certificate, evidence))
        return "certificate";
    if (peer != NULL && !read_name(peer, &evidence->name))
        return "peer";
    if (address != NULL && !read_name(address, &evidence->address))
        return "address";
    evidence->time = time;
    return NULL;
}

static enum atls_error read_json(const char *path, const uint8_t *data,
                                 size_t len, struct atls_reason *why,
                                 struct peer_evidence *ret)
{
    struct peer_evidence evidence = {0};
    json_error_t error;
    json_t *root =
        json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, &error);
    const char *wrong;

    if (root == NULL)
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s:%d: not the JSON of saved evidence: %s", path,
                         error.line, error.text);
    wrong = read_members(root, &evidence);
    json_decref(root);
    if (wrong != NULL) {
        tool_peer_evidence_clear(&evidence);
        return atls_fail(why, ATLS_E_MALFORMED,
                         "%s: no saved evidence: wrong %s", path, wrong);
    }
    *ret = evidence;
    return ATLS_OK;
}

/* A CMW record is a CBOR array of two or three (RFC 8949 §3.1). */
static bool is_record(const uint8_t *data, size_t len)
{
    return len > 0 && (data[0] == 0x82 || data[0] == 0x83);
}

bool tool_evidence_file_begins(const uint8_t *data, size_t len)
{
    size_t i = 0;

    while (i < len && memchr(" \t\r\n", data[i], 4) != NULL)
        i++;
    return is_record(data, len) || (i < len && data[i] == '{');
}

enum atls_error tool_evidence_file_read(const char *path,
                                        struct atls_reason *why,
                                        struct peer_evidence *ret)
{
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, EVIDENCE_FILE_MAX, why, &data, &len);

    if (r != ATLS_OK)
        return r;
    if (len == 0) {
        OPENSSL_free(data);
        return atls_fail(why, ATLS_E_MALFORMED, "%s is empty: no evidence",
                         path);
    }
    if (is_record(data, len)) {
        *ret = (struct peer_evidence){
            .role = ATLS_ROLE_SERVER, .cmw = data, .cmw_len = len};
        return ATLS_OK; /* data transferred */
    }
    if (tool_evidence_file_begins(data, len))
        r = read_json(path, data, len, why, ret);
    else
        r = atls_fail(why, ATLS_E_MALFORMED,
                      "%s is neither saved evidence (JSON, which attest show "
                      "--save writes) nor a CMW record",
                      path);
    OPENSSL_free(data);
    return r;
}
