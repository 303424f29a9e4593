/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/source.h"

#include <string.h>
#include <sys/stat.h>

#include "tools/common/evidence_file.h"

#define TIMEOUT_MAX_S 600u

bool tool_source_is_file(const char *text)
{
    static const char *const endings[] = {".json", ".cbor", ".cmw"};
    size_t len = strlen(text);
    struct stat st;

    if (strstr(text, "://") != NULL)
        return false; /* a URL; reading it as a host explains what is expected */
    if (strchr(text, '/') != NULL)
        return true;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t ending = strlen(endings[i]);

        if (len > ending && strcmp(text + len - ending, endings[i]) == 0)
            return true;
    }
    return stat(text, &st) == 0;
}

enum atls_error tool_source_read(const char *text,
                                 const struct source_options *options,
                                 struct atls_reason *why,
                                 struct peer_evidence *ret)
{
    struct peer_address address;
    enum atls_error r;

    if (tool_source_is_file(text))
        return tool_evidence_file_read(text, why, ret);
    r = tool_peer_address_parse(text, why, &address);
    if (r != ATLS_OK)
        return r;
    return tool_peer_fetch(&address, options->cafile, options->timeout_ms, why,
                           ret);
}

int tool_take_timeout(const struct tool_options *options, const char *value,
                      void *ret)
{
    unsigned *ret_ms = ret;

    if (!tool_number(value, 1, TIMEOUT_MAX_S, ret_ms))
        return tool_usage(options, "--timeout %s: expected seconds, 1 to 600",
                          value);
    *ret_ms *= 1000;
    return TOOL_DONE;
}
