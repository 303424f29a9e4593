/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/le_reader.h"

size_t atls_le_reader_left(const struct atls_le_reader *little)
{
    return little->in.len - little->at;
}

bool atls_le_reader_take(struct atls_le_reader *little, uint64_t len,
                         struct atls_span *ret)
{
    if (len > atls_le_reader_left(little))
        return false;
    ret->data = little->in.data + little->at;
    ret->len = (size_t)len;
    little->at += (size_t)len;
    return true;
}

static bool integer(struct atls_le_reader *little, size_t size, uint64_t *ret)
{
    struct atls_span octets;
    uint64_t value = 0;

    if (!atls_le_reader_take(little, size, &octets))
        return false;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | octets.data[i - 1];
    *ret = value;
    return true;
}

bool atls_le_reader_u8(struct atls_le_reader *little, uint8_t *ret)
{
    uint64_t value;

    if (!integer(little, sizeof(*ret), &value))
        return false;
    *ret = (uint8_t)value;
    return true;
}

bool atls_le_reader_u16(struct atls_le_reader *little, uint16_t *ret)
{
    uint64_t value;

    if (!integer(little, sizeof(*ret), &value))
        return false;
    *ret = (uint16_t)value;
    return true;
}

bool atls_le_reader_u32(struct atls_le_reader *little, uint32_t *ret)
{
    uint64_t value;

    if (!integer(little, sizeof(*ret), &value))
        return false;
    *ret = (uint32_t)value;
    return true;
}

bool atls_le_reader_u64(struct atls_le_reader *little, uint64_t *ret)
{
    return integer(little, sizeof(*ret), ret);
}
