/* SPDX-License-Identifier: BSD-2-Clause */
#include "instance.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "configuration.h"
#include "openssl_compat.h"
#include "base/process.h"
#include "report_sink.h"
#include "verifier/names.h"
#include "verifier/report.h"

/* Section, address, and words. */
#define PEER_TEXT 256

/* How often files are looked at. */
#define LOOK_INTERVAL_MS 1000

/* A policy that is or was in force. Readers need no lock (one could be held by a
 * thread that does not exist in a forked child): they announce themselves, take a
 * reference and are gone. What was replaced is let go when nobody is announced:
 * who comes later finds what is current. A reader that a fork left behind keeps
 * the child's old policies until its instance goes. */
struct loaded_policy {
    struct atls_policy *policy; /* NULL: reason tells why */
    struct atls_reason reason;
    struct loaded_policy *older;
};

/* From where files are looked at: after a chroot, or as another user, those of a
 * policy may be out of reach. */
struct viewpoint {
    dev_t device;
    ino_t inode;
    uid_t uid;
    gid_t gid;
};

struct atls_instance {
    atomic_uint refs;
    char *policy_path; /* NULL without the verifier role */
    struct atls_reason broken;
    bool has_attester;
    struct atls_reason attester_broken;
    bool lacks_attester; /* broken by what may change */
    struct atls_log *log;
    struct atls_report_sink report;
    struct atls_attester *attester;
    _Atomic(struct loaded_policy *) current;
    atomic_uint readers; /* of current, just now */
    atomic_uint loader;  /* generation + 1 of who is loading a policy; or 0 */
    unsigned look_interval_ms;
    atomic_int_least64_t looked_ms; /* at the files of current */
    atomic_bool is_unread; /* they could not be read, and may be readable now */
    struct viewpoint viewpoint;  /* when it was made */
    atomic_bool is_out_of_reach; /* and the administrator knows it */
};

/*
 * Attesters whose threads must have ended before OPENSSL_cleanup takes libcrypto
 * away under them. Who exchanges a slot for NULL owns what was in it, so the end
 * of the program and that of an instance need no lock between them. An attester is
 * only used when it has a slot; a process has few configurations.
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

/* The program's end may be stopping it at this moment: then it is left to it. */
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

static void log_warnings(const struct atls_instance *instance,
                         const struct atls_policy *policy)
{
    const char *warning;

    for (size_t i = 0; (warning = atls_policy_warning(policy, i)) != NULL; i++)
        atls_log_write(instance->log, ATLS_LOG_WARN, "%s", warning);
}

/* Another process's is a thread that a fork left behind. */
static bool begin_loading(struct atls_instance *instance)
{
    unsigned self = atls_process_generation() + 1;
    unsigned found = 0;

    if (atomic_compare_exchange_strong(&instance->loader, &found, self))
        return true;
    return found != self
           && atomic_compare_exchange_strong(&instance->loader, &found, self);
}

static void end_loading(struct atls_instance *instance)
{
    atomic_store(&instance->loader, 0);
}

static struct viewpoint viewpoint_now(void)
{
    struct viewpoint viewpoint = {.uid = geteuid(), .gid = getegid()};
    struct stat root;

    if (stat("/", &root) == 0) {
        viewpoint.device = root.st_dev;
        viewpoint.inode = root.st_ino;
    }
    return viewpoint;
}

/* What could not be read, for want of descriptors perhaps, is tried again with the
 * next handshake. */
static bool is_worth_another_try(const struct loaded_policy *loaded)
{
    return loaded->reason.code == ATLS_E_IO
           || loaded->reason.code == ATLS_E_NOMEM;
}

/* Called by whoever loads, or while the instance is made. */
static bool load_policy(struct atls_instance *instance)
{
    struct loaded_policy *loaded = OPENSSL_zalloc(sizeof(*loaded));
    struct loaded_policy *older = atomic_load(&instance->current);

    atomic_store(&instance->is_unread, loaded == NULL);
    if (loaded == NULL)
        return false;
    if (atls_policy_load(instance->policy_path, &loaded->reason,
                         &loaded->policy)
        == ATLS_OK)
        log_warnings(instance, loaded->policy);
    else
        atomic_store(&instance->is_unread, is_worth_another_try(loaded));
    if (loaded->policy == NULL && older != NULL && older->policy == NULL
        && strcmp(older->reason.text, loaded->reason.text) == 0) {
        OPENSSL_free(loaded); /* as invalid as before, and already said */
        return true;
    }
    if (loaded->policy == NULL)
        atls_log_write(instance->log, ATLS_LOG_ERROR,
                       "every handshake is refused: %s", loaded->reason.text);
    loaded->older = older;
    atomic_store(&instance->current, loaded);
    return true;
}

/* Files that cannot be looked at from here, but could be from where the instance was
 * made: after a chroot nothing is better than what we have. */
static bool is_out_of_reach(struct atls_instance *instance, int error)
{
    struct viewpoint now = viewpoint_now();
    const struct viewpoint *then = &instance->viewpoint;
    bool has_other_root =
        now.device != then->device || now.inode != then->inode;
    bool has_other_rights = now.uid != then->uid || now.gid != then->gid;

    if (!has_other_root && !(has_other_rights && error == EACCES))
        return false;
    if (!atomic_exchange(&instance->is_out_of_reach, true))
        atls_log_write(instance->log, ATLS_LOG_WARN,
                       "the policy %s cannot be followed any longer: this "
                       "program has %s since it was read; restart it after "
                       "changes, or let it reach the files",
                       instance->policy_path,
                       has_other_root ? "another root" : "other rights");
    return true;
}

/* Of a policy that could not be loaded nobody knows the files: it is read again,
 * as the repair may have come. */
static bool must_load(struct atls_instance *instance)
{
    const struct loaded_policy *current = atomic_load(&instance->current);
    struct stat st;

    if (current->policy == NULL)
        return stat(instance->policy_path, &st) == 0
               || !is_out_of_reach(instance, errno);
    switch (atls_policy_look(current->policy)) {
    case ATLS_FILE_SAME:
        return false;
    case ATLS_FILE_GONE:
        return !is_out_of_reach(instance, errno);
    case ATLS_FILE_CHANGED:
        break;
    }
    return true;
}

/* Of several threads one looks. */
static bool is_time_to_look(struct atls_instance *instance)
{
    int_least64_t now_ms = atls_now_ms();
    int_least64_t looked_ms = atomic_load(&instance->looked_ms);

    if (atomic_load(&instance->is_unread))
        return true;
    return now_ms >= looked_ms + instance->look_interval_ms
           && atomic_compare_exchange_strong(&instance->looked_ms, &looked_ms,
                                             now_ms);
}

static void free_policies(struct loaded_policy *loaded)
{
    while (loaded != NULL) {
        struct loaded_policy *older = loaded->older;

        atls_policy_unref(loaded->policy);
        OPENSSL_free(loaded);
        loaded = older;
    }
}

/* Called by whoever loads. */
static void drop_replaced(struct atls_instance *instance)
{
    struct loaded_policy *current = atomic_load(&instance->current);

    if (atomic_load(&instance->readers) > 0)
        return;
    free_policies(current->older);
    current->older = NULL;
}

/* What is in force. */
static enum atls_error take_policy(struct atls_instance *instance,
                                   struct atls_reason *why,
                                   struct atls_policy **ret_policy)
{
    const struct loaded_policy *current;
    enum atls_error r = ATLS_OK;

    atomic_fetch_add(&instance->readers, 1);
    current = atomic_load(&instance->current);
    if (current->policy != NULL) {
        *ret_policy = atls_policy_ref(current->policy);
    } else {
        *why = current->reason;
        r = current->reason.code;
    }
    atomic_fetch_sub(&instance->readers, 1);
    return r;
}

/* tpm2-tss writes its trace to whatever file these name. In a program that has more
 * rights than who starts it (setuid), that would be any file. */
static void refuse_to_be_led(struct atls_instance *instance)
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
    refuse_to_be_led(instance);
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
    instance->viewpoint = viewpoint_now();
    instance->look_interval_ms = LOOK_INTERVAL_MS;
    atomic_store(&instance->looked_ms, atls_now_ms());
    instance->policy_path = OPENSSL_strdup(configuration->policy);
    return instance->policy_path != NULL && load_policy(instance);
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
    free_policies(atomic_load(&instance->current));
    atls_report_sink_close(&instance->report);
    atls_log_close(instance->log);
    OPENSSL_free(instance->policy_path);
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
    return instance->policy_path != NULL;
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
    if (instance->policy_path == NULL)
        return ATLS_OK;
    if (is_time_to_look(instance) && begin_loading(instance)) {
        if (must_load(instance) && load_policy(instance))
            drop_replaced(instance);
        end_loading(instance);
    }
    return take_policy(instance, why, ret_policy);
}

void atls_instance_set_look_interval(struct atls_instance *instance,
                                     unsigned ms)
{
    instance->look_interval_ms = ms;
}

enum atls_error atls_instance_begin(struct atls_instance *instance,
                                    enum atls_role role,
                                    const uint8_t channel[ATLS_CHANNEL_LEN],
                                    struct atls_span cert_der,
                                    const struct atls_formats *formats,
                                    struct atls_reason *why,
                                    struct atls_pending **ret_pending)
{
    if (instance->attester_broken.code != ATLS_OK) {
        *why = instance->attester_broken;
        return why->code;
    }
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
