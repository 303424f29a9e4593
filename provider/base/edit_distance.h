/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_EDIT_DISTANCE_H
#define ATLS_BASE_EDIT_DISTANCE_H

/* "Did you mean": the nearest of some words, if any is near. */
struct atls_suggestion {
    const char *word;  /* what was written; borrowed */
    const char *best;  /* nearest so far, or NULL; borrowed */
    unsigned distance; /* of best */
};

void atls_suggestion_begin(struct atls_suggestion *suggestion,
                           const char *word);
/* Look at one candidate; the first of equally near ones stays. */
void atls_suggestion_consider(struct atls_suggestion *suggestion,
                              const char *candidate);

#endif
