/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_SENTENCE_H
#define ATLS_BASE_SENTENCE_H

#include <stdarg.h>
#include <stddef.h>

/*
 * One format, two sentences: the whole one for log and report, and a brief one for
 * programs that keep 120 octets for OpenSSL's error line (design, fact 12).
 *
 * The brief one is the whole one where that fits. Else it ends at ATLS_MORE, or
 * before the first "; " of the format, which is where advice begins.
 */

/* In a format: the brief sentence ends here, the whole one goes on. */
#define ATLS_MORE "\v"
/* In a format: what stands before is the brief sentence, what follows the whole
 * one. The arguments of both follow each other. */
#define ATLS_WHOLE "\f"

/*
 * Format both.
 *   fmt  as of printf(3); at most 1023 octets
 *   ret_whole, whole_size, ret_brief, brief_size
 *        room for each with its NUL; atls_sentence_fit() makes them fit
 * What is not printable ASCII becomes '?', so that a sentence is one line of a log
 * and drives no terminal. ret_* may be arguments.
 */
void atls_sentence_format(const char *fmt, va_list args, char *ret_whole,
                          size_t whole_size, char *ret_brief, size_t brief_size)
    __attribute__((format(printf, 1, 0)));

/*
 * Make a sentence shorter, in place: its longest words (paths, names, digests)
 * lose their middle first. Where that is not enough it is cut before its advice, which
 * begins with "; ", or at the end of a clause: before ", ", ": " or " (".
 *   size  octets that it may have with its NUL, at least 8
 */
void atls_sentence_fit(char *sentence, size_t size);

/*
 * The brief form of a sentence whose format is not known: itself where it fits, else
 * what stands before its first "; ", made to fit.
 *   size  octets of ret with its NUL, at least 8
 */
void atls_sentence_shorten(const char *sentence, char *ret, size_t size);

#endif
