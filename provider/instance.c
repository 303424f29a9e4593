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
 * the child's old policies until its engine goes. */
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

struct atls_engine {
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
 * of the program and that of an engine need no lock between them. An attester is
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
    const struct atls_engine *engine = arg;

    atls_log_write(engine->log, (enum atls_log_level)level, "%s", text);
}

static void log_warnings(const struct atls_engine *engine,
                         const struct atls_policy *policy)
{
    const char *warning;

    for (size_t i = 0; (warning = atls_policy_warning(policy, i)) != NULL; i++)
        atls_log_write(engine->log, ATLS_LOG_WARN, "%s", warning);
}

/* Another process's is a thread that a fork left behind. */
static bool begin_loading(struct atls_engine *engine)
{
    unsigned self = atls_process_generation() + 1;
    unsigned found = 0;

    if (atomic_compare_exchange_strong(&engine->loader, &found, self))
        return true;
    return found != self
           && atomic_compare_exchange_strong(&engine->loader, &found, self);
}

static void end_loading(struct atls_engine *engine)
{
    atomic_store(&engine->loader, 0);
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

/* Called by whoever loads, or while the engine is made. */
static bool load_policy(struct atls_engine *engine)
{
    struct loaded_policy *loaded = OPENSSL_zalloc(sizeof(*loaded));
    struct loaded_policy *older = atomic_load(&engine->current);

    atomic_store(&engine->is_unread, loaded == NULL);
    if (loaded == NULL)
        return false;
    if (atls_policy_load(engine->policy_path, &loaded->reason, &loaded->policy)
        == ATLS_OK)
        log_warnings(engine, loaded->policy);
    else
        atomic_store(&engine->is_unread, is_worth_another_try(loaded));
    if (loaded->policy == NULL && older != NULL && older->policy == NULL
        && strcmp(older->reason.text, loaded->reason.text) == 0) {
        OPENSSL_free(loaded); /* as invalid as before, and already said */
        return true;
    }
    if (loaded->policy == NULL)
        atls_log_write(engine->log, ATLS_LOG_ERROR,
                       "every handshake is refused: %s", loaded->reason.text);
    loaded->older = older;
    atomic_store(&engine->current, loaded);
    return true;
}

/* Files that cannot be looked at from here, but could be from where the engine was
 * made: after a chroot nothing is better than what we have. */
static bool is_out_of_reach(struct atls_engine *engine, int error)
{
    struct viewpoint now = viewpoint_now();
    const struct viewpoint *then = &engine->viewpoint;
    bool has_other_root =
        now.device != then->device || now.inode != then->inode;
    bool has_other_rights = now.uid != then->uid || now.gid != then->gid;

    if (!has_other_root && !(has_other_rights && error == EACCES))
        return false;
    if (!atomic_exchange(&engine->is_out_of_reach, true))
        atls_log_write(engine->log, ATLS_LOG_WARN,
                       "the policy %s cannot be followed any longer: this "
                       "program has %s since it was read; restart it after "
                       "changes, or let it reach the files",
                       engine->policy_path,
                       has_other_root ? "another root" : "other rights");
    return true;
}

/* Of a policy that could not be loaded nobody knows the files: it is read again,
 * as the repair may have come. */
static bool must_load(struct atls_engine *engine)
{
    const struct loaded_policy *current = atomic_load(&engine->current);
    struct stat st;

    if (current->policy == NULL)
        return stat(engine->policy_path, &st) == 0
               || !is_out_of_reach(engine, errno);
    switch (atls_policy_look(current->policy)) {
    case ATLS_FILE_SAME:
        return false;
    case ATLS_FILE_GONE:
        return !is_out_of_reach(engine, errno);
    case ATLS_FILE_CHANGED:
        break;
    }
    return true;
}

/* Of several threads one looks. */
static bool is_time_to_look(struct atls_engine *engine)
{
    int_least64_t now_ms = atls_now_ms();
    int_least64_t looked_ms = atomic_load(&engine->looked_ms);

    if (atomic_load(&engine->is_unread))
        return true;
    return now_ms >= looked_ms + engine->look_interval_ms
           && atomic_compare_exchange_strong(&engine->looked_ms, &looked_ms,
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
static void drop_replaced(struct atls_engine *engine)
{
    struct loaded_policy *current = atomic_load(&engine->current);

    if (atomic_load(&engine->readers) > 0)
        return;
    free_policies(current->older);
    current->older = NULL;
}

/* What is in force. */
static enum atls_error take_policy(struct atls_engine *engine,
                                   struct atls_reason *why,
                                   struct atls_policy **ret_policy)
{
    const struct loaded_policy *current;
    enum atls_error r = ATLS_OK;

    atomic_fetch_add(&engine->readers, 1);
    current = atomic_load(&engine->current);
    if (current->policy != NULL) {
        *ret_policy = atls_policy_ref(current->policy);
    } else {
        *why = current->reason;
        r = current->reason.code;
    }
    atomic_fetch_sub(&engine->readers, 1);
    return r;
}

/* tpm2-tss writes its trace to whatever file these name. In a program that has more
 * rights than who starts it (setuid), that would be any file. */
static void refuse_to_be_led(struct atls_engine *engine)
{
    if (engine->broken.code == ATLS_OK && getauxval(AT_SECURE) != 0
        && (getenv("TSS2_LOG") != NULL || getenv("TSS2_LOGFILE") != NULL))
        (void)atls_fail(&engine->broken, ATLS_E_CONFIG,
                        "TSS2_LOG or TSS2_LOGFILE is set for a setuid program; "
                        "unset them: tpm2-tss would write where its user says, "
                        "with the program's rights");
}

static bool start(struct atls_engine *engine,
                  const struct atls_configuration *configuration, bool is_early)
{
    engine->log = (is_early ? atls_log_open_held : atls_log_open)(
        configuration->log, configuration->log_level);
    engine->broken = configuration->broken;
    refuse_to_be_led(engine);
    engine->has_attester = configuration->has_attester;
    engine->attester_broken = configuration->attester_broken;
    if (engine->log == NULL && configuration->log != NULL)
        return false;
    if (engine->broken.code != ATLS_OK) {
        atls_log_write(engine->log, ATLS_LOG_ERROR,
                       "every handshake is refused: %s", engine->broken.text);
        return true;
    }
    if (engine->has_attester && engine->attester_broken.code == ATLS_OK
        && atls_attester_new(&configuration->attester, log_of_attester, engine,
                             &engine->attester_broken, &engine->attester)
               != ATLS_OK)
        engine->attester = NULL;
    if (engine->attester != NULL && !remember_attester(engine->attester)) {
        atls_attester_free(engine->attester);
        engine->attester = NULL;
        (void)atls_fail(&engine->attester_broken, ATLS_E_LIMIT,
                        "this program has more than %u attest configurations "
                        "that prove; let its library contexts share one",
                        ATTESTERS_MAX);
    }
    engine->lacks_attester = configuration->attester_broken.code == ATLS_OK
                             && engine->attester_broken.code != ATLS_OK;
    if (engine->attester_broken.code != ATLS_OK)
        atls_log_write(engine->log, ATLS_LOG_ERROR,
                       "cannot prove this machine: %s",
                       engine->attester_broken.text);
    if (!configuration->has_verifier)
        return true;
    engine->viewpoint = viewpoint_now();
    engine->look_interval_ms = LOOK_INTERVAL_MS;
    atomic_store(&engine->looked_ms, atls_now_ms());
    engine->policy_path = OPENSSL_strdup(configuration->policy);
    return engine->policy_path != NULL && load_policy(engine);
}

struct atls_engine *atls_engine_new(const struct atls_setting *settings,
                                    size_t count)
{
    struct atls_engine *engine = OPENSSL_zalloc(sizeof(*engine));
    struct atls_configuration configuration;
    int saved = errno;

    if (engine == NULL)
        return NULL;
    atomic_init(&engine->refs, 1);
    atls_report_sink_open(&engine->report);
    atls_configuration_read(settings, count, &configuration);
    if (!start(engine, &configuration,
               atls_setting_find(settings, count, ATLS_SETTING_EARLY)
                   != NULL)) {
        atls_engine_unref(engine);
        engine = NULL;
    } else if (atls_setting_find(settings, count, ATLS_SETTING_LATE) != NULL) {
        atls_log_write(
            engine->log, ATLS_LOG_WARN,
            "this program used TLS before it loaded attest: SSL_CTX "
            "objects made until then are not attested; load it first, "
            "by openssl.cnf");
    }
    errno = saved;
    return engine;
}

struct atls_engine *atls_engine_ref(struct atls_engine *engine)
{
    atomic_fetch_add(&engine->refs, 1);
    return engine;
}

void atls_engine_unref(struct atls_engine *engine)
{
    if (engine == NULL || atomic_fetch_sub(&engine->refs, 1) != 1)
        return;
    if (engine->attester != NULL)
        free_attester(engine->attester);
    free_policies(atomic_load(&engine->current));
    atls_report_sink_close(&engine->report);
    atls_log_close(engine->log);
    OPENSSL_free(engine->policy_path);
    OPENSSL_free(engine);
}

struct atls_log *atls_engine_log(const struct atls_engine *engine)
{
    return engine->log;
}

bool atls_engine_lacks(const struct atls_engine *engine)
{
    return engine->lacks_attester;
}

const struct atls_reason *atls_engine_broken(const struct atls_engine *engine)
{
    return &engine->broken;
}

bool atls_engine_has_verifier(const struct atls_engine *engine)
{
    return engine->policy_path != NULL;
}

bool atls_engine_has_attester(const struct atls_engine *engine)
{
    return engine->has_attester;
}

enum atls_error atls_engine_policy(struct atls_engine *engine,
                                   struct atls_reason *why,
                                   struct atls_policy **ret_policy)
{
    *ret_policy = NULL;
    if (engine->policy_path == NULL)
        return ATLS_OK;
    if (is_time_to_look(engine) && begin_loading(engine)) {
        if (must_load(engine) && load_policy(engine))
            drop_replaced(engine);
        end_loading(engine);
    }
    return take_policy(engine, why, ret_policy);
}

void atls_engine_set_look_interval(struct atls_engine *engine, unsigned ms)
{
    engine->look_interval_ms = ms;
}

enum atls_error atls_engine_begin(struct atls_engine *engine,
                                  enum atls_role role,
                                  const uint8_t channel[ATLS_CHANNEL_LEN],
                                  struct atls_span cert_der,
                                  const struct atls_formats *formats,
                                  struct atls_reason *why,
                                  struct atls_pending **ret_pending)
{
    if (engine->attester_broken.code != ATLS_OK) {
        *why = engine->attester_broken;
        return why->code;
    }
    return atls_attester_begin(engine->attester, role, channel, cert_der,
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

void atls_engine_report(struct atls_engine *engine,
                        const struct atls_report *report, const char *peer,
                        const char *found_by,
                        const struct atls_section *section)
{
    char because[PEER_TEXT] = "";
    int saved = errno;
    int fd = atls_report_sink_get(&engine->report);

    if (found_by != NULL && section != NULL
        && strstr(report->reason.text, found_by) == NULL)
        (void)snprintf(because, sizeof(because), " (section %s lists %s%s)",
                       section->name, found_by,
                       atls_name_kind(found_by) == ATLS_NAME_ADDRESS
                           ? ", perhaps a proxy's address"
                           : "");
    if (report->verdict == ATLS_OK)
        atls_log_write(engine->log, ATLS_LOG_INFO,
                       "%s is trusted: %s, section %s", peer, report->machine,
                       section != NULL ? section->name : "-");
    else
        atls_log_write(engine->log,
                       report->is_observed ? ATLS_LOG_WARN : ATLS_LOG_ERROR,
                       "%s %s: %s%s", peer,
                       report->is_observed ? "would be refused" : "is refused",
                       report->reason.text, because);
    if (fd >= 0)
        print_report(fd, report, peer, section);
    errno = saved;
}
