/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_CHECKS_H
#define ATTEST_TOOLS_CHECK_CHECKS_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attester/attester.h"
#include "tools/common/cnfscan.h"
#include "tools/common/conf.h"
#include "configuration.h"
#include "tools/check/findings.h"
#include "tools/common/peer.h"
#include "verifier/appraise.h"

struct process;

/*
 * `attest check`, in four parts that add to one list of findings. Each looks at
 * what the provider would see, through the provider's own code where there is
 * some: a second reading of the same file could differ.
 */
struct check {
    struct findings *findings;
    struct cnf_scan *scan;
    struct tool_conf *conf;
    struct atls_configuration
        configuration;    /* set by tool_check_configuration() */
    int64_t now;          /* seconds since 1970 */
    int64_t warn_seconds; /* what expires sooner is warned about */
    /* Of a process, seen from inside it: */
    bool of_process;   /* nothing that it names is loaded or run */
    bool is_elsewhere; /* its files are not this machine's: no name of a user is
                          looked up, by libraries that stand there */
    bool has_no_devices;           /* tool_sandbox_is_container() */
    const struct process *process; /* with its modules mapped, or NULL */
};

/*
 * Read the configuration at path (NULL: OPENSSL_CONF, else the system's) into
 * scan and conf. Errors as of tool_cnf_scan_file() and tool_conf_load().
 */
enum atls_error tool_check_load(struct check *check, const char *path,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/* All parts that this configuration has, in order. */
void tool_check_run(struct check *check);
void tool_check_load_and_run(struct check *check, const char *path);

/* The file: permissions, the way from openssl_conf to the sections of attest,
 * duplicates, the default provider, unknown keys, values. Returns whether it
 * names attest at all, so that there is more to look at. */
bool tool_check_configuration(struct check *check);

/* Its limits for all of TLS: a part of tool_check_configuration(). */
void tool_check_tls13(struct check *check);

/* What stands in the sections of attest: unknown keys, values. Another part. */
void tool_check_settings(struct check *check);

/* The keys of a section; NULL where there is none of that name. */
const STACK_OF(CONF_VALUE)
    * tool_check_keys_of(const struct check *check, const char *section);

/* The line of a key, 0 when the raw text does not have it. */
unsigned tool_check_line(const struct check *check, const char *section,
                         const char *key, const char **ret_file);

/* Can this user write the file of `log`? Another part of it. */
void tool_check_logging(struct check *check);
/* The same of log = syslog: is anybody there to take it? */
void tool_check_syslog(struct check *check);

/* The module and its second part: there, safe, loadable. */
void tool_check_module(struct check *check);

/* The policy of [verifier]: loads, warnings, what expires. */
void tool_check_policy(struct check *check);

/* The quoter of [attester] as this user reaches it: AK chain, TPM, AK, log. */
void tool_check_attester(struct check *check);

/* Its parts. A quoter that is an agent: the socket, and what comes out of it. */
void tool_check_agent(struct check *check, struct atls_attester *attester);

/*
 * A trial: is there evidence, does it hold by itself, and what of its measured log?
 *   log  what that is called
 *   ret_evidence, ret_report  tool_peer_evidence_clear() and atls_report_clear() them, in
 *        every case; the latter points into the former
 * False when there is nothing to look at, after a FAIL.
 */
bool tool_check_evidence(struct check *check, struct atls_attester *attester,
                         const char *log, struct peer_evidence *ret_evidence,
                         struct atls_report *ret_report);

/* AK certificate first; path: where they are from. */
void tool_check_ak_chain(struct check *check, STACK_OF(X509) * chain,
                         const char *path);

/* NULL, or why the quoter of a process is not tried: a library, a program or a
 * resolver would have to run in us. */
const char *tool_check_why_not_tried(const struct check *check);

/* The attester, without `ak_auth` where it is a process's: that is for its TPM
 * alone, not for whatever its configuration names. As of atls_attester_new(). */
enum atls_error tool_check_new_attester(
    const struct check *check, struct atls_reason *why,
    struct atls_attester **ret_attester) ATLS_MUST_CHECK;

/* What to do when there is no evidence. */
const char *tool_check_quoter_hint(enum atls_error code);

/* A program that is to be attested: would it read the configuration (C3, C4), and
 * with which OpenSSL? Runs nothing of it. */
void tool_check_program(struct check *check, const char *path);

/* ---- shared ---- */

/* A refusal of provider/ as a FAIL; what is no matter of configuration is one of
 * TPM or agent. */
void tool_check_fail(struct check *check, const char *what, const char *next,
                     const struct atls_reason *why);

/*
 * C5: who may write a file decides what it says. A file, or its folder, that
 * group or others can write is a FAIL; one of a third user's, a warning.
 * Returns false when it is not safe to use; says nothing when all is well.
 */
bool tool_check_permissions(struct check *check, const char *what,
                            const char *path);

/* The same but for the rights to the file itself. */
bool tool_check_surroundings(struct check *check, const char *what,
                             const char *path);

/* The folders above it alone: who can put something else in its place? */
bool tool_check_folders(struct check *check, const char *what,
                        const char *path);

/* The same as a question. */
bool tool_check_folders_are_safe(const char *path);

/* "www-data (33)", in this machine's names; in a root of others "user 33": names
 * there are looked up by libraries that stand there. */
#define CHECK_USER_MAX 64u
void tool_check_user(const struct check *check, uid_t uid,
                     char ret_user[CHECK_USER_MAX]);

/* Has something a time of expiry that is past (FAIL) or near (warning)? thing:
 * "section [inference]"; adds nothing when it is far. */
void tool_check_expiry(struct check *check, const char *what, const char *thing,
                       int64_t expires, const char *next);

/* Seconds since 1970; INT64_MAX for a time that cannot be read. */
int64_t tool_check_time_of(const ASN1_TIME *time);

#endif
