/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `map = start`: module and instance are ready when OpenSSL has read its
 * configuration, for programs that make their first SSL_CTX in a chroot; and what
 * those are told that do not have it (lib/hookcase.h).
 */
#include <check.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define THREADS 6
#define CYCLES 40

static void configure(const char *name, const char *policy, const char *keys,
                      const char *providers)
{
    write_section(name, module_of_build(), policy, keys, providers);
}

static void write_configurations(void)
{
    static const char normal[] = "default = default_sect";
    char keys[512];

    snprintf(keys, sizeof(keys), "map = start\nlog = %s", scratch_path("log"));
    configure("start-open.cnf", "off", keys, normal);
    configure("start-shut.cnf", "missing", keys, normal);
    configure("first-open.cnf", "off", "map = first-use", normal);
    configure("first-shut.cnf", "missing", "map = first-use", normal);
    configure("loud.cnf", "missing",
              "map = start\nlog = stderr\nlog_level = debug", normal);
    configure("strict.cnf", "missing", "map = start\nbase = provider:default",
              "null = default_sect");
    snprintf(keys, sizeof(keys),
             "map = start\nattester = attester_sect\n"
             "[attester_sect]\nquoter = unix:%s\n[attest_sect]",
             scratch_path("agent"));
    configure("start-agent.cnf", "off", keys, normal);
    configure("alone.cnf", "off", "map = start", "null = default_sect");
}

/* Is that mapped, by the end of its path? */
static bool is_mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    char line[4600];

    need(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL)
        found = found || strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

/* --- when ------------------------------------------------------------------- */

static void mapped_when(int is_start)
{
    OSSL_LIB_CTX *libctx =
        library(is_start ? "start-open.cnf" : "first-open.cnf");
    SSL_CTX *client;

    need(is_mapped("/attest.so"));
    need(is_mapped("/attest-inner.so") == is_start);
    client = client_of(libctx);
    need(is_mapped("/attest-inner.so"));
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_S33_it_is_mapped_when_the_key_says)
{
    in_child(mapped_when, _i, 0);
}
END_TEST

static void wrong_value(int which)
{
    static const char *const values[] = {"Start", "yes", "first_use",
                                         "startup"};
    OSSL_LIB_CTX *plain = library("plain.cnf"), *libctx;
    SSL_CTX *server = server_of(plain), *client;
    char keys[64], reason[128];

    snprintf(keys, sizeof(keys), "map = %s", values[which]);
    configure("wrong.cnf", "off", keys, "default = default_sect");
    libctx = library("wrong.cnf");
    need(!is_mapped("/attest-inner.so"));
    client = client_of(libctx);
    need(!shake(server, client));
    snprintf(reason, sizeof(reason), "map = %s: expected first-use or start",
             values[which]);
    need_reason(reason);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(libctx);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_C10_another_value_refuses)
{
    in_child(wrong_value, _i, 0);
}
END_TEST

/* --- another root ----------------------------------------------------------------- */

/* Who is not root may in a user namespace of his own, where there are any. */
static bool become_able_to_change_root(void)
{
    return geteuid() == 0 || unshare(CLONE_NEWUSER) == 0;
}

static bool may_change_root(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(become_able_to_change_root() ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void go_to_another_root(void)
{
    const char *root = scratch_path("empty");

    need(become_able_to_change_root());
    leave_leaks();
    (void)mkdir(root, 0755);
    need(chroot(root) == 0 && chdir("/") == 0);
}

/* Nobody's file is there any more: neither module nor policy. */
static void in_another_root(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf");
    OSSL_LIB_CTX *open_one = library("start-open.cnf");
    OSSL_LIB_CTX *shut = library("start-shut.cnf");
    SSL_CTX *server, *passing, *refusing;

    (void)unused;
    go_to_another_root();
    server = server_of(plain);
    passing = client_of(open_one);
    refusing = client_of(shut);
    need(shake(server, passing));
    need(!shake(server, refusing));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(server);
    SSL_CTX_free(passing);
    SSL_CTX_free(refusing);
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open_one);
    OSSL_LIB_CTX_free(shut);
}

START_TEST(test_S33_the_first_context_in_another_root)
{
    if (may_change_root())
        in_child(in_another_root, 0, 0);
}
END_TEST

static const char too_late[] =
    "this program cannot load attest in its chroot: write map = start in "
    "openssl.cnf";

static void too_late_for_first_use(int is_shut)
{
    OSSL_LIB_CTX *libctx =
        library(is_shut ? "first-shut.cnf" : "first-open.cnf");

    go_to_another_root();
    for (int i = 0; i < 2; i++) {
        need(has_no_context(libctx, TLS_client_method()));
        need_reason(too_late);
        need(has_no_context(libctx, TLS_server_method()));
        need_reason(too_late);
    }
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_S33_another_root_is_named_as_the_cause)
{
    if (may_change_root())
        in_child(too_late_for_first_use, _i, 0);
}
END_TEST

/* What was in its way before is what is in its way there. */
static void broken_before(int unused)
{
    OSSL_LIB_CTX *libctx;

    (void)unused;
    copy_object("attest.so", "half.so");
    write_section("half.cnf", scratch_path("half.so"), "off", "map = start",
                  "default = default_sect");
    libctx = library("half.cnf");
    need(is_mapped("/half.so") && !is_mapped("/attest-inner.so"));
    go_to_another_root();
    need(has_no_context(libctx, TLS_client_method()));
    need_reason("attest-inner.so: No such file");
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_S33_another_cause_stays_the_cause)
{
    if (may_change_root())
        in_child(broken_before, 0, 0);
}
END_TEST

/* --- a good guest ------------------------------------------------------------------- */

static size_t read_stderr(int fd, char *text, size_t size)
{
    ssize_t len = read(fd, text, size - 1);

    text[len > 0 ? len : 0] = '\0';
    return len > 0 ? (size_t)len : 0;
}

/* Not a word until the program uses TLS; then all that was to be said, once. */
static void says_nothing(int unused)
{
    OSSL_LIB_CTX *libctx;
    SSL_CTX *client;
    char text[4096];
    int fds[2];

    (void)unused;
    need(pipe2(fds, O_NONBLOCK) == 0 && dup2(fds[1], STDERR_FILENO) >= 0);
    libctx = library("loud.cnf");
    need(is_mapped("/attest-inner.so"));
    need(read_stderr(fds[0], text, sizeof(text)) == 0);
    for (int i = 0; i < 2; i++) {
        client = client_of(libctx);
        SSL_CTX_free(client);
        (void)read_stderr(fds[0], text, sizeof(text));
        need((strstr(text, "error: every handshake is refused: ") != NULL)
             == (i == 0));
    }
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_L6_nothing_is_said_before_the_first_context)
{
    in_child(says_nothing, 0, 0);
}
END_TEST

/* Nothing is fetched from the program's library context, which would make OpenSSL
 * fall back on a provider that nobody has named (fact 11). */
static void fetches_nothing(int unused)
{
    OSSL_LIB_CTX *libctx = library("alone.cnf");
    EVP_MD *md;

    (void)unused;
    need(is_mapped("/attest-inner.so"));
    need(OSSL_PROVIDER_available(libctx, "attest") == 1);
    need(OSSL_PROVIDER_available(libctx, "default") == 0);
    md = EVP_MD_fetch(libctx, "SHA256", NULL);
    need(md == NULL);
    need(has_no_context(libctx, TLS_client_method()));
    need_reason("ciphers");
    OSSL_LIB_CTX_free(libctx);
}

START_TEST(test_L6_nothing_is_fetched)
{
    in_child(fetches_nothing, 0, 0);
}
END_TEST

static void strict_form(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf"), *libctx = library("strict.cnf");
    SSL_CTX *server = server_of(plain), *client = client_of(libctx);

    (void)unused;
    leave_leaks();
    need(OSSL_PROVIDER_available(libctx, "default") == 1);
    need(!shake(server, client));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    OSSL_LIB_CTX_free(libctx);
    OSSL_LIB_CTX_free(plain);
}

START_TEST(test_C1_strict_form)
{
    in_child(strict_form, 0, 0);
}
END_TEST

/* What takes connections as an agent does. */
static int listen_as_agent(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             scratch_path("agent"));
    need(fd >= 0);
    need(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    need(listen(fd, 2 * CYCLES) == 0);
    return fd;
}

/* Read and forgotten, as by programs that never use TLS: nothing stays open, the
 * agent's standing connection neither, and the error queue is as it was. */
static void comes_and_goes(int unused)
{
    static const char *const configurations[] = {
        "start-open.cnf", "start-shut.cnf", "start-agent.cnf"};
    int agent = listen_as_agent();
    unsigned descriptors = 0;

    (void)unused;
    for (int i = 0; i < CYCLES; i++) {
        OSSL_LIB_CTX *libctx = library(configurations[i % 3]);

        need(ERR_peek_error() == 0);
        OSSL_LIB_CTX_free(libctx);
        if (i == 3)
            descriptors = lifecase_descriptors();
    }
    need(lifecase_descriptors() == descriptors);
    need(accept(agent, NULL, NULL) >= 0); /* it was asked */
    close(agent);
}

START_TEST(test_L2_read_and_forgotten)
{
    in_child(comes_and_goes, 0, 0);
}
END_TEST

/* Children before and after the first context of the parent. */
static void forks(int unused)
{
    OSSL_LIB_CTX *plain = library("plain.cnf");
    OSSL_LIB_CTX *open_one = library("start-open.cnf");
    OSSL_LIB_CTX *shut = library("start-shut.cnf");

    (void)unused;
    for (int i = 0; i < 8; i++) {
        int status = 0;
        pid_t child = fork();

        need(child >= 0);
        if (child == 0 || i == 4) {
            SSL_CTX *server = server_of(plain), *passing = client_of(open_one);
            SSL_CTX *refusing = client_of(shut);

            need(shake(server, passing));
            need(!shake(server, refusing));
            SSL_CTX_free(server);
            SSL_CTX_free(passing);
            SSL_CTX_free(refusing);
        }
        if (child == 0)
            _exit(0);
        need(waitpid(child, &status, 0) == child && status == 0);
    }
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open_one);
    OSSL_LIB_CTX_free(shut);
}

START_TEST(test_L3_forks_after_it)
{
    in_child(forks, 0, 0);
}
END_TEST

static void *read_it(void *unused)
{
    OSSL_LIB_CTX *open_one = library("start-open.cnf");
    OSSL_LIB_CTX *shut = library("start-shut.cnf");
    OSSL_LIB_CTX *plain = library("plain.cnf");
    SSL_CTX *server = server_of(plain), *passing = client_of(open_one);
    SSL_CTX *refusing = client_of(shut);

    need(shake(server, passing));
    need(!shake(server, refusing));
    SSL_CTX_free(server);
    SSL_CTX_free(passing);
    SSL_CTX_free(refusing);
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open_one);
    OSSL_LIB_CTX_free(shut);
    return unused;
}

static void several_threads(int unused)
{
    pthread_t threads[THREADS];

    (void)unused;
    for (int i = 0; i < THREADS; i++)
        need(pthread_create(&threads[i], NULL, read_it, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        need(pthread_join(threads[i], NULL) == 0);
}

START_TEST(test_L6_several_threads_read_it_at_once)
{
    in_child(several_threads, 0, 0);
}
END_TEST

static void begin(void)
{
    hookcase_begin();
    write_configurations();
}

static const struct suite_test tests[] = {
    LOOP(test_S33_it_is_mapped_when_the_key_says, 0, 2),
    LOOP(test_C10_another_value_refuses, 0, 4),
    ONCE(test_S33_the_first_context_in_another_root),
    LOOP(test_S33_another_root_is_named_as_the_cause, 0, 2),
    ONCE(test_S33_another_cause_stays_the_cause),
    ONCE(test_L6_nothing_is_said_before_the_first_context),
    ONCE(test_L6_nothing_is_fetched),
    ONCE(test_C1_strict_form),
    ONCE(test_L2_read_and_forgotten),
    ONCE(test_L3_forks_after_it),
    ONCE(test_L6_several_threads_read_it_at_once),
};

SUITE(.name = "start", .begin = begin, .end = hookcase_end,
      .cases = {CASE("start", tests, HOOKCASE_SECONDS, NULL, NULL)});
