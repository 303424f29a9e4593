/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_FUZZ_STANDALONE_H
#define ATLS_FUZZ_STANDALONE_H

#include <stddef.h>
#include <stdint.h>

/*
 * What the fuzz targets of the evidence share; linked into each, whatever runs
 * it, together with lib/vectors.c.
 */

/* The target of libFuzzer, AFL++ and the program below. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Abort with a word on stderr unless is_true: how fuzzers learn of it. */
void fuzz_check(int is_true, const char *what);

/* A value of test/vectors/, or one of a list of values by its index. */
struct fuzz_seed {
    const char *section;
    const char *key;
    size_t index;
    const char *file; /* NULL: evidence.txt */
};

/*
 * A target as a program of its own, for compilers without libFuzzer:
 *   PROGRAM FILE...         runs these inputs (a corpus, a crash)
 *   PROGRAM --seeds FOLDER  writes the seeds there, to begin a corpus with
 *   PROGRAM                 runs the seeds and changes of them, always the same
 * Returns an exit status.
 */
int fuzz_standalone(int argc, char **argv, const struct fuzz_seed *seeds,
                    size_t seed_count);

#endif
