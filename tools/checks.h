/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECKS_H
#define ATTEST_TOOLS_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "cnfscan.h"
#include "conf.h"
#include "configuration.h"
#include "findings.h"

/*
 * `attest check`, in four parts that add to one list of findings. Each looks at
 * what the provider would see, through the provider's own code where there is
 * some: a second reading of the same file could differ.
 */
struct check {
    struct findings *findings;
    struct cnf_scan *scan;
    struct tool_conf *conf;
    struct atls_configuration configuration; /* set by check_configuration() */
    int64_t now;                             /* seconds since 1970 */
    int64_t warn_seconds; /* what expires sooner is warned about */
};

/* The file: permissions, the way from openssl_conf to the sections of attest,
 * duplicates, the default provider, unknown keys, values. Returns whether it
 * names attest at all, so that there is more to look at. */
bool check_configuration(struct check *check);

/* The module and its second part: there, safe, loadable. */
void check_module(struct check *check);

/* The policy of [verifier]: loads, warnings, what expires. */
void check_policy(struct check *check);

/* The quoter of [attester] as this user reaches it: AK chain, TPM, AK, log. */
void check_attester(struct check *check);

/* A program that is to be attested: would it read the configuration (C3, C4), and
 * with which OpenSSL? Runs nothing of it. */
void check_program(struct check *check, const char *path);

/* ---- shared ---- */

/*
 * C5: who may write a file decides what it says. A file, or its folder, that
 * group or others can write is a FAIL; one of a third user's, a warning.
 * Returns false when it is not safe to use; says nothing when all is well.
 */
bool check_permissions(struct check *check, const char *what, const char *path);

/* The same but for the rights to the file itself. */
bool check_surroundings(struct check *check, const char *what,
                        const char *path);

/* Has something a time of expiry that is past (FAIL) or near (warning)? thing:
 * "section [inference]"; adds nothing when it is far. */
void check_expiry(struct check *check, const char *what, const char *thing,
                  int64_t expires, const char *next);

/* Seconds since 1970; INT64_MAX for a time that cannot be read. */
int64_t check_time_of(const ASN1_TIME *time);

#endif
