/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_MEASURE_ALL_H
#define ATTEST_TOOLS_MEASURE_ALL_H

#include <stddef.h>

#include "base/error.h"
#include "tools/measure/conf.h"
#include "tools/measure/content.h"

/*
 * What `attest measure --all` measures: the sections [components], [authorities]
 * and [certificates] of a configuration, in this order, each in the order of
 * the file.
 */
struct measure_item {
    const char *section; /* static string */
    const char *name;    /* of the configuration */
    char content[MEASURE_CONTENT_SIZE];
};

struct measure_list {
    size_t count;
    struct measure_item *items;
};

/*
 * Read the files that a configuration names; touches no TPM.
 *   conf      names of items live as long as it does
 *   ret_list  set only on success; tool_measure_list_clear() it
 * Values are absolute paths, of components also sha256:<64 hex digits>; names
 * are those of components, each once in its section. Returns ATLS_OK,
 * ATLS_E_CONFIG (also where there is nothing to measure), ATLS_E_NOMEM, or the
 * errors of content.h, with file, section and name.
 */
enum atls_error tool_measure_all_list(
    const struct measure_conf *conf, struct atls_reason *why,
    struct measure_list *ret_list) ATLS_MUST_CHECK;

/* Free its items; the list is empty then. */
void tool_measure_list_clear(struct measure_list *list);

#endif
