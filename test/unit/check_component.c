/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attester/measure.h"
#include "base/digest.h"
#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"

/* Made with a few lines of Python from doc/PROTOCOL.md, "Tree hash". */
#define TREE_EMPTY \
    "4cfe2999cd2af7a8370cddb2f6cb5f38117edd61c9fd9d469176ecf04b981063"
#define TREE_FULL \
    "e5ca8b0c84bfbcf1fc7e34059775fabb4062292f4a83d907c97478feaa8517bf"
/* sha256sum(1) */
#define FILE_EMPTY \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FILE_MILLION_A \
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void setup(void)
{
    scratch_make();
}

static void teardown(void)
{
    scratch_remove();
}

static void make_folder(const char *name)
{
    ck_assert_int_eq(mkdir(scratch_path(name), 0755), 0);
}

static void make_file(const char *name, const char *text, mode_t mode)
{
    scratch_write(name, text, strlen(text), mode);
}

static void make_link(const char *name, const char *target)
{
    ck_assert_int_eq(symlink(target, scratch_path(name)), 0);
}

/* The tree of TREE_FULL. Its order differs from that of a walk: "a.b" stands
 * between the folder "a" and what is in it; "\xff" is no UTF-8. */
static void make_tree(void)
{
    make_folder("t");
    make_folder("t/a");
    make_file("t/a/b", "#!/bin/sh\n", 0755);
    make_file("t/a.b", "1", 0644);
    make_file("t/\xff", "", 0600);
    make_folder("t/empty");
    make_link("t/link", "a/b");
    make_link("t/dangling", "/nowhere");
}

static void digest_hex(const char *name, char ret_hex[2 * ATLS_SHA256_LEN + 1])
{
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t digest[ATLS_SHA256_LEN];
    enum atls_error r = atls_component_digest(scratch_path(name), &why, digest);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    atls_hex(digest, sizeof(digest), ret_hex);
}

static void expect_digest(const char *name, const char *expected)
{
    char hex[2 * ATLS_SHA256_LEN + 1];

    digest_hex(name, hex);
    ck_assert_str_eq(hex, expected);
}

static void expect_refusal(const char *name, enum atls_error code,
                           const char *text)
{
    struct atls_reason why = {.code = ATLS_OK};
    uint8_t digest[ATLS_SHA256_LEN];

    ck_assert_int_eq(atls_component_digest(scratch_path(name), &why, digest),
                     code);
    ck_assert_int_eq(why.code, code);
    ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
}

START_TEST(test_file_is_what_sha256sum_prints)
{
    char *million = malloc(1000000);

    memset(million, 'a', 1000000);
    scratch_write("million", million, 1000000, 0644);
    free(million);
    make_file("empty", "", 0644);
    make_link("link", "million");
    expect_digest("empty", FILE_EMPTY);
    expect_digest("million", FILE_MILLION_A);
    expect_digest("link", FILE_MILLION_A);
}
END_TEST

START_TEST(test_tree_is_the_vector)
{
    make_folder("nothing");
    make_tree();
    make_link("via", "t");
    expect_digest("nothing", TREE_EMPTY);
    expect_digest("t", TREE_FULL);
    expect_digest("t/", TREE_FULL);
    expect_digest("via", TREE_FULL);
}
END_TEST

/* What a tree hash is for: each of these is another tree. */
static void change_content(void)
{
    make_file("t/a.b", "2", 0644);
}

static void change_name(void)
{
    ck_assert_int_eq(rename(scratch_path("t/a.b"), scratch_path("t/a.c")), 0);
}

static void change_place(void)
{
    ck_assert_int_eq(rename(scratch_path("t/a.b"), scratch_path("t/a/.b")), 0);
}

static void change_execute_bit(void)
{
    ck_assert_int_eq(chmod(scratch_path("t/a.b"), 0744), 0);
}

static void change_target(void)
{
    ck_assert_int_eq(unlink(scratch_path("t/link")), 0);
    make_link("t/link", "a.b");
}

static void change_link_to_file(void)
{
    ck_assert_int_eq(unlink(scratch_path("t/link")), 0);
    make_file("t/link", "#!/bin/sh\n", 0755);
}

static void change_folder_to_file(void)
{
    ck_assert_int_eq(rmdir(scratch_path("t/empty")), 0);
    make_file("t/empty", "", 0644);
}

static void add_folder(void)
{
    make_folder("t/empty/more");
}

static void remove_file(void)
{
    ck_assert_int_eq(unlink(scratch_path("t/\xff")), 0);
}

static void (*const changes[])(void) = {
    change_content, change_name,           change_place,
    change_target,  change_execute_bit,    change_link_to_file,
    add_folder,     change_folder_to_file, remove_file,
};

START_TEST(test_tree_differs)
{
    char hex[2 * ATLS_SHA256_LEN + 1];

    make_tree();
    changes[_i]();
    digest_hex("t", hex);
    ck_assert_str_ne(hex, TREE_FULL);
}
END_TEST

START_TEST(test_tree_ignores_times_and_other_mode_bits)
{
    make_tree();
    ck_assert_int_eq(chmod(scratch_path("t/a.b"), 0677), 0);
    ck_assert_int_eq(chmod(scratch_path("t/empty"), 0700), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, scratch_path("t/a/b"),
                               (const struct timespec[2]){{1, 0}, {1, 0}}, 0),
                     0);
    expect_digest("t", TREE_FULL);
}
END_TEST

/* Many names in a folder that is not in memory order. */
START_TEST(test_tree_of_many)
{
    char forth[2 * ATLS_SHA256_LEN + 1];
    char back[2 * ATLS_SHA256_LEN + 1];
    char name[32];

    make_folder("forth");
    make_folder("back");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "forth/%d", i);
        make_file(name, name + 6, 0644);
        snprintf(name, sizeof(name), "back/%d", 199 - i);
        make_file(name, name + 5, 0644);
    }
    digest_hex("forth", forth);
    digest_hex("back", back);
    ck_assert_str_eq(forth, back);
}
END_TEST

START_TEST(test_tree_does_not_follow_links)
{
    char before[2 * ATLS_SHA256_LEN + 1];

    make_folder("secret");
    make_tree();
    make_link("t/way-out", "../secret");
    digest_hex("t", before);
    make_file("secret/x", "x", 0644);
    expect_digest("t", before);
}
END_TEST

static void make_fifo(void)
{
    make_folder("t");
    ck_assert_int_eq(mkfifo(scratch_path("t/x"), 0600), 0);
}

static void make_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    make_folder("t");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             scratch_path("t/x"));
    ck_assert_int_eq(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static void make_top_fifo(void)
{
    ck_assert_int_eq(mkfifo(scratch_path("t"), 0600), 0);
}

static void make_nothing(void)
{
}

static void make_loop(void)
{
    make_link("t", "t");
}

static void make_deep(void)
{
    char name[2 * 66 + 1] = "";

    for (int i = 0; i < 66; i++) {
        strcat(name, i == 0 ? "t" : "/t");
        make_folder(name);
    }
}

static const struct {
    void (*make)(void);
    enum atls_error code;
    const char *text;
} refused[] = {
    {make_fifo, ATLS_E_IO, "/t/x: neither file, folder nor symbolic link"},
    {make_socket, ATLS_E_IO, "/t/x: neither file, folder nor symbolic link"},
    {make_top_fifo, ATLS_E_IO, "/t: neither file nor folder"},
    {make_nothing, ATLS_E_IO, "/t: No such file or directory"},
    {make_loop, ATLS_E_IO, "/t: Too many levels of symbolic links"},
    {make_deep, ATLS_E_LIMIT, "more than 64 folders deep"},
};

START_TEST(test_refused)
{
    refused[_i].make();
    expect_refusal("t", refused[_i].code, refused[_i].text);
}
END_TEST

START_TEST(test_unreadable_file_is_refused)
{
    if (geteuid() == 0)
        return; /* root reads everything */
    make_tree();
    ck_assert_int_eq(chmod(scratch_path("t/a.b"), 0), 0);
    expect_refusal("t", ATLS_E_IO, "/t/a.b: Permission denied");
}
END_TEST

static atomic_bool stop_touching;

/* Also a folder that others write while we read it. */
static void *touch(void *path)
{
    while (!stop_touching) {
        utimensat(AT_FDCWD, path, NULL, 0);
        usleep(1000);
    }
    return NULL;
}

START_TEST(test_change_while_reading_is_refused)
{
    pthread_t thread;
    char path[4096];

    make_folder("t");
    make_file("t/weights", "", 0644);
    ck_assert_int_eq(truncate(scratch_path("t/weights"), 256 << 20), 0);
    snprintf(path, sizeof(path), "%s", scratch_path("t/weights"));
    stop_touching = false;
    ck_assert_int_eq(pthread_create(&thread, NULL, touch, path), 0);
    expect_refusal("t", ATLS_E_IO, "/t/weights: changed while it was read");
    stop_touching = true;
    pthread_join(thread, NULL);
}
END_TEST

/* No allocation that fails goes unseen, none leaks. */
START_TEST(test_R3_allocations_fail)
{
    uint8_t digest[ATLS_SHA256_LEN];
    struct atls_reason why;
    enum atls_error r;
    char path[4096];
    size_t total;

    make_tree();
    snprintf(path, sizeof(path), "%s", scratch_path("t"));
    /* OpenSSL never fetches again what it once failed to fetch. */
    expect_digest("t", TREE_FULL);
    allocation_fail_at(0);
    expect_digest("t", TREE_FULL);
    total = allocation_count();
    ck_assert_uint_gt(total, 10);
    for (size_t n = 1; n <= total; n++) {
        allocation_fail_at(n);
        r = atls_component_digest(path, &why, digest);
        allocation_fail_at(0);
        ck_assert_msg(r == ATLS_E_NOMEM || r == ATLS_E_CRYPTO,
                      "allocation %zu of %zu: %d", n, total, (int)r);
    }
    expect_digest("t", TREE_FULL);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static const struct suite_test tests[] = {
    ONCE(test_file_is_what_sha256sum_prints),
    ONCE(test_tree_is_the_vector),
    LOOP(test_tree_differs, 0, COUNT(changes)),
    ONCE(test_tree_ignores_times_and_other_mode_bits),
    ONCE(test_tree_of_many),
    ONCE(test_tree_does_not_follow_links),
    LOOP(test_refused, 0, COUNT(refused)),
    ONCE(test_unreadable_file_is_refused),
    ONCE(test_change_while_reading_is_refused),
    ONCE(test_R3_allocations_fail),
};

SUITE(.name = "component", .begin = allocation_install,
      .cases = {CASE("component", tests, 60, setup, teardown)});
