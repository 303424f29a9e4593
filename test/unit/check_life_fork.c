/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forks at any moment of a program with threads (L4): what another thread had
 * locked stays locked in the child. POSIX allows such a child nothing, OpenSSL
 * has locks that it may find taken, and programs do it all the same: none may
 * hang for a lock of ours, or for what we do about the dynamic loader.
 */
#include <check.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/sanitizer.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

#define FORKS 100
#define FRAMES_MAX 64
/* A child hangs that has used no more of the CPU than this for so long; or that has used
 * so much of it in all: a read-write lock of glibc that another thread was about to leave
 * is waited for in a loop. */
#define CHILD_SECONDS 10
#define CHILD_CPU_NS 1000000
#define CHILD_CPU_MOST_NS ((int64_t)20 * 1000000000)

/* Of a child that hangs, and not for us. */
#define STATUS_OPENSSL_HANGS 78

static atomic_bool is_over;
static OSSL_LIB_CTX *shared_libctx;

/* --- children ---------------------------------------------------------------------- */

/* Who has called into libc, where this thread waits? Before that come the frames
 * of this handler, up to libc's that called it. */
static bool waits_for_openssl(void)
{
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);
    bool is_handler = true;

    for (int i = 0; i < count; i++) {
        Dl_info info;
        bool is_libc = dladdr(frames[i], &info) != 0
                       && strstr(info.dli_fname, "libc.so") != NULL;

        is_handler = is_handler && !is_libc;
        if (is_libc || is_handler)
            continue;
        return strstr(info.dli_fname, "libcrypto.so") != NULL
               || strstr(info.dli_fname, "libssl.so") != NULL;
    }
    return false;
}

static int64_t cpu_ns(void)
{
    struct timespec used = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void on_alarm(int unused)
{
    static int64_t before_ns;
    const int64_t now_ns = cpu_ns();

    (void)unused;
    if (now_ns - before_ns <= CHILD_CPU_NS || now_ns > CHILD_CPU_MOST_NS)
        _exit(waits_for_openssl() ? STATUS_OPENSSL_HANGS : 1);
    before_ns = now_ns;
    alarm(CHILD_SECONDS);
}

static void live_as_child(void (*body)(void))
{
    signal(SIGALRM, on_alarm);
    alarm(CHILD_SECONDS);
    body();
    _exit(0);
}

/* How many hung in OpenSSL. */
static int fork_often(void (*body)(void))
{
    const int forks = FORKS * suite_scale();
    void *frame;
    int hung = 0;

    (void)backtrace(&frame, 1); /* it loads a library at its first call */
    for (int i = 0; i < forks; i++) {
        int status = 0;
        pid_t child = fork();

        need(child >= 0);
        if (child == 0)
            live_as_child(body);
        need(waitpid(child, &status, 0) == child);
        need(WIFEXITED(status));
        if (WEXITSTATUS(status) == STATUS_OPENSSL_HANGS)
            hung++;
        else
            need(WEXITSTATUS(status) == 0);
    }
    printf("# %d forks, %d children hung in OpenSSL\n", forks, hung);
    return hung;
}

/* --- the dynamic loader -------------------------------------------------------------- */

static int look_at(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info, (void)size, (void)unused;
    return 0;
}

static void *load_often(void *path)
{
    while (!is_over) {
        void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

        need(object != NULL);
        dl_iterate_phdr(look_at, NULL);
        dlclose(object);
    }
    return NULL;
}

static void shake_once(void)
{
    need_shake(lifecase_shake(shared_libctx));
}

/* Up to glibc 2.36 at least a child that was forked meanwhile hangs in its first
 * dlopen(), be it OpenSSL's or ours: so it must need none, once its parent has
 * made an SSL_CTX. */
static void while_others_load(int unused)
{
    pthread_t loaders[2];
    char path[4096];

    (void)unused;
    snprintf(path, sizeof(path), "%s", module_of_build());
    shared_libctx = library("first.cnf");
    need_shake(lifecase_shake(shared_libctx));
    for (int i = 0; i < 2; i++)
        need(pthread_create(&loaders[i], NULL, load_often, path) == 0);
    need(fork_often(shake_once) == 0);
    is_over = true;
    for (int i = 0; i < 2; i++)
        need(pthread_join(loaders[i], NULL) == 0);
    OSSL_LIB_CTX_free(shared_libctx);
}

START_TEST(test_L4_fork_while_the_loader_is_busy)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(while_others_load, 0, 0);
}
END_TEST

/* --- handshakes, policies, logs -------------------------------------------------------- */

static void *shake_often(void *unused)
{
    while (!is_over)
        need_shake(lifecase_shake(shared_libctx));
    return unused;
}

/* Each context reads the policy again, and its refusal is logged. */
static void *replace_policy(void *unused)
{
    char from[600], to[600], *text = scratch_read("first.policy", NULL);

    snprintf(from, sizeof(from), "%s", scratch_path("next.policy"));
    snprintf(to, sizeof(to), "%s", scratch_path("first.policy"));
    while (!is_over) {
        write_text("next.policy", text);
        need(rename(from, to) == 0);
        usleep(2000);
    }
    free(text);
    return unused;
}

static void while_others_shake(int unused)
{
    static void *(*const bodies[])(void *) = {shake_often, shake_often,
                                              shake_often, replace_policy};
    pthread_t threads[4];

    (void)unused;
    shared_libctx = library("first.cnf");
    need_shake(lifecase_shake(shared_libctx));
    for (int i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, bodies[i], NULL) == 0);
    /* Without attest it is about one of a hundred. */
    need(fork_often(shake_once) <= FORKS * suite_scale() / 10);
    is_over = true;
    for (int i = 0; i < 4; i++)
        need(pthread_join(threads[i], NULL) == 0);
    OSSL_LIB_CTX_free(shared_libctx);
}

START_TEST(test_L4_fork_while_all_is_in_use)
{
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(while_others_shake, 0, 0);
}
END_TEST

static const char *skip(void)
{
    if (IS_SANITIZED)
        return "a child of a sanitizer's hangs in its malloc()";
    return swtpm_missing();
}

static const struct suite_test tests[] = {
    ONCE(test_L4_fork_while_the_loader_is_busy),
    ONCE(test_L4_fork_while_all_is_in_use),
};

SUITE(.name = "life_fork", .skip = skip, .begin = lifecase_begin,
      .end = lifecase_end,
      .cases = {CASE("with a swtpm", tests, HOOKCASE_SECONDS, NULL, NULL)});
