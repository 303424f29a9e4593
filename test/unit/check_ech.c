/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S25: Encrypted Client Hello, of OpenSSL 4.0. A connection then has two
 * ClientHellos; the client of lib/tlspair.h and its puppet server.
 */
#include "lib/suite.h"
#include "openssl_compat.h"

#if !ATLS_HAS_ECH

static const char *skip(void)
{
    return "this OpenSSL has no ECH";
}

SUITE(.name = "ech", .skip = skip, .cases = {{0}});

#else

#include <check.h>
#include <openssl/err.h>
#include <openssl/hpke.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tlspair.h"

static struct pair pair;
static OSSL_ECHSTORE *store;

static void tear_down(void)
{
    OSSL_ECHSTORE_free(store);
    store = NULL;
    pair_clear(&pair);
}

enum kind { PLAIN, REAL, GREASE, KINDS };

static void begin(enum kind kind)
{
    OSSL_HPKE_SUITE suite = OSSL_HPKE_SUITE_DEFAULT;

    pair_init(&pair, pair_policy);
    if (kind != REAL)
        return;
    store = OSSL_ECHSTORE_new(NULL, NULL);
    ck_assert_ptr_nonnull(store);
    ck_assert_int_eq(OSSL_ECHSTORE_new_config(store, OSSL_ECH_CURRENT_VERSION,
                                              0, "front.example", suite),
                     1);
    ck_assert_int_eq(SSL_CTX_set1_echstore(pair.server_ctx, store), 1);
}

static bool shake(enum kind kind, const char *name)
{
    pair_new(&pair, name);
    if (kind == REAL)
        ck_assert_int_eq(SSL_set1_echstore(pair.client, store), 1);
    if (kind == GREASE)
        SSL_set_options(pair.client, SSL_OP_ECH_GREASE);
    return pair_shake(&pair);
}

static int status(void)
{
    char *inner = NULL, *outer = NULL;
    int result = SSL_ech_get1_status(pair.server, &inner, &outer);

    OPENSSL_free(inner);
    OPENSSL_free(outer);
    return result;
}

START_TEST(test_S25_a_covered_server_proves_itself)
{
    begin((enum kind)_i);
    pair.mode = PUPPET_HONEST;
    ck_assert_msg(shake((enum kind)_i, "localhost"), "%s", pair.client_reason);
    ck_assert_uint_gt(pair.asked, 0);
    ck_assert(_i != REAL || status() == SSL_ECH_STATUS_SUCCESS);
    pair.mode = PUPPET_SILENT;
    ck_assert(!shake((enum kind)_i, "localhost"));
    ck_assert_msg(strstr(pair.client_reason, "localhost sent no attestation")
                      != NULL,
                  "%s", pair.client_reason);
    pair.mode = PUPPET_OTHER_CHANNEL;
    ck_assert(!shake((enum kind)_i, "localhost"));
    ck_assert_msg(strstr(pair.client_reason, "another connection") != NULL,
                  "%s", pair.client_reason);
}
END_TEST

/* Nothing is asked of it, and ECH goes on as without attest. */
START_TEST(test_S25_others_are_reached_as_ever)
{
    begin((enum kind)_i);
    pair.mode = PUPPET_SILENT;
    ck_assert_msg(shake((enum kind)_i, "elsewhere.example"), "%s",
                  pair.client_reason);
    ck_assert_uint_eq(pair.asked, 0);
    ck_assert(_i != REAL || status() == SSL_ECH_STATUS_SUCCESS);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S25_a_covered_server_proves_itself, 0, KINDS),
    LOOP(test_S25_others_are_reached_as_ever, 0, KINDS),
};

SUITE(.name = "ech", .cases = {CASE("ech", tests, 0, NULL, tear_down)});

#endif
