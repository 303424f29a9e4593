/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "tools/common/cnfscan.h"
#include "base/edit_distance.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void setup(void)
{
    scratch_make();
    unsetenv("OPENSSL_CONF_INCLUDE");
}

/* What of a text is seen: "[section] key" of the last entry, and how many. */
static const struct {
    const char *text;
    size_t count;
    const char *section;
    const char *key;
    unsigned line;
} scans[] = {
    {"a = b\n", 1, "default", "a", 1},
    {"a=b", 1, "default", "a", 1},
    {"\xef\xbb\xbf"
     "a = b\n",
     1, "default", "a", 1},
    {"# c = d\n\n  a = b # e = f\n", 1, "default", "a", 3},
    {"a = 'x # y'\nb = \"#\" # c = d\n", 2, "default", "b", 2},
    {"[ s ]\r\na = b\r\n", 2, "s", "a", 2},
    {"[s]\na = b \\\n c = d\ne = f\n", 3, "s", "e", 4},
    {"a = b\\\\\nc = d\n", 2, "default", "c", 2},
    {"t::a = b\n", 1, "t", "a", 1},
    {"1.a = b\n", 1, "default", "1.a", 1},
    {".pragma dollarid:on\na = b\n", 1, "default", "a", 2},
    {"no equals\na = b\n", 1, "default", "a", 2},
    {"[open\na = b\n", 1, "default", "a", 2},
    {"a = b\\", 1, "default", "a", 1},
    {"a = 'open\nb = c\n", 2, "default", "b", 2},
};

START_TEST(test_scan)
{
    const struct cnf_entry *last;
    struct cnf_scan *scan = NULL;
    struct atls_reason why;

    scratch_write("openssl.cnf", scans[_i].text, strlen(scans[_i].text), 0644);
    ck_assert_int_eq(
        tool_cnf_scan_file(scratch_path("openssl.cnf"), &why, &scan), ATLS_OK);
    ck_assert_uint_eq(scan->count, scans[_i].count + 1); /* and the file */
    last = &scan->entries[scan->count - 1];
    ck_assert_str_eq(last->section, scans[_i].section);
    ck_assert_str_eq(last->key, scans[_i].key);
    ck_assert_uint_eq(last->line, scans[_i].line);
    ck_assert_ptr_eq(tool_cnf_scan_find(scan, scans[_i].section, scans[_i].key),
                     last);
    tool_cnf_scan_free(scan);
}
END_TEST

/* OpenSSL goes on behind a line with a NUL in it; what follows that is not seen. */
START_TEST(test_scan_nul)
{
    static const char text[] = "a = b\0c\n\0\0\nd = e\n\0";
    struct cnf_scan *scan = NULL;
    struct atls_reason why;

    scratch_write("openssl.cnf", text, sizeof(text) - 1, 0644);
    ck_assert_int_eq(
        tool_cnf_scan_file(scratch_path("openssl.cnf"), &why, &scan), ATLS_OK);
    ck_assert_uint_eq(scan->count, 3);
    ck_assert_str_eq(scan->entries[1].key, "a");
    ck_assert_str_eq(scan->entries[2].key, "d");
    ck_assert_uint_eq(scan->entries[2].line, 3);
    tool_cnf_scan_free(scan);
}
END_TEST

START_TEST(test_scan_includes_itself)
{
    struct cnf_scan *scan = NULL;
    struct atls_reason why;
    char text[512];
    int len = snprintf(text, sizeof(text), ".include %s\n",
                       scratch_path("openssl.cnf"));

    scratch_write("openssl.cnf", text, (size_t)len, 0644);
    ck_assert_int_eq(
        tool_cnf_scan_file(scratch_path("openssl.cnf"), &why, &scan),
        ATLS_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(why.text, "does a file include itself?"));
}
END_TEST

/* OpenSSL would wait there for a writer. */
START_TEST(test_scan_includes_a_fifo)
{
    struct cnf_scan *scan = NULL;
    struct atls_reason why = {0};
    char text[512];

    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    snprintf(text, sizeof(text), ".include %s\n", scratch_path("fifo"));
    scratch_write("openssl.cnf", text, strlen(text), 0644);
    ck_assert_int_eq(
        tool_cnf_scan_file(scratch_path("openssl.cnf"), &why, &scan),
        ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(
        strstr(why.text, "/fifo, which is included, is not a regular file"));
    ck_assert_int_eq(tool_cnf_scan_file(scratch_path("fifo"), &why, &scan),
                     ATLS_E_IO);
    ck_assert_ptr_null(scan);
}
END_TEST

/* What cannot be read on is not at its end: proc(5), as a file of no octets. */
START_TEST(test_scan_cannot_be_read)
{
    struct cnf_scan *scan = NULL;
    struct atls_reason why = {0};

    ck_assert_int_eq(tool_cnf_scan_file("/proc/self/mem", &why, &scan),
                     ATLS_E_IO);
    ck_assert_str_eq(why.text,
                     "cannot read /proc/self/mem: Input/output error");
    ck_assert_ptr_null(scan);
}
END_TEST

START_TEST(test_scan_folder)
{
    struct cnf_scan *scan = NULL;
    struct atls_reason why;
    char text[512];
    int len = snprintf(text, sizeof(text),
                       ".pragma includedir:%s\n.include d\nz = 1\n",
                       scratch_path(""));

    ck_assert_int_eq(mkdir(scratch_path("d"), 0755), 0);
    scratch_write("d/b.CNF", "b = 1\n", 6, 0644);
    scratch_write("d/a.conf", "[s]\na = 1\n", 10, 0644);
    scratch_write("d/c.txt", "c = 1\n", 6, 0644);
    scratch_write("d/.cnf", "d = 1\n", 6, 0644);
    scratch_write("openssl.cnf", text, (size_t)len, 0644);
    ck_assert_int_eq(
        tool_cnf_scan_file(scratch_path("openssl.cnf"), &why, &scan), ATLS_OK);
    ck_assert_uint_eq(scan->file_count, 3);
    ck_assert_ptr_nonnull(tool_cnf_scan_find(scan, "s", "a"));
    ck_assert_ptr_nonnull(tool_cnf_scan_find(scan, "s", "b"));
    ck_assert_ptr_nonnull(tool_cnf_scan_find(scan, "s", "z"));
    ck_assert_ptr_null(tool_cnf_scan_find(scan, "s", "c"));
    tool_cnf_scan_free(scan);
}
END_TEST

static const struct {
    const char *word;
    const char *best;
} suggestions[] = {
    {"verfier", "verifier"},
    {"Verifier", "verifier"},
    {"atester", "attester"},
    {"loglevel", "log_level"},
    {"lgo", "log"},
    {"verifier", "verifier"},
    {"zebra", NULL},
    {"", NULL},
    {"a", NULL},
};

START_TEST(test_suggestion)
{
    static const char *const known[] = {"log", "log_level", "attester",
                                        "verifier"};
    struct atls_suggestion near;

    atls_suggestion_begin(&near, suggestions[_i].word);
    for (int i = 0; i < COUNT(known); i++)
        atls_suggestion_consider(&near, known[i]);
    ck_assert_pstr_eq(near.best, suggestions[_i].best);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_scan, 0, COUNT(scans)),
    ONCE(test_scan_nul),
    ONCE(test_scan_includes_itself),
    ONCE(test_scan_includes_a_fifo),
    ONCE(test_scan_cannot_be_read),
    ONCE(test_scan_folder),
    LOOP(test_suggestion, 0, COUNT(suggestions)),
};

SUITE(.name = "tool_common_cnfscan",
      .cases = {CASE("tool_common_cnfscan", tests, 0, setup, scratch_remove)});
