/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_KNOWN_H
#define ATTEST_TOOLS_CHECK_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/check/process.h"
#include "tools/check/checks.h"
#include "tools/check/known_table.h"

/* Programs that need more than a configuration of attest: they go on in clear
 * where TLS is refused (catalogue C11), lose OPENSSL_CONF on the way (C12),
 * show no name of the server (P12), or do other things that their users must
 * know. No module can see or stop that. known_table.c lists them for the
 * command, attest(7) for users. */

/* A program to check; all zero at first but path. */
struct known_program {
    const char *path; /* of its file; borrowed */
    uint64_t rows;    /* of the table, see tool_known_note() */
    const struct process
        *process; /* borrowed; NULL: a file that does not run */
};

/* Add to program->rows the rows for a program's file or a library that it
 * maps, by path or last part. */
void tool_known_note(struct known_program *program, const char *path);

/* The rows that need one report for a family of programs: not those about a
 * process's environment. */
uint64_t tool_known_once(uint64_t rows);

/* Add what is known of it as findings: ok, warning or FAIL for what can be
 * read (its configuration file, with our rights now, and its environment, or
 * ours if it does not run), notes for the rest. The configuration must be
 * loaded; a role that it lacks adds nothing. */
void tool_known_report(struct check *check,
                       const struct known_program *program);

/* What to do about a kind of row of a process's program (static); NULL if the
 * table has none. */
const char *tool_known_advice(const struct process *process,
                              enum known_kind kind);

#endif
