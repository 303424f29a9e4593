/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/bootlog_words.c: what events are called and what they say. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/bootlog.h"
#include "lib/suite.h"
#include "lib/tcglog.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Data of an event; not a log, but the same octets are put. */
static struct tcglog data;

/* Of EFI_GLOBAL_VARIABLE; on disk the first three parts are little endian. */
static const uint8_t guid[] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                               0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
#define GUID_TEXT "8be4df61-93ca-11d2-aa0d-00e098032b8c"

static void put_text(const char *text)
{
    tcglog_put(&data, text, strlen(text));
}

static void put_ucs2(const char *text)
{
    for (; *text != '\0'; text++)
        tcglog_u16(&data, (uint8_t)*text);
}

/* --- data of events ---------------------------------------------------------- */

static void nothing(void)
{
}

static void text(void)
{
    put_text("grub_cmd: set root=(hd0,1)");
}

static void text_with_terminator(void)
{
    put_text("grub_cmd: boot");
    tcglog_put(&data, "\0more", 5);
}

static void lines(void)
{
    put_text("menuentry 'a' {\n\tlinux x\r\n}");
}

static void escape_sequence(void)
{
    put_text("\033[2J");
}

static void text_with_a_control_in_it(void)
{
    put_text("abc\033[2J");
}

static void ucs2_text(void)
{
    put_ucs2("root=/dev/sda1 quiet");
    tcglog_u16(&data, 0);
}

/* Without terminator, and an odd number of octets. */
static void ucs2_text_with_half_a_character(void)
{
    put_ucs2("quiet");
    tcglog_put(&data, "x", 1);
}

static void ucs2_of_others(void)
{
    put_ucs2("caf");
    tcglog_u16(&data, 0xe9);
    tcglog_u16(&data, 0x202e); /* right-to-left override */
    put_ucs2("s");
}

static void octets(void)
{
    tcglog_put(&data, "\x01\x02\x03\xff", 4);
}

static void zeros(void)
{
    tcglog_u32(&data, 0);
}

static void ones(void)
{
    tcglog_u32(&data, UINT32_MAX);
}

static void error_separator(void)
{
    tcglog_u32(&data, 1);
}

static void text_of_four(void)
{
    put_text("word");
}

static void guid_alone(void)
{
    tcglog_put(&data, guid, sizeof(guid));
}

static void blob(void)
{
    tcglog_u64(&data, 0xff000000);
    tcglog_u64(&data, 4096);
}

static void named_blob(void)
{
    tcglog_put(&data, "\x08", 1);
    put_text("FV MAIN");
    tcglog_put(&data, "\0", 1);
    blob();
}

static void named_longer_than_there_is(void)
{
    tcglog_put(&data, "\xff", 1);
    put_text("FV");
}

static void tagged(void)
{
    tcglog_u32(&data, 0x8f3b22ec);
    tcglog_u32(&data, 13);
    put_text("Linux initrd");
    tcglog_put(&data, "\0behind", 7);
}

static void tagged_bomb(void)
{
    tcglog_u32(&data, 0x8f3b22ed);
    tcglog_u32(&data, UINT32_MAX);
    put_ucs2("root=/dev/sda1");
}

/* UEFI_VARIABLE_DATA up to its name. */
static void begin_variable(const char *name, uint64_t value_len)
{
    tcglog_put(&data, guid, sizeof(guid));
    tcglog_u64(&data, strlen(name));
    tcglog_u64(&data, value_len);
    put_ucs2(name);
}

static void variable(void)
{
    begin_variable("SecureBoot", 1);
    tcglog_put(&data, "\1", 1);
}

static void variable_of_nothing(void)
{
    begin_variable("SecureBoot", 0);
}

static void variable_with_a_key(void)
{
    begin_variable("PK", 3);
    tcglog_put(&data, "abc", 3);
}

static void boot_option(void)
{
    begin_variable("Boot000A", 6 + 14);
    tcglog_u32(&data, 1);
    tcglog_u16(&data, 0);
    put_ucs2("debian");
    tcglog_u16(&data, 0);
}

static void boot_option_cut(void)
{
    begin_variable("Boot000A", 1000);
    tcglog_u32(&data, 1);
    tcglog_u16(&data, 100);
    put_ucs2("deb");
}

static void boot_option_without_title(void)
{
    begin_variable("Boot000A", 5);
    tcglog_put(&data, "12345", 5);
}

static void boot_next(void)
{
    begin_variable("BootNext", 2);
    tcglog_u16(&data, 3);
}

static void boot_order(void)
{
    begin_variable("BootOrder", 6);
    tcglog_u16(&data, 0x10);
    tcglog_u16(&data, 0);
    tcglog_u16(&data, 0xbeef);
}

static void variable_name_bomb(void)
{
    tcglog_put(&data, guid, sizeof(guid));
    tcglog_u64(&data, UINT64_MAX);
    tcglog_u64(&data, 1);
    put_ucs2("PK");
}

/* Twice that many octets are four. */
static void variable_name_overflow(void)
{
    tcglog_put(&data, guid, sizeof(guid));
    tcglog_u64(&data, (UINT64_C(1) << 63) + 2);
    tcglog_u64(&data, 1);
    put_ucs2("PK");
}

static void variable_value_bomb(void)
{
    begin_variable("db", UINT64_MAX);
    tcglog_put(&data, "x", 1);
}

/* UEFI_IMAGE_LOAD_EVENT up to its path. */
static void begin_image(uint64_t image_len, uint64_t path_len)
{
    tcglog_u64(&data, 0x7a000000);
    tcglog_u64(&data, image_len);
    tcglog_u64(&data, 0);
    tcglog_u64(&data, path_len);
}

static void put_node(uint8_t type, uint8_t sub_type, uint16_t len)
{
    tcglog_put(&data, &type, 1);
    tcglog_put(&data, &sub_type, 1);
    tcglog_u16(&data, len);
}

static void image(void)
{
    begin_image(1000, 12 + 4 + 44 + 4);
    put_node(2, 1, 12); /* ACPI */
    tcglog_u64(&data, 0);
    put_node(4, 4, 4 + 44);
    put_ucs2("\\EFI\\BOOT\\BOOTX64.EFI");
    tcglog_u16(&data, 0);
    put_node(0x7f, 0xff, 4);
    put_node(4, 4, 4 + 2); /* behind the end */
    put_ucs2("x");
}

static void image_of_a_long_path(void)
{
    begin_image(1000, 8 + 10 + 4);
    put_node(4, 4, 8);
    put_ucs2("\\a");
    put_node(4, 4, 10);
    put_ucs2("\\bc");
    put_node(0x7f, 0xff, 4);
}

static void image_of_firmware(void)
{
    begin_image(1000, 20 + 20 + 4);
    put_node(4, 7, 20); /* volume */
    tcglog_put(&data, guid, sizeof(guid));
    put_node(4, 6, 20);
    tcglog_put(&data, guid, sizeof(guid));
    put_node(0x7f, 0xff, 4);
}

static void image_of_firmware_cut(void)
{
    begin_image(1000, 20);
    put_node(4, 6, 20);
    tcglog_put(&data, guid, 15);
}

static void image_without_path(void)
{
    begin_image(579072, 0);
}

static void image_path_bomb(void)
{
    begin_image(5, UINT64_MAX);
    put_node(4, 4, UINT16_MAX);
    put_ucs2("\\EFI");
}

/* A node is at least its own head, or reading it never ends. */
static void image_node_of_no_length(void)
{
    begin_image(5, 8);
    put_node(4, 4, 0);
    put_ucs2("\\E");
}

static void image_cut(void)
{
    tcglog_u64(&data, 0);
    tcglog_u64(&data, 5);
    tcglog_u64(&data, 0);
    tcglog_u32(&data, 0);
}

static void put_zeros(size_t len)
{
    for (; len > 0; len--)
        tcglog_put(&data, "", 1);
}

/* UEFI_GPT_DATA up to its entries. */
static void begin_partitions(uint64_t count)
{
    put_text("EFI PART");
    put_zeros(56 - 8);
    tcglog_put(&data, guid, sizeof(guid));
    put_zeros(92 - 56 - sizeof(guid));
    tcglog_u64(&data, count);
}

static void put_partition(const char *name)
{
    put_zeros(56);
    put_ucs2(name);
    put_zeros(72 - 2 * strlen(name));
}

static void partitions(void)
{
    begin_partitions(2);
    put_partition("EFI system");
    put_partition("root");
}

/* A name of 36 characters has no terminator. */
static void partition_with_a_long_name(void)
{
    begin_partitions(1);
    put_partition("123456789-123456789-123456789-123456");
}

static void partition_bomb(void)
{
    begin_partitions(UINT64_MAX);
    put_partition("root");
    put_zeros(127);
}

static void partitions_cut(void)
{
    begin_partitions(1);
    data.len--;
}

#define USER_SPACE ATLS_BOOT_USER_SPACE

static const struct {
    uint32_t type;
    void (*make)(void);
    const char *expected;
} events[] = {
    {0x0000000d, nothing, ""},
    {0x0000000d, text, "grub_cmd: set root=(hd0,1)"},
    {0x0000000d, text_with_terminator, "grub_cmd: boot"},
    {0x0000000d, lines, "menuentry 'a' {  linux x  }"},
    {0x0000000d, escape_sequence, ""},
    {0x0000000d, text_with_a_control_in_it, ""},
    {0x0000000d, ucs2_text, "root=/dev/sda1 quiet"},
    {0x0000000d, ucs2_text_with_half_a_character, "quiet"},
    {0x0000000d, ucs2_of_others, "caf??s"},
    {0x0000000d, octets, ""},
    {0x0000000d, zeros, ""},
    {0x00000001, text, "grub_cmd: set root=(hd0,1)"},
    {0x00000001, blob, "4096 octets at 0xff000000"},
    {0x00000002, text, ""},
    {0x00000004, zeros, "separator"},
    {0x00000004, ones, "separator"},
    {0x00000004, error_separator, "separator after an error of the firmware"},
    {0x00000004, text_of_four, "word"},
    {0x00000004, text, "grub_cmd: set root=(hd0,1)"},
    {0x00000004, octets, ""},
    {0x00000006, tagged, "Linux initrd"},
    {0x00000006, tagged_bomb, "root=/dev/sda1"},
    {0x00000006, zeros, ""},
    {0x00000008, ucs2_text, "root=/dev/sda1 quiet"},
    {0x00000008, guid_alone, GUID_TEXT},
    {0x00000013, named_blob, "FV MAIN"},
    {0x80000001, variable, "SecureBoot = 1"},
    {0x80000001, variable_of_nothing, "SecureBoot"},
    {0x80000001, variable_with_a_key, "PK"},
    {0x80000001, variable_name_bomb, ""},
    {0x80000001, variable_name_overflow, ""},
    {0x80000001, variable_value_bomb, "db"},
    {0x80000001, guid_alone, ""},
    {0x80000002, boot_option, "Boot000A: debian"},
    {0x80000002, boot_option_cut, "Boot000A: deb"},
    {0x80000002, boot_option_without_title, "Boot000A"},
    {0x80000002, boot_next, "BootNext"},
    {0x80000002, boot_order, "BootOrder: 0010 0000 BEEF"},
    {0x80000003, image, "\\EFI\\BOOT\\BOOTX64.EFI"},
    {0x80000003, image_of_a_long_path, "\\a\\bc"},
    {0x80000004, image_of_firmware, "firmware file " GUID_TEXT},
    {0x80000004, image_of_firmware_cut, "image of 1000 octets, no file name"},
    {0x80000003, image_without_path, "image of 579072 octets, no file name"},
    {0x80000003, image_path_bomb, "\\EFI"},
    {0x80000003, image_node_of_no_length, "image of 5 octets, no file name"},
    {0x80000003, image_cut, ""},
    {0x80000006, partitions, "disk " GUID_TEXT ", EFI system, root"},
    {0x80000006, partition_with_a_long_name,
     "disk " GUID_TEXT ", 123456789-123456789-123456789-123456"},
    {0x80000006, partition_bomb, "disk " GUID_TEXT ", root"},
    {0x80000006, partitions_cut, ""},
    {0x80000008, blob, "4096 octets at 0xff000000"},
    {0x8000000a, named_blob, "FV MAIN"},
    {0x8000000a, named_longer_than_there_is, "FV"},
    {0x8000000a, nothing, ""},
    {0x800000e0, variable_with_a_key, "PK"},
    {0x800000e1, text, ""},
    {0x81234567, text, "grub_cmd: set root=(hd0,1)"},
    {USER_SPACE, text, "grub_cmd: set root=(hd0,1)"},
};

/* Describe the first len octets with nothing behind them, in so much room. */
static void describe(uint32_t type, size_t len, char *ret, size_t size)
{
    struct atls_boot_event event = {.type = type};

    event.data = tcglog_exact(&data, len);
    atls_boot_event_describe(&event, ret, size);
    free((void *)(uintptr_t)event.data.data);
}

START_TEST(test_events_in_words)
{
    char words[256] = "before";

    data.len = 0;
    events[_i].make();
    describe(events[_i].type, data.len, words, sizeof(words));
    ck_assert_str_eq(words, events[_i].expected);
}
END_TEST

/* Cut anywhere, as the wire cuts them, or into however little room. */
START_TEST(test_E11_events_cut_anywhere)
{
    size_t expected_len = strlen(events[_i].expected);

    data.len = 0;
    events[_i].make();
    for (size_t len = 0; len <= data.len; len++) {
        char words[256];

        describe(events[_i].type, len, words, sizeof(words));
        for (const char *at = words; *at != '\0'; at++)
            ck_assert(*at >= ' ' && *at <= '~');
    }
    for (size_t size = 1; size <= expected_len + 2; size++) {
        char *words = malloc(size);

        ck_assert_ptr_nonnull(words);
        describe(events[_i].type, data.len, words, size);
        ck_assert_uint_eq(strlen(words),
                          expected_len < size ? expected_len : size - 1);
        ck_assert(strncmp(words, events[_i].expected, size - 1) == 0);
        free(words);
    }
    describe(events[_i].type, data.len, NULL, 0);
}
END_TEST

START_TEST(test_names_of_types)
{
    char name[64];

    atls_boot_event_type(0, name, sizeof(name));
    ck_assert_str_eq(name, "EV_PREBOOT_CERT");
    atls_boot_event_type(0x80000003, name, sizeof(name));
    ck_assert_str_eq(name, "EV_EFI_BOOT_SERVICES_APPLICATION");
    atls_boot_event_type(USER_SPACE, name, sizeof(name));
    ck_assert_str_eq(name, "user space");
    atls_boot_event_type(0x00000014, name, sizeof(name));
    ck_assert_str_eq(name, "0x00000014");
    atls_boot_event_type(0x80000003, name, 6);
    ck_assert_str_eq(name, "EV_EF");
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_events_in_words, 0, COUNT(events)),
    LOOP(test_E11_events_cut_anywhere, 0, COUNT(events)),
    ONCE(test_names_of_types),
};

SUITE(.name = "bootlog_words",
      .cases = {CASE("bootlog_words", tests, 0, NULL, NULL)});
