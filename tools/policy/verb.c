/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "tools/policy/forms.h"

static const char help[] =
    "Usage: attest policy SOURCE --trust FILE [OPTION]...   write a policy\n"
    "       attest policy check POLICY [EVIDENCE] [OPTION]...\n"
    "       attest policy diff A B\n"
    "\n"
    "Writes a policy that demands of a server what it shows now; evidence "
    "must\n"
    "hold in every other way, and the policy is tried on it first.\n"
    "  --from SOURCE       a server HOST[:PORT], or a file of attest show "
    "--save\n"
    "  --here              this machine, by the attester of its openssl.cnf\n"
    "    --conf FILE         of this one\n"
    "    --certificate-file FILE  the server's certificate, to be tried, too\n"
    "  --boot-log FILE     what this TCG log leads to; needs --host, "
    "--machines\n"
    "    --measured-log FILE, --bank NAME (sha256)\n"
    "  --trust FILE        PEM: issuers of AK certificates you trust (they "
    "never\n"
    "                      come with the evidence)\n"
    "  --output FILE       instead of standard output; --force: write over it\n"
    "  --reference NAME    only the PCRs and components, as a section for\n"
    "                      `reference = NAME`\n"
    "  --host NAME         name of the server\n"
    "  --name SECTION      name of the section (default: the host)\n"
    "  --machines LIST     instead of the names in the AK certificate\n"
    "  --pcrs LIST         default: all of 0-9 and 11-14 that are quoted\n"
    "  --certificate RULE  measured (default), measured-issuer or any\n"
    "  --allow-zero        PCRs 0-7 may all be zero (a software TPM)\n"
    "  --cafile FILE       PEM roots for the TLS certificate (reported only)\n"
    "  --timeout SECONDS   for connection and handshake (1..600, default 5)\n"
    "\n"
    "check: does the policy load, and what would it refuse? EVIDENCE is a "
    "server\n"
    "or a saved file; every mismatch is listed, then what to do next.\n"
    "  --section NAME      this section, not the one for the name\n"
    "  --at TIME           as if it were then: 2027-06-30T00:00:00Z\n"
    "\n"
    "diff: what changed between two policies, or between two saved files of\n"
    "evidence: PCRs, boot events, components, keys.\n"
    "\n"
    "Exit status: 0 written, accepted or the same; 1 refused or different;\n"
    "2 usage or files; 3 no or invalid evidence; 4 TPM unavailable.\n";

static int run(int argc, char **argv, struct tool_options *options)
{
    static const struct {
        const char *word;
        int (*run)(int argc, char **argv, const struct tool_options *options);
    } forms[] = {{"check", tool_policy_check}, {"diff", tool_policy_diff}};

    for (size_t i = 0; argc > 1 && i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strcmp(argv[1], forms[i].word) == 0)
            return forms[i].run(argc - 1, argv + 1, options);
    return tool_policy_write(argc, argv, options);
}

const struct tool_verb tool_verb_policy = {
    .name = "policy",
    .synopsis = "write a policy, check or compare policies",
    .help = help,
    .run = run,
};
