/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "evidence/codec.h"
#include "lib/factory.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "unit/prompt.h"

/* --- evidence ------------------------------------------------------------- */

START_TEST(test_evidence_for_a_handshake)
{
    struct quotercase_evidence found;
    uint64_t quotes, served;

    quotercase_start();
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(quotes + served, 0);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(quotercase_serve(i, &found));
        ck_assert_uint_eq(found.path_count, ATLS_PATH_MAX);
        ck_assert_uint_eq(found.chain_count, 2);
        ck_assert(!found.has_log);
    }
    atls_quoter_counters(quotercase.quoter, &quotes, &served);
    ck_assert_uint_eq(quotes, 10);
    ck_assert_uint_eq(served, 10);
}
END_TEST

/* Every handshake its own: one's evidence is no other's. */
START_TEST(test_B1_evidence_is_of_one_handshake)
{
    struct atls_reason why;
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_start();
    quotercase_expect(&why, quotercase_obtain(1, &why, &cmw, &len), ATLS_OK,
                      "");
    ck_assert(!quotercase_is_valid(3, cmw, len, NULL));
}
END_TEST

START_TEST(test_ak_with_authorization)
{
    const struct swtpm_ak ak = {.auth = "top secret"};
    char path[600], option[620];
    FILE *out;

    snprintf(path, sizeof(path), "%s/ak.auth", swtpm_folder(quotercase.swtpm));
    snprintf(option, sizeof(option), "file:%s", path);
    out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    fputs(_i == 0 ? "top secret" : "top secret\n", out);
    fclose(out);
    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                quotercase.chain, NULL));
    quotercase.config.ak_auth = option;
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
}
END_TEST

/* --- configuration -------------------------------------------------------- */

static void change_nothing(struct atls_quoter_config *config)
{
    (void)config;
}

static void no_ak(struct atls_quoter_config *config)
{
    config->ak = NULL;
}

static void no_chain(struct atls_quoter_config *config)
{
    config->ak_chain = NULL;
}

static void no_tcti(struct atls_quoter_config *config)
{
    config->tcti = NULL;
}

static void missing_chain(struct atls_quoter_config *config)
{
    config->ak_chain = "/no/such/chain.pem";
}

static void no_time(struct atls_quoter_config *config)
{
    config->timeout_ms = 0;
}

static void much_time(struct atls_quoter_config *config)
{
    config->timeout_ms = 600001;
}

static void no_queue(struct atls_quoter_config *config)
{
    config->max_queue = 0;
}

static void long_queue(struct atls_quoter_config *config)
{
    config->max_queue = ATLS_BATCH_MAX + 1;
}

static void bad_pcrs(struct atls_quoter_config *config)
{
    config->pcrs = "sha256:99";
}

static void log_not_quoted(struct atls_quoter_config *config)
{
    config->pcrs = "sha256:0-9";
    config->measured_log = "/run/attest/events.cel";
}

static void log_of_no_pcr(struct atls_quoter_config *config)
{
    config->measure_pcr = 32;
    config->measured_log = "/run/attest/events.cel";
}

static void bad_auth(struct atls_quoter_config *config)
{
    config->ak_auth = "hunter2";
}

static void missing_auth(struct atls_quoter_config *config)
{
    config->ak_auth = "file:/no/such/file";
}

/* A regular file of which the first octet cannot be read: proc(5). */
#define UNREADABLE "/proc/self/mem"

static void unreadable_auth(struct atls_quoter_config *config)
{
    config->ak_auth = "file:" UNREADABLE;
}

static void unreadable_chain(struct atls_quoter_config *config)
{
    config->ak_chain = UNREADABLE;
}

static const struct {
    void (*change)(struct atls_quoter_config *config);
    enum atls_error code;
    const char *text;
} configurations[] = {
    {change_nothing, ATLS_OK, ""},
    {no_ak, ATLS_E_CONFIG, "needs ak and ak_chain as well"},
    {no_chain, ATLS_E_CONFIG, "needs ak and ak_chain as well"},
    {no_tcti, ATLS_E_CONFIG, "needs ak and ak_chain as well"},
    {missing_chain, ATLS_E_IO,
     "ak_chain: cannot open /no/such/chain.pem: No such file or directory"},
    {no_time, ATLS_E_CONFIG, "timeout = 0: expected 1 to 600000 milliseconds"},
    {much_time, ATLS_E_CONFIG, "timeout = 600001: expected 1 to 600000"},
    {no_queue, ATLS_E_CONFIG, "max_queue = 0: expected 1 to 4096"},
    {long_queue, ATLS_E_CONFIG, "max_queue = 4097: expected 1 to 4096"},
    {bad_pcrs, ATLS_E_CONFIG, "99"},
    {log_not_quoted, ATLS_E_CONFIG,
     "pcrs = sha256:0-9: PCR 15, whose log is sent, is not among them"},
    {log_of_no_pcr, ATLS_E_CONFIG, "PCR 32, whose log is sent, is not among"},
    {bad_auth, ATLS_E_CONFIG, "ak_auth: expected file:PATH"},
    {missing_auth, ATLS_E_IO,
     "ak_auth: cannot open /no/such/file: No such file or directory"},
    {unreadable_auth, ATLS_E_IO,
     "ak_auth: cannot read " UNREADABLE ": Input/output error"},
    {unreadable_chain, ATLS_E_IO,
     "ak_chain: cannot read " UNREADABLE ": Input/output error"},
};

START_TEST(test_configuration)
{
    struct atls_quoter *quoter = NULL;
    struct atls_reason why;

    configurations[_i].change(&quotercase.config);
    quotercase_expect(
        &why, atls_quoter_new(&quotercase.config, NULL, NULL, &why, &quoter),
        configurations[_i].code, configurations[_i].text);
    ck_assert_int_eq(quoter != NULL, configurations[_i].code == ATLS_OK);
    atls_quoter_free(quoter);
}
END_TEST

START_TEST(test_authorization_in_a_fifo)
{
    struct atls_reason why;
    char path[600], option[620];

    snprintf(path, sizeof(path), "%s/ak.auth", swtpm_folder(quotercase.swtpm));
    snprintf(option, sizeof(option), "file:%s", path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    quotercase.config.ak_auth = option;
    quotercase_expect(&why,
                      atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                                      &quotercase.quoter),
                      ATLS_E_IO, "/ak.auth is not a regular file");
}
END_TEST

/* Each quote with an empty value would count as an attack on a key that has one. */
START_TEST(test_T8_authorization_that_is_empty)
{
    struct atls_reason why;
    char path[600], option[620];
    FILE *out;

    snprintf(path, sizeof(path), "%s/ak.auth", swtpm_folder(quotercase.swtpm));
    snprintf(option, sizeof(option), "file:%s", path);
    out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    fputs(_i == 0 ? "" : "\n", out);
    fclose(out);
    quotercase.config.ak_auth = option;
    quotercase_expect(&why,
                      atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                                      &quotercase.quoter),
                      ATLS_E_CONFIG,
                      "/ak.auth is empty: expected the key's authorization "
                      "value; leave ak_auth out if it has none");
}
END_TEST

START_TEST(test_authorization_too_long)
{
    struct atls_reason why;
    char path[600], option[620];
    FILE *out;

    snprintf(path, sizeof(path), "%s/ak.auth", swtpm_folder(quotercase.swtpm));
    snprintf(option, sizeof(option), "file:%s", path);
    out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    for (int i = 0; i < 65; i++)
        fputc('x', out);
    fclose(out);
    quotercase.config.ak_auth = option;
    quotercase_expect(&why,
                      atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                                      &quotercase.quoter),
                      ATLS_E_CONFIG, "ak.auth is longer than 64 octets");
}
END_TEST

/* --- the chain file -------------------------------------------------------- */

static void write_text(const char *path, const char *mode, const char *text)
{
    FILE *out = fopen(path, mode);

    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
}

static void empty_chain(const char *path)
{
    write_text(path, "we", "");
}

static void text_chain(const char *path)
{
    write_text(path, "we", "see the other file\n");
}

static void broken_chain(const char *path)
{
    write_text(path, "ae",
               "-----BEGIN CERTIFICATE-----\nMIIB\n"
               "-----END CERTIFICATE-----\n");
}

static void cut_chain(const char *path)
{
    write_text(path, "ae", "-----BEGIN CERTIFICATE-----\nMIIBzzzzzzzzz\n");
}

static X509 *make_certificate(const char *extensions, X509 *issuer)
{
    const struct factory_cert wanted = {
        .cn = "chain test",
        .key = factory_key(FACTORY_P256, 2),
        .issuer = issuer,
        .issuer_key = issuer != NULL ? factory_key(FACTORY_P256, 2) : NULL,
        .issuer_cn = issuer != NULL ? "somebody else" : NULL,
        .not_before = time(NULL) - FACTORY_DAY,
        .not_after = time(NULL) + FACTORY_DAY,
        .digest = "SHA256",
        .extensions = extensions,
    };

    return factory_certificate(&wanted);
}

static void self_signed_chain(const char *path)
{
    X509 *cert = make_certificate(FACTORY_CA_EXTENSIONS, NULL);

    factory_write_certificate(path, cert);
    X509_free(cert);
}

static void append_certificates(const char *path, X509 *cert, int count)
{
    FILE *out = fopen(path, "ae");

    ck_assert_ptr_nonnull(out);
    while (count-- > 0)
        ck_assert_int_eq(PEM_write_X509(out, cert), 1);
    ck_assert_int_eq(fclose(out), 0);
    X509_free(cert);
}

static void encrypted_chain(const char *path)
{
    write_text(path, "ae", ENCRYPTED_PEM("CERTIFICATE", "\n"));
}

static void long_chain(const char *path)
{
    X509 *root = make_certificate(FACTORY_CA_EXTENSIONS, NULL);

    append_certificates(path, make_certificate(FACTORY_CA_EXTENSIONS, root),
                        (int)ATLS_CHAIN_MAX - 1);
    X509_free(root);
}

static void large_certificate(const char *path)
{
    static char extensions[ATLS_CERTIFICATE_MAX * 2 + 200];
    X509 *root = make_certificate(FACTORY_CA_EXTENSIONS, NULL);
    size_t len;

    len = (size_t)snprintf(extensions, sizeof(extensions),
                           FACTORY_CA_EXTENSIONS "1.2.3.4=DER:0482%04X",
                           ATLS_CERTIFICATE_MAX);
    memset(extensions + len, 'a', (size_t)ATLS_CERTIFICATE_MAX * 2);
    strcpy(extensions + len + (size_t)ATLS_CERTIFICATE_MAX * 2, "\n");
    append_certificates(path, make_certificate(extensions, root), 1);
    X509_free(root);
}

static const struct {
    void (*write)(const char *path); /* appends to a good chain, or replaces */
    const char *text;
} bad_chains[] = {
    {empty_chain, "ak-chain.pem: no certificate in it: expected the AK"},
    {text_chain, "ak-chain.pem: no certificate in it: expected the AK"},
    {broken_chain, "ak-chain.pem: certificate 3 cannot be read as PEM"},
    {cut_chain, "ak-chain.pem: certificate 3 cannot be read as PEM"},
    {encrypted_chain, "ak-chain.pem: certificate 3 cannot be read as PEM"},
    {self_signed_chain, "ak-chain.pem: the first certificate is self-signed"},
    {long_chain,
     "ak-chain.pem: more than 8 certificates, the root not counted"},
    {large_certificate, "octets, at most 8192 fit into evidence"},
};

START_TEST(test_bad_chain_is_named)
{
    struct atls_reason why;

    watch_prompts();
    bad_chains[_i].write(quotercase.chain);
    quotercase_expect(&why,
                      atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                                      &quotercase.quoter),
                      ATLS_E_CONFIG, bad_chains[_i].text);
    ck_assert(!was_asked);
    factory_free_keys();
}
END_TEST

/* Into which nobody ever writes. */
START_TEST(test_chain_in_a_fifo)
{
    struct atls_reason why;

    ck_assert_int_eq(unlink(quotercase.chain), 0);
    ck_assert_int_eq(mkfifo(quotercase.chain, 0600), 0);
    quotercase_expect(&why,
                      atls_quoter_new(&quotercase.config, NULL, NULL, &why,
                                      &quotercase.quoter),
                      ATLS_E_IO, "ak-chain.pem is not a regular file");
}
END_TEST

START_TEST(test_root_is_left_out)
{
    struct quotercase_evidence found;

    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, true,
                                quotercase.chain, NULL));
    quotercase_start();
    ck_assert(quotercase_serve(1, &found));
    ck_assert_uint_eq(found.chain_count, 2);
}
END_TEST

/* --- parked handshakes ------------------------------------------------------ */

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd readable = {fd, POLLIN, 0};

    return poll(&readable, 1, timeout_ms) == 1;
}

/* A quoter whose quotes are held, with that deadline. */
static void start_held(unsigned timeout_ms)
{
    const struct tpmproxy_hooks hooks = {.before = quotercase_hold_quote};

    quotercase.config.timeout_ms = timeout_ms;
    quotercase_hold(true);
    quotercase_proxy(&hooks);
    quotercase_start();
}

START_TEST(test_timer_of_a_parked_handshake)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct atls_ticket *ticket = NULL;
    struct atls_reason why;
    uint8_t *cmw = NULL;
    size_t len = 0;

    start_held(10 * QUOTERCASE_PATIENCE_MS);
    quotercase_expect(&why, quotercase_submit(1, &why, &ticket), ATLS_OK, "");
    quotercase_expect(&why, atls_ticket_notify(ticket, fd, &why), ATLS_OK, "");
    ck_assert(!is_readable(fd, 50));
    ck_assert(!atls_ticket_is_ready(ticket));
    quotercase_hold(false);
    ck_assert(is_readable(fd, QUOTERCASE_PATIENCE_MS));
    ck_assert(atls_ticket_is_ready(ticket));
    /* Asked again, a done one answers long before its deadline. */
    quotercase_expect(&why, atls_ticket_notify(ticket, fd, &why), ATLS_OK, "");
    ck_assert(is_readable(fd, QUOTERCASE_PATIENCE_MS));
    quotercase_expect(&why, atls_ticket_wait(ticket, &why, &cmw, &len), ATLS_OK,
                      "");
    ck_assert(quotercase_is_valid(1, cmw, len, NULL));
    close(fd);
}
END_TEST

START_TEST(test_timer_at_the_deadline)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct atls_ticket *ticket = NULL;
    int64_t begin = atls_now_ms();
    struct atls_reason why;
    uint8_t *cmw = NULL;
    size_t len = 0;

    start_held(100); /* and no quote comes */
    quotercase_expect(&why, quotercase_submit(1, &why, &ticket), ATLS_OK, "");
    quotercase_expect(&why, atls_ticket_notify(ticket, fd, &why), ATLS_OK, "");
    ck_assert(is_readable(fd, QUOTERCASE_PATIENCE_MS));
    ck_assert_int_ge(atls_now_ms() - begin, 100);
    ck_assert(atls_ticket_is_ready(ticket));
    ck_assert_int_eq(atls_ticket_wait(ticket, &why, &cmw, &len),
                     ATLS_E_TIMEOUT);
    ck_assert_ptr_null(cmw);
    close(fd);
}
END_TEST

/* The descriptor may be closed, and its number be another's, after the drop. */
START_TEST(test_timer_of_a_dropped_handshake)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct atls_ticket *ticket = NULL;
    struct atls_reason why;

    start_held(QUOTERCASE_PATIENCE_MS);
    quotercase_expect(&why, quotercase_submit(1, &why, &ticket), ATLS_OK, "");
    quotercase_expect(&why, atls_ticket_notify(ticket, fd, &why), ATLS_OK, "");
    quotercase_await();
    atls_ticket_drop(ticket);
    ck_assert_int_eq(
        timerfd_settime(fd, 0, &(struct itimerspec){{0, 0}, {0, 0}}, NULL), 0);
    quotercase_hold(false);
    ck_assert(quotercase_serve(2, NULL));
    ck_assert(!is_readable(fd, 0));
    close(fd);
    atls_ticket_drop(NULL);
}
END_TEST

START_TEST(test_timer_must_be_one)
{
    struct atls_ticket *ticket = NULL;
    struct atls_reason why;

    quotercase_start();
    quotercase_expect(&why, quotercase_submit(1, &why, &ticket), ATLS_OK, "");
    quotercase_expect(&why, atls_ticket_notify(ticket, STDIN_FILENO, &why),
                      ATLS_E_INTERNAL, "cannot set a timer: Invalid argument");
    atls_ticket_drop(ticket);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_evidence_for_a_handshake),
    ONCE(test_B1_evidence_is_of_one_handshake),
    LOOP(test_ak_with_authorization, 0, 2),
    LOOP(test_configuration, 0,
         sizeof(configurations) / sizeof(configurations[0])),
    ONCE(test_authorization_in_a_fifo),
    LOOP(test_T8_authorization_that_is_empty, 0, 2),
    ONCE(test_authorization_too_long),
    ONCE(test_chain_in_a_fifo),
    LOOP(test_bad_chain_is_named, 0,
         sizeof(bad_chains) / sizeof(bad_chains[0])),
    ONCE(test_root_is_left_out),
    ONCE(test_timer_of_a_parked_handshake),
    ONCE(test_timer_at_the_deadline),
    ONCE(test_timer_of_a_dropped_handshake),
    ONCE(test_timer_must_be_one),
};

SUITE(.name = "quoter", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
