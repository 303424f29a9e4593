/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/components.h"

#include <stdbool.h>
#include <string.h>

#include "digest.h"
#include "evidence/eventlog.h"
#include "verifier/reference.h"

#define DIGEST_TEXT (2 * ATLS_SHA256_LEN + 1)

/* `*` stands for any octets, also none; everything else for itself. Goes back to
 * the last star only, so the time is at most the product of the two lengths. */
static bool pattern_matches(const char *pattern, struct atls_span content)
{
    const char *star = NULL;
    size_t retry = 0;
    size_t at = 0;

    while (at < content.len) {
        if (*pattern == '*') {
            star = pattern++;
            retry = at;
        } else if (*pattern != '\0' && (uint8_t)*pattern == content.data[at]) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool event_is_listed(const struct atls_section *section,
                            struct atls_span content)
{
    for (size_t i = 0; i < section->event_count; i++) {
        if (pattern_matches(section->events[i], content))
            return true;
    }
    return false;
}

static enum atls_error check_digest(const struct atls_component_rule *rule,
                                    const struct atls_event *event,
                                    struct atls_reason *why)
{
    const char *others = rule->count > 1 ? " or others listed" : "";
    char expected[DIGEST_TEXT] = "";
    char found[DIGEST_TEXT];

    for (size_t i = 0; i < rule->count; i++) {
        if (memcmp(rule->digests[i], event->digest, ATLS_SHA256_LEN) == 0)
            return ATLS_OK;
    }
    if (rule->count > 0)
        atls_hex(rule->digests[0], ATLS_SHA256_LEN, expected);
    atls_hex(event->digest, ATLS_SHA256_LEN, found);
    return atls_fail(
        why, ATLS_E_COMPONENT,
        "component %s does not match policy: expected "
        "sha256:%.8s..., got %.8s..." ATLS_WHOLE
        "component %s does not match policy: expected sha256:%s%s, "
        "got sha256:%s",
        event->name, expected, found, event->name, expected, others, found);
}

/* What one visit of components is about. */
struct visit {
    const struct atls_section *section;
    const struct atls_reference *reference; /* or NULL */
    const struct atls_evidence *evidence;
    atls_mismatch_visitor *visitor;
    void *arg;
};

static bool rules_name(const struct atls_component_rule *rules, size_t count,
                       const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rules[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool component_is_listed(const struct visit *visit, const char *name)
{
    const struct atls_reference *reference = visit->reference;

    return rules_name(visit->section->components,
                      visit->section->component_count, name)
           || (reference != NULL
               && rules_name(reference->components, reference->component_count,
                             name));
}

/* Is the event one that section or reference name? */
static enum atls_error check_listed(const struct visit *visit,
                                    struct atls_mismatch *mismatch)
{
    struct atls_span content = mismatch->event;
    /* What is said of references stands before it. */
    size_t shown = mismatch->reference != NULL ? 40 : 80;
    struct atls_event event;

    atls_event_parse(content, &event);
    if (visit->section->components_any || event.kind == ATLS_EVENT_CERTIFICATE
        || event.kind == ATLS_EVENT_AUTHORITY)
        return ATLS_OK;
    if (event.kind == ATLS_EVENT_COMPONENT) {
        if (component_is_listed(visit, event.name))
            return ATLS_OK;
        mismatch->kind = ATLS_MISMATCH_COMPONENT_UNLISTED;
        return atls_fail(&mismatch->reason, ATLS_E_LOG_EVENT,
                         "component %s was loaded, which the policy does not "
                         "list; add component.%s or set components = any",
                         event.name, event.name);
    }
    mismatch->kind = ATLS_MISMATCH_EVENT_UNLISTED;
    if (!event_is_listed(visit->section, content))
        return atls_fail(&mismatch->reason, ATLS_E_LOG_EVENT,
                         "the measured log holds an event that the policy does "
                         "not list: \"%.*s\"; add a pattern to events",
                         (int)(content.len < shown ? content.len : shown),
                         (const char *)content.data);
    return ATLS_OK;
}

static enum atls_error visit_events(const struct visit *visit)
{
    for (size_t i = 0; i < visit->evidence->log_count; i++) {
        struct atls_mismatch mismatch = {.step = ATLS_STEP_COMPONENTS,
                                         .reference = visit->reference,
                                         .event = visit->evidence->log[i]};
        enum atls_error r = check_listed(visit, &mismatch);

        if (r != ATLS_OK)
            r = visit->visitor(&mismatch, visit->arg);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* Is the component in the log, and each of its events an acceptable one? */
static enum atls_error check_component(const struct atls_evidence *evidence,
                                       struct atls_mismatch *mismatch)
{
    const char *name = mismatch->component->name;
    bool seen = false;

    mismatch->kind = ATLS_MISMATCH_COMPONENT;
    for (size_t i = 0; i < evidence->log_count; i++) {
        struct atls_event event;
        enum atls_error r;

        atls_event_parse(evidence->log[i], &event);
        if (event.kind != ATLS_EVENT_COMPONENT || strcmp(event.name, name) != 0)
            continue;
        seen = true;
        mismatch->event = evidence->log[i];
        r = check_digest(mismatch->component, &event, &mismatch->reason);
        if (r != ATLS_OK)
            return r;
    }
    if (seen)
        return ATLS_OK;
    mismatch->kind = ATLS_MISMATCH_COMPONENT_MISSING;
    return atls_fail(&mismatch->reason, ATLS_E_COMPONENT,
                     "component %s is missing from the measured log; "
                     "measure it with: attest measure --name %s PATH",
                     name, name);
}

/* The rules of the section (reference NULL) or of a reference. */
static enum atls_error visit_rules(const struct visit *visit,
                                   const struct atls_component_rule *rules,
                                   size_t count,
                                   const struct atls_reference *reference)
{
    for (size_t i = 0; i < count; i++) {
        struct atls_mismatch mismatch = {.step = ATLS_STEP_COMPONENTS,
                                         .reference = reference,
                                         .component = &rules[i]};
        enum atls_error r = check_component(visit->evidence, &mismatch);

        if (r != ATLS_OK)
            r = visit->visitor(&mismatch, visit->arg);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

enum atls_error atls_components_visit(const struct atls_section *section,
                                      const struct atls_reference *reference,
                                      const struct atls_evidence *evidence,
                                      atls_mismatch_visitor *visitor, void *arg)
{
    const struct visit visit = {section, reference, evidence, visitor, arg};
    enum atls_error r = visit_events(&visit);

    if (r != ATLS_OK)
        return r;
    r = visit_rules(&visit, section->components, section->component_count,
                    NULL);
    if (r != ATLS_OK || reference == NULL)
        return r;
    return visit_rules(&visit, reference->components,
                       reference->component_count, reference);
}

enum atls_error atls_components_check(const struct atls_section *section,
                                      const struct atls_reference *reference,
                                      const struct atls_evidence *evidence,
                                      struct atls_reason *why)
{
    struct atls_mismatch first = {.reference = NULL};
    enum atls_error r = atls_components_visit(section, reference, evidence,
                                              atls_mismatch_take_first, &first);

    atls_reference_explain(section, evidence, &first, why);
    return r;
}
