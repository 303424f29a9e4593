/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>

#include "tools/check/checks.h"
#include "base/edit_distance.h"

static bool section_exists(const struct check *check, const char *section)
{
    return tool_check_keys_of(check, section) != NULL;
}

/* ---- the way to attest ---- */

/* A section lacks a key that it needs; suggest one with a similar name. */
static void fail_missing(struct check *check, const char *section,
                         const char *key, const char *what, const char *meaning)
{
    const STACK_OF(CONF_VALUE) *values = tool_check_keys_of(check, section);
    struct atls_suggestion near;
    char next[160];

    atls_suggestion_begin(&near, key);
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++)
        atls_suggestion_consider(&near, sk_CONF_VALUE_value(values, i)->name);
    if (near.best != NULL)
        snprintf(next, sizeof(next), "Did you mean %s where it says %s?", key,
                 near.best);
    else
        snprintf(next, sizeof(next),
                 "openssl.cnf.example shows where it stands");
    tool_finding_fail(check->findings, TOOL_USAGE, what, next,
                      "%s has no %s in [%s]: %s", check->conf->path, key,
                      section, meaning);
}

/* A section that is named must exist; suggest one with a similar name. */
static bool check_section_exists(struct check *check, const char *in,
                                 const char *key, const char *section)
{
    struct atls_suggestion near;
    const char *file;
    unsigned line = tool_check_line(check, in, key, &file);
    char next[160];

    if (section_exists(check, section))
        return true;
    atls_suggestion_begin(&near, section);
    for (size_t i = 0; i < check->scan->count; i++)
        if (check->scan->entries[i].kind == CNF_SECTION)
            atls_suggestion_consider(&near, check->scan->entries[i].section);
    if (near.best != NULL)
        snprintf(next, sizeof(next), "Did you mean [%s]?", near.best);
    else
        snprintf(next, sizeof(next), "Add the section, or take the key out");
    tool_finding_fail(check->findings, TOOL_USAGE, key, next,
                      "%s:%u: %s = %s, but there is no section [%s]", file,
                      line, key, section, section);
    return false;
}

/* openssl_conf -> [init] providers -> [providers] attest -> [attest]. */
static bool check_chain(struct check *check)
{
    const struct tool_conf *conf = check->conf;

    if (conf->init == NULL) {
        fail_missing(check, "default", "openssl_conf", "openssl_conf",
                     "attest is not active, nor anything else in this file");
        return false;
    }
    if (!check_section_exists(check, "default", "openssl_conf", conf->init))
        return false;
    if (conf->providers == NULL) {
        fail_missing(check, conf->init, "providers", "providers",
                     "attest is not active");
        return false;
    }
    if (!check_section_exists(check, conf->init, "providers", conf->providers))
        return false;
    if (conf->provider == NULL) {
        fail_missing(check, conf->providers, "attest", "attest",
                     "attest is not active, programs run without it");
        return false;
    }
    if (!check_section_exists(check, conf->providers, "attest", conf->provider))
        return false;
    tool_finding_ok(check->findings, "attest",
                    "[default] -> [%s] -> [%s] -> [%s]", conf->init,
                    conf->providers, conf->provider);
    return true;
}

/* ---- duplicates and includes ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct cnf_entry *x = *(const struct cnf_entry *const *)a;
    const struct cnf_entry *y = *(const struct cnf_entry *const *)b;
    int order = (int)x->kind - (int)y->kind;

    if (order == 0)
        order = strcmp(x->section, y->section);
    if (order == 0)
        order = strcmp(x->key, y->key);
    if (order == 0)
        order = x < y ? -1 : 1; /* both point into one array */
    return order;
}

/* Does a section decide whether and how attest runs? */
static bool is_ours(const struct check *check, const char *section)
{
    const struct tool_conf *conf = check->conf;
    const char *const ours[] = {conf->init,     conf->providers, conf->provider,
                                conf->attester, conf->verifier,  "default"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (ours[i] != NULL && strcmp(ours[i], section) == 0)
            return true;
    return false;
}

static void report_duplicate(struct check *check, const struct cnf_entry *first,
                             const struct cnf_entry *again)
{
    const char *next = "Keep one of them";

    if (again->kind == CNF_SECTION)
        tool_finding_warn(
            check->findings, "duplicate",
            "Join them, so that nobody overlooks one",
            "%s:%u: [%s] begins again, first at %s:%u; OpenSSL merges "
            "them",
            again->file, again->line, again->section, first->file, first->line);
    else if (is_ours(check, again->section))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "duplicate", next,
            "%s:%u: %s in [%s] again, first at %s:%u; OpenSSL takes the "
            "last",
            again->file, again->line, again->key, again->section, first->file,
            first->line);
    else
        tool_finding_warn(
            check->findings, "duplicate", next,
            "%s:%u: %s in [%s] again, first at %s:%u; OpenSSL takes the "
            "last",
            again->file, again->line, again->key, again->section, first->file,
            first->line);
}

static void check_duplicates(struct check *check)
{
    const struct cnf_scan *scan = check->scan;
    const struct cnf_entry **sorted = calloc(scan->count, sizeof(*sorted));
    const struct cnf_entry *first = NULL;

    if (sorted == NULL) {
        tool_finding_fail(check->findings, TOOL_USAGE, "duplicates",
                          "Try again", "out of memory");
        return;
    }
    for (size_t i = 0; i < scan->count; i++)
        sorted[i] = &scan->entries[i];
    qsort(sorted, scan->count, sizeof(*sorted), compare_entries);
    for (size_t i = 0; i < scan->count; i++) {
        const struct cnf_entry *entry = sorted[i];

        if (entry->kind != CNF_SECTION && entry->kind != CNF_KEY)
            continue;
        if (first != NULL && first->kind == entry->kind
            && strcmp(first->section, entry->section) == 0
            && strcmp(first->key, entry->key) == 0)
            report_duplicate(check, first, entry);
        else
            first = entry;
    }
    free(sorted);
}

static void check_includes(struct check *check)
{
    for (size_t i = 0; i < check->scan->count; i++) {
        const struct cnf_entry *entry = &check->scan->entries[i];

        if (entry->kind == CNF_INCLUDE_MISSING)
            tool_finding_warn(
                check->findings, "include", "Create it, or take the line out",
                "%s:%u: .include %s cannot be read; OpenSSL goes on "
                "without it",
                entry->file, entry->line, entry->key);
        else if (entry->kind == CNF_INCLUDE_OPAQUE)
            tool_finding_note(
                check->findings, "include",
                "%s:%u: .include %s has a variable: duplicates in it "
                "are not looked for",
                entry->file, entry->line, entry->key);
    }
}

/* ---- the other providers ---- */

static bool is_true(const char *value)
{
    return value != NULL
           && (strcmp(value, "1") == 0 || strcasecmp(value, "yes") == 0
               || strcasecmp(value, "true") == 0
               || strcasecmp(value, "on") == 0);
}

/* Is a provider of that name listed and activated? */
static bool provider_is_active(const struct check *check, const char *name)
{
    const STACK_OF(CONF_VALUE) *values =
        tool_check_keys_of(check, check->conf->providers);
    bool active = false;

    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        const char *dot = strrchr(value->name, '.');

        if (strcmp(dot != NULL ? dot + 1 : value->name, name) == 0)
            active =
                is_true(tool_conf_get(check->conf, value->value, "activate"));
    }
    return active;
}

/* The strict form, in which a missing module fails closed
 * (openssl-strict.cnf.example): `null` is active, and attest itself loads what
 * `base` names. */
static void check_strict_form(struct check *check, const char *value)
{
    static const char prefix[] = "provider:";
    const char *base = value;

    if (strncmp(value, prefix, sizeof(prefix) - 1) == 0) {
        base = value + sizeof(prefix) - 1;
    } else if (NCONF_get_section(check->conf->nconf, value) != NULL) {
        tool_finding_fail(
            check->findings, TOOL_USAGE, "strict form",
            "Write base = provider:NAME",
            "base = %s is the name of a section too (`default` is "
            "the file's unnamed one): OpenSSL follows it and loads no "
            "provider at all",
            value);
        return;
    }
    if (!provider_is_active(check, "null"))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "strict form",
            "Activate null beside attest, as openssl-strict.cnf.example "
            "does",
            "base = %s without an active null provider: without the "
            "module OpenSSL falls back on its own",
            base);
    else if (provider_is_active(check, base))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "strict form",
            "Take it out of the providers, attest loads it",
            "base = %s, but %s is active by itself: programs run on "
            "without the module",
            base, base);
    else
        tool_finding_ok(check->findings, "strict form",
                        "programs work only with the module, which loads %s",
                        base);
}

/* C2: as soon as any provider is named, OpenSSL no longer adds `default`. */
static void check_default_provider(struct check *check)
{
    const char *base =
        tool_conf_get(check->conf, check->conf->provider, "base");

    if (base != NULL)
        check_strict_form(check, base);
    else if (provider_is_active(check, "default"))
        tool_finding_ok(check->findings, "default provider",
                        "named and active");
    else if (provider_is_active(check, "fips")
             && provider_is_active(check, "base"))
        tool_finding_ok(check->findings, "default provider",
                        "fips and base are active in its place");
    else
        tool_finding_fail(
            check->findings, TOOL_USAGE, "default provider",
            "Add default = default_sect to the providers and "
            "[default_sect] with activate = 1",
            "not active in [%s]: as soon as one provider is named, every "
            "program loses all algorithms of OpenSSL",
            check->conf->providers);
    if (!is_true(tool_conf_get(check->conf, check->conf->provider, "activate")))
        tool_finding_fail(
            check->findings, TOOL_USAGE, "attest", "Write activate = 1 there",
            "[%s] is not activated: programs run without attestation",
            check->conf->provider);
}

/* Do the default properties demand FIPS? `?fips=yes` only prefers it
 * (property(7)). */
static bool demands_fips(const char *properties)
{
    char query[256];
    size_t len = 0;

    for (; *properties != '\0' && len + 1 < sizeof(query); properties++)
        if (*properties != ' ' && *properties != '\t')
            query[len++] = *properties;
    query[len] = '\0';
    for (const char *at = query; (at = strstr(at, "fips=yes")) != NULL; at++)
        if (at == query || at[-1] == ',')
            return true;
    return false;
}

/* C6: with no FIPS provider active, nothing has the property fips=yes. */
static void check_properties(struct check *check)
{
    const struct tool_conf *conf = check->conf;
    const char *section = tool_conf_get(conf, conf->init, "alg_section");
    const char *properties = tool_conf_get(conf, section, "default_properties");

    if ((properties == NULL || !demands_fips(properties))
        && !is_true(tool_conf_get(conf, section, "fips_mode")))
        return;
    if (provider_is_active(check, "fips"))
        tool_finding_note(
            check->findings, "FIPS",
            "[%s] demands fips=yes: TLS obeys; evidence is made and "
            "verified with OpenSSL's default provider",
            section);
    else
        tool_finding_fail(check->findings, TOOL_USAGE, "FIPS",
                          "Activate the providers fips and base (openssl "
                          "fipsinstall), or take it out",
                          "[%s] demands fips=yes and no provider named fips is "
                          "active: programs have no algorithm at all",
                          section);
}

/* ---- surroundings ---- */

/* C3: what OPENSSL_CONF names is invisible to setuid programs. */
static void check_scope(struct check *check)
{
    char *system = NULL;
    const char *dir = X509_get_default_cert_area();

    if (getauxval(AT_SECURE) != 0)
        tool_finding_warn(
            check->findings, "scope", "Run it as an ordinary program",
            "this process runs setuid or with capabilities: OpenSSL "
            "ignores OPENSSL_CONF in it");
    if (asprintf(&system, "%s/openssl.cnf", dir) < 0)
        return;
    if (strcmp(system, check->conf->path) != 0)
        tool_finding_note(
            check->findings, "scope",
            "only programs started with OPENSSL_CONF=%s read this file; "
            "setuid programs and those with file capabilities ignore "
            "OPENSSL_CONF and read %s",
            check->conf->path, system);
    free(system);
}

bool tool_check_configuration(struct check *check)
{
    bool safe = true;

    for (size_t i = 0; i < check->scan->file_count; i++)
        safe = tool_check_permissions(check, "configuration",
                                      check->scan->files[i])
               && safe;
    if (safe)
        tool_finding_ok(check->findings, "configuration", "%s",
                        check->conf->path);
    check_includes(check);
    check_duplicates(check);
    if (!check_chain(check))
        return false;
    check_default_provider(check);
    check_properties(check);
    tool_check_settings(check);
    tool_check_logging(check);
    tool_check_syslog(check);
    tool_check_tls13(check);
    if (!check->of_process)
        check_scope(check);
    return true;
}
