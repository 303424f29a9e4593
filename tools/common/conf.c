/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/conf.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "tools/common/cnfscan.h"
#include "settings.h"

#define ATTEST_PROVIDER "attest"

const char *tool_conf_get(const struct tool_conf *conf, const char *section,
                          const char *key)
{
    const STACK_OF(CONF_VALUE) *values = NULL;
    const char *found = NULL;

    if (section == NULL)
        return NULL;
    ERR_set_mark();
    values = NCONF_get_section(conf->nconf, section);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);

        if (strcmp(value->name, key) == 0)
            found = value->value;
    }
    return found;
}

/* OpenSSL ignores what precedes the last dot of a key here, so that one
 * section can list several of a kind ("1.attest"). */
static const char *after_last_dot(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL ? dot + 1 : name;
}

/* The provider's section: `identity` in it counts, else the key in the list. */
static const char *find_provider(const struct tool_conf *conf)
{
    const STACK_OF(CONF_VALUE) *values = NULL;
    const char *found = NULL;

    if (conf->providers == NULL)
        return NULL;
    ERR_set_mark();
    values = NCONF_get_section(conf->nconf, conf->providers);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        const char *name = tool_conf_get(conf, value->value, "identity");

        if (name == NULL)
            name = after_last_dot(value->name);
        if (strcmp(name, ATTEST_PROVIDER) == 0)
            found = value->value;
    }
    return found;
}

static void find_sections(struct tool_conf *conf)
{
    conf->init = tool_conf_get(conf, "default", "openssl_conf");
    conf->providers = tool_conf_get(conf, conf->init, "providers");
    conf->provider = find_provider(conf);
    conf->attester = tool_conf_get(conf, conf->provider, "attester");
    conf->verifier = tool_conf_get(conf, conf->provider, "verifier");
}

/* A setting of the provider's own section, or "role.key" of a role's. OpenSSL
 * passes a nested section on as section.key, without its own name (design fact
 * 10). */
static const char *setting_value(const struct tool_conf *conf,
                                 const char *setting)
{
    const char *dot = strchr(setting, '.');
    const char *value = tool_conf_get(conf, conf->provider, setting);
    const void *section = NULL;

    if (dot != NULL)
        return tool_conf_get(
            conf, setting[0] == 'a' ? conf->attester : conf->verifier, dot + 1);
    ERR_set_mark();
    if (value != NULL)
        section = NCONF_get_section(conf->nconf, value);
    ERR_pop_to_mark();
    return section != NULL ? NULL : value;
}

void tool_conf_configuration(const struct tool_conf *conf,
                             struct atls_configuration *ret_configuration)
{
    static const char *const keys[] = {
#define SETTING_KEY(name) name,
        ATLS_SETTINGS(SETTING_KEY)
#undef SETTING_KEY
    };
    struct atls_setting settings[sizeof(keys) / sizeof(keys[0])];
    size_t count = 0;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = setting_value(conf, keys[i]);

        if (value != NULL)
            settings[count++] =
                (struct atls_setting){.key = keys[i], .value = value};
    }
    atls_configuration_read(settings, count, ret_configuration);
}

/* OpenSSL's parser never finishes /dev/zero, waits for a FIFO's writer, and
 * follows an include of itself. */
static enum atls_error check_readable(const char *path, struct atls_reason *why)
{
    struct cnf_scan *scan = NULL;
    enum atls_error r = ATLS_OK;

    if (strcmp(path, "/dev/null") != 0) /* how people say: none */
        r = tool_cnf_scan_file(path, why, &scan);
    tool_cnf_scan_free(scan);
    if (r == ATLS_E_LIMIT)
        return why->code = ATLS_E_CONFIG; /* of a configuration, not evidence */
    return r;
}

static enum atls_error parse(struct tool_conf *conf, struct atls_reason *why)
{
    enum atls_error r = check_readable(conf->path, why);
    const char *data = NULL;
    int flags = 0;
    long line = 0;
    BIO *bio;

    if (r != ATLS_OK)
        return r;
    errno = 0;
    bio = BIO_new_file(conf->path, "r");
    if (bio == NULL)
        return atls_fail(why, ATLS_E_IO, "cannot open %s: %s", conf->path,
                         strerror(errno));
    if (NCONF_load_bio(conf->nconf, bio, &line) <= 0) {
        unsigned long error = ERR_peek_last_error_data(&data, &flags);
        const char *reason = ERR_reason_error_string(error);

        r = atls_fail(why, ATLS_E_CONFIG, "%s:%ld: %s%s%s", conf->path, line,
                      reason != NULL ? reason : "cannot be parsed",
                      (flags & ERR_TXT_STRING) && *data != '\0' ? ": " : "",
                      (flags & ERR_TXT_STRING) ? data : "");
    }
    BIO_free(bio);
    return r;
}

enum atls_error tool_conf_load(const char *path, struct atls_reason *why,
                               struct tool_conf **ret_conf)
{
    enum atls_error r;
    struct tool_conf *conf = OPENSSL_zalloc(sizeof(*conf));

    if (conf == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    ERR_set_mark();
    if (path != NULL)
        conf->path = OPENSSL_strdup(path);
    else
        conf->path = CONF_get1_default_config_file();
    conf->nconf = NCONF_new(NULL);
    if (conf->path == NULL || conf->nconf == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    else
        r = parse(conf, why);
    ERR_pop_to_mark();
    if (r != ATLS_OK) {
        tool_conf_free(conf);
        return r;
    }
    find_sections(conf);
    *ret_conf = conf;
    return ATLS_OK;
}

void tool_conf_free(struct tool_conf *conf)
{
    if (conf == NULL)
        return;
    NCONF_free(conf->nconf);
    OPENSSL_free(conf->path);
    OPENSSL_free(conf);
}
