/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/evidence_server.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/verb.h"
#include "tools/common/cnfscan.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* "attest check" without a TPM; what needs one is in check_tool_check_attester.c. */

static struct verb_result result;
static json_t *object;

static void setup(void)
{
    scratch_make();
    memset(&result, 0, sizeof(result));
    object = NULL;
    setenv("OPENSSL_MODULES", scratch_path(""), 1);
    unsetenv("OPENSSL_CONF_INCLUDE");
}

static void teardown(void)
{
    json_decref(object);
    verb_result_clear(&result);
    unsetenv("OPENSSL_MODULES");
    scratch_remove();
}

/* A configuration in pieces, so that a test can change one. */
struct pieces {
    const char *first; /* before the first section */
    const char *init;
    const char *providers;
    const char *fallback; /* [default_sect] */
    const char *attest;
    const char *verifier;
    const char *rest;
};

static const struct pieces good = {
    .first = "openssl_conf = openssl_init\n",
    .init = "providers = provider_sect\n",
    .providers = "default = default_sect\nattest = attest_sect\n",
    .fallback = "activate = 1\n",
    .attest = "module = attest.so\nactivate = 1\nverifier = verifier_sect\n",
    .verifier = "policy = /nonexistent/policy.cnf\n",
    .rest = "",
};

#define PIECE(name) (changed->name != NULL ? changed->name : good.name)

static void write_conf(const struct pieces *changed)
{
    char text[4096];
    int len =
        snprintf(text, sizeof(text),
                 "%s[openssl_init]\n%s[provider_sect]\n%s[default_sect]\n"
                 "%s[attest_sect]\n%s[verifier_sect]\n%s%s",
                 PIECE(first), PIECE(init), PIECE(providers), PIECE(fallback),
                 PIECE(attest), PIECE(verifier), PIECE(rest));

    scratch_write("openssl.cnf", text, (size_t)len, 0644);
}

#define CHECK(...)                                                          \
    do {                                                                    \
        const char *const words[] = {"--conf", scratch_path("openssl.cnf"), \
                                     __VA_ARGS__, NULL};                    \
        json_decref(object);                                                \
        verb_result_clear(&result);                                         \
        verb_run(&tool_verb_check, true, words, &result);                   \
        object = verb_json(&result);                                        \
    } while (0)

/* Is there a finding of that level about that, with these words in it? */
static bool has(const char *level, const char *what, const char *words)
{
    json_t *finding;
    size_t i;

    json_array_foreach(json_object_get(object, "findings"), i, finding)
    {
        const char *l = "", *w = "", *detail = "", *next = "";

        json_unpack(finding, "{s:s, s:s, s:s, s?s}", "level", &l, "what", &w,
                    "detail", &detail, "next", &next);
        if (strcmp(l, level) == 0 && strcmp(w, what) == 0
            && (strstr(detail, words) != NULL || strstr(next, words) != NULL))
            return true;
    }
    return false;
}

#define ASSERT_FOUND(level, what, words)                                 \
    ck_assert_msg(has((level), (what), (words)), "%s %s: %s not in\n%s", \
                  (level), (what), (words), result.out)
#define ASSERT_NOT_FOUND(level, what, words) \
    ck_assert_msg(!has((level), (what), (words)), "%s", result.out)

/* --- configuration ---------------------------------------------------------- */

static const struct {
    struct pieces changed;
    const char *level;
    const char *what;
    const char *words;
} cases[] = {
    {{0}, "ok", "configuration", "openssl.cnf"},
    {{0},
     "ok",
     "attest",
     "[default] -> [openssl_init] -> [provider_sect] -> [attest_sect]"},
    {{0}, "ok", "default provider", "named and active"},
    {{0}, "ok", "settings", "verifier"},
    {{0}, "note", "scope", "setuid programs"},
    /* the way to attest */
    {{.first = "# nothing\n"}, "fail", "openssl_conf", "has no openssl_conf"},
    {{.first = "openssl_config = openssl_init\n"},
     "fail",
     "openssl_conf",
     "Did you mean openssl_conf where it says openssl_config?"},
    {{.first = "openssl_conf = opensl_init\n"},
     "fail",
     "openssl_conf",
     "Did you mean [openssl_init]?"},
    {{.first = "openssl_conf = elsewhere\n"},
     "fail",
     "openssl_conf",
     "openssl.cnf:1: openssl_conf = elsewhere, but there is no section"},
    {{.init = "provider = provider_sect\n"},
     "fail",
     "providers",
     "Did you mean providers where it says provider?"},
    {{.init = "providers = p\n"}, "fail", "providers", "no section [p]"},
    {{.providers = "default = default_sect\n"},
     "fail",
     "attest",
     "has no attest in [provider_sect]"},
    {{.providers = "default = default_sect\natest = attest_sect\n"},
     "fail",
     "attest",
     "Did you mean attest where it says atest?"},
    {{.providers = "default = default_sect\nattest = a_sect\n"},
     "fail",
     "attest",
     "no section [a_sect]"},
    {{.providers = "1.default = default_sect\n2.attest = attest_sect\n"},
     "ok",
     "default provider",
     "named and active"},
    /* C2 */
    {{.providers = "attest = attest_sect\n"},
     "fail",
     "default provider",
     "loses all algorithms"},
    {{.fallback = "activate = 0\n"}, "fail", "default provider", "not active"},
    {{.fallback = "\n"}, "fail", "default provider", "not active"},
    {{.providers = "fips = default_sect\nbase = default_sect\n"
                   "attest = attest_sect\n"},
     "ok",
     "default provider",
     "fips and base"},
    {{.providers = "fips = default_sect\nattest = attest_sect\n"},
     "fail",
     "default provider",
     "not active"},
    {{.attest = "module = attest.so\nverifier = verifier_sect\n"},
     "fail",
     "attest",
     "is not activated"},
    /* the strict form */
    {{.providers = "null = default_sect\nattest = attest_sect\n",
      .attest =
          "activate = 1\nbase = provider:default\nverifier = verifier_sect\n"},
     "ok",
     "strict form",
     "loads default"},
    {{.providers = "attest = attest_sect\n",
      .attest =
          "activate = 1\nbase = provider:default\nverifier = verifier_sect\n"},
     "fail",
     "strict form",
     "without an active null provider"},
    {{.providers = "null = default_sect\ndefault = default_sect\n"
                   "attest = attest_sect\n",
      .attest =
          "activate = 1\nbase = provider:default\nverifier = verifier_sect\n"},
     "fail",
     "strict form",
     "default is active by itself"},
    {{.providers = "null = default_sect\nattest = attest_sect\n",
      .attest = "activate = 1\nbase = default\nverifier = verifier_sect\n"},
     "fail",
     "strict form",
     "is the name of a section too"},
    /* C10 */
    {{.attest = "activate = 1\nverfier = verifier_sect\n"},
     "fail",
     "unknown key",
     "Did you mean verifier?"},
    {{.attest = "activate = 1\nverfier = verifier_sect\n"},
     "fail",
     "settings",
     "neither attester nor verifier"},
    {{.attest = "activate = 1\nverifier = verifer_sect\n"},
     "fail",
     "settings",
     "no section [verifer_sect]"},
    {{.attest = "activate = 1\nverifier = verifier_sect\nlog_levl = info\n"},
     "fail",
     "unknown key",
     "openssl.cnf:12: log_levl in [attest_sect]"},
    {{.attest = "activate = 1\nverifier = verifier_sect\npolicy = x\n"},
     "fail",
     "unknown key",
     "It belongs into the verifier section"},
    {{.verifier = "policy = /x\nmodule = y\n"},
     "fail",
     "unknown key",
     "It belongs into the provider's own section"},
    {{.verifier = "polcy = /x\n"},
     "fail",
     "unknown key",
     "Did you mean policy?"},
    {{.verifier = "polcy = /x\n"},
     "fail",
     "settings",
     "[verifier_sect] has no policy"},
    {{.attest = "activate = 1\nattester = attester_sect\n",
      .rest = "[attester_sect]\nQuoter = unix:/run/x\n"},
     "fail",
     "settings",
     "[attester_sect] has no quoter"},
    /* the log */
    {{.attest = "activate = 1\nverifier = verifier_sect\n"
                "log = /nonexistent/attest.log\n"},
     "fail",
     "log",
     "cannot open /nonexistent/attest.log for writing: No such file"},
    {{.attest = "activate = 1\nverifier = verifier_sect\n"
                "log = /proc/self/attest.log\n"},
     "fail",
     "log",
     "Give that user the right"},
    {{.verifier = "colour = blue\n"}, "fail", "unknown key", "See attest(7)"},
    /* values */
    {{.attest = "activate = 1\nverifier = verifier_sect\nlog_level = loud\n"},
     "fail",
     "settings",
     "log_level = loud"},
    {{.attest = "activate = 1\nattester = attester_sect\n",
      .rest = "[attester_sect]\nquoter = unix:run/x\n"},
     "fail",
     "settings",
     "Until then this machine proves nothing"},
    {{.attest = "activate = 1\nattester = attester_sect\n",
      .rest = "[attester_sect]\nquoter = unix:/nonexistent/agent.sock\n"},
     "fail",
     "evidence",
     "systemctl start attestd.socket"},
    {{.attest = "activate = 1\nattester = attester_sect\n",
      .rest = "[attester_sect]\nquoter = unix:/nonexistent/agent.sock\n"
              "ak = 0x81010002\npcrs = sha256:0\n"},
     "warn",
     "settings",
     "[attester_sect] has no say in ak, pcrs"},
    /* duplicates */
    {{.verifier = "policy = /a\npolicy = /b\n"},
     "fail",
     "duplicate",
     "openssl.cnf:15: policy in [verifier_sect] again, first at"},
    {{.rest = "[other]\na = 1\na = 2\n"},
     "warn",
     "duplicate",
     "a in [other] again"},
    {{.rest = "[attest_sect]\nlog = stderr\n"},
     "warn",
     "duplicate",
     "[attest_sect] begins again"},
    {{.rest = "[other]\nattest_sect::activate = 1\n"},
     "fail",
     "duplicate",
     "activate in [attest_sect] again"},
    /* includes */
    {{.rest = ".include /nonexistent/x.cnf\n"},
     "warn",
     "include",
     "OpenSSL goes on without it"},
    {{.rest = "d = /etc\n.include ${d}/x.cnf\n"},
     "note",
     "include",
     "has a variable"},
    /* TLS 1.3 */
    {{.init = "providers = provider_sect\nssl_conf = ssl_sect\n",
      .rest =
          "[ssl_sect]\nsystem_default = sys\n[sys]\nMaxProtocol = TLSv1.2\n"},
     "fail",
     "TLS 1.3",
     "MaxProtocol = TLSv1.2"},
    {{.init = "providers = provider_sect\nssl_conf = ssl_sect\n",
      .rest = "[ssl_sect]\nsystem_default = sys\n"
              "[sys]\nProtocol = ALL, -TLSv1.3\n"},
     "fail",
     "TLS 1.3",
     "Protocol = ALL, -TLSv1.3"},
    {{.init = "providers = provider_sect\nssl_conf = ssl_sect\n",
      .rest = "[ssl_sect]\nsystem_default = sys\n"
              "[sys]\nProtocol = -ALL,TLSv1.2\n"},
     "fail",
     "TLS 1.3",
     "Protocol = -ALL,TLSv1.2"},
    /* module */
    {{0}, "fail", "module", "attest.so (OPENSSL_MODULES): No such file"},
    {{.attest = "module = /nonexistent/attest.so\nactivate = 1\n"
                "verifier = verifier_sect\n"},
     "fail",
     "module",
     "/nonexistent/attest.so (as configured)"},
    /* policy */
    {{0}, "fail", "policy", "/nonexistent/policy.cnf"},
    {{.verifier = "policy = policy.cnf\n"},
     "fail",
     "settings",
     "policy = policy.cnf: expected an absolute path"},
};

START_TEST(test_C2_C10_configuration)
{
    write_conf(&cases[_i].changed);
    CHECK(NULL);
    ASSERT_FOUND(cases[_i].level, cases[_i].what, cases[_i].words);
    ck_assert_int_eq(result.status, TOOL_USAGE); /* there is no module */
}
END_TEST

static const char *const no_findings[] = {"duplicate", "unknown key", "include",
                                          "TLS 1.3"};

START_TEST(test_good_configuration_has_no_other_findings)
{
    write_conf(&(struct pieces){0});
    CHECK(NULL);
    for (int i = 0; i < COUNT(no_findings); i++) {
        ASSERT_NOT_FOUND("fail", no_findings[i], "");
        ASSERT_NOT_FOUND("warn", no_findings[i], "");
    }
    ck_assert_str_eq(json_string_value(json_object_get(object, "result")),
                     "fail");
    ck_assert_int_eq(json_integer_value(json_object_get(object, "exit")),
                     TOOL_USAGE);
}
END_TEST

START_TEST(test_included_file)
{
    char text[512];
    int len = snprintf(text, sizeof(text), ".include = %s\n",
                       scratch_path("more.cnf"));

    scratch_write("more.cnf", "\npolicy = /again\n", 17, 0644);
    ck_assert_int_lt(len, (int)sizeof(text));
    write_conf(&(struct pieces){.rest = text});
    CHECK(NULL);
    ASSERT_FOUND("fail", "duplicate", "more.cnf:2: policy in [verifier_sect]");
}
END_TEST

START_TEST(test_file_includes_itself)
{
    char text[512];

    snprintf(text, sizeof(text), ".include %s\n", scratch_path("openssl.cnf"));
    write_conf(&(struct pieces){.rest = text});
    CHECK(NULL);
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ASSERT_FOUND("fail", "configuration", "does a file include itself?");
}
END_TEST

/* Of all machines some have one, most containers none. */
START_TEST(test_log_syslog_has_nobody)
{
    bool has_socket = access("/dev/log", F_OK) == 0
                      || access("/run/systemd/journal/socket", F_OK) == 0;
    const char *nobody = "log = syslog, and there is neither /dev/log nor "
                         "/run/systemd/journal/socket: refusals go to stderr";

    write_conf(&(struct pieces){
        .attest = "activate = 1\nverifier = verifier_sect\nlog = syslog\n"});
    CHECK(NULL);
    if (has_socket)
        ASSERT_NOT_FOUND("note", "log", "");
    else
        ASSERT_FOUND("note", "log", nobody);
    write_conf(&(struct pieces){
        .attest = "activate = 1\nverifier = verifier_sect\nlog = stderr\n"});
    CHECK(NULL);
    ASSERT_NOT_FOUND("note", "log", "");
}
END_TEST

/* --- files ------------------------------------------------------------------ */

START_TEST(test_C5_permissions)
{
    static const mode_t modes[] = {0664, 0646, 0666};

    write_conf(&(struct pieces){0});
    ck_assert_int_eq(chmod(scratch_path("openssl.cnf"), modes[_i]), 0);
    CHECK(NULL);
    ASSERT_FOUND("fail", "configuration", "is writable by group or others");
    ASSERT_NOT_FOUND("ok", "configuration", "");
}
END_TEST

START_TEST(test_C5_folder)
{
    write_conf(&(struct pieces){0});
    ck_assert_int_eq(chmod(scratch_path(""), 0777), 0);
    CHECK(NULL);
    ASSERT_FOUND("fail", "configuration", "others can replace");
    ck_assert_int_eq(chmod(scratch_path(""), 01777), 0);
    CHECK(NULL);
    ASSERT_FOUND("ok", "configuration", "");
}
END_TEST

START_TEST(test_C5_module_is_not_run)
{
    write_conf(&(struct pieces){0});
    scratch_write("attest.so", "not a module", 12, 0666);
    CHECK(NULL);
    ASSERT_FOUND("fail", "module", "is writable by group or others");
    ASSERT_NOT_FOUND("fail", "module", "cannot be loaded");
}
END_TEST

START_TEST(test_C1_module_is_broken)
{
    write_conf(&(struct pieces){0});
    scratch_write("attest.so", "not a module", 12, 0644);
    CHECK(NULL);
    ASSERT_FOUND("fail", "module", "cannot be loaded");
}
END_TEST

static const struct {
    const char *path;
    const char *words;
} bad_files[] = {
    {"/nonexistent/openssl.cnf", "No such file"},
    {"/", "not a regular file"},
    {"/dev/zero", "not a regular file"},
};

START_TEST(test_bad_file)
{
    const char *const words[] = {"--conf", bad_files[_i].path, NULL};

    verb_run(&tool_verb_check, true, words, &result);
    object = verb_json(&result);
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ASSERT_FOUND("fail", "configuration", bad_files[_i].words);
}
END_TEST

static const struct {
    const char *text;
    size_t len; /* 0: strlen */
    const char *words;
} bad_texts[] = {
    {"", 0, "has no openssl_conf"},
    {"no equals sign\n", 0, "openssl.cnf:1: "},
    {"[open\n", 0, "openssl.cnf:1: "},
    {"\xff\xfe\n", 0, "openssl.cnf:1: "},
    {NULL, CNF_FILE_MAX + 1, "larger than 1 MiB"},
};

START_TEST(test_bad_text)
{
    size_t len = bad_texts[_i].len;
    char *text = bad_texts[_i].text != NULL ? strdup(bad_texts[_i].text)
                                            : calloc(1, len);

    if (len == 0)
        len = strlen(text);
    scratch_write("openssl.cnf", text, len, 0644);
    free(text);
    CHECK(NULL);
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ck_assert_msg(strstr(result.out, bad_texts[_i].words) != NULL, "%s",
                  result.out);
}
END_TEST

/* --- policy and expiry ------------------------------------------------------ */

#define PCR_ZERO_LINE \
    "pcr.7 = "        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"

/* A policy whose section ends in some seconds and whose root in some days. */
static void write_policy(int64_t section_seconds, int64_t root_days)
{
    const time_t expires = time(NULL) + section_seconds;
    struct factory factory;
    struct tm tm;
    char when[32], text[1024];
    int len;

    factory_init(&factory, 0);
    evidence_server_now(&factory, root_days);
    factory_make(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    factory_clear(&factory);
    factory_free_keys();
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&expires, &tm));
    len =
        snprintf(text, sizeof(text),
                 "[policy]\nservers = lab\notherwise = off\nnameless = refuse\n"
                 "[lab]\nnames = a.example\nmode = require\n"
                 "trust = roots.pem\nmachines = m.example\n" PCR_ZERO_LINE
                 "expires = %s\n",
                 when);
    scratch_write("policy.cnf", text, (size_t)len, 0644);
    len = snprintf(text, sizeof(text), "policy = %s\n",
                   scratch_path("policy.cnf"));
    ck_assert_int_lt(len, (int)sizeof(text));
    write_conf(&(struct pieces){.verifier = text});
}

#define DAY 86400

static const struct {
    int64_t section;
    int64_t root_days;
    const char *warn; /* --warn */
    const char *level;
    const char *what;
    const char *words;
} expiries[] = {
    {100 * DAY, 100, "30d", "ok", "policy",
     "sections: 1, of them require: 1, observe: 0"},
    {100 * DAY, 100, "101d", "warn", "policy", "section [lab] expires on"},
    {10 * DAY + 60, 100, "30d", "warn", "policy", "in 10 days"},
    {-DAY, 100, "30d", "fail", "policy", "section [lab] expired on"},
    {100 * DAY, 20, "30", "warn", "trust", "[lab] trust anchor CN=AK root"},
    {100 * DAY, -1, "0", "fail", "trust", "expired on"},
};

START_TEST(test_P11_expiry)
{
    write_policy(expiries[_i].section, expiries[_i].root_days);
    CHECK("--warn", expiries[_i].warn);
    ASSERT_FOUND(expiries[_i].level, expiries[_i].what, expiries[_i].words);
    ASSERT_NOT_FOUND("warn", "policy", "expires:"); /* not said twice */
}
END_TEST

START_TEST(test_nothing_expires_soon)
{
    write_policy(100 * DAY, 100);
    CHECK("--warn", "30d");
    ASSERT_NOT_FOUND("warn", "policy", "");
    ASSERT_NOT_FOUND("warn", "trust", "");
    ASSERT_NOT_FOUND("fail", "policy", "");
}
END_TEST

START_TEST(test_C5_policy)
{
    write_policy(100 * DAY, 100);
    ck_assert_int_eq(chmod(scratch_path("policy.cnf"), 0666), 0);
    CHECK(NULL);
    ASSERT_FOUND("fail", "policy", "policy.cnf: others can write it");
    ck_assert_int_eq(chmod(scratch_path("policy.cnf"), 0644), 0);
    ck_assert_int_eq(chmod(scratch_path("roots.pem"), 0666), 0);
    CHECK(NULL);
    ASSERT_FOUND("fail", "policy", "roots.pem: others can write it");
}
END_TEST

START_TEST(test_P1_invalid_policy)
{
    write_policy(100 * DAY, 100);
    scratch_write("policy.cnf", "[policy]\nserver = x\n", 20, 0644);
    CHECK(NULL);
    ASSERT_FOUND("fail", "policy", "policy.cnf:2: server");
}
END_TEST

/* --- the command line and what is printed ----------------------------------- */

static const char *const bad_usage[][5] = {
    {"more", NULL},
    {"--bogus", NULL},
    {"--conf", NULL},
    {"--pid=0", NULL},
    {"--warn", "x", NULL},
    {"--warn", "-1", NULL},
    {"--pid=x", NULL},
    {"--service", NULL},
    {"--pid=", NULL},
    {"--pid=1", "--service=x", NULL},
    {"--pid=1", "--exec", "x", NULL},
    {"--warn", "", NULL},
    {"--warn", "d", NULL},
    {"--warn", "36501", NULL},
};

START_TEST(test_usage)
{
    verb_run(&tool_verb_check, false, bad_usage[_i], &result);
    ck_assert_int_eq(result.status, TOOL_USAGE);
    ck_assert_ptr_nonnull(strstr(result.err, "Try 'attest check --help'."));
    ck_assert_str_eq(result.out, "");
}
END_TEST

START_TEST(test_lines)
{
    const char *const words[] = {"--conf", scratch_path("openssl.cnf"), NULL};
    char *line, *rest;

    write_conf(&(struct pieces){.verifier = "policy = /\033[31mx\n"});
    verb_run(&tool_verb_check, false, words, &result);
    ck_assert_str_eq(result.err, "");
    ck_assert_ptr_null(strchr(result.out, '\033'));
    rest = result.out;
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0')
        ck_assert_msg(strncmp(line, "ok    ", 6) == 0
                          || strncmp(line, "note  ", 6) == 0
                          || strncmp(line, "warn  ", 6) == 0
                          || strncmp(line, "FAIL  ", 6) == 0,
                      "%s", line);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_C2_C10_configuration, 0, COUNT(cases)),
    ONCE(test_good_configuration_has_no_other_findings),
    ONCE(test_included_file),
    ONCE(test_file_includes_itself),
    ONCE(test_log_syslog_has_nobody),
    LOOP(test_C5_permissions, 0, 3),
    ONCE(test_C5_folder),
    ONCE(test_C5_module_is_not_run),
    ONCE(test_C1_module_is_broken),
    LOOP(test_bad_file, 0, COUNT(bad_files)),
    LOOP(test_bad_text, 0, COUNT(bad_texts)),
    LOOP(test_P11_expiry, 0, COUNT(expiries)),
    ONCE(test_nothing_expires_soon),
    ONCE(test_C5_policy),
    ONCE(test_P1_invalid_policy),
    LOOP(test_usage, 0, COUNT(bad_usage)),
    ONCE(test_lines),
};

SUITE(.name = "tool_check",
      .cases = {CASE("tool_check", tests, 0, setup, teardown)});
