/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_COMMON_TOOL_H
#define ATTEST_TOOLS_COMMON_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The command `attest`: a folder for each verb, whose verb.c exports one const
 * descriptor. main() reads the options of all verbs, --json and --help, wherever
 * they stand before a `--`; a verb never sees them. Global symbols of tools/ begin
 * with tool_.
 * Source: design "The command"; attest(1).
 */

/* Exit statuses, as of base/error.h. */
enum tool_exit {
    TOOL_DONE = ATLS_STATUS_DONE,
    TOOL_REFUSED = ATLS_STATUS_REFUSED,
    TOOL_USAGE = ATLS_STATUS_USAGE,
    TOOL_NO_EVIDENCE = ATLS_STATUS_NO_EVIDENCE,
    TOOL_UNAVAILABLE = ATLS_STATUS_UNAVAILABLE
};

struct tool_verb;

struct tool_options {
    const struct tool_verb *verb;
    bool json; /* exactly one JSON object (or one a line) on stdout */
};

/*
 * One verb.
 *   name      what the user types
 *   synopsis  one line for `attest --help`, under 60 characters
 *   help      the whole text of `attest NAME --help`, ended by LF
 *   run       argv[0] is the verb's name, as tool_read_options() needs it;
 *             returns the exit status
 */
struct tool_verb {
    const char *name;
    const char *synopsis;
    const char *help;
    int (*run)(int argc, char **argv, struct tool_options *options);
};

extern const struct tool_verb tool_verb_check;
extern const struct tool_verb tool_verb_measure;
extern const struct tool_verb tool_verb_policy;
extern const struct tool_verb tool_verb_show;
extern const struct tool_verb tool_verb_verify;

/*
 * Report a failure and return its exit status: `return tool_fail(...)`.
 * "attest VERB: text" on stderr; under --json also
 * {"error":"<name>","reason":"<text>"} on stdout.
 */
int tool_fail(const struct tool_options *options,
              const struct atls_reason *why);

/* The same, but ATLS_E_USAGE is a mistake in the command line: tool_usage(). */
int tool_refuse(const struct tool_options *options,
                const struct atls_reason *why);

/* The same for a mistake in the command line, with a hint at --help. Returns
 * TOOL_USAGE. */
int tool_usage(const struct tool_options *options, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * One option of a verb. Exactly one of text, flag and take is set:
 *   text  where its value goes; borrowed from argv
 *   flag  set to true; the option has no value
 *   take  reads its value into ret: returns TOOL_DONE, or the exit status after
 *         a message
 */
struct tool_option {
    const char *name; /* without the dashes */
    const char **text;
    bool *flag;
    int (*take)(const struct tool_options *options, const char *value,
                void *ret);
    void *ret;
};

/*
 * Read the options of a command line; optind is the first argument after them.
 *   table  count of them, at most TOOL_OPTIONS_MAX
 * Returns TOOL_DONE, or the exit status after a message: an option that is
 * unknown or lacks its value (TOOL_USAGE), or what take returned.
 */
#define TOOL_OPTIONS_MAX 24u
int tool_read_options(int argc, char **argv, const struct tool_options *options,
                      const struct tool_option *table, size_t count);

/*
 * A whole number in a range, decimal digits only.
 * Returns true and sets ret_value, or false.
 */
bool tool_number(const char *text, unsigned min, unsigned max,
                 unsigned *ret_value);

/*
 * A moment: 2027-06-30T00:00:00Z, or 2027-06-30 for the midnight it begins with,
 * both in UTC.
 * Returns true and sets ret_seconds (since 1970, 0 or more), or false.
 */
bool tool_time(const char *text, int64_t *ret_seconds);

/* Flush standard output. Returns TOOL_DONE, or TOOL_USAGE after a message when
 * it could not be written. */
int tool_finish_output(const struct tool_options *options);

/*
 * Print one JSON object with LF on stdout and release it.
 *   object  a new reference; NULL counts as out of memory
 * Returns TOOL_DONE, or TOOL_USAGE after a message when it cannot be written.
 */
int tool_print_json(const struct tool_options *options, json_t *object);

#endif
