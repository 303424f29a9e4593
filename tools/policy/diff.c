/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <time.h>

#include "tools/policy/differences.h"
#include "tools/common/input.h"
#include "tools/policy/forms.h"
#include "tools/common/evidence_file.h"
#include "tools/common/source.h"
#include "base/file.h"

/* ---- differences ---- */

static void print_same(const struct diff *diff)
{
    size_t i;
    json_t *value;

    json_array_foreach(diff->same, i, value)
        printf("%s%s", i == 0 ? "same: " : ", ", json_string_value(value));
    if (json_array_size(diff->same) > 0)
        putchar('\n');
}

static int finish(const struct tool_options *options, struct diff *diff,
                  const char *kind)
{
    const int status = diff->count == 0 ? TOOL_DONE : TOOL_REFUSED;
    int printed = TOOL_DONE;

    if (options->json) {
        printed = tool_print_json(
            options, json_pack("{s:s, s:b, s:O, s:O}", "kind", kind, "same",
                               (int)(diff->count == 0), "differences",
                               diff->differences, "alike", diff->same));
    } else {
        print_same(diff);
        printed = tool_finish_output(options);
    }
    return printed != TOOL_DONE ? printed : status;
}

/* ---- the two files ---- */

static void print_head(const char *letter, const char *path,
                       const struct peer_evidence *evidence)
{
    const time_t when = (time_t)evidence->time;
    char date[32] = "";
    struct tm tm;

    if (evidence->time != 0 && gmtime_r(&when, &tm) != NULL)
        strftime(date, sizeof(date), ", %Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%s  %s%s%s%s\n", letter, path, evidence->name != NULL ? ": " : "",
           evidence->name != NULL ? evidence->name : "", date);
}

static enum atls_error compare_evidence(const struct tool_options *options,
                                        struct diff *diff,
                                        const char *const paths[2],
                                        struct atls_reason *why)
{
    struct peer_evidence evidence[2] = {{0}, {0}};
    enum atls_error r = tool_evidence_file_read(paths[0], why, &evidence[0]);

    if (r == ATLS_OK)
        r = tool_evidence_file_read(paths[1], why, &evidence[1]);
    if (r == ATLS_OK && !options->json) {
        print_head("A", paths[0], &evidence[0]);
        print_head("B", paths[1], &evidence[1]);
        puts("what both say is compared; attest policy check verifies");
    }
    if (r == ATLS_OK)
        r = tool_diff_evidence(diff, paths, evidence, why);
    tool_peer_evidence_clear(&evidence[0]);
    tool_peer_evidence_clear(&evidence[1]);
    return r;
}

/* Is the file evidence or a policy? Its content tells. */
static enum atls_error inspect(const char *path, struct atls_reason *why,
                               bool *ret_is_evidence)
{
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r = tool_input_read(path, ATLS_FILE_MAX, why, &data, &len);

    if (r == ATLS_E_LIMIT)
        return why->code = ATLS_E_USAGE;
    if (r == ATLS_E_IO && !tool_source_is_file(path))
        return atls_fail(why, r,
                         "%s is no file; what a server shows is compared once "
                         "it is saved: attest show %s --save FILE",
                         path, path);
    if (r != ATLS_OK)
        return r;
    *ret_is_evidence = tool_evidence_file_begins(data, len);
    OPENSSL_free(data);
    if (len == 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "%s is empty: neither a policy nor evidence", path);
    return ATLS_OK;
}

static int compare(const struct tool_options *options, struct diff *diff,
                   const char *const paths[2])
{
    struct atls_reason why = {0};
    bool is_evidence[2] = {false, false};
    enum atls_error r = inspect(paths[0], &why, &is_evidence[0]);

    if (r == ATLS_OK)
        r = inspect(paths[1], &why, &is_evidence[1]);
    if (r == ATLS_OK && is_evidence[0] != is_evidence[1])
        return tool_usage(options,
                          "a policy and evidence are not of one kind: attest "
                          "policy check %s %s",
                          paths[is_evidence[0] ? 1 : 0],
                          paths[is_evidence[0] ? 0 : 1]);
    if (r == ATLS_OK)
        r = is_evidence[0] ? compare_evidence(options, diff, paths, &why)
                           : tool_diff_policies(diff, paths, &why);
    if (r != ATLS_OK)
        return tool_fail(options, &why);
    return finish(options, diff, is_evidence[0] ? "evidence" : "policy");
}

int tool_policy_diff(int argc, char **argv, const struct tool_options *options)
{
    const struct atls_reason no_memory = {.code = ATLS_E_NOMEM};
    struct diff diff = {.count = 0};
    int status = tool_read_options(argc, argv, options, NULL, 0);

    if (status != TOOL_DONE)
        return status;
    if (argc - optind != 2)
        return tool_usage(options, "diff: expected two policies, or two files "
                                   "of evidence");
    diff.same = json_array();
    diff.differences = options->json ? json_array() : NULL;
    if (diff.same == NULL || (options->json && diff.differences == NULL))
        status = tool_fail(options, &no_memory);
    else
        status =
            compare(options, &diff,
                    (const char *const[2]){argv[optind], argv[optind + 1]});
    json_decref(diff.same);
    json_decref(diff.differences);
    return status;
}
