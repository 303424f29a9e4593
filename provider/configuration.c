/* SPDX-License-Identifier: BSD-2-Clause */
#include "configuration.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "attester/agent_socket.h"
#include "attester/measure.h"
#include "base/number.h"
#include "evidence/merkle.h"
#include "evidence/pcr.h"

#define DIGITS_MAX 9u /* no bound of a setting has more */
#define TIMEOUT_DEFAULT_MS 5000u
/* securityfs, drivers/char/tpm/eventlog of Linux. */
#define KERNEL_BOOT_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"

struct reader {
    const struct atls_setting *settings;
    size_t count;
};

static const char *find(const struct reader *reader, const char *key)
{
    return atls_setting_find(reader->settings, reader->count, key);
}

/* A plain decimal number in a range; the default where the key is absent. */
static enum atls_error read_number(const struct reader *reader, const char *key,
                                   unsigned min, unsigned max,
                                   unsigned otherwise, struct atls_reason *why,
                                   unsigned *ret_number)
{
    const char *text = find(reader, key);
    size_t len;

    if (text == NULL) {
        *ret_number = otherwise;
        return ATLS_OK;
    }
    len = strspn(text, "0123456789");
    if (text[len] != '\0' || len > DIGITS_MAX)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s = %s is no number from %u to %u", key, text, min,
                         max);
    if (!atls_number_parse(text, len, min, max, ret_number))
        return atls_fail(why, ATLS_E_CONFIG, "%s = %s is not from %u to %u",
                         key, text, min, max);
    return ATLS_OK;
}

static enum atls_error read_log(const struct reader *reader,
                                struct atls_reason *why,
                                struct atls_configuration *ret)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const char *level = find(reader, "log_level");
    const char *log = find(reader, "log");

    ret->log_level = ATLS_LOG_INFO;
    if (log != NULL && strcmp(log, "stderr") != 0 && strcmp(log, "syslog") != 0
        && log[0] != '/')
        return atls_fail(
            why, ATLS_E_CONFIG,
            "log = %s: expected stderr, syslog or an absolute path", log);
    ret->log = log;
    if (level == NULL)
        return ATLS_OK;
    for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(level, levels[i]) == 0) {
            ret->log_level = (enum atls_log_level)i;
            return ATLS_OK;
        }
    }
    return atls_fail(why, ATLS_E_CONFIG,
                     "log_level = %s: expected error, warn, info or debug",
                     level);
}

static enum atls_error read_map(const struct reader *reader,
                                struct atls_reason *why,
                                struct atls_configuration *ret)
{
    const char *map = find(reader, "map");

    ret->maps_at_start = map != NULL && strcmp(map, "start") == 0;
    if (map != NULL && !ret->maps_at_start && strcmp(map, "first-use") != 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "map = %s: expected first-use or start", map);
    return ATLS_OK;
}

/* `attester = NAME` reaches us as a value only where no section [NAME] exists. */
static enum atls_error check_section(const struct reader *reader,
                                     const char *role, struct atls_reason *why)
{
    const char *name = find(reader, role);

    if (name != NULL)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s = %s: openssl.cnf has no section [%s]" ATLS_MORE
                         " (or it is empty)",
                         role, name, name);
    return ATLS_OK;
}

static bool has_role(const struct reader *reader, const char *role)
{
    size_t len = strlen(role);

    for (size_t i = 0; i < reader->count; i++)
        if (strncmp(reader->settings[i].key, role, len) == 0)
            return true;
    return false;
}

static enum atls_error read_quoter_address(const struct reader *reader,
                                           struct atls_reason *why,
                                           struct atls_configuration *ret)
{
    const char *quoter = find(reader, "attester.quoter");

    if (quoter == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "the attester section has no quoter; for example quoter = "
            "unix:" ATLS_AGENT_SOCKET);
    if (strncmp(quoter, "unix:", 5) == 0) {
        ret->attester.socket = quoter + 5;
        return atls_agent_path_check(ret->attester.socket, why);
    }
    if (strncmp(quoter, "tcti:", 5) != 0 || quoter[5] == '\0')
        return atls_fail(why, ATLS_E_CONFIG,
                         "quoter = %s: expected unix: and attestd's socket, or "
                         "tcti: and a TCTI; for example "
                         "unix:" ATLS_AGENT_SOCKET,
                         quoter);
    ret->attester.quoter.tcti = quoter + 5;
    return ATLS_OK;
}

/* For keys whose other values need features that this version lacks. */
static enum atls_error check_only_value(const struct reader *reader,
                                        const char *key, const char *only,
                                        struct atls_reason *why)
{
    const char *value = find(reader, key);

    if (value != NULL && strcmp(value, only) != 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s = %s: this version supports only %s", key, value,
                         only);
    return ATLS_OK;
}

/* Refuse a relative path: a program may change its directory before the file is read,
 * or read again.
 *   value   NULL: the key is absent
 *   prefix  before the path, or "" */
static enum atls_error check_path(const char *key, const char *value,
                                  const char *prefix, struct atls_reason *why)
{
    const size_t len = strlen(prefix);

    if (value == NULL || strcmp(value, "none") == 0
        || strncmp(value, prefix, len) != 0 || value[len] == '/')
        return ATLS_OK;
    return atls_fail(why, ATLS_E_CONFIG, "%s = %s: expected an absolute path",
                     key, value);
}

static enum atls_error check_paths(const struct reader *reader,
                                   struct atls_reason *why)
{
    static const struct {
        const char *key, *prefix;
    } paths[] = {
        {"attester.ak_auth", "file:"},
        {"attester.ak_chain", ""},
        {"attester.measured_log", ""},
        {"attester.boot_log", ""},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        enum atls_error r =
            check_path(strchr(paths[i].key, '.') + 1,
                       find(reader, paths[i].key), paths[i].prefix, why);

        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error read_key(const struct reader *reader,
                                struct atls_reason *why,
                                struct atls_configuration *ret)
{
    ret->attester.quoter.ak = find(reader, "attester.ak");
    ret->attester.quoter.ak_auth = find(reader, "attester.ak_auth");
    ret->attester.quoter.ak_chain = find(reader, "attester.ak_chain");
    ret->attester.quoter.pcrs = find(reader, "attester.pcrs");
    if (ret->attester.socket != NULL)
        return ATLS_OK; /* the agent has them */
    if (ret->attester.quoter.ak == NULL)
        return atls_fail(why, ATLS_E_CONFIG,
                         "the attester section has no ak, the handle of the "
                         "attestation key; for example ak = 0x81010002");
    if (ret->attester.quoter.ak_chain == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "the attester section has no ak_chain, the PEM file with "
            "the AK's certificate");
    return check_paths(reader, why);
}

/* Without the key it is the kernel's, and optional: many machines have none, and only
 * root may read it. */
static void read_boot_log(const struct reader *reader,
                          struct atls_configuration *ret)
{
    const char *path = find(reader, "attester.boot_log");

    ret->attester.quoter.is_boot_log_optional = path == NULL;
    if (path == NULL)
        ret->attester.quoter.boot_log = KERNEL_BOOT_LOG;
    else if (strcmp(path, "none") != 0)
        ret->attester.quoter.boot_log = path;
}

static enum atls_error refuse_event_log(const struct reader *reader,
                                        struct atls_reason *why)
{
    if (find(reader, "attester.event_log") != NULL)
        return atls_fail(why, ATLS_E_CONFIG, ATLS_EVENT_LOG_REFUSAL);
    return ATLS_OK;
}

static enum atls_error read_attester(const struct reader *reader,
                                     struct atls_reason *why,
                                     struct atls_configuration *ret)
{
    enum atls_error r;

    if ((r = refuse_event_log(reader, why)) != ATLS_OK
        || (r = read_quoter_address(reader, why, ret)) != ATLS_OK
        || (r = read_key(reader, why, ret)) != ATLS_OK
        || (r = check_only_value(reader, "attester.prove_to", "any", why))
               != ATLS_OK
        || (r = check_only_value(reader, "attester.evidence", "live", why))
               != ATLS_OK
        || (r = read_number(reader, "attester.timeout", 1,
                            ATLS_QUOTER_TIMEOUT_MAX_MS, TIMEOUT_DEFAULT_MS, why,
                            &ret->attester.quoter.timeout_ms))
               != ATLS_OK
        || (r = read_number(reader, "attester.max_queue", 1, ATLS_BATCH_MAX,
                            ATLS_BATCH_MAX, why,
                            &ret->attester.quoter.max_queue))
               != ATLS_OK)
        return r;
    read_boot_log(reader, ret);
    ret->attester.quoter.measured_log = find(reader, "attester.measured_log");
    if (ret->attester.quoter.measured_log == NULL)
        ret->attester.quoter.measured_log = atls_measure_default_log();
    else if (strcmp(ret->attester.quoter.measured_log, "none") == 0)
        ret->attester.quoter.measured_log = NULL;
    return read_number(reader, "attester.measure_pcr", ATLS_MEASURE_PCR_MIN,
                       ATLS_MEASURE_PCR_MAX, ATLS_MEASURE_PCR_DEFAULT, why,
                       &ret->attester.quoter.measure_pcr);
}

static enum atls_error read_roles(const struct reader *reader,
                                  struct atls_reason *why,
                                  struct atls_configuration *ret)
{
    const char *broken = find(reader, ATLS_SETTING_BROKEN);
    enum atls_error r;

    if (broken != NULL)
        return atls_fail(why, ATLS_E_CONFIG, "%s", broken);
    if ((r = check_section(reader, "attester", why)) != ATLS_OK
        || (r = check_section(reader, "verifier", why)) != ATLS_OK)
        return r;
    ret->has_attester = has_role(reader, "attester.");
    ret->has_verifier = has_role(reader, "verifier.");
    if (!ret->has_attester && !ret->has_verifier)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "attest is loaded with neither attester nor verifier (a "
            "misspelt key?); see: attest check");
    if (ret->has_verifier) {
        ret->policy = find(reader, "verifier.policy");
        if (ret->policy == NULL)
            return atls_fail(why, ATLS_E_CONFIG,
                             "the verifier section has no policy = FILE");
        return check_path("policy", ret->policy, "", why);
    }
    return ATLS_OK;
}

void atls_configuration_read(const struct atls_setting *settings, size_t count,
                             struct atls_configuration *ret_configuration)
{
    const struct reader reader = {settings, count};
    struct atls_configuration *ret = ret_configuration;

    memset(ret, 0, sizeof(*ret));
    if (read_log(&reader, &ret->broken, ret) != ATLS_OK)
        return;
    if (read_map(&reader, &ret->broken, ret) != ATLS_OK
        || read_roles(&reader, &ret->broken, ret) != ATLS_OK)
        return;
    if (ret->has_attester)
        (void)read_attester(&reader, &ret->attester_broken, ret);
}
