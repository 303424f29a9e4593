/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attest.so: entry point, dispatch table, parameters, teardown; nothing else.
 *
 * Loaded into every program that reads openssl.cnf, ssh and rsync included, so
 * init copies a few strings, registers one ex_data index and does nothing that
 * could make the load fail: OpenSSL runs on without a provider that fails. The rest
 * is in attest-inner.so, mapped when the first SSL_CTX is made, or in init where the
 * settings say so.
 */
#include <errno.h>
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "activation.h"
#include "asked.h"
#include "foreign.h"
#include "loader.h"
#include "raise.h"

static CRYPTO_ONCE hook_once = CRYPTO_ONCE_STATIC_INIT;
static int ctx_index = -1;

/* Never freed: it answers for contexts of library contexts that have asked no provider,
 * where OpenSSL's order is not known (asked.h). */
static _Atomic(struct atls_activation *) first_activation;

/* The place in the stack from which OpenSSL calls us. */
#define FRAME ((uintptr_t)__builtin_frame_address(0))

/* --- the hook ----------------------------------------------------------- */

static void attach(SSL_CTX *ctx, CRYPTO_EX_DATA *ad, int idx,
                   struct atls_activation *activation)
{
    struct atls_instance *instance;
    void *state = NULL;

    if (atls_loader_core() == NULL) {
        atls_loader_deny(ctx);
        return;
    }
    ERR_set_mark();
    instance = atls_activation_instance(activation, ctx_index);
    if (instance != NULL)
        state = atls_loader_core()->attach(instance, ctx);
    if (state == NULL || !CRYPTO_set_ex_data(ad, idx, state)) {
        atls_loader_core()->detach(state);
        atls_loader_core()->deny(ctx);
    }
    ERR_pop_to_mark();
}

/* Called within every SSL_CTX_new of the process (CRYPTO_EX_new). */
static void context_is_made(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                            int idx, long argl, void *argp)
{
    struct atls_activation *activation =
        atls_asked_take(parent, FRAME, atomic_load(&first_activation));
    int saved = errno;

    (void)ptr, (void)argl, (void)argp;
    if (activation == NULL)
        return; /* its library context has no attest */
    attach(parent, ad, idx, activation);
    atls_activation_unref(activation);
    errno = saved;
}

static void context_is_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                             int idx, long argl, void *argp)
{
    (void)ad, (void)idx, (void)argl, (void)argp;
    if (ptr != NULL)
        atls_loader_core()->detach(ptr);
    else if (atls_asked_drop(parent, FRAME))
        atls_raise(atls_loader_reason());
}

static void install_hook(void)
{
    atls_loader_begin();
    ctx_index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                context_is_made, NULL, context_is_freed);
}

/* --- the provider's own functions --------------------------------------- */

static int get_capabilities(void *provctx, const char *capability,
                            OSSL_CALLBACK *callback, void *arg)
{
    (void)arg;
    if (strcmp(capability, "TLS-GROUP") != 0)
        return 1;
    /* Make SSL_CTX_new fail: a context that refuses would do so only until the program
     * sets a security callback of its own. */
    if (atls_loader_core() == NULL) {
        atls_raise(atls_loader_reason());
        atls_asked_refuse((uintptr_t)callback);
        atls_activation_log(provctx, atls_loader_reason());
        return 0;
    }
    atls_asked_note(provctx, (uintptr_t)callback, FRAME);
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
    atls_activation_unref(provctx);
}

static const OSSL_DISPATCH dispatch_table[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
    {0, NULL}};

/* The strict form: only this call loads the base provider, so that nothing works
 * without us (design, fact 11). The prefix is for `default`: OpenSSL takes a value that
 * is a section's name for a section, and `default` is the name of the unnamed one at
 * the top of the file. */
static void load_base(const struct atls_activation *activation,
                      OSSL_LIB_CTX *libctx)
{
    static const char prefix[] = "provider:";
    const char *base = atls_activation_setting(activation, "base");

    if (base == NULL)
        return;
    if (strncmp(base, prefix, sizeof(prefix) - 1) == 0)
        base += sizeof(prefix) - 1;
    (void)OSSL_PROVIDER_load(libctx, base);
}

/* Called last, so that nothing of the load depends on it. */
static void start(struct atls_activation *activation)
{
    const char *map = atls_activation_setting(activation, "map");

    if (map != NULL && strcmp(map, "start") == 0)
        atls_activation_start(activation, ctx_index);
}

OSSL_provider_init_fn OSSL_provider_init;
__attribute__((visibility("default"))) int OSSL_provider_init(
    const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
    OSSL_FUNC_core_get_params_fn *core_get_params = NULL;
    OSSL_FUNC_core_get_libctx_fn *core_get_libctx = NULL;
    struct atls_activation *activation, *expected = NULL;
    OSSL_LIB_CTX *libctx = NULL;

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
        return 0; /* no memory even for an index, without which we cannot refuse */
    if (core_get_libctx != NULL)
        libctx = (OSSL_LIB_CTX *)core_get_libctx(handle);
    activation = atls_activation_new(handle, core_get_params, libctx);
    if (libctx != NULL)
        load_base(activation, libctx);
    if (atomic_compare_exchange_strong(&first_activation, &expected,
                                       activation))
        atls_activation_ref(activation);
    start(activation);
    *provctx = activation;
    *out = dispatch_table;
    return 1;
}
