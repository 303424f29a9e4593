/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module in a process that runs with standard descriptors closed (L14): what it
 * prints there goes nowhere, at no moment. Not to the log, the report, the TPM, nor
 * the agent; and nothing that is ours is read as its input.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fakeagent.h"
#include "lib/hookcase.h"
#include "lib/lifecase.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

/* A bit for each of 0, 1, 2: each alone, and all. */
static const unsigned masks[] = {1, 2, 4, 7};
#define MASKS (int)(sizeof(masks) / sizeof(masks[0]))

static atomic_bool is_over;
static atomic_uint reached; /* what should go nowhere */

static void try_all(unsigned mask)
{
    char octet;

    for (int fd = 0; fd <= 2; fd++) {
        if ((mask >> fd & 1) == 0)
            continue;
        if (write(fd, "the password\n", 13) >= 0 || errno != EBADF)
            atomic_fetch_add(&reached, 1);
        if (read(fd, &octet, 1) >= 0 || errno != EBADF)
            atomic_fetch_add(&reached, 1);
    }
}

static void *go_on_trying(void *mask)
{
    while (!is_over)
        try_all(*(unsigned *)mask);
    return NULL;
}

static void close_standard(unsigned mask)
{
    for (int fd = 0; fd <= 2; fd++)
        if ((mask >> fd & 1) != 0)
            close(fd);
}

/* Its own descriptors are none: both ends of TLS are in memory. */
static void use(const char *configuration, unsigned mask, bool passes)
{
    pthread_t thread;
    OSSL_LIB_CTX *libctx = library(configuration);

    close_standard(mask);
    if (pthread_create(&thread, NULL, go_on_trying, &mask) != 0)
        _exit(2);
    for (int i = 0; i < 3; i++) {
        if (lifecase_shake(libctx) != passes)
            _exit(3);
        try_all(mask);
    }
    OSSL_LIB_CTX_free(libctx);
    try_all(mask);
    is_over = true;
    pthread_join(thread, NULL);
    if (reached != 0)
        _exit(4);
}

static void with_tcti(int which)
{
    use("first.cnf", masks[which], true);
}

/* A refusal, which is logged and reported, too. */
static void refused(int which)
{
    use("other-key.cnf", masks[which], false);
}

static void with_agent(int which)
{
    use("agent.cnf", masks[which], false);
}

static void ck_clean(const char *name, const char *expected)
{
    char *text = scratch_read(name, NULL);

    ck_assert_msg(strstr(text, "password") == NULL, "%s has it", name);
    ck_assert_msg(strstr(text, expected) != NULL, "%s: %.300s", name, text);
    free(text);
}

static void clear(const char *name)
{
    (void)unlink(scratch_path(name));
}

START_TEST(test_L14_tcti)
{
    clear("report");
    lifecase_configure("first", LIFECASE_FIRST, LIFECASE_FIRST);
    in_child(with_tcti, _i, 0);
    ck_clean("report", "is trusted");
}
END_TEST

START_TEST(test_L14_log_and_report)
{
    clear("report");
    clear("other-key.log");
    lifecase_configure("other-key", LIFECASE_FIRST, LIFECASE_SECOND);
    in_child(refused, _i, 0);
    ck_clean("report", "REFUSED");
    ck_clean("other-key.log", "is refused");
}
END_TEST

/* A puppet of an agent, whose evidence is none: it counts what reaches it. */
START_TEST(test_L14_agent)
{
    struct fakeagent *agent;

    clear("agent.sock");
    agent = fakeagent_start(scratch_path("agent.sock"));
    lifecase_configure_agent("agent", scratch_path("agent.sock"));
    in_child(with_agent, _i, 0);
    ck_assert_uint_eq(fakeagent_asked(agent), 3);
    fakeagent_stop(agent);
}
END_TEST

static void begin(void)
{
    lifecase_begin();
    setenv("ATTEST_REPORT", scratch_path("report"), 1);
}

static const struct suite_test tests[] = {
    LOOP(test_L14_tcti, 0, MASKS),
    LOOP(test_L14_log_and_report, 0, MASKS),
    LOOP(test_L14_agent, 0, MASKS),
};

SUITE(.name = "life_closed", .skip = swtpm_missing, .begin = begin,
      .end = lifecase_end,
      .cases = {CASE("with a swtpm", tests, HOOKCASE_SECONDS, NULL, NULL)});
