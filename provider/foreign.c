/* SPDX-License-Identifier: BSD-2-Clause */
#include "foreign.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

/* Reason codes of our own in the other library. */
#define REASON_FOREIGN 1u
#define REASON_PROBE 0x5a7u

/* The brief sentence, which programs show, at most ATLS_BRIEF_SIZE; and the whole. */
#define BRIEF_WORDS                                                      \
    "this program has an OpenSSL of its own, in which attest can guard " \
    "nothing"
static const char brief_words[] = BRIEF_WORDS;
static const char words[] =
    BRIEF_WORDS ": no TLS for it; build it with the system's libssl, or give "
                "it an OPENSSL_CONF without attest";
_Static_assert(sizeof(brief_words) <= ATLS_BRIEF_SIZE, "see error.h");

/* The functions of a library that we call. */
struct core {
    const OSSL_CORE_HANDLE *handle;
    OSSL_FUNC_core_get_params_fn *get_params;
    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_vset_error_fn *vset_error;
    OSSL_FUNC_core_set_error_mark_fn *set_error_mark;
    OSSL_FUNC_core_pop_error_to_mark_fn *pop_error_to_mark;
};

static void core_of(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                    struct core *ret)
{
    *ret = (struct core){.handle = handle};
    for (; in->function_id != 0; in++) {
        switch (in->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            ret->get_params = OSSL_FUNC_core_get_params(in);
            break;
        case OSSL_FUNC_CORE_NEW_ERROR:
            ret->new_error = OSSL_FUNC_core_new_error(in);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            ret->vset_error = OSSL_FUNC_core_vset_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_MARK:
            ret->set_error_mark = OSSL_FUNC_core_set_error_mark(in);
            break;
        case OSSL_FUNC_CORE_POP_ERROR_TO_MARK:
            ret->pop_error_to_mark = OSSL_FUNC_core_pop_error_to_mark(in);
            break;
        default:
            break;
        }
    }
}

/* The library takes a va_list, which only a variadic function has.
 *   data  a format without conversions, or NULL */
static void raise_in(const struct core *core, uint32_t reason, const char *data,
                     ...)
{
    va_list none;

    va_start(none, data);
    core->new_error(core->handle);
    core->vset_error(core->handle, reason, data, none);
    va_end(none);
}

/* The addresses of its functions prove nothing: they may lie in a program's PLT. So
 * compare the state: an error that this library raises is in our queue or not. */
bool atls_core_is_foreign(const OSSL_CORE_HANDLE *handle,
                          const OSSL_DISPATCH *functions)
{
    struct core core;
    unsigned long found;

    core_of(handle, functions, &core);
    core.set_error_mark(handle);
    raise_in(&core, REASON_PROBE, NULL);
    found = ERR_peek_last_error();
    core.pop_error_to_mark(handle);
    return found == 0 || ERR_GET_REASON(found) != (int)REASON_PROBE;
}

/* --- as a provider of that library -------------------------------------- */

static void write_log(const struct core *core)
{
    char *target = NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_ptr("log", &target, 0),
                           OSSL_PARAM_construct_end()};
    struct atls_log *log;

    if (!core->get_params(core->handle, params) || target == NULL)
        return;
    log = atls_log_open(target, ATLS_LOG_ERROR);
    atls_log_write(log, ATLS_LOG_ERROR, "%s", words);
    atls_log_close(log);
}

/* SSL_CTX_new asks, and fails when we do. From 3.5 on it raises an error of its own
 * then, which is the last: nothing in that library calls us after it.
 *   provctx  NULL without memory for it: there is no reason then */
static int get_capabilities(void *provctx, const char *capability,
                            OSSL_CALLBACK *callback, void *arg)
{
    const struct core *core = provctx;

    (void)callback, (void)arg;
    if (strcmp(capability, "TLS-GROUP") != 0)
        return 1;
    if (core != NULL) {
        raise_in(core, REASON_FOREIGN, words);
        write_log(core);
    }
    return 0;
}

static const OSSL_ITEM *get_reason_strings(void *provctx)
{
    static const OSSL_ITEM reasons[] = {
        {REASON_FOREIGN, (void *)(uintptr_t)brief_words}, {0, NULL}};

    (void)provctx;
    return reasons;
}

static void teardown(void *provctx)
{
    OPENSSL_free(provctx);
}

static const OSSL_DISPATCH dispatch_table[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
    {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))get_reason_strings},
    {0, NULL}};

void atls_foreign_init(const OSSL_CORE_HANDLE *handle,
                       const OSSL_DISPATCH *functions,
                       const OSSL_DISPATCH **ret_dispatch, void **ret_provctx)
{
    struct core *core = OPENSSL_malloc(sizeof(*core));

    if (core != NULL)
        core_of(handle, functions, core);
    *ret_dispatch = dispatch_table;
    *ret_provctx = core;
}
