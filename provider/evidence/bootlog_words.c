/* SPDX-License-Identifier: BSD-2-Clause */
/* What events are called and what their data say. Structures: TCG PC Client
 * Platform Firmware Profile, "Event Logging"; UEFI Specification, "Device Path
 * Protocol", "Boot Manager" and "GUID Partition Table". */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "evidence/bootlog.h"
#include "evidence/le_reader.h"

#define GUID_LEN 16u

/* A description while it is being written; always terminated, cut to size. */
struct words {
    char *at;
    size_t left; /* with the terminator */
};

__attribute__((format(printf, 2, 3))) static void add(struct words *w,
                                                      const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(w->at, w->left, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len >= w->left)
        len = (int)w->left - 1;
    w->at += len;
    w->left -= (size_t)len;
}

/* So many octets, or what there is of them: on the wire events' data are cut
 * (codec.h), and what is left still tells something. */
static struct atls_span take_up_to(struct atls_le_reader *in, uint64_t len)
{
    struct atls_span taken = {NULL, 0};
    size_t left = atls_le_reader_left(in);

    (void)atls_le_reader_take(in, len < left ? len : left, &taken);
    return taken;
}

/* --- text ------------------------------------------------------------------ */

/* Text in octets or, where width is 2, in UCS-2. */
struct text {
    struct atls_span in;
    size_t width;
};

static size_t text_len(const struct text *text)
{
    return text->in.len / text->width;
}

static unsigned character(const struct text *text, size_t i)
{
    const uint8_t *at = text->in.data + i * text->width;

    return text->width == 2 ? (unsigned)(at[0] | at[1] << 8) : at[0];
}

static bool is_printable(unsigned c)
{
    return c >= ' ' && c <= '~';
}

static bool is_space(unsigned c)
{
    return c == '\t' || c == '\n' || c == '\r';
}

/* Up to its end or the first NUL: one line of printable ASCII. */
static void add_text(struct words *w, const struct text *text)
{
    size_t len = text_len(text);

    for (size_t i = 0; i < len && w->left > 1; i++) {
        unsigned c = character(text, i);

        if (c == 0)
            break;
        if (is_space(c))
            c = ' ';
        *w->at++ = is_printable(c) ? (char)c : '?';
        w->left--;
    }
    *w->at = '\0';
}

static void add_ucs2(struct words *w, struct atls_span octets)
{
    add_text(w, &(struct text){octets, 2});
}

/* Would a person take it for text? Printable up to the first NUL; letters that
 * are not of ASCII count in UCS-2 only, after the first. */
static bool is_text(const struct text *text)
{
    size_t len = text_len(text);
    size_t i = 0;

    if (len == 0 || !is_printable(character(text, 0)))
        return false;
    for (; i < len && character(text, i) != 0; i++) {
        unsigned c = character(text, i);

        if (!is_printable(c) && !is_space(c) && !(text->width == 2 && c > 0x9f))
            return false;
    }
    return true;
}

/* ASCII of GRUB, shim and firmware, UCS-2 of systemd and EDK II. UCS-2 first:
 * its second octet would end an ASCII text. */
static void describe_text(struct words *w, struct atls_span data)
{
    const struct text wide = {data, 2};
    const struct text narrow = {data, 1};

    if (data.len > 2 && data.data[1] == 0 && is_text(&wide))
        add_text(w, &wide);
    else if (is_text(&narrow))
        add_text(w, &narrow);
}

/* In the form of the UEFI Specification, appendix A. */
static void add_guid(struct words *w, const uint8_t *guid)
{
    add(w, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-", guid[3], guid[2],
        guid[1], guid[0], guid[5], guid[4], guid[7], guid[6], guid[8], guid[9]);
    for (size_t i = 10; i < GUID_LEN; i++)
        add(w, "%02x", guid[i]);
}

/* --- events of firmware ---------------------------------------------------- */

static void describe_version(struct words *w, struct atls_span data)
{
    const char *start = w->at;

    describe_text(w, data);
    if (w->at == start && data.len == GUID_LEN)
        add_guid(w, data.data);
}

/* Zero or all ones by firmware, 1 when it met an error before the boot loader;
 * user space of Linux has words of its own. */
static void describe_separator(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    uint32_t value;

    if (data.len != sizeof(value) || !atls_le_reader_u32(&in, &value))
        describe_text(w, data);
    else if (value == 0 || value == UINT32_MAX)
        add(w, "separator");
    else if (value == 1)
        add(w, "separator after an error of the firmware");
    else
        describe_text(w, data);
}

/* UEFI_PLATFORM_FIRMWARE_BLOB; text from firmware that follows older rules. */
static void describe_blob(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    uint64_t base;
    uint64_t len;

    if (data.len == sizeof(base) + sizeof(len) && atls_le_reader_u64(&in, &base)
        && atls_le_reader_u64(&in, &len))
        add(w, "%" PRIu64 " octets at 0x%" PRIx64, len, base);
    else
        describe_text(w, data);
}

/* UEFI_PLATFORM_FIRMWARE_BLOB2, UEFI_HANDOFF_TABLE_POINTERS2: a length of one
 * octet and so much text. */
static void describe_named(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    uint8_t len;

    if (atls_le_reader_u8(&in, &len))
        describe_text(w, take_up_to(&in, len));
}

/* TCG_PCClientTaggedEvent: id, length and, from the Linux kernel and systemd,
 * text such as "Linux initrd" or a command line. */
static void describe_tagged(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    uint32_t len;
    uint32_t id;

    if (atls_le_reader_u32(&in, &id) && atls_le_reader_u32(&in, &len))
        describe_text(w, take_up_to(&in, len));
}

/* --- EFI variables --------------------------------------------------------- */

/* EFI_LOAD_OPTION: attributes, length of the device path, title, ... */
static void add_load_option(struct words *w, struct atls_span value)
{
    const size_t before = sizeof(uint32_t) + sizeof(uint16_t);
    struct atls_le_reader in = {value, 0};
    struct atls_span passed;

    if (!atls_le_reader_take(&in, before, &passed))
        return;
    add(w, ": ");
    add_ucs2(w, take_up_to(&in, value.len));
}

/* BootOrder: "0003 0000 0001". */
static void add_boot_order(struct words *w, struct atls_span value)
{
    struct atls_le_reader in = {value, 0};
    uint16_t option;

    add(w, ":");
    while (w->left > 1 && atls_le_reader_u16(&in, &option))
        add(w, " %04X", option);
}

/* "Boot" and four hex digits. */
static bool is_boot_option(const char *name)
{
    return strlen(name) == 8 && memcmp(name, "Boot", 4) == 0
           && strspn(name + 4, "0123456789ABCDEF") == 4;
}

/* UEFI_VARIABLE_DATA. Lengths of names count characters. */
static void describe_variable(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    const char *start = w->at;
    struct atls_span guid;
    struct atls_span name;
    struct atls_span value;
    uint64_t name_len;
    uint64_t value_len;

    if (!atls_le_reader_take(&in, GUID_LEN, &guid)
        || !atls_le_reader_u64(&in, &name_len)
        || !atls_le_reader_u64(&in, &value_len) || name_len > data.len
        || !atls_le_reader_take(&in, 2 * name_len, &name))
        return;
    add_ucs2(w, name);
    value = take_up_to(&in, value_len);
    if (is_boot_option(start))
        add_load_option(w, value);
    else if (strcmp(start, "BootOrder") == 0)
        add_boot_order(w, value);
    else if (value_len == 1 && value.len == 1)
        add(w, " = %u", value.data[0]);
}

/* --- images ---------------------------------------------------------------- */

/* The next node of an EFI device path, the last one perhaps cut; false at its
 * end. */
static bool next_node(struct atls_le_reader *in, uint16_t *ret_type,
                      struct atls_span *ret)
{
    const uint16_t head_len = 4;
    uint8_t type;
    uint8_t sub_type;
    uint16_t len;

    if (!atls_le_reader_u8(in, &type) || !atls_le_reader_u8(in, &sub_type)
        || !atls_le_reader_u16(in, &len) || len < head_len)
        return false;
    *ret = take_up_to(in, (uint64_t)len - head_len);
    *ret_type = (uint16_t)(type << 8 | sub_type);
    return type != 0x7f;
}

/* Names of files in the path; a long one may have a node for each part. */
static void add_device_path(struct words *w, struct atls_span path)
{
    const uint16_t file_path = 0x0404;
    const uint16_t firmware_file = 0x0406;
    struct atls_le_reader in = {path, 0};
    struct atls_span node;
    uint16_t type;

    while (next_node(&in, &type, &node)) {
        if (type == file_path) {
            add_ucs2(w, node);
        } else if (type == firmware_file && node.len == GUID_LEN) {
            add(w, "firmware file ");
            add_guid(w, node.data);
        }
    }
}

/* UEFI_IMAGE_LOAD_EVENT. A boot loader that starts an image from its own memory
 * logs no path, and option ROMs have none with a name. */
static void describe_image(struct words *w, struct atls_span data)
{
    struct atls_le_reader in = {data, 0};
    const char *start = w->at;
    uint64_t location;
    uint64_t image_len;
    uint64_t link_time;
    uint64_t path_len;

    if (!atls_le_reader_u64(&in, &location)
        || !atls_le_reader_u64(&in, &image_len)
        || !atls_le_reader_u64(&in, &link_time)
        || !atls_le_reader_u64(&in, &path_len))
        return;
    add_device_path(w, take_up_to(&in, path_len));
    if (w->at == start)
        add(w, "image of %" PRIu64 " octets, no file name", image_len);
}

/* --- GUID partition table -------------------------------------------------- */

/* UEFI_GPT_DATA: header, number of partitions, those that are in use. */
static void describe_partitions(struct words *w, struct atls_span data)
{
    const size_t disk_guid_at = 56;
    const size_t name_at = 56; /* in an entry, to its end */
    struct atls_le_reader in = {data, 0};
    struct atls_span header;
    struct atls_span entry;
    uint64_t count;

    if (!atls_le_reader_take(&in, 92, &header)
        || !atls_le_reader_u64(&in, &count))
        return;
    add(w, "disk ");
    add_guid(w, header.data + disk_guid_at);
    while (count-- > 0 && w->left > 1
           && atls_le_reader_take(&in, 128, &entry)) {
        add(w, ", ");
        add_ucs2(w,
                 (struct atls_span){entry.data + name_at, entry.len - name_at});
    }
}

/* --- all ------------------------------------------------------------------- */

static void describe_nothing(struct words *w, struct atls_span data)
{
    (void)w;
    (void)data;
}

static const struct {
    uint32_t type;
    const char *name;
    void (*describe)(struct words *w, struct atls_span data);
} types[] = {
    {0x00000000, "EV_PREBOOT_CERT", describe_text},
    {0x00000001, "EV_POST_CODE", describe_blob},
    {0x00000002, "EV_UNUSED", describe_nothing},
    {0x00000003, "EV_NO_ACTION", describe_text},
    {0x00000004, "EV_SEPARATOR", describe_separator},
    {0x00000005, "EV_ACTION", describe_text},
    {0x00000006, "EV_EVENT_TAG", describe_tagged},
    {0x00000007, "EV_S_CRTM_CONTENTS", describe_blob},
    {0x00000008, "EV_S_CRTM_VERSION", describe_version},
    {0x00000009, "EV_CPU_MICROCODE", describe_text},
    {0x0000000a, "EV_PLATFORM_CONFIG_FLAGS", describe_text},
    {0x0000000b, "EV_TABLE_OF_DEVICES", describe_text},
    {0x0000000c, "EV_COMPACT_HASH", describe_text},
    {0x0000000d, "EV_IPL", describe_text},
    {0x0000000e, "EV_IPL_PARTITION_DATA", describe_text},
    {0x0000000f, "EV_NONHOST_CODE", describe_text},
    {0x00000010, "EV_NONHOST_CONFIG", describe_text},
    {0x00000011, "EV_NONHOST_INFO", describe_text},
    {0x00000012, "EV_OMIT_BOOT_DEVICE_EVENTS", describe_text},
    {0x00000013, "EV_POST_CODE2", describe_named},
    {0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG", describe_variable},
    {0x80000002, "EV_EFI_VARIABLE_BOOT", describe_variable},
    {0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION", describe_image},
    {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER", describe_image},
    {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER", describe_image},
    {0x80000006, "EV_EFI_GPT_EVENT", describe_partitions},
    {0x80000007, "EV_EFI_ACTION", describe_text},
    {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB", describe_blob},
    {0x80000009, "EV_EFI_HANDOFF_TABLES", describe_text},
    {0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", describe_named},
    {0x8000000b, "EV_EFI_HANDOFF_TABLES2", describe_named},
    {0x8000000c, "EV_EFI_VARIABLE_BOOT2", describe_variable},
    {0x8000000d, "EV_EFI_GPT_EVENT2", describe_partitions},
    {0x80000010, "EV_EFI_HCRTM_EVENT", describe_text},
    {0x800000e0, "EV_EFI_VARIABLE_AUTHORITY", describe_variable},
    {0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB", describe_nothing},
    {0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG", describe_nothing},
    {0x800000e3, "EV_EFI_SPDM_DEVICE_POLICY", describe_variable},
    {0x800000e4, "EV_EFI_SPDM_DEVICE_AUTHORITY", describe_variable},
    {ATLS_BOOT_USER_SPACE, "user space", describe_text},
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/* The index of a type, or TYPE_COUNT. */
static size_t find_type(uint32_t type)
{
    size_t i = 0;

    while (i < TYPE_COUNT && types[i].type != type)
        i++;
    return i;
}

void atls_boot_event_type(uint32_t type, char *ret, size_t size)
{
    size_t i = find_type(type);

    if (i < TYPE_COUNT)
        (void)snprintf(ret, size, "%s", types[i].name);
    else
        (void)snprintf(ret, size, "0x%08" PRIx32, type);
}

void atls_boot_event_describe(const struct atls_boot_event *event, char *ret,
                              size_t size)
{
    struct words w = {ret, size};
    size_t i = find_type(event->type);

    if (size == 0)
        return;
    *ret = '\0';
    if (i < TYPE_COUNT)
        types[i].describe(&w, event->data);
    else
        describe_text(&w, event->data);
}
