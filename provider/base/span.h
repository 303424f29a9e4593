/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_SPAN_H
#define ATLS_BASE_SPAN_H

#include <stddef.h>
#include <stdint.h>

/* Octets that belong to somebody else; who keeps them alive is said where it
 * is used. data may be NULL only when len is 0. */
struct atls_span {
    const uint8_t *data;
    size_t len;
};

#endif
