/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/measure/all.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "tools/common/cnfscan.h"

/* Components come first: what runs is measured before the identity it serves
 * as. */
static const struct section {
    const char *name;
    enum atls_event_kind kind;
} sections[] = {
    {"components", ATLS_EVENT_COMPONENT},
    {"authorities", ATLS_EVENT_AUTHORITY},
    {"certificates", ATLS_EVENT_CERTIFICATE},
};
#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

/* One list that is being made. */
struct maker {
    const struct measure_conf *conf;
    const struct cnf_scan *scan; /* of an openssl.cnf that is a file, or NULL */
    struct atls_reason *why;
    struct measure_list list;
};

static enum atls_error check_entry(const struct maker *maker,
                                   const struct section *section,
                                   const char *name, const char *value)
{
    bool is_component = section->kind == ATLS_EVENT_COMPONENT;

    if (!atls_component_name_is_legal(name, strlen(name)))
        return atls_fail(maker->why, ATLS_E_CONFIG,
                         "a name is a letter or digit, then letters, digits "
                         "and ._:@/- ; up to %u",
                         ATLS_COMPONENT_NAME_MAX);
    if (value[0] != '/' && !(is_component && strncmp(value, "sha256:", 7) == 0))
        return atls_fail(maker->why, ATLS_E_CONFIG,
                         "expected an absolute path%s, not %s",
                         is_component ? " or sha256:HEX" : "", value);
    return ATLS_OK;
}

static enum atls_error make_content(const struct maker *maker,
                                    const struct section *section,
                                    const char *name, const char *value,
                                    char ret_content[MEASURE_CONTENT_SIZE])
{
    enum atls_error r = check_entry(maker, section, name, value);

    if (r != ATLS_OK)
        return r;
    if (section->kind == ATLS_EVENT_CERTIFICATE)
        return tool_measure_content_certificate(value, maker->why, ret_content);
    if (section->kind == ATLS_EVENT_AUTHORITY)
        return tool_measure_content_authority(value, maker->why, ret_content);
    if (value[0] == '/')
        return tool_measure_content_component(name, value, maker->why,
                                              ret_content);
    return tool_measure_content_given(name, value, maker->why, ret_content);
}

static enum atls_error add(struct maker *maker, const struct section *section,
                           const char *name, const char *value)
{
    struct measure_list *list = &maker->list;
    struct measure_item *more =
        OPENSSL_realloc(list->items, (list->count + 1) * sizeof(*list->items));
    enum atls_error r;

    if (more == NULL)
        return atls_fail(maker->why, ATLS_E_NOMEM, NULL);
    list->items = more;
    more += list->count;
    more->section = section->name;
    more->name = name;
    r = make_content(maker, section, name, value, more->content);
    if (r != ATLS_OK) {
        atls_reason_prefix(maker->why, "%s: [%s] %s: ", maker->conf->path,
                           section->name, name);
        return r;
    }
    list->count++;
    return ATLS_OK;
}

static enum atls_error add_agents(struct maker *maker,
                                  const struct section *section)
{
    const struct agent_components *found = &maker->conf->agent.components;
    const struct atls_scan_section *pairs = found->components;
    enum atls_error r;

    if (section->kind == ATLS_EVENT_AUTHORITY)
        pairs = found->authorities;
    else if (section->kind == ATLS_EVENT_CERTIFICATE)
        pairs = found->certificates;
    for (size_t i = 0; pairs != NULL && i < pairs->pair_count; i++) {
        r = add(maker, section, pairs->pairs[i].key, pairs->pairs[i].value);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

/* NCONF keeps the last of two equal keys and says nothing. */
static enum atls_error check_once(const struct maker *maker,
                                  const struct section *section)
{
    for (size_t i = 0; maker->scan != NULL && i < maker->scan->count; i++) {
        const struct cnf_entry *entry = &maker->scan->entries[i];

        if (entry->kind == CNF_KEY && strcmp(entry->section, section->name) == 0
            && tool_cnf_scan_find(maker->scan, section->name, entry->key)
                   != entry)
            return atls_fail(maker->why, ATLS_E_CONFIG,
                             "%s:%u: [%s] %s stands there twice: which one is "
                             "meant? Remove the other",
                             entry->file, entry->line, section->name,
                             entry->key);
    }
    return ATLS_OK;
}

static enum atls_error add_openssls(struct maker *maker,
                                    const struct section *section)
{
    const STACK_OF(CONF_VALUE) *values = NULL;
    enum atls_error r = check_once(maker, section);

    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    values = NCONF_get_section(maker->conf->openssl->nconf, section->name);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);

        r = add(maker, section, value->name, value->value);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error add_sections(struct maker *maker)
{
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        enum atls_error r = maker->conf->is_agents
                                ? add_agents(maker, &sections[i])
                                : add_openssls(maker, &sections[i]);

        if (r != ATLS_OK)
            return r;
    }
    if (maker->list.count == 0)
        return atls_fail(maker->why, ATLS_E_CONFIG,
                         "%s says nothing to measure: write [components] with "
                         "lines NAME = /PATH, [certificates] with NAME = "
                         "/FILE.pem",
                         maker->conf->path);
    return ATLS_OK;
}

enum atls_error tool_measure_all_list(const struct measure_conf *conf,
                                      struct atls_reason *why,
                                      struct measure_list *ret_list)
{
    struct maker maker = {.conf = conf, .why = why};
    struct cnf_scan *scan = NULL;
    enum atls_error r = ATLS_OK;

    /* The system's openssl.cnf does not name attest: that is no place to list
     * components. */
    if (conf->path == NULL
        || (conf->openssl != NULL && conf->openssl->attester == NULL
            && !conf->is_named))
        return atls_fail(why, ATLS_E_CONFIG,
                         "nothing says what to measure: write %s with sections "
                         "[attestd] and [components], lines NAME = /PATH",
                         AGENT_CONFIGURATION_PATH);
    if (conf->openssl != NULL && strcmp(conf->path, "/dev/null") != 0)
        r = tool_cnf_scan_file(conf->path, why, &scan);
    maker.scan = scan;
    if (r == ATLS_OK)
        r = add_sections(&maker);
    tool_cnf_scan_free(scan);
    if (r != ATLS_OK) {
        tool_measure_list_clear(&maker.list);
        return r;
    }
    *ret_list = maker.list;
    return ATLS_OK;
}

void tool_measure_list_clear(struct measure_list *list)
{
    OPENSSL_free(list->items);
    *list = (struct measure_list){.count = 0};
}
