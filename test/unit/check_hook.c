/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the provider in a process, as a program sees it: attest.so as it
 * is built, found by its path (lib/hookcase.h).
 */
/* TLSv1_2_server_method() is deprecated, and programs use it. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <check.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hookcase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define MODULE "attest.so"
#define INNER "attest-inner.so"
#define EXIT_OF_PROGRAM 42

static void need_log(const char *part)
{
    char *log = scratch_read("log", NULL);

    need(strstr(log, part) != NULL);
    free(log);
}

/* --- whose configuration counts ------------------------------------------------- */

static void older_context(int unused)
{
    OSSL_LIB_CTX *libctx = library("plain.cnf");
    SSL_CTX *server = server_of(libctx), *older = client_of(libctx), *later;

    (void)unused;
    need(OSSL_LIB_CTX_load_config(libctx, scratch_path("shut.cnf")) == 1);
    need(shake(server, older)); /* doc/SECURITY.md: not seen */
    later = client_of(libctx);
    need(!shake(server, later));
    need_reason("missing: cannot be opened");
    need_log("this program used TLS before it loaded attest: SSL_CTX objects "
             "made until then are not attested");
    SSL_CTX_free(server);
    SSL_CTX_free(older);
    SSL_CTX_free(later);
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_L8_context_older_than_the_provider)
{
    in_child(older_context, 0, 0);
}
END_TEST

/* In turn, so that nothing of the one before sticks. */
static void several_libraries(int unused)
{
    OSSL_LIB_CTX *shut = library("shut.cnf"), *open = library("open.cnf");
    OSSL_LIB_CTX *plain = library("plain.cnf");
    SSL_CTX *first = client_of(open), *server = server_of(plain);

    (void)unused;
    for (int i = 0; i < 8; i++) {
        SSL_CTX *refusing = client_of(shut), *free_one = client_of(plain);
        SSL_CTX *passing = client_of(open);

        need(!shake(server, refusing));
        need_reason("missing: cannot be opened");
        need(shake(server, free_one));
        need(shake(server, passing));
        SSL_CTX_free(refusing);
        SSL_CTX_free(free_one);
        SSL_CTX_free(passing);
    }
    need(shake(server, first));
    SSL_CTX_free(first);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open);
    OSSL_LIB_CTX_free(shut);
}

START_TEST(test_L9_each_library_context_has_its_own_policy)
{
    in_child(several_libraries, 0, 0);
}
END_TEST

/* --- loaded and unloaded ---------------------------------------------------------- */

/* Contexts outlive the provider that made them, and the library context. */
static void load_cycles(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf");
    SSL_CTX *server = server_of(plain);

    (void)unused;
    for (int i = 0; i < 50; i++) {
        OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER *base = OSSL_PROVIDER_load(libctx, "default");
        OSSL_PROVIDER *attest = OSSL_PROVIDER_load(libctx, module_of_build());
        SSL_CTX *during, *after;

        need(base != NULL && attest != NULL);
        during = client_of(libctx);
        need(OSSL_PROVIDER_unload(attest) == 1);
        need(!shake(server, during)); /* loaded without settings */
        need_reason("neither attester nor verifier");
        after = client_of(libctx);
        need(shake(server, after));
        SSL_CTX_free(after);
        OSSL_PROVIDER_unload(base);
        if (i % 2 == 0)
            SSL_CTX_free(during);
        OSSL_LIB_CTX_free(libctx);
        if (i % 2 != 0)
            SSL_CTX_free(during);
    }
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L2_contexts_outlive_the_provider)
{
    in_child(load_cycles, 0, 0);
}
END_TEST

/* A second section of the same module, with this policy. */
static void write_twice(const char *name, const char *module,
                        const char *policy)
{
    char more[4096];

    snprintf(more, sizeof(more),
             "second = second_sect\n"
             "[second_sect]\nmodule = %s\nactivate = 1\n"
             "verifier = second_verifier\nlog = %s\n"
             "[second_verifier]\npolicy = %s\n",
             module, scratch_path("log"), scratch_path(policy));
    write_configuration(name, module_of_build(), "off", more);
}

static void loaded_twice(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *libctx;
    SSL_CTX *server = server_of(plain), *client;

    (void)unused;
    write_twice("agree.cnf", module_of_build(), "off");
    libctx = library("agree.cnf");
    client = client_of(libctx);
    need(shake(server, client));
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);

    write_twice("disagree.cnf", module_of_build(), "missing");
    libctx = library("disagree.cnf");
    client = client_of(libctx);
    need(!shake(server, client));
    need_reason("activated twice with different settings");
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_C7_two_sections_agree_or_refuse)
{
    in_child(loaded_twice, 0, 0);
}
END_TEST

/* --- files that are missing or others' ---------------------------------------------- */

static void second_copy(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *libctx;
    SSL_CTX *server = server_of(plain), *client;

    (void)unused;
    copy_object(MODULE, MODULE);
    copy_object(INNER, INNER);
    write_twice("copies.cnf", scratch_path(MODULE), "off");
    libctx = library("copies.cnf");
    client = client_of(libctx);
    need(!shake(server, client));
    need_reason("TLS extension 0xffa7 is taken");
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_C7_a_second_copy_refuses)
{
    in_child(second_copy, 0, 0);
}
END_TEST

/* Not even a context: a program could give it a security callback of its own, and
 * with that take away whatever refuses there. */
static void without_inner(int has_broken_one)
{
    OSSL_LIB_CTX *libctx;

    copy_object(MODULE, MODULE);
    (void)unlink(scratch_path(INNER)); /* of the case before */
    if (has_broken_one)
        write_text(INNER, "no object\n");
    write_configuration("half.cnf", scratch_path(MODULE), "off", "");
    libctx = library("half.cnf");
    need(has_no_context(libctx, TLS_client_method()));
    need_reason("cannot load attest's second part");
    need(has_no_context(libctx, TLS_server_method()));
    need_reason("cannot load attest's second part");
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_C1_without_the_second_part_all_is_refused)
{
    in_child(without_inner, _i, 0);
}
END_TEST

/* --- a broken configuration ----------------------------------------------------------- */

/* OpenSSL asks a server of one version nothing about versions. */
static void broken_server(int which)
{
    const SSL_METHOD *const methods[] = {
        TLS_server_method(),
#if OPENSSL_VERSION_NUMBER < 0x40000000L
        TLSv1_2_server_method(),
#endif
    };
    OSSL_LIB_CTX *plain = library("plain.cnf"), *shut = library("shut.cnf");
    SSL_CTX *server = server_with(shut, methods[which]);
    SSL_CTX *client = client_of(plain);

    need(!shake(server, client));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(shut);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_P1_broken_server_of_any_method_refuses)
{
    in_child(broken_server, _i, 0);
}
END_TEST

/* A program may close what it did not open, and the number of our log may then
 * be a client's connection. */
static void closed_log(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *shut = library("shut.cnf");
    SSL_CTX *server = server_of(plain), *client = client_of(shut);
    char octets[64];
    int pair[16][2];

    (void)unused;
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    for (int i = 0; i < 16; i++)
        need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair[i]) == 0);
    need(!shake(server, client));
    for (int i = 0; i < 16; i++) {
        need(recv(pair[i][0], octets, sizeof(octets), 0) < 0);
        need(recv(pair[i][1], octets, sizeof(octets), 0) < 0);
    }
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(shut);
    OSSL_LIB_CTX_free(plain);
    need(fcntl(pair[0][0], F_GETFD) >= 0); /* nor is it closed */
}

START_TEST(test_log_is_not_written_into_a_programs_descriptor)
{
    in_child(closed_log, 0, 0);
}
END_TEST

/* --- threads, forks, exits --------------------------------------------------------------- */

#define THREADS 6

static SSL_CTX *shared_server, *shared_client;
static OSSL_LIB_CTX *shared_libctx;
static atomic_bool is_over;
static atomic_uint handshakes_done;

/* Some with contexts of their own, as each makes the module load its policy. */
static void *handshakes(void *rounds)
{
    for (int i = 0; i < *(const int *)rounds; i++) {
        SSL_CTX *own = client_of(shared_libctx);

        need_shake(shake(shared_server, i % 2 == 0 ? own : shared_client));
        handshakes_done++;
        SSL_CTX_free(own);
    }
    return NULL;
}

/* At every handshake. A policy that is replaced faster than it can be read is
 * refused, and where files are in memory that is so in a loop without a pause. */
static void *touch_policy(void *unused)
{
    while (!is_over) {
        const unsigned before = handshakes_done;

        write_text("next", "[policy]\notherwise = off\n");
        need(rename(scratch_path("next"), scratch_path("off")) == 0);
        while (!is_over && handshakes_done == before)
            usleep(100);
    }
    return unused;
}

static void threads_and_reloads(int unused)
{
    pthread_t threads[THREADS], toucher;
    int rounds = 40;

    (void)unused;
    shared_libctx = library("open.cnf");
    shared_server = server_of(shared_libctx);
    shared_client = client_of(shared_libctx);
    for (int i = 0; i < THREADS; i++)
        need(pthread_create(&threads[i], NULL, handshakes, &rounds) == 0);
    need(pthread_create(&toucher, NULL, touch_policy, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        need(pthread_join(threads[i], NULL) == 0);
    is_over = true;
    need(pthread_join(toucher, NULL) == 0);
    SSL_CTX_free(shared_server);
    SSL_CTX_free(shared_client);
    OSSL_LIB_CTX_free(shared_libctx);
}

START_TEST(test_P3_threads_while_the_policy_is_replaced)
{
    in_child(threads_and_reloads, 0, 0);
}
END_TEST

/* The very first contexts of a process, made at once. */
static void *first_context(void *unused)
{
    SSL_CTX *client = client_of(shared_libctx);

    need(shake(shared_server, client));
    SSL_CTX_free(client);
    return unused;
}

static void first_contexts(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf");
    pthread_t threads[THREADS];

    (void)unused;
    shared_server = server_of(plain);
    shared_libctx = library("open.cnf");
    for (int i = 0; i < THREADS; i++)
        need(pthread_create(&threads[i], NULL, first_context, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        need(pthread_join(threads[i], NULL) == 0);
    SSL_CTX_free(shared_server);
    OSSL_LIB_CTX_free(shared_libctx);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_L1_first_contexts_of_several_threads)
{
    in_child(first_contexts, 0, 0);
}
END_TEST

/* Children of a prefork server and theirs: each with the parent's contexts and
 * one of its own. From a program with one thread: OpenSSL itself may hang in a
 * child that was forked while another thread was in a handshake. */
static void forks(int depth)
{
    for (int i = 0; i < 3 && depth > 0; i++) {
        int status = 0;
        pid_t child = fork();

        need(child >= 0);
        if (child == 0) {
            forks(depth - 1);
            _exit(0);
        }
        need(waitpid(child, &status, 0) == child);
        need(status == 0);
    }
    (void)handshakes(&(int){2});
}

static void prefork(int unused)
{
    (void)unused;
    shared_libctx = library("open.cnf");
    shared_server = server_of(shared_libctx);
    shared_client = client_of(shared_libctx);
    need(shake(shared_server, shared_client));
    forks(3);
    SSL_CTX_free(shared_server);
    SSL_CTX_free(shared_client);
    OSSL_LIB_CTX_free(shared_libctx);
}

START_TEST(test_L3_children_use_what_the_parent_made)
{
    in_child(prefork, 0, 0);
}
END_TEST

static SSL_CTX *late_ctx;

static void free_late(void)
{
    SSL_CTX_free(late_ctx);
}

enum route {
    EXIT_AT_ONCE,
    EXIT_WITHOUT_A_HANDSHAKE,
    EXIT_AFTER_CLEANUP,
    FREE_BEFORE_CLEANUP,
    FREE_IN_ATEXIT,
    ROUTES
};

/* With the global library context, whose providers end in OPENSSL_cleanup. */
static void exits(int route)
{
    SSL_CTX *server, *client;
    OSSL_LIB_CTX *plain = library("plain.cnf");

    need(OSSL_LIB_CTX_load_config(NULL, scratch_path("open.cnf")) == 1);
    server = server_of(plain);
    client = client_of(NULL);
    if (route == EXIT_WITHOUT_A_HANDSHAKE)
        exit(EXIT_OF_PROGRAM);
    need(shake(server, client));
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
    if (route == FREE_BEFORE_CLEANUP)
        SSL_CTX_free(client);
    if (route == FREE_IN_ATEXIT) {
        late_ctx = client;
        need(atexit(free_late) == 0);
    }
    if (route == EXIT_AFTER_CLEANUP)
        OPENSSL_cleanup();
    drop_certificate();
    exit(EXIT_OF_PROGRAM);
}

START_TEST(test_L1_exit_by_every_route)
{
    for (int i = 0; i < 10; i++)
        in_child(exits, _i, EXIT_OF_PROGRAM);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_L8_context_older_than_the_provider),
    ONCE(test_L9_each_library_context_has_its_own_policy),
    ONCE(test_L2_contexts_outlive_the_provider),
    ONCE(test_C7_two_sections_agree_or_refuse),
    ONCE(test_C7_a_second_copy_refuses),
    LOOP(test_C1_without_the_second_part_all_is_refused, 0, 2),
    LOOP(test_P1_broken_server_of_any_method_refuses, 0,
         OPENSSL_VERSION_NUMBER < 0x40000000L ? 2 : 1),
    ONCE(test_log_is_not_written_into_a_programs_descriptor),
    ONCE(test_P3_threads_while_the_policy_is_replaced),
    ONCE(test_L1_first_contexts_of_several_threads),
    ONCE(test_L3_children_use_what_the_parent_made),
    LOOP(test_L1_exit_by_every_route, 0, ROUTES),
};

SUITE(.name = "hook", .begin = hookcase_begin, .end = hookcase_end,
      .cases = {CASE("hook", tests, HOOKCASE_SECONDS, NULL, NULL)});
