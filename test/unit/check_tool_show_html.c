/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/show/html.c: a report as one HTML file. */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "tools/show/html.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* One of everything that a report may hold, with what a hostile peer would put
 * into each text that is its own. */
static const char report[] =
    "[{\"verdict\":\"refused\",\"peer\":\"a<b>&\\\"'.example\","
    "\"section\":\"inference\",\"reference\":\"golden-b\","
    "\"machine\":\"<script>m</script>\",\"error\":\"pcr-value\","
    "\"reason\":\"PCR 4 does not match policy\",\"advice\":\"look twice\","
    "\"steps\":[{\"name\":\"pcr-values\",\"what\":\"PCR values are the listed "
    "ones\",\"result\":\"failed\",\"reason\":\"<script>r</script>\"}],"
    "\"proven\":{\"pcrs\":true,\"log\":true,\"chain\":true,\"quote\":true,"
    "\"boot_log\":false},"
    "\"pcr_table\":[{\"pcr\":4,\"bank\":\"sha256\",\"name\":\"boot loader\","
    "\"result\":\"mismatch\",\"value\":\"9a9a\",\"expected\":[\"3f3f\","
    "\"4e4e\"]}],"
    "\"event_table\":[{\"result\":\"mismatch\",\"content\":\"component w\","
    "\"expected\":[\"sha256:cccc\"]},{\"result\":\"not-listed\","
    "\"content\":\"<img src=x onerror=alert(1)>\\u0000\\u001b\\u009b\\u00e9\","
    "\"expected\":[]}],\"missing\":[\"tokenizer\"],"
    "\"boot_log\":[{\"pcr\":4,\"type\":\"EV_IPL\",\"what\":\"<b>\","
    "\"bank\":\"sha256\",\"digest\":\"d1d1\"}],"
    "\"ak_chain\":[\"CN=<i>\",\"CN=CA\"],"
    "\"quote\":{\"clock_ms\":\"4000\",\"reset_count\":2,\"restart_count\":0,"
    "\"safe\":true,\"firmware_version\":\"2019\"},"
    "\"connection\":{\"live\":true,\"binding_checked\":false,"
    "\"address\":\"192.0.2.1\"}}]";

static json_t *reports;
static char *page;

static void setup(void)
{
    scratch_make();
    reports = json_loads(report, JSON_ALLOW_NUL, NULL);
    ck_assert_ptr_nonnull(reports);
}

static void teardown(void)
{
    json_decref(reports);
    free(page);
    page = NULL;
    scratch_remove();
}

/* Files that stand in the scratch folder. */
static int count_files(void)
{
    DIR *folder = opendir(scratch_path("."));
    int count = -2; /* . and .. */

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void write_page(void)
{
    struct atls_reason why = {0};
    const char *path = scratch_path("report.html");
    size_t len = 0;

    ck_assert_msg(tool_html_report_write(path, reports, &why) == ATLS_OK, "%s",
                  why.text);
    free(page);
    page = scratch_read("report.html", &len);
    ck_assert_uint_eq(strlen(page), len); /* no NUL: a page is text */
}

static const char *const shown[] = {
    "<!DOCTYPE html>",
    "class=\"verdict refused\"",
    "<strong>REFUSED</strong>",
    "PCR 4 does not match policy",
    "What to do next: look twice",
    "<dd>inference</dd>",
    "<dd>golden-b</dd>",
    "<td class=\"bad\">failed</td>",
    "<td>boot loader</td><td class=\"bad\">mismatch</td>"
    "<td><code>9a9a</code></td>"
    "<td><code>3f3f</code><br><code>4e4e</code></td>",
    "<code>component w</code></td><td><code>sha256:cccc</code></td>",
    "<td class=\"bad\">missing</td><td><code>component tokenizer</code>",
    "Boot log <span class=\"bad\">(claimed by the peer, NOT proven)</span>",
    "<code>d1d1</code>",
    "<dt>CA</dt><dd>CN=CA</dd>",
    "<dt>resets</dt><dd>2</dd>",
    "<dt>binding checked</dt><dd>no</dd>",
    /* hostile texts, as text */
    "<h1>a&#60;b&#62;&#38;&#34;&#39;.example</h1>",
    "&#60;script&#62;m&#60;/script&#62;",
    "&#60;img src=x onerror=alert(1)&#62;\\x00\\x1b\\x9b\xc3\xa9</code>",
};

START_TEST(test_page_shows)
{
    write_page();
    ck_assert_msg(strstr(page, shown[_i]) != NULL, "no %s in:\n%s", shown[_i],
                  page);
}
END_TEST

/* Whatever a reader's browser is told to run or to fetch. */
static const char *const never[] = {
    "<script", "<img", "<b>", "<i>", "<link", "http:", "https:", "url(",
};

START_TEST(test_page_is_inert_and_self_contained)
{
    write_page();
    ck_assert_msg(strstr(page, never[_i]) == NULL, "%s in:\n%s", never[_i],
                  page);
    ck_assert_ptr_nonnull(strstr(page, "default-src 'none'"));
}
END_TEST

/* What was not proven says so, and what was does not. */
START_TEST(test_page_says_what_is_proven)
{
    write_page();
    ck_assert_ptr_nonnull(strstr(page, "<h2>PCRs</h2>"));
    json_object_set_new(json_object_get(json_array_get(reports, 0), "proven"),
                        "pcrs", json_false());
    write_page();
    ck_assert_ptr_nonnull(strstr(page, "<h2>PCRs <span class=\"bad\">(claimed "
                                       "by the peer, NOT proven)"));
}
END_TEST

static const struct {
    const char *verdict, *words;
} verdicts[] = {
    {"trusted", "<div class=\"verdict trusted\">\n<strong>Trusted</strong>"},
    {"none", "<div class=\"verdict\">\n<strong>Shown, not judged</strong>"},
};

START_TEST(test_page_verdict)
{
    json_object_set_new(json_array_get(reports, 0), "verdict",
                        json_string(verdicts[_i].verdict));
    write_page();
    ck_assert_ptr_nonnull(strstr(page, verdicts[_i].words));
    ck_assert_ptr_null(strstr(page, "REFUSED"));
}
END_TEST

START_TEST(test_page_replaces_a_file_as_a_whole)
{
    const char *path = scratch_path("report.html");
    static const char old[400000];
    struct stat st;
    mode_t mask = umask(022);

    scratch_write("report.html", old, sizeof(old), 0600);
    write_page();
    umask(mask);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0644);
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(test_page_cannot_be_written)
{
    struct atls_reason why = {0};
    const char *path = scratch_path("no-such-folder/report.html");

    ck_assert_int_eq(tool_html_report_write(path, reports, &why), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "cannot write"));
    ck_assert_ptr_nonnull(strstr(why.text, "No such file or directory"));
    path = scratch_path("folder");
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(tool_html_report_write(path, reports, &why), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "Is a directory"));
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(test_page_of_nothing)
{
    struct atls_reason why = {0};
    json_t *none = json_array();

    ck_assert_int_eq(
        tool_html_report_write(scratch_path("report.html"), none, &why),
        ATLS_E_USAGE);
    ck_assert_ptr_nonnull(strstr(why.text, "there is no report"));
    ck_assert_int_eq(count_files(), 0);
    json_decref(none);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_page_shows, 0, COUNT(shown)),
    LOOP(test_page_is_inert_and_self_contained, 0, COUNT(never)),
    ONCE(test_page_says_what_is_proven),
    LOOP(test_page_verdict, 0, COUNT(verdicts)),
    ONCE(test_page_replaces_a_file_as_a_whole),
    ONCE(test_page_cannot_be_written),
    ONCE(test_page_of_nothing),
};

SUITE(.name = "tool_show_html",
      .cases = {CASE("html", tests, 0, setup, teardown)});
