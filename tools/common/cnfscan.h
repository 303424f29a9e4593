/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_CNFSCAN_H
#define ATTEST_TOOLS_COMMON_CNFSCAN_H

#include <stddef.h>

#include "base/error.h"

/*
 * What OpenSSL's parser forgets of an openssl.cnf: it keeps the last of two equal
 * keys, merges equal sections, skips a missing `.include` and keeps no line
 * numbers. The parser itself reads each line here, so that both see the same
 * sections and keys. Values are not kept; see conf.h for them.
 * Source: config(5); crypto/conf/conf_def.c of OpenSSL 3.0.
 */

/* Octets of one file, depth and number of included files. */
#define CNF_FILE_MAX (1024u * 1024u)
#define CNF_DEPTH_MAX 10u
#define CNF_FILES_MAX 256u

enum cnf_kind {
    CNF_FILE,    /* a file begins; section and key "" */
    CNF_SECTION, /* [section] */
    CNF_KEY,     /* section and key; "default" before the first section */
    CNF_INCLUDE_MISSING, /* key: the path that cannot be read; OpenSSL goes on */
    CNF_INCLUDE_OPAQUE   /* key: the path, which has a variable: not followed */
};

struct cnf_entry {
    enum cnf_kind kind;
    const char *file; /* belongs to the scan */
    unsigned line;    /* where it begins, from 1 */
    char *section;
    char *key;
};

/* In the order in which OpenSSL reads them. */
struct cnf_scan {
    size_t count;
    struct cnf_entry *entries;
    size_t file_count;
    char *files[CNF_FILES_MAX];
};

/*
 * Scan a file and what it includes.
 *   ret_scan  set only on success; tool_cnf_scan_free() it
 * Returns ATLS_OK, ATLS_E_IO (not a readable regular file), ATLS_E_LIMIT (too
 * large, too deep or too many files), ATLS_E_CONFIG (an include that is no regular
 * file, at which OpenSSL might never return), ATLS_E_NOMEM. A line that OpenSSL
 * refuses is skipped: tool_conf_load() reports it.
 */
enum atls_error tool_cnf_scan_file(const char *path, struct atls_reason *why,
                                   struct cnf_scan **ret_scan) ATLS_MUST_CHECK;
void tool_cnf_scan_free(struct cnf_scan *scan); /* NULL is fine */

/* The entry that OpenSSL uses: the last one with that section and key (key
 * NULL: the first header of the section). NULL if there is none. */
const struct cnf_entry *tool_cnf_scan_find(const struct cnf_scan *scan,
                                           const char *section,
                                           const char *key);

#endif
