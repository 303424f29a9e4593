/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/digest.h"
#include "base/number.h"
#include "tools/common/input.h"
#include "tools/verify/quote_parts.h"

/* Room for all PCRs of all banks with the longest names and spare white space. */
#define PCR_FILE_MAX (64u * 1024u)

/* Octets of a bank's name that are kept, with a NUL. */
#define BANK_NAME_MAX 24u

/* One PCR file as it is read. */
struct reading {
    const char *path;
    unsigned line; /* 0: JSON, which has none to tell */
    struct atls_reason *why;
    struct atls_pcr_values values;
};

/* "FILE:7: " or "FILE: " before what is wrong. */
static enum atls_error located(const struct reading *in, enum atls_error code)
{
    if (in->line > 0)
        atls_reason_prefix(in->why, "%s:%u: ", in->path, in->line);
    else
        atls_reason_prefix(in->why, "%s: ", in->path);
    return code;
}

/* The bank of that hash, added if the values lack it: there is room for all
 * that atls_hash_by_name() knows. */
static size_t bank_index(struct atls_pcr_values *values, uint16_t alg)
{
    size_t i = 0;

    while (i < values->count && values->banks[i].alg != alg)
        i++;
    if (i == values->count) {
        values->banks[i].alg = alg;
        values->count++;
    }
    return i;
}

/* "7", "0x3d45..." of a bank. */
static enum atls_error add_value(struct reading *in,
                                 const struct atls_hash *bank,
                                 const char *index, const char *hex)
{
    unsigned pcr = 0;
    size_t len = 0;
    size_t i;

    if (!atls_number_parse(index, strlen(index), 0, ATLS_PCR_COUNT - 1, &pcr)) {
        (void)atls_fail(in->why, ATLS_E_MALFORMED,
                        "expected a PCR from 0 to %u, found '%.20s'",
                        ATLS_PCR_COUNT - 1, index);
        return located(in, ATLS_E_MALFORMED);
    }
    i = bank_index(&in->values, bank->alg);
    if ((in->values.banks[i].mask >> pcr & 1) != 0) {
        (void)atls_fail(in->why, ATLS_E_MALFORMED,
                        "PCR %u of bank %s stands there twice", pcr,
                        bank->name);
        return located(in, ATLS_E_MALFORMED);
    }
    if (hex[0] == '0' && (hex[1] == 'x' || hex[1] == 'X'))
        hex += 2;
    if (!atls_unhex(hex, in->values.banks[i].value[pcr], ATLS_PCR_DIGEST_MAX,
                    &len)
        || len != bank->len) {
        (void)atls_fail(in->why, ATLS_E_MALFORMED,
                        "PCR %u of bank %s: expected %u octets in hex, found "
                        "'%.40s'",
                        pcr, bank->name, bank->len, hex);
        return located(in, ATLS_E_MALFORMED);
    }
    in->values.banks[i].mask |= UINT32_C(1) << pcr;
    return ATLS_OK;
}

/* ---- as tpm2_pcrread prints them ---- */

/* Cut blanks off both ends, in place. */
static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text + strspn(text, " \t");
}

static bool is_bank_name(const char *text)
{
    return *text != '\0' && strlen(text) < BANK_NAME_MAX
           && islower((unsigned char)*text)
           && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")
                  == strlen(text);
}

/*
 * "sha256:" begins a bank, "7 : 0x..." is a value of it.
 *   bank  NULL under one that is not known here
 *   begun whether there was one at all
 */
static enum atls_error read_line(struct reading *in, char *line,
                                 const struct atls_hash **bank, bool *begun)
{
    char *colon = strchr(line, ':');
    char *name;
    char *value;

    if (*trim(line) == '\0')
        return ATLS_OK;
    if (colon == NULL) {
        (void)atls_fail(
            in->why, ATLS_E_MALFORMED,
            "expected PCR values as tpm2_pcrread prints them, found "
            "'%.40s'",
            trim(line));
        return located(in, ATLS_E_MALFORMED);
    }
    *colon = '\0';
    name = trim(line);
    value = trim(colon + 1);
    if (*value == '\0' && is_bank_name(name)) {
        *bank = atls_hash_by_name(name);
        *begun = true;
        return ATLS_OK;
    }
    if (!*begun) {
        (void)atls_fail(in->why, ATLS_E_MALFORMED,
                        "expected a bank such as 'sha256:' before the values, "
                        "found '%.40s'",
                        name);
        return located(in, ATLS_E_MALFORMED);
    }
    return *bank != NULL ? add_value(in, *bank, name, value) : ATLS_OK;
}

static enum atls_error read_lines(struct reading *in, char *text)
{
    const struct atls_hash *bank = NULL;
    bool begun = false;

    for (in->line = 1; text != NULL; in->line++) {
        char *line = strsep(&text, "\n");
        enum atls_error r = read_line(in, line, &bank, &begun);

        if (r != ATLS_OK)
            return r;
    }
    in->line = 0;
    return ATLS_OK;
}

/* ---- JSON ---- */

static enum atls_error read_object(struct reading *in, json_t *object)
{
    const char *name = NULL;
    const char *index;
    json_t *pcrs = NULL;
    json_t *value;
    const struct atls_hash *bank;

    if (json_unpack(object, "{s:s, s:o !}", "bank", &name, "pcrs", &pcrs) != 0
        || !json_is_object(pcrs)) {
        (void)atls_fail(in->why, ATLS_E_MALFORMED,
                        "expected {\"bank\": \"sha256\", \"pcrs\": {\"0\": "
                        "\"<hex>\", ...}}, or an array of such");
        return located(in, ATLS_E_MALFORMED);
    }
    bank = atls_hash_by_name(name);
    if (bank == NULL)
        return ATLS_OK;
    json_object_foreach(pcrs, index, value)
    {
        const char *hex = json_string_value(value);
        enum atls_error r =
            add_value(in, bank, index, hex != NULL ? hex : "no string");

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error read_json(struct reading *in, const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    enum atls_error r = ATLS_OK;
    json_t *object;
    size_t i;

    if (root == NULL)
        return atls_fail(in->why, ATLS_E_MALFORMED, "%s:%d: no JSON: %s",
                         in->path, error.line, error.text);
    if (!json_is_array(root))
        r = read_object(in, root);
    json_array_foreach(root, i, object)
    {
        if (r == ATLS_OK)
            r = read_object(in, object);
    }
    json_decref(root);
    return r;
}

/* ---- both ---- */

static enum atls_error read_text(struct reading *in, char *text, size_t len)
{
    const char first = text[strspn(text, " \t\r\n")];
    enum atls_error r;

    if (strlen(text) != len)
        return atls_fail(in->why, ATLS_E_MALFORMED,
                         "%s is binary: expected PCR values as tpm2_pcrread "
                         "prints them, not what it writes with --output",
                         in->path);
    r = first == '{' || first == '[' ? read_json(in, text)
                                     : read_lines(in, text);
    if (r == ATLS_OK && in->values.count == 0)
        return atls_fail(in->why, ATLS_E_MALFORMED,
                         "%s holds no PCR value of bank sha1, sha256, sha384 "
                         "or sha512",
                         in->path);
    return r;
}

enum atls_error tool_quote_pcrs_read(const char *path, struct atls_reason *why,
                                     struct atls_pcr_values *ret_values)
{
    struct reading in = {.path = path, .why = why};
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r = tool_input_read(path, PCR_FILE_MAX, why, &data, &len);

    if (r != ATLS_OK)
        return r;
    r = read_text(&in, (char *)data, len);
    OPENSSL_free(data);
    if (r != ATLS_OK)
        return r;
    *ret_values = in.values;
    return ATLS_OK;
}

static uint32_t selected_mask(const struct atls_pcr_selection *selection,
                              uint16_t alg)
{
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->banks[i].alg == alg)
            return selection->banks[i].mask;
    }
    return 0;
}

void tool_quote_pcrs_part(const struct atls_pcr_values *values,
                          const struct atls_pcr_selection *selection,
                          struct atls_pcr_values *ret_selected,
                          struct atls_pcr_selection *ret_ignored)
{
    memset(ret_selected, 0, sizeof(*ret_selected));
    memset(ret_ignored, 0, sizeof(*ret_ignored));
    for (size_t i = 0; i < values->count; i++) {
        const uint16_t alg = values->banks[i].alg;
        const uint32_t all = values->banks[i].mask;
        const uint32_t mask = all & selected_mask(selection, alg);

        if (mask != 0) {
            ret_selected->banks[ret_selected->count] = values->banks[i];
            ret_selected->banks[ret_selected->count].mask = mask;
            ret_selected->count++;
        }
        if (all != mask) {
            ret_ignored->banks[ret_ignored->count].alg = alg;
            ret_ignored->banks[ret_ignored->count].mask = all & ~mask;
            ret_ignored->count++;
        }
    }
}
