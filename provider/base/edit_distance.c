/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/edit_distance.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* Longer words are not misspelt keys. */
#define WORD_MAX 64u
/* A third of the letters wrong is another word. */
#define NEAR(len) ((unsigned)(len) < 6 ? 1u : (unsigned)(len) / 3)

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance: insertions, deletions, substitutions and
 * swaps of neighbours, letters of either case alike. Words of at most WORD_MAX. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;
    size_t b_len = strlen(b);

    for (unsigned j = 0; j <= b_len; j++)
        last[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            int same = tolower((unsigned char)a[i - 1])
                       == tolower((unsigned char)b[j - 1]);

            row[j] = min2(min2(row[j - 1], last[j]) + 1,
                          last[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min2(row[j], before[j - 2] + 1);
        }
        spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_len];
}

void atls_suggestion_begin(struct atls_suggestion *suggestion, const char *word)
{
    *suggestion = (struct atls_suggestion){.word = word};
}

void atls_suggestion_consider(struct atls_suggestion *suggestion,
                              const char *candidate)
{
    size_t len = strlen(candidate);
    unsigned found;

    if (len > WORD_MAX || strlen(suggestion->word) > WORD_MAX)
        return;
    found = distance(suggestion->word, candidate);
    if (found > NEAR(len)
        || (suggestion->best != NULL && found >= suggestion->distance))
        return;
    suggestion->best = candidate;
    suggestion->distance = found;
}
