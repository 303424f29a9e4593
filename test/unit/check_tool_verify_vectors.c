/* SPDX-License-Identifier: BSD-2-Clause */
/* "attest verify" with the quotes of real machines in ../shared/vectors, each as
 * its meta.json says; skipped where that folder is missing. */
#include <dirent.h>
#include <unistd.h>

#include "lib/suite.h"
#include "unit/tool_verify.h"

#define SETS_MAX 32

static char folder[512];
static char sets[SETS_MAX][128];
static int set_count;

static const char *set_path(const char *set, const char *name)
{
    static char paths[16][1024];
    static unsigned next;
    char *path = paths[next++ % 16];

    snprintf(path, sizeof(paths[0]), "%s/%s/%s", folder, set, name);
    return path;
}

/* The first of two names that is there; NULL if none is. */
static const char *either(const char *set, const char *name, const char *other)
{
    if (access(set_path(set, name), R_OK) == 0)
        return set_path(set, name);
    return access(set_path(set, other), R_OK) == 0 ? set_path(set, other)
                                                   : NULL;
}

static json_t *expectation(const char *set)
{
    json_t *meta = json_load_file(set_path(set, "meta.json"), 0, NULL);
    json_t *expect = json_incref(json_object_get(meta, "expect"));

    json_decref(meta);
    ck_assert_msg(json_is_object(expect), "%s: no expect in meta.json", set);
    return expect;
}

static const char *nonce(const char *set)
{
    static char hex[256];
    FILE *file = fopen(set_path(set, "nonce.hex"), "r");

    ck_assert_ptr_nonnull(file);
    hex[fread(hex, 1, sizeof(hex) - 1, file)] = '\0';
    fclose(file);
    hex[strspn(hex, "0123456789abcdef")] = '\0';
    return hex;
}

/* The word for the key; chain words are set beside it. */
static void use_set(const char *set)
{
    memset(&words, 0, sizeof(words));
    words.quote = set_path(set, "quote.msg");
    words.signature = set_path(set, "quote.sig");
    words.pcrs = set_path(set, "pcrs.json");
    words.extra_data = nonce(set);
    words.public = set_path(set, "ak_pub.pem");
}

static void use_set_chain(const char *set, const char *trust, const char *at)
{
    use_set(set);
    words.public = NULL;
    words.chain = either(set, "ak_cert.pem", "ak_cert.der");
    words.chain2 = either(set, "intermediates.pem", "intermediates.der");
    words.trust = set_path(set, trust);
    words.at = at;
}

START_TEST(test_set_by_public_key)
{
    const char *set = sets[_i];
    json_t *expect = expectation(set);

    ck_assert_str_eq(
        json_string_value(json_object_get(expect, "by_public_key")), "trusted");
    json_decref(expect);
    use_set(set);
    assert_trusted();
    words.extra_data = "ff";
    assert_fails(TOOL_NO_EVIDENCE, "qualifying data: expected ff (1 octets)");
    use_set(set);
    words.pcrs = set_path(sets[(_i + 1) % set_count], "pcrs.json");
    assert_fails(strstr(set, "2023-11") == NULL
                         && strstr(words.pcrs, "2023-11") != NULL
                     ? TOOL_REFUSED /* which has 16 PCRs only */
                     : TOOL_NO_EVIDENCE,
                 strstr(words.pcrs, "2023-11") != NULL
                     ? "is quoted, but its value is not"
                     : "are not those that the TPM quoted");
}
END_TEST

START_TEST(test_E18_set_by_chain)
{
    const char *set = sets[_i];
    json_t *expect = expectation(set);
    json_t *chain = json_object_get(expect, "by_chain");
    const char *wanted = json_string_value(json_object_get(chain, "expect"));

    if (chain != NULL) {
        use_set_chain(set, json_string_value(json_object_get(chain, "trust")),
                      json_string_value(json_object_get(chain, "at")));
        if (strcmp(wanted, "trusted") == 0)
            assert_trusted();
        else
            assert_fails(TOOL_REFUSED,
                         "leads to no certificate of the policy's trust file");
    }
    if (json_object_get(expect, "without --at") != NULL) {
        words.at = NULL;
        assert_fails(TOOL_REFUSED, "expired 20");
    }
    json_decref(expect);
}
END_TEST

/* What meta.json says in words only. */
START_TEST(test_E18_padded_certificate_of_azure)
{
    const char *set = "azure-cvm-2025-12-ca03";

    use_set_chain(set, "root.pem", "2025-12-06T00:00:00Z");
    words.chain = set_path(set, "ak_cert_nv_raw.der");
    assert_trusted();
    ck_assert_ptr_nonnull(
        strstr(result.out, "ConfidentialVM.Azure.windows.net"));
    words.machines = "*.ConfidentialVM.Azure.windows.net";
    assert_trusted();
    words.machines = "*.TrustedVM.Azure.Microsoft";
    assert_fails(TOOL_REFUSED, "expected machine *.TrustedVM.Azure.Microsoft");
}
END_TEST

START_TEST(test_E18_google_has_no_root_and_another_eku)
{
    const char *set = "gce-cos85-nonce9009-sha256";

    use_set_chain(set, "intermediates.der", "2026-01-01T00:00:00Z");
    words.chain2 = NULL;
    words.eku = "2.23.133.8.1";
    assert_trusted();
    words.eku = "any";
    assert_trusted();
    words.eku = NULL;
    assert_fails(TOOL_REFUSED, "expected 2.23.133.8.3, found 2.23.133.8.1");
}
END_TEST

/* And skip where there is none. */
static const char *find_sets(void)
{
    const char *srcdir = getenv("srcdir");
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/../shared/vectors",
             srcdir != NULL ? srcdir : ".");
    dir = opendir(folder);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (set_count == SETS_MAX
            || access(set_path(entry->d_name, "meta.json"), R_OK) != 0)
            continue;
        snprintf(sets[set_count++], sizeof(sets[0]), "%.127s", entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    return set_count == 0 ? "no ../shared/vectors" : NULL;
}

/* Sets with a boot log: it replays to the PCRs that were quoted, and no more
 * when it says more. */
START_TEST(test_E11_boot_log)
{
    const char *set = sets[_i];
    static uint8_t octets[1 << 16];
    FILE *file;
    size_t len;

    if (access(set_path(set, "eventlog"), R_OK) != 0)
        return;
    use_set(set);
    words.public = set_path(set, "ak_pub.pem");
    words.boot_log = set_path(set, "eventlog");
    assert_trusted();
    ck_assert_msg(strstr(result.out,
                         "The logs replay to: bank sha256, PCRs 0 1 "
                         "2 3 4 5 6 7 8 9\n")
                      != NULL,
                  "%s", result.out);
    file = fopen(words.boot_log, "r");
    ck_assert_ptr_nonnull(file);
    len = fread(octets, 1, sizeof(octets), file);
    fclose(file);
    ck_assert_uint_lt(len, sizeof(octets));
    scratch_write("cut", octets, len - 1, 0644);
    words.boot_log = scratch_path("cut");
    assert_fails(TOOL_NO_EVIDENCE, "not the TCG's format");
}
END_TEST

static const struct suite_test tests[] = {
    UNTIL(test_set_by_public_key, &set_count),
    UNTIL(test_E18_set_by_chain, &set_count),
    UNTIL(test_E11_boot_log, &set_count),
    ONCE(test_E18_padded_certificate_of_azure),
    ONCE(test_E18_google_has_no_root_and_another_eku),
};

SUITE(.name = "tool_verify_vectors", .skip = find_sets,
      .cases = {CASE("tool_verify_vectors", tests, 0, setup, teardown)});
