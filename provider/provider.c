/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attest.so: entry point, dispatch table, parameters, teardown; nothing else.
 *
 * Loaded into every program that reads openssl.cnf, ssh and rsync included, so
 * init copies a few strings, registers one ex_data index and does nothing that
 * could fail the load: OpenSSL runs on without a provider that fails. What
 * works is in attest-inner.so, mapped when the first SSL_CTX is made.
 *
 * Which configuration an SSL_CTX belongs to: SSL_CTX_new asks every provider
 * of its library context for its "TLS-GROUP" capability just before it makes
 * the context's ex_data, in the same thread. So the instance asked last in this
 * thread is the one whose library context the new SSL_CTX lives in.
 */
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/ssl.h> /* constants only: libssl is not linked */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "foreign.h"
#include "mapping.h"
#include "settings.h"

static const char *const known_keys[] = {
#define KEY(name) name,
    ATLS_SETTINGS(KEY)
#undef KEY
};
#define KEY_COUNT (sizeof(known_keys) / sizeof(known_keys[0]))

/* One activation of the provider in one library context. */
struct instance {
    atomic_uint refs;
    _Atomic(struct atls_engine *) engine;
    struct atls_engine *outgrown; /* lacked something; others may be using it */
    bool is_late;                 /* loaded when libssl was in use already */
    size_t setting_count;
    struct atls_setting settings[KEY_COUNT];
};

/* These two serve where no instance can: they refuse everything, with their
 * text as the reason. Never freed. */
static struct instance no_memory_instance = {
    .refs = 1,
    .setting_count = 1,
    .settings = {
        {ATLS_SETTING_BROKEN, "out of memory when attest was loaded"}}};
static struct instance contradictory_instance = {
    .refs = 1,
    .setting_count = 1,
    .settings = {{ATLS_SETTING_BROKEN,
                  "attest is activated twice with different settings; keep one "
                  "section for it in openssl.cnf"}}};

static CRYPTO_ONCE hook_once = CRYPTO_ONCE_STATIC_INIT;
static int ctx_index = -1;

/* The first instance, kept for ever: it answers for contexts of library
 * contexts that never asked anybody, should OpenSSL's order ever change. */
static _Atomic(struct instance *) first_instance;
static atomic_bool capabilities_asked;

/* The instance that the SSL_CTX_new running in this thread has asked. */
static _Thread_local struct instance *asked;
static _Thread_local bool asked_two; /* two with different settings */

/* --- instances ---------------------------------------------------------- */

static struct instance *instance_ref(struct instance *instance)
{
    atomic_fetch_add(&instance->refs, 1);
    return instance;
}

static bool is_static(const struct instance *instance)
{
    return instance == &no_memory_instance
           || instance == &contradictory_instance;
}

static void instance_unref(struct instance *instance)
{
    struct atls_engine *engine;

    if (instance == NULL || is_static(instance)
        || atomic_fetch_sub(&instance->refs, 1) != 1)
        return;
    engine = atomic_load(&instance->engine);
    if (engine != NULL) {
        atls_mapping_inner()->engine_unref(engine);
        atls_mapping_inner()->engine_unref(instance->outgrown);
    }
    for (size_t i = 0; i < instance->setting_count; i++)
        OPENSSL_free((void *)(uintptr_t)instance->settings[i].value);
    OPENSSL_free(instance);
}

static bool instances_agree(const struct instance *a, const struct instance *b)
{
    if (a->setting_count != b->setting_count)
        return false;
    for (size_t i = 0; i < a->setting_count; i++)
        if (strcmp(a->settings[i].key, b->settings[i].key) != 0
            || strcmp(a->settings[i].value, b->settings[i].value) != 0)
            return false;
    return true;
}

/* Copies of the values that openssl.cnf has for the keys we know. */
static bool instance_read(struct instance *instance,
                          const OSSL_CORE_HANDLE *handle,
                          OSSL_FUNC_core_get_params_fn *get_params)
{
    char *values[KEY_COUNT] = {NULL};
    OSSL_PARAM params[KEY_COUNT + 1];

    for (size_t i = 0; i < KEY_COUNT; i++)
        params[i] = OSSL_PARAM_construct_utf8_ptr(known_keys[i], &values[i], 0);
    params[KEY_COUNT] = OSSL_PARAM_construct_end();
    if (get_params == NULL || !get_params(handle, params))
        return true; /* no settings: a broken configuration, said later */
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char *copy;

        if (values[i] == NULL)
            continue;
        copy = OPENSSL_strdup(values[i]);
        if (copy == NULL)
            return false;
        instance->settings[instance->setting_count].key = known_keys[i];
        instance->settings[instance->setting_count].value = copy;
        instance->setting_count++;
    }
    return true;
}

/* OpenSSL reads openssl.cnf before the first use of libssl makes its reasons
 * known (OPENSSL_init_ssl): who finds them known was loaded later. */
static bool libssl_is_in_use(void)
{
    return ERR_reason_error_string(
               ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED))
           != NULL;
}

static struct instance *instance_new(const OSSL_CORE_HANDLE *handle,
                                     OSSL_FUNC_core_get_params_fn *get_params)
{
    struct instance *instance;

    ERR_set_mark();
    instance = OPENSSL_zalloc(sizeof(*instance));
    if (instance != NULL) {
        atomic_init(&instance->refs, 1);
        instance->is_late = libssl_is_in_use();
        if (!instance_read(instance, handle, get_params)) {
            instance_unref(instance);
            instance = NULL;
        }
    }
    ERR_pop_to_mark();
    return instance != NULL ? instance : &no_memory_instance;
}

/* --- engines ------------------------------------------------------------ */

static struct atls_engine *engine_new(const struct instance *instance)
{
    struct atls_setting settings[KEY_COUNT + 1];
    size_t count = instance->setting_count;

    memcpy(settings, instance->settings, count * sizeof(settings[0]));
    if (instance->is_late)
        settings[count++] = (struct atls_setting){ATLS_SETTING_LATE, ""};
    return atls_mapping_inner()->engine_new(settings, count, ctx_index);
}

/* The engine of an instance; NULL when out of memory. Several threads may make one
 * at the same moment: one of them stays. An engine that lacks something serves
 * until one that does not can be made, which each new SSL_CTX tries. */
static struct atls_engine *instance_engine(struct instance *instance)
{
    const struct atls_inner *inner = atls_mapping_inner();
    struct atls_engine *engine = atomic_load(&instance->engine);
    struct atls_engine *fresh;

    if (engine != NULL && !inner->engine_lacks(engine))
        return engine;
    fresh = engine_new(instance);
    if (fresh == NULL || (engine != NULL && inner->engine_lacks(fresh))) {
        inner->engine_unref(fresh);
        return engine;
    }
    if (atomic_compare_exchange_strong(&instance->engine, &engine, fresh)) {
        if (engine != NULL)
            instance->outgrown = engine;
        return fresh;
    }
    inner->engine_unref(fresh);
    return engine;
}

/* --- the hook ----------------------------------------------------------- */

static void attach(SSL_CTX *ctx, CRYPTO_EX_DATA *ad, int idx,
                   struct instance *instance)
{
    struct atls_engine *engine;
    void *state = NULL;

    if (atls_mapping_inner() == NULL) {
        atls_mapping_deny(ctx);
        return;
    }
    ERR_set_mark();
    engine = instance_engine(instance);
    if (engine != NULL)
        state = atls_mapping_inner()->attach(engine, ctx);
    if (state == NULL || !CRYPTO_set_ex_data(ad, idx, state)) {
        atls_mapping_inner()->detach(state);
        atls_mapping_inner()->deny(ctx);
    }
    ERR_pop_to_mark();
}

/* Runs inside every SSL_CTX_new of the process (CRYPTO_EX_new). */
static void context_is_made(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                            int idx, long argl, void *argp)
{
    struct instance *instance = asked;
    bool two = asked_two;

    (void)ptr, (void)argl, (void)argp;
    asked = NULL;
    asked_two = false;
    if (instance == NULL) {
        if (atomic_load(&capabilities_asked))
            return; /* its library context has no attest: not ours */
        instance = atomic_load(&first_instance);
        if (instance == NULL)
            return;
        instance_ref(instance);
    }
    if (two) {
        instance_unref(instance);
        instance = &contradictory_instance;
    }
    attach(parent, ad, idx, instance);
    instance_unref(instance);
}

static void context_is_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                             int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    if (ptr != NULL)
        atls_mapping_inner()->detach(ptr);
}

static void install_hook(void)
{
    atls_mapping_begin();
    ctx_index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                context_is_made, NULL, context_is_freed);
}

/* --- the provider's own functions --------------------------------------- */

static int get_capabilities(void *provctx, const char *capability,
                            OSSL_CALLBACK *callback, void *arg)
{
    struct instance *instance = provctx;

    (void)callback, (void)arg;
    if (strcmp(capability, "TLS-GROUP") != 0)
        return 1;
    /* SSL_CTX_new fails with us: a context that merely refuses would do so only
     * until the program gives it a security callback of its own. */
    if (!atls_mapping_check())
        return 0;
    atomic_store(&capabilities_asked, true);
    if (asked == instance)
        return 1;
    if (asked != NULL) {
        asked_two = asked_two || !instances_agree(asked, instance);
        return 1;
    }
    asked = instance_ref(instance);
    return 1;
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL,
                        0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
        OSSL_PARAM_END};

    (void)provctx;
    return types;
}

static int get_params(void *provctx, OSSL_PARAM params[])
{
    static const struct {
        const char *key, *value;
    } texts[] = {
        {OSSL_PROV_PARAM_NAME, "attest: TLS attested by a TPM"},
        {OSSL_PROV_PARAM_VERSION, ATLS_VERSION},
        {OSSL_PROV_PARAM_BUILDINFO, ATLS_VERSION " for " OPENSSL_VERSION_TEXT},
    };
    OSSL_PARAM *p;

    (void)provctx;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        p = OSSL_PARAM_locate(params, texts[i].key);
        if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, texts[i].value))
            return 0;
    }
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    return p == NULL || OSSL_PARAM_set_int(p, 1);
}

static const OSSL_ALGORITHM *query_operation(void *provctx, int operation_id,
                                             int *no_cache)
{
    (void)provctx, (void)operation_id;
    *no_cache = 0;
    return NULL;
}

static void teardown(void *provctx)
{
    instance_unref(provctx);
}

static const OSSL_DISPATCH dispatch_table[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
    {0, NULL}};

/* The strict form: nobody else loads the base provider, so that nothing works
 * without us (design, fact 11). The prefix is there for `default`: OpenSSL takes
 * a value that is a section's name for a section, and `default` is the name of
 * the unnamed one at the top of the file. */
static void load_base(const struct instance *instance, OSSL_LIB_CTX *libctx)
{
    static const char prefix[] = "provider:";
    const char *base =
        atls_setting_find(instance->settings, instance->setting_count, "base");

    if (base == NULL)
        return;
    if (strncmp(base, prefix, sizeof(prefix) - 1) == 0)
        base += sizeof(prefix) - 1;
    (void)OSSL_PROVIDER_load(libctx, base);
}

OSSL_provider_init_fn OSSL_provider_init;
__attribute__((visibility("default"))) int OSSL_provider_init(
    const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
    OSSL_FUNC_core_get_params_fn *core_get_params = NULL;
    OSSL_FUNC_core_get_libctx_fn *core_get_libctx = NULL;
    struct instance *instance, *expected = NULL;

    if (atls_core_is_foreign(handle, in)) {
        atls_foreign_init(handle, in, out, provctx);
        return 1;
    }
    for (; in->function_id != 0; in++) {
        if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            core_get_params = OSSL_FUNC_core_get_params(in);
        else if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            core_get_libctx = OSSL_FUNC_core_get_libctx(in);
    }
    if (!CRYPTO_THREAD_run_once(&hook_once, install_hook) || ctx_index < 0)
        return 0; /* no memory even for an index: nothing we could refuse with */
    instance = instance_new(handle, core_get_params);
    if (core_get_libctx != NULL)
        load_base(instance, (OSSL_LIB_CTX *)core_get_libctx(handle));
    if (atomic_compare_exchange_strong(&first_instance, &expected, instance))
        instance_ref(instance);
    *provctx = instance;
    *out = dispatch_table;
    return 1;
}
