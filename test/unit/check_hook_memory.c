/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L11: no memory while the provider is loaded and while its hook runs in
 * SSL_CTX_new. Each allocation of the module and of OpenSSL fails in turn; a
 * context that is made all the same does what its policy says, or refuses.
 */
#include <check.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/allocation.h"
#include "lib/hookcase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

/* More than SSL_CTX_new has. */
#define ALLOCATIONS_MAX 20000

/* Returns false when there are fewer allocations than that. */
static bool make_short_of_memory(OSSL_LIB_CTX *libctx, size_t nth,
                                 SSL_CTX **ret_ctx)
{
    size_t count;

    ERR_clear_error();
    allocation_fail_only(nth);
    *ret_ctx = SSL_CTX_new_ex(libctx, NULL, TLS_client_method());
    count = allocation_count();
    allocation_fail_at(0);
    need(*ret_ctx != NULL || nth <= count);
    return nth <= count;
}

/* A policy that cannot be read refuses all: no failure makes it pass. */
static void refuses_without_memory(int warm)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *shut = library("shut.cnf");
    SSL_CTX *server = server_of(plain), *client;
    size_t made = 0, nth = 1;

    if (warm) {
        client = client_of(shut);
        need(!shake(server, client));
        SSL_CTX_free(client);
    }
    while (nth < ALLOCATIONS_MAX && make_short_of_memory(shut, nth, &client)) {
        if (client != NULL) {
            made++;
            need(!shake(server, client));
            need(client_reason[0] != '\0');
            SSL_CTX_free(client);
        }
        nth++;
    }
    need(nth > 100 && nth < ALLOCATIONS_MAX);
    need(made > 0);
    need(!shake(server, client));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(shut);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L11_no_failure_makes_a_refusing_context_pass)
{
    in_child(refuses_without_memory, _i, 0);
}
END_TEST

/* Where we had no memory we say so, and the next context is whole again. (OpenSSL
 * itself goes on with less, and then has no suitable algorithm, say.) */
static void says_why(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *open = library("open.cnf");
    SSL_CTX *server = server_of(plain), *client;
    size_t refused = 0, nth = 1;

    (void)unused;
    while (nth < ALLOCATIONS_MAX && make_short_of_memory(open, nth, &client)) {
        if (client != NULL && !shake(server, client))
            refused += strstr(client_reason, "memory") != NULL;
        SSL_CTX_free(client);
        nth++;
    }
    need(refused > 0);
    need(shake(server, client));
    SSL_CTX_free(client);
    client = client_of(open);
    need(shake(server, client));
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(open);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L11_who_refuses_for_want_of_memory_says_so)
{
    in_child(says_why, 0, 0);
}
END_TEST

/* While the module is loaded. OpenSSL may do without a module that it cannot
 * load (C1), and then gives no provider; one that it gives enforces. */
static void loads(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf");
    SSL_CTX *server = server_of(plain);
    size_t loaded = 0, count = 0;

    (void)unused;
    for (size_t nth = 1; nth <= count + 1; nth++) {
        OSSL_LIB_CTX *libctx = library("plain.cnf");
        OSSL_PROVIDER *attest;

        allocation_fail_only(nth);
        attest = OSSL_PROVIDER_load(libctx, module_of_build());
        count = allocation_count();
        allocation_fail_at(0);
        if (attest != NULL) {
            SSL_CTX *client = client_of(libctx);

            loaded++;
            need(!shake(server, client)); /* loaded without settings */
            SSL_CTX_free(client);
            OSSL_PROVIDER_unload(attest);
        }
        OSSL_LIB_CTX_free(libctx);
        ERR_clear_error();
    }
    need(count > 5 && loaded > 1);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L11_a_provider_loaded_without_memory_refuses)
{
    in_child(loads, 0, 0);
}
END_TEST

/* --- map = start --------------------------------------------------------------- */

static size_t nth_to_fail;

/* The provider that attest loads in its own init (`base`), just before it makes itself
 * ready: what OpenSSL allocates before that is not of interest here, and 3.0 uses freed
 * memory where some of it fails. */
static int begin_to_fail(const OSSL_CORE_HANDLE *handle,
                         const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                         void **provctx)
{
    static const OSSL_DISPATCH nothing[] = {{0, NULL}};

    (void)handle, (void)in;
    *out = nothing;
    *provctx = &nth_to_fail;
    allocation_fail_only(nth_to_fail);
    return 1;
}

/* Returns the allocations from then to the end of the load. */
static size_t load_and_fail(const char *configuration, size_t nth,
                            OSSL_LIB_CTX **ret_libctx)
{
    size_t count;

    *ret_libctx = OSSL_LIB_CTX_new();
    need(*ret_libctx != NULL);
    need(OSSL_PROVIDER_add_builtin(*ret_libctx, "trigger", begin_to_fail) == 1);
    nth_to_fail = nth;
    need(OSSL_LIB_CTX_load_config(*ret_libctx, scratch_path(configuration))
         == 1);
    count = allocation_count();
    allocation_fail_at(0);
    ERR_clear_error();
    need(OSSL_PROVIDER_available(*ret_libctx, "attest") == 1);
    return count;
}

/* What could not be made at the start is made with the first context; none passes. */
static void made_ready(int unused)
{
    static const char providers[] = "default = default_sect";
    OSSL_LIB_CTX *plain = library("plain.cnf"), *libctx;
    SSL_CTX *server = server_of(plain), *client;
    size_t without, with;
    char keys[512];

    (void)unused;
    leave_leaks();
    snprintf(keys, sizeof(keys), "base = provider:trigger\nlog = %s",
             scratch_path("log"));
    write_text("strict", "[policy]\notherwise = require\nnameless = refuse\n");
    write_section("first.cnf", module_of_build(), "strict", keys, providers);
    snprintf(keys, sizeof(keys),
             "base = provider:trigger\nmap = start\nlog = %s",
             scratch_path("log"));
    write_section("start.cnf", module_of_build(), "strict", keys, providers);
    without = load_and_fail("first.cnf", 0, &libctx);
    OSSL_LIB_CTX_free(libctx);
    with = load_and_fail("start.cnf", 0, &libctx);
    OSSL_LIB_CTX_free(libctx);
    need(with > without + 10);
    for (size_t nth = 1; nth <= with - without; nth++) {
        (void)load_and_fail("start.cnf", nth, &libctx);
        client = client_of(libctx);
        need(!shake(server, client));
        need_reason("peer.example");
        SSL_CTX_free(client);
        OSSL_LIB_CTX_free(libctx);
    }
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L11_a_provider_made_ready_without_memory_refuses)
{
    in_child(made_ready, 0, 0);
}
END_TEST

static void begin(void)
{
    allocation_install();
    hookcase_begin();
}

static const struct suite_test tests[] = {
    LOOP(test_L11_no_failure_makes_a_refusing_context_pass, 0, 2),
    ONCE(test_L11_who_refuses_for_want_of_memory_says_so),
    ONCE(test_L11_a_provider_loaded_without_memory_refuses),
    ONCE(test_L11_a_provider_made_ready_without_memory_refuses),
};

SUITE(.name = "hook_memory", .begin = begin, .end = hookcase_end,
      .cases = {CASE("hook_memory", tests, HOOKCASE_SECONDS, NULL, NULL)});
