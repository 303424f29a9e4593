/* SPDX-License-Identifier: BSD-2-Clause */
#include "settings.h"

#include <string.h>

const char *atls_setting_find(const struct atls_setting *settings, size_t count,
                              const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(settings[i].key, key) == 0)
            return settings[i].value;
    return NULL;
}
