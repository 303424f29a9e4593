/* SPDX-License-Identifier: BSD-2-Clause */
#include "instance.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "configuration.h"
#include "current_policy.h"
#include "openssl_compat.h"
#include "report_sink.h"
#include "verifier/names.h"
#include "verifier/report.h"

/* Section, address, and words. */
#define PEER_TEXT 256

struct atls_instance {
    atomic_uint refs;
    struct atls_reason broken;
    bool has_attester;
    struct atls_reason attester_broken;
    bool lacks_attester; /* by a fault that may go away */
    struct atls_log *log;
    struct atls_report_sink report;
    struct atls_attester *attester;
    struct atls_current_policy *policy; /* NULL without the verifier role */
};

/*
 * Attesters whose threads must have ended before OPENSSL_cleanup frees what they use of
 * libcrypto. The thread that exchanges a slot for NULL owns what was in it, so the end of
 * the program and that of an instance need no lock between them. An attester is used only
 * when it has a slot; a process has few configurations.
 */
#define ATTESTERS_MAX 64u
static _Atomic(struct atls_attester *) attesters[ATTESTERS_MAX];
static CRYPTO_ONCE attesters_once = CRYPTO_ONCE_STATIC_INIT;

static void stop_attesters(void)
{
    for (unsigned i = 0; i < ATTESTERS_MAX; i++) {
        struct atls_attester *attester = atomic_exchange(&attesters[i], NULL);

        if (attester != NULL)
            atls_attester_stop(attester);
    }
}

static void stop_attesters_at_exit(void)
{
    (void)atls_at_exit(stop_attesters);
}

static bool remember_attester(struct atls_attester *attester)
{
    (void)CRYPTO_THREAD_run_once(&attesters_once, stop_attesters_at_exit);
    for (unsigned i = 0; i < ATTESTERS_MAX; i++) {
        struct atls_attester *none = NULL;

        if (atomic_compare_exchange_strong(&attesters[i], &none, attester))
            return true;
    }
    return false;
}

/* Without a slot any more it is being stopped by the end of the program, which keeps it. */
static void free_attester(struct atls_attester *attester)
{
    for (unsigned i = 0; i < ATTESTERS_MAX; i++) {
        struct atls_attester *expected = attester;

        if (atomic_compare_exchange_strong(&attesters[i], &expected, NULL)) {
            atls_attester_free(attester);
            return;
        }
    }
}

static void log_of_attester(void *arg, int level, const char *text)
{
    const struct atls_instance *instance = arg;

    atls_log_write(instance->log, (enum atls_log_level)level, "%s", text);
}

/* tpm2-tss writes its trace to the file that these variables name. In a setuid program
 * that could be any file, with the program's rights. */
static void refuse_trace_of_setuid(struct atls_instance *instance)
{
    if (instance->broken.code == ATLS_OK && getauxval(AT_SECURE) != 0
        && (getenv("TSS2_LOG") != NULL || getenv("TSS2_LOGFILE") != NULL))
        (void)atls_fail(&instance->broken, ATLS_E_CONFIG,
                        "TSS2_LOG or TSS2_LOGFILE is set for a setuid program; "
                        "unset them: tpm2-tss would write where its user says, "
                        "with the program's rights");
}

static bool start(struct atls_instance *instance,
                  const struct atls_configuration *configuration, bool is_early)
{
    instance->log = (is_early ? atls_log_open_held : atls_log_open)(
        configuration->log, configuration->log_level);
    instance->broken = configuration->broken;
    refuse_trace_of_setuid(instance);
    instance->has_attester = configuration->has_attester;
    instance->attester_broken = configuration->attester_broken;
    if (instance->log == NULL && configuration->log != NULL)
        return false;
    if (instance->broken.code != ATLS_OK) {
        atls_log_write(instance->log, ATLS_LOG_ERROR,
                       "every handshake is refused: %s", instance->broken.text);
        return true;
    }
    if (instance->has_attester && instance->attester_broken.code == ATLS_OK
        && atls_attester_new(&configuration->attester, log_of_attester,
                             instance, &instance->attester_broken,
                             &instance->attester)
               != ATLS_OK)
        instance->attester = NULL;
    if (instance->attester != NULL && !remember_attester(instance->attester)) {
        atls_attester_free(instance->attester);
        instance->attester = NULL;
        (void)atls_fail(&instance->attester_broken, ATLS_E_LIMIT,
                        "this program has more than %u attest configurations "
                        "that prove; let its library contexts share one",
                        ATTESTERS_MAX);
    }
    instance->lacks_attester = configuration->attester_broken.code == ATLS_OK
                               && instance->attester_broken.code != ATLS_OK;
    if (instance->attester_broken.code != ATLS_OK)
        atls_log_write(instance->log, ATLS_LOG_ERROR,
                       "cannot prove this machine: %s",
                       instance->attester_broken.text);
    if (!configuration->has_verifier)
        return true;
    instance->policy =
        atls_current_policy_new(configuration->policy, instance->log);
    return instance->policy != NULL;
}

struct atls_instance *atls_instance_new(const struct atls_setting *settings,
                                        size_t count)
{
    struct atls_instance *instance = OPENSSL_zalloc(sizeof(*instance));
    struct atls_configuration configuration;
    int saved = errno;

    if (instance == NULL)
        return NULL;
    atomic_init(&instance->refs, 1);
    atls_report_sink_open(&instance->report);
    atls_configuration_read(settings, count, &configuration);
    if (!start(instance, &configuration,
               atls_setting_find(settings, count, ATLS_SETTING_EARLY)
                   != NULL)) {
        atls_instance_unref(instance);
        instance = NULL;
    } else if (atls_setting_find(settings, count, ATLS_SETTING_LATE) != NULL) {
        atls_log_write(
            instance->log, ATLS_LOG_WARN,
            "this program used TLS before it loaded attest: SSL_CTX "
            "objects made until then are not attested; load it first, "
            "by openssl.cnf");
    }
    errno = saved;
    return instance;
}

struct atls_instance *atls_instance_ref(struct atls_instance *instance)
{
    atomic_fetch_add(&instance->refs, 1);
    return instance;
}

void atls_instance_unref(struct atls_instance *instance)
{
    if (instance == NULL || atomic_fetch_sub(&instance->refs, 1) != 1)
        return;
    if (instance->attester != NULL)
        free_attester(instance->attester);
    atls_current_policy_free(instance->policy);
    atls_report_sink_close(&instance->report);
    atls_log_close(instance->log);
    OPENSSL_free(instance);
}

struct atls_log *atls_instance_log(const struct atls_instance *instance)
{
    return instance->log;
}

bool atls_instance_lacks(const struct atls_instance *instance)
{
    return instance->lacks_attester;
}

const struct atls_reason *atls_instance_broken(
    const struct atls_instance *instance)
{
    return &instance->broken;
}

bool atls_instance_has_verifier(const struct atls_instance *instance)
{
    return instance->policy != NULL;
}

bool atls_instance_has_attester(const struct atls_instance *instance)
{
    return instance->has_attester;
}

enum atls_error atls_instance_policy(struct atls_instance *instance,
                                     struct atls_reason *why,
                                     struct atls_policy **ret_policy)
{
    *ret_policy = NULL;
    if (instance->policy == NULL)
        return ATLS_OK;
    return atls_current_policy_get(instance->policy, why, ret_policy);
}

void atls_instance_set_look_interval(struct atls_instance *instance,
                                     unsigned ms)
{
    if (instance->policy != NULL)
        atls_current_policy_set_interval(instance->policy, ms);
}

enum atls_error atls_instance_begin(struct atls_instance *instance,
                                    enum atls_role role,
                                    const uint8_t channel[ATLS_CHANNEL_LEN],
                                    struct atls_span cert_der,
                                    const struct atls_formats *formats,
                                    struct atls_reason *why,
                                    struct atls_pending **ret_pending)
{
    if (instance->attester_broken.code != ATLS_OK)
        return atls_fail_as(why, &instance->attester_broken);
    return atls_attester_begin(instance->attester, role, channel, cert_der,
                               formats, why, ret_pending);
}

static void print_report(int fd, const struct atls_report *report,
                         const char *peer, const struct atls_section *section)
{
    enum atls_report_style style = ATLS_REPORT_PLAIN;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return;
    if (isatty(fd) && getenv("NO_COLOR") == NULL)
        style = ATLS_REPORT_COLOUR;
    atls_report_print(report, peer, section, style, true, out);
    if (fclose(out) == 0 && text != NULL)
        atls_report_sink_write(fd, text, len);
    free(text);
}

void atls_instance_report(struct atls_instance *instance,
                          const struct atls_report *report, const char *peer,
                          const char *found_by,
                          const struct atls_section *section)
{
    char because[PEER_TEXT] = "";
    int saved = errno;
    int fd = atls_report_sink_get(&instance->report);

    if (found_by != NULL && section != NULL
        && strstr(report->reason.text, found_by) == NULL)
        (void)snprintf(because, sizeof(because), " (section %s lists %s%s)",
                       section->name, found_by,
                       atls_name_kind(found_by) == ATLS_NAME_ADDRESS
                           ? ", perhaps a proxy's address"
                           : "");
    if (report->verdict == ATLS_OK)
        atls_log_write(instance->log, ATLS_LOG_INFO,
                       "%s is trusted: %s, section %s", peer, report->machine,
                       section != NULL ? section->name : "-");
    else
        atls_log_write(instance->log,
                       report->is_observed ? ATLS_LOG_WARN : ATLS_LOG_ERROR,
                       "%s %s: %s%s", peer,
                       report->is_observed ? "would be refused" : "is refused",
                       report->reason.text, because);
    if (fd >= 0)
        print_report(fd, report, peer, section);
    errno = saved;
}
