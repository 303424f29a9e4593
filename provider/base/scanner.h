/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_SCANNER_H
#define ATLS_BASE_SCANNER_H

#include <stddef.h>

#include "base/error.h"
#include "base/file.h"

/*
 * The syntax of the policy file, a strict subset of OpenSSL's config(5):
 *
 *     # comment                 to the end of the line, also after a value
 *     [section]                 letters, digits, '_', '-', '.'
 *     key = value               or "value" or 'value', quoted as a whole
 *     .include file             or: .include = file
 *
 * What NCONF lets pass is refused here: equal keys and equal sections (it keeps
 * the last, and joins), keys outside of a section, `$` and `\`, empty values,
 * a missing include, control characters. An included file continues the
 * section it is named in; when it began sections of its own, none is open
 * after it. Source: design "Configuration"; attest-policy.cnf(5).
 */

#define ATLS_SCAN_LINE_MAX 16384u /* octets of a line */
#define ATLS_SCAN_FILES_MAX 64u   /* the first one and all inclusions */
#define ATLS_SCAN_DEPTH_MAX 8u    /* files that include each other */
#define ATLS_SCAN_SECTIONS_MAX 256u
#define ATLS_SCAN_PAIRS_MAX 1024u /* keys of a section */

/* key and value point into the text of a file of the scan. */
struct atls_scan_pair {
    const char *key;
    const char *value; /* never empty */
    const struct atls_file *file;
    unsigned line;
};

struct atls_scan_section {
    const char *name;
    const struct atls_file *file;
    unsigned line;
    size_t pair_count;
    struct atls_scan_pair *pairs;
};

/* Sections in the order of the file; every name and every key once. */
struct atls_scan {
    struct atls_file *files; /* the first one is the file itself */
    size_t section_count;
    struct atls_scan_section *sections;
};

/*
 * Read a file and what it includes.
 *   why       on failure "FILE:LINE: what is wrong"
 *   ret_scan  set only on success; atls_scan_clear() it
 * Returns ATLS_OK, ATLS_E_POLICY (syntax), ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error atls_scan_read(const char *path, struct atls_reason *why,
                               struct atls_scan *ret_scan) ATLS_MUST_CHECK;
void atls_scan_clear(struct atls_scan *scan);

/* NULL when the section does not have the key. */
const struct atls_scan_pair *atls_scan_find(
    const struct atls_scan_section *section, const char *key);

#endif
