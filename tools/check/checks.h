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

/* `attest check`, in four parts that add to one list of findings. Each uses
 * the provider's own code where there is some: a second reading of the same
 * file could differ. */
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

/* Read the configuration at path (NULL: OPENSSL_CONF, else the system's) into
 * scan and conf. Returns the errors of tool_cnf_scan_file() and
 * tool_conf_load(). */
enum atls_error tool_check_load(struct check *check, const char *path,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/* Run all parts that this configuration has, in order. */
void tool_check_run(struct check *check);

/* Load the configuration and run all parts; a file that cannot be loaded is a
 * FAIL. */
void tool_check_load_and_run(struct check *check, const char *path);

/* Check the file: permissions, the way from openssl_conf to the sections of
 * attest, duplicates, the default provider, unknown keys, values. Returns
 * whether it names attest, so that the other parts have something to check. */
bool tool_check_configuration(struct check *check);

/* Check its limits for all of TLS; a part of tool_check_configuration(). */
void tool_check_tls13(struct check *check);

/* Check the sections of attest: unknown keys, values. Another part. */
void tool_check_settings(struct check *check);

/* The keys of a section; NULL if there is no such section. */
const STACK_OF(CONF_VALUE)
    * tool_check_keys_of(const struct check *check, const char *section);

/* The line of a key, and its file; 0 when the scan has no such key. */
unsigned tool_check_line(const struct check *check, const char *section,
                         const char *key, const char **ret_file);

/* Can this user write the file of `log`? Another part of it. */
void tool_check_logging(struct check *check);
/* The same for log = syslog: does a daemon receive it? */
void tool_check_syslog(struct check *check);

/* Check the module and its second part: present, safe, loadable. */
void tool_check_module(struct check *check);

/* Check the policy of [verifier]: it loads, its warnings, what expires. */
void tool_check_policy(struct check *check);

/* Check the quoter of [attester] with this user's rights: AK chain, TPM, AK,
 * log. */
void tool_check_attester(struct check *check);

/* A part of it. A quoter that is an agent: the socket, and the evidence it
 * gives. */
void tool_check_agent(struct check *check, struct atls_attester *attester);

/*
 * Make evidence and check it by itself, with its measured log.
 *   log  the log's name in findings
 *   ret_evidence, ret_report  always initialised: tool_peer_evidence_clear() and
 *        atls_report_clear() them; the report points into the evidence
 * Returns false, after a FAIL, when there is no evidence.
 */
bool tool_check_evidence(struct check *check, struct atls_attester *attester,
                         const char *log, struct peer_evidence *ret_evidence,
                         struct atls_report *ret_report);

/* Check an AK chain, AK certificate first, that was read from path. */
void tool_check_ak_chain(struct check *check, STACK_OF(X509) * chain,
                         const char *path);

/* Why a process's quoter is not tried (static): it would run a library, a
 * program or a resolver inside this command. NULL: it can be tried. */
const char *tool_check_why_not_tried(const struct check *check);

/* Make the attester. That of a process gets no `ak_auth`, which is for the
 * process's own TPM and for nothing that its configuration names. Returns as
 * atls_attester_new(). */
enum atls_error tool_check_new_attester(
    const struct check *check, struct atls_reason *why,
    struct atls_attester **ret_attester) ATLS_MUST_CHECK;

/* What to do when there is no evidence (static). */
const char *tool_check_quoter_hint(enum atls_error code);

/* Check a program that is to be attested: would it read the configuration (C3,
 * C4), and with which OpenSSL? Executes nothing of it. */
void tool_check_program(struct check *check, const char *path);

/* ---- shared ---- */

/* Add a refusal of provider/ as a FAIL, one of TPM or agent unless it is of
 * the configuration. */
void tool_check_fail(struct check *check, const char *what, const char *next,
                     const struct atls_reason *why);

/* C5: a user who can write a file decides what it says. A file or folder that
 * group or others can write is a FAIL; one that a third user owns, a warning.
 * Returns false, after a finding, when it is not safe to use. */
bool tool_check_permissions(struct check *check, const char *what,
                            const char *path);

/* The same without the mode of the file itself. */
bool tool_check_surroundings(struct check *check, const char *what,
                             const char *path);

/* The same of the folders above it alone: can others replace the file? */
bool tool_check_folders(struct check *check, const char *what,
                        const char *path);

/* The same without a finding. */
bool tool_check_folders_are_safe(const char *path);

/* The user as "www-data (33)" or "user 33". Names are not looked up in another
 * root: the libraries that would do it are another system's. */
#define CHECK_USER_MAX 64u
void tool_check_user(const struct check *check, uid_t uid,
                     char ret_user[CHECK_USER_MAX]);

/*
 * Add a FAIL for what has expired and a warning for what will soon.
 *   thing    what expires, such as "section [inference]"
 *   expires  seconds since 1970
 */
void tool_check_expiry(struct check *check, const char *what, const char *thing,
                       int64_t expires, const char *next);

/* Seconds since 1970; INT64_MAX for a time that cannot be read. */
int64_t tool_check_time_of(const ASN1_TIME *time);

#endif
