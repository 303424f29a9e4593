/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "verifier/names.h"
#include "verifier/policy.h"
#include "verifier/policy_internal.h"

static bool section_names(const struct atls_section *section, const char *name)
{
    for (size_t i = 0; i < section->name_count; i++) {
        if (atls_name_matches(section->names[i], name))
            return true;
    }
    return false;
}

static const struct atls_section *find_server(const struct atls_policy *policy,
                                              const char *name)
{
    for (size_t i = 0; i < policy->server_count; i++) {
        if (section_names(policy->servers[i], name))
            return policy->servers[i];
    }
    return NULL;
}

/* by: index of the name. */
static void add_section(struct atls_match *match,
                        const struct atls_section *section, size_t by)
{
    for (size_t i = 0; i < match->count; i++) {
        if (match->sections[i] == section)
            return;
    }
    if (match->count == ATLS_MATCH_MAX) {
        match->mode = ATLS_MODE_REQUIRE;
        match->refusal = ATLS_E_LIMIT;
        return;
    }
    match->sections[match->count] = section;
    match->found_by[match->count] = by;
    match->count++;
}

/* One name is under this mode, because of a section or (NULL) of `otherwise`:
 * what is less strict no longer counts. */
static void consider(struct atls_match *match, enum atls_mode mode,
                     const struct atls_section *section, size_t by)
{
    if (mode < match->mode)
        return;
    if (mode > match->mode)
        *match = (struct atls_match){.mode = mode};
    if (section != NULL)
        add_section(match, section, by);
    else if (mode == ATLS_MODE_REQUIRE)
        match->refusal = ATLS_E_UNNAMED;
}

static void match_nameless(const struct atls_policy *policy,
                           struct atls_match *match)
{
    switch (policy->nameless) {
    case ATLS_NAMELESS_OFF:
        break;
    case ATLS_NAMELESS_SECTION:
        consider(match, policy->nameless_section->mode,
                 policy->nameless_section, ATLS_MATCH_NAMELESS);
        break;
    case ATLS_NAMELESS_OTHERWISE:
        consider(match, policy->otherwise, NULL, 0);
        break;
    case ATLS_NAMELESS_REFUSE:
    default:
        match->mode = ATLS_MODE_REQUIRE;
        match->refusal = ATLS_E_NAMELESS;
        break;
    }
}

void atls_policy_match_server(const struct atls_policy *policy,
                              const char *const *names, size_t count,
                              struct atls_match *ret_match)
{
    struct atls_match match = {.mode = ATLS_MODE_OFF};
    bool is_named = false, has_odd = false;

    for (size_t i = 0; i < count; i++) {
        enum atls_name_kind kind = atls_name_kind(names[i]);
        const struct atls_section *section = find_server(policy, names[i]);

        if (section != NULL)
            consider(&match, section->mode, section, i);
        else if (kind == ATLS_NAME_HOST)
            consider(&match, policy->otherwise, NULL, i);
        is_named = is_named || section != NULL || kind == ATLS_NAME_HOST;
        has_odd = has_odd || (section == NULL && kind == ATLS_NAME_NONE);
    }
    if (!is_named || has_odd)
        match_nameless(policy, &match);
    *ret_match = match;
}
