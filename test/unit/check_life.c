/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many configurations in one process, and one that comes and goes many times: the
 * module as it is built (lib/hookcase.h) on a machine that proves itself.
 */
#include <check.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/sanitizer.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* ATTESTERS_MAX of provider/instance.c. */
#define CONFIGURATIONS_MAX 64
/* What an allocator keeps for itself, of 1,000 cycles; a leak of a certificate
 * or a policy would be ten times as much. */
#if IS_SANITIZED
#define FLAT_KIB \
    1000000 /* they keep what was freed, and tell of leaks themselves */
#else
#define FLAT_KIB 512
#endif

/* --- L9: each its own ------------------------------------------------------------ */

#define ROUNDS 12

/* A configuration, what its handshakes come to, and what its log alone says. */
static const struct world {
    const char *name;
    enum lifecase_key proves, trusts;
    const char *reason; /* NULL: they pass */
} worlds[] = {
    {"first", LIFECASE_FIRST, LIFECASE_FIRST, NULL},
    {"second", LIFECASE_SECOND, LIFECASE_SECOND, NULL},
    {"other-key", LIFECASE_SECOND, LIFECASE_FIRST, "AK"},
    {"other-root", LIFECASE_FIRST, LIFECASE_SECOND, "AK"},
    {"no-key", LIFECASE_NO_KEY, LIFECASE_FIRST, "sent no attestation evidence"},
    {"shut", LIFECASE_NO_KEY, LIFECASE_NO_KEY, "missing: cannot be opened"},
    {"open", LIFECASE_NO_KEY, LIFECASE_NO_KEY, NULL},
    {"plain", LIFECASE_NO_KEY, LIFECASE_NO_KEY, NULL},
};

/* Made beforehand: library() is of one thread. */
static char files[COUNT(worlds)][512];

static void *live_in(void *arg)
{
    const struct world *world = arg;

    for (int i = 0; i < ROUNDS; i++) {
        OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

        need(OSSL_LIB_CTX_load_config(libctx, files[world - worlds]) == 1);
        for (int j = 0; j < 2; j++) {
            need(lifecase_shake(libctx) == (world->reason == NULL));
            if (world->reason != NULL)
                need_reason(world->reason);
        }
        OSSL_LIB_CTX_free(libctx);
    }
    return NULL;
}

static void need_own_log(const struct world *world)
{
    char file[64], *log;

    snprintf(file, sizeof(file), "%s.log", world->name);
    log = scratch_read(file, NULL);
    if (world->reason == NULL)
        need(strstr(log, "refused") == NULL);
    else
        need(strstr(log, world->reason) != NULL);
    free(log);
}

/* The quoters' threads of the one end while those of another quote. */
static void eight_worlds(int unused)
{
    pthread_t threads[COUNT(worlds)];

    (void)unused;
    for (size_t i = 0; i < COUNT(worlds); i++) {
        char name[64];

        snprintf(name, sizeof(name), "%s.cnf", worlds[i].name);
        snprintf(files[i], sizeof(files[i]), "%s", scratch_path(name));
    }
    for (size_t i = 0; i < COUNT(worlds); i++)
        need(pthread_create(&threads[i], NULL, live_in,
                            (void *)(uintptr_t)&worlds[i])
             == 0);
    for (size_t i = 0; i < COUNT(worlds); i++)
        need(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < 5; i++)
        need_own_log(&worlds[i]);
}

START_TEST(test_L9_eight_configurations_at_once)
{
    for (size_t i = 0; i < 5; i++)
        lifecase_configure(worlds[i].name, worlds[i].proves, worlds[i].trusts);
    in_child(eight_worlds, 0, 0);
}
END_TEST

/* One more than there is room for, until one goes. */
static void too_many(int unused)
{
    OSSL_LIB_CTX *libctx[CONFIGURATIONS_MAX + 1];
    SSL_CTX *kept[CONFIGURATIONS_MAX];
    char *log;

    (void)unused;
    for (int i = 0; i < CONFIGURATIONS_MAX; i++) {
        libctx[i] = library("first.cnf");
        kept[i] = server_of(libctx[i]);
    }
    need(lifecase_shake(libctx[CONFIGURATIONS_MAX - 1]));
    libctx[CONFIGURATIONS_MAX] = library("first.cnf");
    need(!lifecase_shake(libctx[CONFIGURATIONS_MAX]));
    need_reason(
        "this program has more than 64 attest configurations that prove");
    log = scratch_read("first.log", NULL);
    need(strstr(log, "cannot prove this machine: this program has more than 64")
         != NULL);
    free(log);
    /* There is room when the library context and the last SSL_CTX of one are
     * gone. */
    SSL_CTX_free(kept[7]);
    need(!lifecase_shake(libctx[CONFIGURATIONS_MAX]));
    OSSL_LIB_CTX_free(libctx[7]);
    need(lifecase_shake(libctx[CONFIGURATIONS_MAX]));
    OSSL_LIB_CTX_free(libctx[CONFIGURATIONS_MAX]);
    libctx[7] = library("first.cnf");
    kept[7] = server_of(libctx[7]);
    need(lifecase_shake(libctx[7]));
    for (int i = 0; i < CONFIGURATIONS_MAX; i++) {
        SSL_CTX_free(kept[i]);
        OSSL_LIB_CTX_free(libctx[i]);
    }
}

START_TEST(test_L9_one_configuration_too_many)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(too_many, 0, 0);
}
END_TEST

/* --- L2, L13: flat ---------------------------------------------------------------- */

/* Connections and contexts are alive when the provider goes. */
static void come_and_go(int number)
{
    OSSL_LIB_CTX *libctx = library("first.cnf");
    SSL_CTX *server = server_of(libctx), *client = client_of(libctx);
    SSL *of_server = SSL_new(server), *of_client = SSL_new(client);

    need(of_server != NULL && of_client != NULL);
    if (number % 20 == 0)
        need(shake(server, client));
    OSSL_LIB_CTX_free(libctx);
    SSL_free(of_server);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    SSL_free(of_client);
}

/* The way of nginx: new contexts for a policy that was edited. */
static OSSL_LIB_CTX *lasting;

static void reload(int number)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    if (number % 20 == 0) {
        need(lifecase_shake(lasting));
    } else {
        SSL_CTX_free(server_of(lasting));
        SSL_CTX_free(client_of(lasting));
    }
}

static void (*const cycles[])(int) = {come_and_go, reload};

static void stays_flat(int which)
{
    const int count = 1000 * suite_scale(), warm = 200;
    unsigned descriptors = 0;
    long kib = 0;

    lasting = library("first.cnf");
    for (int i = 0; i < count + warm; i++) {
        cycles[which](i);
        if (i == warm) {
            kib = lifecase_resident_kib();
            descriptors = lifecase_descriptors();
        }
    }
    need(lifecase_descriptors() == descriptors);
    printf("# %d cycles: %ld KiB more\n", count, lifecase_resident_kib() - kib);
    need(lifecase_resident_kib() - kib < FLAT_KIB);
    OSSL_LIB_CTX_free(lasting);
}

START_TEST(test_L2_provider_comes_and_goes_with_live_connections)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(stays_flat, 0, 0);
}
END_TEST

START_TEST(test_L13_reloads_leave_nothing)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(stays_flat, 1, 0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_L9_eight_configurations_at_once),
    ONCE(test_L9_one_configuration_too_many),
    ONCE(test_L2_provider_comes_and_goes_with_live_connections),
    ONCE(test_L13_reloads_leave_nothing),
};

SUITE(.name = "life", .skip = swtpm_missing, .begin = lifecase_begin,
      .end = lifecase_end,
      .cases = {CASE("with a swtpm", tests, HOOKCASE_SECONDS, NULL, NULL)});
