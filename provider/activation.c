/* SPDX-License-Identifier: BSD-2-Clause */
#include "activation.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/ssl.h> /* constants only: libssl is not linked */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "loader.h"
#include "settings.h"

static const char *const known_keys[] = {
#define KEY(name) name,
    ATLS_SETTINGS(KEY)
#undef KEY
};
#define KEY_COUNT (sizeof(known_keys) / sizeof(known_keys[0]))

struct atls_activation {
    atomic_uint refs;
    _Atomic(struct atls_instance *) instance;
    struct atls_instance *replaced; /* lacked something; may still be in use */
    const OSSL_LIB_CTX *libctx;     /* only compared; NULL: not known */
    bool is_late;                   /* loaded when libssl was in use already */
    size_t setting_count;
    struct atls_setting settings[KEY_COUNT];
};

/* These two refuse everything, with their text as the reason. Never freed. */
static struct atls_activation no_memory = {
    .refs = 1,
    .setting_count = 1,
    .settings = {
        {ATLS_SETTING_BROKEN, "out of memory when attest was loaded"}}};
static struct atls_activation contradiction = {
    .refs = 1,
    .setting_count = 1,
    .settings = {{ATLS_SETTING_BROKEN,
                  "attest is activated twice with different settings; keep one "
                  "section for it in openssl.cnf"}}};

struct atls_activation *atls_activation_contradiction(void)
{
    return &contradiction;
}

struct atls_activation *atls_activation_ref(struct atls_activation *activation)
{
    atomic_fetch_add(&activation->refs, 1);
    return activation;
}

static bool is_static(const struct atls_activation *activation)
{
    return activation == &no_memory || activation == &contradiction;
}

void atls_activation_unref(struct atls_activation *activation)
{
    struct atls_instance *instance;

    if (activation == NULL || is_static(activation)
        || atomic_fetch_sub(&activation->refs, 1) != 1)
        return;
    instance = atomic_load(&activation->instance);
    if (instance != NULL) {
        atls_loader_core()->instance_unref(instance);
        atls_loader_core()->instance_unref(activation->replaced);
    }
    for (size_t i = 0; i < activation->setting_count; i++)
        OPENSSL_free((void *)(uintptr_t)activation->settings[i].value);
    OPENSSL_free(activation);
}

/* --- settings -------------------------------------------------------------- */

/* Copies of the values that openssl.cnf has for the keys we know. */
static bool read_settings(struct atls_activation *activation,
                          const OSSL_CORE_HANDLE *handle,
                          OSSL_FUNC_core_get_params_fn *get_params)
{
    char *values[KEY_COUNT] = {NULL};
    OSSL_PARAM params[KEY_COUNT + 1];

    for (size_t i = 0; i < KEY_COUNT; i++)
        params[i] = OSSL_PARAM_construct_utf8_ptr(known_keys[i], &values[i], 0);
    params[KEY_COUNT] = OSSL_PARAM_construct_end();
    if (get_params == NULL || !get_params(handle, params))
        return true; /* no settings: a broken configuration, reported later */
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char *copy;

        if (values[i] == NULL)
            continue;
        copy = OPENSSL_strdup(values[i]);
        if (copy == NULL)
            return false;
        activation->settings[activation->setting_count].key = known_keys[i];
        activation->settings[activation->setting_count].value = copy;
        activation->setting_count++;
    }
    return true;
}

/* OpenSSL reads openssl.cnf before the first use of libssl registers its reason strings
 * (OPENSSL_init_ssl): a provider that finds them was loaded later. */
static bool libssl_is_in_use(void)
{
    return ERR_reason_error_string(
               ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED))
           != NULL;
}

struct atls_activation *atls_activation_new(
    const OSSL_CORE_HANDLE *handle, OSSL_FUNC_core_get_params_fn *get_params,
    OSSL_LIB_CTX *libctx)
{
    struct atls_activation *activation;

    ERR_set_mark();
    activation = OPENSSL_zalloc(sizeof(*activation));
    if (activation != NULL) {
        atomic_init(&activation->refs, 1);
        activation->libctx = libctx;
        activation->is_late = libssl_is_in_use();
        if (!read_settings(activation, handle, get_params)) {
            atls_activation_unref(activation);
            activation = NULL;
        }
    }
    ERR_pop_to_mark();
    return activation != NULL ? activation : &no_memory;
}

const char *atls_activation_setting(const struct atls_activation *activation,
                                    const char *key)
{
    return atls_setting_find(activation->settings, activation->setting_count,
                             key);
}

bool atls_activation_is_beside(const struct atls_activation *a,
                               const struct atls_activation *b)
{
    return a->libctx == NULL || b->libctx == NULL || a->libctx == b->libctx;
}

bool atls_activation_agrees(const struct atls_activation *a,
                            const struct atls_activation *b)
{
    if (a->setting_count != b->setting_count)
        return false;
    for (size_t i = 0; i < a->setting_count; i++)
        if (strcmp(a->settings[i].key, b->settings[i].key) != 0
            || strcmp(a->settings[i].value, b->settings[i].value) != 0)
            return false;
    return true;
}

void atls_activation_log(const struct atls_activation *activation,
                         const struct atls_reason *why)
{
    static _Atomic(const struct atls_reason *) last;
    struct atls_log *log;

    if (atomic_exchange(&last, why) == why)
        return;
    log = atls_log_open(atls_activation_setting(activation, "log"),
                        ATLS_LOG_ERROR);
    atls_log_write(log, ATLS_LOG_ERROR, "no TLS context can be made: %s",
                   why->text);
    atls_log_close(log);
}

/* --- the instance ------------------------------------------------------------ */

static struct atls_instance *instance_new(
    const struct atls_activation *activation, bool is_early, int ctx_index)
{
    struct atls_setting settings[KEY_COUNT + 2];
    size_t count = activation->setting_count;

    memcpy(settings, activation->settings, count * sizeof(settings[0]));
    if (activation->is_late)
        settings[count++] = (struct atls_setting){ATLS_SETTING_LATE, ""};
    if (is_early)
        settings[count++] = (struct atls_setting){ATLS_SETTING_EARLY, ""};
    return atls_loader_core()->instance_new(settings, count, ctx_index);
}

void atls_activation_start(struct atls_activation *activation, int ctx_index)
{
    int saved = errno;

    ERR_set_mark();
    if (atls_loader_core() != NULL)
        atomic_store(&activation->instance,
                     instance_new(activation, true, ctx_index));
    ERR_pop_to_mark();
    errno = saved;
}

/* Several threads may make one at the same moment: one of them is kept. An instance
 * that lacks something is used until one that lacks nothing can be made, which is tried
 * for each new SSL_CTX. */
struct atls_instance *atls_activation_instance(
    struct atls_activation *activation, int ctx_index)
{
    const struct atls_core *core = atls_loader_core();
    struct atls_instance *instance = atomic_load(&activation->instance);
    struct atls_instance *fresh;

    if (instance != NULL && !core->instance_lacks(instance))
        return instance;
    fresh = instance_new(activation, false, ctx_index);
    if (fresh == NULL || (instance != NULL && core->instance_lacks(fresh))) {
        core->instance_unref(fresh);
        return instance;
    }
    if (atomic_compare_exchange_strong(&activation->instance, &instance,
                                       fresh)) {
        if (instance != NULL)
            activation->replaced = instance;
        return fresh;
    }
    core->instance_unref(fresh);
    return instance;
}
