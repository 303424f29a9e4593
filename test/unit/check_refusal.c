/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "tls/refusal.h"

/* What an outage may cost in lines. */

#define FLOOD 1000u
#define THREADS 8u

static struct atls_log *refusals;

static void set_up(void)
{
    scratch_make();
    refusals = atls_log_open(scratch_path("log"), ATLS_LOG_ERROR);
    ck_assert_ptr_nonnull(refusals);
}

static void tear_down(void)
{
    atls_log_close(refusals);
    scratch_remove();
}

static void refuse(enum atls_error code, const char *text)
{
    struct atls_reason why;

    (void)atls_fail(&why, code, "%s", text);
    atls_refusal_log(refusals, &why);
}

/* Lines with a text in them. */
static unsigned logged(const char *text)
{
    FILE *in = fopen(scratch_path("log"), "r");
    unsigned count = 0;
    char line[1200];

    ck_assert_ptr_nonnull(in);
    while (fgets(line, sizeof(line), in) != NULL)
        count += strstr(line, text) != NULL;
    fclose(in);
    return count;
}

START_TEST(test_L5_an_outage_is_a_line_a_second)
{
    errno = ENOTTY;
    for (unsigned i = 0; i < FLOOD; i++)
        refuse(ATLS_E_AGENT_UNAVAILABLE, "no agent");
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_uint_eq(logged("error: handshake refused: no agent\n"), 1);
    ck_assert_uint_eq(logged(""), 1);
    /* What is of another kind does not drown in it. */
    refuse(ATLS_E_CERTIFICATE_UNMEASURED, "not measured");
    ck_assert_uint_eq(logged("handshake refused: not measured\n"), 1);
    usleep(1100000);
    refuse(ATLS_E_AGENT_UNAVAILABLE, "no agent");
    refuse(ATLS_E_AGENT_UNAVAILABLE, "no agent");
    ck_assert_uint_eq(
        logged("handshake refused: no agent (and 999 before that)\n"), 1);
    ck_assert_uint_eq(logged("no agent"), 2);
    atls_refusal_log(NULL, &(struct atls_reason){.code = ATLS_E_TIMEOUT});
}
END_TEST

static void *flood(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < FLOOD; i++)
        refuse(ATLS_E_QUEUE_FULL, "no place");
    return NULL;
}

START_TEST(test_L5_threads_lose_no_count)
{
    pthread_t threads[THREADS];
    char expected[100];

    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, flood, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(logged("no place"), 1);
    usleep(1100000);
    refuse(ATLS_E_QUEUE_FULL, "no place");
    snprintf(expected, sizeof(expected), "no place (and %u before that)\n",
             THREADS * FLOOD - 1);
    ck_assert_uint_eq(logged(expected), 1);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_L5_an_outage_is_a_line_a_second),
    ONCE(test_L5_threads_lose_no_count),
};

SUITE(.name = "refusal", .cases = {CASE("log", tests, 30, set_up, tear_down)});
