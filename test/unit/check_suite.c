/* SPDX-License-Identifier: BSD-2-Clause */
/* test/lib/suite.h: what a suite prints and how it ends. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/suite.h"

static char output[4096];
static int end_of_loop;

/* Run a suite in a process of its own. Returns its exit status; output is what it
 * printed. */
static int run(const struct suite *suite)
{
    char name[] = "suite", *argv[] = {name, NULL};
    size_t len = 0;
    int ends[2], status;
    ssize_t got;
    pid_t child;

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fflush(stdout), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(99);
        exit(suite_main(suite, 1, argv));
    }
    close(ends[1]);
    while ((got = read(ends[0], output + len, sizeof(output) - 1 - len)) > 0)
        len += (size_t)got;
    close(ends[0]);
    output[len] = '\0';
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *missing(void)
{
    return "the oracle is not installed";
}

static const char *nothing_is_missing(void)
{
    return NULL;
}

static void never(void)
{
    _exit(98);
}

START_TEST(test_inner_passes)
{
    ck_assert_int_lt(_i, 7);
}
END_TEST

START_TEST(test_inner_fails)
{
    ck_assert_int_eq(_i, -1);
}
END_TEST

static const struct suite_test good[] = {
    ONCE(test_inner_passes),
    LOOP(test_inner_passes, 2, 4),
    UNTIL(test_inner_passes, &end_of_loop),
};

static const struct suite_test bad[] = {
    ONCE(test_inner_fails),
};

static void set_end(void)
{
    end_of_loop = 3;
}

/* Automake's driver takes any other plan, or another exit status, for an error. */
START_TEST(test_a_skip_is_a_plan_with_its_reason)
{
    const struct suite suite = {.name = "skipped",
                                .skip = missing,
                                .begin = never,
                                .end = never,
                                .cases = {CASE("case", bad, 0, NULL, NULL)}};

    ck_assert_int_eq(run(&suite), EXIT_SUCCESS);
    ck_assert_str_eq(output, "1..0 # SKIP the oracle is not installed\n");
}
END_TEST

START_TEST(test_every_test_of_every_case_is_run)
{
    const struct suite suite = {.name = "good",
                                .skip = nothing_is_missing,
                                .begin = set_end,
                                .cases = {CASE("one", good, 0, NULL, NULL),
                                          CASE("two", good, 9, NULL, NULL)}};

    ck_assert_int_eq(run(&suite), EXIT_SUCCESS);
    ck_assert_ptr_nonnull(strstr(output, "1..12\n"));
    ck_assert_ptr_nonnull(strstr(output, "ok 12 - "));
    ck_assert_ptr_nonnull(strstr(output, ":two:test_inner_passes: Passed"));
    ck_assert_ptr_null(strstr(output, "not ok"));
}
END_TEST

START_TEST(test_a_failure_is_the_exit_status)
{
    const struct suite suite = {.name = "bad",
                                .cases = {CASE("good", good, 0, NULL, NULL),
                                          CASE("bad", bad, 0, NULL, NULL)}};

    ck_assert_int_eq(run(&suite), EXIT_FAILURE);
    ck_assert_ptr_nonnull(strstr(output, "not ok "));
    ck_assert_ptr_nonnull(strstr(output, ":bad:test_inner_fails: "));
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_a_skip_is_a_plan_with_its_reason),
    ONCE(test_every_test_of_every_case_is_run),
    ONCE(test_a_failure_is_the_exit_status),
};

SUITE(.name = "suite", .cases = {CASE("suite", tests, 0, NULL, NULL)});
