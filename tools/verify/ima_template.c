/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/verify/ima_template.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/digest.h"
#include "evidence/le_reader.h"

#define ORIGINAL "ima"

/* Octets of the original template's fields: a SHA-1 or MD5 digest, and the name
 * as it is hashed, padded with zeros (IMA_EVENT_NAME_LEN_MAX + 1). */
#define ORIGINAL_DIGEST_LEN 20u
#define ORIGINAL_NAME_LEN 256u

/* The kernel's own templates (ima_template.c). */
static const struct {
    const char *name;
    const char *format;
} templates[] = {
    {ORIGINAL, "d|n"},
    {"ima-ng", "d-ng|n-ng"},
    {"ima-ngv2", "d-ngv2|n-ng"},
    {"ima-sig", "d-ng|n-ng|sig"},
    {"ima-sigv2", "d-ngv2|n-ng|sig"},
    {"ima-buf", "d-ng|n-ng|buf"},
    {"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
    {"evm-sig",
     "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
};

/* How a field looks in data and in text. */
enum form {
    FORM_UNKNOWN = 0, /* or one that its text does not tell all of */
    FORM_NAME,        /* text and NUL */
    FORM_DIGEST,      /* "sha256:", NUL, octets; in text "sha256:<hex>" */
    FORM_HEX          /* octets; in text hex */
};

static const struct {
    const char *id;
    enum form form;
} fields[] = {
    {"d", FORM_HEX},      {"n", FORM_NAME},          {"d-ng", FORM_DIGEST},
    {"n-ng", FORM_NAME},  {"d-ngv2", FORM_DIGEST},   {"sig", FORM_HEX},
    {"buf", FORM_HEX},    {"d-modsig", FORM_DIGEST}, {"modsig", FORM_HEX},
    {"evmsig", FORM_HEX},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool is_equal(struct atls_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.data, text, span.len) == 0;
}

/* The part before the separator or the end; *rest goes behind the separator. */
static struct atls_span take_token(struct atls_span *rest, char separator)
{
    const uint8_t *end =
        rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct atls_span token = *rest;

    if (end == NULL) {
        *rest = (struct atls_span){NULL, 0};
        return token;
    }
    token.len = (size_t)(end - rest->data);
    rest->data += token.len + 1;
    rest->len -= token.len + 1;
    return token;
}

static struct atls_span format_of(struct atls_span name)
{
    for (size_t i = 0; i < COUNT(templates); i++) {
        if (is_equal(name, templates[i].name))
            return (struct atls_span){(const uint8_t *)templates[i].format,
                                      strlen(templates[i].format)};
    }
    return name;
}

static enum form form_of(struct atls_span id)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (is_equal(id, fields[i].id))
            return fields[i].form;
    }
    return FORM_UNKNOWN;
}

bool atls_ima_template_is_original(struct atls_span name)
{
    return is_equal(name, ORIGINAL);
}

/* --- binary ---------------------------------------------------------------- */

/* The name of the original template's data, which ima.c has measured. */
static struct atls_span original_name(struct atls_span data)
{
    const size_t before = ORIGINAL_DIGEST_LEN + sizeof(uint32_t);

    return (struct atls_span){data.data + before, data.len - before};
}

/* The next field: a length and so many octets. Empty behind the last one. */
static struct atls_span take_field(struct atls_le_reader *in)
{
    struct atls_span field = {NULL, 0};
    uint32_t len;

    if (atls_le_reader_u32(in, &len))
        (void)atls_le_reader_take(in, len, &field);
    return field;
}

static enum atls_error hash_original(struct atls_span data,
                                     const struct atls_hash *hash, uint8_t *ret)
{
    static const uint8_t zeros[ORIGINAL_NAME_LEN];
    struct atls_span parts[3];

    parts[0] = (struct atls_span){data.data, ORIGINAL_DIGEST_LEN};
    parts[1] = original_name(data);
    parts[2] = (struct atls_span){zeros, ORIGINAL_NAME_LEN - parts[1].len};
    return atls_hash_parts(hash->ossl, parts, COUNT(parts), ret, NULL);
}

/* --- text ------------------------------------------------------------------ */

/* Data while they are being rebuilt. */
struct rebuilt {
    uint8_t *octets;
    size_t len;
};

static void put(struct rebuilt *data, const void *octets, size_t len)
{
    if (len > 0)
        memcpy(data->octets + data->len, octets, len);
    data->len += len;
}

static bool put_hex(struct rebuilt *data, struct atls_span hex)
{
    if (hex.len % 2 != 0)
        return false;
    for (size_t i = 0; i < hex.len; i += 2) {
        int high = OPENSSL_hexchar2int(hex.data[i]);
        int low = OPENSSL_hexchar2int(hex.data[i + 1]);

        if (high < 0 || low < 0)
            return false;
        data->octets[data->len++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* "sha256:<hex>" or "verity:sha256:<hex>"; empty where the kernel had none. */
static bool put_digest(struct rebuilt *data, struct atls_span text)
{
    size_t label_len = text.len;

    if (text.len == 0)
        return true;
    while (label_len > 0 && text.data[label_len - 1] != ':')
        label_len--;
    put(data, text.data, label_len);
    put(data, "", 1);
    return label_len > 0
           && put_hex(data, (struct atls_span){text.data + label_len,
                                               text.len - label_len});
}

static bool put_field(struct rebuilt *data, enum form form,
                      struct atls_span text)
{
    switch (form) {
    case FORM_NAME:
        put(data, text.data, text.len);
        put(data, "", 1);
        return true;
    case FORM_DIGEST:
        return put_digest(data, text);
    case FORM_HEX:
        return put_hex(data, text);
    default:
        return false;
    }
}

/* A field with its length before it. */
static bool put_sized_field(struct rebuilt *data, enum form form,
                            struct atls_span text)
{
    uint8_t *len_at = data->octets + data->len;
    size_t start = data->len + sizeof(uint32_t);
    size_t len;

    data->len = start;
    if (!put_field(data, form, text))
        return false;
    len = data->len - start;
    for (size_t i = 0; i < sizeof(uint32_t); i++)
        len_at[i] = (uint8_t)(len >> 8 * i);
    return true;
}

/* All fields of the format, and no text left. */
static bool rebuild(const struct atls_ima_event *event, struct rebuilt *data)
{
    struct atls_span format = format_of(event->template);
    struct atls_span text = event->data;

    while (format.len > 0) {
        enum form form = form_of(take_token(&format, '|'));

        if (!put_sized_field(data, form, take_token(&text, ' ')))
            return false;
    }
    return text.len == 0;
}

/* The two fields of the original template, without the first one's length. */
static bool rebuild_original(const struct atls_ima_event *event,
                             struct rebuilt *data)
{
    struct atls_span name = event->data;
    struct atls_span digest = take_token(&name, ' ');

    if (digest.len != 2 * (size_t)ORIGINAL_DIGEST_LEN
        || name.len >= ORIGINAL_NAME_LEN || !put_hex(data, digest))
        return false;
    /* hash_original() wants a length there and does not look at it. */
    memset(data->octets + data->len, 0, sizeof(uint32_t));
    data->len += sizeof(uint32_t);
    put(data, name.data, name.len);
    return true;
}

/* Each field grows by its length and two octets at most, and has an id of one
 * character and a separator in its format. */
static size_t rebuilt_len_max(const struct atls_ima_event *event)
{
    const size_t per_field = sizeof(uint32_t) + 2;

    return event->data.len + per_field * (1 + format_of(event->template).len);
}

static enum atls_error hash_text(const struct atls_ima_event *event,
                                 const struct atls_hash *hash, uint8_t *ret)
{
    bool is_original = atls_ima_template_is_original(event->template);
    struct rebuilt data = {0};
    enum atls_error r = ATLS_E_FORMAT;
    struct atls_span span;

    data.octets = OPENSSL_malloc(rebuilt_len_max(event));
    if (data.octets == NULL)
        return ATLS_E_NOMEM;
    if (is_original ? rebuild_original(event, &data) : rebuild(event, &data)) {
        span = (struct atls_span){data.octets, data.len};
        r = is_original ? hash_original(span, hash, ret)
                        : atls_hash_parts(hash->ossl, &span, 1, ret, NULL);
    }
    OPENSSL_free(data.octets);
    return r;
}

/* --- both ------------------------------------------------------------------ */

static struct atls_span without_terminator(struct atls_span name)
{
    if (name.len > 0 && name.data[name.len - 1] == '\0')
        name.len--;
    return name;
}

struct atls_span atls_ima_template_path(const struct atls_ima_event *event,
                                        bool is_binary)
{
    struct atls_span format = format_of(event->template);
    struct atls_le_reader in = {event->data, 0};
    struct atls_span text = event->data;

    if (is_binary && atls_ima_template_is_original(event->template))
        return original_name(event->data);
    while (format.len > 0) {
        enum form form = form_of(take_token(&format, '|'));
        struct atls_span field =
            is_binary ? take_field(&in) : take_token(&text, ' ');

        if (form == FORM_NAME)
            return without_terminator(field);
    }
    return (struct atls_span){NULL, 0};
}

enum atls_error atls_ima_template_digest(
    const struct atls_ima_event *event, bool is_binary,
    const struct atls_hash *hash, uint8_t ret_digest[ATLS_PCR_DIGEST_MAX])
{
    if (!is_binary)
        return hash_text(event, hash, ret_digest);
    if (atls_ima_template_is_original(event->template))
        return hash_original(event->data, hash, ret_digest);
    return atls_hash_parts(hash->ossl, &event->data, 1, ret_digest, NULL);
}
