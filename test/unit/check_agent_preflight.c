/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/preflight.h"
#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"

static struct agent_configuration configuration;
static struct atls_reason why;

static void set_up(void)
{
    scratch_make();
    memset(&configuration, 0, sizeof(configuration));
}

static void tear_down(void)
{
    agent_configuration_clear(&configuration);
    scratch_remove();
}

/* log: a name in the scratch folder, or a target. */
static enum atls_error check(const char *tcti, const char *log)
{
    char text[700];

    snprintf(text, sizeof(text),
             "[attestd]\nquoter = tcti:%s\nak = 0x81010002\n"
             "ak_chain = /c.pem\nlog = %s\n",
             tcti, log);
    scratch_write("attestd.cnf", text, strlen(text), 0644);
    ck_assert_msg(agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                           &configuration)
                      == ATLS_OK,
                  "%s", why.text);
    return agent_preflight(&configuration, &why);
}

static void expect_refused(enum atls_error r, const char *begin,
                           const char *rest)
{
    ck_assert_int_eq(r, ATLS_E_CONFIG);
    ck_assert_int_eq(why.code, ATLS_E_CONFIG);
    ck_assert_msg(strstr(why.text, begin) != NULL, "%s", why.text);
    ck_assert_msg(strstr(why.text, rest) != NULL, "%s", why.text);
    ck_assert_uint_lt(strlen(why.text), sizeof(why.text) - 1); /* not cut */
}

START_TEST(test_logs_that_open)
{
    const char *path = scratch_path("agent.log");

    ck_assert_int_eq(check("swtpm:", "stderr"), ATLS_OK);
    agent_configuration_clear(&configuration);
    ck_assert_int_eq(check("swtpm:", "syslog"), ATLS_OK);
    agent_configuration_clear(&configuration);
    ck_assert_int_eq(check("swtpm:", path), ATLS_OK);
    /* Who checks is perhaps not who will write to it. */
    ck_assert_int_ne(access(path, F_OK), 0);
    agent_configuration_clear(&configuration);
    scratch_write("agent.log", "before\n", 7, 0600);
    ck_assert_int_eq(check("swtpm:", path), ATLS_OK);
}
END_TEST

static const struct {
    const char *name; /* in the scratch folder */
    const char *expected;
} logs[] = {
    {"none/x.log", "/none/x.log: cannot be opened: No such file or directory; "
                   "make the folder, or give it to the agent's user"},
    {"attestd.cnf/x.log", "/x.log: cannot be opened: Not a directory; make"},
    {"", "/: cannot be opened: Is a directory; make"},
};

START_TEST(test_logs_that_do_not_open)
{
    expect_refused(check("swtpm:", scratch_path(logs[_i].name)),
                   "attestd.cnf:5: log = /", logs[_i].expected);
}
END_TEST

/* Root can write anywhere: somebody else cannot. */
static void check_as_nobody(const char *log)
{
    uid_t own = geteuid();
    enum atls_error r;

    ck_assert_int_eq(check("swtpm:", log), ATLS_OK);
    if (own == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    r = agent_preflight(&configuration, &why);
    ck_assert_int_eq(seteuid(own), 0);
    if (own == 0)
        expect_refused(r, "attestd.cnf:5: log = /",
                       "cannot be opened: Permission denied; make");
    agent_configuration_clear(&configuration);
}

START_TEST(test_logs_of_others)
{
    const char *log = scratch_path("agent.log");

    ck_assert_int_eq(chmod(scratch_path("."), 0755), 0);
    check_as_nobody(log);
    scratch_write("agent.log", "", 0, 0600);
    check_as_nobody(log);
}
END_TEST

static const char *const known_tctis[] = {
    "device:/dev/tpmrm0",
    "swtpm:port=1",
    "device",
    "libtss2-tcti-device.so.0:",
};

START_TEST(test_known_tctis)
{
    ck_assert_msg(check(known_tctis[_i], "stderr") == ATLS_OK, "%s", why.text);
}
END_TEST

START_TEST(test_unknown_tctis)
{
    char name[400];

    expect_refused(check("nosuch:/dev/tpmrm0", "stderr"),
                   "attestd.cnf:2: quoter: tpm2-tss has no TCTI \"nosuch\": ",
                   "correct quoter, or install libtss2-tcti-nosuch");
    agent_configuration_clear(&configuration);
    snprintf(name, sizeof(name), "%0300d", 0);
    expect_refused(
        check(name, "stderr"), "attestd.cnf:2: quoter: ",
        "has no TCTI \"0000000000000000000000000000000000000000\": ");
}
END_TEST

START_TEST(test_R3_out_of_memory)
{
    enum atls_error r;

    ck_assert_int_eq(check("swtpm:", scratch_path("agent.log")), ATLS_OK);
    allocation_fail_at(1);
    r = agent_preflight(&configuration, &why);
    allocation_fail_at(0);
    expect_refused(r, "attestd.cnf:5: log = /", "Cannot allocate memory");
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_logs_that_open),
    LOOP(test_logs_that_do_not_open, 0, sizeof(logs) / sizeof(logs[0])),
    ONCE(test_logs_of_others),
    LOOP(test_known_tctis, 0, sizeof(known_tctis) / sizeof(known_tctis[0])),
    ONCE(test_unknown_tctis),
    ONCE(test_R3_out_of_memory),
};

SUITE(.name = "agent_preflight", .begin = allocation_install,
      .cases = {CASE("files and names", tests, 0, set_up, tear_down)});
