/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "attester/log_lock.h"
#include "attester/measured_log.h"
#include "evidence/codec.h"
#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define PCR 15u
#define RS "\x1e"

#define SHA256_OF_X \
    "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
#define SHA1_OF_X "11f6ad8ec52a2984abaafd7c3b516503785c2072"

#define DIGEST(alg, hex) "{\"hashAlg\":\"" alg "\",\"digest\":\"" hex "\"}"
#define DIGESTS "\"digests\":[" DIGEST("sha256", SHA256_OF_X) "]"
#define CONTENT "\"content\":{\"string\":\"x\"}"

/* As doc/PROTOCOL.md shows it. */
#define RECORD_OF_X                                                      \
    RS "{\"pcr\":15,\"digests\":[" DIGEST("sha1", SHA1_OF_X) "," DIGEST( \
        "sha256", SHA256_OF_X) "],"                                      \
                               "\"content_type\":\"attest\"," CONTENT "}\n"

/* As systemd writes them (src/shared/tpm2-util.c), with one bank. */
#define SYSTEMD_PHASE                                                          \
    RS "{\"pcr\":11,\"digests\":[" DIGEST(                                     \
        "sha256", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
                  "ffffff") "],\"content_type\":\"systemd\",\"content\":{"     \
                            "\"string\":\"sysinit\","                          \
                            "\"bootId\":\"7c6a2a3ab9f14e9fa2b8a1dd2f0c4d8e\"," \
                            "\"timestamp\":123456,"                            \
                            "\"eventType\":\"phase\"}}\n"
#define SYSTEMD_MACHINE_ID "machine-id:0123456789abcdef0123456789abcdef"
#define SYSTEMD_ID                                                        \
    RS "{\"pcr\":15,\"digests\":[" DIGEST(                                \
        "sha256",                                                         \
        "1ea46a17961f953f2b0d506f783a525db7f3f6d7c22b474ac132aa16af41b62" \
        "f") "],\"content_type\":\"systemd\",\"content\":{\"string\":"    \
             "\"" SYSTEMD_MACHINE_ID "\",\"bootId\":"                     \
             "\"7c6a2a3ab9f14e9fa2b8a1dd2f0c4d8e\",\"timestamp\":234567," \
             "\"eventType\":\"machine-id\"}}\n"
/* Its digest is an HMAC with the volume's key. */
#define SYSTEMD_VOLUME_KEY                                                 \
    RS "{\"pcr\":15,\"digests\":[" DIGEST(                                 \
        "sha256",                                                          \
        "8a1f0e5b8a1f0e5b8a1f0e5b8a1f0e5b8a1f0e5b8a1f0e5b8a1f0e5b8a1f0e5"  \
        "b") "],\"content_type\":\"systemd\",\"content\":{\"string\":"     \
             "\"cryptsetup:root:a9f1c1f2\",\"eventType\":\"volume-key\"}}" \
             "\n"
#define SYSTEMD_NVPCR                                                         \
    RS "{\"nv_index\":29950208,\"digests\":[" DIGEST(                         \
        "sha256", SHA256_OF_X) "],\"content_type\":\"systemd\",\"content\":{" \
                               "\"string\":\"x\"}}\n"

static const struct atls_pcr_selection two_banks = {
    2, {{TPM2_ALG_SHA1, 0}, {TPM2_ALG_SHA256, 0}}};

static void setup(void)
{
    scratch_make();
}

static void teardown(void)
{
    scratch_remove();
}

static enum atls_error parse(const char *text, size_t len,
                             struct atls_reason *why,
                             struct atls_measured_log *ret_log)
{
    *why = (struct atls_reason){.code = ATLS_OK};
    *ret_log = (struct atls_measured_log){0};
    return atls_measured_log_parse(
        (struct atls_span){(const uint8_t *)text, len}, "LOG", PCR, why,
        ret_log);
}

static void expect_content(const struct atls_measured_log *log, size_t index,
                           const char *expected)
{
    ck_assert_uint_lt(index, log->count);
    ck_assert_uint_eq(log->contents[index].len, strlen(expected));
    ck_assert_mem_eq(log->contents[index].data, expected, strlen(expected));
}

START_TEST(test_record_is_the_documented_one)
{
    struct atls_measured_log log;
    struct atls_reason why;
    char *record = NULL;
    size_t len = 0;

    ck_assert_int_eq(
        atls_measured_record(PCR, &two_banks, "x", &why, &record, &len),
        ATLS_OK);
    ck_assert_uint_eq(len, strlen(RECORD_OF_X));
    ck_assert_mem_eq(record, RECORD_OF_X, len);
    ck_assert_int_eq(parse(record, len, &why, &log), ATLS_OK);
    ck_assert_uint_eq(log.count, 1);
    expect_content(&log, 0, "x");
    atls_measured_log_clear(&log);
    OPENSSL_free(record);
}
END_TEST

/* What JSON has to escape comes back as it was. */
START_TEST(test_record_escapes)
{
    const char *content = "a \"b\" \\c / {}[]:,";
    struct atls_measured_log log;
    struct atls_reason why;
    char *record = NULL;
    size_t len = 0;

    ck_assert_int_eq(
        atls_measured_record(PCR, &two_banks, content, &why, &record, &len),
        ATLS_OK);
    ck_assert_int_eq(parse(record, len, &why, &log), ATLS_OK);
    expect_content(&log, 0, content);
    atls_measured_log_clear(&log);
    OPENSSL_free(record);
}
END_TEST

START_TEST(test_systemds_log_is_read)
{
    static const char text[] =
        SYSTEMD_PHASE SYSTEMD_ID SYSTEMD_NVPCR RECORD_OF_X;
    struct atls_measured_log log;
    struct atls_reason why;

    ck_assert_int_eq(parse(text, strlen(text), &why, &log), ATLS_OK);
    ck_assert_uint_eq(log.count, 2);
    expect_content(&log, 0, SYSTEMD_MACHINE_ID);
    expect_content(&log, 1, "x");
    atls_measured_log_clear(&log);
}
END_TEST

static const struct {
    const char *text;
    size_t count;
} accepted[] = {
    {"", 0},
    /* An algorithm that no PCR bank of ours has. */
    {RS "{\"pcr\":15,\"digests\":[" DIGEST("sm3_256", "00") "," DIGEST(
         "sha256", SHA256_OF_X) "]," CONTENT "}\n",
     1},
    /* White space, upper case, another order, members nobody knows. */
    {RS "{ " CONTENT ",\n \"recnum\": 7, " DIGESTS ", \"pcr\": 15 }\n", 1},
    /* Another PCR's record may be anything. */
    {RS "{\"pcr\":14}\n", 0},
};

START_TEST(test_accepted)
{
    struct atls_measured_log log;
    struct atls_reason why;
    enum atls_error r =
        parse(accepted[_i].text, strlen(accepted[_i].text), &why, &log);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(log.count, accepted[_i].count);
    atls_measured_log_clear(&log);
}
END_TEST

static const struct {
    const char *text;
    const char *reason;
} malformed[] = {
    {"{\"pcr\":15," DIGESTS "," CONTENT "}\n",
     "LOG: record 1 does not begin with RS (0x1e)"},
    {"\n", "LOG: record 1 does not begin with RS"},
    {RS, "LOG: record 1 is cut off"},
    {RS "{\"pcr\":15," DIGESTS "," CONTENT "}", "LOG: record 1 is cut off"},
    {RECORD_OF_X RS "{\"pcr\":1", "LOG: record 2 is cut off: a measurement was "
                                  "interrupted; 'attest measure' as root"},
    {RS RECORD_OF_X, "LOG: record 1 is cut off"},
    {RS "\n", "LOG: record 1: "},
    {RS "{\"pcr\":15,\n", "LOG: record 1: "},
    {RS "{\"pcr\":15," DIGESTS "," CONTENT "} {}\n", "LOG: record 1: "},
    {RS "{\"pcr\":14,\"pcr\":15," DIGESTS "," CONTENT "}\n",
     "LOG: record 1: duplicate"},
    {RS "{\"pcr\":14,\"\xff\":15}\n", "LOG: record 1: "},
    {RS "[]\n", "LOG: record 1 is not a JSON object"},
    {RS "{\"pcr\":\"15\"}\n", "LOG: record 1: pcr is not a number"},
    {RS "{\"pcr\":15.0}\n", "LOG: record 1: pcr is not a number"},
    {RS "{\"pcr\":15," DIGESTS "}\n", "LOG: record 1 has no content.string"},
    {RS "{\"pcr\":15," DIGESTS ",\"content\":\"x\"}\n",
     "LOG: record 1 has no content.string"},
    {RS "{\"pcr\":15," DIGESTS ",\"content\":{\"string\":1}}\n",
     "LOG: record 1 has no content.string"},
    {RS "{\"pcr\":15," CONTENT "}\n", "LOG: record 1 has no digests"},
    {RS "{\"pcr\":15,\"digests\":[]," CONTENT "}\n",
     "LOG: record 1 has no digests"},
    {RS "{\"pcr\":15,\"digests\":{}," CONTENT "}\n",
     "LOG: record 1 has no digests"},
    {RS "{\"pcr\":15,\"digests\":[{}]," CONTENT "}\n",
     "LOG: record 1: a digest without hashAlg or digest"},
    {RS "{\"pcr\":15,\"digests\":[{\"hashAlg\":\"sha256\"}]," CONTENT "}\n",
     "LOG: record 1: a digest without hashAlg or digest"},
    {RS "{\"pcr\":15,\"digests\":[" DIGEST("sha256", SHA1_OF_X) "]," CONTENT
                                                                "}\n",
     "LOG: record 1: its sha256 digest is not that of its content"},
    {RS "{\"pcr\":15,\"digests\":[" DIGEST("sha256", "zz") "]," CONTENT "}\n",
     "LOG: record 1: its sha256 digest is not that of its content"},
    {RS "{\"pcr\":15," DIGESTS ",\"content\":{\"string\":\"y\"}}\n",
     "LOG: record 1: its sha256 digest is not that of its content"},
    /* The first digest right, the second not. */
    {RS "{\"pcr\":15,\"digests\":[" DIGEST("sha256", SHA256_OF_X) "," DIGEST(
         "sha1", "00") "]," CONTENT "}\n",
     "LOG: record 1: its sha1 digest is not that of its content"},
    {SYSTEMD_ID SYSTEMD_VOLUME_KEY,
     "LOG: record 2: its sha256 digest is not that of its content, nobody can "
     "check it: set measure_pcr to another PCR than 15"},
};

START_TEST(test_malformed)
{
    struct atls_measured_log log;
    struct atls_reason why;

    ck_assert_int_eq(
        parse(malformed[_i].text, strlen(malformed[_i].text), &why, &log),
        ATLS_E_MALFORMED);
    ck_assert_int_eq(why.code, ATLS_E_MALFORMED);
    ck_assert_msg(strstr(why.text, malformed[_i].reason) == why.text, "%s",
                  why.text);
    ck_assert_ptr_null(log.contents);
}
END_TEST

/* T15: whatever a crash leaves of a log is a shorter log or a named fault. */
START_TEST(test_T15_cut_at_every_octet)
{
    static const char text[] = SYSTEMD_ID RECORD_OF_X;
    struct atls_measured_log log;
    struct atls_reason why;

    for (size_t len = 0; len < strlen(text); len++) {
        bool whole = len == 0 || len == strlen(SYSTEMD_ID);

        ck_assert_int_eq(parse(text, len, &why, &log),
                         whole ? ATLS_OK : ATLS_E_MALFORMED);
        if (!whole)
            ck_assert_msg(strstr(why.text, "is cut off") != NULL, "%s",
                          why.text);
        atls_measured_log_clear(&log);
    }
}
END_TEST

/* A log of count records whose content is `len` times 'a'. */
static char *make_log(size_t count, size_t len, size_t *ret_len)
{
    char *content = calloc(1, len + 1);
    struct atls_reason why;
    char *record = NULL;
    size_t record_len = 0;
    char *text;

    memset(content, 'a', len);
    ck_assert_int_eq(atls_measured_record(PCR, &two_banks, content, &why,
                                          &record, &record_len),
                     ATLS_OK);
    text = malloc(count * record_len);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * record_len, record, record_len);
    *ret_len = count * record_len;
    OPENSSL_free(record);
    free(content);
    return text;
}

static const struct {
    size_t count;
    size_t len;
    const char *reason; /* NULL: within the limits */
} limits[] = {
    {1, ATLS_LOG_CONTENT_MAX, NULL},
    {1, ATLS_LOG_CONTENT_MAX + 1,
     "LOG: record 1: content of 4097 octets, at most 4096"},
    {ATLS_LOG_EVENTS_MAX, 1, NULL},
    {ATLS_LOG_EVENTS_MAX + 1, 1,
     "LOG: more than 1536 events in PCR 15: reboot"},
};

START_TEST(test_R2_limits)
{
    struct atls_measured_log log;
    struct atls_reason why;
    size_t len = 0;
    char *text = make_log(limits[_i].count, limits[_i].len, &len);
    enum atls_error r = parse(text, len, &why, &log);

    if (limits[_i].reason == NULL) {
        ck_assert_int_eq(r, ATLS_OK);
        ck_assert_uint_eq(log.count, limits[_i].count);
    } else {
        ck_assert_int_eq(r, ATLS_E_LIMIT);
        ck_assert_str_eq(why.text, limits[_i].reason);
    }
    atls_measured_log_clear(&log);
    free(text);
}
END_TEST

START_TEST(test_content_is_legal)
{
    char longest[ATLS_LOG_CONTENT_MAX + 2] = "";

    memset(longest, 'a', ATLS_LOG_CONTENT_MAX);
    ck_assert(atls_measured_content_is_legal(longest));
    longest[ATLS_LOG_CONTENT_MAX] = 'a';
    ck_assert(!atls_measured_content_is_legal(longest));
    ck_assert(atls_measured_content_is_legal(" ~"));
    ck_assert(!atls_measured_content_is_legal(""));
    ck_assert(!atls_measured_content_is_legal("a\nb"));
    ck_assert(!atls_measured_content_is_legal("\x7f"));
    ck_assert(!atls_measured_content_is_legal("\xc3\xa4"));
}
END_TEST

static enum atls_error read_log(const char *name, struct atls_reason *why,
                                struct atls_measured_log *ret_log)
{
    *why = (struct atls_reason){.code = ATLS_OK};
    *ret_log = (struct atls_measured_log){0};
    return atls_measured_log_read(scratch_path(name), PCR, why, ret_log);
}

START_TEST(test_read)
{
    struct atls_measured_log log;
    struct atls_reason why;

    ck_assert_int_eq(read_log("missing", &why, &log), ATLS_OK);
    ck_assert_uint_eq(log.count, 0);
    atls_measured_log_clear(&log);
    scratch_write("log", SYSTEMD_ID, strlen(SYSTEMD_ID), 0644);
    ck_assert_int_eq(read_log("log", &why, &log), ATLS_OK);
    ck_assert_uint_eq(log.count, 1);
    expect_content(&log, 0, SYSTEMD_MACHINE_ID);
    atls_measured_log_clear(&log);
}
END_TEST

START_TEST(test_read_only_regular_files)
{
    struct atls_measured_log log;
    struct atls_reason why;

    ck_assert_int_eq(mkdir(scratch_path("folder"), 0755), 0);
    ck_assert_int_eq(read_log("folder", &why, &log), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "/folder is not a regular file"));
    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0644), 0);
    ck_assert_int_eq(read_log("fifo", &why, &log), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "/fifo is not a regular file"));
    scratch_write("file", "", 0, 0644);
    ck_assert_int_eq(read_log("file/log", &why, &log), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "Not a directory"));
}
END_TEST

START_TEST(test_R2_read_size_limit)
{
    struct atls_measured_log log;
    struct atls_reason why;

    scratch_write("log", "", 0, 0644);
    ck_assert_int_eq(truncate(scratch_path("log"), ATLS_MEASURED_LOG_MAX + 1),
                     0);
    ck_assert_int_eq(read_log("log", &why, &log), ATLS_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(why.text, "has 4194305 octets, at most "
                                           "4194304"));
}
END_TEST

/* T15: systemd in the midst of a record; ours is never locked by a reader. */
START_TEST(test_T15_read_waits_for_systemd_only)
{
    struct atls_measured_log log;
    struct atls_log_lock lock;
    struct atls_reason why;

    ck_assert_int_eq(
        atls_log_lock(scratch_path("tpm2-measure.log"), 0, &why, &lock),
        ATLS_OK);
    ck_assert_int_eq(read_log("tpm2-measure.log", &why, &log), ATLS_E_LOG_BUSY);
    ck_assert_ptr_nonnull(strstr(why.text, "waited 1000 ms"));
    atls_log_unlock(&lock);
    ck_assert_int_eq(read_log("tpm2-measure.log", &why, &log), ATLS_OK);
    atls_measured_log_clear(&log);

    ck_assert_int_eq(atls_log_lock(scratch_path("log"), 0, &why, &lock),
                     ATLS_OK);
    ck_assert_int_eq(read_log("log", &why, &log), ATLS_OK);
    atls_measured_log_clear(&log);
    atls_log_unlock(&lock);
}
END_TEST

static void *json_malloc(size_t size)
{
    return OPENSSL_malloc(size);
}

static void json_free(void *memory)
{
    OPENSSL_free(memory);
}

static enum atls_error parse_and_encode(void)
{
    static const char text[] = SYSTEMD_PHASE SYSTEMD_ID RECORD_OF_X;
    struct atls_measured_log log = {0};
    struct atls_reason why;
    char *record = NULL;
    size_t len = 0;
    enum atls_error r;

    r = parse(text, strlen(text), &why, &log);
    atls_measured_log_clear(&log);
    if (r != ATLS_OK)
        return r;
    r = atls_measured_record(PCR, &two_banks, "x", &why, &record, &len);
    if (r == ATLS_OK)
        ck_assert_mem_eq(record, RECORD_OF_X, len);
    OPENSSL_free(record);
    return r;
}

START_TEST(test_R3_allocations_fail)
{
    enum atls_error r;
    size_t total;

    json_set_alloc_funcs(json_malloc, json_free);
    /* OpenSSL never fetches again what it once failed to fetch. */
    ck_assert_int_eq(parse_and_encode(), ATLS_OK);
    allocation_fail_at(0);
    ck_assert_int_eq(parse_and_encode(), ATLS_OK);
    total = allocation_count();
    ck_assert_uint_gt(total, 50);
    for (size_t n = 1; n <= total; n++) {
        allocation_fail_at(n);
        r = parse_and_encode();
        allocation_fail_at(0);
        /* jansson sometimes takes want of memory for a fault in the text. */
        ck_assert_msg(r == ATLS_E_NOMEM || r == ATLS_E_CRYPTO
                          || r == ATLS_E_MALFORMED,
                      "allocation %zu of %zu: %d", n, total, (int)r);
    }
    ck_assert_int_eq(parse_and_encode(), ATLS_OK);
    json_set_alloc_funcs(malloc, free);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static const struct suite_test tests[] = {
    ONCE(test_record_is_the_documented_one),
    ONCE(test_record_escapes),
    ONCE(test_systemds_log_is_read),
    LOOP(test_accepted, 0, COUNT(accepted)),
    LOOP(test_malformed, 0, COUNT(malformed)),
    ONCE(test_T15_cut_at_every_octet),
    LOOP(test_R2_limits, 0, COUNT(limits)),
    ONCE(test_content_is_legal),
    ONCE(test_read),
    ONCE(test_read_only_regular_files),
    ONCE(test_R2_read_size_limit),
    ONCE(test_T15_read_waits_for_systemd_only),
    ONCE(test_R3_allocations_fail),
};

SUITE(.name = "measured_log", .begin = allocation_install,
      .cases = {CASE("measured_log", tests, 60, setup, teardown)});
