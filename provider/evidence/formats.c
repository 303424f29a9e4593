/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec.h"

bool atls_formats_include(const struct atls_formats *formats, unsigned format)
{
    for (size_t i = 0; i < formats->count; i++) {
        if (formats->list[i] == format)
            return true;
    }
    return false;
}

size_t atls_formats_write(const struct atls_formats *formats,
                          uint8_t ret[ATLS_FORMATS_WIRE_MAX])
{
    uint8_t *p = ret;

    for (size_t i = 0; i < formats->count; i++) {
        *p++ = (uint8_t)(formats->list[i] >> 8);
        *p++ = (uint8_t)formats->list[i];
    }
    return (size_t)(p - ret);
}

struct atls_formats atls_formats_read(struct atls_span list)
{
    struct atls_formats formats = {0, {0}};

    for (size_t i = 0; i + 1 < list.len; i += 2) {
        unsigned format = (unsigned)list.data[i] << 8 | list.data[i + 1];

        if ((format == ATLS_FORMAT_TPM || format == ATLS_FORMAT_TPM_BOOT)
            && !atls_formats_include(&formats, format))
            formats.list[formats.count++] = format;
    }
    return formats;
}
