/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the person sees: programs show the first error of OpenSSL's queue or the
 * last (design, fact 12), and both are ours (S30). Also TLS within the program's
 * callbacks (S34), as what keeps them apart serves both.
 */
#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tlspair.h"

static struct pair pair;

static void tear_down(void)
{
    pair_clear(&pair);
}

/* --- the program's info callback -------------------------------------------- */

static unsigned infos, alerts;

static void info(const SSL *s, int type, int value)
{
    (void)s, (void)value;
    infos++;
    alerts += (type & SSL_CB_ALERT) != 0;
}

/* A program that passes on to what it found. */
static void (*found_info)(const SSL *s, int type, int value);

static void wrapping_info(const SSL *s, int type, int value)
{
    info(s, type, value);
    if (found_info != NULL)
        found_info(s, type, value);
}

static void nowhere(void)
{
}

static void on_context(void)
{
    SSL_CTX_set_info_callback(pair.client_ctx, info);
}

static void wrapped_on_context(void)
{
    found_info = SSL_CTX_get_info_callback(pair.client_ctx);
    SSL_CTX_set_info_callback(pair.client_ctx, wrapping_info);
}

static void on_object(void)
{
    SSL_set_info_callback(pair.client, info);
}

static void on_object_late(void)
{
    if (SSL_connect(pair.client) < 1)
        ERR_clear_error();
    SSL_set_info_callback(pair.client, info);
}

static void wrapped_on_object_late(void)
{
    if (SSL_connect(pair.client) < 1)
        ERR_clear_error();
    found_info = SSL_get_info_callback(pair.client);
    SSL_set_info_callback(pair.client, wrapping_info);
}

static const struct {
    const char *name;
    void (*before)(void); /* SSL_new */
    void (*after)(void);
    bool is_called; /* the program's */
} places[] = {
    {"nowhere", nowhere, nowhere, false},
    {"on the context", on_context, nowhere, true},
    {"on the context, wrapping ours", wrapped_on_context, nowhere, true},
    {"on the object", nowhere, on_object, true},
    {"on the object, after the ClientHello", nowhere, on_object_late, true},
    {"there, wrapping ours", nowhere, wrapped_on_object_late, true},
};
#define PLACES (int)(sizeof(places) / sizeof(places[0]))

static bool shake(int place, const char *name)
{
    infos = alerts = 0;
    found_info = NULL;
    places[place].before();
    pair_new(&pair, name);
    places[place].after();
    return pair_shake(&pair);
}

static void refused(int place, const char *text)
{
    const char *at = places[place].name;

    ck_assert_msg(strstr(pair.client_reason, text) != NULL, "%s: first is %s",
                  at, pair.client_reason);
    ck_assert_msg(strstr(pair.client_last, text) != NULL, "%s: last is %s", at,
                  pair.client_last);
}

static const struct {
    enum puppet_mode mode;
    const char *text;
} refusals[] = {
    {PUPPET_SILENT, "localhost sent no attestation evidence, which policy "
                    "section lab requires"},
    {PUPPET_OTHER_PCR, "PCR 4 does not match policy"},
    {PUPPET_OTHER_CHANNEL, "the evidence was made for another connection"},
    {PUPPET_SECOND_ENTRY, "evidence in certificate entry 2"},
    {PUPPET_SHORT, "the attestation extension"},
};

START_TEST(test_S30_last_and_first_error_are_ours)
{
    void (*ours)(const SSL *s, int type, int value);

    pair_init(&pair, pair_policy);
    ours = SSL_CTX_get_info_callback(pair.client_ctx);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        pair.mode = refusals[i].mode;
        ck_assert(!shake(_i, "localhost"));
        refused(_i, refusals[i].text);
        ck_assert_msg((infos > 0) == places[_i].is_called, "%s: %u calls",
                      places[_i].name, infos);
        ck_assert_uint_eq(alerts, places[_i].is_called ? 1 : 0);
        SSL_CTX_set_info_callback(pair.client_ctx, ours);
    }
    /* A handshake that succeeds leaves nothing behind. */
    pair.mode = PUPPET_HONEST;
    ck_assert_msg(shake(_i, "localhost"), "%s", pair.client_reason);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert_uint_eq(alerts, 0);
}
END_TEST

/* Refused before there is a ClientHello. (Where a program has an info callback of its
 * own on the context OpenSSL asks no other in this case.) */
START_TEST(test_S30_refused_at_the_beginning)
{
    pair_init(&pair, pair_policy);
    ck_assert(!shake(0, NULL));
    refused(0, "the server has no name here and policy says nameless = refuse");
    SSL_CTX_set_max_proto_version(pair.client_ctx, TLS1_2_VERSION);
    ck_assert(!shake(0, "localhost"));
    refused(0, "localhost must prove itself, which needs TLS 1.3; this program "
               "allows less");
    SSL_CTX_set_max_proto_version(pair.client_ctx, 0);
    scratch_write("policy.cnf", "[policy]\nnonsense = 1\n", 22, 0600);
    atls_instance_set_look_interval(pair.instance, 0);
    ck_assert(!shake(0, "localhost"));
    refused(0, "policy.cnf:2: nonsense: ");
}
END_TEST

/* The puppet has our extension already, so the gate of its context is broken. */
START_TEST(test_S30_a_server_that_refuses)
{
    pair_init(&pair, NULL);
    SSL_CTX_free(pair.client_ctx);
    pair.client_ctx = SSL_CTX_new(TLS_client_method());
    pair_attach(&pair, pair.server_ctx);
    pair_new(&pair, "localhost");
    ck_assert(!pair_shake(&pair));
    ck_assert_msg(strstr(pair.server_reason, "attest::") != NULL, "%s",
                  pair.server_reason);
    ck_assert_str_eq(pair.server_last, pair.server_reason);
}
END_TEST

/* --- what a peer says that owes evidence -------------------------------------- */

static bool log_has(const char *text)
{
    size_t len = 0;
    char *log = scratch_read("log", &len);
    bool has = strstr(log, text) != NULL;

    free(log);
    return has;
}

START_TEST(test_S2_a_server_of_tls12_only)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_set_max_proto_version(pair.server_ctx, TLS1_2_VERSION);
    ck_assert(!shake(0, "localhost"));
    refused(0,
            "localhost must prove itself, which needs TLS 1.3; it sent alert "
            "protocol version");
    ck_assert(
        log_has("localhost is refused: localhost must prove itself (policy "
                "section lab), which needs TLS 1.3; it sent the alert protocol "
                "version: it speaks less, or refuses everybody"));
}
END_TEST

/* Where the program has an info callback of its own, OpenSSL asks that one at the
 * end: the first error and the log are ours all the same. */
START_TEST(test_S2_the_same_with_a_programs_callback)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_set_max_proto_version(pair.server_ctx, TLS1_2_VERSION);
    ck_assert(!shake(_i, "localhost"));
    ck_assert_ptr_nonnull(
        strstr(pair.client_reason, "it sent alert protocol version"));
    ck_assert(
        log_has("section lab), which needs TLS 1.3; it sent the alert protocol "
                "version: it speaks less, or refuses everybody"));
}
END_TEST

static int refuse_to_serve(SSL *s, void *arg)
{
    (void)s, (void)arg;
    return 0;
}

START_TEST(test_any_other_alert_of_a_server_that_owes_evidence)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_set_cert_cb(pair.server_ctx, refuse_to_serve, NULL);
    ck_assert(!shake(0, "localhost"));
    refused(0, "localhost gave no evidence: alert internal error");
    ck_assert(log_has("localhost ended the handshake (alert internal error) "
                      "before it had proven itself, which policy section lab "
                      "requires; see its own log"));
}
END_TEST

/* Nothing is owed by who is only observed, or not covered. */
START_TEST(test_alerts_of_others_are_left_alone)
{
    static const char *const policies[] = {
        "[policy]\nservers = lab\notherwise = off\nnameless = refuse\n"
        "[lab]\nnames = localhost\nmode = observe\ntrust = @TRUST@\n"
        "machines = any\n@PCRS@",
        "[policy]\nservers = lab\notherwise = off\nnameless = refuse\n"
        "[lab]\nnames = other.example\nmode = require\ntrust = @TRUST@\n"
        "machines = any\n@PCRS@"};

    pair_init(&pair, policies[_i]);
    SSL_CTX_set_cert_cb(pair.server_ctx, refuse_to_serve, NULL);
    ck_assert(!shake(0, "localhost"));
    ck_assert_ptr_nonnull(strstr(pair.client_reason, "alert internal error"));
    ck_assert_ptr_null(strstr(pair.client_reason, "attest"));
    ck_assert_ptr_null(strstr(pair.client_last, "attest"));
    ck_assert(!log_has("internal error"));
}
END_TEST

/* --- TLS within a callback ------------------------------------------------------- */

/* A connection of its own, by which a program sends its key log elsewhere. */
static struct pair other;
static unsigned others, other_failures;
static bool is_within;

static void connect_other(void)
{
    if (is_within)
        return;
    is_within = true;
    others++;
    pair_new(&other, "localhost");
    other_failures += !pair_shake(&other);
    is_within = false;
}

static void keylog_elsewhere(const SSL *s, const char *line)
{
    (void)s, (void)line;
    connect_other();
}

static int security_elsewhere(const SSL *s, const SSL_CTX *ctx, int op,
                              int bits, int nid, void *x, void *ex)
{
    (void)s, (void)ctx, (void)op, (void)bits, (void)nid, (void)x, (void)ex;
    connect_other();
    return 1;
}

static int verify_elsewhere(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    connect_other();
    return 1;
}

static void info_elsewhere(const SSL *s, int type, int value)
{
    (void)s, (void)type, (void)value;
    connect_other();
}

static void set_elsewhere(int which)
{
    switch (which) {
    case 0:
        SSL_CTX_set_keylog_callback(pair.client_ctx, keylog_elsewhere);
        break;
    case 1:
        SSL_CTX_set_security_callback(pair.client_ctx, security_elsewhere);
        break;
    case 2:
        SSL_CTX_set_cert_verify_callback(pair.client_ctx, verify_elsewhere,
                                         NULL);
        SSL_CTX_set_verify(pair.client_ctx, SSL_VERIFY_PEER, NULL);
        break;
    default:
        SSL_CTX_set_info_callback(pair.client_ctx, info_elsewhere);
        break;
    }
}

START_TEST(test_S34_tls_within_a_callback)
{
    pair_init(&other, pair_policy);
    pair_init(&pair, pair_policy);
    pair.mode = other.mode = PUPPET_HONEST;
    set_elsewhere(_i);
    others = other_failures = 0;
    pair_new(&pair, "localhost");
    ck_assert_msg(pair_shake(&pair), "outer: %s", pair.client_reason);
    ck_assert_uint_gt(others, 0);
    ck_assert_msg(other_failures == 0, "inner: %s", other.client_reason);
    /* And neither lends the other a verdict. */
    pair.mode = PUPPET_SILENT;
    pair_new(&pair, "localhost");
    ck_assert(!pair_shake(&pair));
    ck_assert_ptr_nonnull(strstr(pair.client_reason, "sent no attestation"));
    ck_assert_uint_eq(other_failures, 0);
    other.mode = PUPPET_SILENT;
    pair.mode = PUPPET_HONEST;
    pair_new(&pair, "localhost");
    others = 0;
    ck_assert_msg(pair_shake(&pair), "outer: %s", pair.client_reason);
    ck_assert_uint_eq(other_failures, others);
    pair_clear(&other);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S30_last_and_first_error_are_ours, 0, PLACES),
    ONCE(test_S30_refused_at_the_beginning),
    ONCE(test_S30_a_server_that_refuses),
    ONCE(test_S2_a_server_of_tls12_only),
    LOOP(test_S2_the_same_with_a_programs_callback, 1, 4),
    ONCE(test_any_other_alert_of_a_server_that_owes_evidence),
    LOOP(test_alerts_of_others_are_left_alone, 0, 2),
    LOOP(test_S34_tls_within_a_callback, 0, 4),
};

SUITE(.name = "last_error",
      .cases = {CASE("last_error", tests, 60, NULL, tear_down)});
