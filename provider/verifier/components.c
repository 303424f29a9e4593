/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/components.h"

#include <stdbool.h>
#include <string.h>

#include "base/digest.h"
#include "evidence/event_form.h"
#include "evidence/eventlog.h"

#define DIGEST_TEXT (2 * ATLS_SHA256_LEN + 1)

/* Room for an event of no kind in a reason. */
#define OTHER_SHOWN 81u

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
    char expected[DIGEST_TEXT] = "", expected_brief[ATLS_HEX_BRIEF_SIZE] = "";
    char found[DIGEST_TEXT], found_brief[ATLS_HEX_BRIEF_SIZE];

    for (size_t i = 0; i < rule->count; i++) {
        if (memcmp(rule->digests[i], event->digest, ATLS_SHA256_LEN) == 0)
            return ATLS_OK;
    }
    atls_hex(event->digest, ATLS_SHA256_LEN, found);
    atls_hex_brief(event->digest, event->digest, ATLS_SHA256_LEN, found_brief,
                   found_brief);
    if (rule->count > 0) {
        atls_hex(rule->digests[0], ATLS_SHA256_LEN, expected);
        atls_hex_brief(rule->digests[0], event->digest, ATLS_SHA256_LEN,
                       expected_brief, found_brief);
    }
    return atls_fail(
        why, ATLS_E_COMPONENT,
        "component %s does not match policy: expected "
        "sha256:%s, got %s" ATLS_WHOLE
        "component %s does not match policy: expected sha256:%s%s, "
        "got sha256:%s",
        event->name, expected_brief, found_brief, event->name, expected, others,
        found);
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

static const char *kind_of(const struct atls_event *event)
{
    switch (event->kind) {
    case ATLS_EVENT_COMPONENT:
        return "component";
    case ATLS_EVENT_CERTIFICATE:
        return "certificate";
    case ATLS_EVENT_AUTHORITY:
        return "authority";
    case ATLS_EVENT_OTHER:
        break;
    }
    return "event";
}

/* An event that section and reference do not name. What somebody took for a component
 * is no matter of patterns: they would let it pass as if it said nothing. */
static enum atls_error refuse_event(struct atls_span content,
                                    struct atls_reason *why)
{
    char flaws[ATLS_EVENT_FLAWS_MAX], shown[ATLS_EVENT_SHOWN_MAX];
    struct atls_event event;

    if (atls_event_resembles(content, &event, flaws)) {
        atls_event_show(content, shown, sizeof(shown));
        return atls_fail(
            why, ATLS_E_LOG_FORM,
            "%s %s is logged in another form: %s" ATLS_WHOLE
            "the log has \"%s\", which is no %s to attest: %s; use "
            "attest measure",
            kind_of(&event), event.name, flaws, shown, kind_of(&event), flaws);
    }
    atls_event_show(content, shown, OTHER_SHOWN);
    return atls_fail(why, ATLS_E_LOG_EVENT,
                     "the measured log holds an event that the policy does not "
                     "list: \"%s\"; add a pattern to events",
                     shown);
}

/* Is the event one that section or reference name? */
static enum atls_error check_listed(const struct visit *visit,
                                    struct atls_mismatch *mismatch)
{
    struct atls_span content = mismatch->event;
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
        return refuse_event(content, &mismatch->reason);
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

/* Where the policy lets its event pass unread, this is why it is missing. */
static bool find_other_form(const struct atls_evidence *evidence,
                            const char *name, struct atls_reason *why)
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        char flaws[ATLS_EVENT_FLAWS_MAX];
        struct atls_event event;

        if (atls_event_resembles(evidence->log[i], &event, flaws)
            && event.kind == ATLS_EVENT_COMPONENT
            && strcmp(event.name, name) == 0)
            return refuse_event(evidence->log[i], why) != ATLS_OK;
    }
    return false;
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

        if (!atls_event_may_be(evidence->log[i], ATLS_EVENT_COMPONENT))
            continue;
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
    if (find_other_form(evidence, name, &mismatch->reason))
        return mismatch->reason.code;
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
