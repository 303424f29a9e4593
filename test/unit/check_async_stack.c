/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/asynccase.h"
#include "lib/quotercase.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/swtpm.h"

/*
 * A job of OpenSSL's has a stack of 32 KiB. All that we do in a handshake has to
 * find room there, with some to spare for a signal and its handler. (Sanitizers
 * make frames larger: not with them.)
 */

#define STACK_OCTETS 32768u
#define SPARE_OCTETS (6u * 1024)
#define PAINT 0xa5
#define STACKS_MAX 64

static struct asynclink one;
static unsigned char *stacks[STACKS_MAX];
static size_t stack_count;

/* What is as large as a stack may be one. */
static void *paint(size_t len, const char *file, int line)
{
    unsigned char *data = malloc(len);

    (void)file, (void)line;
    if (len == STACK_OCTETS && data != NULL && stack_count < STACKS_MAX) {
        memset(data, PAINT, len);
        stacks[stack_count++] = data;
    }
    return data;
}

static void *move(void *data, size_t len, const char *file, int line)
{
    (void)file, (void)line;
    return realloc(data, len);
}

static void forget(void *data, const char *file, int line)
{
    (void)file, (void)line;
    for (size_t i = 0; i < stack_count; i++) {
        if (stacks[i] == data)
            stacks[i--] = stacks[--stack_count];
    }
    free(data);
}

/* Octets that nobody wrote, at the low end of the stack with the fewest. */
static size_t untouched(void)
{
    size_t least = STACK_OCTETS;

    for (size_t i = 0; i < stack_count; i++) {
        size_t octets = 0;

        while (octets < least && stacks[i][octets] == PAINT)
            octets++;
        least = octets;
    }
    return least;
}

static void expect_room(const char *what)
{
    ck_assert_uint_gt(stack_count, 0);
    ck_assert_msg(untouched() >= SPARE_OCTETS, "%s: %zu octets are left", what,
                  untouched());
}

static void set_up(void)
{
    /* A report with everything in it, too. */
    setenv("ATTEST_REPORT", "/dev/null", 1);
    asynccase_set_up();
}

static void tear_down(void)
{
    asynclink_free(&one);
    asynccase_tear_down();
}

START_TEST(test_evidence_is_made)
{
    asynclink_park(&one);
    ck_assert(asynclink_finish(&one));
    expect_room("server");
}
END_TEST

/* The reason is logged and raised. */
START_TEST(test_evidence_cannot_be_made)
{
    asynccase_configure("100", NULL);
    quotercase_hold(true);
    asynclink_park(&one);
    asynclink_expect_refusal(&one, "the TPM ");
    expect_room("refused server");
}
END_TEST

/* Clients of such programs appraise in a job. */
START_TEST(test_evidence_is_appraised)
{
    SSL_CTX_clear_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
    asynclink_new(&one);
    SSL_set_mode(one.client, SSL_MODE_ASYNC);
    ck_assert_int_eq(asynclink_begin(&one), SSL_ERROR_WANT_READ);
    ck_assert(asynclink_finish(&one));
    expect_room("client");
}
END_TEST

/* A policy that has changed is read by the handshake that begins. */
START_TEST(test_policy_is_read)
{
    SSL_CTX_clear_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
    asynccase_extend_policy(_i == 0 ? "# changed\n"
                                    : "component.a-component = sha256:wrong\n");
    asynclink_new(&one);
    SSL_set_mode(one.client, SSL_MODE_ASYNC);
    if (_i == 0)
        ck_assert(asynclink_begin(&one) == SSL_ERROR_WANT_READ
                  && asynclink_finish(&one));
    else
        ck_assert_int_eq(SSL_get_error(one.client, SSL_connect(one.client)),
                         SSL_ERROR_SSL);
    expect_room(_i == 0 ? "good policy" : "broken policy");
}
END_TEST

static const char *skip(void)
{
#ifdef __SANITIZE_ADDRESS__
    return "AddressSanitizer has stacks of its own";
#else
    return swtpm_missing();
#endif
}

static void begin(void)
{
    if (!CRYPTO_set_mem_functions(paint, move, forget))
        exit(EXIT_FAILURE);
}

static const struct suite_test tests[] = {
    ONCE(test_evidence_is_made),
    ONCE(test_evidence_cannot_be_made),
    ONCE(test_evidence_is_appraised),
    LOOP(test_policy_is_read, 0, 2),
};

SUITE(.name = "async_stack", .skip = skip, .begin = begin,
      .cases = {CASE("with a swtpm", tests, 60, set_up, tear_down)});
