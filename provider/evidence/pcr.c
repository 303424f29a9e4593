/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/pcr.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "base/number.h"
#include "base/span.h"

/* In rising order of TPM_ALG_ID. SHA-1 is here because TPMs report it and
 * people quote it by mistake; no verdict ever counts it (verifier/). */
static const struct atls_hash hashes[] = {
    {TPM2_ALG_SHA1, 20, "sha1", "SHA1"},
    {TPM2_ALG_SHA256, 32, "sha256", "SHA2-256"},
    {TPM2_ALG_SHA384, 48, "sha384", "SHA2-384"},
    {TPM2_ALG_SHA512, 64, "sha512", "SHA2-512"},
};

#define HASH_COUNT (sizeof(hashes) / sizeof(hashes[0]))
#define ALL_PCRS ((UINT32_C(1) << ATLS_PCR_COUNT) - 1)

_Static_assert(HASH_COUNT == ATLS_BANKS_MAX, "a bank for each hash");

const struct atls_hash *atls_hash_by_alg(uint16_t alg)
{
    for (size_t i = 0; i < HASH_COUNT; i++) {
        if (hashes[i].alg == alg)
            return &hashes[i];
    }
    return NULL;
}

static const struct atls_hash *hash_by_name_len(const char *name, size_t len)
{
    for (size_t i = 0; i < HASH_COUNT; i++) {
        if (strlen(hashes[i].name) == len
            && memcmp(hashes[i].name, name, len) == 0)
            return &hashes[i];
    }
    return NULL;
}

const struct atls_hash *atls_hash_by_name(const char *name)
{
    return hash_by_name_len(name, strlen(name));
}

/* One PCR index in decimal; advances *text. Returns 1 on success. */
static int parse_index(const char **text, unsigned *ret_index)
{
    size_t len = strspn(*text, "0123456789");

    if (atls_number_is_padded(*text, len)
        || !atls_number_parse(*text, len, 0, ATLS_PCR_COUNT - 1, ret_index))
        return 0;
    *text += len;
    return 1;
}

/* "7" or "0-9"; advances *text. Returns 1 on success. */
static int parse_range(const char **text, unsigned *ret_first,
                       unsigned *ret_last)
{
    const char *at = *text;

    if (!parse_index(&at, ret_first))
        return 0;
    *ret_last = *ret_first;
    if (*at == '-') {
        at++;
        if (!parse_index(&at, ret_last) || *ret_last < *ret_first)
            return 0;
    }
    *text = at;
    return 1;
}

/* "all", or "0-9,11-15": up to the end or the '+' before the next bank. */
static enum atls_error parse_mask(const char **text, struct atls_reason *why,
                                  uint32_t *ret_mask)
{
    uint32_t mask = 0;
    const char *at = *text;

    if (strncmp(at, "all", 3) == 0) {
        *text = at + 3;
        *ret_mask = ALL_PCRS;
        return ATLS_OK;
    }
    for (;;) {
        unsigned first;
        unsigned last;

        if (!parse_range(&at, &first, &last))
            return atls_fail(why, ATLS_E_CONFIG,
                             "PCR selection: expected PCRs from 0 to 23 as in "
                             "'0-9,11-15', or 'all'" ATLS_MORE
                             ", found '%.20s'",
                             at);
        for (unsigned pcr = first; pcr <= last; pcr++) {
            if (mask >> pcr & 1)
                return atls_fail(why, ATLS_E_CONFIG,
                                 "PCR selection: PCR %u stands there twice; "
                                 "name it once",
                                 pcr);
            mask |= UINT32_C(1) << pcr;
        }
        if (*at != ',')
            break;
        at++;
    }
    *text = at;
    *ret_mask = mask;
    return ATLS_OK;
}

/* "sha256:0-9,11-15"; advances *text. */
static enum atls_error parse_bank(const char **text, struct atls_reason *why,
                                  struct atls_pcr_selection *selection)
{
    size_t name_len = strcspn(*text, ":+");
    const struct atls_hash *hash = hash_by_name_len(*text, name_len);
    const char *at = *text + name_len;
    uint32_t mask = 0;
    enum atls_error r;

    if (hash == NULL || *at != ':')
        return atls_fail(why, ATLS_E_CONFIG,
                         "PCR selection: expected 'sha1:', 'sha256:', "
                         "'sha384:' or 'sha512:' before the PCRs" ATLS_MORE
                         ", found "
                         "'%.40s'",
                         *text);
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->banks[i].alg == hash->alg)
            return atls_fail(why, ATLS_E_CONFIG,
                             "PCR selection: bank %s stands there twice; put "
                             "all its PCRs into one list",
                             hash->name);
    }
    at++;
    r = parse_mask(&at, why, &mask);
    if (r != ATLS_OK)
        return r;
    selection->banks[selection->count].alg = hash->alg;
    selection->banks[selection->count].mask = mask;
    selection->count++;
    *text = at;
    return ATLS_OK;
}

enum atls_error atls_pcr_selection_parse(
    const char *text, struct atls_reason *why,
    struct atls_pcr_selection *ret_selection)
{
    struct atls_pcr_selection selection = {0};
    const char *at = text;

    for (;;) {
        enum atls_error r = parse_bank(&at, why, &selection);

        if (r != ATLS_OK)
            return r;
        if (*at == '\0')
            break;
        if (*at != '+')
            return atls_fail(why, ATLS_E_CONFIG,
                             "PCR selection: expected ',', '+' or the end, "
                             "found '%.20s'" ATLS_MORE
                             " (example: sha256:0-9,11-15)",
                             at);
        at++;
    }
    *ret_selection = selection;
    return ATLS_OK;
}

const uint8_t *atls_pcr_value(const struct atls_pcr_values *values,
                              uint16_t alg, unsigned pcr)
{
    if (pcr >= ATLS_PCR_COUNT)
        return NULL;
    for (size_t i = 0; i < values->count; i++) {
        if (values->banks[i].alg == alg && (values->banks[i].mask >> pcr & 1))
            return values->banks[i].value[pcr];
    }
    return NULL;
}

enum atls_error atls_pcr_digest(uint16_t hash_alg,
                                const struct atls_pcr_selection *selection,
                                const struct atls_pcr_values *values,
                                uint8_t ret_digest[ATLS_PCR_DIGEST_MAX],
                                size_t *ret_len)
{
    const struct atls_hash *hash = atls_hash_by_alg(hash_alg);
    struct atls_span parts[ATLS_BANKS_MAX * ATLS_PCR_COUNT];
    size_t count = 0;

    if (hash == NULL)
        return ATLS_E_CRYPTO;
    for (size_t i = 0; i < selection->count; i++) {
        const struct atls_hash *bank =
            atls_hash_by_alg(selection->banks[i].alg);
        uint32_t rest = selection->banks[i].mask;

        if (bank == NULL)
            return ATLS_E_SELECTION;
        for (unsigned pcr = 0; rest != 0; pcr++, rest >>= 1) {
            const uint8_t *value = atls_pcr_value(values, bank->alg, pcr);

            if ((rest & 1) == 0)
                continue;
            if (value == NULL)
                return ATLS_E_SELECTION;
            parts[count].data = value;
            parts[count].len = bank->len;
            count++;
        }
    }
    return atls_hash_parts(hash->ossl, parts, count, ret_digest, ret_len);
}

enum atls_error atls_pcr_extend(uint16_t alg,
                                uint8_t value[ATLS_PCR_DIGEST_MAX],
                                const uint8_t *digest)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg);
    struct atls_span parts[2];

    if (hash == NULL)
        return ATLS_E_INTERNAL;
    parts[0].data = value;
    parts[0].len = hash->len;
    parts[1].data = digest;
    parts[1].len = hash->len;
    return atls_hash_parts(hash->ossl, parts, 2, value, NULL);
}
