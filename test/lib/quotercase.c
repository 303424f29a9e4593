/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/quotercase.h"

#include <check.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"
#include "evidence/quote.h"

#define LINES_MAX 256

struct quotercase quotercase;

static struct {
    pthread_mutex_t lock;
    size_t count;
    struct {
        int level;
        char text[400];
    } lines[LINES_MAX];
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    atomic_bool is_on;
    atomic_int count; /* of those that are being held */
} hold;

static void keep_line(void *arg, int level, const char *text)
{
    (void)arg;
    pthread_mutex_lock(&logged.lock);
    if (logged.count < LINES_MAX) {
        logged.lines[logged.count].level = level;
        snprintf(logged.lines[logged.count].text, sizeof(logged.lines[0].text),
                 "%s", text);
        logged.count++;
    }
    pthread_mutex_unlock(&logged.lock);
}

unsigned quotercase_logged(int level, const char *text)
{
    unsigned count = 0;

    pthread_mutex_lock(&logged.lock);
    for (size_t i = 0; i < logged.count; i++) {
        if (logged.lines[i].level == level
            && strstr(logged.lines[i].text, text) != NULL)
            count++;
    }
    pthread_mutex_unlock(&logged.lock);
    return count;
}

void quotercase_set_up(void)
{
    struct quotercase *q = &quotercase;

    *q = (struct quotercase){.swtpm = swtpm_start(),
                             .formats = {1, {ATLS_FORMAT_TPM}}};
    logged.count = 0;
    quotercase_hold(false);
    ck_assert_ptr_nonnull(q->swtpm);
    ck_assert(swtpm_make_ak(q->swtpm, NULL));
    snprintf(q->chain, sizeof(q->chain), "%s/ak-chain.pem",
             swtpm_folder(q->swtpm));
    snprintf(q->measured_log, sizeof(q->measured_log), "%s/events.cel",
             swtpm_folder(q->swtpm));
    ck_assert(
        swtpm_write_chain(q->swtpm, SWTPM_AK_HANDLE, false, q->chain, NULL));
    q->config = (struct atls_quoter_config){
        .tcti = swtpm_tcti(q->swtpm),
        .ak = SWTPM_AK,
        .ak_chain = q->chain,
        .measure_pcr = 15,
        .timeout_ms = 5000,
        .max_queue = 1024,
    };
}

void quotercase_tear_down(void)
{
    struct quotercase *q = &quotercase;

    quotercase_hold(false);
    atls_quoter_free(q->quoter);
    q->quoter = NULL;
    tpmproxy_stop(q->proxy);
    q->proxy = NULL;
    swtpm_stop(q->swtpm);
    q->swtpm = NULL;
}

static void configure_proxy(struct tpmproxy *proxy)
{
    ck_assert_ptr_nonnull(proxy);
    quotercase.proxy = proxy;
    quotercase.config.tcti = tpmproxy_tcti(proxy);
}

void quotercase_proxy(const struct tpmproxy_hooks *hooks)
{
    configure_proxy(tpmproxy_start(swtpm_port(quotercase.swtpm), hooks));
}

void quotercase_proxy_device(const struct tpmproxy_hooks *hooks)
{
    configure_proxy(tpmproxy_start_device(swtpm_port(quotercase.swtpm), hooks));
}

enum tpmproxy_action quotercase_hold_quote(void *arg, uint32_t code,
                                           uint8_t *response, size_t *ret_len)
{
    (void)arg, (void)response, (void)ret_len;
    if (code != TPM2_CC_Quote)
        return TPMPROXY_FORWARD;
    atomic_fetch_add(&hold.count, 1);
    while (atomic_load(&hold.is_on))
        usleep(100);
    atomic_fetch_sub(&hold.count, 1);
    return TPMPROXY_FORWARD;
}

void quotercase_hold(bool is_held)
{
    atomic_store(&hold.is_on, is_held);
}

bool quotercase_holds(void)
{
    return atomic_load(&hold.is_on);
}

void quotercase_await(void)
{
    const int64_t end = atls_now_ms() + QUOTERCASE_PATIENCE_MS;

    while (atomic_load(&hold.count) == 0) {
        ck_assert_int_lt(atls_now_ms(), end);
        usleep(100);
    }
}

void quotercase_start(void)
{
    quotercase_expect(&quotercase.why,
                      atls_quoter_new(&quotercase.config, keep_line, NULL,
                                      &quotercase.why, &quotercase.quoter),
                      ATLS_OK, "");
}

void quotercase_expect(const struct atls_reason *why, enum atls_error found,
                       enum atls_error code, const char *text)
{
    ck_assert_msg(found == code, "expected %s, got %s: %s",
                  atls_error_name(code), atls_error_name(found),
                  found != ATLS_OK ? why->text : "");
    if (code == ATLS_OK)
        return;
    ck_assert_int_eq(why->code, code);
    ck_assert_msg(strstr(why->text, text) != NULL, "expected \"%s\" in \"%s\"",
                  text, why->text);
    ck_assert_msg(strlen(why->text) < ATLS_REASON_MAX - 1, "too long: \"%s\"",
                  why->text);
    ck_assert_ptr_null(strchr(why->text, '\n'));
}

/* Any octets will do for a certificate. */
static struct atls_span certificate_of(unsigned number, char octets[32])
{
    int len = snprintf(octets, 32, "certificate %u", number);

    return (struct atls_span){(const uint8_t *)octets, (size_t)len};
}

static void channel_of(unsigned number, uint8_t channel[ATLS_CHANNEL_LEN])
{
    memset(channel, 0xc0, ATLS_CHANNEL_LEN);
    memcpy(channel, &number, sizeof(number));
}

static enum atls_role role_of(unsigned number)
{
    return number % 2 == 0 ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
}

void quotercase_describe(unsigned number, struct quotercase_handshake *ret)
{
    ret->role = role_of(number);
    channel_of(number, ret->channel);
    ret->certificate = certificate_of(number, ret->octets);
}

enum atls_error quotercase_submit(unsigned number, struct atls_reason *why,
                                  struct atls_ticket **ret_ticket)
{
    uint8_t channel[ATLS_CHANNEL_LEN];
    char octets[32];

    channel_of(number, channel);
    return atls_quoter_submit(quotercase.quoter, role_of(number), channel,
                              certificate_of(number, octets),
                              &quotercase.formats, why, ret_ticket);
}

enum atls_error quotercase_obtain(unsigned number, struct atls_reason *why,
                                  uint8_t **ret_cmw, size_t *ret_len)
{
    struct atls_ticket *ticket = NULL;
    enum atls_error r = quotercase_submit(number, why, &ticket);

    if (r != ATLS_OK)
        return r;
    return atls_ticket_wait(ticket, why, ret_cmw, ret_len);
}

static bool is_signed(const struct atls_evidence *evidence,
                      struct atls_signature *signature)
{
    const uint8_t *p = evidence->chain[0].data;
    X509 *cert = d2i_X509(NULL, &p, (long)evidence->chain[0].len);
    bool is_good;

    is_good =
        cert != NULL
        && atls_signature_parse(evidence->signature, NULL, signature) == ATLS_OK
        && atls_signature_verify(signature, X509_get0_pubkey(cert),
                                 evidence->quote, NULL)
               == ATLS_OK;
    X509_free(cert);
    return is_good;
}

static bool is_bound(unsigned number, const struct atls_evidence *evidence,
                     const struct atls_quote *quote)
{
    uint8_t channel[ATLS_CHANNEL_LEN];
    uint8_t binding[ATLS_SHA256_LEN];
    uint8_t leaf[ATLS_SHA256_LEN];
    uint8_t root[ATLS_SHA256_LEN];
    char octets[32];

    channel_of(number, channel);
    return atls_binding_live(role_of(number), channel,
                             certificate_of(number, octets), binding)
               == ATLS_OK
           && atls_merkle_leaf(binding, leaf) == ATLS_OK
           && atls_merkle_fold(leaf, &evidence->merkle, NULL, root) == ATLS_OK
           && quote->extra_data_len == sizeof(root)
           && memcmp(quote->extra_data, root, sizeof(root)) == 0;
}

static bool is_of_values(const struct atls_evidence *evidence,
                         const struct atls_quote *quote,
                         const struct atls_signature *signature)
{
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    size_t len;

    return atls_pcr_digest(signature->hash, &quote->selection, &evidence->pcrs,
                           digest, &len)
               == ATLS_OK
           && quote->pcr_digest_len == len
           && memcmp(quote->pcr_digest, digest, len) == 0;
}

static bool replays(const struct atls_evidence *evidence)
{
    const uint8_t *value = atls_pcr_value(&evidence->pcrs, TPM2_ALG_SHA256, 15);
    uint8_t replayed[ATLS_PCR_DIGEST_MAX];

    return evidence->has_log && value != NULL
           && atls_eventlog_replay(TPM2_ALG_SHA256, evidence->log,
                                   evidence->log_count, replayed)
                  == ATLS_OK
           && memcmp(replayed, value, 32) == 0;
}

static const char *find_fault(unsigned number,
                              const struct atls_evidence *evidence)
{
    struct atls_signature signature;
    struct atls_quote quote;

    if (atls_quote_parse(evidence->quote, NULL, &quote) != ATLS_OK)
        return "no quote";
    if (!is_signed(evidence, &signature))
        return "not signed by the AK";
    if (!is_bound(number, evidence, &quote))
        return "not bound to the handshake";
    if (!is_of_values(evidence, &quote, &signature))
        return "other PCR values";
    return NULL;
}

bool quotercase_is_valid(unsigned number, uint8_t *cmw, size_t len,
                         struct quotercase_evidence *ret)
{
    const struct atls_span octets = {cmw, len};
    struct atls_evidence *evidence = NULL;
    struct atls_reason why;
    bool is_hashed = true;
    const char *fault;

    if (atls_evidence_decode(octets, &why, &evidence) != ATLS_OK) {
        fprintf(stderr, "handshake %u: %s\n", number, why.text);
        OPENSSL_free(cmw);
        return false;
    }
    fault = find_fault(number, evidence);
    if (fault != NULL)
        fprintf(stderr, "handshake %u: %s\n", number, fault);
    if (ret != NULL) {
        ret->leaf_index = evidence->merkle.leaf_index;
        ret->path_count = evidence->merkle.path_count;
        is_hashed =
            atls_sha256(evidence->quote.data, evidence->quote.len, ret->quote)
            == ATLS_OK;
        ret->has_log = evidence->has_log;
        ret->replays = replays(evidence);
        ret->log_count = evidence->log_count;
        ret->chain_count = evidence->chain_count;
    }
    atls_evidence_free(evidence);
    OPENSSL_free(cmw);
    return fault == NULL && is_hashed;
}

bool quotercase_serve(unsigned number, struct quotercase_evidence *ret)
{
    struct atls_reason why;
    uint8_t *cmw = NULL;
    size_t len = 0;

    if (quotercase_obtain(number, &why, &cmw, &len) == ATLS_OK)
        return quotercase_is_valid(number, cmw, len, ret);
    fprintf(stderr, "handshake %u: %s: %s\n", number, atls_error_name(why.code),
            why.text);
    return false;
}
