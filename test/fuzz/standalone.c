/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/standalone.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/vectors.h"

#define ROUNDS 20000

void fuzz_check(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "fuzz: %s\n", what);
        abort();
    }
}

static void read_seed(const struct fuzz_seed *seed, struct vector *ret)
{
    const char *file = seed->file != NULL ? seed->file : "evidence.txt";

    if (!vector_list(file, seed->section, seed->key, seed->index, ret))
        errx(1, "no %s in [%s]", seed->key, seed->section);
}

static void write_seeds(const char *folder, const struct fuzz_seed *seeds,
                        size_t seed_count)
{
    static struct vector seed;
    char path[1024];

    for (size_t i = 0; i < seed_count; i++) {
        FILE *out;

        read_seed(&seeds[i], &seed);
        snprintf(path, sizeof(path), "%s/%s-%s-%zu", folder, seeds[i].section,
                 seeds[i].key, seeds[i].index);
        out = fopen(path, "wb");
        if (out == NULL || fwrite(seed.data, 1, seed.len, out) != seed.len
            || fclose(out) != 0)
            err(1, "%s", path);
    }
}

static void run_file(const char *path)
{
    size_t len = 0;
    uint8_t *data = vector_file(path, &len);

    if (data == NULL)
        err(1, "%s", path);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
}

static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u;

    /* xorshift32, Marsaglia 2003. */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Replace an octet, take some out, or put some in. */
static size_t change(uint8_t *data, size_t len, size_t size)
{
    static const uint8_t special[] = {0x00, 0x01, 0x17, 0x18, 0x1b, 0x40,
                                      0x5b, 0x7f, 0x80, 0x9f, 0xa0, 0xff};
    size_t at = next_random() % len;
    size_t count = 1 + next_random() % 8;

    switch (next_random() % 4) {
    case 0:
        data[at] = special[next_random() % sizeof(special)];
        return len;
    case 1:
        data[at] ^= (uint8_t)(1u << next_random() % 8);
        return len;
    case 2:
        if (len + count > size)
            return len;
        memmove(data + at + count, data + at, len - at);
        return len + count;
    default:
        if (len - at <= count)
            return at > 0 ? at : len;
        memmove(data + at, data + at + count, len - at - count);
        return len - count;
    }
}

static void run_changed_seeds(const struct fuzz_seed *seeds, size_t seed_count)
{
    static struct vector seed;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t *exact;

        read_seed(&seeds[round % seed_count], &seed);
        for (unsigned i = next_random() % 4; i > 0; i--)
            seed.len = change(seed.data, seed.len, sizeof(seed.data));
        exact = malloc(seed.len);
        if (exact == NULL)
            err(1, "malloc");
        memcpy(exact, seed.data, seed.len);
        LLVMFuzzerTestOneInput(exact, seed.len);
        free(exact);
    }
}

int fuzz_standalone(int argc, char **argv, const struct fuzz_seed *seeds,
                    size_t seed_count)
{
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        write_seeds(argv[2], seeds, seed_count);
        return EXIT_SUCCESS;
    }
    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    if (argc < 2)
        run_changed_seeds(seeds, seed_count);
    return EXIT_SUCCESS;
}
