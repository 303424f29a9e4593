/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/factory.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "tools/common/input.h"
#include "tools/common/tool.h"
#include "unit/prompt.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct atls_reason why;

static void setup(void)
{
    scratch_make();
}

static void teardown(void)
{
    scratch_remove();
    factory_free_keys();
}

static void assert_reason(enum atls_error found, enum atls_error code,
                          const char *text)
{
    ck_assert_int_eq(found, code);
    ck_assert_int_eq(why.code, code);
    ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
}

/* Sizes around those at which room grows, and one octet beyond the limit. */
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8191, 8192, 20000};

START_TEST(test_read)
{
    uint8_t *wanted = calloc(1, 20001);
    uint8_t *data = NULL;
    size_t len = 1;

    memset(wanted, 'x', sizes[_i]);
    scratch_write("file", wanted, sizes[_i], 0644);
    ck_assert_int_eq(
        tool_input_read(scratch_path("file"), 20000, &why, &data, &len),
        ATLS_OK);
    ck_assert_uint_eq(len, sizes[_i]);
    ck_assert_mem_eq(data, wanted, len + 1);
    OPENSSL_free(data);
    scratch_write("file", wanted, 20001, 0644);
    free(wanted);
    assert_reason(
        tool_input_read(scratch_path("file"), 20000, &why, &data, &len),
        ATLS_E_LIMIT, "/file is larger than 19 KiB");
}
END_TEST

/* The kernel's files have a size of 0 and say something all the same; there,
 * only reading tells when it is too much. */
START_TEST(test_read_file_without_size)
{
    static const char path[] = "/proc/self/status";
    uint8_t *data = NULL;
    size_t len = 0;
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    ck_assert_int_eq(tool_input_read(path, 1u << 20, &why, &data, &len),
                     ATLS_OK);
    ck_assert_ptr_nonnull(strstr((const char *)data, "Name:"));
    OPENSSL_free(data);
    assert_reason(tool_input_read(path, 100, &why, &data, &len), ATLS_E_LIMIT,
                  "/proc/self/status is larger than ");
}
END_TEST

static const struct {
    const char *path;
    const char *text;
} others[] = {
    {"/nonexistent", "cannot open /nonexistent: No such file"},
    {"/", "cannot read /: Is a directory"},
    {"/dev/null", "cannot read /dev/null: not a regular file"},
    {"/dev/zero", "cannot read /dev/zero: not a regular file"},
};

START_TEST(test_read_something_else)
{
    uint8_t *data = NULL;
    size_t len = 0;

    assert_reason(tool_input_read(others[_i].path, 100, &why, &data, &len),
                  ATLS_E_IO, others[_i].text);
    assert_reason(tool_input_check(others[_i].path, 100, &why), ATLS_E_IO,
                  others[_i].text);
    ck_assert_ptr_null(data);
}
END_TEST

/* Neither waits for a writer, nor is a terabyte read. */
START_TEST(test_read_fifo_and_terabyte)
{
    uint8_t *data = NULL;
    size_t len = 0;

    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_reason(tool_input_read(scratch_path("fifo"), 100, &why, &data, &len),
                  ATLS_E_IO, "/fifo: not a regular file");
    scratch_write("huge", "", 0, 0644);
    ck_assert_int_eq(truncate(scratch_path("huge"), (off_t)1 << 40), 0);
    assert_reason(
        tool_input_read(scratch_path("huge"), 102400, &why, &data, &len),
        ATLS_E_LIMIT, "/huge is larger than 100 KiB");
    assert_reason(tool_input_check(scratch_path("huge"), 102400, &why),
                  ATLS_E_LIMIT, "/huge is larger than 100 KiB");
}
END_TEST

START_TEST(test_certificate)
{
    const struct factory_cert wanted = {
        .cn = "leaf",
        .key = factory_key(FACTORY_P256, 0),
        .not_before = FACTORY_NOW,
        .not_after = FACTORY_NOW + FACTORY_DAY,
        .digest = "SHA256",
        .extensions = "",
    };
    X509 *cert = factory_certificate(&wanted);
    X509 *read = NULL;
    uint8_t *der = NULL;
    size_t len = 0;

    factory_write_certificate(scratch_path("pem"), cert);
    ck_assert_int_eq(tool_input_certificate(scratch_path("pem"), &why, &read),
                     ATLS_OK);
    ck_assert_int_eq(X509_cmp(cert, read), 0);
    X509_free(read);
    factory_der(cert, &der, &len);
    scratch_write("der", der, len, 0644);
    ck_assert_int_eq(tool_input_certificate(scratch_path("der"), &why, &read),
                     ATLS_OK);
    ck_assert_int_eq(X509_cmp(cert, read), 0);
    X509_free(read);
    scratch_write("cut", der, len - 1, 0644);
    assert_reason(tool_input_certificate(scratch_path("cut"), &why, &read),
                  ATLS_E_CONFIG, "/cut holds no certificate");
    scratch_write("huge", "", 0, 0644);
    ck_assert_int_eq(truncate(scratch_path("huge"), INPUT_CERTIFICATE_MAX + 1),
                     0);
    assert_reason(tool_input_certificate(scratch_path("huge"), &why, &read),
                  ATLS_E_CONFIG, "/huge is larger than 64 KiB");
    OPENSSL_free(der);
    X509_free(cert);
}
END_TEST

/* A certificate is no secret: if we asked for its password, scripts would hang. */
START_TEST(test_encrypted_certificate)
{
    static const char pem[] = ENCRYPTED_PEM("CERTIFICATE", "\n");
    X509 *read = NULL;

    watch_prompts();
    scratch_write("pem", pem, strlen(pem), 0644);
    assert_reason(tool_input_certificate(scratch_path("pem"), &why, &read),
                  ATLS_E_CONFIG, "/pem holds no certificate");
    ck_assert(!was_asked);
}
END_TEST

static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
} times[] = {
    {"1970-01-01", 0},
    {"2001-09-09T01:46:40Z", 1000000000},
    {"2024-02-29", 1709164800},
    {"2100-01-01T00:00:00Z", INT64_C(4102444800)},
    {"2023-02-29", -1},
    {"2027-06-31", -1},
    {"2027-13-01", -1},
    {"1969-12-31", -1},
    {"2027-06-30T24:00:00Z", -1},
    {"2027-06-30T00:00:00", -1},
    {"2027-06-30T00:00:00+01:00", -1},
    {"2027-06-30 ", -1},
    {"tomorrow", -1},
    {"", -1},
};

START_TEST(test_time)
{
    int64_t seconds = -2;
    bool ok = tool_time(times[_i].text, &seconds);

    ck_assert_int_eq(ok, times[_i].seconds >= 0);
    ck_assert_int_eq(seconds, ok ? times[_i].seconds : -2);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_read, 0, COUNT(sizes)),
    ONCE(test_read_file_without_size),
    LOOP(test_read_something_else, 0, COUNT(others)),
    ONCE(test_read_fifo_and_terabyte),
    ONCE(test_certificate),
    ONCE(test_encrypted_certificate),
    LOOP(test_time, 0, COUNT(times)),
};

SUITE(.name = "tool_common_input",
      .cases = {CASE("tool_common_input", tests, 0, setup, teardown)});
