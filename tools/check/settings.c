/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/conf.h>
#include <stdio.h>
#include <string.h>

#include "tools/check/process.h"
#include "tools/check/checks.h"
#include "base/edit_distance.h"

static const char *const setting_keys[] = {
#define SETTING_KEY(name) name,
    ATLS_SETTINGS(SETTING_KEY)
#undef SETTING_KEY
};
#define SETTING_COUNT (sizeof(setting_keys) / sizeof(setting_keys[0]))

/* What OpenSSL itself reads in a provider's section (config(5)). */
static const char *const openssl_keys[] = {"module", "activate", "soft_load",
                                           "identity"};
#define OPENSSL_KEY_COUNT (sizeof(openssl_keys) / sizeof(openssl_keys[0]))

/* The part of a setting's name that is a key of a role's section; role "" is
 * the provider's own section. NULL: it is not in that section. */
static const char *key_in_role(const char *setting, const char *role)
{
    const char *dot = strchr(setting, '.');
    size_t len = strlen(role);

    if (len == 0)
        return dot == NULL ? setting : NULL;
    if (dot == NULL || (size_t)(dot - setting) != len
        || strncmp(setting, role, len) != 0)
        return NULL;
    return dot + 1;
}

static bool is_known_key(const char *role, const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *known = key_in_role(setting_keys[i], role);

        if (known != NULL && strcmp(known, key) == 0)
            return true;
    }
    for (size_t i = 0; role[0] == '\0' && i < OPENSSL_KEY_COUNT; i++)
        if (strcmp(openssl_keys[i], key) == 0)
            return true;
    return false;
}

static void report_unknown_key(struct check *check, const char *section,
                               const char *role, const char *key)
{
    static const char *const roles[] = {"", "attester", "verifier"};
    struct atls_suggestion near;
    const char *file;
    unsigned line = tool_check_line(check, section, key, &file);
    char next[160] = "See attest(7) for the keys there are";

    atls_suggestion_begin(&near, key);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (key_in_role(setting_keys[i], role) != NULL)
            atls_suggestion_consider(&near, key_in_role(setting_keys[i], role));
    for (size_t i = 0; role[0] == '\0' && i < OPENSSL_KEY_COUNT; i++)
        atls_suggestion_consider(&near, openssl_keys[i]);
    if (near.best != NULL)
        snprintf(next, sizeof(next), "Did you mean %s?", near.best);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (is_known_key(roles[i], key))
            snprintf(next, sizeof(next), "It belongs into the %s section",
                     roles[i][0] != '\0' ? roles[i] : "provider's own");
    tool_finding_fail(check->findings, TOOL_USAGE, "unknown key", next,
                      "%s:%u: %s in [%s] has no effect", file, line, key,
                      section);
}

/* C10: OpenSSL hands the module only the keys it asks for. */
static void check_keys(struct check *check, const char *section,
                       const char *role)
{
    const STACK_OF(CONF_VALUE) *values = tool_check_keys_of(check, section);

    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const char *key = sk_CONF_VALUE_value(values, i)->name;

        if (!is_known_key(role, key))
            report_unknown_key(check, section, role, key);
    }
}

static bool has_known_key(const struct check *check, const char *section,
                          const char *role)
{
    const STACK_OF(CONF_VALUE) *values = tool_check_keys_of(check, section);
    bool found = false;

    for (int i = 0; i < sk_CONF_VALUE_num(values); i++)
        found |= is_known_key(role, sk_CONF_VALUE_value(values, i)->name);
    return found;
}

/* OpenSSL gives the module keys, not sections. A section without any known key
 * is invisible to the module; it can be named here. */
static bool check_roles(struct check *check)
{
    const struct tool_conf *conf = check->conf;
    const bool has_attester = tool_check_keys_of(check, conf->attester) != NULL;
    const char *next = "Until then every handshake is refused";

    if (has_known_key(check, conf->attester, "attester")
        || has_known_key(check, conf->verifier, "verifier"))
        return true;
    if (has_attester || tool_check_keys_of(check, conf->verifier) != NULL)
        tool_finding_fail(check->findings, TOOL_USAGE, "settings", next,
                          "[%s] has no %s",
                          has_attester ? conf->attester : conf->verifier,
                          has_attester ? "quoter" : "policy");
    else if (conf->attester == NULL && conf->verifier == NULL)
        tool_finding_fail(check->findings, TOOL_USAGE, "settings", next,
                          "[%s] has neither attester nor verifier",
                          conf->provider);
    else
        return true; /* what is named is not there: the provider says so */
    return false;
}

/* Let the provider's own code judge the settings. */
static void check_values(struct check *check)
{
    struct atls_configuration *configuration = &check->configuration;

    tool_conf_configuration(check->conf, configuration);
    if (!check_roles(check))
        return;
    if (configuration->broken.code != ATLS_OK)
        tool_finding_fail(check->findings, TOOL_USAGE, "settings",
                          "Until then every handshake is refused", "%s",
                          configuration->broken.text);
    else if (configuration->attester_broken.code != ATLS_OK)
        tool_finding_fail(check->findings, TOOL_USAGE, "settings",
                          "Until then this machine proves nothing", "%s",
                          configuration->attester_broken.text);
    else
        tool_finding_ok(
            check->findings, "settings", "%s%s%s",
            configuration->has_attester ? "attester" : "",
            configuration->has_attester && configuration->has_verifier ? " and "
                                                                       : "",
            configuration->has_verifier ? "verifier" : "");
}

/* S33: a file that it has not mapped before chroot(2) it cannot map
 * afterwards. */
static void check_map(struct check *check)
{
    const struct process *process = check->process;

    if (process == NULL || process->outer.path == NULL
        || process->inner.path != NULL || !process->has_other_root
        || check->configuration.maps_at_start)
        return;
    tool_finding_fail(
        check->findings, TOOL_USAGE, "settings",
        "Write map = start into the section that has module, and "
        "restart it",
        "process %d is in a chroot and has made no TLS context so "
        "far: it cannot make one there",
        process->pid);
}

void tool_check_settings(struct check *check)
{
    check_keys(check, check->conf->provider, "");
    check_keys(check, check->conf->attester, "attester");
    check_keys(check, check->conf->verifier, "verifier");
    check_values(check);
    check_map(check);
}
