/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/number.h"

bool atls_number_parse(const char *text, size_t len, uint32_t min, uint32_t max,
                       uint32_t *ret_number)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
        if (number > max)
            return false;
    }
    if (len == 0 || number < min)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

bool atls_number_is_padded(const char *text, size_t len)
{
    return len > 1 && text[0] == '0';
}
