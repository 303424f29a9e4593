/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/configuration.h"
#include "attester/agent_socket.h"
#include "attester/measure.h"
#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define DIGEST \
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define QUOTER \
    "[attestd]\nquoter = tcti:x\nak = 0x81010002\nak_chain = /c.pem\n"
#define AK(ak) "[attestd]\nquoter = tcti:x\nak = " ak "\nak_chain = /c.pem\n"

static struct agent_configuration configuration;
static struct atls_reason why;

static enum atls_error load(const char *text)
{
    scratch_write("attestd.cnf", text, strlen(text), 0600);
    return agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                    &configuration);
}

static void expect_loaded(const char *text)
{
    ck_assert_msg(load(text) == ATLS_OK, "%s", why.text);
}

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

START_TEST(test_defaults)
{
    expect_loaded(QUOTER);
    ck_assert_str_eq(configuration.socket, ATLS_AGENT_SOCKET);
    ck_assert_str_eq(configuration.log, "stderr");
    ck_assert_int_eq(configuration.log_level, ATLS_LOG_INFO);
    ck_assert(configuration.quoter.needs_measured_certificate);
    ck_assert_str_eq(configuration.quoter.tcti, "x");
    ck_assert_str_eq(configuration.quoter.ak, "0x81010002");
    ck_assert_str_eq(configuration.quoter.ak_chain, "/c.pem");
    ck_assert_ptr_null(configuration.quoter.ak_auth);
    ck_assert_str_eq(configuration.quoter.measured_log,
                     atls_measure_default_log());
    ck_assert_uint_eq(configuration.quoter.measure_pcr, 15);
    /* The agent's reason comes before the programs' 5000 ms are over. */
    ck_assert_uint_eq(configuration.quoter.timeout_ms, 4500);
    ck_assert_ptr_null(configuration.components.components);
    ck_assert_ptr_null(configuration.components.certificates);
    ck_assert_ptr_null(configuration.components.authorities);
}
END_TEST

START_TEST(test_everything)
{
    expect_loaded(
        "[attestd]\nsocket = /run/a.sock\nallow = root, @root 33\n"
        "certificate = any\nlog = /var/log/a\nlog_level = debug\n"
        "quoter = tcti:device:/dev/tpmrm0\nak = 0x81010003\n"
        "ak_auth = file:/a.auth\nak_chain = /c.pem\npcrs = sha256:0-15\n"
        "measured_log = /e.cel\nboot_log = /b\nmeasure_pcr = 12\n"
        "timeout = 700\nmax_queue = 9\n"
        "[components]\nserver-code = /srv/app\nweights = " DIGEST
        "\n[certificates]\nwww = /etc/ssl/www.pem\n"
        "[authorities]\ninternal = /var/ca.pem\n");
    ck_assert_str_eq(configuration.socket, "/run/a.sock");
    ck_assert(!configuration.quoter.needs_measured_certificate);
    ck_assert_str_eq(configuration.log, "/var/log/a");
    ck_assert_int_eq(configuration.log_level, ATLS_LOG_DEBUG);
    ck_assert_str_eq(configuration.quoter.tcti, "device:/dev/tpmrm0");
    ck_assert_str_eq(configuration.quoter.ak_auth, "file:/a.auth");
    ck_assert_str_eq(configuration.quoter.pcrs, "sha256:0-15");
    ck_assert_str_eq(configuration.quoter.measured_log, "/e.cel");
    ck_assert_str_eq(configuration.quoter.boot_log, "/b");
    ck_assert_uint_eq(configuration.quoter.measure_pcr, 12);
    ck_assert_uint_eq(configuration.quoter.timeout_ms, 700);
    ck_assert_uint_eq(configuration.quoter.max_queue, 9);
    ck_assert_uint_eq(configuration.components.components->pair_count, 2);
    ck_assert_str_eq(configuration.components.components->pairs[1].value,
                     DIGEST);
    ck_assert_str_eq(configuration.components.certificates->pairs[0].key,
                     "www");
    ck_assert_uint_eq(configuration.components.authorities->pair_count, 1);
}
END_TEST

START_TEST(test_no_log_where_any_certificate_does)
{
    expect_loaded(QUOTER "measured_log = none\ncertificate = any\n");
    ck_assert_ptr_null(configuration.quoter.measured_log);
}
END_TEST

/* Each with the line in which it stands. */
static const struct {
    const char *text;
    const char *expected;
} mistakes[] = {
    {"", "attestd.cnf: no section [attestd]"},
    {"[attestd]\n", "attestd.cnf:1: [attestd] has no quoter"},
    {"[attestd]\nquoter = tcti:x\n",
     "attestd.cnf:1: [attestd] has no ak; for example ak = 0x81010002"},
    {"[attestd]\nquoter = tcti:x\nak = 0x81010002\n",
     "attestd.cnf:1: [attestd] has no ak_chain; for example"},
    {QUOTER "alow = www-data\n", "attestd.cnf:5: alow: unknown key"},
    {QUOTER "prove_to = any\n", "attestd.cnf:5: prove_to: unknown key"},
    {QUOTER "socket = agent.sock\n",
     "attestd.cnf:5: socket = agent.sock: expected an absolute path"},
    {QUOTER "certificate = all\n",
     "attestd.cnf:5: certificate = all: expected measured or any"},
    {QUOTER "certificate = Measured\n", "expected measured or any"},
    {QUOTER "measured_log = none\n",
     "attestd.cnf:5: measured_log = none: certificates cannot be looked up"},
    {QUOTER "log = here\n", "attestd.cnf:5: log = here: expected stderr"},
    {QUOTER "log_level = loud\n", "attestd.cnf:5: log_level = loud: "},
    {QUOTER "timeout = 0\n", "attestd.cnf:5: timeout = 0 is not from 1"},
    {QUOTER "timeout = 5s\n", "attestd.cnf:5: timeout = 5s is no number"},
    {QUOTER "max_queue = 4097\n", "attestd.cnf:5: max_queue = 4097 is not"},
    {QUOTER "measure_pcr = 7\n", "attestd.cnf:5: measure_pcr = 7 is not"},
    {"[attestd]\nquoter = unix:/run/attest/agent.sock\nak = 1\nak_chain = c\n",
     "attestd.cnf:2: quoter = unix:/run/attest/agent.sock: expected tcti:"},
    {"[attestd]\nquoter = tcti:\nak = 1\nak_chain = c\n",
     "attestd.cnf:2: quoter = tcti:: expected"},
    {AK("foo"), "attestd.cnf:3: ak = foo: expected a persistent handle"},
    {AK("81010002"), "attestd.cnf:3: ak = 81010002: expected a persistent"},
    {AK("0x91010002"), "attestd.cnf:3: ak = 0x91010002: expected a persistent"},
    {AK("/etc/attest/ak.tss"), "attestd.cnf:3: ak = /etc/attest/ak.tss: "},
    {"[attestd]\nquoter = tcti:x\nak = 0x81010002\nak_chain = c.pem\n",
     "attestd.cnf:4: ak_chain = c.pem: expected an absolute path"},
    {QUOTER "measured_log = e.cel\n",
     "attestd.cnf:5: measured_log = e.cel: expected an absolute path or none"},
    /* By provider/configuration.c. */
    {QUOTER "event_log = /e.cel\n",
     "attestd.cnf:5: event_log: call it measured_log; TCG's event log is the "
     "firmware's, which is boot_log"},
    {QUOTER "boot_log = log\n",
     "attestd.cnf:5: boot_log = log: expected an absolute path or none"},
    {QUOTER "ak_auth = file:a\n",
     "attestd.cnf:5: ak_auth: expected file: and an absolute path"},
    {QUOTER "ak_auth = hunter2\n", "attestd.cnf:5: ak_auth: expected file:"},
    {QUOTER "pcrs = sha256:0-99\n",
     "attestd.cnf:5: pcrs: PCR selection: expected PCRs from 0 to 23"},
    {QUOTER "measured_log = none\ncertificate = any\n[components]\nx = /x\n",
     "attestd.cnf:5: measured_log = none: [components], [certificates] and"},
    {QUOTER "measured_log = none\ncertificate = any\n[certificates]\nx = /x\n",
     "attestd.cnf:5: measured_log = none: [components], "},
    {QUOTER "measured_log = none\ncertificate = any\n[authorities]\nx = /x\n",
     "attestd.cnf:5: measured_log = none: [components], "},
    {QUOTER "[component]\nx = /x\n",
     "attestd.cnf:5: [component]: unknown section: expected attestd"},
    {QUOTER "[components]\nx = y\n",
     "attestd.cnf:6: x = y: expected an absolute path or sha256:"},
    {QUOTER "[components]\nx = sha256:00\n", "attestd.cnf:6: x = sha256:00: "},
    {QUOTER "[components]\n-x = /x\n", "attestd.cnf:6: -x: a name begins with"},
    {QUOTER "[certificates]\nwww = " DIGEST "\n",
     "attestd.cnf:6: www = sha256:"},
    {QUOTER "[authorities]\nca = ca.pem\n",
     "attestd.cnf:6: ca = ca.pem: expected an absolute path"},
    {QUOTER "ak = 0x81010003\n", "attestd.cnf:5: "},
    {QUOTER "[attestd]\n", "attestd.cnf:5: "},
    {"quoter = tcti:x\n", "attestd.cnf:1: quoter: stands in no section; put "
                          "the [NAME] of the one it belongs to above it"},
    {QUOTER "socket = $HOME/a\n", "attestd.cnf:5: socket: '$' in a value; "
                                  "there are no variables here"},
    {QUOTER ".include other.cnf\n", "other.cnf"},
};

START_TEST(test_P2_mistakes)
{
    enum atls_error r = load(mistakes[_i].text);

    ck_assert_msg(r == ATLS_E_CONFIG || r == ATLS_E_IO, "%s: %s",
                  mistakes[_i].text, atls_error_name(r));
    ck_assert_int_eq(why.code, r);
    ck_assert_msg(strstr(why.text, mistakes[_i].expected) != NULL,
                  "expected \"%s\" in \"%s\"", mistakes[_i].expected, why.text);
    ck_assert_uint_lt(strlen(why.text), ATLS_REASON_MAX - 1);
    /* Nobody's secret gets into a log. */
    ck_assert_ptr_null(strstr(why.text, "hunter2"));
}
END_TEST

START_TEST(test_sections_without_entries_need_no_log)
{
    expect_loaded(QUOTER "measured_log = none\ncertificate = any\n"
                         "[components]\n[certificates]\n[authorities]\n");
}
END_TEST

/* At boot the machine is measured by this file, whoever is missing. */
START_TEST(test_allow_is_resolved_by_itself)
{
    expect_loaded(QUOTER "allow = root, nobody-of-that-name\n");
    ck_assert_ptr_null(configuration.access);
    ck_assert_int_eq(agent_configuration_resolve(&configuration, &why),
                     ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(
        why.text,
        "attestd.cnf:5: allow: this machine has no user nobody-of-that-name"));
    agent_configuration_clear(&configuration);
    expect_loaded(QUOTER "allow = root\n");
    ck_assert_int_eq(agent_configuration_resolve(&configuration, &why),
                     ATLS_OK);
    ck_assert_ptr_nonnull(configuration.access);
}
END_TEST

/* What begins a reason of those who use a value, and where it stands. */
static const struct {
    const char *reason;
    const char *expected;
} places[] = {
    {"pcrs = sha256:1: not among", "attestd.cnf:5: pcrs = sha256:1: not among"},
    {"ak_auth: cannot open /a", "attestd.cnf:6: ak_auth: cannot open /a"},
    {"/c.pem: no certificate", "attestd.cnf:4: ak_chain: /c.pem: no "},
    {"timeout = 5: late", "attestd.cnf:1: timeout = 5: late"},
    {"akin to nothing", "attestd.cnf:1: akin to nothing"},
};

START_TEST(test_places)
{
    expect_loaded(QUOTER "pcrs = sha256:0-15\nak_auth = file:/a\n");
    (void)atls_fail(&why, ATLS_E_IO, "%s", places[_i].reason);
    agent_configuration_locate(&configuration, &why);
    ck_assert_msg(strstr(why.text, places[_i].expected) != NULL, "%s",
                  why.text);
}
END_TEST

START_TEST(test_P1_file_of_somebody_else)
{
    uid_t own = geteuid();
    enum atls_error r;

    scratch_write("attestd.cnf", QUOTER, strlen(QUOTER), 0);
    if (own == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    r = agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                 &configuration);
    ck_assert_int_eq(seteuid(own), 0);
    ck_assert_int_eq(r, ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "cannot be opened: Permission "
                                           "denied; it must be readable for "
                                           "user "));
    if (own == 0)
        ck_assert_ptr_nonnull(strstr(why.text, "for user nobody"));
}
END_TEST

START_TEST(test_socket_that_does_not_fit)
{
    char text[300];

    snprintf(text, sizeof(text), "%ssocket = /%0107d\n", QUOTER, 0);
    ck_assert_int_eq(load(text), ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "expected an absolute path of 107"));
    snprintf(text, sizeof(text), "%ssocket = /%0106d\n", QUOTER, 0);
    expect_loaded(text);
    ck_assert_uint_eq(strlen(configuration.socket), 107);
}
END_TEST

START_TEST(test_P1_missing_file)
{
    ck_assert_int_eq(agent_configuration_load(scratch_path("none.cnf"), &why,
                                              &configuration),
                     ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "none.cnf"));
}
END_TEST

START_TEST(test_P9_included_line)
{
    scratch_write("more.cnf", "\ncertificate = no\n", 18, 0600);
    ck_assert_int_eq(load(QUOTER ".include more.cnf\n"), ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "more.cnf:2: certificate = no"));
}
END_TEST

/* Every allocation fails in turn. */
START_TEST(test_R3_out_of_memory)
{
    const char *text = QUOTER "allow = root, @root, 33\n.include more.cnf\n"
                              "[components]\nx = /x\n";
    enum atls_error r = ATLS_E_NOMEM;

    scratch_write("more.cnf", "certificate = any\n", 18, 0600);
    scratch_write("attestd.cnf", text, strlen(text), 0600);
    for (size_t n = 1; r != ATLS_OK; n++) {
        ck_assert_uint_lt(n, 200);
        allocation_fail_at(n);
        r = agent_configuration_load(scratch_path("attestd.cnf"), &why,
                                     &configuration);
        if (r == ATLS_OK) {
            r = agent_configuration_resolve(&configuration, &why);
            if (r != ATLS_OK)
                agent_configuration_clear(&configuration);
        }
        allocation_fail_at(0);
        ck_assert_msg(r == ATLS_OK || r == ATLS_E_NOMEM, "%s", why.text);
    }
    ck_assert(!configuration.quoter.needs_measured_certificate);
}
END_TEST

/* What we give people to begin with. */
START_TEST(test_example)
{
    enum atls_error r = agent_configuration_load(
        TEST_SRCDIR "/attestd.cnf.example", &why, &configuration);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert(configuration.quoter.needs_measured_certificate);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_defaults),
    ONCE(test_everything),
    ONCE(test_no_log_where_any_certificate_does),
    LOOP(test_P2_mistakes, 0, sizeof(mistakes) / sizeof(mistakes[0])),
    ONCE(test_sections_without_entries_need_no_log),
    ONCE(test_allow_is_resolved_by_itself),
    LOOP(test_places, 0, sizeof(places) / sizeof(places[0])),
    ONCE(test_P1_file_of_somebody_else),
    ONCE(test_socket_that_does_not_fit),
    ONCE(test_P1_missing_file),
    ONCE(test_P9_included_line),
    ONCE(test_R3_out_of_memory),
    ONCE(test_example),
};

SUITE(.name = "agent_configuration", .begin = allocation_install,
      .cases = {CASE("file", tests, 0, set_up, tear_down)});
