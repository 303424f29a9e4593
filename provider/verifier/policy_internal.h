/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_POLICY_INTERNAL_H
#define ATLS_VERIFIER_POLICY_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "base/scanner.h"
#include "verifier/section.h"

/*
 * What the files policy*.c share and nobody else sees.
 *   policy.c           what was loaded: its files, warnings and sections
 *   policy_load.c      loading, references between sections
 *   policy_section.c   a section and its references: their keys in turn, what they
 *                      must have
 *   policy_apply.c     a key: its lookup, its value, file and line of a refusal
 *   policy_keys.c      the keys of a section that describes peers
 *   policy_reference.c `reference`, and which sections it names
 *   policy_servers.c   the keys of [policy]
 *   policy_values.c    what stands behind '=': words, numbers, lists, times
 *   policy_trust.c     trust anchors
 *   policy_crl.c       CRLs of their issuers
 *   policy_bootlog.c   boot logs of good machines
 *   policy_match.c     which section a peer falls under
 *   policy_warnings.c  what is legal and probably not meant
 */

enum atls_nameless {
    ATLS_NAMELESS_OTHERWISE = 0, /* not given: as every unnamed peer */
    ATLS_NAMELESS_REFUSE,
    ATLS_NAMELESS_OFF,
    ATLS_NAMELESS_SECTION
};

struct atls_policy_warning {
    struct atls_policy_warning *next;
    struct atls_reason reason; /* its text */
};

/* A boot log and the octets it points into. */
struct atls_policy_boot_log {
    struct atls_policy_boot_log *next;
    struct atls_boot_log log;
    uint8_t octets[];
};

/* Written by the loader, read-only afterwards but for the count. */
struct atls_policy {
    atomic_uint references;
    struct atls_file *files; /* without text; the first is the policy itself */
    size_t section_count;
    struct atls_section *sections;
    size_t server_count;
    const struct atls_section **servers; /* in the order of `servers` */
    enum atls_mode otherwise;
    enum atls_nameless nameless;
    const struct atls_section *nameless_section;
    struct atls_policy_warning *warnings;
    struct atls_policy_boot_log *boot_logs; /* of sections and references */
};

/* Name of the section that says which of the others apply. */
#define ATLS_POLICY_SECTION "policy"

struct atls_policy_loader {
    struct atls_policy *policy;
    struct atls_scan scan;
    struct atls_section *section;     /* being filled; NULL for [policy] */
    struct atls_reference *reference; /* of it, being filled; or NULL */
    size_t item_count; /* of the value in hand, if it is a list */
    char **items;      /* one block */
    bool warning_lost; /* no memory for it */
    struct atls_reason *why;
};

enum atls_policy_form {
    ATLS_FORM_WORD, /* the value as a whole */
    ATLS_FORM_LIST  /* loader->items */
};

/* A key, and what fills the section (or, in [policy], the policy) with it. */
struct atls_policy_key {
    const char *name; /* one that ends with '.' is a family: pcr.0, pcr.1 ... */
    enum atls_policy_form form;
    enum atls_error (*set)(struct atls_policy_loader *loader,
                           const struct atls_scan_pair *pair);
};

/* policy_keys.c: the keys of a section that describes peers, up to a NULL name.
 * The setters give reasons without file, line and key. */
extern const struct atls_policy_key atls_policy_section_keys[];
/* Those of them that a reference may hold; the setters fill loader->reference
 * where there is one, else loader->section. */
extern const struct atls_policy_key atls_policy_reference_keys[];

/* policy_section.c */

/* Fill loader->section. Reasons say file and line. */
enum atls_error atls_policy_fill_section(
    struct atls_policy_loader *loader,
    const struct atls_scan_section *scanned) ATLS_MUST_CHECK;

/* policy_apply.c */

/* NULL when there is no such key. */
const struct atls_policy_key *atls_policy_find_key(
    const struct atls_policy_key *keys, const char *name);

/* Look a key up, split its value, set it. The reason says file, line and key. */
enum atls_error atls_policy_apply(
    struct atls_policy_loader *loader, const struct atls_policy_key *keys,
    const struct atls_scan_pair *pair) ATLS_MUST_CHECK;

/* Hand r on; the reason of a refusal then says file and line of the section. */
enum atls_error atls_policy_locate(const struct atls_policy_loader *loader,
                                   const struct atls_scan_section *scanned,
                                   enum atls_error r) ATLS_MUST_CHECK;

/* Setter of a key whose feature this version lacks. */
enum atls_error atls_policy_set_unsupported(struct atls_policy_loader *loader,
                                            const struct atls_scan_pair *pair)
    ATLS_MUST_CHECK;

/* policy_reference.c */

/* Setter of `reference`: the names only, as the bank may stand below it. */
enum atls_error atls_policy_set_reference(struct atls_policy_loader *loader,
                                          const struct atls_scan_pair *pair)
    ATLS_MUST_CHECK;

/* The section of that name as it stands in the files; NULL: none. */
const struct atls_scan_section *atls_policy_find_scanned(
    const struct atls_scan *scan, const char *name);

/* Does the `reference` of any section name this one? Then it describes no peers. */
bool atls_policy_is_reference(const struct atls_scan *scan, const char *name);

/* Was it read for any section? */
bool atls_policy_reference_is_used(const struct atls_policy *policy,
                                   const char *name);

/* policy_servers.c: [policy], once all other sections are filled. */
enum atls_error atls_policy_fill_policy(struct atls_policy_loader *loader,
                                        const struct atls_scan_section *scanned)
    ATLS_MUST_CHECK;

/* A word that may stand behind a key, and what it means. */
struct atls_policy_choice {
    const char *word;
    int meaning;
};

/* policy_values.c */

/*
 * Look a word up, in exactly that spelling.
 *   choices   ended by a NULL word
 *   expected  the words as the reason lists them
 */
enum atls_error atls_policy_parse_choice(
    const char *value, const struct atls_policy_choice *choices,
    const char *expected, struct atls_reason *why,
    int *ret_meaning) ATLS_MUST_CHECK;

enum atls_error atls_policy_parse_mode(
    const char *value, struct atls_reason *why,
    enum atls_mode *ret_mode) ATLS_MUST_CHECK;

/* Decimal digits without sign, blanks and leading zeros, min..max. */
bool atls_policy_parse_number(const char *text, unsigned min, unsigned max,
                              unsigned *ret_number);

/* Exactly len octets in hex. */
bool atls_policy_parse_hex(const char *text, uint8_t *ret, size_t len);

/* "sha256:" and the hash in hex. */
bool atls_policy_parse_sha256(const char *text, uint8_t ret[ATLS_SHA256_LEN]);

/* RFC 3339 in UTC and seconds: 2027-06-30T00:00:00Z. From 1970 on. */
bool atls_policy_parse_time(const char *text, int64_t *ret_seconds);

/* An entry of `machines`; brings hex to lower case. */
bool atls_policy_normalise_machine(char *text);

/* Is it an item of the list, which need not be a legal one? */
bool atls_policy_list_has(const char *value, const char *item);

/*
 * Split a list at blanks and commas.
 *   ret_items  one block, OPENSSL_free() it; at least one item, none empty
 */
enum atls_error atls_policy_parse_list(const char *value,
                                       struct atls_reason *why,
                                       size_t *ret_count,
                                       char ***ret_items) ATLS_MUST_CHECK;

/*
 * policy_trust.c: a store of the certificates of a PEM text, each of them an
 * anchor whether it is self-signed or not. Borrows text; the caller frees
 * *ret_store. Leaves entries in the OpenSSL error queue.
 */
enum atls_error atls_policy_parse_trust(const struct atls_file *file,
                                        struct atls_reason *why,
                                        X509_STORE **ret_store) ATLS_MUST_CHECK;

/* policy_crl.c: setter of `crl`, after that of `trust`: the CRLs of a file, in
 * PEM or one in DER, go into loader->section's store if there is one. */
enum atls_error atls_policy_set_crl(struct atls_policy_loader *loader,
                                    const struct atls_scan_pair *pair)
    ATLS_MUST_CHECK;

/* policy_bootlog.c: setter of `boot_log`, of a section or, where
 * loader->reference is set, of that; the section's bank is known. */
enum atls_error atls_policy_set_boot_log(struct atls_policy_loader *loader,
                                         const struct atls_scan_pair *pair)
    ATLS_MUST_CHECK;

/* policy_warnings.c: all warnings; now in seconds since 1970. */
void atls_policy_warn(struct atls_policy_loader *loader, int64_t now);

#endif
