/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/measure_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attester/file.h"
#include "attester/measured_log.h"
#include "base/digest.h"
#include "base/opening.h"

#define WAL_SUFFIX ".wal"
#define NEW_SUFFIX ".wal.new"
#define WAL_MODE 0600
#define WAL_MAX 65536u /* octets; ours are below 6 KiB */

static void free_json_text(char *text)
{
    json_free_t json_free = NULL;

    json_get_alloc_funcs(NULL, &json_free);
    json_free(text);
}

void atls_wal_free(struct atls_wal *wal)
{
    if (wal == NULL)
        return;
    OPENSSL_free(wal->content);
    OPENSSL_free(wal);
}

bool atls_wal_values_equal(const struct atls_pcr_values *a,
                           const struct atls_pcr_values *b, unsigned pcr)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const uint8_t *other = atls_pcr_value(b, a->banks[i].alg, pcr);

        /* What a bank's hash does not fill is zero in both. */
        if (other == NULL
            || memcmp(a->banks[i].value[pcr], other, ATLS_PCR_DIGEST_MAX) != 0)
            return false;
    }
    return true;
}

/* Fill `after` from `before` and the content. */
static enum atls_error extend_values(struct atls_wal *wal)
{
    const struct atls_span content = {(const uint8_t *)wal->content,
                                      strlen(wal->content)};

    wal->after = wal->before;
    for (size_t i = 0; i < wal->after.count; i++) {
        uint16_t alg = wal->after.banks[i].alg;
        uint8_t digest[ATLS_PCR_DIGEST_MAX];
        enum atls_error r;

        r = atls_hash_parts(atls_hash_by_alg(alg)->ossl, &content, 1, digest,
                            NULL);
        if (r == ATLS_OK)
            r = atls_pcr_extend(alg, wal->after.banks[i].value[wal->pcr],
                                digest);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

enum atls_error atls_wal_new(unsigned pcr, uint64_t log_size,
                             const char *content,
                             const struct atls_pcr_values *before,
                             struct atls_reason *why, struct atls_wal **ret_wal)
{
    struct atls_wal *wal = OPENSSL_zalloc(sizeof(*wal));
    enum atls_error r = ATLS_E_NOMEM;

    if (wal == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    wal->pcr = pcr;
    wal->log_size = log_size;
    wal->before = *before;
    wal->content = OPENSSL_strdup(content);
    if (wal->content != NULL)
        r = extend_values(wal);
    if (r != ATLS_OK) {
        atls_wal_free(wal);
        return atls_fail(why, r, NULL);
    }
    *ret_wal = wal; /* transferred */
    return ATLS_OK;
}

static json_t *encode(const struct atls_wal *wal)
{
    json_t *banks = json_array();

    for (size_t i = 0; i < wal->before.count; i++) {
        const struct atls_hash *hash =
            atls_hash_by_alg(wal->before.banks[i].alg);
        char before[2 * ATLS_PCR_DIGEST_MAX + 1];
        char after[2 * ATLS_PCR_DIGEST_MAX + 1];

        atls_hex(wal->before.banks[i].value[wal->pcr], hash->len, before);
        atls_hex(wal->after.banks[i].value[wal->pcr], hash->len, after);
        if (json_array_append_new(banks, json_pack("{s:s, s:s, s:s}", "hashAlg",
                                                   hash->name, "before", before,
                                                   "after", after))
            != 0) {
            json_decref(banks);
            return NULL;
        }
    }
    return json_pack("{s:i, s:I, s:s, s:o}", "pcr", (int)wal->pcr, "log_size",
                     (json_int_t)wal->log_size, "content", wal->content,
                     "banks", banks);
}

/* Write a file anew under an unused name, then give it its own. */
static enum atls_error replace(const char *path, const char *new_path,
                               const char *text, struct atls_reason *why)
{
    enum atls_error r;
    int fd;

    fd = atls_open_file(new_path,
                        O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_NOFOLLOW,
                        WAL_MODE);
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open %s for writing: %s",
                         new_path, strerror(errno));
    r = atls_file_write(fd, new_path, 0, text, strlen(text), why);
    close(fd);
    if (r != ATLS_OK)
        return r;
    if (rename(new_path, path) < 0)
        return atls_fail(why, ATLS_E_IO, "cannot rename %s to %s: %s", new_path,
                         path, strerror(errno));
    return atls_file_sync_folder(path, why);
}

enum atls_error atls_wal_write(const char *log_path, const struct atls_wal *wal,
                               struct atls_reason *why)
{
    char *path = atls_file_path(log_path, WAL_SUFFIX);
    char *new_path = atls_file_path(log_path, NEW_SUFFIX);
    json_t *object = encode(wal);
    char *text = json_dumps(object, JSON_COMPACT);
    enum atls_error r;

    if (path == NULL || new_path == NULL || text == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    else
        r = replace(path, new_path, text, why);
    free_json_text(text);
    json_decref(object);
    OPENSSL_free(new_path);
    OPENSSL_free(path);
    return r;
}

/* One bank of a record; false for anything we never write. */
static bool decode_bank(const json_t *entry, unsigned pcr,
                        struct atls_pcr_values *before,
                        struct atls_pcr_values *after)
{
    const char *alg = json_string_value(json_object_get(entry, "hashAlg"));
    const char *old = json_string_value(json_object_get(entry, "before"));
    const char *new = json_string_value(json_object_get(entry, "after"));
    const struct atls_hash *hash = alg != NULL ? atls_hash_by_name(alg) : NULL;
    size_t i = before->count;
    size_t old_len = 0;
    size_t new_len = 0;

    if (hash == NULL || old == NULL || new == NULL || i == ATLS_BANKS_MAX)
        return false;
    before->banks[i].alg = after->banks[i].alg = hash->alg;
    before->banks[i].mask = after->banks[i].mask = UINT32_C(1) << pcr;
    before->count = after->count = i + 1;
    return atls_unhex(old, before->banks[i].value[pcr], hash->len, &old_len)
           && atls_unhex(new, after->banks[i].value[pcr], hash->len, &new_len)
           && old_len == hash->len && new_len == hash->len;
}

static enum atls_error decode(const json_t *object, const char *path,
                              struct atls_reason *why,
                              struct atls_wal **ret_wal)
{
    const char *content = json_string_value(json_object_get(object, "content"));
    json_int_t size = json_integer_value(json_object_get(object, "log_size"));
    json_int_t pcr = json_integer_value(json_object_get(object, "pcr"));
    const json_t *banks = json_object_get(object, "banks");
    struct atls_pcr_values before = {0};
    struct atls_pcr_values after = {0};
    bool is_sound;
    enum atls_error r;

    is_sound = content != NULL && atls_measured_content_is_legal(content)
               && size >= 0 && pcr >= 0 && pcr < (json_int_t)ATLS_PCR_COUNT
               && json_array_size(banks) > 0;
    for (size_t i = 0; is_sound && i < json_array_size(banks); i++)
        is_sound = decode_bank(json_array_get(banks, i), (unsigned)pcr, &before,
                               &after);
    if (is_sound) {
        r = atls_wal_new((unsigned)pcr, (uint64_t)size, content, &before, why,
                         ret_wal);
        if (r != ATLS_OK)
            return r;
        if (atls_wal_values_equal(&(*ret_wal)->after, &after, (unsigned)pcr))
            return ATLS_OK;
        atls_wal_free(*ret_wal);
        *ret_wal = NULL;
    }
    return atls_fail(why, ATLS_E_MALFORMED,
                     "%s is damaged" ATLS_MORE
                     ": nobody can tell whether its event was "
                     "measured: reboot, or remove it if the log replays",
                     path);
}

static enum atls_error read_fd(int fd, const char *path,
                               struct atls_reason *why,
                               struct atls_wal **ret_wal)
{
    uint8_t *text = NULL;
    json_t *object;
    size_t len = 0;
    enum atls_error r;

    r = atls_fd_read(fd, path, WAL_MAX, why, &text, &len);
    if (r != ATLS_OK)
        return r;
    object = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    r = decode(object, path, why, ret_wal);
    json_decref(object);
    OPENSSL_free(text);
    return r;
}

enum atls_error atls_wal_read(const char *log_path, struct atls_reason *why,
                              struct atls_wal **ret_wal)
{
    char *path = atls_file_path(log_path, WAL_SUFFIX);
    enum atls_error r = ATLS_OK;
    int fd;

    *ret_wal = NULL;
    if (path == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    fd = atls_open_file(path, O_RDONLY | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd >= 0)
        r = read_fd(fd, path, why, ret_wal);
    else if (errno != ENOENT)
        r = atls_fail(why, ATLS_E_IO, "cannot open %s: %s", path,
                      strerror(errno));
    if (fd >= 0)
        close(fd);
    OPENSSL_free(path);
    return r;
}

bool atls_wal_exists(const char *log_path)
{
    char *path = atls_file_path(log_path, WAL_SUFFIX);
    bool exists = path != NULL && access(path, F_OK) == 0;

    OPENSSL_free(path);
    return exists;
}

enum atls_error atls_wal_remove(const char *log_path, struct atls_reason *why)
{
    char *path = atls_file_path(log_path, WAL_SUFFIX);
    enum atls_error r = ATLS_OK;

    if (path == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (unlink(path) < 0)
        r = atls_fail(why, ATLS_E_IO, "cannot remove %s: %s", path,
                      strerror(errno));
    OPENSSL_free(path);
    if (r != ATLS_OK)
        return r;
    return atls_file_sync_folder(log_path, why);
}
