/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/configuration.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "provider/configuration.h" /* not agent/configuration.h */
#include "digest.h"
#include "evidence/eventlog.h"
#include "settings.h"

#define QUOTER_PREFIX "attester."
#define TCTI_PREFIX "tcti:"
#define DIGEST_PREFIX "sha256:"

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
    {"event_log", QUOTER_PREFIX},
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
                                     const char *path, struct atls_reason *why,
                                     const struct atls_scan_section **ret_main)
{
    const struct atls_scan_section *found = NULL;
    const struct {
        const char *name;
        const struct atls_scan_section **place;
    } sections[] = {
        {"attestd", &found},
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
    if (found == NULL)
        return atls_fail(why, ATLS_E_CONFIG, "%s: no section [attestd]", path);
    *ret_main = found;
    return ATLS_OK;
}

/* The reason of a check of openssl.cnf, in terms of this file: its keys have no
 * prefix, and stand in a line. "KEY = VALUE" begins what is about one that is
 * there. */
static void localize(struct atls_reason *why,
                     const struct atls_scan_section *section)
{
    size_t prefix = strlen(QUOTER_PREFIX);

    if (strncmp(why->text, QUOTER_PREFIX, prefix) == 0)
        memmove(why->text, why->text + prefix, strlen(why->text + prefix) + 1);
    for (size_t i = 0; i < section->pair_count; i++) {
        const struct atls_scan_pair *pair = &section->pairs[i];
        size_t len = strlen(pair->key);

        if (strncmp(why->text, pair->key, len) == 0
            && strncmp(why->text + len, " = ", 3) == 0) {
            atls_file_locate(why, pair->file, pair->line);
            return;
        }
    }
    atls_file_locate(why, section->file, section->line);
}

/* Programs may have an agent for quoter as well. */
static enum atls_error check_quoter(const struct atls_scan_section *section,
                                    struct atls_reason *why)
{
    const struct atls_scan_pair *pair = atls_scan_find(section, "quoter");
    size_t prefix = strlen(TCTI_PREFIX);

    if (pair == NULL) {
        (void)atls_fail(why, ATLS_E_CONFIG,
                        "[attestd] has no quoter; for example quoter = "
                        "tcti:device:/dev/tpmrm0");
        atls_file_locate(why, section->file, section->line);
        return ATLS_E_CONFIG;
    }
    if (strncmp(pair->value, TCTI_PREFIX, prefix) != 0
        || pair->value[prefix] == '\0')
        return fail_at(why, pair,
                       "tcti: and a TCTI, for example tcti:device:/dev/tpmrm0");
    return ATLS_OK;
}

/* Room for the longest key with its prefix. */
#define SETTING_KEY_SIZE 32

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
        localize(why, section);
        return ATLS_E_CONFIG;
    }
    c->log = checked.log != NULL ? checked.log : "stderr";
    c->log_level = checked.log_level;
    c->quoter = checked.attester.quoter;
    return ATLS_OK;
}

static enum atls_error read_socket(struct agent_configuration *c,
                                   const struct atls_scan_section *section,
                                   struct atls_reason *why)
{
    const struct sockaddr_un *address = NULL;
    const struct atls_scan_pair *pair = atls_scan_find(section, "socket");

    c->socket = pair != NULL ? pair->value : AGENT_SOCKET_PATH;
    if (c->socket[0] != '/' || strlen(c->socket) >= sizeof(address->sun_path))
        return fail_at(why, pair,
                       "an absolute path of 107 octets at most (unix(7))");
    return ATLS_OK;
}

static enum atls_error read_certificate(struct agent_configuration *c,
                                        const struct atls_scan_section *section,
                                        struct atls_reason *why)
{
    const struct atls_scan_pair *pair = atls_scan_find(section, "certificate");

    c->needs_measured_certificate =
        pair == NULL || strcmp(pair->value, "measured") == 0;
    if (!c->needs_measured_certificate && strcmp(pair->value, "any") != 0)
        return fail_at(why, pair, "measured or any");
    if (!c->needs_measured_certificate || c->quoter.event_log != NULL)
        return ATLS_OK;
    (void)atls_fail(why, ATLS_E_CONFIG,
                    "event_log = none: certificates cannot be looked up "
                    "without a log; name one, or set certificate = any");
    pair = atls_scan_find(section, "event_log");
    if (pair != NULL)
        atls_file_locate(why, pair->file, pair->line);
    return ATLS_E_CONFIG;
}

static enum atls_error read_all(struct agent_configuration *c, const char *path,
                                struct atls_reason *why)
{
    const struct atls_scan_section *section = NULL;
    enum atls_error r;

    if ((r = find_sections(c, path, why, &section)) != ATLS_OK
        || (r = check_keys(section, why)) != ATLS_OK
        || (r = read_socket(c, section, why)) != ATLS_OK
        || (r = check_quoter(section, why)) != ATLS_OK
        || (r = read_quoter(c, section, why)) != ATLS_OK
        || (r = read_certificate(c, section, why)) != ATLS_OK
        || (r = check_measured(c->components.components, true, why)) != ATLS_OK
        || (r = check_measured(c->components.certificates, false, why))
               != ATLS_OK
        || (r = check_measured(c->components.authorities, false, why))
               != ATLS_OK)
        return r;
    return agent_access_new(atls_scan_find(section, "allow"), why, &c->access);
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

void agent_configuration_clear(struct agent_configuration *configuration)
{
    agent_access_free(configuration->access);
    atls_scan_clear(&configuration->scan);
    *configuration = (struct agent_configuration){.socket = NULL};
}
