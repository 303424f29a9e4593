/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>

int suite_scale(void)
{
    const char *text = getenv("ATTEST_TEST_SCALE");

    return text != NULL && atoi(text) > 0 ? atoi(text) : 1;
}

static TCase *make_case(const struct suite_case *table)
{
    TCase *tcase = tcase_create(table->name);

    tcase_add_checked_fixture(tcase, table->set_up, table->tear_down);
    if (table->timeout != 0)
        tcase_set_timeout(tcase, table->timeout * suite_scale());
    for (size_t i = 0; i < table->count; i++) {
        const struct suite_test *test = &table->tests[i];
        int to = test->late_to != NULL ? *test->late_to : test->to;

        tcase_add_loop_test(tcase, *test->test, test->from, to);
    }
    return tcase;
}

/* How many tests failed. */
static int run(const struct suite *table)
{
    Suite *suite = suite_create(table->name);
    SRunner *runner = srunner_create(suite);
    int failed;

    for (size_t i = 0; i < SUITE_CASES_MAX && table->cases[i].count > 0; i++)
        suite_add_tcase(suite, make_case(&table->cases[i]));
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

int suite_main(const struct suite *suite, int argc, char **argv)
{
    const char *reason;
    int failed;

    if (argc > 1 && suite->with_argument != NULL) {
        suite->with_argument(argv[1]);
        return EXIT_SUCCESS;
    }
    reason = suite->skip != NULL ? suite->skip() : NULL;
    if (reason != NULL) {
        printf("1..0 # SKIP %s\n", reason);
        return EXIT_SUCCESS;
    }
    if (suite->begin != NULL)
        suite->begin();
    failed = run(suite);
    if (suite->end != NULL)
        suite->end();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
