/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/components.c through atls_appraise(): components and other
 * events of the log. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/report.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
}

static void teardown(void)
{
    trial_end(&t);
}

/* --- components ------------------------------------------------------------ */

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B32 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C32 "cccccccccccccccccccccccccccccccc"

static void other_digest(void)
{
    strcpy(t.f.log[1], factory_component("server-code", 'c'));
}

/* What ran once may have changed the machine. */
static void bad_then_good(void)
{
    strcpy(t.f.log[2], factory_component("server-code", 'b'));
    strcpy(t.f.log[1], factory_component("server-code", 'c'));
    factory_log(&t.f, "%");
}

static void good_then_bad(void)
{
    factory_log(&t.f, factory_component("server-code", 'c'));
}

static void left_out(void)
{
    strcpy(t.f.log[1], t.f.log[0]);
}

static void one_more(void)
{
    factory_log(&t.f, factory_component("rootkit", 'd'));
}

static void other_event(void)
{
    factory_log(&t.f, "machine-id:0123456789abcdef");
}

/* Nearly a component, and so an event of no kind. */
static void upper_case(void)
{
    factory_log(&t.f, "component server-code sha256:" A32 "AAAAAAAAAAAAAAAA"
                      "AAAAAAAAAAAAAAAA");
}

static void in_form(const char *before, const char *name, const char *after)
{
    char content[ATLS_EVENT_CONTENT_MAX];

    (void)snprintf(content, sizeof(content), "%s%s%s" A32 A32 "%s", before,
                   name, " sha256:", after);
    factory_log(&t.f, content);
}

static void line_feed(void)
{
    in_form("component ", "server-code", "\n");
}

static void two_blanks(void)
{
    in_form("component  ", "server-code", "");
}

/* All there is of it in the log. */
static void nothing_but_another_form(void)
{
    t.f.log_count = 1;
    line_feed();
    factory_log(&t.f, "%");
}

static void longer_name(void)
{
    strcpy(t.f.log[1], factory_component("server-code2", 'b'));
}

static const struct {
    void (*plan)(void);
    enum atls_error code;
    const char *text;
} bad_components[] = {
    {other_digest, ATLS_E_COMPONENT,
     "component server-code does not match policy: expected "
     "sha256:" B32 B32 ", got sha256:" C32 C32},
    {bad_then_good, ATLS_E_COMPONENT,
     "component server-code does not match policy"},
    {good_then_bad, ATLS_E_COMPONENT,
     "component server-code does not match policy"},
    {left_out, ATLS_E_COMPONENT,
     "component server-code is missing from the measured log; measure it with: "
     "attest measure --name server-code PATH"},
    {one_more, ATLS_E_LOG_EVENT,
     "component rootkit was loaded, which the policy does not list; add "
     "component.rootkit or set components = any"},
    {longer_name, ATLS_E_LOG_EVENT, "component server-code2 was loaded"},
    {other_event, ATLS_E_LOG_EVENT,
     "the measured log holds an event that the policy does not list: "
     "\"machine-id:0123456789abcdef\"; add a pattern to events"},
    {upper_case, ATLS_E_LOG_FORM,
     "the log has \"component server-code sha256:" A32
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", which is no component to attest: "
     "upper case in its digest; use attest measure"},
    {line_feed, ATLS_E_LOG_FORM,
     "the log has \"component server-code sha256:" A32 A32
     "\\n\", which is no component to attest: a line feed at its end; use "
     "attest measure"},
    {two_blanks, ATLS_E_LOG_FORM,
     "the log has \"component  server-code sha256:" A32 A32
     "\", which is no component to attest: other blanks between its words"},
    {nothing_but_another_form, ATLS_E_LOG_FORM,
     "the log has \"component server-code sha256:" A32 A32
     "\\n\", which is no component to attest: a line feed at its end"},
};

/* The section that the unchanged plan satisfies. */
static void make_with_changed_log(void (*change)(void))
{
    trial_make(&t);
    change();
    factory_quote(&t.f);
}

START_TEST(test_P10_bad_component)
{
    make_with_changed_log(bad_components[_i].plan);
    trial_refused(&t, ATLS_STEP_COMPONENTS, bad_components[_i].code,
                  bad_components[_i].text);
}
END_TEST

/* `components = any` frees others, not those that are named. */
START_TEST(test_components_any)
{
    bool is_of_form = bad_components[_i].code == ATLS_E_LOG_FORM;
    bool accepted = (bad_components[_i].code == ATLS_E_LOG_EVENT || is_of_form)
                    && bad_components[_i].plan != longer_name
                    && bad_components[_i].plan != nothing_but_another_form;

    make_with_changed_log(bad_components[_i].plan);
    t.section->components_any = true;
    if (accepted)
        trial_trusted(&t);
    else if (is_of_form)
        trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_FORM,
                      bad_components[_i].text);
    else
        trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
                      "component server-code");
}
END_TEST

/* Nobody is to name it in events, and who did is asked no more. */
START_TEST(test_event_pattern_for_another_form)
{
    make_with_changed_log(line_feed);
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_FORM, "the log has ");
    ck_assert_ptr_null(strstr(t.report.reason.text, "events"));
    ck_assert_ptr_null(strstr(atls_report_advice(ATLS_E_LOG_FORM), "events"));
    ck_assert_str_eq(t.report.reason.brief,
                     "component server-code is logged in another form: a line "
                     "feed at its end");
    factory_section_event(t.section, "component*");
    trial_trusted(&t);
}
END_TEST

START_TEST(test_one_of_several_digests)
{
    uint8_t digest[ATLS_SHA256_LEN];

    make_with_changed_log(good_then_bad);
    memset(digest, 0xdd, sizeof(digest));
    factory_section_component(t.section, "server-code", digest);
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
                  "expected sha256:" B32 B32
                  " or others listed, got sha256:" C32 C32);
    memset(digest, 0xcc, sizeof(digest));
    factory_section_component(t.section, "server-code", digest);
    trial_trusted(&t);
}
END_TEST

/* P6: a list that is empty matches nothing. */
START_TEST(test_P6_component_without_digest)
{
    trial_make(&t);
    t.section->components[0].count = 0;
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_COMPONENT,
                  "component model-weights does not match policy: expected "
                  "sha256:, got sha256:" A32 A32);
    t.section->components[0].count = 1;
}
END_TEST

START_TEST(test_no_component_named)
{
    trial_make(&t);
    t.section->component_count = 0;
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "component model-weights was loaded");
    t.section->component_count = 2;
}
END_TEST

/* Events of certificates need no naming, whosever they are. */
START_TEST(test_certificates_and_authorities_are_listed)
{
    char content[ATLS_EVENT_CONTENT_MAX];

    (void)snprintf(content, sizeof(content), "certificate sha256:%064d", 1);
    factory_log(&t.f, content);
    (void)snprintf(content, sizeof(content), "authority sha256:%064d", 2);
    factory_log(&t.f, content);
    trial_make(&t);
    trial_trusted(&t);
}
END_TEST

/* `*` is all there is to patterns, and they match whole contents. */
static const struct {
    const char *pattern;
    bool matches;
} patterns[] = {
    {"machine-id:*", true},
    {"machine-id:0123456789abcdef", true},
    {"*", true},
    {"**", true},
    {"*cdef", true},
    {"m*:*f", true},
    {"machine-id:*abcdef*", true},
    {"*0*1*2*9*f*", true},
    {"*a*b*a*", false},
    {"machine-id:", false},
    {"machine-id:0123456789abcde", false},
    {"machine-id:0123456789abcdef0", false},
    {"achine-id:*", false},
    {"Machine-id:*", false},
    {"machine-id:????????????????", false},
    {"machine-id:[0-9]*", false},
    {"machine\\-id:*", false},
    {"", false},
    {"*x", false},
};

START_TEST(test_event_patterns)
{
    other_event();
    trial_make(&t);
    factory_section_event(t.section, "something else");
    factory_section_event(t.section, patterns[_i].pattern);
    if (patterns[_i].matches)
        trial_trusted(&t);
    else
        trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                      "an event that the policy does not list");
}
END_TEST

/* A pattern for events does not let components in. */
START_TEST(test_event_pattern_lists_no_component)
{
    one_more();
    trial_make(&t);
    t.section->component_count--;
    factory_section_event(t.section, "*");
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "component rootkit was loaded");
    t.section->component_count++;
}
END_TEST

/* Nothing of a log line reaches a terminal as it is, nor all of a long one. */
START_TEST(test_event_in_a_reason)
{
    char content[ATLS_EVENT_CONTENT_MAX];

    memset(content, 'x', sizeof(content));
    memcpy(content, "\033[2Jevil\n", 9);
    content[sizeof(content) - 1] = '\0';
    factory_log(&t.f, content);
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "\"\\x1b[2Jevil\\nxxxx");
}
END_TEST

START_TEST(test_empty_event)
{
    factory_log(&t.f, "");
    trial_make(&t);
    trial_refused(&t, ATLS_STEP_COMPONENTS, ATLS_E_LOG_EVENT,
                  "list: \"\"; add");
    factory_section_event(t.section, "*");
    trial_trusted(&t);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_P10_bad_component, 0, COUNT(bad_components)),
    LOOP(test_components_any, 0, COUNT(bad_components)),
    ONCE(test_event_pattern_for_another_form),
    ONCE(test_one_of_several_digests),
    ONCE(test_P6_component_without_digest),
    ONCE(test_no_component_named),
    ONCE(test_certificates_and_authorities_are_listed),
    LOOP(test_event_patterns, 0, COUNT(patterns)),
    ONCE(test_event_pattern_lists_no_component),
    ONCE(test_event_in_a_reason),
    ONCE(test_empty_event),
};

SUITE(.name = "components", .end = factory_free_keys,
      .cases = {CASE("components", tests, 120, setup, teardown)});
