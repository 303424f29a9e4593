/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "base/scanner.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

static void set_up(void)
{
    scratch_make();
}

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

/* "[section]\nkey=value@line\n" and so on. */
static void describe(const struct atls_scan *scan, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");

    for (size_t i = 0; i < scan->section_count; i++) {
        const struct atls_scan_section *section = &scan->sections[i];

        fprintf(out, "[%s]@%u\n", section->name, section->line);
        for (size_t j = 0; j < section->pair_count; j++)
            fprintf(out, "%s=%s@%u\n", section->pairs[j].key,
                    section->pairs[j].value, section->pairs[j].line);
    }
    fclose(out);
}

static void assert_scans_to(const char *expected)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_scan scan;
    char found[1024] = "";
    enum atls_error r = atls_scan_read(scratch_path("policy.cnf"), &why, &scan);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    describe(&scan, found, sizeof(found));
    ck_assert_str_eq(found, expected);
    atls_scan_clear(&scan);
}

/* Refused with this code, and these words in the reason. */
static void assert_refused(const char *path, enum atls_error code,
                           const char *words)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_scan scan;
    enum atls_error r = atls_scan_read(path, &why, &scan);

    ck_assert_msg(r == code && why.code == code,
                  "%s instead of %s: %s (expected: %s)", atls_error_name(r),
                  atls_error_name(code), why.text, words);
    ck_assert_msg(strstr(why.text, words) != NULL, "'%s' lacks '%s'", why.text,
                  words);
    ck_assert_uint_lt(strlen(why.text), ATLS_REASON_MAX - 1);
}

static const struct {
    const char *text;
    const char *expected;
} good[] = {
    {"", ""},
    {"# nothing\n\n \t\n  # more", ""},
    {"[a]", "[a]@1\n"},
    {"[ a ] # why\n\t[b-c.d_1]\t\n", "[a]@1\n[b-c.d_1]@2\n"},
    {"[a]\nk=v\n", "[a]@1\nk=v@2\n"},
    {"[a]\n  k\t= \tv w  # x\n", "[a]@1\nk=v w@2\n"},
    {"[a]\nk=v#x", "[a]@1\nk=v@2\n"},
    {"[a]\nk=a=b [c]\n", "[a]@1\nk=a=b [c]@2\n"},
    {"[a]\nk = \" a # 'b' \" # c\n", "[a]@1\nk= a # 'b' @2\n"},
    {"[a]\nk = 'say \"x\"'\n", "[a]@1\nk=say \"x\"@2\n"},
    {"[a]\nk = caf\xc3\xa9 # $ \\ ' caf\xc3\xa9\n", "[a]@1\nk=caf\xc3\xa9@2\n"},
    {"[a]\ncomponent.ghcr.io/x@sha256:0_1-2 = v\n",
     "[a]@1\ncomponent.ghcr.io/x@sha256:0_1-2=v@2\n"},
    {"[a]\nk=1\nK=2\n[A]\nk=3\n", "[a]@1\nk=1@2\nK=2@3\n[A]@4\nk=3@5\n"},
    {"[a]\na=1\nb=2\nc=3\nd=4\ne=5\n",
     "[a]@1\na=1@2\nb=2@3\nc=3@4\nd=4@5\ne=5@6\n"},
};

START_TEST(test_P2_takes_the_syntax)
{
    write_text("policy.cnf", good[_i].text);
    assert_scans_to(good[_i].expected);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} bad[] = {
    /* P9: where keys may stand, `$`. */
    {"k = v\n", "policy.cnf:1: k: stands in no section"},
    {"\n# x\nk = v\n[a]\n", "policy.cnf:3: k: stands in no section"},
    {"[a]\nk = $HOME\n", "policy.cnf:2: k: '$' in a value"},
    {"[a]\nk = '${ENV::HOME}'\n", "policy.cnf:2: k: '$' in a value"},
    /* P2: duplicates. */
    {"[a]\nk = v\nk = v\n", "policy.cnf:3: k: set in line 2 of "},
    {"[a]\n[b]\n[a]\n", "policy.cnf:3: [a] began in line 1 of "},
    /* P1: malformed lines. */
    {"[a]\nk\n", "policy.cnf:2: expected 'key = value'"},
    {"[a]\nk v\n", "policy.cnf:2: expected 'key = value'"},
    {"[a]\n= v\n", "policy.cnf:2: expected 'key = value'"},
    {"[a]\nk l = v\n", "policy.cnf:2: expected 'key = value'"},
    {"[a]\n\"k\" = v\n", "policy.cnf:2: expected 'key = value'"},
    {"[a]\n$k = v\n", "policy.cnf:2: expected 'key = value'"},
    {"\xef\xbb\xbf[a]\n", "policy.cnf:1: expected 'key = value'"},
    {"[a\n", "policy.cnf:1: expected [NAME]"},
    {"[]\n", "policy.cnf:1: expected [NAME]"},
    {"[a b]\n", "policy.cnf:1: expected [NAME]"},
    {"[a] b\n", "policy.cnf:1: expected [NAME]"},
    {"[a]]\n", "policy.cnf:1: expected [NAME]"},
    {"[a] k = v\n", "policy.cnf:1: expected [NAME]"},
    {"[$a]\n", "policy.cnf:1: expected [NAME]"},
    {"[a]\nk =\n", "policy.cnf:2: k: nothing behind it"},
    {"[a]\nk = # v\n", "policy.cnf:2: k: nothing behind it"},
    {"[a]\nk = \"\"\n", "policy.cnf:2: k: nothing behind it"},
    {"[a]\nk = \"v\n", "policy.cnf:2: k: the quote \" is not closed"},
    {"[a]\nk = 'v\"\n'", "policy.cnf:2: k: the quote ' is not closed"},
    {"[a]\nk = \"v\" w\n", "policy.cnf:2: k: text after the closing quote"},
    {"[a]\nk = 'v''w'\n", "policy.cnf:2: k: text after the closing quote"},
    {"[a]\nk = v \"w\"\n", "policy.cnf:2: k: quote in the middle"},
    {"[a]\nk = don't\n", "policy.cnf:2: k: quote in the middle"},
    {"[a]\nk = `v`\n", "policy.cnf:2: k: quote in the middle"},
    {"[a]\nk = v \\\nl = w\n", "policy.cnf:2: k: '\\' in a value"},
    {"[a]\nk = \"v\\n\"\n", "policy.cnf:2: k: '\\' in a value"},
    /* Directives. */
    {".pragma = dollarid:true\n", "policy.cnf:1: unknown directive"},
    {".includes x\n", "policy.cnf:1: unknown directive"},
    {".\n", "policy.cnf:1: unknown directive"},
    {".include\n", "policy.cnf:1: .include: nothing behind it"},
    {".include =\n", "policy.cnf:1: .include: nothing behind it"},
    {".include $x\n", "policy.cnf:1: .include: '$' in a value"},
    {".include policy.cnf\n", "policy.cnf:1: .include: "},
    {".include policy.cnf\n", "policy.cnf includes itself"},
    /* Characters. */
    {"[a]\r\nk = v\r\n", "policy.cnf:1: control character 0x0d"},
    {"[a]\nk = v\x1b[2J\n", "policy.cnf:2: control character 0x1b"},
    {"[a]\n# v\x01\n", "policy.cnf:2: control character 0x01"},
    {"[a]\nk = v\x7f\n", "policy.cnf:2: control character 0x7f"},
};

START_TEST(test_P1_refuses_what_is_no_policy)
{
    write_text("policy.cnf", bad[_i].text);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY, bad[_i].words);
}
END_TEST

START_TEST(test_P1_nul_hides_nothing)
{
    static const char text[] = "[a]\nk = v # \0\nl = w\n";

    scratch_write("policy.cnf", text, sizeof(text) - 1, 0600);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:2: control character 0x00");
}
END_TEST

/* A line of len octets in a section. */
static void write_line(size_t len)
{
    static const char head[] = "[a]\nk = ";
    char *text = malloc(len + sizeof(head));

    ck_assert_ptr_nonnull(text);
    memset(text, 'v', len + sizeof(head));
    memcpy(text, head, strlen(head));
    text[strlen("[a]\n") + len] = '\n';
    scratch_write("policy.cnf", text, strlen("[a]\n") + len + 1, 0600);
    free(text);
}

START_TEST(test_P1_long_lines)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_scan scan;

    write_line(ATLS_SCAN_LINE_MAX);
    ck_assert_int_eq(atls_scan_read(scratch_path("policy.cnf"), &why, &scan),
                     ATLS_OK);
    atls_scan_clear(&scan);
    write_line(ATLS_SCAN_LINE_MAX + 1);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:2: line of 16385 octets; at most 16384");
}
END_TEST

/* count lines that are made with this format. */
static void write_many(const char *head, const char *format, unsigned count)
{
    FILE *out = fopen(scratch_path("policy.cnf"), "w");

    ck_assert_ptr_nonnull(out);
    fputs(head, out);
    for (unsigned i = 0; i < count; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        fprintf(out, format, i);
#pragma GCC diagnostic pop
    }
    fclose(out);
}

static void assert_scans(size_t section_count, size_t pair_count)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_scan scan;
    enum atls_error r = atls_scan_read(scratch_path("policy.cnf"), &why, &scan);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(scan.section_count, section_count);
    if (section_count > 0)
        ck_assert_uint_eq(scan.sections[0].pair_count, pair_count);
    atls_scan_clear(&scan);
}

START_TEST(test_P1_too_many)
{
    write_many("", "[s%u]\n", ATLS_SCAN_SECTIONS_MAX);
    assert_scans(ATLS_SCAN_SECTIONS_MAX, 0);
    write_many("", "[s%u]\n", ATLS_SCAN_SECTIONS_MAX + 1);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:257: more than 256 sections");
    write_many("[a]\n", "k%u = v\n", ATLS_SCAN_PAIRS_MAX);
    assert_scans(1, ATLS_SCAN_PAIRS_MAX);
    write_many("[a]\n", "k%u = v\n", ATLS_SCAN_PAIRS_MAX + 1);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:1026: k1024: more than 1024 keys in [a]");
    write_text("empty", "");
    write_many("", ".include empty # %u\n", ATLS_SCAN_FILES_MAX - 1);
    assert_scans(0, 0);
    write_many("", ".include empty # %u\n", ATLS_SCAN_FILES_MAX);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:64: .include: more than 64 files");
}
END_TEST

START_TEST(test_P9_include)
{
    ck_assert_int_eq(mkdir(scratch_path("d"), 0700), 0);
    /* Relative to the file it stands in, in the section it stands in. */
    write_text("policy.cnf", "[a]\n.include d/b.cnf\nz = 1\n");
    write_text("d/b.cnf", "x = 1\n.include = 'c.cnf' # next\n");
    write_text("d/c.cnf", "y = 1\n");
    assert_scans_to("[a]@1\nx=1@1\ny=1@1\nz=1@3\n");
    /* Twice is no cycle. */
    write_text("policy.cnf", "[a]\n.include d/c.cnf\n[b]\n.include d/c.cnf\n");
    assert_scans_to("[a]@1\ny=1@1\n[b]@3\ny=1@1\n");
    /* Absolute. */
    {
        char text[512];

        snprintf(text, sizeof(text), "[a]\n.include %s\n",
                 scratch_path("d/c.cnf"));
        write_text("policy.cnf", text);
        assert_scans_to("[a]@1\ny=1@1\n");
    }
}
END_TEST

/* After a file that began sections nobody could say where a key belongs: NCONF
 * gives it to the last section of that file. */
START_TEST(test_P9_include_ends_its_sections)
{
    write_text("b.cnf", "x = 1\n[b]\n");
    write_text("policy.cnf", "[a]\n.include b.cnf\ny = 1\n");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:3: y: stands in no section");
    write_text("policy.cnf", "[a]\n.include b.cnf\n[c]\ny = 1\n");
    assert_scans_to("[a]@1\nx=1@1\n[b]@2\n[c]@3\ny=1@4\n");
    write_text("policy.cnf", ".include b.cnf\n");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "b.cnf:1: x: stands in no section");
}
END_TEST

/* The innermost file and line are named, and only those. */
START_TEST(test_P9_bad_include)
{
    write_text("policy.cnf", "[a]\n\n.include b.cnf\n");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_IO,
                   "policy.cnf:3: .include: ");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_IO,
                   "b.cnf: cannot be opened: No such file or directory");
    write_text("b.cnf", "k = v\nk = v\n");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "b.cnf:2: k: set in line 1 of ");
    write_text("b.cnf", "\n.include policy.cnf");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "b.cnf:2: .include: ");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf includes itself");
    /* Under another name it is the same file. */
    ck_assert_int_eq(link(scratch_path("policy.cnf"), scratch_path("c.cnf")),
                     0);
    write_text("b.cnf", ".include c.cnf");
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "c.cnf includes itself");
}
END_TEST

/* Files 1..last, each of which includes the next. */
static void write_chain(unsigned last)
{
    char name[32];
    char text[64];

    write_text("policy.cnf", ".include 1\n");
    for (unsigned i = 1; i <= last; i++) {
        snprintf(name, sizeof(name), "%u", i);
        snprintf(text, sizeof(text), ".include %u\n", i + 1);
        write_text(name, i < last ? text : "[a]\n");
    }
}

START_TEST(test_P9_deep_include)
{
    write_chain(ATLS_SCAN_DEPTH_MAX);
    assert_scans_to("[a]@1\n");
    write_chain(ATLS_SCAN_DEPTH_MAX + 1);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "8:1: .include: more than 8 files include each other");
}
END_TEST

START_TEST(test_P1_unreadable)
{
    assert_refused(scratch_path("policy.cnf"), ATLS_E_IO,
                   "policy.cnf: cannot be opened: No such file or directory");
    assert_refused(scratch_path(""), ATLS_E_IO, "is not a regular file");
    assert_refused("/dev/zero", ATLS_E_IO, "/dev/zero: is not a regular file");
    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_refused(scratch_path("fifo"), ATLS_E_IO,
                   "fifo: is not a regular file");
    /* Regular files by their looks: one cannot be read at its beginning, one
     * holds more than its size says. */
    assert_refused("/proc/self/mem", ATLS_E_IO,
                   "/proc/self/mem: cannot be read: Input/output error");
    assert_refused("/proc/self/status", ATLS_E_IO,
                   "/proc/self/status: changed while it was read");
}
END_TEST

START_TEST(test_P1_large_file)
{
    write_text("policy.cnf", "");
    ck_assert_int_eq(truncate(scratch_path("policy.cnf"), ATLS_FILE_MAX + 1),
                     0);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_IO,
                   "policy.cnf: is larger than 1 MiB (1048577 octets)");
    ck_assert_int_eq(truncate(scratch_path("policy.cnf"), ATLS_FILE_MAX), 0);
    assert_refused(scratch_path("policy.cnf"), ATLS_E_POLICY,
                   "policy.cnf:1: line of 1048576 octets");
}
END_TEST

START_TEST(test_P1_long_path_leaves_room_for_words)
{
    char path[301];

    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[200] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_refused(path, ATLS_E_IO, "cannot be opened: ");
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_P2_takes_the_syntax, 0, COUNT(good)),
    LOOP(test_P1_refuses_what_is_no_policy, 0, COUNT(bad)),
    ONCE(test_P1_nul_hides_nothing),
    ONCE(test_P1_long_lines),
    ONCE(test_P1_too_many),
    ONCE(test_P9_include),
    ONCE(test_P9_include_ends_its_sections),
    ONCE(test_P9_bad_include),
    ONCE(test_P9_deep_include),
    ONCE(test_P1_unreadable),
    ONCE(test_P1_large_file),
    ONCE(test_P1_long_path_leaves_room_for_words),
};

SUITE(.name = "scanner",
      .cases = {CASE("scanner", tests, 0, set_up, scratch_remove)});
