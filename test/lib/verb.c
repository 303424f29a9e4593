/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/verb.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32

/* What stands in a stream's file, and the stream's own descriptor back. */
static char *restore(FILE *stream, int saved, FILE *caught)
{
    char *text = NULL;
    size_t room = 0;

    fflush(stream);
    if (dup2(saved, fileno(stream)) < 0)
        err(1, "dup2");
    close(saved);
    rewind(caught);
    if (getdelim(&text, &room, '\0', caught) < 0) {
        free(text);
        text = calloc(1, 1);
    }
    fclose(caught);
    return text;
}

/* Let a stream write into a file of its own. */
static FILE *redirect(FILE *stream, int *ret_saved)
{
    FILE *caught = tmpfile();

    fflush(stream);
    *ret_saved = dup(fileno(stream));
    if (caught == NULL || *ret_saved < 0
        || dup2(fileno(caught), fileno(stream)) < 0)
        err(1, "redirect");
    return caught;
}

void verb_run(const struct tool_verb *verb, bool json,
              const char *const *arguments, struct verb_result *ret)
{
    struct tool_options options = {.verb = verb, .json = json};
    char *copies[ARGUMENTS_MAX] = {NULL};
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 0, saved_out, saved_err;
    FILE *out, *err_file;

    copies[argc++] = strdup(verb->name);
    for (; *arguments != NULL && argc < ARGUMENTS_MAX; arguments++)
        copies[argc++] = strdup(*arguments);
    memcpy(argv, copies, sizeof(copies)); /* getopt_long(3) sorts argv */
    opterr = 0;
    optind = 0; /* start again, GNU's way */
    out = redirect(stdout, &saved_out);
    err_file = redirect(stderr, &saved_err);
    ret->status = verb->run(argc, argv, &options);
    ret->out = restore(stdout, saved_out, out);
    ret->err = restore(stderr, saved_err, err_file);
    for (int i = 0; i < argc; i++)
        free(copies[i]);
}

void verb_result_clear(struct verb_result *result)
{
    free(result->out);
    free(result->err);
    result->out = result->err = NULL;
}

json_t *verb_json(const struct verb_result *result)
{
    json_error_t error;
    json_t *object = json_loads(result->out, JSON_ALLOW_NUL, &error);

    if (!json_is_object(object))
        errx(1, "no JSON object: %s: %s", error.text, result->out);
    return object;
}
