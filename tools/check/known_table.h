/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_KNOWN_TABLE_H
#define ATTEST_TOOLS_CHECK_KNOWN_TABLE_H

#include <stddef.h>

/* What is known of programs: one row for each behaviour, with what its user
 * has to set. No other code names a program. */

enum known_kind {
    KNOWN_CLEAR, /* goes on without TLS; of clients that verify */
    KNOWN_NAMELESS, /* shows no name of the server unless it is set up to; the same */
    KNOWN_LOSES,   /* loses what OPENSSL_CONF names */
    KNOWN_CHROOTS, /* makes its first SSL_CTX after chroot(2) */
    KNOWN_RESUMES, /* of servers that prove: wants sessions of its clients */
    KNOWN_KINDS
};

/* Where a program's setting can be read. */
struct known_setting {
    const char *key; /* NULL: nowhere */
    /* Its value is right if it has one of them, or one with `=` and more behind it;
     * "*": whatever it is. */
    const char *words;
    /* NULL: a variable of the environment; "": attest's section in openssl.cnf. */
    const char *file;
    const char *folder_variable; /* names the folder of `file`; or NULL */
};

struct known_row {
    const char *programs; /* last parts of paths, without version numbers */
    enum known_kind kind;
    const char *does;
    const char *next;
    struct known_setting setting;
};

#define KNOWN_ROWS_MAX 64u /* bits of struct known_program */
extern const struct known_row tool_known_table[];
extern const size_t tool_known_table_count;

#endif
