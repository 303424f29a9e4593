/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/service.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/file.h"

#define AUTH_PREFIX "file:"

static void log_of_quoter(void *arg, int level, const char *text)
{
    atls_log_write(arg, (enum atls_log_level)level, "%s", text);
}

static void watch(struct agent_watched *watched, const char *path)
{
    watched->path = path;
    if (path != NULL && stat(path, &watched->st) == 0)
        watched->is_young = atls_file_is_young(&watched->st);
}

static void watch_all(struct agent_service *service)
{
    const struct atls_quoter_config *quoter = &service->configuration.quoter;
    const char *auth = quoter->ak_auth;

    if (auth != NULL && strncmp(auth, AUTH_PREFIX, strlen(AUTH_PREFIX)) == 0)
        auth += strlen(AUTH_PREFIX);
    watch(&service->watched[AGENT_WATCHED_CHAIN], quoter->ak_chain);
    watch(&service->watched[AGENT_WATCHED_AUTH], auth);
    watch(&service->watched[AGENT_WATCHED_BOOT_LOG], quoter->boot_log);
}

static enum atls_error load(struct agent_service *service, const char *path,
                            struct atls_log *log, struct atls_reason *why)
{
    struct agent_configuration *configuration = &service->configuration;
    enum atls_error r;

    r = agent_configuration_load(path, why, configuration);
    if (r != ATLS_OK)
        return r;
    r = agent_configuration_resolve(configuration, why);
    if (r != ATLS_OK)
        return r;
    watch_all(service);
    r = atls_quoter_new(&configuration->quoter, log_of_quoter, log, why,
                        &service->quoter);
    if (r == ATLS_E_CONFIG || r == ATLS_E_IO)
        agent_configuration_locate(configuration, why);
    return r;
}

enum atls_error agent_service_load(const char *path, struct atls_log *log,
                                   struct atls_reason *why,
                                   struct agent_service **ret_service)
{
    struct agent_service *service = OPENSSL_zalloc(sizeof(*service));
    enum atls_error r;

    if (service == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    service->refs = 1;
    r = load(service, path, log, why);
    if (r != ATLS_OK) {
        agent_service_unref(service);
        return r;
    }
    *ret_service = service;
    return ATLS_OK;
}

struct agent_service *agent_service_ref(struct agent_service *service)
{
    service->refs++;
    return service;
}

void agent_service_unref(struct agent_service *service)
{
    if (service == NULL || --service->refs > 0)
        return;
    atls_quoter_free(service->quoter);
    agent_configuration_clear(&service->configuration);
    OPENSSL_free(service);
}

/* A file that cannot be asked for is no reason: there is nothing better than
 * what was read. */
static bool has_changed(const struct agent_watched *watched)
{
    struct stat now;

    return watched->path != NULL && stat(watched->path, &now) == 0
           && (watched->is_young || atls_file_is_other(&now, &watched->st));
}

static bool is_gone(const char *path)
{
    struct stat st;

    return stat(path, &st) != 0 && errno == ENOENT;
}

const char *agent_service_missing(const struct agent_service *service)
{
    const struct atls_file *file = service->configuration.scan.files;

    for (; file != NULL; file = file->next)
        if (is_gone(file->path))
            return file->path;
    for (size_t i = 0; i < AGENT_WATCHED_COUNT; i++) {
        const struct agent_watched *watched = &service->watched[i];

        if (watched->path != NULL && watched->st.st_ino != 0
            && is_gone(watched->path))
            return watched->path;
    }
    return NULL;
}

bool agent_service_is_stale(const struct agent_service *service)
{
    const struct atls_file *file = service->configuration.scan.files;

    if (is_gone(file->path)) /* nothing to take up */
        return false;
    for (; file != NULL; file = file->next)
        if (atls_file_look(file) == ATLS_FILE_CHANGED)
            return true;
    for (size_t i = 0; i < AGENT_WATCHED_COUNT; i++)
        if (has_changed(&service->watched[i]))
            return true;
    return false;
}
