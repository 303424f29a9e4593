/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/opening.h"
#include "tools/common/tool.h"

static const struct tool_verb *const verbs[] = {
    &tool_verb_check, &tool_verb_measure, &tool_verb_policy,
    &tool_verb_show,  &tool_verb_verify,
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* What main() itself does, as a verb, so that all messages look alike. */
static int run_help(int argc, char **argv, struct tool_options *options);
static int run_version(int argc, char **argv, struct tool_options *options);

static const struct tool_verb verb_help = {.name = "", .run = run_help};
static const struct tool_verb verb_version = {.name = "", .run = run_version};

static const struct tool_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(name, verbs[i]->name) == 0)
            return verbs[i];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0
        || strcmp(name, "-h") == 0)
        return &verb_help;
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0
        || strcmp(name, "-V") == 0)
        return &verb_version;
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("Usage: attest [--json] VERB [OPTION]... [ARGUMENT]...\n"
          "Prove and verify what a machine has booted, inside TLS.\n"
          "\n"
          "Verbs:\n",
          out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-9s  %s\n", verbs[i]->name, verbs[i]->synopsis);
    fputs("\n"
          "  attest VERB --help  what a verb does, and its options\n"
          "  attest --version    version of attest and of OpenSSL\n"
          "  --json              machine-readable output, with every verb\n"
          "\n"
          "Exit status: 0 trusted or done, 1 refused by policy, 2 usage or\n"
          "configuration, 3 no or invalid evidence, 4 TPM unavailable.\n"
          "See attest(1).\n",
          out);
}

static int run_help(int argc, char **argv, struct tool_options *options)
{
    const struct tool_verb *verb = NULL;

    if (argc > 1) {
        verb = find_verb(argv[1]);
        if (verb == NULL)
            return tool_usage(options, "no such verb: %s", argv[1]);
    }
    if (verb == NULL || verb->help == NULL)
        print_overview(stdout);
    else
        fputs(verb->help, stdout);
    return tool_finish_output(options);
}

static int run_version(int argc, char **argv, struct tool_options *options)
{
    const char *openssl = OpenSSL_version(OPENSSL_VERSION_STRING);

    (void)argc;
    (void)argv;
    if (options->json)
        return tool_print_json(options,
                               json_pack("{s:s, s:s}", "version", ATLS_VERSION,
                                         "openssl", openssl));
    printf("attest %s (OpenSSL %s)\n", ATLS_VERSION, openssl);
    return tool_finish_output(options);
}

/* Remove --json and --help from argv, up to a `--`; the rest keeps its order.
 * Returns the new argc. */
static int take_common_options(int argc, char **argv, bool *ret_json,
                               bool *ret_help)
{
    int kept = 1;
    bool over = false;

    for (int i = 1; i < argc; i++) {
        over = over || strcmp(argv[i], "--") == 0;
        if (!over && strcmp(argv[i], "--json") == 0)
            *ret_json = true;
        else if (!over && kept > 1 && strcmp(argv[i], "--help") == 0)
            *ret_help = true;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

int main(int argc, char **argv)
{
    struct tool_options options = {.verb = &verb_help};
    bool help = false;

    if (!atls_opening_standard())
        return TOOL_USAGE;
    /* The command judges openssl.cnf and the provider from outside: OpenSSL
     * must not load either into this process on its own. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);

    argc = take_common_options(argc, argv, &options.json, &help);
    if (argc < 2) {
        print_overview(stderr);
        return TOOL_USAGE;
    }
    options.verb = find_verb(argv[1]);
    if (options.verb == NULL) {
        options.verb = &verb_help;
        return tool_usage(&options, "no such verb: %s", argv[1]);
    }
    if (help)
        return run_help(argc, argv, &options);
    opterr = 0;
    return options.verb->run(argc - 1, argv + 1, &options);
}
