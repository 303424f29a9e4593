/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/process.h, and what goes by it: descriptors, and calls of the agent. The
 * quoter's are in check_quoter_fork.c, the policy's in check_policy_reload.c. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "lib/agentcalls.h"
#include "lib/pidspace.h"
#include "lib/suite.h"
#include "base/process.h"

/* The status of a child that runs it. */
static int status_of(pid_t (*make)(void), int (*body)(void))
{
    int status = -1;
    pid_t pid = make();

    if (pid == 0)
        _exit(body());
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* --- generations ------------------------------------------------------------ */

static unsigned before;

static int is_next(void)
{
    return atls_process_generation() == before + 1 ? 0 : 1;
}

static int has_next(void)
{
    if (is_next() != 0)
        return 1;
    before = atls_process_generation();
    return status_of(fork, is_next) == 0 ? 0 : 2;
}

static void *ask(void *ret)
{
    *(unsigned *)ret = atls_process_generation();
    return NULL;
}

START_TEST(test_L3_generations)
{
    pthread_t thread;
    unsigned in_thread = 0;

    ck_assert(atls_process_counts_forks());
    before = atls_process_generation();
    ck_assert_int_eq(status_of(fork, has_next), 0);
    ck_assert_uint_eq(atls_process_generation(), before);
    ck_assert_int_eq(pthread_create(&thread, NULL, ask, &in_thread), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(in_thread, before);
}
END_TEST

/* --- L17: numbers that repeat ------------------------------------------------- */

static int first_has_next(void)
{
    before = atls_process_generation();
    return getpid() == 1 && status_of(pidspace_fork, has_next) == 0 ? 0 : 1;
}

START_TEST(test_L17_generations)
{
    if (pidspace_is_there())
        ck_assert(pidspace_run(first_has_next));
}
END_TEST

/* The same number and the same kind stand for something else in the child. */
static struct atls_descriptor parents;

static int leaves_its_own_open(void)
{
    if (getpid() != 1 || close(parents.fd) != 0
        || eventfd(0, EFD_CLOEXEC) != parents.fd)
        return 1;
    if (atls_descriptor_is_own(&parents))
        return 2;
    atls_descriptor_close_anonymous(&parents);
    return fcntl(3, F_GETFD) >= 0 ? 0 : 3;
}

static int has_child_that_leaves_its_own_open(void)
{
    closefrom(3);
    atls_descriptor_set(&parents, eventfd(0, EFD_CLOEXEC));
    if (getpid() != 1 || parents.fd != 3 || !atls_descriptor_is_own(&parents))
        return 1;
    if (status_of(pidspace_fork, leaves_its_own_open) != 0)
        return 2;
    atls_descriptor_close_anonymous(&parents);
    return fcntl(3, F_GETFD) < 0 ? 0 : 3;
}

START_TEST(test_L17_descriptors)
{
    if (pidspace_is_there())
        ck_assert(pidspace_run(has_child_that_leaves_its_own_open));
}
END_TEST

static struct agentcalls calls;
static struct atls_agent_call *call;

static int has_no_call(void)
{
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t *cmw = NULL;
    size_t len = 0;

    if (getpid() != 1 || !atls_agent_call_is_ready(call)
        || atls_agent_call_wait(call, &why, &cmw, &len) != ATLS_E_INTERNAL)
        return 1;
    return strcmp(why.text, "this handshake was started by another process")
                   == 0
               ? 0
               : 2;
}

static int has_call(void)
{
    struct atls_reason why;

    agentcalls_open(&calls, 5000);
    if (getpid() != 1 || agentcalls_begin(&calls, 4, &why, &call) != ATLS_OK
        || status_of(pidspace_fork, has_no_call) != 0)
        return 1;
    if (!agentcalls_is_own(call, 4))
        return 2;
    agentcalls_close(&calls);
    return 0;
}

START_TEST(test_L17_calls_of_the_agent)
{
    if (pidspace_is_there())
        ck_assert(pidspace_run(has_call));
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_L3_generations),
    ONCE(test_L17_generations),
    ONCE(test_L17_descriptors),
    ONCE(test_L17_calls_of_the_agent),
};

SUITE(.name = "process", .cases = {CASE("process", tests, 0, NULL, NULL)});
