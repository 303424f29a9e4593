/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_SUGGEST_H
#define ATTEST_TOOLS_SUGGEST_H

/* "Did you mean": the nearest of some words, if any is near. */
struct suggestion {
    const char *word;  /* what was written; borrowed */
    const char *best;  /* nearest so far, or NULL; borrowed */
    unsigned distance; /* of best */
};

void suggestion_begin(struct suggestion *suggestion, const char *word);
/* Look at one candidate; the first of equally near ones stays. */
void suggestion_consider(struct suggestion *suggestion, const char *candidate);

#endif
