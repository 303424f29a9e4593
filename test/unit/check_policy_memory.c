/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "unit/policy_certificates.h"
#include "verifier/policy.h"

/*
 * R3: each allocation of loading a policy fails once, alone or with all that
 * follow. Not lib/allocation.h: there the later ones always fail too, and would
 * hide that the first failure was overlooked.
 */

#define HEX32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct {
    bool is_armed;
    bool stays; /* once one has failed, all do */
    size_t left;
    size_t failed;
} memory;

static bool fails(void)
{
    if (!memory.is_armed)
        return false;
    if (memory.left > 0) {
        memory.left--;
        return false;
    }
    if (memory.failed > 0 && !memory.stays)
        return false;
    memory.failed++;
    return true;
}

static void *test_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : malloc(size);
}

static void *test_realloc(void *data, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : realloc(data, size);
}

static void test_free(void *data, const char *file, int line)
{
    (void)file;
    (void)line;
    free(data);
}

/* All that has keys of its own to allocate for, and a warning. */
#define WITHOUT_TRUST                                 \
    "[policy]\n"                                      \
    "servers = a\n"                                   \
    "otherwise = off\n"                               \
    "nameless = refuse\n"                             \
    "[golden]\n"                                      \
    "pcr.4 = " HEX32 "\n"                             \
    "component.y = sha256:" HEX32 "\n"                \
    "[a]\n"                                           \
    "reference = golden\n"                            \
    "names = a.example, *.b.example\n"                \
    "machines = m.example\n"                          \
    "ak_eku = 2.23.133.8.3 1.3.6.1.4.1.311.10.3.12\n" \
    "pcr.15 = " HEX32 " " HEX32 "\n"                  \
    "component.x = sha256:" HEX32 "\n"                \
    "events = machine-id:*\n"

static void set_up(void)
{
    scratch_make();
    scratch_write("roots.pem", PEM_ROOT, strlen(PEM_ROOT), 0600);
    scratch_write("ak.crl", PEM_CRL, strlen(PEM_CRL), 0600);
}

static void write_policy(const char *text)
{
    scratch_write("policy.cnf", text, strlen(text), 0600);
}

/* Load with the allocation after so many failing. Returns whether there was
 * one. */
static bool load(const char *path, size_t allocations, bool stays,
                 struct atls_reason *why, struct atls_policy **ret_policy,
                 enum atls_error *ret_r)
{
    memory.left = allocations;
    memory.failed = 0;
    memory.stays = stays;
    memory.is_armed = true;
    *ret_r = atls_policy_load(path, why, ret_policy);
    memory.is_armed = false;
    return memory.failed > 0;
}

/* Anchors and CRLs. */
static int object_count(const struct atls_policy *policy)
{
    const struct atls_section *section = atls_policy_section(policy, 0);

    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(section->trust);
    int count = sk_X509_num(anchors)
                + (section->crls == NULL ? 0 : sk_X509_CRL_num(section->crls));

    sk_X509_pop_free(anchors, X509_free);
    return count;
}

/* What OpenSSL sets up once for a process it does not try twice: the tests that
 * go on after a failure begin behind that. */
static void warm_up(const char *path)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r = ATLS_OK;

    ck_assert(!load(path, SIZE_MAX, false, &why, &policy, &r));
    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    atls_policy_unref(policy);
}

/* What the child of survives_cold() finds. */
enum cold { COLD_NO_FAILURE, COLD_SURVIVED, COLD_HALF_POLICY, COLD_CRASHED };

static enum cold load_cold(const char *path, size_t allocations)
{
    struct atls_policy *policy = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = ATLS_OK;
    bool had_failure = load(path, allocations, false, &why, &policy, &r);
    bool is_half = r == ATLS_OK && object_count(policy) != 1;

    atls_policy_unref(policy);
    if (is_half)
        return COLD_HALF_POLICY;
    return had_failure ? COLD_SURVIVED : COLD_NO_FAILURE;
}

/* In a process of its own, before anything was set up: no crash, and never half
 * a policy. Returns whether there were that many allocations. */
static bool survives_cold(const char *path, size_t allocations)
{
    uint8_t found = COLD_CRASHED;
    int fds[2];
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        found = (uint8_t)load_cold(path, allocations);
        if (write(fds[1], &found, 1) == 1)
            /* No exit: leak checkers would find what OpenSSL loses when its
             * set-up fails half way. */
            raise(SIGKILL);
        _exit(1);
    }
    close(fds[1]);
    (void)!read(fds[0], &found, 1);
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_msg(found == COLD_NO_FAILURE || found == COLD_SURVIVED,
                  "allocation %zu: %d", allocations, found);
    return found == COLD_SURVIVED;
}

/* First of all, so that a warm-up without forks does not reach it. A stride, as
 * there are thousands. */
START_TEST(test_R3_cold)
{
    const char *path = scratch_path("policy.cnf");
    size_t count = 0;

    write_policy(WITHOUT_TRUST "mode = require\ntrust = roots.pem\n");
    while (survives_cold(path, count))
        count += 97;
    ck_assert_uint_gt(count, 500);
}
END_TEST

/* Where all allocations are ours, or of functions that report their failure,
 * each failure refuses the policy. */
START_TEST(test_R3_every_failure_refuses)
{
    const char *path = scratch_path("policy.cnf");
    size_t count = 0;

    write_policy(".include rest.cnf");
    scratch_write("rest.cnf", WITHOUT_TRUST "mode = off\n",
                  strlen(WITHOUT_TRUST "mode = off\n"), 0600);
    warm_up(path);
    for (;; count++) {
        struct atls_reason why = {.code = ATLS_OK};
        struct atls_policy *policy = NULL;
        enum atls_error r = ATLS_OK;

        if (!load(path, count, _i == 1, &why, &policy, &r)) {
            ck_assert_msg(r == ATLS_OK, "%s", why.text);
            ck_assert_ptr_nonnull(atls_policy_warning(policy, 0));
            atls_policy_unref(policy);
            break;
        }
        ck_assert_msg(r == ATLS_E_NOMEM && why.code == ATLS_E_NOMEM,
                      "allocation %zu: %s, '%s'", count, atls_error_name(r),
                      why.text);
        ck_assert_ptr_nonnull(strstr(why.text, "out of memory"));
        ck_assert_ptr_null(policy);
        ck_assert_uint_eq(ERR_peek_error(), 0);
    }
    ck_assert_uint_gt(count, 20);
}
END_TEST

/* OpenSSL does without some memory while it looks for decoders: then the policy
 * is whole, or refused. */
START_TEST(test_R3_no_half_trust)
{
    const char *path = scratch_path("policy.cnf");
    size_t refusals = 0;

    write_policy(WITHOUT_TRUST "mode = require\ntrust = roots.pem\n"
                               "crl = ak.crl\n");
    warm_up(path);
    for (size_t count = 0;; count++) {
        struct atls_reason why = {.code = ATLS_OK};
        struct atls_policy *policy = NULL;
        enum atls_error r = ATLS_OK;
        bool had_failure = load(path, count, _i == 1, &why, &policy, &r);

        if (r == ATLS_OK) {
            ck_assert_int_eq(object_count(policy), 2);
        } else {
            ck_assert_str_ne(why.text, "");
            refusals++;
        }
        ck_assert_uint_eq(ERR_peek_error(), 0);
        atls_policy_unref(policy);
        if (!had_failure) {
            ck_assert_msg(r == ATLS_OK, "%s", why.text);
            break;
        }
    }
    ck_assert_uint_gt(refusals, 50);
}
END_TEST

static void begin(void)
{
    /* Before the first allocation, or OpenSSL takes them no more. */
    if (!CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free))
        exit(EXIT_FAILURE);
    /* OpenSSL is up where a provider is loaded. From 3.2 a failure before that
     * raises an error, which waits without end for the set-up it is part of. */
    ERR_clear_error();
}

static const struct suite_test tests[] = {
    ONCE(test_R3_cold),
    LOOP(test_R3_every_failure_refuses, 0, 2),
    LOOP(test_R3_no_half_trust, 0, 2),
};

SUITE(.name = "policy_memory", .begin = begin,
      .cases = {CASE("policy_memory", tests, 300, set_up, scratch_remove)});
