/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/measure/content.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#include "attester/measure.h"
#include "base/digest.h"
#include "tools/common/input.h"

static enum atls_error parse_digest(const char *text, struct atls_reason *why,
                                    uint8_t ret_digest[ATLS_SHA256_LEN])
{
    static const char prefix[] = "sha256:";
    size_t len = 0;

    if (strncmp(text, prefix, strlen(prefix)) != 0
        || !atls_unhex(text + strlen(prefix), ret_digest, ATLS_SHA256_LEN, &len)
        || len != ATLS_SHA256_LEN)
        return atls_fail(why, ATLS_E_USAGE,
                         "a digest must be sha256: and 64 hex digits, not %s",
                         text);
    return ATLS_OK;
}

static bool is_authority(X509 *cert)
{
    return X509_check_ca(cert) == 1
           && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) != 0;
}

static enum atls_error hash_certificate(X509 *cert, struct atls_reason *why,
                                        uint8_t ret_digest[ATLS_SHA256_LEN])
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    enum atls_error r;

    if (len < 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = atls_sha256(der, (size_t)len, ret_digest);
    OPENSSL_free(der);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}

static void format(const struct atls_event *event,
                   char ret_content[MEASURE_CONTENT_SIZE])
{
    ret_content[atls_event_format(event, ret_content)] = '\0';
}

static enum atls_error name_component(const char *name, struct atls_reason *why,
                                      struct atls_event *event)
{
    size_t len = strlen(name);

    if (!atls_component_name_is_legal(name, len))
        return atls_fail(
            why, ATLS_E_USAGE,
            "%s is no name of a component: a letter or digit, then "
            "letters, digits and ._:@/- ; up to %u",
            name, ATLS_COMPONENT_NAME_MAX);
    *event = (struct atls_event){.kind = ATLS_EVENT_COMPONENT};
    memcpy(event->name, name, len);
    return ATLS_OK;
}

enum atls_error tool_measure_content_given(
    const char *name, const char *digest, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE])
{
    struct atls_event event;
    enum atls_error r = name_component(name, why, &event);

    if (r == ATLS_OK)
        r = parse_digest(digest, why, event.digest);
    if (r == ATLS_OK)
        format(&event, ret_content);
    return r;
}

enum atls_error tool_measure_content_component(
    const char *name, const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE])
{
    struct atls_event event;
    enum atls_error r = name_component(name, why, &event);

    if (r == ATLS_OK)
        r = atls_component_digest(path, why, event.digest);
    if (r == ATLS_OK)
        format(&event, ret_content);
    return r;
}

enum atls_error tool_measure_content_certificate(
    const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE])
{
    struct atls_event event = {.kind = ATLS_EVENT_CERTIFICATE};
    X509 *cert = NULL;
    enum atls_error r = tool_input_certificate(path, why, &cert);

    if (r == ATLS_OK)
        r = hash_certificate(cert, why, event.digest);
    if (r == ATLS_OK)
        format(&event, ret_content);
    X509_free(cert);
    return r;
}

enum atls_error tool_measure_content_authority(
    const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE])
{
    struct atls_event event = {.kind = ATLS_EVENT_AUTHORITY};
    X509 *cert = NULL;
    enum atls_error r = tool_input_certificate(path, why, &cert);

    if (r == ATLS_OK && !is_authority(cert))
        r = atls_fail(why, ATLS_E_USAGE,
                      "%s is no authority (CA:TRUE, keyCertSign): a server's "
                      "own certificate is measured as a certificate",
                      path);
    if (r == ATLS_OK)
        r = hash_certificate(cert, why, event.digest);
    if (r == ATLS_OK)
        format(&event, ret_content);
    X509_free(cert);
    return r;
}
