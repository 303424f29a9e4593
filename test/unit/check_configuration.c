/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "configuration.h"
#include "lib/suite.h"

#define ROLE "attester.quoter", "tcti:swtpm:port=1"
#define KEY "attester.ak", "0x81010002"
#define CHAIN "attester.ak_chain", "/c.pem"
#define VERIFIER "verifier.policy", "/p.cnf"

/* Up to six settings, as keys and values in turn. */
struct row {
    const char *pairs[12];
    enum { FINE, BROKEN, ATTESTER_BROKEN } outcome;
    const char *text; /* that must stand in the reason */
};

/* 107 octets, as many as sockaddr_un holds. */
#define TEN "/345678901"
#define LONG_PATH TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/agent."

static const struct row rows[] = {
    {{VERIFIER}, FINE, NULL},
    {{ROLE, KEY, CHAIN}, FINE, NULL},
    {{ROLE, KEY, CHAIN, VERIFIER}, FINE, NULL},
    /* C10: neither role, or a role whose section does not exist */
    {{NULL}, BROKEN, "neither attester nor verifier"},
    {{"log", "stderr"}, BROKEN, "neither attester nor verifier"},
    {{"verifier", "verifer_sect"}, BROKEN, "no section [verifer_sect]"},
    {{"attester", "x", VERIFIER}, BROKEN, "no section [x]"},
    {{ATLS_SETTING_BROKEN, "twice", VERIFIER}, BROKEN, "twice"},
    /* P4: strict spelling */
    {{"log", "Stderr", VERIFIER}, BROKEN, "log = Stderr: expected stderr"},
    {{"log", "log.txt", VERIFIER}, BROKEN, "log = log.txt"},
    {{"log_level", "warning", VERIFIER}, BROKEN, "log_level = warning"},
    {{"log_level", "", VERIFIER}, BROKEN, "log_level = "},
    {{"log_level", "debug", "log", "syslog", VERIFIER}, FINE, NULL},
    {{"map", "start", VERIFIER}, FINE, NULL},
    {{"map", "first-use", VERIFIER}, FINE, NULL},
    {{"map", "Start", VERIFIER},
     BROKEN,
     "map = Start: expected first-use or start"},
    {{"map", "", VERIFIER}, BROKEN, "map = : expected first-use or start"},
    /* an attester that cannot work leaves other handshakes alone */
    {{KEY, CHAIN}, ATTESTER_BROKEN, "has no quoter"},
    {{"attester.quoter", "unix:/run/a"}, FINE, NULL},
    /* what is the agent's is left to it */
    {{"attester.quoter", "unix:/run/a", KEY, CHAIN}, FINE, NULL},
    {{"attester.quoter", "unix:run/a"},
     ATTESTER_BROKEN,
     "quoter = unix:run/a: expected an absolute path"},
    {{"attester.quoter", "unix:"},
     ATTESTER_BROKEN,
     "quoter = unix:: expected an absolute path"},
    {{"attester.quoter", "unix:" LONG_PATH}, FINE, NULL},
    {{"attester.quoter", "unix:" LONG_PATH "x"},
     ATTESTER_BROKEN,
     "has 108 octets, a Unix socket takes 107"},
    {{"attester.quoter", "unix:/run/a", "attester.timeout", "0"},
     ATTESTER_BROKEN,
     "attester.timeout = 0 is not from 1 to 600000"},
    /* what may be read when the program is somewhere else */
    {{"verifier.policy", "policy.cnf"},
     BROKEN,
     "policy = policy.cnf: expected an absolute path"},
    {{ROLE, KEY, "attester.ak_chain", "c.pem"},
     ATTESTER_BROKEN,
     "ak_chain = c.pem: expected an absolute path"},
    {{ROLE, KEY, CHAIN, "attester.ak_auth", "file:a.auth"},
     ATTESTER_BROKEN,
     "ak_auth = file:a.auth: expected an absolute path"},
    {{ROLE, KEY, CHAIN, "attester.ak_auth", "file:"},
     ATTESTER_BROKEN,
     "ak_auth = file:: expected an absolute path"},
    {{ROLE, KEY, CHAIN, "attester.ak_auth", "file:/a.auth"}, FINE, NULL},
    {{ROLE, KEY, CHAIN, "attester.measured_log", "./events.cel"},
     ATTESTER_BROKEN,
     "measured_log = ./events.cel: expected an absolute path"},
    {{ROLE, KEY, CHAIN, "attester.measured_log", "none"}, FINE, NULL},
    /* provider/configuration.c refuses the name that it had */
    {{ROLE, KEY, CHAIN, "attester.event_log", "/events.cel"},
     ATTESTER_BROKEN,
     "event_log: call it measured_log; TCG's event log is the firmware's, "
     "which "
     "is boot_log"},
    {{"attester.quoter", "unix:/run/a", "attester.event_log", "none"},
     ATTESTER_BROKEN,
     "event_log: call it measured_log; TCG's event log is"},
    {{ROLE, KEY, CHAIN, "attester.boot_log", "boot.bin"},
     ATTESTER_BROKEN,
     "boot_log = boot.bin: expected an absolute path"},
    {{"attester.quoter", "tcti:", KEY, CHAIN},
     ATTESTER_BROKEN,
     "expected unix: and attestd's socket, or tcti: and a TCTI"},
    {{"attester.quoter", "/dev/tpmrm0", KEY, CHAIN},
     ATTESTER_BROKEN,
     "expected unix: and attestd's socket, or tcti: and a TCTI"},
    {{ROLE, CHAIN}, ATTESTER_BROKEN, "has no ak"},
    {{ROLE, KEY}, ATTESTER_BROKEN, "has no ak_chain"},
    {{ROLE, KEY, CHAIN, "attester.timeout", "0"},
     ATTESTER_BROKEN,
     "attester.timeout = 0 is not from 1 to 600000"},
    {{ROLE, KEY, CHAIN, "attester.timeout", "600001"},
     ATTESTER_BROKEN,
     "not from 1"},
    {{ROLE, KEY, CHAIN, "attester.timeout", "600000"}, FINE, NULL},
    {{ROLE, KEY, CHAIN, "attester.timeout", "99999999999999999999"},
     ATTESTER_BROKEN,
     "is no number"},
    {{ROLE, KEY, CHAIN, "attester.timeout", "-1"},
     ATTESTER_BROKEN,
     "is no number"},
    {{ROLE, KEY, CHAIN, "attester.timeout", "5s"},
     ATTESTER_BROKEN,
     "is no number"},
    {{ROLE, KEY, CHAIN, "attester.timeout", ""},
     ATTESTER_BROKEN,
     "is not from"},
    {{ROLE, KEY, CHAIN, "attester.measure_pcr", "16"},
     ATTESTER_BROKEN,
     "not from 8 to 15"},
    {{ROLE, KEY, CHAIN, "attester.measure_pcr", "8"}, FINE, NULL},
    {{ROLE, KEY, CHAIN, "attester.max_queue", "4097"},
     ATTESTER_BROKEN,
     "not from 1 to 4096"},
    {{ROLE, KEY, CHAIN, "attester.evidence", "epoch"},
     ATTESTER_BROKEN,
     "supports only live"},
    {{ROLE, KEY, CHAIN, "attester.prove_to", "example.com"},
     ATTESTER_BROKEN,
     "supports only any"},
};

START_TEST(test_C10_P4_settings)
{
    const struct row *row = &rows[_i];
    struct atls_setting settings[6];
    struct atls_configuration got;
    size_t count = 0;

    for (; count < 6 && row->pairs[2 * count] != NULL; count++) {
        settings[count].key = row->pairs[2 * count];
        settings[count].value = row->pairs[2 * count + 1];
    }
    atls_configuration_read(settings, count, &got);
    ck_assert_int_eq(got.broken.code,
                     row->outcome == BROKEN ? ATLS_E_CONFIG : ATLS_OK);
    ck_assert_int_eq(got.attester_broken.code,
                     row->outcome == ATTESTER_BROKEN ? ATLS_E_CONFIG : ATLS_OK);
    if (row->outcome == BROKEN)
        ck_assert_msg(strstr(got.broken.text, row->text) != NULL, "%s",
                      got.broken.text);
    if (row->outcome == BROKEN && strncmp(row->text, "log = ", 6) == 0)
        ck_assert_ptr_null(got.log); /* nothing to be opened */
    if (row->outcome == ATTESTER_BROKEN)
        ck_assert_msg(strstr(got.attester_broken.text, row->text) != NULL, "%s",
                      got.attester_broken.text);
}
END_TEST

START_TEST(test_values_and_defaults)
{
    static const struct atls_setting settings[] = {
        {ROLE},     {KEY},         {CHAIN},
        {VERIFIER}, {"log", "/l"}, {"log_level", "warn"}};
    struct atls_configuration got;

    atls_configuration_read(settings, 6, &got);
    ck_assert_int_eq(got.broken.code, ATLS_OK);
    ck_assert_str_eq(got.log, "/l");
    ck_assert_int_eq(got.log_level, ATLS_LOG_WARN);
    ck_assert(got.has_attester);
    ck_assert(got.has_verifier);
    ck_assert_str_eq(got.policy, "/p.cnf");
    ck_assert_ptr_null(got.attester.socket);
    ck_assert_str_eq(got.attester.quoter.tcti, "swtpm:port=1");
    ck_assert_str_eq(got.attester.quoter.ak, "0x81010002");
    ck_assert_str_eq(got.attester.quoter.ak_chain, "/c.pem");
    ck_assert_ptr_null(got.attester.quoter.ak_auth);
    ck_assert_ptr_null(got.attester.quoter.pcrs);
    ck_assert_ptr_nonnull(got.attester.quoter.measured_log);
    ck_assert_str_eq(got.attester.quoter.boot_log,
                     "/sys/kernel/security/tpm0/binary_bios_measurements");
    ck_assert(got.attester.quoter.is_boot_log_optional);
    ck_assert_uint_eq(got.attester.quoter.measure_pcr, 15);
    ck_assert_uint_eq(got.attester.quoter.timeout_ms, 5000);
    ck_assert_uint_eq(got.attester.quoter.max_queue, 4096);
}
END_TEST

START_TEST(test_S33_when_to_map)
{
    struct atls_setting settings[] = {{VERIFIER}, {"map", "start"}};
    struct atls_configuration got;

    atls_configuration_read(settings, 2, &got);
    ck_assert(got.maps_at_start);
    settings[1].value = "first-use";
    atls_configuration_read(settings, 2, &got);
    ck_assert(!got.maps_at_start);
    atls_configuration_read(settings, 1, &got);
    ck_assert(!got.maps_at_start);
}
END_TEST

/* The agent's socket, and how long to wait for it: nothing else is ours. */
START_TEST(test_socket_of_the_agent)
{
    const struct atls_setting settings[] = {
        {"attester.quoter", "unix:/run/attest/agent.sock"},
        {"attester.timeout", "700"},
    };
    struct atls_configuration got;

    atls_configuration_read(settings, 1, &got);
    ck_assert_int_eq(got.attester_broken.code, ATLS_OK);
    ck_assert_str_eq(got.attester.socket, "/run/attest/agent.sock");
    ck_assert_uint_eq(got.attester.quoter.timeout_ms, 5000);
    ck_assert_ptr_null(got.attester.quoter.tcti);
    atls_configuration_read(settings, 2, &got);
    ck_assert_uint_eq(got.attester.quoter.timeout_ms, 700);
}
END_TEST

/* A log that is named is missed where it is not. */
START_TEST(test_boot_log)
{
    static const struct atls_setting settings[] = {
        {ROLE}, {KEY}, {CHAIN}, {"attester.boot_log", "/b.bin"}};
    static const struct atls_setting none[] = {
        {ROLE}, {KEY}, {CHAIN}, {"attester.boot_log", "none"}};
    struct atls_configuration got;

    atls_configuration_read(settings, 4, &got);
    ck_assert_int_eq(got.attester_broken.code, ATLS_OK);
    ck_assert_str_eq(got.attester.quoter.boot_log, "/b.bin");
    ck_assert(!got.attester.quoter.is_boot_log_optional);
    atls_configuration_read(none, 4, &got);
    ck_assert_int_eq(got.attester_broken.code, ATLS_OK);
    ck_assert_ptr_null(got.attester.quoter.boot_log);
}
END_TEST

/* Programs show the brief sentence alone: it must say the word to write. */
START_TEST(test_S30_the_brief_sentence_says_measured_log)
{
    static const struct atls_setting settings[] = {
        {ROLE}, {KEY}, {CHAIN}, {"attester.event_log", "/e.cel"}};
    struct atls_configuration got;

    atls_configuration_read(settings, 4, &got);
    ck_assert_msg(strstr(got.attester_broken.brief, "measured_log") != NULL,
                  "%s", got.attester_broken.brief);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_C10_P4_settings, 0, sizeof(rows) / sizeof(rows[0])),
    ONCE(test_S33_when_to_map),
    ONCE(test_values_and_defaults),
    ONCE(test_socket_of_the_agent),
    ONCE(test_boot_log),
    ONCE(test_S30_the_brief_sentence_says_measured_log),
};

SUITE(.name = "configuration",
      .cases = {CASE("configuration", tests, 0, NULL, NULL)});
