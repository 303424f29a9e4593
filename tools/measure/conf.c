/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/measure/conf.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/log_room.h"
#include "attester/measure.h"
#include "tools/common/cnfscan.h"
#include "evidence/pcr.h"
#include "tools/common/tool.h"

#define TCTI_DEFAULT "device:/dev/tpmrm0"
#define AGENT_SECTION "attestd"
#define TCTI_PREFIX "tcti:"
#define UNIX_PREFIX "unix:"

static bool begins_with(const char *text, const char *prefix)
{
    return text != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

/* A file that cannot be scanned is not the agent's; its reader reports the
 * error. */
static bool is_agents(const char *path)
{
    struct atls_reason ignored = {0};
    struct cnf_scan *scan = NULL;
    bool found;

    if (tool_cnf_scan_file(path, &ignored, &scan) != ATLS_OK)
        return false;
    found = tool_cnf_scan_find(scan, AGENT_SECTION, NULL) != NULL;
    tool_cnf_scan_free(scan);
    return found;
}

static enum atls_error load_agents(const char *path, struct atls_reason *why,
                                   struct measure_conf *conf)
{
    enum atls_error r = agent_configuration_load(path, why, &conf->agent);

    if (r != ATLS_OK)
        return r;
    conf->path = path;
    conf->is_agents = true;
    return ATLS_OK;
}

static const char *quoter_of(const struct tool_conf *openssl)
{
    return tool_conf_get(openssl, openssl->attester, "quoter");
}

/* A system without an openssl.cnf is fine. */
static enum atls_error load_default(const char *agent_path,
                                    struct atls_reason *why,
                                    struct measure_conf *conf)
{
    enum atls_error r = tool_conf_load(NULL, why, &conf->openssl);

    if (r != ATLS_OK && r != ATLS_E_IO)
        return r;
    if (conf->openssl != NULL
        && begins_with(quoter_of(conf->openssl), TCTI_PREFIX))
        return ATLS_OK;
    if (access(agent_path, F_OK) != 0)
        return ATLS_OK;
    tool_conf_free(conf->openssl);
    conf->openssl = NULL;
    return load_agents(agent_path, why, conf);
}

enum atls_error tool_measure_conf_load(const char *path, const char *agent_path,
                                       struct atls_reason *why,
                                       struct measure_conf *ret_conf)
{
    struct measure_conf conf = {.is_named = path != NULL};
    enum atls_error r;

    if (path == NULL)
        r = load_default(agent_path, why, &conf);
    else if (is_agents(path))
        r = load_agents(path, why, &conf);
    else
        r = tool_conf_load(path, why, &conf.openssl);
    if (r != ATLS_OK)
        return r;
    if (conf.openssl != NULL)
        conf.path = conf.openssl->path;
    *ret_conf = conf;
    return ATLS_OK;
}

void tool_measure_conf_clear(struct measure_conf *conf)
{
    if (conf->is_agents)
        agent_configuration_clear(&conf->agent);
    tool_conf_free(conf->openssl);
    *conf = (struct measure_conf){.path = NULL};
}

/* An extend cannot be undone: a file named by mistake must not lead to this
 * machine's own TPM and log. */
static enum atls_error check_says_where(const struct measure_conf *conf,
                                        const struct measure_target *target,
                                        struct atls_reason *why)
{
    if (!conf->is_named || (target->tcti != NULL && target->log != NULL))
        return ATLS_OK;
    if (conf->openssl->attester == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s: no attester is configured there, to say which TPM "
            "and log; name another file, or --tcti and --log",
            conf->path);
    if (begins_with(quoter_of(conf->openssl), UNIX_PREFIX))
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: quoter = unix: leaves TPM and log to the agent; "
                         "name its file instead: --conf %s",
                         conf->path, AGENT_CONFIGURATION_PATH);
    return ATLS_OK;
}

static enum atls_error tcti_of_quoter(const struct tool_conf *openssl,
                                      struct atls_reason *why,
                                      const char **ret_tcti)
{
    const char *quoter = quoter_of(openssl);

    if (quoter == NULL || begins_with(quoter, UNIX_PREFIX))
        return ATLS_OK;
    if (!begins_with(quoter, TCTI_PREFIX))
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s: [%s] quoter must begin with tcti: or unix:, is %s",
            openssl->path, openssl->attester, quoter);
    *ret_tcti = quoter + strlen(TCTI_PREFIX);
    return ATLS_OK;
}

static enum atls_error complete_by_openssl(const struct tool_conf *openssl,
                                           struct measure_target *target,
                                           struct atls_reason *why)
{
    const char *pcr = tool_conf_get(openssl, openssl->attester, "measure_pcr");

    if (target->pcr == 0 && pcr != NULL
        && !tool_number(pcr, ATLS_MEASURE_PCR_MIN, ATLS_MEASURE_PCR_MAX,
                        &target->pcr))
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: [%s] measure_pcr must be %u to %u, is %s",
                         openssl->path, openssl->attester, ATLS_MEASURE_PCR_MIN,
                         ATLS_MEASURE_PCR_MAX, pcr);
    if (tool_conf_get(openssl, openssl->attester, "event_log") != NULL)
        return atls_fail(why, ATLS_E_CONFIG, "%s: [%s] " ATLS_EVENT_LOG_REFUSAL,
                         openssl->path, openssl->attester);
    if (target->log == NULL)
        target->log = tool_conf_get(openssl, openssl->attester, "measured_log");
    if (target->tcti == NULL)
        return tcti_of_quoter(openssl, why, &target->tcti);
    return ATLS_OK;
}

static void complete_by_agents(const struct atls_quoter_config *quoter,
                               struct measure_target *target)
{
    if (target->tcti == NULL)
        target->tcti = quoter->tcti;
    if (target->log == NULL)
        target->log = quoter->measured_log;
    if (target->pcr == 0)
        target->pcr = quoter->measure_pcr;
}

static void complete_by_default(struct measure_target *target)
{
    if (target->tcti == NULL)
        target->tcti = TCTI_DEFAULT;
    if (target->pcr == 0)
        target->pcr = ATLS_MEASURE_PCR_DEFAULT;
    if (target->log == NULL)
        target->log = atls_measure_default_log();
    /* At this time of a boot our folder may not exist yet. If it cannot be
     * made, opening the log reports that. */
    if (strcmp(target->log, ATLS_OWN_LOG) == 0)
        (void)mkdir("/run/attest", 0755);
}

enum atls_error tool_measure_conf_complete(const struct measure_conf *conf,
                                           struct measure_target *target,
                                           struct atls_reason *why)
{
    enum atls_error r;

    if (conf->openssl != NULL
        && ((r = check_says_where(conf, target, why)) != ATLS_OK
            || (r = complete_by_openssl(conf->openssl, target, why))
                   != ATLS_OK))
        return r;
    if (conf->is_agents)
        complete_by_agents(&conf->agent.quoter, target);
    complete_by_default(target);
    return ATLS_OK;
}

/* Keys that do not affect lengths get any legal value. */
void tool_measure_conf_outline(const struct measure_conf *conf,
                               const struct measure_target *target,
                               struct atls_evidence *ret_outline)
{
    const struct tool_conf *openssl = conf->openssl;
    struct atls_quoter_config config = {
        .tcti = target->tcti,
        .ak = "any",
        .measured_log = target->log,
        .measure_pcr = target->pcr,
        .timeout_ms = 1,
        .max_queue = 1,
    };

    if (conf->is_agents) {
        config.ak_chain = conf->agent.quoter.ak_chain;
        config.pcrs = conf->agent.quoter.pcrs;
    } else if (openssl != NULL) {
        config.ak_chain = tool_conf_get(openssl, openssl->attester, "ak_chain");
        config.pcrs = tool_conf_get(openssl, openssl->attester, "pcrs");
    }
    atls_log_room_outline(config.ak_chain != NULL ? &config : NULL,
                          ret_outline);
}
