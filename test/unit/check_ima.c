/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/verify/ima.c and ima_template.c. The logs are made here from
 * fields, as Linux documents them, in both forms. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/digest.h"
#include "tools/verify/ima.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/swtpm.h"
#include "lib/tcglog.h"
#include "lib/vectors.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define HEX20 "00112233445566778899aabbccddeeff01234567"
#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATH "/usr/bin/bash"

/* --- a log in both forms ------------------------------------------------------ */

enum field_kind { END = 0, NAME, DIGEST, HEX, OCTETS };

/* As the text shows it. OCTETS: binary data of which the text does not tell. */
struct field {
    enum field_kind kind;
    const char *text;
};

struct entry {
    const char *template;
    struct field fields[10]; /* the last one END */
};

static struct tcglog binary;
static struct tcglog ascii;
static struct tcglog data; /* of one entry, as the kernel hashes them */

/* What a PCR has after the entries so far, as Linux extends it. */
static const struct {
    uint16_t alg;
    const char *ossl;
    size_t len;
} banks[] = {
    {TPM2_ALG_SHA1, "SHA1", 20},
    {TPM2_ALG_SHA256, "SHA2-256", 32},
    {TPM2_ALG_SHA384, "SHA2-384", 48},
    {TPM2_ALG_SHA512, "SHA2-512", 64},
};

struct pcr {
    uint8_t own[COUNT(banks)][ATLS_PCR_DIGEST_MAX];    /* since 5.8 */
    uint8_t padded[COUNT(banks)][ATLS_PCR_DIGEST_MAX]; /* before */
};

static struct pcr pcr10;

static void extend(size_t bank, uint8_t *value, const uint8_t *digest)
{
    const size_t len = banks[bank].len;
    const struct atls_span parts[2] = {{value, len}, {digest, len}};

    ck_assert_int_eq(atls_hash_parts(banks[bank].ossl, parts, 2, value, NULL),
                     ATLS_OK);
}

static void hash_data(const char *ossl, uint8_t *ret)
{
    const struct atls_span span = {data.octets, data.len};

    ck_assert_int_eq(atls_hash_parts(ossl, &span, 1, ret, NULL), ATLS_OK);
}

static void extend_data(const uint8_t sha1[20])
{
    for (size_t i = 0; i < COUNT(banks); i++) {
        uint8_t digest[ATLS_PCR_DIGEST_MAX] = {0};

        memcpy(digest, sha1, 20);
        extend(i, pcr10.padded[i], digest);
        hash_data(banks[i].ossl, digest);
        extend(i, pcr10.own[i], digest);
    }
}

static void extend_violation(void)
{
    for (size_t i = 0; i < COUNT(banks); i++) {
        uint8_t digest[ATLS_PCR_DIGEST_MAX] = {0};

        memset(digest, 0xff, 20);
        extend(i, pcr10.padded[i], digest);
        memset(digest, 0xff, sizeof(digest));
        extend(i, pcr10.own[i], digest);
    }
}

static void put_text(struct tcglog *log, const char *text)
{
    tcglog_put(log, text, strlen(text));
}

static size_t put_hex(struct tcglog *log, const char *hex)
{
    static uint8_t octets[4096];
    size_t len;

    ck_assert(atls_unhex(hex, octets, sizeof(octets), &len));
    if (log != NULL)
        tcglog_put(log, octets, len);
    return len;
}

/* A field in the data, with its length before it. */
static void put_field(const struct field *field)
{
    const char *hex = strrchr(field->text, ':');
    size_t label_len;

    switch (field->kind) {
    case NAME:
        tcglog_u32(&data, (uint32_t)strlen(field->text) + 1);
        tcglog_put(&data, field->text, strlen(field->text) + 1);
        break;
    case DIGEST: /* "sha256:", NUL, octets */
        ck_assert_ptr_nonnull(hex);
        label_len = (size_t)(hex + 1 - field->text);
        tcglog_u32(&data, (uint32_t)(label_len + 1 + put_hex(NULL, hex + 1)));
        tcglog_put(&data, field->text, label_len);
        tcglog_put(&data, "", 1);
        put_hex(&data, hex + 1);
        break;
    case HEX:
        tcglog_u32(&data, (uint32_t)put_hex(NULL, field->text));
        put_hex(&data, field->text);
        break;
    default:
        tcglog_u32(&data, (uint32_t)strlen(field->text));
        put_text(&data, field->text);
        break;
    }
}

static void put_head(unsigned pcr, const uint8_t sha1[20], const char *template)
{
    char hex[41];
    char head[80];

    tcglog_u32(&binary, pcr);
    tcglog_put(&binary, sha1, 20);
    tcglog_u32(&binary, (uint32_t)strlen(template));
    put_text(&binary, template);
    atls_hex(sha1, 20, hex);
    (void)snprintf(head, sizeof(head), "%2u %s %s", pcr, hex, template);
    put_text(&ascii, head);
}

/* Of the template "ima": another layout, and hashed in yet another. */
static void add_original(unsigned pcr, const struct entry *entry)
{
    static const uint8_t zeros[256];
    const char *name = entry->fields[1].text;
    uint8_t sha1[20];

    put_hex(&data, entry->fields[0].text);
    put_text(&data, name);
    tcglog_put(&data, zeros, 256 - strlen(name));
    hash_data("SHA1", sha1);
    put_head(pcr, sha1, entry->template);
    put_hex(&binary, entry->fields[0].text);
    tcglog_u32(&binary, (uint32_t)strlen(name));
    put_text(&binary, name);
    extend_data(sha1);
}

static void add_entry_of(unsigned pcr, const struct entry *entry,
                         bool is_violation)
{
    uint8_t sha1[20] = {0};

    data.len = 0;
    if (strcmp(entry->template, "ima") == 0) {
        add_original(pcr, entry);
    } else {
        for (const struct field *f = entry->fields; f->kind != END; f++)
            put_field(f);
        if (!is_violation)
            hash_data("SHA1", sha1);
        put_head(pcr, sha1, entry->template);
        tcglog_u32(&binary, (uint32_t)data.len);
        tcglog_put(&binary, data.octets, data.len);
        if (is_violation)
            extend_violation();
        else if (pcr == 10)
            extend_data(sha1);
    }
    for (const struct field *f = entry->fields; f->kind != END; f++) {
        put_text(&ascii, " ");
        put_text(&ascii, f->kind == OCTETS ? "?" : f->text);
    }
    put_text(&ascii, "\n");
}

static void add(const struct entry *entry)
{
    add_entry_of(10, entry, false);
}

static const struct entry aggregate = {
    "ima-ng", {{DIGEST, "sha256:" HEX32}, {NAME, "boot_aggregate"}}};

/* --- parsing and matching ----------------------------------------------------- */

static struct atls_span octets;
static struct atls_ima_log parsed;
static struct atls_reason why;

static void setup(void)
{
    binary.len = 0;
    ascii.len = 0;
    memset(&pcr10, 0, sizeof(pcr10));
    octets = (struct atls_span){NULL, 0};
    parsed = (struct atls_ima_log){0};
}

static void forget(void)
{
    atls_ima_log_clear(&parsed);
    free((void *)(uintptr_t)octets.data);
    octets = (struct atls_span){NULL, 0};
}

static enum atls_error parse_cut(const struct tcglog *log, size_t len)
{
    forget();
    why = (struct atls_reason){.code = ATLS_OK};
    octets = tcglog_exact(log, len);
    return atls_ima_log_parse(octets, &why, &parsed);
}

static void expect_parsed(const struct tcglog *log, size_t count)
{
    ck_assert_msg(parse_cut(log, log->len) == ATLS_OK, "%s", why.text);
    ck_assert_uint_eq(parsed.count, count);
    ck_assert_int_eq(parsed.is_binary, log == &binary);
}

static enum atls_error match(size_t bank, const uint8_t *value,
                             size_t *ret_matched)
{
    why = (struct atls_reason){.code = ATLS_OK};
    return atls_ima_log_match(&parsed, banks[bank].alg, 10, value, &why,
                              ret_matched);
}

static void expect_match(size_t bank, const uint8_t *value, size_t expected)
{
    size_t matched = 99;

    ck_assert_msg(match(bank, value, &matched) == ATLS_OK, "%s: %s",
                  banks[bank].ossl, why.text);
    ck_assert_uint_eq(matched, expected);
}

static void expect_matches(const struct pcr *pcr, size_t expected)
{
    for (size_t i = 0; i < COUNT(banks); i++) {
        expect_match(i, pcr->own[i], expected);
        expect_match(i, pcr->padded[i], expected);
    }
}

static void expect_no_match(size_t bank, const uint8_t *value, const char *text)
{
    size_t matched = 99;

    ck_assert_int_eq(match(bank, value, &matched), ATLS_E_LOG_REPLAY);
    ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
    ck_assert_uint_lt(strlen(why.text), ATLS_REASON_MAX - 1);
    ck_assert_uint_eq(matched, 99);
}

static void expect_text(struct atls_span span, const char *expected)
{
    ck_assert_uint_eq(span.len, strlen(expected));
    if (span.len > 0)
        ck_assert_mem_eq(span.data, expected, span.len);
}

/* --- templates ---------------------------------------------------------------- */

static const struct {
    struct entry entry;
    const char *path;
} templates[] = {
    {{"ima", {{HEX, HEX20}, {NAME, PATH}}}, PATH},
    {{"ima", {{HEX, HEX20}, {NAME, ""}}}, ""},
    {{"ima-ng", {{DIGEST, "sha256:" HEX32}, {NAME, PATH}}}, PATH},
    {{"ima-ng", {{DIGEST, "sha1:" HEX20}, {NAME, PATH}}}, PATH},
    {{"ima-ngv2", {{DIGEST, "verity:sha256:" HEX32}, {NAME, PATH}}}, PATH},
    {{"ima-sig", {{DIGEST, "sha256:" HEX32}, {NAME, PATH}, {HEX, "030204"}}},
     PATH},
    {{"ima-sig", {{DIGEST, "sha256:" HEX32}, {NAME, PATH}, {HEX, ""}}}, PATH},
    {{"ima-sigv2",
      {{DIGEST, "ima:sha512:" HEX32 HEX32}, {NAME, PATH}, {HEX, "030204"}}},
     PATH},
    {{"ima-buf",
      {{DIGEST, "sha256:" HEX32}, {NAME, "kexec-cmdline"}, {HEX, "726f6f74"}}},
     "kexec-cmdline"},
    {{"ima-modsig",
      {{DIGEST, "sha256:" HEX32},
       {NAME, PATH},
       {HEX, ""},
       {DIGEST, "sha256:" HEX32},
       {HEX, "3082"}}},
     PATH},
    {{"ima-modsig",
      {{DIGEST, "sha256:" HEX32},
       {NAME, PATH},
       {HEX, "030204"},
       {HEX, ""},
       {HEX, ""}}},
     PATH},
    {{"n-ng|d-ng", {{NAME, PATH}, {DIGEST, "sha256:" HEX32}}}, PATH},
    {{"d-ng", {{DIGEST, "sha256:" HEX32}}}, ""},
};

START_TEST(test_templates)
{
    const struct entry *entry = &templates[_i].entry;
    const struct tcglog *const forms[] = {&binary, &ascii};

    add(&aggregate);
    add(entry);
    for (size_t i = 0; i < COUNT(forms); i++) {
        expect_parsed(forms[i], 2);
        ck_assert_uint_eq(parsed.events[1].pcr, 10);
        expect_text(parsed.events[0].path, "boot_aggregate");
        expect_text(parsed.events[1].template, entry->template);
        expect_text(parsed.events[1].path, templates[_i].path);
        expect_matches(&pcr10, 2);
    }
}
END_TEST

/* Replayed by another implementation. */
START_TEST(test_vectors)
{
    struct tcglog *log = _i == 0 ? &binary : &ascii;
    struct vector vector;

    vector_octets("logs.txt", "ima", _i == 0 ? "binary" : "ascii", &vector);
    tcglog_put(log, vector.data, vector.len);
    expect_parsed(log, 7);
    expect_text(parsed.events[5].path, "/init");
    vector_octets("logs.txt", "ima", "pcr.10", &vector);
    expect_match(1, vector.data, 7);
    vector_octets("logs.txt", "ima", "pcr.10.before-5.8", &vector);
    expect_match(1, vector.data, 7);
}
END_TEST

/* Some tools strip what stands at the end of a line. */
START_TEST(test_empty_signature_without_its_space)
{
    static const struct entry entry = {
        "ima-sig", {{DIGEST, "sha256:" HEX32}, {NAME, PATH}, {HEX, ""}}};

    add(&entry);
    ascii.len -= 2;
    put_text(&ascii, "\n");
    expect_parsed(&ascii, 1);
    expect_matches(&pcr10, 1);
}
END_TEST

/* Text that does not tell all of the data goes where the data are not hashed. */
static const struct entry opaque[] = {
    {"evm-sig",
     {{DIGEST, "sha256:" HEX32},
      {NAME, PATH},
      {HEX, "05"},
      {OCTETS, "security.ima"},
      {OCTETS, "\1\2"},
      {OCTETS, "ab"},
      {OCTETS, "\1\1\1\1"},
      {OCTETS, "\1\1\1\1"},
      {OCTETS, "\1\1"}}},
    {"tomorrow", {{OCTETS, "abc"}}},
};

START_TEST(test_templates_whose_text_is_not_enough)
{
    add(&aggregate);
    add(&opaque[_i]);
    expect_parsed(&binary, 2);
    expect_text(parsed.events[1].path, _i == 0 ? PATH : "");
    expect_matches(&pcr10, 2);
    expect_parsed(&ascii, 2);
    expect_text(parsed.events[1].path, _i == 0 ? PATH : "");
    for (size_t i = 0; i < COUNT(banks); i++) {
        expect_match(i, pcr10.padded[i], 2);
        if (i > 0)
            expect_no_match(i, pcr10.own[i],
                            _i == 0 ? "IMA log: entry 2: the text of template "
                                      "evm-sig does not tell its data; read "
                                      "binary_runtime_measurements instead"
                                    : "template tomorrow");
    }
}
END_TEST

/* Fields that are not what their template says cannot be turned into data. */
static const char *const odd_fields[] = {
    "sha256:" HEX32,         /* no name: of no length */
    "sha256:" HEX32 " /a b", /* one too many */
    "sha256:" HEX32 "0 /a",  /* half an octet */
    "sha256:" HEX32 "xx /a", HEX32 " /a",
};

START_TEST(test_fields_that_do_not_fit)
{
    uint8_t value[32] = {1};

    put_text(&ascii, "10 " HEX20 " ima-ng ");
    put_text(&ascii, odd_fields[_i]);
    put_text(&ascii, "\n");
    expect_parsed(&ascii, 1);
    expect_no_match(1, value, "IMA log: entry 1");
}
END_TEST

START_TEST(test_violations)
{
    add(&aggregate);
    add_entry_of(10, &templates[2].entry, true);
    add(&templates[2].entry);
    expect_parsed(&binary, 3);
    expect_matches(&pcr10, 3);
    expect_parsed(&ascii, 3);
    expect_matches(&pcr10, 3);
}
END_TEST

/* The kernel goes on measuring after the quote. */
START_TEST(test_log_that_has_grown)
{
    struct pcr before = pcr10;

    add(&aggregate);
    add_entry_of(11, &templates[2].entry, false);
    expect_parsed(&binary, 2);
    expect_matches(&before, 0);
    expect_matches(&pcr10, 1);
    before = pcr10;
    add(&templates[2].entry);
    add(&templates[3].entry);
    expect_parsed(&ascii, 4);
    expect_matches(&before, 1);
    expect_matches(&pcr10, 4);
}
END_TEST

START_TEST(test_pcr_of_another_machine)
{
    uint8_t value[ATLS_PCR_DIGEST_MAX] = {0x12, 0x34};
    char text[ATLS_REASON_MAX];
    char hex[17];

    add(&aggregate);
    add_entry_of(9, &templates[2].entry, false);
    expect_parsed(&ascii, 2);
    atls_hex(pcr10.own[1], 8, hex);
    (void)snprintf(text, sizeof(text),
                   "IMA log: no beginning of its 1 entries of PCR 10 replays "
                   "to it (sha256): expected 1234000000000000..., all give "
                   "%s...; is the log complete and of this machine?",
                   hex);
    expect_no_match(1, value, text);
    expect_no_match(0, value, "(sha1): expected 1234000000000000...");
}
END_TEST

/* Where only SHA-1 is extended the name of a file could be any. */
START_TEST(test_E9_changed_name)
{
    static const char *const text =
        "IMA log: entry 2 (/usr/bin/bish): its digest is not that of its data; "
        "the log was changed";
    const struct tcglog *const forms[] = {&binary, &ascii};
    size_t from_end[] = {4, 4};

    add(&aggregate);
    add(&templates[2].entry);
    for (size_t i = 0; i < COUNT(forms); i++) {
        expect_parsed(forms[i], 2);
        ck_assert_int_eq(octets.data[octets.len - from_end[i]], 'a');
        ((uint8_t *)(uintptr_t)octets.data)[octets.len - from_end[i]] = 'i';
        for (size_t bank = 0; bank < COUNT(banks); bank++) {
            expect_no_match(bank, pcr10.own[bank], text);
            expect_no_match(bank, pcr10.padded[bank], text);
        }
    }
}
END_TEST

START_TEST(test_bank_that_is_none)
{
    size_t matched;

    ck_assert_int_eq(atls_ima_log_match(&parsed, TPM2_ALG_SM3_256, 10,
                                        pcr10.own[1], &why, &matched),
                     ATLS_E_INTERNAL);
}
END_TEST

START_TEST(test_E11_empty_log)
{
    static const uint8_t zeros[ATLS_PCR_DIGEST_MAX];
    size_t matched = 99;

    ck_assert_int_eq(parse_cut(&ascii, 0), ATLS_OK);
    ck_assert_uint_eq(parsed.count, 0);
    ck_assert_int_eq(match(1, zeros, &matched), ATLS_OK);
    ck_assert_uint_eq(matched, 0);
    atls_ima_log_clear(&parsed);
    ck_assert_int_eq(
        atls_ima_log_parse((struct atls_span){NULL, 0}, &why, &parsed),
        ATLS_OK);
}
END_TEST

/* --- what is wrong ------------------------------------------------------------ */

#define OCTETS20 "01234567890123456789"
#define LE(n) n "\0\0\0"
#define HUGE_LEN "\xff\xff\xff\xff"

#define LINE(fields) "10 " HEX20 " ima-ng " fields

static const struct {
    size_t len; /* 0: text */
    const char *octets;
    enum atls_error code;
    const char *text;
} bad_logs[] = {
    {2, "\x0a\x00", ATLS_E_TRUNCATED,
     "IMA log: entry 1 at octet 0: the log ends within its PCR"},
    {4, LE("\x18"), ATLS_E_MALFORMED, "it is of PCR 24, expected 0 to 23"},
    {4, LE("\x20"), ATLS_E_MALFORMED, "it is of PCR 32, expected 0 to 23"},
    {4, HUGE_LEN, ATLS_E_MALFORMED,
     "it is of PCR 4294967295, expected 0 to 23"},
    {4, LE("\x0a"), ATLS_E_TRUNCATED, "the log ends within its digest"},
    {23, LE("\x0a") OCTETS20, ATLS_E_TRUNCATED,
     "the log ends within its digest"},
    {27, LE("\x0a") OCTETS20 "\1\0\0", ATLS_E_TRUNCATED,
     "the log ends within its template name"},
    {29, LE("\x0a") OCTETS20 HUGE_LEN "x", ATLS_E_TRUNCATED,
     "the log ends within its template name"},
    {31, LE("\x0a") OCTETS20 LE("\1") "x\1\0", ATLS_E_TRUNCATED,
     "the log ends within its template data"},
    {34, LE("\x0a") OCTETS20 LE("\1") "x" HUGE_LEN "x", ATLS_E_TRUNCATED,
     "the log ends within its template data"},
    {51, LE("\x0a") OCTETS20 LE("\3") "ima" OCTETS20, ATLS_E_TRUNCATED,
     "the log ends within its template data"},
    {55, LE("\x0a") OCTETS20 LE("\3") "ima" OCTETS20 HUGE_LEN, ATLS_E_MALFORMED,
     "the name of its file has 4294967295 octets, at most 255 are possible"},
    {55, LE("\x0a") OCTETS20 LE("\3") "ima" OCTETS20 "\xff\0\0\0",
     ATLS_E_TRUNCATED, "the log ends within its template data"},
    {0, " \n", ATLS_E_MALFORMED,
     "expected a PCR from 0 to 23 at its beginning"},
    {0, "24 " HEX20 " ima-ng x y\n", ATLS_E_MALFORMED,
     "expected a PCR from 0 to 23 at its beginning"},
    {0, "010 " HEX20 " ima-ng x y\n", ATLS_E_MALFORMED,
     "expected a PCR from 0 to 23 at its beginning"},
    {0, "1x " HEX20 " ima-ng x y\n", ATLS_E_MALFORMED,
     "expected a PCR from 0 to 23 at its beginning"},
    {0, "10\n", ATLS_E_MALFORMED,
     "expected a PCR from 0 to 23 at its beginning"},
    {0, "10 " HEX20 "\n", ATLS_E_MALFORMED,
     "expected a SHA-1 digest of 40 hex digits behind the PCR"},
    {0, "10 " HEX32 " ima-ng x y\n", ATLS_E_MALFORMED,
     "expected a SHA-1 digest of 40 hex digits behind the PCR"},
    {0, "10 x0112233445566778899aabbccddeeff01234567 ima-ng x y\n",
     ATLS_E_MALFORMED,
     "expected a SHA-1 digest of 40 hex digits behind the PCR"},
    {0, "10 " HEX20 " ima-ng\n", ATLS_E_MALFORMED,
     "expected a template and its fields behind the digest"},
    {0, LINE("x y"), ATLS_E_TRUNCATED, "the log ends within its line"},
    {0, LINE("x y\n") " 9 ", ATLS_E_TRUNCATED,
     "IMA log: entry 2 at octet 55: the log ends within its line"},
};

START_TEST(test_E11_boundaries)
{
    size_t len = bad_logs[_i].len;

    tcglog_put(&binary, bad_logs[_i].octets,
               len > 0 ? len : strlen(bad_logs[_i].octets));
    ck_assert_int_eq(parse_cut(&binary, binary.len), bad_logs[_i].code);
    ck_assert_msg(strstr(why.text, bad_logs[_i].text) != NULL, "%s", why.text);
    ck_assert_ptr_null(parsed.events);
}
END_TEST

/* Data of a known template whose fields are not there: no name, no crash. */
START_TEST(test_E11_fields_longer_than_the_data)
{
    static const char log[] =
        LE("\x0a") OCTETS20 LE("\6") "ima-ng" LE("\x09") LE("\1") "x" HUGE_LEN;

    tcglog_put(&binary, log, sizeof(log) - 1);
    expect_parsed(&binary, 1);
    expect_text(parsed.events[0].path, "");
}
END_TEST

START_TEST(test_E11_too_many_entries)
{
    static const char entry[] = LE("\x0a") OCTETS20 LE("\0") LE("\0");
    const size_t len = sizeof(entry) - 1;
    uint8_t *log = malloc(len * (ATLS_IMA_EVENTS_MAX + 1));

    ck_assert_ptr_nonnull(log);
    for (size_t i = 0; i <= ATLS_IMA_EVENTS_MAX; i++)
        memcpy(log + i * len, entry, len);
    ck_assert_int_eq(
        atls_ima_log_parse(
            (struct atls_span){log, len * (ATLS_IMA_EVENTS_MAX + 1)}, &why,
            &parsed),
        ATLS_E_LIMIT);
    ck_assert_str_eq(why.text, "IMA log: entry 262145 at octet 8388608: more "
                               "than 262144 entries");
    ck_assert_int_eq(
        atls_ima_log_parse((struct atls_span){log, len * ATLS_IMA_EVENTS_MAX},
                           &why, &parsed),
        ATLS_OK);
    free(log);
}
END_TEST

START_TEST(test_E11_too_long)
{
    const struct atls_span span = {binary.octets, (size_t)ATLS_IMA_LOG_MAX + 1};

    ck_assert_int_eq(atls_ima_log_parse(span, &why, &parsed), ATLS_E_LIMIT);
    ck_assert_str_eq(why.text,
                     "IMA log: 67108865 octets, at most 67108864 are read");
}
END_TEST

static void add_all(void)
{
    for (size_t i = 0; i < COUNT(templates); i++)
        add(&templates[i].entry);
}

/* The name of a binary entry's template is covered by no digest. */
static bool has_its_templates(void)
{
    for (size_t i = 0; i < parsed.count; i++) {
        const char *name = templates[i].entry.template;

        if (parsed.events[i].template.len != strlen(name)
            || memcmp(parsed.events[i].template.data, name, strlen(name)) != 0)
            return false;
    }
    return true;
}

START_TEST(test_E11_cut_and_changed_anywhere)
{
    const struct tcglog *log = _i == 0 ? &binary : &ascii;
    size_t matched;

    add_all();
    for (size_t len = 0; len < log->len; len++) {
        enum atls_error r = parse_cut(log, len);

        if (r == ATLS_OK)
            ck_assert_uint_le(parsed.count, COUNT(templates));
        else
            ck_assert(r == ATLS_E_TRUNCATED || r == ATLS_E_MALFORMED);
    }
    for (size_t i = 0; i < log->len; i++) {
        struct tcglog *changed = _i == 0 ? &binary : &ascii;

        changed->octets[i] ^= 0x81;
        if (parse_cut(changed, changed->len) == ATLS_OK)
            ck_assert_int_eq(match(1, pcr10.own[1], &matched) == ATLS_OK,
                             parsed.is_binary && !has_its_templates());
        else
            ck_assert_ptr_nonnull(strstr(why.text, "IMA log: entry "));
        changed->octets[i] ^= 0x81;
    }
}
END_TEST

START_TEST(test_R3_no_memory)
{
    static const enum atls_error allowed[] = {ATLS_E_NOMEM, ATLS_E_CRYPTO};
    size_t matched = 99;

    add(&aggregate);
    allocation_fail_at(1);
    ck_assert_int_eq(parse_cut(&ascii, ascii.len), ATLS_E_NOMEM);
    allocation_fail_at(0);
    expect_parsed(&ascii, 1);
    for (size_t n = 1;; n++) {
        enum atls_error r;

        allocation_fail_at(n);
        r = match(1, pcr10.own[1], &matched);
        allocation_fail_at(0);
        if (r == ATLS_OK)
            break;
        ck_assert(r == allowed[0] || r == allowed[1]);
        ck_assert_int_eq(why.code, r);
    }
    ck_assert_uint_eq(matched, 1);
}
END_TEST

/* --- a TPM -------------------------------------------------------------------- */

/* As the kernel since 5.8: SHA-1 as logged, others of the data; and before. */
static void extend_tpm(const struct swtpm *swtpm, bool is_padded)
{
    char sha1[2 * 20 + 1];
    char sha256[2 * 32 + 1];
    uint8_t digest[32];
    char command[512];

    hash_data("SHA1", digest);
    atls_hex(digest, 20, sha1);
    hash_data("SHA2-256", digest);
    atls_hex(digest, 32, sha256);
    (void)snprintf(command, sizeof(command),
                   "tpm2_pcrextend -T '%s' 10:sha1=%s,sha256=%s%s",
                   swtpm_tcti(swtpm), sha1, is_padded ? sha1 : sha256,
                   is_padded ? "000000000000000000000000" : "");
    ck_assert_int_eq(system(command), 0);
}

static void read_pcr10(const struct swtpm *swtpm, uint8_t ret[32])
{
    char command[512];
    FILE *output;

    (void)snprintf(command, sizeof(command),
                   "tpm2_pcrread -T '%s' sha256:10 -o /dev/stderr 2>&1 "
                   ">/dev/null",
                   swtpm_tcti(swtpm));
    output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    ck_assert_uint_eq(fread(ret, 1, 32, output), 32);
    ck_assert_int_eq(pclose(output), 0);
}

START_TEST(test_log_of_a_tpm)
{
    struct swtpm *swtpm = swtpm_start();
    bool is_padded = _i == 1;
    uint8_t value[32];

    ck_assert_ptr_nonnull(swtpm);
    for (size_t i = 0; i < COUNT(templates); i++) {
        add(&templates[i].entry);
        extend_tpm(swtpm, is_padded);
    }
    read_pcr10(swtpm, value);
    swtpm_stop(swtpm);
    expect_parsed(&binary, COUNT(templates));
    expect_match(1, value, COUNT(templates));
    expect_parsed(&ascii, COUNT(templates));
    expect_match(1, value, COUNT(templates));
}
END_TEST

static const struct suite_test right_tests[] = {
    LOOP(test_templates, 0, COUNT(templates)),
    LOOP(test_vectors, 0, 2),
    ONCE(test_empty_signature_without_its_space),
    LOOP(test_templates_whose_text_is_not_enough, 0, COUNT(opaque)),
    ONCE(test_violations),
    ONCE(test_log_that_has_grown),
    ONCE(test_E11_empty_log),
    LOOP(test_log_of_a_tpm, 0, 2),
};

static const struct suite_test wrong_tests[] = {
    LOOP(test_fields_that_do_not_fit, 0, COUNT(odd_fields)),
    ONCE(test_pcr_of_another_machine),
    ONCE(test_E9_changed_name),
    ONCE(test_bank_that_is_none),
    LOOP(test_E11_boundaries, 0, COUNT(bad_logs)),
    ONCE(test_E11_fields_longer_than_the_data),
    ONCE(test_E11_too_many_entries),
    ONCE(test_E11_too_long),
    LOOP(test_E11_cut_and_changed_anywhere, 0, 2),
    ONCE(test_R3_no_memory),
};

SUITE(.name = "ima", .skip = swtpm_missing, .begin = allocation_install,
      .cases = {CASE("right", right_tests, 60, setup, forget),
                CASE("wrong", wrong_tests, 120, setup, forget)});
