/* SPDX-License-Identifier: BSD-2-Clause */
/* What attest-inner.so exports: one table for attest.so (core.h). */
#include "tls/hook.h"

#include <openssl/err.h>

#include "core.h"
#include "tls/context.h"

__attribute__((used)) static const char interface_mark[] = ATLS_INTERFACE_MARK;

static struct atls_instance *instance_new(const struct atls_setting *settings,
                                          size_t count, int ctx_index)
{
    struct atls_instance *instance;

    atls_hook_init(ctx_index);
    ERR_set_mark();
    instance = atls_instance_new(settings, count);
    ERR_pop_to_mark();
    return instance;
}

/* What a configuration that was read early had to say, is said now. */
static void *attach(struct atls_instance *instance, SSL_CTX *ctx)
{
    atls_log_begin(atls_instance_log(instance));
    return atls_hook_attach(instance, ctx);
}

extern const struct atls_core atls_core;
__attribute__((visibility("default"))) const struct atls_core atls_core = {
    .interface = interface_mark,
    .version = ATLS_VERSION,
    .instance_new = instance_new,
    .instance_unref = atls_instance_unref,
    .instance_lacks = atls_instance_lacks,
    .attach = attach,
    .detach = atls_hook_detach,
    .deny = atls_context_deny,
    .libssl = &atls_context_libssl,
};
