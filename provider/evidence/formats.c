/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/codec.h"

const char *atls_format_type(unsigned format)
{
    static const char *const types[] = {
        [ATLS_FORMAT_TPM] = ATLS_FORMAT_TPM_TYPE,
        [ATLS_FORMAT_TPM_BOOT] = ATLS_FORMAT_TPM_BOOT_TYPE,
        [ATLS_FORMAT_TPM_SHORT] = ATLS_FORMAT_TPM_SHORT_TYPE,
    };

    return types[format];
}

bool atls_evidence_has_boot_log(const struct atls_evidence *evidence)
{
    return evidence->format == ATLS_FORMAT_TPM_BOOT
           || (evidence->format == ATLS_FORMAT_TPM_SHORT
               && evidence->boot_log.count > 0);
}

bool atls_formats_include(const struct atls_formats *formats, unsigned format)
{
    for (size_t i = 0; i < formats->count; i++) {
        if (formats->list[i] == format)
            return true;
    }
    return false;
}

bool atls_formats_want_boot_log(const struct atls_formats *formats)
{
    return formats->list[0] != ATLS_FORMAT_TPM
           && atls_formats_include(formats, ATLS_FORMAT_TPM_BOOT);
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

        if (format >= ATLS_FORMAT_TPM && format <= ATLS_FORMATS_MAX
            && !atls_formats_include(&formats, format))
            formats.list[formats.count++] = format;
    }
    return formats;
}
