/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_SUITE_H
#define ATLS_TEST_SUITE_H

#include <check.h>
#include <stddef.h>

/*
 * A unit test's tests as a table, and the main() that runs them:
 *
 *     static const struct suite_test tests[] = {
 *         ONCE(test_E1_magic),
 *         LOOP(test_E2_attest_types, 0, COUNT(attest_types)),
 *     };
 *     SUITE(.name = "quote", .begin = allocation_install,
 *           .cases = {CASE("quote", tests, 60, set_up, tear_down)});
 */

#define SUITE_CASES_MAX 4

struct suite_test {
    const TTest *const *test; /* what START_TEST() defined */
    int from, to;             /* _i is from, ..., to - 1 */
    /* Where skip() or begin() finds out what to is; NULL otherwise. */
    const int *late_to;
};

#define ONCE(name) LOOP(name, 0, 1)
#define LOOP(name, first, end)                  \
    {                                           \
        .test = &name, .from = first, .to = end \
    }
#define UNTIL(name, variable)              \
    {                                      \
        .test = &name, .late_to = variable \
    }

struct suite_case {
    const char *name;
    const struct suite_test *tests;
    size_t count;
    int timeout; /* s, times suite_scale(); 0 is Check's default */
    /* Before and after each test, in its process; or NULL. */
    void (*set_up)(void);
    void (*tear_down)(void);
};

#define CASE(name_, tests_, timeout_, set_up_, tear_down_)                \
    {                                                                     \
        .name = name_, .tests = tests_,                                   \
        .count = sizeof(tests_) / sizeof(tests_[0]), .timeout = timeout_, \
        .set_up = set_up_, .tear_down = tear_down_                        \
    }

/* Each function may be NULL. */
struct suite {
    const char *name;
    /* Why nothing can be tested here, or NULL. It uses nothing of OpenSSL. */
    const char *(*skip)(void);
    /* Once, in the first process, before and after all tests. */
    void (*begin)(void);
    void (*end)(void);
    /* Runs instead where a test starts the program with an argument. */
    void (*with_argument)(const char *argument);
    struct suite_case cases[SUITE_CASES_MAX];
};

/*
 * Run it; TAP on stdout. A suite that is skipped prints "1..0 # SKIP reason".
 * Returns main()'s status: EXIT_SUCCESS if no test failed, else EXIT_FAILURE.
 */
int suite_main(const struct suite *suite, int argc, char **argv);

#define SUITE(...)                                \
    int main(int argc, char **argv)               \
    {                                             \
        const struct suite suite = {__VA_ARGS__}; \
                                                  \
        return suite_main(&suite, argc, argv);    \
    }                                             \
    _Static_assert(1, "") /* takes the semicolon */

/* ATTEST_TEST_SCALE, from 1: how many times longer tests of endurance run. */
int suite_scale(void);

#endif
