/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_VERB_H
#define ATTEST_TEST_VERB_H

#include <jansson.h>
#include <stdbool.h>

#include "tools/common/tool.h"

/*
 * Run a verb of the command in this process and catch what it prints.
 *   arguments  words after the verb's name, ended by NULL
 *   json       as if --json were given
 */
struct verb_result {
    int status;
    char *out; /* standard output, with a NUL behind it */
    char *err; /* standard error */
};

void verb_run(const struct tool_verb *verb, bool json,
              const char *const *arguments, struct verb_result *ret);
void verb_result_clear(struct verb_result *result);

/* The only JSON object on standard output: json_decref() it. Ends the program
 * when there is none, or more. */
json_t *verb_json(const struct verb_result *result);

#endif
