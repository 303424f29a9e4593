/* SPDX-License-Identifier: BSD-2-Clause */
/* SSL_add1_host() is deprecated from OpenSSL 4.0 on, and programs use it. */
#define OPENSSL_SUPPRESS_DEPRECATED
/*
 * The gate against a puppet server (lib/tlspair.h). Every refusal stands between
 * two honest handshakes, so that it is not the pair that is broken.
 */
#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "lib/allocation.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tlspair.h"
#include "tls/hook.h"
#include "tls/state.h"

static struct pair pair;

static void teardown(void)
{
    pair_clear(&pair);
}

#define assert_contains(text, part)                                       \
    do {                                                                  \
        const char *text_ = (text);                                       \
        ck_assert_msg(strstr(text_, part) != NULL, "no \"%s\" in \"%s\"", \
                      part, text_);                                       \
    } while (0)

static void accept_one(void)
{
    bool ok;

    pair.mode = PUPPET_HONEST;
    pair_new(&pair, "localhost");
    ok = pair_shake(&pair);
    ck_assert_msg(ok, "positive control: %s", pair.client_reason);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

static void refuse_this(const char *reason)
{
    bool ok = pair_shake(&pair);

    ck_assert_msg(!ok, "accepted, though: %s", reason);
    assert_contains(pair.client_reason, reason);
}

static void refuse_one(enum puppet_mode mode, const char *reason)
{
    accept_one();
    pair.mode = mode;
    pair_new(&pair, "localhost");
    refuse_this(reason);
    accept_one();
}

/* --- evidence -------------------------------------------------------------- */

static const struct {
    enum puppet_mode mode;
    const char *reason;
} evidences[] = {
    {PUPPET_SILENT, "localhost sent no attestation evidence, which policy "
                    "section lab requires"}, /* S1 */
    {PUPPET_OTHER_CHANNEL, "another connection"},
    {PUPPET_OTHER_PCR, "PCR 4 does not match policy: expected"},
    {PUPPET_SECOND_ENTRY, "evidence in certificate entry 2"}, /* B7 */
    {PUPPET_BOTH_ENTRIES, "evidence in certificate entry 2"}, /* B7 */
    {PUPPET_EMPTY, "the attestation extension has 0 octets"},
    {PUPPET_SHORT, "the attestation extension says "},
    {PUPPET_KEPT, "another connection"}, /* B2 */
};

START_TEST(test_S1_B2_B7_evidence_of_a_puppet)
{
    pair_init(&pair, pair_policy);
    refuse_one(evidences[_i].mode, evidences[_i].reason);
}
END_TEST

START_TEST(test_S19_verify_none_and_own_callback_change_nothing)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_set_verify(pair.client_ctx, SSL_VERIFY_NONE, NULL);
    refuse_one(PUPPET_OTHER_PCR, "PCR 4 does not match policy");
    pair_new(&pair, "localhost");
    SSL_set_verify(pair.client, SSL_VERIFY_NONE, NULL);
    pair.mode = PUPPET_SILENT;
    refuse_this("sent no attestation evidence");
}
END_TEST

/* --- names ----------------------------------------------------------------- */

START_TEST(test_P8_a_nameless_server_is_refused)
{
    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, NULL);
    refuse_this("nameless = refuse");
    accept_one();
}
END_TEST

static void verify_address(const char *address)
{
    ck_assert_int_eq(
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(pair.client), address), 1);
}

/* All that shows is an address, or what is no name. */
START_TEST(test_P12_P13_what_is_no_name_is_nameless)
{
    static const char *const names[] = {"127.1",
                                        "0x7f000001",
                                        "2130706433",
                                        "::1%lo",
                                        "localhost..",
                                        "b\xc3\xbc"
                                        "cher.example"};

    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, NULL);
    verify_address("127.0.0.1");
    refuse_this("no name of the server shows, only 127.0.0.1, and policy says "
                "nameless = refuse");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pair_new(&pair, names[i]);
        refuse_this(", and policy says nameless = refuse");
    }
    /* Beside a name an address that nobody lists counts for nothing. */
    pair_new(&pair, "elsewhere.example");
    verify_address("127.0.0.1");
    pair.mode = PUPPET_SILENT;
    ck_assert(pair_shake(&pair));
    accept_one();
}
END_TEST

/* Beside a name that no section covers: what the program really checks may be one that
 * a section does. */
START_TEST(test_P12_a_name_that_no_section_can_list)
{
    char longest[257];

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    pair_init(&pair, pair_policy);
    accept_one();
    pair.mode = PUPPET_SILENT;
    pair_new(&pair, "elsewhere.example");
    ck_assert(SSL_set1_host(pair.client, ".localhost") == 1);
    refuse_this(".localhost is no name of a server, and policy says nameless = "
                "refuse");
    pair_new(&pair, "elsewhere.example");
    ck_assert(SSL_set1_host(pair.client, longest) == 1);
    refuse_this(
        "goes by more than 16 names, or by one of more than 255 octets");
    pair_new(&pair, "elsewhere.example");
    ck_assert(pair_shake(&pair));
}
END_TEST

static void assert_logged(const char *part);

/* A CONNECT proxy on an address that the policy lists: who reads the refusal must
 * see that it is about that address. */
START_TEST(test_refusals_name_the_address_that_is_listed)
{
    pair_init(&pair, "[policy]\nservers = lab\notherwise = off\n"
                     "nameless = refuse\n"
                     "[lab]\nnames = localhost 127.0.0.1\nmode = require\n"
                     "trust = @TRUST@\nmachines = any\n@PCRS@@COMPONENTS@");
    accept_one();
    pair_new(&pair, "www.example.org");
    verify_address("127.0.0.1");
    pair.mode = PUPPET_SILENT;
    refuse_this("www.example.org sent no evidence; address 127.0.0.1 is in "
                "section lab");
    assert_logged("www.example.org is refused: www.example.org sent no "
                  "attestation evidence, which policy section lab requires of "
                  "127.0.0.1: is that the address of a proxy?");
    pair_new(&pair, "www.example.org");
    verify_address("127.0.0.1");
    pair.mode = PUPPET_OTHER_PCR;
    refuse_this("PCR 4 does not match policy");
    assert_logged("(section lab lists 127.0.0.1, perhaps a proxy's address)");
}
END_TEST

START_TEST(test_P8_nameless_may_have_a_section)
{
    const char *const text = "[policy]\nservers = lab\notherwise = off\n"
                             "nameless = lab\n[lab]\nnames = localhost\n"
                             "mode = require\ntrust = @TRUST@\n"
                             "machines = any\n@PCRS@@COMPONENTS@";

    pair_init(&pair, text);
    accept_one();
    pair_new(&pair, NULL);
    ck_assert(pair_shake(&pair));
    pair.mode = PUPPET_SILENT;
    pair_new(&pair, NULL);
    refuse_this("sent no attestation evidence");
}
END_TEST

START_TEST(test_otherwise_off_asks_for_nothing)
{
    pair_init(&pair, pair_policy);
    pair.mode = PUPPET_SILENT;
    pair_new(&pair, "elsewhere.example");
    ck_assert(pair_shake(&pair));
    ck_assert_uint_eq(pair.asked, 0);
    accept_one();
    ck_assert_uint_eq(pair.asked, 1);
}
END_TEST

START_TEST(test_otherwise_require_refuses_who_is_not_named)
{
    pair_init(&pair, "[policy]\nservers = lab\notherwise = require\n"
                     "nameless = refuse\n[lab]\nnames = localhost\n"
                     "mode = require\ntrust = @TRUST@\nmachines = any\n"
                     "@PCRS@@COMPONENTS@");
    accept_one();
    pair_new(&pair, "elsewhere.example");
    refuse_this("no policy section names elsewhere.example");
    accept_one();
}
END_TEST

START_TEST(test_names_of_more_sections_than_we_take)
{
    char policy[4096] = "[policy]\nservers = a, b, c, d, e\notherwise = off\n"
                        "nameless = refuse\n";
    char section[256];

    for (char name = 'a'; name <= 'e'; name++) {
        snprintf(section, sizeof(section),
                 "[%c]\nnames = %c.example\nmode = require\ntrust = @TRUST@\n"
                 "machines = any\n@PCRS@components = any\n",
                 name, name);
        strcat(policy, section);
    }
    pair_init(&pair, policy);
    pair_new(&pair, "a.example");
    ck_assert(pair_shake(&pair));
    pair_new(&pair, "a.example");
    for (char name = 'b'; name <= 'e'; name++) {
        snprintf(section, sizeof(section), "%c.example", name);
        ck_assert(SSL_add1_host(pair.client, section));
    }
    refuse_this("names of more than 4 policy sections");
}
END_TEST

START_TEST(test_more_names_than_we_take)
{
    char name[32];

    pair_init(&pair, pair_policy);
    pair_new(&pair, "elsewhere.example");
    for (int i = 1; i < 16; i++) {
        snprintf(name, sizeof(name), "host%d.example", i);
        ck_assert(SSL_add1_host(pair.client, name));
    }
    pair.mode = PUPPET_SILENT;
    ck_assert(pair_shake(&pair));
    pair_new(&pair, "elsewhere.example");
    for (int i = 1; i < 17; i++) {
        snprintf(name, sizeof(name), "host%d.example", i);
        ck_assert(SSL_add1_host(pair.client, name));
    }
    refuse_this("goes by more than 16 names");
}
END_TEST

/* _i: which of the two it is that refuses, the first or the last. */
START_TEST(test_every_section_that_matches_must_be_satisfied)
{
    pair_init(&pair, _i == 0
                         ? "[policy]\nservers = lab, other\notherwise = off\n"
                           "nameless = refuse\n"
                           "[lab]\nnames = localhost\nmode = require\n"
                           "trust = @TRUST@\nmachines = any\n@PCRS@@COMPONENTS@"
                           "[other]\nnames = other.example\nmode = require\n"
                           "trust = @TRUST@\nmachines = another.example\n@PCRS@"
                           "@COMPONENTS@"
                         : "[policy]\nservers = other, lab\notherwise = off\n"
                           "nameless = refuse\n"
                           "[lab]\nnames = localhost\nmode = require\n"
                           "trust = @TRUST@\nmachines = any\n@PCRS@@COMPONENTS@"
                           "[other]\nnames = other.example\nmode = require\n"
                           "trust = @TRUST@\nmachines = another.example\n@PCRS@"
                           "@COMPONENTS@");
    accept_one();
    pair_new(&pair, _i == 0 ? "localhost" : "other.example");
    ck_assert(
        SSL_add1_host(pair.client, _i == 0 ? "other.example" : "localhost"));
    refuse_this("expected machine another.example");
    accept_one();
}
END_TEST

#if OPENSSL_VERSION_NUMBER >= 0x40000000L
/* OpenSSL 4.0 takes several verify addresses, and shows the first. What the policy
 * does not list is no name, so the order makes no hole. */
START_TEST(test_S31_several_verify_addresses)
{
    static const char *const orders[][2] = {{"192.0.2.1", "127.0.0.1"},
                                            {"127.0.0.1", "192.0.2.1"}};

    pair_init(&pair, "[policy]\nservers = lab\notherwise = off\n"
                     "nameless = refuse\n"
                     "[lab]\nnames = 127.0.0.1\nmode = require\n"
                     "trust = @TRUST@\nmachines = any\n@PCRS@@COMPONENTS@");
    pair_new(&pair, NULL);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(SSL_add1_ipaddr(pair.client, orders[_i][i]), 1);
    pair.mode = PUPPET_SILENT;
    refuse_this(_i == 0 ? "no name of the server shows, only 192.0.2.1"
                        : "127.0.0.1 sent no attestation evidence");
}
END_TEST
#endif

static void assert_logged(const char *part)
{
    char *log = scratch_read("log", NULL);

    assert_contains(log, part);
    free(log);
}

/* --- observe --------------------------------------------------------------- */

static const char *const observing =
    "[policy]\nservers = lab\notherwise = off\n[lab]\nnames = localhost\n"
    "mode = observe\ntrust = @TRUST@\nmachines = machine0.example\n"
    "@PCRS@@COMPONENTS@";

START_TEST(test_observe_asks_and_never_refuses)
{
    static const enum puppet_mode modes[] = {
        PUPPET_HONEST, PUPPET_SILENT,       PUPPET_OTHER_PCR,
        PUPPET_KEPT,   PUPPET_SECOND_ENTRY, PUPPET_BOTH_ENTRIES,
        PUPPET_EMPTY,  PUPPET_SHORT};

    pair_init(&pair, observing);
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        pair.mode = modes[i];
        pair_new(&pair, "localhost");
        ck_assert_msg(pair_shake(&pair), "mode %u: %s", i, pair.client_reason);
        ck_assert_uint_eq(pair.asked, i + 1);
        ck_assert_uint_eq(ERR_peek_error(), 0);
    }
    assert_logged("localhost is trusted");
    assert_logged("localhost would be refused: localhost sent no attestation");
    assert_logged("localhost would be refused: PCR 4 does not match policy");
    assert_logged(
        "would be refused: attestation evidence in certificate entry");
    SSL_CTX_set_max_proto_version(pair.server_ctx, TLS1_2_VERSION);
    pair_new(&pair, "localhost");
    ck_assert(pair_shake(&pair));
}
END_TEST

/* P11: what has expired is never met; observe says so and goes on. */
START_TEST(test_P11_expired_section)
{
    char text[512];

    snprintf(text, sizeof(text), "%sexpires = 2026-01-01T00:00:00Z\n",
             observing);
    pair_init(&pair, text);
    pair_new(&pair, "localhost");
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    assert_logged("localhost would be refused: policy section lab expired "
                  "2026-01-01");
}
END_TEST

START_TEST(test_otherwise_observe_has_nothing_to_refuse_with)
{
    pair_init(&pair, "[policy]\notherwise = observe\n");
    pair_new(&pair, "localhost");
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
    ck_assert_uint_eq(pair.asked, 1);
    assert_logged("no policy section names localhost: nothing to compare");
}
END_TEST

/* --- versions -------------------------------------------------------------- */

START_TEST(test_S2_server_that_knows_only_tls12)
{
    pair_init(&pair, pair_policy);
    accept_one();
    SSL_CTX_set_max_proto_version(pair.server_ctx, TLS1_2_VERSION);
    pair_new(&pair, "localhost");
    /* It is never offered TLS 1.2, so it is the server that gives up. */
    refuse_this("protocol version");
    SSL_CTX_set_max_proto_version(pair.server_ctx, 0);
    accept_one();
}
END_TEST

START_TEST(test_S2_client_capped_below_tls13)
{
    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, "localhost");
    if (_i == 0)
        SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
    else
        SSL_set_options(pair.client, SSL_OP_NO_TLSv1_3);
    refuse_this("which needs TLS 1.3; this program allows less");
    ck_assert_uint_eq(pair.hellos, 1); /* the control's: none left us here */
    accept_one();
}
END_TEST

#if OPENSSL_VERSION_NUMBER < 0x40000000L /* which has no such methods */
START_TEST(test_S2_fixed_tls12_method)
{
    pair_init(&pair, pair_policy);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    pair_use_client_method(&pair, TLSv1_2_client_method());
#pragma GCC diagnostic pop
    pair_new(&pair, "localhost");
    refuse_this("which needs TLS 1.3; this program allows less");
    pair_new(&pair, "elsewhere.example");
    ck_assert(pair_shake(&pair));
    pair_use_client_method(&pair, TLS_client_method());
    accept_one();
}
END_TEST
#endif

START_TEST(test_S2_dtls)
{
    pair_init(&pair, pair_policy);
    accept_one();
    pair_use_client_method(&pair, DTLS_client_method());
    pair_new(&pair, "localhost");
    refuse_this("which DTLS cannot carry");
    pair_use_client_method(&pair, TLS_client_method());
    accept_one();
}
END_TEST

/* The server's hello is edited on its way: TLS 1.2 without the extension that
 * says otherwise. Plain ServerHello: record 5, type and length 4, version 2. */
START_TEST(test_S2_server_chooses_tls12_all_the_same)
{
    SSL *tls12;
    BIO *hello = BIO_new(BIO_s_mem()), *answer = BIO_new(BIO_s_mem());
    static unsigned char server_hello[] =
        {
            0x16, 0x03, 0x03, 0x00, 0x2a, /* handshake record, 42 octets */
            0x02, 0x00, 0x00, 0x26, 0x03, 0x03, /* ServerHello, TLS 1.2 */
            1,    2,    3,    4,    5,    6,    7, 8, 9, 10, 11, 12, 13, 14, 15,
            16,   1,    2,    3,    4,    5,    6, 7, 8, 9,  10, 11, 12, 13, 14,
            15,   16,   0x00, 0xc0, 0x2b, 0x00}; /* no session, ECDHE-ECDSA-AES128-GCM */

    pair_init(&pair, pair_policy);
    accept_one();
    tls12 = SSL_new(pair.client_ctx);
    SSL_set_bio(tls12, answer, hello);
    SSL_set_tlsext_host_name(tls12, "localhost");
    ck_assert_int_eq(SSL_connect(tls12), -1);
    ck_assert_int_eq(BIO_write(answer, server_hello, sizeof(server_hello)),
                     (int)sizeof(server_hello));
    ck_assert_int_eq(SSL_connect(tls12), -1);
    assert_contains(ERR_reason_error_string(ERR_peek_error()),
                    "it chose TLSv1.2");
    ERR_clear_error();
    SSL_free(tls12);
    accept_one();
}
END_TEST

/* --- resumption, PSK, early data ------------------------------------------- */

static SSL_SESSION *kept_session;

static int keep_session(SSL *s, SSL_SESSION *session)
{
    (void)s;
    SSL_SESSION_free(kept_session);
    kept_session = session;
    return 1;
}

static void get_session(void)
{
    SSL_CTX_set_session_cache_mode(pair.client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(pair.client_ctx, keep_session);
    accept_one();
    ck_assert_ptr_nonnull(kept_session);
    ck_assert(SSL_SESSION_is_resumable(kept_session));
}

static void accept_elsewhere(void)
{
    pair_new(&pair, "elsewhere.example");
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
}

static void drop_session(void)
{
    SSL_SESSION_free(kept_session);
    kept_session = NULL;
}

START_TEST(test_S3_session_is_dropped_and_a_full_handshake_follows)
{
    pair_init(&pair, pair_policy);
    get_session();
    pair_new(&pair, "localhost");
    ck_assert(SSL_set_session(pair.client, kept_session));
    ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
    ck_assert(!SSL_session_reused(pair.client));
    ck_assert_uint_eq(ERR_peek_error(), 0);
    /* and the machine is looked at again */
    pair_new(&pair, "localhost");
    ck_assert(SSL_set_session(pair.client, kept_session));
    pair.mode = PUPPET_OTHER_PCR;
    refuse_this("PCR 4 does not match policy");
    /* who is not named may resume */
    accept_elsewhere();
    pair_new(&pair, "elsewhere.example");
    ck_assert(SSL_set_session(pair.client, kept_session));
    ck_assert(pair_shake(&pair));
    ck_assert(SSL_session_reused(pair.client));
    drop_session();
}
END_TEST

/* A security callback of the program, set so that the gate is not asked before
 * the ClientHello. */
static int permissive(const SSL *s, const SSL_CTX *ctx, int op, int bits,
                      int nid, void *other, void *ex)
{
    (void)s, (void)ctx, (void)op, (void)bits, (void)nid, (void)other, (void)ex;
    return 1;
}

START_TEST(test_S3_S14_resumption_behind_the_gates_back)
{
    pair_init(&pair, pair_policy);
    get_session();
    pair_new(&pair, "localhost");
    SSL_set_security_callback(pair.client, permissive);
    ck_assert(SSL_set_session(pair.client, kept_session));
    refuse_this("resumed a session, which proves nothing about the machine");
    drop_session();
    accept_one();
}
END_TEST

START_TEST(test_S3_resumption_under_observe_is_allowed)
{
    pair_init(&pair, observing);
    get_session();
    pair_new(&pair, "localhost");
    ck_assert(SSL_set_session(pair.client, kept_session));
    ck_assert(pair_shake(&pair));
    ck_assert(SSL_session_reused(pair.client));
    drop_session();
}
END_TEST

/* An external PSK with the server's consent (S6). */
static SSL_SESSION *psk_session(SSL *s, unsigned max_early_data)
{
    static const unsigned char key[32] = {1};
    static const unsigned char suite[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(s, suite);

    ck_assert(cipher != NULL && session != NULL);
    ck_assert(SSL_SESSION_set1_master_key(session, key, sizeof(key)));
    ck_assert(SSL_SESSION_set_cipher(session, cipher));
    ck_assert(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION));
    SSL_SESSION_set_max_early_data(session, max_early_data);
    return session;
}

static unsigned psk_early_data;

static int use_psk(SSL *s, const EVP_MD *md, const unsigned char **id,
                   size_t *id_len, SSL_SESSION **session)
{
    (void)md;
    *id = (const unsigned char *)"id";
    *id_len = 2;
    *session = psk_session(s, psk_early_data);
    return 1;
}

static int find_psk(SSL *s, const unsigned char *id, size_t id_len,
                    SSL_SESSION **session)
{
    ck_assert(id_len == 2 && memcmp(id, "id", 2) == 0);
    *session = psk_session(s, psk_early_data);
    return 1;
}

static unsigned int use_psk_of_tls12(SSL *s, const char *hint, char *identity,
                                     unsigned int max_identity,
                                     unsigned char *psk, unsigned int max_psk)
{
    (void)s, (void)hint;
    ck_assert(max_identity > 2 && max_psk >= 32);
    strcpy(identity, "id");
    memset(psk, 0, 32);
    psk[0] = 1;
    return 32;
}

/* _i: bit 0, which PSK callback; bit 1, the gate is not asked at the start. */
START_TEST(test_S6_external_psk_is_not_used)
{
    pair_init(&pair, pair_policy);
    psk_early_data = 0;
    SSL_CTX_set_psk_find_session_callback(pair.server_ctx, find_psk);
    ck_assert(
        SSL_CTX_set_ciphersuites(pair.server_ctx, "TLS_AES_128_GCM_SHA256"));
    for (int named = 1; named >= 0; named--) {
        pair_new(&pair, named ? "localhost" : "elsewhere.example");
        if (_i & 1)
            SSL_set_psk_client_callback(pair.client, use_psk_of_tls12);
        else
            SSL_set_psk_use_session_callback(pair.client, use_psk);
        if (_i & 2)
            SSL_set_security_callback(pair.client, permissive);
        ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
        /* control: who is not named gets in by PSK */
        ck_assert_int_eq(SSL_session_reused(pair.client), !named);
    }
    pair_new(&pair, "localhost");
    SSL_set_psk_use_session_callback(pair.client, use_psk);
    pair.mode = PUPPET_OTHER_PCR;
    refuse_this("PCR 4 does not match policy");
}
END_TEST

static bool write_early(void)
{
    size_t written = 0;

    return SSL_write_early_data(pair.client, "early", 5, &written) == 1
           && written == 5;
}

/* What the server gets before the client's Finished. */
static size_t early_octets(void)
{
    char octets[16];
    size_t len = 0;
    int r = SSL_read_early_data(pair.server, octets, sizeof(octets), &len);

    return r == SSL_READ_EARLY_DATA_SUCCESS ? len : 0;
}

START_TEST(test_S5_S22_no_early_data_of_a_session)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_set_max_early_data(pair.server_ctx, 1024);
    SSL_CTX_set_options(pair.server_ctx, SSL_OP_NO_ANTI_REPLAY);
    get_session();
    ck_assert_uint_eq(SSL_SESSION_get_max_early_data(kept_session), 1024);
    /* control: it would be sent to who is not named */
    pair_new(&pair, "elsewhere.example");
    ck_assert(SSL_set_session(pair.client, kept_session));
    SSL_SESSION_set1_hostname(kept_session, "elsewhere.example");
    ck_assert(write_early());
    ck_assert_uint_eq(early_octets(), 5);
    for (int hidden = 0; hidden < 2; hidden++) {
        ERR_clear_error();
        pair_new(&pair, "localhost");
        SSL_SESSION_set1_hostname(kept_session, "localhost");
        ck_assert(SSL_set_session(pair.client, kept_session));
        if (hidden)
            SSL_set_security_callback(pair.client, permissive);
        ck_assert(!write_early());
        if (hidden)
            assert_contains(ERR_reason_error_string(ERR_peek_error()),
                            "would send early data before");
        ck_assert_uint_eq(early_octets(), 0);
    }
    ERR_clear_error();
    SSL_CTX_set_max_early_data(pair.server_ctx, 0);
    drop_session();
    accept_one();
}
END_TEST

START_TEST(test_S22_no_early_data_of_a_psk)
{
    pair_init(&pair, pair_policy);
    psk_early_data = 1024;
    SSL_CTX_set_max_early_data(pair.server_ctx, 1024);
    SSL_CTX_set_options(pair.server_ctx, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_psk_find_session_callback(pair.server_ctx, find_psk);
    ck_assert(
        SSL_CTX_set_ciphersuites(pair.server_ctx, "TLS_AES_128_GCM_SHA256"));
    pair_new(&pair, "elsewhere.example");
    SSL_set_psk_use_session_callback(pair.client, use_psk);
    ck_assert(write_early());
    ck_assert_uint_eq(early_octets(), 5);
    for (int hidden = 0; hidden < 2; hidden++) {
        ERR_clear_error();
        pair_new(&pair, "localhost");
        SSL_set_psk_use_session_callback(pair.client, use_psk);
        if (hidden)
            SSL_set_security_callback(pair.client, permissive);
        ck_assert(!write_early());
        ck_assert_uint_eq(early_octets(), 0);
    }
    ERR_clear_error();
}
END_TEST

/* --- other turns of the state machine --------------------------------------- */

START_TEST(test_S7_hello_retry_request)
{
    pair_init(&pair, pair_policy);
    ck_assert(SSL_CTX_set1_groups_list(pair.server_ctx, "P-384"));
    ck_assert(SSL_CTX_set1_groups_list(pair.client_ctx, "X25519:P-384"));
    accept_one();
    ck_assert_uint_eq(pair.hellos, 2); /* two ClientHellos of one handshake */
    refuse_one(PUPPET_OTHER_PCR, "PCR 4 does not match policy");
    refuse_one(PUPPET_KEPT, "another connection");
}
END_TEST

START_TEST(test_S13_a_cleared_object_starts_anew)
{
    pair_init(&pair, pair_policy);
    accept_one();
    for (int i = 0; i < 20; i++) {
        enum puppet_mode modes[] = {PUPPET_HONEST, PUPPET_SILENT, PUPPET_KEPT};
        BIO *client_bio, *server_bio;

        ck_assert(SSL_clear(pair.client));
        ck_assert(SSL_clear(pair.server));
        ck_assert(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
        SSL_set_bio(pair.client, client_bio, client_bio);
        SSL_set_bio(pair.server, server_bio, server_bio);
        pair.mode = modes[i % 3];
        ck_assert_int_eq(pair_shake(&pair), i % 3 == 0);
        if (i % 3 != 0)
            assert_contains(pair.client_reason, i % 3 == 1
                                                    ? "sent no attestation"
                                                    : "another connection");
    }
}
END_TEST

START_TEST(test_S13_a_cleared_object_behind_the_gates_back)
{
    BIO *client_bio, *server_bio;

    pair_init(&pair, pair_policy);
    accept_one();
    ck_assert(SSL_clear(pair.client));
    SSL_set_security_callback(pair.client, permissive);
    SSL_free(pair.server);
    pair.server = SSL_new(pair.server_ctx);
    ck_assert(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
    SSL_set_bio(pair.client, client_bio, client_bio);
    SSL_set_bio(pair.server, server_bio, server_bio);
    pair.mode = PUPPET_KEPT;
    refuse_this("another connection");
}
END_TEST

START_TEST(test_S13_a_duplicate_shares_nothing)
{
    SSL *copy;
    BIO *client_bio, *server_bio;

    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, "localhost");
    copy = SSL_dup(pair.client);
    ck_assert_ptr_nonnull(copy);
    SSL_free(pair.client);
    pair.client = copy;
    ck_assert(SSL_set_tlsext_host_name(copy, "localhost"));
    ck_assert(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
    SSL_set_bio(pair.client, client_bio, client_bio);
    SSL_set_bio(pair.server, server_bio, server_bio);
    pair.mode = PUPPET_SILENT;
    refuse_this("sent no attestation evidence");
    accept_one();
}
END_TEST

/* --- callbacks of the program ---------------------------------------------- */

static atls_security_callback *wrapped;
static unsigned wrapper_calls;

static int wrapper(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                   void *other, void *ex)
{
    wrapper_calls++;
    return wrapped(s, ctx, op, bits, nid, other, ex);
}

/* As `openssl s_client -security_debug` does: on the context, before SSL_new. */
START_TEST(test_S24_a_wrapped_gate_does_not_recurse)
{
    pair_init(&pair, pair_policy);
    wrapped = SSL_CTX_get_security_callback(pair.client_ctx);
    wrapper_calls = 0;
    SSL_CTX_set_security_callback(pair.client_ctx, wrapper);
    refuse_one(PUPPET_OTHER_PCR, "PCR 4 does not match policy");
    ck_assert_uint_gt(wrapper_calls, 0);
    wrapped = SSL_get_security_callback(pair.client);
    pair_new(&pair, "localhost");
    SSL_set_security_callback(pair.client, wrapper);
    pair.mode = PUPPET_SILENT;
    refuse_this("sent no attestation evidence");
}
END_TEST

static int strict(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                  void *other, void *ex)
{
    (void)s, (void)ctx, (void)bits, (void)nid, (void)other, (void)ex;
    return op != SSL_SECOP_SIGALG_CHECK;
}

/* _i: on the context or on the object, after our hook. */
START_TEST(test_S14_a_programs_security_callback_still_counts)
{
    pair_init(&pair, pair_policy);
    accept_one();
    for (int refusing = 0; refusing < 2; refusing++) {
        atls_security_callback *own = refusing ? strict : permissive;

        if (_i == 0)
            SSL_CTX_set_security_callback(pair.client_ctx, own);
        pair.mode = PUPPET_HONEST;
        pair_new(&pair, "localhost");
        if (_i == 1)
            SSL_set_security_callback(pair.client, own);
        ck_assert_int_eq(pair_shake(&pair), !refusing);
        ERR_clear_error();
        pair.mode = PUPPET_SILENT;
        pair_new(&pair, "localhost");
        if (_i == 1)
            SSL_set_security_callback(pair.client, own);
        ck_assert(!pair_shake(&pair));
        assert_contains(pair.client_reason,
                        refusing ? "wrong signature type"
                                 : "sent no attestation evidence");
    }
}
END_TEST

/* What a hidden start would let through is refused at the ClientHello. */
START_TEST(test_S4_S14_versions_behind_the_gates_back)
{
    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, "localhost");
    SSL_set_security_callback(pair.client, permissive);
    SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
    refuse_this("this program allows less");
    pair_new(&pair, NULL);
    SSL_set_security_callback(pair.client, permissive);
    refuse_this("nameless = refuse");
    pair_use_client_method(&pair, DTLS_client_method());
    pair_new(&pair, "localhost");
    SSL_set_security_callback(pair.client, permissive);
    refuse_this("which DTLS cannot carry");
    pair_use_client_method(&pair, TLS_client_method());
    accept_one();
}
END_TEST

static unsigned keylog_lines;

static void program_keylog(const SSL *s, const char *line)
{
    (void)s;
    keylog_lines += strncmp(line, "SERVER_HANDSHAKE_TRAFFIC_SECRET ", 32) == 0;
}

static SSL_CTX_keylog_cb_func wrapped_keylog;

static void keylog_wrapper(const SSL *s, const char *line)
{
    program_keylog(s, line);
    if (wrapped_keylog != NULL)
        wrapped_keylog(s, line);
}

START_TEST(test_S14_a_programs_keylog_callback_still_works)
{
    pair_init(&pair, pair_policy);
    keylog_lines = 0;
    SSL_CTX_set_keylog_callback(pair.client_ctx, program_keylog);
    accept_one();
    ck_assert_uint_eq(keylog_lines, 1);
    /* set again while ours is in force, on a shared context */
    pair_new(&pair, "localhost");
    SSL_CTX_set_keylog_callback(pair.client_ctx, program_keylog);
    ck_assert(pair_shake(&pair));
    ck_assert_uint_eq(keylog_lines, 2);
    /* wrapped by one that calls ours */
    wrapped_keylog = SSL_CTX_get_keylog_callback(pair.client_ctx);
    SSL_CTX_set_keylog_callback(pair.client_ctx, keylog_wrapper);
    keylog_lines = 0;
    accept_one();
    ck_assert_uint_eq(keylog_lines, 1);
    refuse_one(PUPPET_OTHER_PCR, "PCR 4 does not match policy");
}
END_TEST

/* A program that takes the keylog callback away after our last look at it: in
 * the parse callback of an extension of its own in the ServerHello. */
static int take_keylog_away(SSL *s, unsigned int type, unsigned int context,
                            const unsigned char *in, size_t in_len, X509 *x,
                            size_t chain_index, int *al, void *arg)
{
    (void)type, (void)context, (void)in, (void)in_len, (void)x,
        (void)chain_index, (void)al, (void)arg;
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(s), NULL);
    return 1;
}

static int answer_empty(SSL *s, unsigned int type, unsigned int context,
                        const unsigned char **out, size_t *out_len, X509 *x,
                        size_t chain_index, int *al, void *arg)
{
    (void)s, (void)type, (void)context, (void)x, (void)chain_index, (void)al,
        (void)arg;
    *out = NULL;
    *out_len = 0;
    return 1;
}

START_TEST(test_S14_without_the_secret_there_is_no_verdict)
{
    const unsigned where = SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_SERVER_HELLO;

    pair_init(&pair, pair_policy);
    accept_one();
    ck_assert(SSL_CTX_add_custom_ext(pair.client_ctx, 0xff99, where, NULL, NULL,
                                     NULL, take_keylog_away, NULL));
    ck_assert(SSL_CTX_add_custom_ext(pair.server_ctx, 0xff99, where,
                                     answer_empty, NULL, NULL, NULL, NULL));
    pair_new(&pair, "localhost");
    if (pair_shake(&pair))
        ck_abort_msg("accepted without the channel's secret");
    assert_contains(pair.client_reason, "the handshake secret was not seen");
}
END_TEST

/* --- broken configurations -------------------------------------------------- */

START_TEST(test_P1_C10_a_broken_configuration_refuses_everyone)
{
    static const struct {
        const char *policy, *reason;
    } rows[] = {
        {NULL, "neither attester nor verifier"},
        {"[policy]\nservrs = lab\n", "policy.cnf:2: "},
        {"", "policy.cnf"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int hidden = 0; hidden < 2; hidden++) {
            pair_init(&pair, rows[i].policy);
            pair_new(&pair, "elsewhere.example");
            if (hidden)
                SSL_set_security_callback(pair.client, permissive);
            refuse_this(rows[i].reason);
            assert_logged("error: elsewhere.example is refused: ");
            pair_clear(&pair);
        }
    }
    pair_init(&pair, pair_policy);
    accept_one();
}
END_TEST

START_TEST(test_P1_a_server_with_a_broken_configuration_sends_an_alert)
{
    pair_init(&pair, NULL);
    SSL_CTX_free(pair.client_ctx);
    pair.client_ctx = SSL_CTX_new(TLS_client_method());
    pair_attach(&pair, pair.server_ctx);
    pair_new(&pair, "localhost");
    ck_assert(!pair_shake(&pair));
    assert_contains(pair.server_reason, "neither attester nor verifier");
    assert_contains(pair.client_reason, "alert");
}
END_TEST

/* A program's callback, which is asked just before we appraise. */
static int short_of_memory_for_the_leaf(const SSL *s, const SSL_CTX *ctx,
                                        int op, int bits, int nid, void *other,
                                        void *ex)
{
    (void)ctx, (void)bits, (void)nid, (void)other, (void)ex;
    if (op == SSL_SECOP_SIGALG_CHECK && SSL_get_state(s) == TLS_ST_CR_CERT_VRFY)
        allocation_fail_size(pair.factory.cert_der.len);
    return 1;
}

START_TEST(test_L11_a_context_without_state_refuses)
{
    pair_init(&pair, pair_policy);
    accept_one();
    SSL_CTX_free(pair.client_ctx);
    pair.client_ctx = SSL_CTX_new(TLS_client_method());
    atls_hook_deny(pair.client_ctx);
    pair_new(&pair, "elsewhere.example");
    refuse_this("attest had no memory to guard this TLS context");
}
END_TEST

/* The state of a connection, and the DER of the leaf that evidence is bound to:
 * no memory for either. */
START_TEST(test_L11_R3_no_memory_is_refusal)
{
    pair_init(&pair, pair_policy);
    accept_one();
    pair_new(&pair, "localhost");
    allocation_fail_size(sizeof(struct atls_connection));
    ck_assert(!pair_shake(&pair));
    accept_one();
    /* Of that size is also what parsing the message copies: take the last. */
    pair_new(&pair, "localhost");
    SSL_set_security_callback(pair.client, short_of_memory_for_the_leaf);
    refuse_this("showed no certificate that evidence could be bound to");
    accept_one();
}
END_TEST

START_TEST(test_L8_a_context_of_nobody)
{
    atls_security_callback *ours;
    SSL_CTX *plain;

    pair_init(&pair, pair_policy);
    plain = SSL_CTX_new(TLS_client_method());
    ours = SSL_CTX_get_security_callback(pair.client_ctx);
    ck_assert_int_eq(ours(NULL, plain, SSL_SECOP_EE_KEY, 128, 0, NULL, NULL),
                     0);
    ck_assert_int_eq(
        ours(NULL, pair.client_ctx, SSL_SECOP_EE_KEY, 128, 0, NULL, NULL), 1);
    SSL_CTX_free(plain);
}
END_TEST

START_TEST(test_C7_the_extension_is_taken)
{
    pair_init(&pair, pair_policy);
    SSL_CTX_free(pair.client_ctx);
    pair.client_ctx = SSL_CTX_new(TLS_client_method());
    ck_assert(SSL_CTX_add_custom_ext(pair.client_ctx, 0xffa7,
                                     SSL_EXT_CLIENT_HELLO, NULL, NULL, NULL,
                                     NULL, NULL));
    pair_attach(&pair, pair.client_ctx);
    pair_new(&pair, "elsewhere.example");
    refuse_this("attest is loaded from two files");
}
END_TEST

/* --- manners ----------------------------------------------------------------- */

START_TEST(test_error_queue_is_left_as_found)
{
    pair_init(&pair, pair_policy);
    accept_one();
    /* getters before the handshake raise nothing either */
    pair_new(&pair, NULL);
    SSL_set_connect_state(pair.client);
    sk_SSL_CIPHER_free(SSL_get1_supported_ciphers(pair.client));
    pair_new(&pair, "localhost");
    SSL_set_connect_state(pair.client);
    ERR_clear_error();
    sk_SSL_CIPHER_free(SSL_get1_supported_ciphers(pair.client));
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert(pair_shake(&pair));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S1_B2_B7_evidence_of_a_puppet, 0,
         sizeof(evidences) / sizeof(evidences[0])),
    ONCE(test_S19_verify_none_and_own_callback_change_nothing),
    ONCE(test_P8_a_nameless_server_is_refused),
    ONCE(test_P12_P13_what_is_no_name_is_nameless),
    ONCE(test_P12_a_name_that_no_section_can_list),
    ONCE(test_refusals_name_the_address_that_is_listed),
    ONCE(test_P8_nameless_may_have_a_section),
    ONCE(test_otherwise_off_asks_for_nothing),
    ONCE(test_otherwise_require_refuses_who_is_not_named),
    ONCE(test_names_of_more_sections_than_we_take),
    ONCE(test_more_names_than_we_take),
#if OPENSSL_VERSION_NUMBER >= 0x40000000L
    LOOP(test_S31_several_verify_addresses, 0, 2),
#endif
    LOOP(test_every_section_that_matches_must_be_satisfied, 0, 2),
    ONCE(test_observe_asks_and_never_refuses),
    ONCE(test_P11_expired_section),
    ONCE(test_otherwise_observe_has_nothing_to_refuse_with),
    ONCE(test_S2_server_that_knows_only_tls12),
    LOOP(test_S2_client_capped_below_tls13, 0, 2),
#if OPENSSL_VERSION_NUMBER < 0x40000000L
    ONCE(test_S2_fixed_tls12_method),
#endif
    ONCE(test_S2_dtls),
    ONCE(test_S2_server_chooses_tls12_all_the_same),
    ONCE(test_S3_session_is_dropped_and_a_full_handshake_follows),
    ONCE(test_S3_S14_resumption_behind_the_gates_back),
    ONCE(test_S3_resumption_under_observe_is_allowed),
    LOOP(test_S6_external_psk_is_not_used, 0, 4),
    ONCE(test_S5_S22_no_early_data_of_a_session),
    ONCE(test_S22_no_early_data_of_a_psk),
    ONCE(test_S7_hello_retry_request),
    ONCE(test_S13_a_cleared_object_starts_anew),
    ONCE(test_S13_a_cleared_object_behind_the_gates_back),
    ONCE(test_S13_a_duplicate_shares_nothing),
    ONCE(test_S24_a_wrapped_gate_does_not_recurse),
    LOOP(test_S14_a_programs_security_callback_still_counts, 0, 2),
    ONCE(test_S4_S14_versions_behind_the_gates_back),
    ONCE(test_S14_a_programs_keylog_callback_still_works),
    ONCE(test_S14_without_the_secret_there_is_no_verdict),
    ONCE(test_P1_C10_a_broken_configuration_refuses_everyone),
    ONCE(test_P1_a_server_with_a_broken_configuration_sends_an_alert),
    ONCE(test_L11_a_context_without_state_refuses),
    ONCE(test_L11_R3_no_memory_is_refusal),
    ONCE(test_L8_a_context_of_nobody),
    ONCE(test_C7_the_extension_is_taken),
    ONCE(test_error_queue_is_left_as_found),
};

SUITE(.name = "gate", .begin = allocation_install,
      .cases = {CASE("gate", tests, 60, NULL, teardown)});
