/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_POLICY_H
#define ATLS_VERIFIER_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "verifier/section.h"

/*
 * The policy file: our own strict scanner and what it yields. Immutable once
 * loaded and shared by reference count, so that a handshake keeps the snapshot
 * it began with. Source: design "Configuration"; attest-policy.cnf(5).
 */

struct atls_policy;

/*
 * Load a policy file with everything it names (trust anchors, includes).
 *   path  of the file; relative paths inside are relative to the file they
 *         stand in
 *   why   on failure "FILE:LINE: KEY: what is wrong and what would be right"
 *   ret_policy  set only on success; atls_policy_unref() it
 * What it yields stood in all its files at one moment; files that are replaced
 * during the reading are read again.
 * Any unknown or duplicate key or section, empty list, bad number, unreadable
 * file, `$`, key before the first section, or a require section that demands
 * nothing makes the whole file invalid: ATLS_E_POLICY, ATLS_E_IO or
 * ATLS_E_NOMEM. Keys whose feature this version lacks (freshness other than
 * live, proof, tls_key = tpm, clients, resumption above 0) are refused by name
 * and say so.
 */
enum atls_error atls_policy_load(const char *path, struct atls_reason *why,
                                 struct atls_policy **ret_policy)
    ATLS_MUST_CHECK;

struct atls_policy *atls_policy_ref(struct atls_policy *policy);
void atls_policy_unref(struct atls_policy *policy); /* NULL is fine */

/* The path it was loaded from. */
const char *atls_policy_path(const struct atls_policy *policy);

/* The files it was read from, itself and what it includes or names; NULL behind
 * the last one. */
const char *atls_policy_file(const struct atls_policy *policy, size_t index);

/*
 * What has become of the files it was loaded from, includes and trust anchors too?
 * ATLS_FILE_GONE when one cannot be looked at, as after a chroot: errno of the first;
 * else ATLS_FILE_CHANGED when one was replaced or written to, or its rights were
 * changed.
 */
enum atls_file_state atls_policy_look(const struct atls_policy *policy);

/* Remarks that do not make it invalid, each one line with file and line: no
 * boot PCRs beside components, machines = any without tls_key = tpm, expires
 * soon or has expired, so does a CRL, an anchor has expired, a file that others
 * can write, nothing ever verified.
 * index from 0; NULL after the last. */
const char *atls_policy_warning(const struct atls_policy *policy, size_t index);

/* What such a remark is about: ATLS_E_IO a file that others can write,
 * ATLS_E_EXPIRED a time of expiry, ATLS_E_CHAIN_CRL a CRL past its nextUpdate,
 * ATLS_E_POLICY all else, a CRL that soon will be included; ATLS_OK after the
 * last. */
enum atls_error atls_policy_warning_code(const struct atls_policy *policy,
                                         size_t index);

/* Sections in the order of the file, by index from 0 (NULL after the last) and
 * by name (NULL if none); for tools. */
const struct atls_section *atls_policy_section(const struct atls_policy *policy,
                                               size_t index);
const struct atls_section *atls_policy_find(const struct atls_policy *policy,
                                            const char *name);

/* How many different require sections one server can meet by several names. */
#define ATLS_MATCH_MAX 4u

/*
 * What the policy says of one server.
 *   mode      the strictest over all its names; ATLS_MODE_REQUIRE without a
 *             section means: refuse, for the reason given
 *   sections  those of that mode that matched, each once, all must be met;
 *             none when `otherwise` decided
 *   found_by  index of the name that each was found by, or ATLS_MATCH_NAMELESS
 *   refusal   ATLS_OK; or why the peer is refused before evidence:
 *             ATLS_E_NAMELESS, ATLS_E_UNNAMED
 */
struct atls_match {
    enum atls_mode mode;
    size_t count;
    const struct atls_section *sections[ATLS_MATCH_MAX];
    size_t found_by[ATLS_MATCH_MAX];
    enum atls_error refusal;
};

/* No name is known, and `nameless` decided. */
#define ATLS_MATCH_NAMELESS SIZE_MAX

/*
 * Find the sections for a server (we are the TLS client).
 *   names  names and addresses it goes by, count of them
 * For each host name the first section of `servers` that matches, else `otherwise`;
 * the strictest mode over all names wins. Every connection shows some address: one
 * that no section lists is no name, and neither is what is no valid host name.
 * Peers without any, or with one that is none beside others, are what `nameless`
 * says, else `otherwise`. otherwise = observe
 * matches with no section. Pure and thread-safe; cannot fail
 * (more than ATLS_MATCH_MAX sections is ATLS_MODE_REQUIRE with refusal
 * ATLS_E_LIMIT).
 */
void atls_policy_match_server(const struct atls_policy *policy,
                              const char *const *names, size_t count,
                              struct atls_match *ret_match);

#endif
