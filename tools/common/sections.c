/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/sections.h"

#include <stdio.h>

static enum atls_error choose_by_section(const struct atls_policy *policy,
                                         const char *name,
                                         struct atls_reason *why,
                                         struct atls_match *ret,
                                         const char **ret_because)
{
    const struct atls_section *section = atls_policy_find(policy, name);

    if (section == NULL)
        return atls_fail(why, ATLS_E_USAGE,
                         "--section %.64s: no such section in %.100s", name,
                         atls_policy_path(policy));
    *ret = (struct atls_match){.mode = section->mode,
                               .count = section->mode != ATLS_MODE_OFF,
                               .sections = {section}};
    *ret_because = "the section says mode = off";
    return ATLS_OK;
}

/* Match name and address as a program that knows this peer would. */
static enum atls_error choose_by_name(const struct atls_policy *policy,
                                      const struct peer_evidence *evidence,
                                      struct atls_reason *why,
                                      struct atls_match *ret,
                                      const char **ret_because)
{
    const char *names[2];
    size_t count = 0;

    if (evidence->name != NULL)
        names[count++] = evidence->name;
    if (evidence->address != NULL)
        names[count++] = evidence->address;
    if (count == 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "the evidence does not say whose it is: name the "
                         "section with --section");
    atls_policy_match_server(policy, names, count, ret);
    if (ret->refusal != ATLS_OK)
        return atls_fail(why, ret->refusal,
                         "%.64s: %s; add it to %.80s, or choose with --section",
                         names[0], atls_error_sentence(ret->refusal),
                         atls_policy_path(policy));
    if (ret->mode == ATLS_MODE_OFF)
        ret->count = 0;
    *ret_because = "the policy does not ask for evidence here";
    return ATLS_OK;
}

enum atls_error tool_sections_choose(const struct atls_policy *policy,
                                     const char *section,
                                     const struct peer_evidence *evidence,
                                     struct atls_reason *why,
                                     struct atls_match *ret,
                                     const char **ret_because)
{
    return section != NULL
               ? choose_by_section(policy, section, why, ret, ret_because)
               : choose_by_name(policy, evidence, why, ret, ret_because);
}

int tool_load_policy(const struct tool_options *options, const char *path,
                     struct atls_policy **ret_policy)
{
    struct atls_reason why = {0};
    const char *warning;

    if (atls_policy_load(path, &why, ret_policy) != ATLS_OK)
        return tool_fail(options, &why);
    for (size_t i = 0; (warning = atls_policy_warning(*ret_policy, i)) != NULL;
         i++)
        fprintf(stderr, "attest %s: warning: %s\n", options->verb->name,
                warning);
    return TOOL_DONE;
}
