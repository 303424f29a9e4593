/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/cbor_reader.h"

static const char *const kind_names[] = {
    [ATLS_ITEM_UINT] = "an unsigned integer",
    [ATLS_ITEM_OCTETS] = "a byte string",
    [ATLS_ITEM_TEXT] = "a text string",
    [ATLS_ITEM_ARRAY] = "an array",
    [ATLS_ITEM_MAP] = "a map",
};

static void on_uint8(void *context, uint8_t value)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_UINT, .value = value};
}

static void on_uint16(void *context, uint16_t value)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_UINT, .value = value};
}

static void on_uint32(void *context, uint32_t value)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_UINT, .value = value};
}

static void on_uint64(void *context, uint64_t value)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_UINT, .value = value};
}

static void on_octets(void *context, cbor_data data, size_t len)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_OCTETS, .octets = {data, len}};
}

static void on_text(void *context, cbor_data data, size_t len)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_TEXT, .octets = {data, len}};
}

static void on_array(void *context, size_t count)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_ARRAY, .value = count};
}

static void on_map(void *context, size_t count)
{
    *(struct atls_item *)context =
        (struct atls_item){.kind = ATLS_ITEM_MAP, .value = count};
}

void atls_cbor_reader_init(struct atls_cbor_reader *rd, struct atls_span data,
                           struct atls_reason *why)
{
    *rd = (struct atls_cbor_reader){
        .data = data.data, .end = data.len, .why = why};
    /* Of tags, floats, simple values, negative integers and indefinite lengths
     * the item stays ATLS_ITEM_OTHER. */
    rd->callbacks = cbor_empty_callbacks;
    rd->callbacks.uint8 = on_uint8;
    rd->callbacks.uint16 = on_uint16;
    rd->callbacks.uint32 = on_uint32;
    rd->callbacks.uint64 = on_uint64;
    rd->callbacks.byte_string = on_octets;
    rd->callbacks.string = on_text;
    rd->callbacks.array_start = on_array;
    rd->callbacks.map_start = on_map;
}

const char *atls_cbor_reader_describe(uint8_t initial)
{
    static const char *const majors[] = {
        "an unsigned integer",
        "a negative integer",
        "a byte string",
        "a text string",
        "an array",
        "a map",
        "a tag",
        "a float or simple value",
    };

    if ((initial & 0x1f) == 0x1f)
        return "an item of indefinite length";
    return majors[initial >> 5];
}

enum atls_error atls_cbor_reader_next(struct atls_cbor_reader *rd,
                                      const char *what,
                                      struct atls_item *ret_item)
{
    struct atls_item item = {.kind = ATLS_ITEM_OTHER};
    struct cbor_decoder_result result = cbor_stream_decode(
        rd->data + rd->offset, rd->end - rd->offset, &rd->callbacks, &item);

    if (result.status == CBOR_DECODER_NEDATA)
        return atls_fail(rd->why, ATLS_E_TRUNCATED,
                         "evidence ends at octet %zu, within %s", rd->end,
                         what);
    if (result.status == CBOR_DECODER_ERROR)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "evidence is not CBOR: reserved octet 0x%02x at "
                         "offset %zu" ATLS_MORE ", expected %s",
                         rd->data[rd->offset], rd->offset, what);
    item.offset = rd->offset;
    rd->offset += result.read;
    *ret_item = item;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_expect(struct atls_cbor_reader *rd,
                                        enum atls_item_kind kind,
                                        const char *what,
                                        struct atls_item *ret_item)
{
    struct atls_item item = {.kind = ATLS_ITEM_OTHER};
    enum atls_error r = atls_cbor_reader_next(rd, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.kind != kind)
        return atls_fail(
            rd->why, ATLS_E_MALFORMED,
            "malformed evidence at offset %zu: expected %s" ATLS_MORE " (%s), "
            "found %s",
            item.offset, what, kind_names[kind],
            atls_cbor_reader_describe(rd->data[item.offset]));
    *ret_item = item;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_content(struct atls_cbor_reader *rd,
                                         const char *what, size_t max,
                                         struct atls_span *ret)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_OCTETS, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.octets.len > max)
        return atls_fail(rd->why, ATLS_E_LIMIT,
                         "%s at offset %zu has %zu octets, %zu are allowed",
                         what, item.offset, item.octets.len, max);
    *ret = item.octets;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_octets(struct atls_cbor_reader *rd,
                                        const char *what, size_t max,
                                        struct atls_span *ret)
{
    const size_t offset = rd->offset;
    struct atls_span octets = {NULL, 0};
    enum atls_error r = atls_cbor_reader_content(rd, what, max, &octets);

    if (r != ATLS_OK)
        return r;
    if (octets.len == 0)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: %s is empty",
                         offset, what);
    *ret = octets;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_record(struct atls_cbor_reader *rd,
                                        const char *what, uint64_t count)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_ARRAY, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.value != count)
        return atls_fail(rd->why, ATLS_E_MALFORMED,
                         "malformed evidence at offset %zu: expected %llu "
                         "elements in %s" ATLS_MORE ", found %llu",
                         item.offset, (unsigned long long)count, what,
                         (unsigned long long)item.value);
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_list(struct atls_cbor_reader *rd,
                                      const char *what, size_t max,
                                      size_t *ret_count)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_ARRAY, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.value > max)
        return atls_fail(rd->why, ATLS_E_LIMIT,
                         "%s at offset %zu has %llu elements, %zu are allowed",
                         what, item.offset, (unsigned long long)item.value,
                         max);
    *ret_count = (size_t)item.value;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_uint(struct atls_cbor_reader *rd,
                                      const char *what, uint64_t min,
                                      uint64_t max, uint64_t *ret)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_UINT, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.value < min || item.value > max)
        return atls_fail(rd->why, ATLS_E_LIMIT,
                         "%s at offset %zu is %llu, expected %llu to %llu",
                         what, item.offset, (unsigned long long)item.value,
                         (unsigned long long)min, (unsigned long long)max);
    *ret = item.value;
    return ATLS_OK;
}

enum atls_error atls_cbor_reader_key(struct atls_cbor_reader *rd,
                                     const char *what, uint64_t min,
                                     uint64_t *ret_key)
{
    struct atls_item item;
    enum atls_error r =
        atls_cbor_reader_expect(rd, ATLS_ITEM_UINT, what, &item);

    if (r != ATLS_OK)
        return r;
    if (item.value < min)
        return atls_fail(rd->why, ATLS_E_NOT_CANONICAL,
                         "evidence is not in deterministic encoding" ATLS_MORE
                         ": %s %llu "
                         "at offset %zu is out of order or there twice",
                         what, (unsigned long long)item.value, item.offset);
    *ret_key = item.value;
    return ATLS_OK;
}
