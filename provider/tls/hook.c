/* SPDX-License-Identifier: BSD-2-Clause */
/* What attest-inner.so exports: one table for attest.so (core.h). */
#include "tls/hook.h"

#include <openssl/err.h>

#include "core.h"
#include "tls/context.h"

__attribute__((used)) static const char interface_mark[] = ATLS_INTERFACE_MARK;

static struct atls_engine *engine_new(const struct atls_setting *settings,
                                      size_t count, int ctx_index)
{
    struct atls_engine *engine;

    atls_hook_init(ctx_index);
    ERR_set_mark();
    engine = atls_engine_new(settings, count);
    ERR_pop_to_mark();
    return engine;
}

/* What a configuration that was read early had to say, is said now. */
static void *attach(struct atls_engine *engine, SSL_CTX *ctx)
{
    atls_log_begin(atls_engine_log(engine));
    return atls_hook_attach(engine, ctx);
}

extern const struct atls_inner atls_inner;
__attribute__((visibility("default"))) const struct atls_inner atls_inner = {
    .interface = interface_mark,
    .version = ATLS_VERSION,
    .engine_new = engine_new,
    .engine_unref = atls_engine_unref,
    .engine_lacks = atls_engine_lacks,
    .attach = attach,
    .detach = atls_hook_detach,
    .deny = atls_context_deny,
    .libssl = &atls_context_libssl,
};
