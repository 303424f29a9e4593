/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/verb.h"
#include "tools/check/known.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* What attest check --exec says of programs that need more than a configuration.
 * They are scripts here: it is their names that are known. */

static struct verb_result result;
static json_t *object;

static const char verifies[] =
    "openssl_conf = init\n[init]\nproviders = providers\n[providers]\n"
    "default = default_sect\nattest = attest\n[default_sect]\nactivate = 1\n"
    "[attest]\nmodule = attest.so\nactivate = 1\nverifier = verifier\n"
    "[verifier]\npolicy = /nonexistent/policy.cnf\n";
static const char proves[] =
    "openssl_conf = init\n[init]\nproviders = providers\n[providers]\n"
    "default = default_sect\nattest = attest\n[default_sect]\nactivate = 1\n"
    "[attest]\nmodule = attest.so\nactivate = 1\nattester = attester\n"
    "[attester]\nquoter = unix:/nonexistent/agent.sock\n";

static void setup(void)
{
    scratch_make();
    memset(&result, 0, sizeof(result));
    object = NULL;
    setenv("OPENSSL_MODULES", scratch_path(""), 1);
    unsetenv("PGSSLMODE");
    setenv("MAIL_CONFIG", scratch_path(""), 1);
    scratch_write("openssl.cnf", verifies, sizeof(verifies) - 1, 0644);
}

static void teardown(void)
{
    json_decref(object);
    verb_result_clear(&result);
    unsetenv("OPENSSL_MODULES");
    unsetenv("MAIL_CONFIG");
    scratch_remove();
}

static void check_exec(const char *program)
{
    const char *words[] = {"--conf", scratch_path("openssl.cnf"), "--exec",
                           scratch_path(program), NULL};

    scratch_write(program, "#!/bin/sh\n", 10, 0755);
    json_decref(object);
    verb_result_clear(&result);
    verb_run(&tool_verb_check, true, words, &result);
    object = verb_json(&result);
}

static void check_postfix(const char *main_cf)
{
    scratch_write("main.cf", main_cf, strlen(main_cf), 0644);
    check_exec("postfix");
}

static bool has(const char *level, const char *words)
{
    json_t *finding;
    size_t i;

    json_array_foreach(json_object_get(object, "findings"), i, finding)
    {
        const char *l = "", *what = "", *detail = "", *next = "";

        json_unpack(finding, "{s:s, s:s, s:s, s?s}", "level", &l, "what", &what,
                    "detail", &detail, "next", &next);
        if (strcmp(l, level) == 0 && strcmp(what, "program") == 0
            && (strstr(detail, words) != NULL || strstr(next, words) != NULL))
            return true;
    }
    return false;
}

#define ASSERT_FOUND(level, words)                                             \
    ck_assert_msg(has((level), (words)), "%s %s not in\n%s", (level), (words), \
                  result.out)
#define ASSERT_NOT_FOUND(level, words) \
    ck_assert_msg(!has((level), (words)), "%s", result.out)

/* ---- names ---- */

static const struct {
    const char *path;
    bool is_known;
} names[] = {
    {"/usr/bin/python3", true},
    {"/usr/bin/python3.11", true},
    {"/usr/bin/pythonista", false},
    {"python3-config", false},
    {"/lib/x86_64-linux-gnu/libpq.so.5.15", true},
    {"libpq.so.5", true},
    {"libpqxx.so.5", false},
    {"/usr/lib/libpq.so.5 (deleted)", false},
    {"/usr/bin/stunnel4", true},
    {"/usr/bin/redis-cli", true},
    {"redis-cli", true},
    {"/usr/bin/redis", false},
    {"/redis-cli/other", false},
    {"/usr/lib/postfix/sbin/master", true},
    {"/usr/lib/cyrus/sbin/master", false},
    {"master", false},
    {"sbin/master", false},
    {"postfix/sbin/master", true},
    {"xpostfix/sbin/master", false},
    {"/usr/bin/xpsql", false},
    {"", false},
    {"/", false},
};

START_TEST(test_a_program_is_known_by_its_name)
{
    struct known_program known = {.path = names[_i].path};

    tool_known_note(&known, names[_i].path);
    ck_assert_msg((known.rows != 0) == names[_i].is_known, "%s",
                  names[_i].path);
}
END_TEST

START_TEST(test_advice_is_of_a_kind)
{
    struct process process = {.exe.path = (char *)(uintptr_t) "/sbin/squid"};

    ck_assert_ptr_nonnull(
        strstr(tool_known_advice(&process, KNOWN_LOSES), "Start it with -N"));
    ck_assert_ptr_null(tool_known_advice(&process, KNOWN_CLEAR));
    process.exe.path = (char *)(uintptr_t) "/usr/bin/cat";
    ck_assert_ptr_null(tool_known_advice(&process, KNOWN_LOSES));
    process.exe.path = NULL;
    ck_assert_ptr_null(tool_known_advice(&process, KNOWN_LOSES));
}
END_TEST

/* ---- environment ---- */

START_TEST(test_C11_sslmode)
{
    static const char *const good[] = {"require", "verify-ca", "verify-full"};
    static const char *const bad[] = {"prefer", "allow",        "disable",
                                      "",       "verify-full2", "requir"};

    check_exec("psql");
    ASSERT_FOUND("warn", "goes on in clear where a server is refused");
    ASSERT_FOUND("warn", "no PGSSLMODE in its environment");
    ASSERT_FOUND("warn", "or set PGSSLMODE");
    for (int i = 0; i < COUNT(good); i++) {
        setenv("PGSSLMODE", good[i], 1);
        check_exec("pg_dump");
        ASSERT_NOT_FOUND("warn", "in clear");
        ASSERT_FOUND("ok", good[i]);
    }
    for (int i = 0; i < COUNT(bad); i++) {
        setenv("PGSSLMODE", bad[i], 1);
        check_exec("psql");
        ASSERT_FOUND("warn", "goes on in clear");
        ASSERT_FOUND("warn", bad[i]);
    }
    unsetenv("PGSSLMODE");
}
END_TEST

/* ---- files ---- */

static const struct {
    const char *main_cf;
    const char *level;
    const char *words;
} files[] = {
    {"", "warn", "no smtp_tls_security_level in "},
    {"smtp_tls_security_level = may\n", "warn",
     "smtp_tls_security_level = may in "},
    {"smtp_tls_security_level = dane\n", "warn", "= dane in "},
    {"smtp_tls_security_level=verify", "ok", "= verify in "},
    {"smtp_tls_security_level = \n  encrypt\n", "ok", "= encrypt in "},
    {"smtp_tls_security_level\t=\tsecure\n", "ok", "= secure in "},
    {"smtp_tls_security_level = dane-only\n", "ok", "= dane-only in "},
    /* the last counts */
    {"smtp_tls_security_level = verify\nsmtp_tls_security_level = may\n",
     "warn", "= may in "},
    {"smtp_tls_security_level = may\nsmtp_tls_security_level = verify\n", "ok",
     "= verify in "},
    /* no line of its own */
    {"# smtp_tls_security_level = verify\n", "warn",
     "no smtp_tls_security_level"},
    {"other = x\n smtp_tls_security_level = verify\n", "warn",
     "no smtp_tls_security_level"},
    {"xsmtp_tls_security_level = verify\n", "warn",
     "no smtp_tls_security_level"},
    {"smtp_tls_security_levels = verify\n", "warn",
     "no smtp_tls_security_level"},
    {"smtp_tls_security_level verify\n", "warn", "no smtp_tls_security_level"},
    {"\nsmtp_tls_security_level = may verify2\n", "warn", "= may verify2 in "},
    /* C12 */
    {"", "fail", "no import_environment in "},
    {"import_environment = TZ LANG=C\n", "fail", "= TZ LANG=C in "},
    {"import_environment = TZ\n\tOPENSSL_CONF\n", "ok", "OPENSSL_CONF in "},
    {"import_environment = TZ, OPENSSL_CONF=/etc/attest/openssl.cnf LANG=C\n",
     "ok", "OPENSSL_CONF=/etc/attest/openssl.cnf"},
    {"import_environment = NO_OPENSSL_CONF OPENSSL_CONF2\n", "fail",
     "NO_OPENSSL_CONF"},
    {"import_environment = TZ=OPENSSL_CONF\n", "fail", "TZ=OPENSSL_CONF"},
    /* P12 */
    {"", "note", "no smtp_tls_servername in "},
    {"smtp_tls_servername =\n", "note", "smtp_tls_servername =  in "},
    {"smtp_tls_servername = hostname\n", "ok", "= hostname in "},
    {"smtp_tls_servername = mail.example.com\n", "ok", "mail.example.com in "},
};

START_TEST(test_C11_C12_P12_settings_of_postfix)
{
    check_postfix(files[_i].main_cf);
    ASSERT_FOUND(files[_i].level, files[_i].words);
}
END_TEST

/* A value of a whole line and octets that would drive a terminal. */
START_TEST(test_values_are_shown_cut_and_printable)
{
    char text[4096] = "smtp_tls_security_level = may\033[31m";

    memset(text + strlen(text), 'x', 2000);
    check_postfix(text);
    ASSERT_FOUND("warn", "= may?[31mxxx");
    ASSERT_FOUND("warn", "xxx in ");
    ASSERT_FOUND("warn", "Set it to secure");
}
END_TEST

START_TEST(test_a_file_that_cannot_be_read)
{
    char *path = strdup(scratch_path("main.cf"));

    check_exec("postfix");
    ASSERT_FOUND("note", "main.cf: No such file or directory");
    ASSERT_FOUND("warn", "import_environment (cannot open ");
    ASSERT_NOT_FOUND("fail", "import_environment");
    ck_assert_int_eq(symlink("/dev/zero", path), 0);
    check_exec("postfix");
    ASSERT_FOUND("note", "not a regular file");
    free(path);
}
END_TEST

/* ---- roles and places ---- */

START_TEST(test_who_proves_is_told_nothing_of_clients)
{
    scratch_write("openssl.cnf", proves, sizeof(proves) - 1, 0644);
    check_exec("psql");
    ASSERT_NOT_FOUND("warn", "in clear");
    check_exec("redis-cli");
    ASSERT_NOT_FOUND("note", "--sni");
    check_exec("vsftpd");
    ASSERT_FOUND("note", "require_ssl_reuse=NO");
    check_postfix("");
    ASSERT_FOUND("fail", "no import_environment in ");
}
END_TEST

START_TEST(test_who_verifies_is_told_nothing_of_servers)
{
    check_exec("vsftpd");
    ASSERT_NOT_FOUND("note", "require_ssl_reuse=NO");
}
END_TEST

/* S33: a key of attest's own section. */
START_TEST(test_S33_map)
{
    char text[sizeof(verifies) + 32];

    check_exec("dovecot");
    ASSERT_FOUND("fail", "makes its first TLS context after chroot(2)");
    ASSERT_FOUND("fail", "no map in ");
    ASSERT_FOUND("fail", "Write map = start into attest's section");
    snprintf(text, sizeof(text), "%s[attest]\nmap = first-use\n", verifies);
    scratch_write("openssl.cnf", text, strlen(text), 0644);
    check_exec("dovecot");
    ASSERT_FOUND("fail", "map = first-use in ");
    snprintf(text, sizeof(text), "%s[attest]\nmap = start\n", verifies);
    scratch_write("openssl.cnf", text, strlen(text), 0644);
    check_exec("dovecot");
    ASSERT_FOUND("ok", "map = start in ");
}
END_TEST

static const struct {
    const char *program;
    const char *level;
    const char *words;
} programs[] = {
    {"nginx", "note", "proxy_ssl_server_name on;"},
    {"haproxy", "note", "sni str(NAME)"},
    {"redis-cli", "note", "--sni NAME"},
    {"mariadb", "note", "List the server's address in names"},
    {"mariadb-dump", "note", "--ssl-verify-server-cert"},
    {"openssl", "note", "-servername NAME"},
    {"python3.11", "note", "server_hostname=NAME"},
    {"socat", "note", "snihost=NAME"},
    {"stunnel4", "note", "sni = NAME"},
    {"unbound", "note", "#NAME"},
    {"rsyslogd", "note", "nameless name a section"},
    {"openvpn", "note", "nor an address"},
    {"swaks", "note", "--tls-sni NAME"},
    {"check_http", "note", "--sni"},
    {"php8.2", "note", "mysqli"},
    {"ruby3.1", "note", "enable_starttls"},
    {"curl", "note", "--ssl-reqd"},
    {"curl", "note", "shows nothing of a server that it reaches by an address"},
    {"libcurl.so.4.8.0", "note", "Connect by name, or let nameless"},
    {"node", "note", "Connect by name, or let nameless name a section"},
    {"fetchmail", "note", "sslcertck"},
    {"squid", "warn", "Start it with -N"},
    {"squid-openssl", "warn", "Start it with -N"}, /* Debian 13 */
    {"dovecot", "fail", "$import_environment OPENSSL_CONF"},
};

START_TEST(test_C11_C12_P12_programs)
{
    check_exec(programs[_i].program);
    ASSERT_FOUND(programs[_i].level, programs[_i].words);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_a_program_is_known_by_its_name, 0, COUNT(names)),
    ONCE(test_advice_is_of_a_kind),
    ONCE(test_C11_sslmode),
    LOOP(test_C11_C12_P12_settings_of_postfix, 0, COUNT(files)),
    ONCE(test_values_are_shown_cut_and_printable),
    ONCE(test_a_file_that_cannot_be_read),
    ONCE(test_who_proves_is_told_nothing_of_clients),
    ONCE(test_who_verifies_is_told_nothing_of_servers),
    ONCE(test_S33_map),
    LOOP(test_C11_C12_P12_programs, 0, COUNT(programs)),
};

SUITE(.name = "tool_check_known",
      .cases = {CASE("known", tests, 0, setup, teardown)});
