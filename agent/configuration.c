/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/configuration.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "provider/configuration.h" /* not agent/configuration.h */
#include "attester/agent_socket.h"
#include "attester/tpm.h"
#include "base/digest.h"
#include "evidence/eventlog.h"
#include "evidence/pcr.h"
#include "settings.h"

#define QUOTER_PREFIX "attester."
#define TCTI_PREFIX "tcti:"
#define DIGEST_PREFIX "sha256:"
#define AUTH_PREFIX "file:"
#define NONE "none"

/* What a key is to the checks of openssl.cnf, which has the same ones: a setting
 * of its own section, of the attester's, or none. */
static const struct {
    const char *name;
    const char *prefix; /* NULL: the agent's alone */
} keys[] = {
    {"socket", NULL},
    {"allow", NULL},
    {"certificate", NULL},
    {"log", ""},
    {"log_level", ""},
    {"quoter", QUOTER_PREFIX},
    {"ak", QUOTER_PREFIX},
    {"ak_auth", QUOTER_PREFIX},
    {"ak_chain", QUOTER_PREFIX},
    {"pcrs", QUOTER_PREFIX},
    {"measured_log", QUOTER_PREFIX},
    {"event_log", QUOTER_PREFIX}, /* refused there */
    {"boot_log", QUOTER_PREFIX},
    {"measure_pcr", QUOTER_PREFIX},
    {"timeout", QUOTER_PREFIX},
    {"max_queue", QUOTER_PREFIX},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static enum atls_error fail_at(struct atls_reason *why,
                               const struct atls_scan_pair *pair,
                               const char *expected)
{
    (void)atls_fail(why, ATLS_E_CONFIG, "%s = %s: expected %s", pair->key,
                    pair->value, expected);
    atls_file_locate(why, pair->file, pair->line);
    return ATLS_E_CONFIG;
}

static enum atls_error check_keys(const struct atls_scan_section *section,
                                  struct atls_reason *why)
{
    for (size_t i = 0; i < section->pair_count; i++) {
        const struct atls_scan_pair *pair = &section->pairs[i];
        bool is_known = false;

        for (size_t k = 0; k < KEY_COUNT; k++)
            is_known |= strcmp(pair->key, keys[k].name) == 0;
        if (is_known)
            continue;
        (void)atls_fail(why, ATLS_E_CONFIG,
                        "%s: unknown key; see attestd.cnf(5)", pair->key);
        atls_file_locate(why, pair->file, pair->line);
        return ATLS_E_CONFIG;
    }
    return ATLS_OK;
}

static bool is_digest(const char *value)
{
    uint8_t digest[ATLS_SHA256_LEN];
    size_t prefix = strlen(DIGEST_PREFIX);
    size_t len = 0;

    return strncmp(value, DIGEST_PREFIX, prefix) == 0
           && atls_unhex(value + prefix, digest, sizeof(digest), &len) == 1
           && len == sizeof(digest);
}

/* Of all three sections; only a component may be a digest. */
static enum atls_error check_measured(const struct atls_scan_section *section,
                                      bool has_digests, struct atls_reason *why)
{
    for (size_t i = 0; section != NULL && i < section->pair_count; i++) {
        const struct atls_scan_pair *pair = &section->pairs[i];
        const char *expected =
            has_digests ? "an absolute path or sha256:<64 hex digits>"
                        : "an absolute path";

        if (!atls_component_name_is_legal(pair->key, strlen(pair->key))) {
            (void)atls_fail(why, ATLS_E_CONFIG,
                            "%s: a name begins with a letter or digit and has "
                            "%u octets at most",
                            pair->key, ATLS_COMPONENT_NAME_MAX);
            atls_file_locate(why, pair->file, pair->line);
            return ATLS_E_CONFIG;
        }
        if (pair->value[0] == '/' || (has_digests && is_digest(pair->value)))
            continue;
        return fail_at(why, pair, expected);
    }
    return ATLS_OK;
}

static enum atls_error find_sections(struct agent_configuration *c,
                                     const char *path, struct atls_reason *why)
{
    const struct {
        const char *name;
        const struct atls_scan_section **place;
    } sections[] = {
        {"attestd", &c->section},
        {"components", &c->components.components},
        {"certificates", &c->components.certificates},
        {"authorities", &c->components.authorities},
    };

    for (size_t i = 0; i < c->scan.section_count; i++) {
        const struct atls_scan_section *section = &c->scan.sections[i];
        bool is_known = false;

        for (size_t s = 0; s < sizeof(sections) / sizeof(sections[0]); s++) {
            if (strcmp(section->name, sections[s].name) != 0)
                continue;
            *sections[s].place = section;
            is_known = true;
        }
        if (is_known)
            continue;
        (void)atls_fail(why, ATLS_E_CONFIG,
                        "[%s]: unknown section: expected attestd, components, "
                        "certificates or authorities",
                        section->name);
        atls_file_locate(why, section->file, section->line);
        return ATLS_E_CONFIG;
    }
    if (c->section == NULL)
        return atls_fail(why, ATLS_E_CONFIG, "%s: no section [attestd]", path);
    return ATLS_OK;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* "KEY = VALUE: ..." or "KEY: ...". */
static bool is_about(const struct atls_reason *why, const char *key)
{
    const char *rest = why->text;

    if (!begins_with(rest, key))
        return false;
    rest += strlen(key);
    return begins_with(rest, " = ") || begins_with(rest, ": ");
}

void agent_configuration_locate(const struct agent_configuration *configuration,
                                struct atls_reason *why)
{
    const struct atls_scan_section *section = configuration->section;
    const char *chain = configuration->quoter.ak_chain;

    if (chain != NULL && is_about(why, chain))
        atls_reason_prefix(why, "ak_chain: ");
    for (size_t i = 0; i < section->pair_count; i++) {
        const struct atls_scan_pair *pair = &section->pairs[i];

        if (is_about(why, pair->key)) {
            atls_file_locate(why, pair->file, pair->line);
            return;
        }
    }
    atls_file_locate(why, section->file, section->line);
}

/* The reason of a check of openssl.cnf, in terms of this file. */
static void localize(const struct agent_configuration *c,
                     struct atls_reason *why)
{
    size_t prefix = strlen(QUOTER_PREFIX);

    if (begins_with(why->text, QUOTER_PREFIX))
        memmove(why->text, why->text + prefix, strlen(why->text + prefix) + 1);
    agent_configuration_locate(c, why);
}

static enum atls_error check_required(const struct atls_scan_section *section,
                                      struct atls_reason *why)
{
    static const struct {
        const char *key;
        const char *example;
    } required[] = {
        {"quoter", "tcti:device:/dev/tpmrm0"},
        {"ak", "0x81010002"},
        {"ak_chain", "/etc/attest/ak-chain.pem"},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (atls_scan_find(section, required[i].key) != NULL)
            continue;
        (void)atls_fail(why, ATLS_E_CONFIG,
                        "[attestd] has no %s; for example %s = %s",
                        required[i].key, required[i].key, required[i].example);
        atls_file_locate(why, section->file, section->line);
        return ATLS_E_CONFIG;
    }
    return ATLS_OK;
}

/* Programs may have an agent for quoter as well. */
static enum atls_error check_quoter(const struct atls_scan_section *section,
                                    struct atls_reason *why)
{
    const struct atls_scan_pair *pair = atls_scan_find(section, "quoter");

    if (!begins_with(pair->value, TCTI_PREFIX)
        || pair->value[strlen(TCTI_PREFIX)] == '\0')
        return fail_at(why, pair,
                       "tcti: and a TCTI, for example tcti:device:/dev/tpmrm0");
    return ATLS_OK;
}

/* Nobody knows where a daemon's working directory is. */
static enum atls_error check_paths(const struct atls_scan_section *section,
                                   struct atls_reason *why)
{
    static const struct {
        const char *key;
        const char *instead; /* of a path */
        const char *expected;
    } paths[] = {
        {"ak_chain", "", "an absolute path"},
        {"measured_log", NONE, "an absolute path or none"},
        {"boot_log", NONE, "an absolute path or none"},
    };
    const struct atls_scan_pair *pair;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        pair = atls_scan_find(section, paths[i].key);
        if (pair != NULL && pair->value[0] != '/'
            && strcmp(pair->value, paths[i].instead) != 0)
            return fail_at(why, pair, paths[i].expected);
    }
    pair = atls_scan_find(section, "ak_auth");
    if (pair == NULL || begins_with(pair->value, AUTH_PREFIX "/"))
        return ATLS_OK;
    /* The value may be the secret itself. */
    (void)atls_fail(why, ATLS_E_CONFIG,
                    "ak_auth: expected file: and an absolute path");
    atls_file_locate(why, pair->file, pair->line);
    return ATLS_E_CONFIG;
}

/* Room for the longest key with its prefix. */
#define SETTING_KEY_SIZE 32

/* By the code that will use them. */
static enum atls_error check_values(const struct atls_quoter_config *quoter,
                                    struct atls_reason *why)
{
    struct atls_pcr_selection ignored_pcrs;
    uint32_t ignored_handle;
    enum atls_error r = atls_tpm_parse_ak(quoter->ak, why, &ignored_handle);

    if (r != ATLS_OK || quoter->pcrs == NULL)
        return r;
    r = atls_pcr_selection_parse(quoter->pcrs, why, &ignored_pcrs);
    if (r != ATLS_OK)
        atls_reason_prefix(why, "pcrs: ");
    return r;
}

static enum atls_error read_quoter(struct agent_configuration *c,
                                   const struct atls_scan_section *section,
                                   struct atls_reason *why)
{
    char names[KEY_COUNT][SETTING_KEY_SIZE];
    struct atls_setting settings[KEY_COUNT];
    struct atls_configuration checked;
    size_t count = 0;

    for (size_t k = 0; k < KEY_COUNT; k++) {
        const struct atls_scan_pair *pair =
            atls_scan_find(section, keys[k].name);

        if (pair == NULL || keys[k].prefix == NULL)
            continue;
        snprintf(names[count], sizeof(names[0]), "%s%s", keys[k].prefix,
                 keys[k].name);
        settings[count].key = names[count];
        settings[count].value = pair->value;
        count++;
    }
    atls_configuration_read(settings, count, &checked);
    if (checked.broken.code == ATLS_OK)
        checked.broken = checked.attester_broken;
    if (checked.broken.code != ATLS_OK) {
        *why = checked.broken;
        localize(c, why);
        return ATLS_E_CONFIG;
    }
    if (check_values(&checked.attester.quoter, why) != ATLS_OK) {
        localize(c, why);
        return ATLS_E_CONFIG;
    }
    c->log = checked.log != NULL ? checked.log : "stderr";
    c->log_level = checked.log_level;
    c->quoter = checked.attester.quoter;
    if (atls_scan_find(section, "timeout") == NULL)
        c->quoter.timeout_ms = AGENT_TIMEOUT_DEFAULT_MS;
    return ATLS_OK;
}

static enum atls_error read_socket(struct agent_configuration *c,
                                   const struct atls_scan_section *section,
                                   struct atls_reason *why)
{
    const struct sockaddr_un *address = NULL;
    const struct atls_scan_pair *pair = atls_scan_find(section, "socket");

    c->socket = pair != NULL ? pair->value : ATLS_AGENT_SOCKET;
    if (c->socket[0] != '/' || strlen(c->socket) >= sizeof(address->sun_path))
        return fail_at(why, pair,
                       "an absolute path of 107 octets at most (unix(7))");
    return ATLS_OK;
}

/* "measured_log = none: WHAT"; it stands there, for the default is another. */
static enum atls_error fail_without_log(struct agent_configuration *c,
                                        struct atls_reason *why,
                                        const char *what)
{
    (void)atls_fail(why, ATLS_E_CONFIG, "measured_log = none: %s", what);
    agent_configuration_locate(c, why);
    return ATLS_E_CONFIG;
}

static bool has_entries(const struct atls_scan_section *section)
{
    return section != NULL && section->pair_count > 0;
}

static enum atls_error read_certificate(struct agent_configuration *c,
                                        const struct atls_scan_section *section,
                                        struct atls_reason *why)
{
    const struct atls_scan_pair *pair = atls_scan_find(section, "certificate");

    c->quoter.needs_measured_certificate =
        pair == NULL || strcmp(pair->value, "measured") == 0;
    if (!c->quoter.needs_measured_certificate
        && strcmp(pair->value, "any") != 0)
        return fail_at(why, pair, "measured or any");
    if (c->quoter.measured_log != NULL)
        return ATLS_OK;
    if (c->quoter.needs_measured_certificate)
        return fail_without_log(c, why,
                                "certificates cannot be looked up without a "
                                "log; name one, or set certificate = any");
    if (has_entries(c->components.components)
        || has_entries(c->components.certificates)
        || has_entries(c->components.authorities))
        return fail_without_log(c, why,
                                "[components], [certificates] and "
                                "[authorities] are measured into a log; name "
                                "one, or take them out");
    return ATLS_OK;
}

static enum atls_error read_all(struct agent_configuration *c, const char *path,
                                struct atls_reason *why)
{
    enum atls_error r;

    if ((r = find_sections(c, path, why)) != ATLS_OK
        || (r = check_keys(c->section, why)) != ATLS_OK
        || (r = read_socket(c, c->section, why)) != ATLS_OK
        || (r = check_required(c->section, why)) != ATLS_OK
        || (r = check_quoter(c->section, why)) != ATLS_OK
        || (r = check_paths(c->section, why)) != ATLS_OK
        || (r = read_quoter(c, c->section, why)) != ATLS_OK
        || (r = read_certificate(c, c->section, why)) != ATLS_OK
        || (r = check_measured(c->components.components, true, why)) != ATLS_OK
        || (r = check_measured(c->components.certificates, false, why))
               != ATLS_OK)
        return r;
    return check_measured(c->components.authorities, false, why);
}

/* Who could not read it? Root and the agent's user are easily mistaken. */
static void tell_rights(const char *path, struct atls_reason *why)
{
    char name[AGENT_USER_NAME_SIZE];
    size_t len = strlen(why->text);

    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 || errno != EACCES)
        return;
    agent_user_name(geteuid(), name, sizeof(name));
    snprintf(why->text + len, sizeof(why->text) - len,
             "; it must be readable for user %s", name);
}

enum atls_error agent_configuration_load(
    const char *path, struct atls_reason *why,
    struct agent_configuration *ret_configuration)
{
    struct agent_configuration c = {.socket = NULL};
    enum atls_error r;

    r = atls_scan_read(path, why, &c.scan);
    /* The scanner's word for bad syntax is the policy's. */
    if (r == ATLS_E_POLICY)
        r = why->code = ATLS_E_CONFIG;
    if (r == ATLS_E_IO)
        tell_rights(path, why);
    if (r != ATLS_OK)
        return r;
    r = read_all(&c, path, why);
    if (r != ATLS_OK) {
        agent_configuration_clear(&c);
        return r;
    }
    *ret_configuration = c;
    return ATLS_OK;
}

enum atls_error agent_configuration_resolve(
    struct agent_configuration *configuration, struct atls_reason *why)
{
    return agent_access_new(atls_scan_find(configuration->section, "allow"),
                            why, &configuration->access);
}

void agent_configuration_clear(struct agent_configuration *configuration)
{
    agent_access_free(configuration->access);
    atls_scan_clear(&configuration->scan);
    *configuration = (struct agent_configuration){.socket = NULL};
}
