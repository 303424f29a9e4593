/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * provider/asked.c: what happens to other contexts while SSL_CTX_new makes one, by
 * other providers and by ex_data functions (lib/hookcase.h).
 */
#include <check.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "asked_libraries.h"
#include "lib/hookcase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

/* --- one is freed ------------------------------------------------------------------ */

static SSL_CTX *to_be_freed;

/* Within SSL_CTX_new, between its question and our hook. */
static void free_another(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
                         long argl, void *argp)
{
    SSL_CTX *ctx = to_be_freed;

    (void)parent, (void)ptr, (void)ad, (void)idx, (void)argl, (void)argp;
    to_be_freed = NULL;
    SSL_CTX_free(ctx);
}

/* It is not what is half made, and no context goes unattested for it. */
static void one_is_freed_meanwhile(int is_older)
{
    OSSL_LIB_CTX *before = library("plain.cnf");
    SSL_CTX *older = client_of(before), *client;

    need(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, free_another,
                                 NULL, NULL)
         >= 0);
    begin();
    if (!is_older) {
        SSL_CTX_free(older);
        older = client_of(plain);
    }
    to_be_freed = older;
    client = client_of(shut);
    need(to_be_freed == NULL);
    need(!shake(server, client));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(before);
    end();
}

START_TEST(test_S35_another_context_is_freed_meanwhile)
{
    in_child(one_is_freed_meanwhile, _i, 0);
}
END_TEST

/* --- an SSL_CTX within an SSL_CTX ------------------------------------------------ */

static OSSL_LIB_CTX *nested_in, *nested_bare;
static bool nested_passes;
static unsigned nested_count;

/* Made while another SSL_CTX is. */
static void nest(void)
{
    OSSL_LIB_CTX *libctx = nested_in;
    SSL_CTX *client;

    if (libctx == NULL)
        return;
    nested_in = NULL; /* this one has none within it */
    nested_count++;
    if (nested_bare != NULL) {
        need(SSL_CTX_new_ex(nested_bare, NULL, TLS_client_method()) == NULL);
        ERR_clear_error();
    }
    client = client_of(libctx);
    if (nested_passes)
        need(shake(server, client));
    SSL_CTX_free(client);
}

static void nest_in_ex_data(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
                            int idx, long argl, void *argp)
{
    (void)parent, (void)ptr, (void)ad, (void)idx, (void)argl, (void)argp;
    nest();
}

static int nest_in_capabilities(void *provctx, const char *capability,
                                OSSL_CALLBACK *callback, void *arg)
{
    (void)provctx, (void)callback, (void)arg;
    if (strcmp(capability, "TLS-GROUP") == 0)
        nest();
    return 1;
}

static int nester_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES,
         (void (*)(void))nest_in_capabilities},
        {0, NULL}};

    (void)handle, (void)in;
    *out = functions;
    *provctx = &nested_count;
    return 1;
}

/* A context that is made within that of another goes by that one's policy, or its
 * own; the other never goes by none. */
static void one_is_made_meanwhile(int which)
{
    const bool by_provider = which % 2 != 0, has_failure = which % 4 >= 2;
    OSSL_PROVIDER *nester = NULL;
    OSSL_LIB_CTX *outer;
    SSL_CTX *client;

    if (!by_provider)
        need(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL,
                                     nest_in_ex_data, NULL, NULL)
             >= 0);
    begin();
    outer = which >= 8 ? open_one : shut;
    if (by_provider) {
        need(OSSL_PROVIDER_add_builtin(outer, "nester", nester_init) == 1);
        nester = OSSL_PROVIDER_load(outer, "nester");
        need(nester != NULL);
    }
    nested_bare = has_failure ? bare_library() : NULL;
    nested_in = which % 8 >= 4 ? (outer == shut ? open_one : shut) : plain;
    nested_passes = nested_in == open_one;
    client = client_of(outer);
    need(nested_count == 1);
    need(shake(server, client) == (outer == open_one));
    if (outer == shut)
        need_reason("missing: cannot be opened");
    SSL_CTX_free(client);
    OSSL_PROVIDER_unload(nester);
    OSSL_LIB_CTX_free(nested_bare);
    end();
}

START_TEST(test_S35_an_SSL_CTX_within_an_SSL_CTX)
{
    in_child(one_is_made_meanwhile, _i, 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S35_another_context_is_freed_meanwhile, 0, 2),
    LOOP(test_S35_an_SSL_CTX_within_an_SSL_CTX, 0, 16),
};

SUITE(.name = "asked_nested", .begin = hookcase_begin, .end = hookcase_end,
      .cases = {CASE("asked_nested", tests, HOOKCASE_SECONDS, NULL, NULL)});
