/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/tpmcase.h"

#include <check.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/quote.h"

struct tpmcase tpmcase;

static const uint8_t nonce[32] = {1, 2, 3};

void tpmcase_set_up(void)
{
    tpmcase = (struct tpmcase){.swtpm = swtpm_start()};
    ck_assert_ptr_nonnull(tpmcase.swtpm);
    ck_assert(swtpm_make_ak(tpmcase.swtpm, NULL));
}

void tpmcase_tear_down(void)
{
    tpmcase_close();
    tpmproxy_stop(tpmcase.proxy);
    tpmcase.proxy = NULL;
    swtpm_stop(tpmcase.swtpm);
    tpmcase.swtpm = NULL;
}

void tpmcase_expect(enum atls_error found, enum atls_error code,
                    const char *text)
{
    const struct atls_reason *why = &tpmcase.why;

    ck_assert_msg(found == code, "expected %s, got %s: %s",
                  atls_error_name(code), atls_error_name(found), why->text);
    if (code == ATLS_OK)
        return;
    ck_assert_int_eq(why->code, code);
    ck_assert_msg(strstr(why->text, text) != NULL, "expected \"%s\" in \"%s\"",
                  text, why->text);
    ck_assert_msg(strlen(why->text) < ATLS_REASON_MAX - 1, "too long: \"%s\"",
                  why->text);
    ck_assert_ptr_null(strchr(why->text, '\n'));
}

const char *tpmcase_proxy(const struct tpmproxy_hooks *hooks)
{
    tpmcase.proxy = tpmproxy_start(swtpm_port(tpmcase.swtpm), hooks);
    ck_assert_ptr_nonnull(tpmcase.proxy);
    return tpmproxy_tcti(tpmcase.proxy);
}

const char *tpmcase_proxy_device(const struct tpmproxy_hooks *hooks)
{
    tpmcase.proxy = tpmproxy_start_device(swtpm_port(tpmcase.swtpm), hooks);
    ck_assert_ptr_nonnull(tpmcase.proxy);
    return tpmproxy_tcti(tpmcase.proxy);
}

void tpmcase_open(const char *tcti)
{
    tpmcase_expect(atls_tpm_open(tcti, &tpmcase.why, &tpmcase.tpm), ATLS_OK,
                   "");
}

void tpmcase_open_loaded(const char *tcti)
{
    tpmcase_open(tcti);
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why), ATLS_OK,
        "");
}

void tpmcase_close(void)
{
    atls_tpm_close(tpmcase.tpm);
    tpmcase.tpm = NULL;
}

struct atls_pcr_selection tpmcase_selection(const char *text)
{
    struct atls_pcr_selection selection;

    tpmcase_expect(atls_pcr_selection_parse(text, &tpmcase.why, &selection),
                   ATLS_OK, "");
    return selection;
}

enum atls_error tpmcase_quote(void)
{
    struct atls_pcr_selection selection = tpmcase_selection(TPMCASE_PCRS);

    return atls_tpm_quote(tpmcase.tpm, &selection, nonce, sizeof(nonce),
                          &tpmcase.why, &tpmcase.quote);
}

enum atls_error tpmcase_quote_consistent(const char *pcrs)
{
    struct atls_pcr_selection selection = tpmcase_selection(pcrs);

    return atls_tpm_quote_consistent(tpmcase.tpm, &selection, nonce,
                                     sizeof(nonce), &tpmcase.why,
                                     &tpmcase.values, &tpmcase.quote);
}

static EVP_PKEY *ak_key(void)
{
    uint8_t *der = NULL;
    const uint8_t *p;
    EVP_PKEY *key;
    size_t len = 0;

    tpmcase_expect(atls_tpm_ak_public(tpmcase.tpm, &tpmcase.why, &der, &len),
                   ATLS_OK, "");
    p = der;
    key = d2i_PUBKEY(NULL, &p, (long)len);
    ck_assert_ptr_nonnull(key);
    ck_assert_ptr_eq(p, der + len);
    OPENSSL_free(der);
    return key;
}

void tpmcase_check_quote(const char *pcrs)
{
    const struct atls_tpm_quote *quote = &tpmcase.quote;
    const struct atls_span attest = {quote->attest, quote->attest_len};
    const struct atls_span octets = {quote->signature, quote->signature_len};
    struct atls_pcr_selection selection = tpmcase_selection(pcrs);
    uint8_t digest[ATLS_PCR_DIGEST_MAX];
    struct atls_signature signature;
    struct atls_reason *why = &tpmcase.why;
    struct atls_quote parsed;
    EVP_PKEY *key = ak_key();
    size_t len;

    tpmcase_expect(atls_signature_parse(octets, why, &signature), ATLS_OK, "");
    tpmcase_expect(atls_signature_verify(&signature, key, attest, why), ATLS_OK,
                   "");
    tpmcase_expect(atls_quote_parse(attest, why, &parsed), ATLS_OK, "");
    ck_assert_uint_eq(parsed.magic, TPM2_GENERATED_VALUE);
    ck_assert_uint_eq(parsed.type, TPM2_ST_ATTEST_QUOTE);
    ck_assert_uint_eq(parsed.extra_data_len, sizeof(nonce));
    ck_assert_mem_eq(parsed.extra_data, nonce, sizeof(nonce));
    ck_assert_int_eq(atls_pcr_digest(signature.hash, &selection,
                                     &tpmcase.values, digest, &len),
                     ATLS_OK);
    ck_assert_uint_eq(parsed.pcr_digest_len, len);
    ck_assert_mem_eq(parsed.pcr_digest, digest, len);
    EVP_PKEY_free(key);
}
