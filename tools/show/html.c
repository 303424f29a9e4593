/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/show/html.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/common/output.h"

/* No meaning is in a colour alone. The Content-Security-Policy forbids scripts and
 * requests, should the escaping ever let one through. */
static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta name=\"referrer\" content=\"no-referrer\">\n";

/*
 * Wrapping: what has no spaces (digests, paths, names) breaks anywhere, but keeps
 * a column of 16 characters; a browser would squeeze such a column to one
 * character otherwise. Marks and other short words never break.
 */
static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--good:#1a7f37;--bad:#c62828;--dim:#6a737d;"
    "--line:#d0d7de;--soft:#f6f8fa}\n"
    "@media(prefers-color-scheme:dark){:root{--good:#57ab5a;--bad:#f47067;"
    "--dim:#8b949e;--line:#3d444d;--soft:#1c2128}}\n"
    "body{font:16px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;"
    "padding:0 1rem}\n"
    "h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.1rem;"
    "margin-top:2rem}\n"
    ".verdict{border:2px solid var(--dim);border-radius:.5rem;padding:1rem;"
    "overflow-wrap:anywhere}\n"
    ".verdict strong{font-size:1.2rem}.trusted{border-color:var(--good)}"
    ".refused{border-color:var(--bad)}\n"
    ".trusted strong,.ok{color:var(--good)}.refused strong,.bad{"
    "color:var(--bad);font-weight:600}.dim{color:var(--dim)}\n"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;"
    "vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid "
    "var(--line)}td.ok,td.bad,td.dim{white-space:nowrap}\n"
    "code{font:.85rem/1.4 ui-monospace,monospace}"
    "code,.long,td span.bad{overflow-wrap:anywhere}"
    "td code,.long,td span.bad{display:inline-block;min-width:16ch}\n"
    "dt{float:left;clear:left;width:11rem;color:var(--dim)}dd{margin-left:"
    "11rem;"
    "overflow-wrap:anywhere}\n"
    "@media(max-width:40rem){dt{float:none;width:auto}dd{margin-left:1rem}}\n"
    "@media print{body{margin:0;max-width:none}}\n"
    "</style>\n";

/* ---- pieces ---- */

/* Escape markup. HTML cannot hold control characters: C0 and, in UTF-8 behind
 * 0xc2, C1 are shown as \xNN. */
static void put_text(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            fprintf(out, "&#%u;", c);
        else if (c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else if (c == 0xc2 && i + 1 < len && (text[i + 1] & 0x60) == 0)
            fprintf(out, "\\x%02x", (unsigned char)text[++i]);
        else
            fputc(c, out);
    }
}

static void put_string(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        put_text(out, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", out);
}

static void put_member(FILE *out, const json_t *object, const char *key)
{
    put_string(out, json_object_get(object, key));
}

static bool member_is(const json_t *object, const char *key, const char *word)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL && strcmp(value, word) == 0;
}

/* A line of a description list, if there is a value. */
static void put_line(FILE *out, const char *term, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return;
    fprintf(out, "<dt>%s</dt><dd>", term);
    put_string(out, value);
    fputs("</dd>\n", out);
}

/* The CSS class of a mark. */
static const char *mark_class(const json_t *mark)
{
    static const struct {
        const char *word, *class;
    } marks[] = {
        {"ok", "ok"},        {"passed", "ok"},  {"log", "ok"},
        {"mismatch", "bad"}, {"failed", "bad"}, {"not-listed", "bad"},
        {"missing", "bad"},
    };
    const char *word = json_string_value(mark);

    for (size_t i = 0; word != NULL && i < sizeof(marks) / sizeof(marks[0]);
         i++)
        if (strcmp(marks[i].word, word) == 0)
            return marks[i].class;
    return "dim";
}

static void put_mark(FILE *out, const json_t *mark)
{
    fprintf(out, "<td class=\"%s\">", mark_class(mark));
    put_string(out, mark);
    fputs("</td>", out);
}

static void put_code_cell(FILE *out, const json_t *value)
{
    fputs("<td><code>", out);
    put_string(out, value);
    fputs("</code></td>", out);
}

/* All acceptable values. */
static void put_list_cell(FILE *out, const json_t *list)
{
    const json_t *value;
    size_t i;

    fputs("<td>", out);
    json_array_foreach(list, i, value)
    {
        fputs(i > 0 ? "<br><code>" : "<code>", out);
        put_string(out, value);
        fputs("</code>", out);
    }
    fputs("</td>", out);
}

/* A title, marked unless what follows is proven. */
static void put_title(FILE *out, const json_t *report, const char *title,
                      const char *proven)
{
    fprintf(out, "<h2>%s", title);
    if (!json_is_true(
            json_object_get(json_object_get(report, "proven"), proven)))
        fputs(" <span class=\"bad\">(claimed by the peer, NOT proven)</span>",
              out);
    fputs("</h2>\n", out);
}

/* ---- parts of a report ---- */

static void put_verdict(FILE *out, const json_t *report)
{
    static const struct {
        const char *verdict, *class, *words;
    } kinds[] = {{"trusted", " trusted", "Trusted"},
                 {"refused", " refused", "REFUSED"},
                 {"none", "", "Shown, not judged"}};

    fputs("<h1>", out);
    put_member(out, report, "peer");
    fputs("</h1>\n", out);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (member_is(report, "verdict", kinds[i].verdict))
            fprintf(out, "<div class=\"verdict%s\">\n<strong>%s",
                    kinds[i].class, kinds[i].words);
    fputs("</strong>\n", out);
    if (json_object_get(report, "reason") != NULL) {
        fputs("<p>", out);
        put_member(out, report, "reason");
        fputs("</p>\n<p>What to do next: ", out);
        put_member(out, report, "advice");
        fputs("</p>\n", out);
    }
    fputs("<dl>\n", out);
    put_line(out, "policy section", json_object_get(report, "section"));
    put_line(out, "reference", json_object_get(report, "reference"));
    put_line(out, "machine", json_object_get(report, "machine"));
    fputs("</dl>\n</div>\n", out);
}

static void put_steps(FILE *out, const json_t *report)
{
    const json_t *step;
    size_t i;

    fputs("<h2>Checks</h2>\n<table>\n<tr><th scope=\"col\">result</th>"
          "<th scope=\"col\">check</th><th scope=\"col\"></th></tr>\n",
          out);
    json_array_foreach(json_object_get(report, "steps"), i, step)
    {
        fputs("<tr>", out);
        put_mark(out, json_object_get(step, "result"));
        fputs("<td>", out);
        put_member(out, step, "name");
        fputs("</td><td>", out);
        put_member(out, step, "what");
        if (json_object_get(step, "reason") != NULL) {
            fputs("<br><span class=\"bad\">", out);
            put_member(out, step, "reason");
            fputs("</span>", out);
        }
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_pcrs(FILE *out, const json_t *report)
{
    const json_t *row;
    size_t i;

    put_title(out, report, "PCRs", "pcrs");
    fputs("<table>\n<tr><th scope=\"col\">PCR</th><th scope=\"col\">what it "
          "holds</th><th scope=\"col\">result</th><th scope=\"col\">found</th>"
          "<th scope=\"col\">expected</th></tr>\n",
          out);
    json_array_foreach(json_object_get(report, "pcr_table"), i, row)
    {
        fputs("<tr><td>", out);
        put_member(out, row, "pcr");
        fputs(" <span class=\"dim\">", out);
        put_member(out, row, "bank");
        fputs("</span></td><td>", out);
        put_member(out, row, "name");
        fputs("</td>", out);
        put_mark(out, json_object_get(row, "result"));
        put_code_cell(out, json_object_get(row, "value"));
        put_list_cell(out, json_object_get(row, "expected"));
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_log(FILE *out, const json_t *report)
{
    const json_t *rows = json_object_get(report, "event_table");
    const json_t *row;
    size_t i;

    if (rows == NULL)
        return;
    put_title(out, report, "Measured log", "log");
    fputs("<table>\n<tr><th scope=\"col\">result</th><th scope=\"col\">event"
          "</th><th scope=\"col\">expected</th></tr>\n",
          out);
    json_array_foreach(rows, i, row)
    {
        fputs("<tr>", out);
        put_mark(out, json_object_get(row, "result"));
        put_code_cell(out, json_object_get(row, "content"));
        put_list_cell(out, json_object_get(row, "expected"));
        fputs("</tr>\n", out);
    }
    json_array_foreach(json_object_get(report, "missing"), i, row)
    {
        fputs("<tr><td class=\"bad\">missing</td><td><code>component ", out);
        put_string(out, row);
        fputs("</code></td><td></td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_boot_log(FILE *out, const json_t *report)
{
    const json_t *rows = json_object_get(report, "boot_log");
    const json_t *row;
    size_t i;

    if (rows == NULL)
        return;
    put_title(out, report, "Boot log", "boot_log");
    fprintf(out,
            "<p class=\"dim\">Digests make the PCRs above. What an event is "
            "about, the log says.</p>\n"
            "<details><summary>%zu events</summary>\n<table>\n<tr><th "
            "scope=\"col\">PCR</th><th scope=\"col\">event</th><th "
            "scope=\"col\">digest</th></tr>\n",
            json_array_size(rows));
    json_array_foreach(rows, i, row)
    {
        fputs("<tr><td>", out);
        put_member(out, row, "pcr");
        fputs("</td><td>", out);
        put_member(out, row, "type");
        fputs("<br><span class=\"long\">", out);
        put_member(out, row, "what");
        fputs("</span></td>", out);
        put_code_cell(out, json_object_get(row, "digest"));
        fputs("</tr>\n", out);
    }
    fputs("</table>\n</details>\n", out);
}

static void put_chain(FILE *out, const json_t *report)
{
    const json_t *subject;
    size_t i;

    put_title(out, report, "AK chain", "chain");
    fputs("<dl>\n", out);
    json_array_foreach(json_object_get(report, "ak_chain"), i, subject)
        put_line(out, i == 0 ? "AK" : "CA", subject);
    fputs("</dl>\n", out);
}

static void put_quote(FILE *out, const json_t *report)
{
    const json_t *quote = json_object_get(report, "quote");

    if (quote == NULL)
        return;
    put_title(out, report, "TPM", "quote");
    fputs("<dl>\n", out);
    put_line(out, "clock, ms", json_object_get(quote, "clock_ms"));
    put_line(out, "clock is safe", json_object_get(quote, "safe"));
    put_line(out, "resets", json_object_get(quote, "reset_count"));
    put_line(out, "restarts", json_object_get(quote, "restart_count"));
    put_line(out, "firmware", json_object_get(quote, "firmware_version"));
    fputs("</dl>\n", out);
}

static void put_connection(FILE *out, const json_t *report)
{
    const json_t *connection = json_object_get(report, "connection");

    if (connection == NULL)
        return;
    fputs("<h2>Connection</h2>\n<dl>\n", out);
    put_line(out, "time", json_object_get(connection, "time"));
    put_line(out, "address", json_object_get(connection, "address"));
    put_line(out, "TLS", json_object_get(connection, "tls"));
    put_line(out, "TLS certificate",
             json_object_get(connection, "certificate"));
    put_line(out, "by the CAs here", json_object_get(connection, "pki"));
    put_line(out, "seen live", json_object_get(connection, "live"));
    put_line(out, "binding checked",
             json_object_get(connection, "binding_checked"));
    fputs("</dl>\n", out);
}

static void put_report(FILE *out, const json_t *report)
{
    put_verdict(out, report);
    put_steps(out, report);
    if (json_object_get(report, "pcr_table") != NULL) {
        put_pcrs(out, report);
        put_log(out, report);
        put_boot_log(out, report);
        put_chain(out, report);
    }
    put_quote(out, report);
    put_connection(out, report);
}

static void put_document(FILE *out, const json_t *reports)
{
    const time_t now = time(NULL);
    char date[32] = "";
    const json_t *report;
    struct tm tm;
    size_t i;

    if (gmtime_r(&now, &tm) != NULL)
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
    fprintf(out, "%s<title>attest: ", head);
    put_member(out, json_array_get(reports, 0), "peer");
    fprintf(out, "</title>\n%s</head>\n<body>\n", style);
    json_array_foreach(reports, i, report)
    {
        fputs("<main>\n", out);
        put_report(out, report);
        fputs("</main>\n", out);
    }
    fprintf(out,
            "<footer class=\"dim\"><p>attest " ATLS_VERSION
            ", %s</p></footer>\n</body>\n</html>\n",
            date);
}

/* ---- the file ---- */

enum atls_error tool_html_report_write(const char *path, const json_t *reports,
                                       struct atls_reason *why)
{
    struct tool_output output = {.name = path};
    FILE *out = NULL;
    enum atls_error r;

    if (json_array_size(reports) == 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "%s: there is no report to write into it", path);
    r = tool_output_open(&output, why, &out);
    if (r != ATLS_OK)
        return r;
    put_document(out, reports);
    r = tool_output_close(&output, out, ATLS_OK, why);
    if (r == ATLS_OK)
        r = tool_output_publish(&output, true, why);
    tool_output_discard(&output);
    return r;
}
