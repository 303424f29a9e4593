/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

#define FILES_MAX 8

/* Not an assertion of Check: fuzzers read vectors too. */
static void need(int is_true, const char *what, const char *name)
{
    if (!is_true) {
        fprintf(stderr, "test vectors: %s: %s\n", name, what);
        abort();
    }
}

uint8_t *vector_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t len = 0;
    size_t got;

    if (file == NULL)
        return NULL;
    do {
        data = realloc(data, len + 4096);
        need(data != NULL, "out of memory", path);
        got = fread(data + len, 1, 4096, file);
        len += got;
    } while (got > 0);
    fclose(file);
    *ret_len = len;
    return data;
}

/* The text of a vector file, read once. */
static const char *file_text(const char *name)
{
    static struct {
        char name[64];
        char *text;
    } cache[FILES_MAX];
    const char *srcdir = getenv("srcdir");
    char path[1024];
    size_t len;
    size_t i = 0;

    while (i < FILES_MAX && cache[i].text != NULL) {
        if (strcmp(cache[i].name, name) == 0)
            return cache[i].text;
        i++;
    }
    need(i < FILES_MAX, "one file too many", name);
    snprintf(path, sizeof(path), "%s/test/vectors/%s",
             srcdir != NULL ? srcdir : ".", name);
    cache[i].text = (char *)vector_file(path, &len);
    need(cache[i].text != NULL, "cannot read it", path);
    cache[i].text = realloc(cache[i].text, len + 1);
    need(cache[i].text != NULL, "out of memory", path);
    cache[i].text[len] = '\0';
    snprintf(cache[i].name, sizeof(cache[i].name), "%s", name);
    return cache[i].text;
}

/* Where the value begins, within the file's text; its length in *ret_len. */
static const char *find(const char *file, const char *section, const char *key,
                        size_t *ret_len)
{
    char wanted[128];
    char prefix[128];
    int is_inside = 0;

    snprintf(wanted, sizeof(wanted), "[%s]", section);
    snprintf(prefix, sizeof(prefix), "%s =", key);
    for (const char *line = file_text(file); *line != '\0';) {
        size_t len = strcspn(line, "\n");

        if (line[0] == '[')
            is_inside =
                len == strlen(wanted) && strncmp(line, wanted, len) == 0;
        if (is_inside && strncmp(line, prefix, strlen(prefix)) == 0) {
            const char *value = line + strlen(prefix);

            value += *value == ' ';
            *ret_len = len - (size_t)(value - line);
            return value;
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

const char *vector_text(const char *file, const char *section, const char *key)
{
    static char *kept[64];
    static size_t kept_count;
    size_t len;
    const char *value = find(file, section, key, &len);

    if (value == NULL)
        return NULL;
    kept_count %= sizeof(kept) / sizeof(kept[0]);
    free(kept[kept_count]);
    kept[kept_count] = strndup(value, len);
    need(kept[kept_count] != NULL, "out of memory", key);
    return kept[kept_count++];
}

static void unhex(const char *name, const char *hex, size_t len,
                  struct vector *ret)
{
    char *text = strndup(hex, len);

    need(text != NULL, "out of memory", name);
    need(atls_unhex(text, ret->data, sizeof(ret->data), &ret->len), "no hex",
         name);
    free(text);
}

void vector_octets(const char *file, const char *section, const char *key,
                   struct vector *ret)
{
    size_t len;
    const char *value = find(file, section, key, &len);

    need(value != NULL, "no such key", key);
    unhex(key, value, len, ret);
}

int vector_list(const char *file, const char *section, const char *key,
                size_t index, struct vector *ret)
{
    size_t len;
    const char *value = find(file, section, key, &len);
    const char *end;

    need(value != NULL, "no such key", key);
    end = value + len;
    for (; index > 0; index--) {
        value += strcspn(value, " \n");
        if (value >= end)
            return 0;
        value++;
    }
    if (value >= end)
        return 0;
    unhex(key, value, strcspn(value, " \n"), ret);
    return 1;
}

uint64_t vector_number(const char *file, const char *section, const char *key)
{
    const char *value = vector_text(file, section, key);

    need(value != NULL, "no such key", key);
    return strtoull(value, NULL, 10);
}
