/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_KNOWN_H
#define ATTEST_TOOLS_CHECK_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/check/process.h"
#include "tools/check/checks.h"

/*
 * Programs that need more than a configuration of attest: they go on in clear where
 * TLS is refused (catalogue C11), lose OPENSSL_CONF on the way (C12), show no name of
 * the server (P12), or do other things that their users must know. No module can see
 * or stop that. What is known of them stands in one table in known.c, and for people
 * in attest(7).
 */

enum known_kind {
    KNOWN_CLEAR, /* goes on without TLS; of clients that verify */
    KNOWN_NAMELESS /* shows no name of the server unless it is set up to; the same */
    ,
    KNOWN_LOSES,   /* loses what OPENSSL_CONF names */
    KNOWN_CHROOTS, /* makes its first SSL_CTX after chroot(2) */
    KNOWN_RESUMES, /* of servers that prove: wants sessions of its clients */
    KNOWN_KINDS
};

/* A program that is looked at; begin with all of it zero but path. */
struct known_program {
    const char *path; /* of its file; borrowed */
    uint64_t rows;    /* of the table, see tool_known_note() */
    const struct process
        *process; /* borrowed; NULL: a file that does not run */
};

/* Note what the table has on a program's file or on a library that it maps, by its
 * path or the last part of that. */
void tool_known_note(struct known_program *program, const char *path);

/* Those of the rows that need not be said of two programs of a family: not those
 * about the environment of each. */
uint64_t tool_known_once(uint64_t rows);

/*
 * Add what is known of it as findings: what can be read (its configuration, with the
 * rights that we have now, and its environment, or ours where it does not run) as ok,
 * warning or FAIL; the rest as notes. Needs the configuration to be loaded; adds
 * nothing about a role of attest that it does not have.
 */
void tool_known_report(struct check *check,
                       const struct known_program *program);

/* What to do about a kind, of a process's program; NULL where nothing is known. */
const char *tool_known_advice(const struct process *process,
                              enum known_kind kind);

#endif
