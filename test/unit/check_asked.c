/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * provider/asked.c: which configuration an SSL_CTX goes by, whatever else asked for
 * the module's groups before, in this thread: an SSL_CTX_new that failed, the
 * program itself (lib/hookcase.h).
 */
#include <check.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asked_libraries.h"
#include "lib/hookcase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

/* --- SSL_CTX_new fails --------------------------------------------------------- */

enum next { NEXT_PLAIN, NEXT_OPEN, NEXT_SHUT, NEXTS };

static void after_a_failure(int next)
{
    OSSL_LIB_CTX *bare, *libctx;
    SSL_CTX *client;

    begin();
    bare = bare_library();
    libctx = next == NEXT_PLAIN ? plain : next == NEXT_OPEN ? open_one : shut;
    for (int i = 0; i < 3; i++) {
        need(has_no_context(bare, TLS_client_method()));
        client = client_of(libctx);
        need(shake(server, client) == (next != NEXT_SHUT));
        if (next == NEXT_SHUT)
            need_reason("/missing: cannot be opened");
        SSL_CTX_free(client);
    }
    OSSL_LIB_CTX_free(bare);
    end();
}

START_TEST(test_S35_L9_a_context_that_could_not_be_made_decides_nothing)
{
    in_child(after_a_failure, _i, 0);
}
END_TEST

/* Whatever is freed in between, by whom it was made, changes nothing. */
static void others_are_freed(int unused)
{
    OSSL_LIB_CTX *bare, *before = library("plain.cnf");
    SSL_CTX *older = client_of(before), *free_one; /* than the provider */

    (void)unused;
    begin();
    bare = bare_library();
    free_one = client_of(plain);
    need(has_no_context(bare, TLS_client_method()));
    SSL_CTX_free(older);
    SSL_CTX_free(free_one);
    OSSL_LIB_CTX_free(bare);
    OSSL_LIB_CTX_free(before);
    end();
}

START_TEST(test_S35_contexts_that_are_not_ours_are_freed)
{
    in_child(others_are_freed, 0, 0);
}
END_TEST

/* Before any other SSL_CTX of the process. */
static void first_of_all(int next)
{
    OSSL_LIB_CTX *bare = bare_library();
    SSL_CTX *client;

    plain = library("plain.cnf");
    open_one = library("open.cnf");
    if (next != NEXT_PLAIN)
        need(has_no_context(bare, TLS_client_method()));
    server = server_of(plain);
    client = client_of(next == NEXT_OPEN ? open_one : plain);
    need(shake(server, client));
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(bare);
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open_one);
}

START_TEST(test_S35_L9_the_first_context_of_a_process)
{
    in_child(first_of_all, _i, 0);
}
END_TEST

/* --- the program asks ------------------------------------------------------------ */

static unsigned groups;

static int count_group(const OSSL_PARAM params[], void *arg)
{
    (void)params, (void)arg;
    groups++;
    return 1;
}

static int ask_provider(OSSL_PROVIDER *provider, void *arg)
{
    return OSSL_PROVIDER_get_capabilities(provider, "TLS-GROUP", count_group,
                                          arg);
}

/* What programs do that list the groups there are. */
static void ask(OSSL_LIB_CTX *libctx)
{
    groups = 0;
    need(OSSL_PROVIDER_do_all(libctx, ask_provider, NULL) == 1);
    need(groups > 5); /* of the default provider */
}

enum asked { ASKED_OPEN, ASKED_SHUT, ASKED_BOTH, ASKED_ALL };

static void after_a_question(int asked)
{
    begin();
    for (int next = NEXT_PLAIN; next < NEXTS; next++) {
        OSSL_LIB_CTX *const libraries[] = {plain, open_one, shut};
        SSL_CTX *client;

        if (asked != ASKED_SHUT)
            ask(open_one);
        if (asked != ASKED_OPEN)
            ask(shut);
        client = client_of(libraries[next]);
        need(shake(server, client) == (next != NEXT_SHUT));
        if (next == NEXT_SHUT)
            need_reason("missing: cannot be opened");
        SSL_CTX_free(client);
    }
    ask(shut);
    end();
}

START_TEST(test_S35_L9_a_question_of_the_program_decides_nothing)
{
    in_child(after_a_question, _i, 0);
}
END_TEST

/* A question is no SSL_CTX either: one that fails then is not ours. */
static void question_then_failure(int unused)
{
    OSSL_LIB_CTX *bare, *empty = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *null;

    (void)unused;
    begin();
    bare = bare_library();
    null = OSSL_PROVIDER_load(empty, "null");
    need(null != NULL);
    ask(shut);
    need(has_no_context(empty, TLS_client_method()));
    need(has_no_context(bare, TLS_client_method()));
    ask(open_one);
    end();
    OSSL_PROVIDER_unload(null);
    OSSL_LIB_CTX_free(bare);
    OSSL_LIB_CTX_free(empty);
}

START_TEST(test_S35_questions_and_failures)
{
    in_child(question_then_failure, 0, 0);
}
END_TEST

/* Two sections of one library context that do not agree refuse, as before, and
 * nothing of that is left to the next. */
static void contradiction(int unused)
{
    char more[4096];
    OSSL_LIB_CTX *twice;
    SSL_CTX *client;

    (void)unused;
    begin();
    snprintf(more, sizeof(more),
             "second = second_sect\n"
             "[second_sect]\nmodule = %s\nactivate = 1\n"
             "verifier = second_verifier\n"
             "[second_verifier]\npolicy = %s\n",
             module_of_build(), scratch_path("off"));
    write_configuration("twice.cnf", module_of_build(), "off", more);
    twice = library("twice.cnf");
    ask(twice);
    client = client_of(twice);
    need(!shake(server, client));
    need_reason("activated twice with different settings");
    SSL_CTX_free(client);
    end();
    OSSL_LIB_CTX_free(twice);
}

START_TEST(test_C7_S35_a_contradiction_is_its_own_library_contexts)
{
    in_child(contradiction, 0, 0);
}
END_TEST

/* --- threads ---------------------------------------------------------------------- */

/* What one thread asked, or could not make, is nothing to another. */
static void *ask_and_go(void *unused)
{
    ask(shut);
    return unused;
}

static void *fail_and_go(void *bare)
{
    for (int i = 0; i < 20; i++)
        need(has_no_context(bare, TLS_client_method()));
    return NULL;
}

static void several_threads(int unused)
{
    OSSL_LIB_CTX *bare;
    pthread_t asking, failing;

    (void)unused;
    begin();
    bare = bare_library();
    need(pthread_create(&asking, NULL, ask_and_go, NULL) == 0);
    need(pthread_create(&failing, NULL, fail_and_go, bare) == 0);
    for (int i = 0; i < 10; i++)
        each_goes_by_its_own();
    need(pthread_join(asking, NULL) == 0);
    need(pthread_join(failing, NULL) == 0);
    OSSL_LIB_CTX_free(bare);
    end();
}

START_TEST(test_S35_threads)
{
    in_child(several_threads, 0, 0);
}
END_TEST

/* --- our reason is the last --------------------------------------------------------- */

static int raises;

/* OpenSSL 3.5 raises an error of its own when a provider cannot tell its groups,
 * before it frees the context: so does this, in any version, as its index is older
 * than the module's. */
static void raise_another(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
                          long argl, void *argp)
{
    (void)parent, (void)ptr, (void)ad, (void)idx, (void)argl, (void)argp;
    if (raises)
        ERR_raise(ERR_LIB_SSL, ERR_R_SSL_LIB);
}

static const char second_part[] = "cannot load attest's second part: ";

static void last_error(int unused)
{
    OSSL_LIB_CTX *half;
    const char *last;

    (void)unused;
    need(CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL,
                                 raise_another)
         >= 0);
    plain = library("plain.cnf");
    server = client_of(plain);
    copy_object("attest.so", "half.so");
    write_configuration("half.cnf", scratch_path("half.so"), "off", "");
    half = library("half.cnf");
    for (raises = 0; raises < 2; raises++) {
        need(has_no_context(half, TLS_client_method()));
        need_reason(second_part);
        ERR_clear_error();
        need(SSL_CTX_new_ex(half, NULL, TLS_client_method()) == NULL);
        last = ERR_reason_error_string(ERR_peek_last_error());
        need(last != NULL && strstr(last, second_part) != NULL);
        last = ERR_reason_error_string(ERR_get_error());
        need(last != NULL && strstr(last, second_part) != NULL);
        /* What is last already is not said twice. */
        need((ERR_peek_error() != 0)
             == (raises || OpenSSL_version_num() >= 0x30500000L));
        ERR_clear_error();
    }
    /* A context that was made is freed without a word. */
    raises = 0;
    need(OSSL_PROVIDER_do_all(half, ask_provider, NULL) == 0);
    ERR_clear_error();
    SSL_CTX_free(server);
    need(ERR_peek_error() == 0);
    OSSL_LIB_CTX_free(half);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_S30_our_reason_is_the_last_where_no_context_is_made)
{
    in_child(last_error, 0, 0);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S35_L9_a_context_that_could_not_be_made_decides_nothing, 0,
         NEXTS),
    ONCE(test_S35_contexts_that_are_not_ours_are_freed),
    LOOP(test_S35_L9_the_first_context_of_a_process, 0, NEXTS),
    LOOP(test_S35_L9_a_question_of_the_program_decides_nothing, 0, ASKED_ALL),
    ONCE(test_S35_questions_and_failures),
    ONCE(test_C7_S35_a_contradiction_is_its_own_library_contexts),
    ONCE(test_S35_threads),
    ONCE(test_S30_our_reason_is_the_last_where_no_context_is_made),
};

SUITE(.name = "asked", .begin = hookcase_begin, .end = hookcase_end,
      .cases = {CASE("asked", tests, HOOKCASE_SECONDS, NULL, NULL)});
