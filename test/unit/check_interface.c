/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * provider/core.h: the number of the interface between attest.so and attest-inner.so
 * stands for the text of that interface. A running program may map the two from
 * before and after an upgrade (C14).
 */
#include <check.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "lib/suite.h"

#define TEXT_MAX 65536

/* The interfaces there were, the present one last. Never change a line: raise
 * ATLS_INTERFACE, and add one. */
static const struct {
    int number;
    const char *digest; /* SHA-256 of interface_text() */
} interfaces[] = {
    {1, "0e99c17830afdfa2508538bde28608f12e788aea474cbc8a7a6f3ec9cb29bc8b"},
    {2, "3ad67a71f6352b2913d79c9c9f1f253263356bbabb886ef5012c80f53ae77d2e"},
};

/* A file without comments and white space. */
static void read_tokens(const char *name, char ret[TEXT_MAX])
{
    char path[4096], text[TEXT_MAX];
    size_t len, used = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/provider/%s", TEST_SRCDIR, name);
    file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s", path);
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    ck_assert_uint_lt(len, sizeof(text) - 1);
    text[len] = '\0';
    for (const char *p = text; *p != '\0'; p++) {
        if (strncmp(p, "/*", 2) == 0) {
            p = strstr(p, "*/");
            ck_assert_ptr_nonnull(p);
            p++;
        } else if (!isspace((unsigned char)*p)) {
            ret[used++] = *p;
        }
    }
    ret[used] = '\0';
}

/* Add what stands from a beginning to an end, which there must be. */
static void add_part(const char *tokens, const char *from, const char *to,
                     char *text)
{
    const char *begin = strstr(tokens, from);
    const char *end = begin != NULL ? strstr(begin, to) : NULL;
    size_t used = strlen(text);

    ck_assert_msg(end != NULL, "no %s ... %s", from, to);
    ck_assert_uint_lt(used + (size_t)(end - begin) + 1, TEXT_MAX);
    memcpy(text + used, begin, (size_t)(end - begin));
    text[used + (size_t)(end - begin)] = '\0';
}

/* What both objects are compiled with. */
static void interface_text(char ret[TEXT_MAX])
{
    static char tokens[TEXT_MAX];

    ret[0] = '\0';
    read_tokens("core.h", tokens);
    add_part(tokens, "structatls_core{", "};", ret);
    read_tokens("libssl.h", tokens);
    add_part(tokens, "typedefintatls_security_callback(", ";", ret);
    add_part(tokens, "structatls_libssl{", "};", ret);
    read_tokens("settings.h", tokens);
    add_part(tokens, "structatls_setting{", "};", ret);
    add_part(tokens, "#defineATLS_SETTING_BROKEN", "structatls_setting", ret);
}

static void hash(const char *text, char ret[2 * 32 + 1])
{
    unsigned char digest[32];

    ck_assert_int_eq(
        EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

START_TEST(test_C14_a_changed_interface_has_another_number)
{
    const size_t last = sizeof(interfaces) / sizeof(interfaces[0]) - 1;
    static char text[TEXT_MAX];
    char digest[2 * 32 + 1];

    interface_text(text);
    hash(text, digest);
    ck_assert_int_eq(interfaces[last].number, ATLS_INTERFACE);
    ck_assert_msg(strcmp(interfaces[last].digest, digest) == 0,
                  "the interface of attest.so and attest-inner.so is another "
                  "one than number %d was: raise ATLS_INTERFACE in "
                  "provider/core.h, and add its line here: {%d, \"%s\"}",
                  ATLS_INTERFACE, ATLS_INTERFACE + 1, digest);
}
END_TEST

/* No digest stands for two numbers, nor a number for two digests. */
START_TEST(test_C14_each_interface_has_one_number)
{
    for (size_t i = 1; i < sizeof(interfaces) / sizeof(interfaces[0]); i++) {
        ck_assert_int_gt(interfaces[i].number, interfaces[i - 1].number);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(interfaces[i].digest, interfaces[j].digest);
    }
}
END_TEST

/* What the test looks at is the interface: a change of any part shows. */
START_TEST(test_C14_the_text_holds_all_members)
{
    static const char *const members[] = {
        "constchar*interface;",
        "constchar*version;",
        "void*(*attach)(structatls_instance*instance,SSL_CTX*ctx);",
        "conststructatls_libssl*libssl;",
        "uint64_t(*get_options)(constSSL_CTX*ctx);",
        "intop,intbits,intnid,void*other,void*ex)",
        "constchar*key;constchar*value;",
        "\"(broken)\"",
        "\"(late)\"",
        "\"(early)\"",
    };
    static char text[TEXT_MAX];

    interface_text(text);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        ck_assert_msg(strstr(text, members[i]) != NULL, "no %s in %s",
                      members[i], text);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_C14_a_changed_interface_has_another_number),
    ONCE(test_C14_each_interface_has_one_number),
    ONCE(test_C14_the_text_holds_all_members),
};

SUITE(.name = "interface", .cases = {CASE("interface", tests, 0, NULL, NULL)});
