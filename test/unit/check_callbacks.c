/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S14: programs that set callbacks of their own, at every moment at which one can
 * be set. Each still works, and who proves nothing is refused. (What they do to
 * the gate itself is in check_gate.c.)
 */
#include <check.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sanitizer.h"
#include "lib/suite.h"
#include "lib/tlspair.h"

static struct pair pair;
static unsigned calls;

static void teardown(void)
{
    pair_clear(&pair);
}

/* --- the program's callbacks --------------------------------------------------- */

static void keylog(const SSL *s, const char *line)
{
    (void)s, (void)line;
    calls++;
}

static void info(const SSL *s, int where, int ret)
{
    (void)s, (void)where, (void)ret;
    calls++;
}

static void msg(int write_p, int version, int type, const void *buf, size_t len,
                SSL *s, void *arg)
{
    (void)write_p, (void)version, (void)type, (void)buf, (void)len, (void)s,
        (void)arg;
    calls++;
}

static int verify(int ok, X509_STORE_CTX *store)
{
    (void)ok, (void)store;
    calls++;
    return 1;
}

static int security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                    void *other, void *ex)
{
    (void)s, (void)ctx, (void)op, (void)bits, (void)nid, (void)other, (void)ex;
    calls++;
    return 1;
}

static int verify_all(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    calls++;
    return 1;
}

static void set_keylog(SSL *s)
{
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(s), keylog);
}

static void set_info(SSL *s)
{
    SSL_set_info_callback(s, info);
}

static void set_msg(SSL *s)
{
    SSL_set_msg_callback(s, msg);
}

static void set_verify(SSL *s)
{
    SSL_set_verify(s, SSL_VERIFY_PEER, verify);
}

static void set_verify_all(SSL *s)
{
    SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(s), verify_all, NULL);
    SSL_set_verify(s, SSL_VERIFY_PEER, NULL);
}

static void set_security(SSL *s)
{
    SSL_set_security_callback(s, security);
}

/* On the context, for the SSL objects that are made of it. */
static void ctx_keylog(SSL_CTX *ctx)
{
    SSL_CTX_set_keylog_callback(ctx, keylog);
}

static void ctx_info(SSL_CTX *ctx)
{
    SSL_CTX_set_info_callback(ctx, info);
}

static void ctx_msg(SSL_CTX *ctx)
{
    SSL_CTX_set_msg_callback(ctx, msg);
}

static void ctx_verify(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, verify);
}

static void ctx_verify_all(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, verify_all, NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
}

static void ctx_security(SSL_CTX *ctx)
{
    SSL_CTX_set_security_callback(ctx, security);
}

static const struct {
    const char *name;
    void (*set_on_ctx)(SSL_CTX *ctx);
    void (*set_on_ssl)(SSL *s);
} callbacks[] = {
    {"keylog", ctx_keylog, set_keylog},
    {"info", ctx_info, set_info},
    {"msg", ctx_msg, set_msg},
    {"verify", ctx_verify, set_verify},
    {"cert_verify", ctx_verify_all, set_verify_all},
    {"security", ctx_security, set_security},
};

/* --- the moments ---------------------------------------------------------------- */

enum moment {
    BEFORE_SSL_NEW,
    AFTER_SSL_NEW,
    BETWEEN_CALLS, /* the ClientHello is out, nothing has come back */
    IN_EXTENSIONS, /* of the server, in a callback of the program's own one */
    MOMENTS
};

static void (*set_in_extensions)(SSL *s);

static int parse_own(SSL *s, unsigned int type, unsigned int context,
                     const unsigned char *in, size_t in_len, X509 *x,
                     size_t chain_index, int *al, void *arg)
{
    (void)type, (void)context, (void)in, (void)in_len, (void)x,
        (void)chain_index, (void)al, (void)arg;
    if (set_in_extensions != NULL)
        set_in_extensions(s);
    return 1;
}

static int answer_own(SSL *s, unsigned int type, unsigned int context,
                      const unsigned char **out, size_t *out_len, X509 *x,
                      size_t chain_index, int *al, void *arg)
{
    (void)s, (void)type, (void)context, (void)x, (void)chain_index, (void)al,
        (void)arg;
    *out = NULL;
    *out_len = 0;
    return 1;
}

static void add_own_extension(void)
{
    const unsigned where =
        SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS;

    ck_assert(SSL_CTX_add_custom_ext(pair.client_ctx, 0xff99, where, NULL, NULL,
                                     NULL, parse_own, NULL));
    ck_assert(SSL_CTX_add_custom_ext(pair.server_ctx, 0xff99, where, answer_own,
                                     NULL, NULL, NULL, NULL));
}

static bool shake_with(size_t callback, enum moment moment)
{
    set_in_extensions = NULL;
    calls = 0;
    if (moment == BEFORE_SSL_NEW)
        callbacks[callback].set_on_ctx(pair.client_ctx);
    pair_new(&pair, "localhost");
    if (moment == AFTER_SSL_NEW)
        callbacks[callback].set_on_ssl(pair.client);
    if (moment == IN_EXTENSIONS)
        set_in_extensions = callbacks[callback].set_on_ssl;
    if (moment == BETWEEN_CALLS) {
        ck_assert_int_lt(SSL_connect(pair.client), 1);
        callbacks[callback].set_on_ssl(pair.client);
    }
    return pair_shake(&pair);
}

/* A security callback that a program sets behind the ServerHello takes the gate
 * away; one set before is chained to. Then the lock holds, whoever the peer is. */
static bool takes_the_gate_away(size_t callback, enum moment moment)
{
    return callbacks[callback].set_on_ssl == set_security
           && moment == IN_EXTENSIONS;
}

static void refuse(enum puppet_mode mode, size_t callback, enum moment moment,
                   const char *reason)
{
    const char *name = callbacks[callback].name;

    pair.mode = mode;
    ck_assert_msg(!shake_with(callback, moment), "%s %d: accepted", name,
                  (int)moment);
    if (takes_the_gate_away(callback, moment))
        reason = "localhost was not appraised, so nothing is sent to it";
    ck_assert_msg(strstr(pair.client_reason, reason) != NULL, "%s %d: %s", name,
                  (int)moment, pair.client_reason);
}

START_TEST(test_S14_callbacks_at_every_moment)
{
    for (enum moment moment = 0; moment < MOMENTS; moment++) {
        const char *name = callbacks[_i].name;

        pair_init(&pair, pair_policy);
        add_own_extension();
        pair.mode = PUPPET_HONEST;
        if (takes_the_gate_away((size_t)_i, moment))
            refuse(PUPPET_HONEST, (size_t)_i, moment, "");
        else
            ck_assert_msg(shake_with((size_t)_i, moment), "%s %d: %s", name,
                          (int)moment, pair.client_reason);
        ck_assert_msg(calls > 0, "%s %d is not called", name, (int)moment);
        refuse(PUPPET_SILENT, (size_t)_i, moment, "sent no attestation");
        refuse(PUPPET_OTHER_CHANNEL, (size_t)_i, moment, "another connection");
        pair_clear(&pair);
    }
    pair_init(&pair, pair_policy); /* for teardown */
}
END_TEST

/* --- callbacks that do not return ---------------------------------------------------- */

static jmp_buf out;
static int leaves;

static void leave(void)
{
    if (leaves > 0) {
        leaves--;
        longjmp(out, 1);
    }
}

static void leave_keylog(const SSL *s, const char *line)
{
    (void)s, (void)line;
    leave();
}

static void leave_info(const SSL *s, int where, int ret)
{
    (void)s, (void)where, (void)ret;
    leave();
}

static int leave_security(const SSL *s, const SSL_CTX *ctx, int op, int bits,
                          int nid, void *other, void *ex)
{
    (void)s, (void)ctx, (void)op, (void)bits, (void)nid, (void)other, (void)ex;
    leave();
    return 1;
}

static void set_leaving(int which, SSL *s)
{
    if (which == 0)
        SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(s), leave_keylog);
    else if (which == 1)
        SSL_set_info_callback(s, leave_info);
    else
        SSL_set_security_callback(s, leave_security);
}

/* Perl's die in a callback is a longjmp(3). The connection is over; the next one of
 * that thread finds nothing of it, and is appraised as any other. */
START_TEST(test_S24_a_callback_that_leaves)
{
    pair_init(&pair, pair_policy);
    for (volatile int round = 0; round < 3; round++) {
        pair.mode = PUPPET_HONEST;
        pair_new(&pair, "localhost");
        set_leaving(_i, pair.client);
        leaves = 1;
        sanitizer_leaks_begin();
        if (setjmp(out) == 0) {
            (void)pair_shake(&pair);
            ck_abort_msg("it was not called");
        }
        sanitizer_leaks_end();
        ck_assert_int_eq(leaves, 0);
        pair_new(&pair, "localhost");
        set_leaving(_i, pair.client);
        ck_assert_msg(pair_shake(&pair), "%s", pair.client_reason);
        pair.mode = PUPPET_SILENT;
        pair_new(&pair, "localhost");
        set_leaving(_i, pair.client);
        ck_assert(!pair_shake(&pair));
        ck_assert_msg(strstr(pair.client_reason, "sent no attestation") != NULL,
                      "%s", pair.client_reason);
    }
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_S14_callbacks_at_every_moment, 0,
         sizeof(callbacks) / sizeof(callbacks[0])),
    LOOP(test_S24_a_callback_that_leaves, 0, 3),
};

SUITE(.name = "callbacks",
      .cases = {CASE("callbacks", tests, 60, NULL, teardown)});
