/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/policy/differences.h"
#include "verifier/certificate.h"
#include "verifier/policy.h"
#include "verifier/report.h"
#include "base/scanner.h"

#define SEPARATORS " \t,"

/* ---- values ---- */

/* Is an item, len octets, among those of a list? */
static bool has_item(const char *list, const char *item, size_t len)
{
    while (*(list += strspn(list, SEPARATORS)) != '\0') {
        size_t found = strcspn(list, SEPARATORS);

        if (found == len && memcmp(list, item, len) == 0)
            return true;
        list += found;
    }
    return false;
}

/* The first item of a list that another lacks, NULL when it lacks none. */
static const char *first_missing(const char *list, const char *in,
                                 size_t *ret_len)
{
    while (*(list += strspn(list, SEPARATORS)) != '\0') {
        *ret_len = strcspn(list, SEPARATORS);
        if (!has_item(in, list, *ret_len))
            return list;
        list += *ret_len;
    }
    return NULL;
}

/* The whole list in new memory; NULL when out of memory. */
static char *items_missing(const char *list, const char *in)
{
    char *missing = NULL;
    size_t room = 0, len = 0;
    FILE *out = open_memstream(&missing, &room);
    const char *item = list;

    if (out == NULL)
        return NULL;
    while ((item = first_missing(item, in, &len)) != NULL) {
        fprintf(out, "%s%.*s", ftell(out) > 0 ? " " : "", (int)len, item);
        item += len;
    }
    fclose(out);
    return missing;
}

/* "[lab] pcr.4 (boot loader and kernel)" */
static void name_key(const char *section, const char *key, char *ret,
                     size_t size)
{
    const char *about = "";

    if (strncmp(key, "pcr.", 4) == 0)
        about = atls_pcr_name((unsigned)strtoul(key + 4, NULL, 10));
    snprintf(ret, size, "[%s] %s%s%s%s", section, key,
             *about != '\0' ? " (" : "", about, *about != '\0' ? ")" : "");
}

/* The order of a list does not matter, except of `servers`, where the first
 * match counts. */
static void compare_values(struct diff *diff, const char *what, const char *key,
                           const char *a, const char *b)
{
    size_t len = 0;
    const bool more_in_a = first_missing(a, b, &len) != NULL;
    const bool more_in_b = first_missing(b, a, &len) != NULL;
    char *only_a = more_in_a ? items_missing(a, b) : NULL;
    char *only_b = more_in_b ? items_missing(b, a) : NULL;

    /* When out of memory, the whole value replaces the part. */
    if (more_in_a || more_in_b)
        tool_diff_add(diff, what, only_a != NULL || !more_in_a ? only_a : a,
                      only_b != NULL || !more_in_b ? only_b : b);
    else if (strcmp(key, "servers") == 0 && strcmp(a, b) != 0)
        tool_diff_add(diff, what, a, b);
    free(only_a);
    free(only_b);
}

/* ---- sections ---- */

/* `trust` names another file: see compare_trust(). */
static bool is_trust(const char *key)
{
    return strcmp(key, "trust") == 0;
}

static void compare_keys(struct diff *diff, const struct atls_scan_section *a,
                         const struct atls_scan_section *b)
{
    char what[256];

    for (size_t i = 0; i < a->pair_count; i++) {
        const struct atls_scan_pair *pair = &a->pairs[i];
        const struct atls_scan_pair *other = atls_scan_find(b, pair->key);

        name_key(a->name, pair->key, what, sizeof(what));
        if (other == NULL)
            tool_diff_add(diff, what, pair->value, NULL);
        else if (!is_trust(pair->key))
            compare_values(diff, what, pair->key, pair->value, other->value);
    }
    for (size_t i = 0; i < b->pair_count; i++) {
        const struct atls_scan_pair *pair = &b->pairs[i];

        name_key(b->name, pair->key, what, sizeof(what));
        if (atls_scan_find(a, pair->key) == NULL)
            tool_diff_add(diff, what, NULL, pair->value);
    }
}

static const struct atls_scan_section *find_section(
    const struct atls_scan *scan, const char *name)
{
    for (size_t i = 0; i < scan->section_count; i++)
        if (strcmp(scan->sections[i].name, name) == 0)
            return &scan->sections[i];
    return NULL;
}

static void add_section(struct diff *diff, const struct atls_scan_section *one,
                        bool in_a)
{
    char what[160];
    char words[48];

    snprintf(what, sizeof(what), "[%s]", one->name);
    snprintf(words, sizeof(words), "a section of %zu key%s", one->pair_count,
             one->pair_count == 1 ? "" : "s");
    tool_diff_add(diff, what, in_a ? words : NULL, in_a ? NULL : words);
}

/* ---- trust ---- */

static bool has_certificate(const STACK_OF(X509) * anchors, const X509 *cert)
{
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        if (X509_cmp(sk_X509_value(anchors, i), cert) == 0)
            return true;
    }
    return false;
}

static void add_certificates(struct diff *diff, const char *section,
                             const STACK_OF(X509) * in,
                             const STACK_OF(X509) * other, bool in_a)
{
    char what[160];

    snprintf(what, sizeof(what), "[%s] trust", section);
    for (int i = 0; i < sk_X509_num(in); i++) {
        const X509 *cert = sk_X509_value(in, i);
        char subject[ATLS_SUBJECT_MAX];

        if (has_certificate(other, cert))
            continue;
        atls_certificate_subject(cert, subject, sizeof(subject));
        tool_diff_add(diff, what, in_a ? subject : NULL, in_a ? NULL : subject);
    }
}

/* Files of one name in two folders may differ in content. */
static void compare_trust(struct diff *diff, const struct atls_section *a,
                          const struct atls_section *b)
{
    STACK_OF(X509) * of_a, *of_b;

    if (a == NULL || b == NULL || a->trust == NULL || b->trust == NULL)
        return;
    of_a = X509_STORE_get1_all_certs(a->trust);
    of_b = X509_STORE_get1_all_certs(b->trust);
    add_certificates(diff, a->name, of_a, of_b, true);
    add_certificates(diff, a->name, of_b, of_a, false);
    sk_X509_pop_free(of_a, X509_free);
    sk_X509_pop_free(of_b, X509_free);
}

/* ---- the whole ---- */

struct side {
    struct atls_scan scan;
    struct atls_policy *policy;
};

static void compare(struct diff *diff, const struct side sides[2])
{
    for (size_t i = 0; i < sides[0].scan.section_count; i++) {
        const struct atls_scan_section *a = &sides[0].scan.sections[i];
        const struct atls_scan_section *b =
            find_section(&sides[1].scan, a->name);
        const size_t before = diff->count;

        if (b == NULL) {
            add_section(diff, a, true);
            continue;
        }
        compare_keys(diff, a, b);
        compare_trust(diff, atls_policy_find(sides[0].policy, a->name),
                      atls_policy_find(sides[1].policy, a->name));
        if (diff->count == before)
            tool_diff_same(diff, "[%s]", a->name);
    }
    for (size_t i = 0; i < sides[1].scan.section_count; i++)
        if (find_section(&sides[0].scan, sides[1].scan.sections[i].name)
            == NULL)
            add_section(diff, &sides[1].scan.sections[i], false);
}

/* Only what loads is a policy. */
static enum atls_error read_side(const char *path, struct atls_reason *why,
                                 struct side *ret)
{
    enum atls_error r = atls_policy_load(path, why, &ret->policy);

    return r == ATLS_OK ? atls_scan_read(path, why, &ret->scan) : r;
}

enum atls_error tool_diff_policies(struct diff *diff,
                                   const char *const paths[2],
                                   struct atls_reason *why)
{
    struct side sides[2];
    enum atls_error r;

    memset(sides, 0, sizeof(sides));
    r = read_side(paths[0], why, &sides[0]);
    if (r == ATLS_OK)
        r = read_side(paths[1], why, &sides[1]);
    if (r == ATLS_OK)
        compare(diff, sides);
    for (size_t i = 0; i < 2; i++) {
        atls_scan_clear(&sides[i].scan);
        atls_policy_unref(sides[i].policy);
    }
    return r;
}
